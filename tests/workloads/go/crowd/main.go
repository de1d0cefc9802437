// SPDX-License-Identifier: GPL-2.0-only

// Many goroutines that wait, and on request others that come and go. It speaks the protocol of
// ../../workload.h:
//
//	park N    N more goroutines wait on one channel
//	churn N   N goroutines start short-lived ones without end
//	collect   runs the garbage collector
//	latency   "latency P50 P99 MAX": how late a sleep of 1 ms ended since last asked, microseconds
//	exit
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

var (
	forever = make(chan int)
	delays  struct {
		sync.Mutex
		list []time.Duration
	}
)

//go:noinline
func parked() {
	<-forever
}

//go:noinline
func shortLived(done chan<- int, depth int) {
	if depth > 0 {
		shortLived(done, depth-1)
		return
	}
	time.Sleep(time.Duration(time.Now().UnixNano()%200) * time.Microsecond)
	done <- 1
}

func spawner() {
	for {
		done := make(chan int)
		for i := 0; i < 16; i++ {
			go shortLived(done, i)
		}
		for i := 0; i < 16; i++ {
			<-done
		}
	}
}

func measureLatency() {
	for {
		start := time.Now()
		time.Sleep(time.Millisecond)
		late := time.Since(start) - time.Millisecond
		delays.Lock()
		delays.list = append(delays.list, late)
		delays.Unlock()
	}
}

func reportLatency() {
	delays.Lock()
	list := delays.list
	delays.list = nil
	delays.Unlock()
	if len(list) == 0 {
		list = []time.Duration{0}
	}
	sort.Slice(list, func(i, j int) bool { return list[i] < list[j] })
	fmt.Println("latency", list[len(list)/2].Microseconds(),
		list[len(list)*99/100].Microseconds(), list[len(list)-1].Microseconds())
}

func start(n int, f func()) {
	for i := 0; i < n; i++ {
		go f()
	}
	runtime.Gosched()
	time.Sleep(50 * time.Millisecond)
}

func main() {
	go measureLatency()
	fmt.Println("ready", os.Getpid())
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := append(strings.Fields(lines.Text()), "", "")
		n, _ := strconv.Atoi(words[1])
		switch words[0] {
		case "park":
			start(n, parked)
		case "churn":
			start(n, spawner)
		case "collect":
			runtime.GC()
		case "latency":
			reportLatency()
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
