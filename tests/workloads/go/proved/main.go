// SPDX-License-Identifier: GPL-2.0-only

// Goroutines that the runtime itself can prove to be leaked, and others that it can not. Commands,
// one a line, answered by "done NAME":
//
//	leak N  goroutines at channels that nothing else knows
//	hold N  goroutines at a channel that the program still knows
//	lock N  goroutines at a mutex that nothing else knows, besides the one that has it
//	prove F lets the runtime look for leaked ones and writes all to the file F; the program ends
//	        when it can not do so, before Go 1.26
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"time"
)

var held = make(chan int)

func leakOne() {
	answer := make(chan int)
	go func() {
		answer <- 1 // LEAK leakOne
	}()
}

func holdOne() {
	go func() {
		<-held
	}()
}

// A mutex alone would share its block of memory with other small things, which are known.
type guarded struct {
	sync.Mutex
	name *string
}

func lock(n int) {
	object := &guarded{name: new(string)}
	object.Lock()
	for i := 0; i < n; i++ {
		go func() {
			object.Lock() // LEAK lock
		}()
	}
}

func prove(path string) {
	file, err := os.Create(path)
	if err != nil {
		panic(err)
	}
	defer file.Close()
	if err := pprof.Lookup("goroutineleak").WriteTo(file, 2); err != nil {
		panic(err)
	}
}

func times(n int, step func()) {
	for i := 0; i < n; i++ {
		step()
	}
	time.Sleep(20 * time.Millisecond) // until they wait
}

func main() {
	fmt.Println("ready", os.Getpid())
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		name, number, _ := strings.Cut(lines.Text(), " ")
		n, _ := strconv.Atoi(number)
		switch name {
		case "leak":
			times(n, leakOne)
		case "hold":
			times(n, holdOne)
		case "lock":
			times(1, func() { lock(n) })
		case "prove":
			prove(number)
		}
		fmt.Println("done", name)
		if name == "exit" {
			return
		}
	}
	close(held)
}
