// SPDX-License-Identifier: GPL-2.0-only

// Goroutines of every kind, all of them stuck. It speaks the protocol of ../../workload.h:
//
//	dump PATH   writes what its own runtime/pprof says of them (debug=2) to PATH
//	exit
package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"syscall"
	"time"
)

type service struct {
	requests chan int
}

var (
	mutex      sync.Mutex
	rw         sync.RWMutex
	group      sync.WaitGroup
	condition  = sync.NewCond(&sync.Mutex{})
	newerKinds []func() // of files for newer releases of Go
	unbuffered = make(chan int)
	full       = make(chan int, 1)
	nilChannel chan int
	other      = make(chan int)
)

func send(c chan<- int)    { c <- 1 }
func receive(c <-chan int) { <-c }

func sendToFull() {
	full <- 2
}

func rangeOver(c <-chan int) {
	for range c {
		continue
	}
}

func selectTwo(a, b chan int) {
	select {
	case <-a:
	case b <- 1:
	}
}

func selectForever() { select {} }

func lockMutex() {
	mutex.Lock()
}

func lockRead() {
	rw.RLock()
}

func lockWrite() {
	rw.Lock()
}

func waitGroup() {
	group.Wait()
}

func waitCondition() {
	condition.L.Lock()
	condition.Wait()
}

func sleep() {
	time.Sleep(time.Hour)
}

func tick() {
	ticker := time.NewTicker(time.Hour)
	for range ticker.C {
		continue
	}
}

//go:noinline
func recurse(depth int, c chan int) int {
	var frame [64]byte

	if depth == 0 {
		<-c
		return 0
	}
	frame[depth%64] = byte(depth)
	return recurse(depth-1, c) + int(frame[depth%64])
}

// Small enough to be inlined, one into the other.
func inlinedInner(c chan int) int { return <-c }
func inlinedOuter(c chan int) int { return inlinedInner(c) + 1 }

func callsInlined() {
	inlinedOuter(other)
}

func (s *service) serve() {
	for request := range s.requests {
		_ = request
	}
}

func (s service) byValue(c chan int) { receive(c) }

type server interface{ byValue(c chan int) }

func generic[T any](c chan T) {
	<-c
}

func readPipe(fd int) {
	var bytes [1]byte

	syscall.Read(fd, bytes[:])
}

func accept(listener net.Listener) {
	listener.Accept()
}

func deferred() {
	defer receive(unbuffered)
}

func afterPanic() {
	defer func() {
		recover()
		receive(unbuffered)
	}()
	panic("as planned")
}

func labelled() {
	labels := pprof.Labels("tenant", "blue", "request", "42")
	pprof.Do(context.Background(), labels, func(context.Context) { receive(unbuffered) })
}

func manyLabels() {
	var pairs []string

	for i := 10; i < 22; i++ {
		pairs = append(pairs, fmt.Sprint("key", i), fmt.Sprint("value", i))
	}
	pprof.Do(context.Background(), pprof.Labels(pairs...), func(context.Context) { receive(other) })
}

func spawnChildren() {
	for i := 0; i < 3; i++ {
		go func() { receive(unbuffered) }()
	}
	receive(unbuffered)
}

// What waits when the garbage collector has found something that nobody refers to.
func startAfterCollection(abandon func(begun chan bool)) {
	begun := make(chan bool, 1)

	abandon(begun)
	for len(begun) == 0 {
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
}

//go:noinline
func finalizeService(begun chan bool) {
	runtime.SetFinalizer(&service{make(chan int)}, func(s *service) {
		begun <- true
		receive(s.requests)
	})
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func startAll() {
	var pipe [2]int

	mutex.Lock()
	rw.Lock()
	group.Add(1)
	full <- 1
	check(syscall.Pipe(pipe[:]))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)

	go send(make(chan int)) // of its own: nobody receives
	go receive(other)
	go sendToFull()
	go send(nilChannel)
	go receive(nilChannel)
	go rangeOver(other)
	go selectTwo(other, full)
	go selectForever()
	go waitGroup()
	go waitCondition()
	go sleep()
	go tick()
	go recurse(10, other)
	go recurse(60, other)
	go callsInlined()
	go (&service{make(chan int)}).serve()
	go server(service{}).byValue(other)
	go server(&service{}).byValue(other)
	method := (&service{make(chan int)}).serve
	go method()
	go generic(make(chan string))
	go generic(make(chan *service))
	go readPipe(pipe[0])
	go accept(listener)
	go deferred()
	go afterPanic()
	go labelled()
	go manyLabels()
	go spawnChildren()
	for i := 0; i < 3; i++ {
		go lockMutex()
		go lockRead()
	}
	go lockWrite()
	time.AfterFunc(time.Millisecond, func() { receive(unbuffered) })
	startAfterCollection(finalizeService)
	for _, start := range newerKinds {
		start()
	}
}

func dump(path string) {
	file, err := os.Create(path)
	check(err)
	check(pprof.Lookup("goroutine").WriteTo(file, 2))
	check(file.Close())
}

// Waits until all but the caller are where they stay.
func settle() {
	text := make([]byte, 1<<22)
	for {
		dump := string(text[:runtime.Stack(text, true)])
		if strings.Count(dump, "[running")+strings.Count(dump, "[runnable") == 1 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func main() {
	startAll()
	settle()
	fmt.Println("ready", os.Getpid())
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) == 2 && words[0] == "dump":
			dump(words[1])
		case len(words) == 1 && words[0] == "exit":
			fmt.Println("done exit")
			return
		default:
			fmt.Println("error", lines.Text())
			continue
		}
		fmt.Println("done", words[0])
	}
}
