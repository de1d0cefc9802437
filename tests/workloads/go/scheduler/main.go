// SPDX-License-Identifier: GPL-2.0-only

// Goroutines that are made and end, or stay, and goroutines that wait for a known time; its own block
// profile tells the same. It speaks the protocol of ../../workload.h:
//
//	create N      N goroutines that end at once and N that stay
//	free          those end, too
//	wait N        N times: a channel and a mutex are waited for, once for longer; prints the
//	              nanoseconds that the longest waits took
//	switch N      two goroutines take turns, N times; prints the nanoseconds of a turn
//	profile FILE  writes the block profile
//	exit
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	pause     = 10 * time.Millisecond
	longPause = 10 * pause
)

//go:noinline
func startShort(group *sync.WaitGroup) {
	group.Add(1)
	go group.Done()
}

//go:noinline
func startKept(group *sync.WaitGroup, release <-chan int) {
	go func() {
		<-release
		group.Done()
	}()
}

func create(n int, kept *sync.WaitGroup, release <-chan int) {
	var short sync.WaitGroup
	for i := 0; i < n; i++ {
		startShort(&short)
		kept.Add(1)
		startKept(kept, release)
	}
	short.Wait()
	settle()
}

// Waits until those that are about to end have done so, and those that are about to wait do.
func settle() {
	time.Sleep(100 * time.Millisecond)
}

//go:noinline
func receiveLate(values <-chan int) {
	<-values
}

//go:noinline
func lockLate(mutex *sync.Mutex) {
	mutex.Lock()
	mutex.Unlock()
}

func lengthen(longest *time.Duration, start time.Time) {
	if took := time.Since(start); took > *longest {
		*longest = took
	}
}

func wait(n int) {
	var mutex sync.Mutex
	var longestReceive, longestLock time.Duration
	values := make(chan int)
	for i := 0; i < n; i++ {
		length := pause
		if i == n/2 {
			length = longPause
		}
		mutex.Lock()
		go func() {
			time.Sleep(length)
			values <- 0
			time.Sleep(length)
			mutex.Unlock()
		}()
		start := time.Now()
		receiveLate(values)
		lengthen(&longestReceive, start)
		start = time.Now()
		lockLate(&mutex)
		lengthen(&longestLock, start)
	}
	fmt.Println("longest receiveLate", longestReceive.Nanoseconds())
	fmt.Println("longest lockLate", longestLock.Nanoseconds())
	settle()
}

func takeTurns(n int) time.Duration {
	ping, pong := make(chan int), make(chan int)
	go func() {
		for value := range ping {
			pong <- value
		}
	}()
	start := time.Now()
	for i := 0; i < n; i++ {
		ping <- i
		<-pong
	}
	turn := time.Since(start) / time.Duration(2*n)
	close(ping)
	return turn
}

func writeProfile(path string) {
	file, err := os.Create(path)
	if err == nil {
		err = pprof.Lookup("block").WriteTo(file, 0)
	}
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		panic(err)
	}
}

func main() {
	var kept sync.WaitGroup
	release := make(chan int)
	runtime.SetBlockProfileRate(1)
	fmt.Println("ready", os.Getpid())
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := append(strings.Fields(lines.Text()), "", "")
		n, _ := strconv.Atoi(words[1])
		switch words[0] {
		case "create":
			create(n, &kept, release)
		case "free":
			close(release)
			kept.Wait()
			settle()
		case "wait":
			wait(n)
		case "switch":
			fmt.Println("turn", takeTurns(n).Nanoseconds())
		case "profile":
			writeProfile(words[1])
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
