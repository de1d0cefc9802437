// SPDX-License-Identifier: GPL-2.0-only

// Timers that are stopped, that fire, that fire again and again, and that nobody stops; goroutines
// that keep a thread for themselves, and give it back or take it with them. It speaks the protocol
// of ../../workload.h:
//
//	go N       all of it N times
//	heaps N M K  N timers that call a function, M timers and K tickers with a channel, a few others
//	bubble N   with the argument "test", Go 1.25 and later: N timers of each kind in a bubble of
//	           package synctest, the clock of which goes on when all wait
//	threads N  N goroutines lock a thread and wait
//	free       they end, and their threads with them
//	exit
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

var kept []any

// No other timer is made at the address of one that is kept: its end is seen, or it stays.
func keep[T any](timer T) T {
	kept = append(kept, timer)
	return timer
}

//go:noinline
func tickerNeverStopped() *time.Ticker {
	return time.NewTicker(time.Hour)
}

//go:noinline
func tickerStopped() {
	keep(time.NewTicker(time.Hour)).Stop()
}

//go:noinline
func afterInSelect(ready <-chan int) {
	select {
	case <-ready:
	case <-time.After(time.Hour):
	}
}

//go:noinline
func timerStopped(ready <-chan int) {
	timer := keep(time.NewTimer(time.Hour))
	select {
	case <-ready:
		timer.Stop()
	case <-timer.C:
	}
}

//go:noinline
func timerReset() {
	timer := keep(time.NewTimer(time.Hour))
	timer.Stop()
	timer.Reset(time.Millisecond)
	<-timer.C
}

//go:noinline
func funcFired(group *sync.WaitGroup) {
	group.Add(1)
	keep(time.AfterFunc(time.Millisecond, group.Done))
}

//go:noinline
func funcReset(group *sync.WaitGroup) {
	group.Add(1)
	timer := keep(time.AfterFunc(time.Hour, group.Done))
	timer.Stop()
	timer.Reset(time.Millisecond)
}

//go:noinline
func tickerFired() *time.Ticker {
	return time.NewTicker(20 * time.Millisecond)
}

//go:noinline
func contextForgotten() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	_ = cancel
	return ctx
}

//go:noinline
func contextCancelled() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	keep(ctx)
	cancel()
}

// While the garbage collector stops the world again and again: whoever is asked to stop goes through
// the branch that grows the stack, and begins the function anew.
//
//go:noinline
func timerPreempted() {
	time.AfterFunc(time.Hour, stopped).Stop()
}

const preemptedRounds = 400

func work(n int) {
	var group sync.WaitGroup
	ready := make(chan int, 1)
	for i := 0; i < n; i++ {
		keep(tickerNeverStopped())
		keep(contextForgotten())
		ticker := keep(tickerFired())
		tickerStopped()
		ready <- i
		afterInSelect(ready)
		ready <- i
		timerStopped(ready)
		timerReset()
		funcFired(&group)
		funcReset(&group)
		contextCancelled()
		if i == n-1 {
			<-ticker.C
			<-ticker.C
		}
	}
	done := make(chan int)
	go func() {
		for i := 0; i < preemptedRounds*n; i++ {
			timerPreempted()
		}
		close(done)
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
			runtime.GC()
		}
	}
	group.Wait()
	time.Sleep(20 * time.Millisecond)
}

func lockThreads(n int, release <-chan int) {
	var started sync.WaitGroup
	for i := 0; i < n; i++ {
		started.Add(1)
		go func() {
			runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
			started.Done()
			<-release
		}()
	}
	started.Wait()
}

func serve(bubble func(n int)) {
	release := make(chan int)
	fmt.Println("ready", os.Getpid())
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := append(strings.Fields(lines.Text()), "", "", "", "")
		n, _ := strconv.Atoi(words[1])
		switch words[0] {
		case "go":
			work(n)
		case "heaps":
			m, _ := strconv.Atoi(words[2])
			k, _ := strconv.Atoi(words[3])
			fillHeaps(n, m, k)
		case "bubble":
			bubble(n)
		case "threads":
			lockThreads(n, release)
		case "free":
			close(release)
			time.Sleep(200 * time.Millisecond)
		case "exit":
			fmt.Println("done exit")
			return
		default:
			fmt.Println("error", lines.Text())
			continue
		}
		fmt.Println("done", words[0])
	}
}

func main() {
	if len(os.Args) > 1 {
		serveInTest()
	} else {
		serve(nil)
	}
}
