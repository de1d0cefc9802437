// SPDX-License-Identifier: GPL-2.0-only

// Goroutines that keep their threads: in C code, and in system calls that the runtime's poller knows
// nothing of. It speaks the protocol of ../../workload.h:
//
//	cgo N        N goroutines that call a C function which does not return
//	read N       N goroutines that read an empty pipe
//	free         all of them go on and end
//	leak MS      one more of each every MS milliseconds, until the end
//	serve MS     the same calls, which return after a while
//	dump PATH    writes what its own runtime/pprof says of them (debug=2) to PATH
//	exit
package main

/*
#include <unistd.h>

static int wait_for_end(int fd)
{
	char byte;

	return (int)read(fd, &byte, 1);
}
*/
import "C"

import (
	"bufio"
	"fmt"
	"os"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A pipe that is empty until it is closed.
type gate struct {
	reader, writer int
}

func newGate() gate {
	var ends [2]int

	check(syscall.Pipe2(ends[:], syscall.O_CLOEXEC))
	return gate{ends[0], ends[1]}
}

//go:noinline
func callC(fd int) {
	C.wait_for_end(C.int(fd)) // LEAK callC
}

//go:noinline
func readPipe(fd int) {
	var bytes [1]byte

	syscall.Read(fd, bytes[:]) // LEAK readPipe
}

func start(n, fd int, wait func(fd int), all *sync.WaitGroup) {
	for i := 0; i < n; i++ {
		all.Add(1)
		go func() { // LEAK start
			wait(fd)
			all.Done()
		}()
	}
}

func leak(pause time.Duration, fd int) {
	for {
		go callC(fd)
		go readPipe(fd)
		time.Sleep(pause)
	}
}

// As many as leak makes, each with a gate of its own that is closed soon.
func serve(pause time.Duration) {
	for {
		own := newGate()
		var both sync.WaitGroup
		both.Add(2)
		go func() { callC(own.reader); both.Done() }()
		go func() { readPipe(own.reader); both.Done() }()
		go func() {
			time.Sleep(10 * pause)
			syscall.Close(own.writer)
			both.Wait()
			syscall.Close(own.reader)
		}()
		time.Sleep(pause)
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func dump(path string) {
	file, err := os.Create(path)
	check(err)
	check(pprof.Lookup("goroutine").WriteTo(file, 2))
	check(file.Close())
}

func main() {
	var all sync.WaitGroup
	empty := newGate()
	fmt.Println("ready", os.Getpid())
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := append(strings.Fields(lines.Text()), "", "")
		n, _ := strconv.Atoi(words[1])
		switch words[0] {
		case "cgo":
			start(n, empty.reader, callC, &all)
		case "read":
			start(n, empty.reader, readPipe, &all)
		case "free":
			syscall.Close(empty.writer)
			all.Wait()
		case "leak":
			go leak(time.Duration(n)*time.Millisecond, empty.reader)
		case "serve":
			go serve(time.Duration(n) * time.Millisecond)
		case "dump":
			dump(words[1])
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
