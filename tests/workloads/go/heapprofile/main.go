// SPDX-License-Identifier: GPL-2.0-only

// Keeps blocks and writes the heap profile of its own runtime to the file it is given.
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
)

var kept [][]byte

//go:noinline
func keepBlocks(count int) {
	for i := 0; i < count; i++ {
		kept = append(kept, make([]byte, 1000))
	}
}

func main() {
	runtime.MemProfileRate = 1
	keepBlocks(500)
	runtime.GC()
	file, err := os.Create(os.Args[1])
	if err == nil {
		err = pprof.WriteHeapProfile(file)
	}
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	runtime.KeepAlive(kept)
}
