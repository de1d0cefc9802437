// SPDX-License-Identifier: GPL-2.0-only

// A Go program whose C code leaks: called from goroutines at several depths, from callbacks of C
// into Go, and from threads that C made. Driven by lines on stdin: a phase and its arguments.
package main

// #cgo CFLAGS: -O2 -fomit-frame-pointer
// #cgo LDFLAGS: -lpthread
// #include <stdlib.h>
// #include "leak.h"
import "C"

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const churnRounds = 20

var sink byte

// Leaks once at the bottom of depth calls.
//
//go:noinline
func descend(depth int, size C.size_t) {
	var pad [128]byte
	if depth == 0 {
		leak(size)
	} else {
		pad[depth%128] = 1
		descend(depth-1, size)
	}
	sink += pad[depth%128]
}

//go:noinline
func leak(size C.size_t) {
	C.c_leak(size)
}

// Makes the goroutine's stack grow, which moves it.
//
//go:noinline
func grow(depth int) int {
	var pad [1024]byte
	pad[depth%1024] = byte(depth)
	if depth == 0 {
		return 0
	}
	return grow(depth-1) + int(pad[depth%1024])
}

// The way back from C: further in while level is above 1. Those below are of the stress.
//
//export goBack
func goBack(level C.int, size C.size_t) {
	switch {
	case level > 1:
		grow(10 << uint(level))
		callBack(level-1, size)
	case level == 1:
		grow(20)
		leak(size)
	case level == 0:
		grow(10)
		recoverPanic()
	default:
		panic("through C")
	}
}

//go:noinline
func callBack(level C.int, size C.size_t) {
	C.c_call_back(level, size)
}

//go:noinline
func recoverPanic() {
	defer func() { recover() }()
	sink += byte(len(debug.Stack()))
	panic("in a callback")
}

// A panic that leaves the C functions between here and where it is raised without return.
//
//go:noinline
func panicThroughC() {
	defer func() { recover() }()
	callBack(-1, 8)
}

// Runs work in a goroutine of its own, whose stack begins small.
func inGoroutine(work func()) {
	var done sync.WaitGroup
	done.Add(1)
	go func() {
		defer done.Done()
		work()
	}()
	done.Wait()
}

// Everything at once: goroutines whose stacks grow and shrink, garbage, C allocations, callbacks
// that panic, foreign threads, a CPU profile and stack dumps. Each round and each thread leaks 8
// bytes of C.
func stress(seconds int) string {
	var done sync.WaitGroup
	var rounds, threads int64
	stop := time.Now().Add(time.Duration(seconds) * time.Second)
	before := numGC()
	pprof.StartCPUProfile(discard{})
	for i := 0; i < 24; i++ {
		done.Add(1)
		go func(i int) {
			defer done.Done()
			var keep [][]byte
			for time.Now().Before(stop) {
				inGoroutine(func() {
					C.c_churn(churnRounds)
					grow(i * 4)
					callBack(0, 8)
					panicThroughC()
				})
				keep = append(keep, make([]byte, 4096))
				if len(keep) > 64 {
					keep = nil
					runtime.GC()
				}
				if i%8 == 0 {
					C.c_thread(0, 8)
					atomic.AddInt64(&threads, 1)
				}
				atomic.AddInt64(&rounds, 1)
			}
		}(i)
	}
	buffer := make([]byte, 1<<20)
	for time.Now().Before(stop) {
		runtime.Stack(buffer, true)
		pprof.Lookup("goroutine").WriteTo(discard{}, 2)
		time.Sleep(20 * time.Millisecond)
	}
	done.Wait()
	pprof.StopCPUProfile()
	return fmt.Sprintf("rounds=%d threads=%d gcs=%d", rounds, threads, numGC()-before)
}

func numGC() uint32 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.NumGC
}

type discard struct{}

func (discard) Write(bytes []byte) (int, error) { return len(bytes), nil }

// Each phase takes a count, then what it wants.
func run(phase string, count int, arguments []int) {
	for i := 0; i < count; i++ {
		inGoroutine(func() {
			switch phase {
			case "descend": // depth, size
				descend(arguments[0], C.size_t(arguments[1]))
			case "back": // level, size
				callBack(C.int(arguments[0]), C.size_t(arguments[1]))
			case "thread": // level, size
				C.c_thread(C.int(arguments[0]), C.size_t(arguments[1]))
			case "string": // length
				C.CString(strings.Repeat("x", arguments[0]))
			case "stress": // seconds
				fmt.Println("stressed", stress(arguments[0]))
			}
		})
		runtime.GC()
	}
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	fmt.Println("ready", os.Getpid())
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) > 1 {
			var numbers []int
			for _, word := range words[1:] {
				number, _ := strconv.Atoi(word)
				numbers = append(numbers, number)
			}
			run(words[0], numbers[0], numbers[1:])
		}
		fmt.Println("done", words[0])
		if words[0] == "exit" {
			return
		}
	}
}
