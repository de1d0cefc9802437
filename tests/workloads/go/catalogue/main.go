// SPDX-License-Identifier: GPL-2.0-only

// The ways in which Go programs leak goroutines and timers, and the same programs repaired:
//
//	catalogue leak|fixed      all of them, again and again
//	catalogue spin|spinfixed  a loop that takes a whole CPU, and one that waits
//
// It says "ready PID" and ends with its input.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"time"
)

const (
	short = 5 * time.Millisecond
	pause = 100 * time.Millisecond // between two rounds
)

var (
	silent net.Listener // takes connections and says nothing
	server *httptest.Server
	client = &http.Client{Transport: &http.Transport{}}

	kept struct {
		sync.Mutex
		things []any
	}
)

// keep makes sure that only goroutines and timers leak here, not what the garbage collector would
// repair.
func keep(thing any) {
	kept.Lock()
	kept.things = append(kept.things, thing)
	kept.Unlock()
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// errgroup is what golang.org/x/sync/errgroup is, as far as it matters.
type errgroup struct {
	group sync.WaitGroup
	once  sync.Once
	err   error
}

func (g *errgroup) Go(f func() error) {
	g.group.Add(1)
	go func() {
		defer g.group.Done()
		if err := f(); err != nil {
			g.once.Do(func() { g.err = err })
		}
	}()
}

func (g *errgroup) Wait() error {
	g.group.Wait()
	return g.err
}

func acceptSilently() {
	for {
		connection, err := silent.Accept()
		must(err)
		go func() {
			io.Copy(io.Discard, connection)
			connection.Close()
		}()
	}
}

func repeat(functions []func()) {
	for {
		for _, function := range functions {
			function()
		}
		time.Sleep(pause)
	}
}

func main() {
	var err error
	silent, err = net.Listen("tcp", "127.0.0.1:0")
	must(err)
	go acceptSilently()
	server = httptest.NewServer(http.HandlerFunc(serve))
	switch os.Args[1] {
	case "leak":
		prepareLeaks()
		go repeat(leaks)
	case "fixed":
		go repeat(fixed)
	case "spin":
		go spin()
	case "spinfixed":
		go spinFixed()
	}
	fmt.Println("ready", os.Getpid())
	io.Copy(io.Discard, os.Stdin)
}
