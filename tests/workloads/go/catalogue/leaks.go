// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// The leaks. The line at which something stays for ever is marked "LEAK name".

func abandonedSend() {
	answer := make(chan int)
	go func() {
		time.Sleep(2 * short)
		answer <- 1 // LEAK abandonedSend
	}()
	select {
	case <-answer:
	case <-time.After(short):
	}
}

func query() int {
	time.Sleep(short)
	return 1
}

func firstAnswerWins() {
	answers := make(chan int)
	for i := 0; i < 3; i++ {
		go func() {
			answers <- query() // LEAK firstAnswerWins
		}()
	}
	<-answers
}

func receiverGone() {
	values := make(chan int)
	go func() {
		for i := 0; i < 3; i++ {
			values <- i // LEAK receiverGone
		}
		close(values)
	}()
	for range values {
		break
	}
}

func nilChannelSend() {
	var values chan int
	go func() {
		values <- 1 // LEAK nilChannelSend
	}()
}

func nilChannelReceive() {
	var values chan int
	go func() {
		<-values // LEAK nilChannelReceive
	}()
}

func fullBuffer() {
	values := make(chan int, 2)
	go func() {
		for i := 0; i < 3; i++ {
			values <- i // LEAK fullBuffer
		}
	}()
}

func selectNeverReady() {
	first, second := make(chan int), make(chan int)
	go func() {
		select { // LEAK selectNeverReady
		case <-first:
		case <-second:
		}
	}()
}

func selectMissesCase() {
	values, errors, done := make(chan int), make(chan error), make(chan bool)
	go func() {
		for {
			select { // LEAK selectMissesCase
			case <-values:
			case <-errors:
			}
		}
	}()
	close(done)
}

func oneOfTenServed() {
	values := make(chan int)
	for i := 0; i < 10; i++ {
		go func() {
			values <- 1 // LEAK oneOfTenServed
		}()
	}
	<-values
}

func waitGroupTooFew() {
	var group sync.WaitGroup
	group.Add(2)
	go group.Done()
	go func() {
		group.Wait() // LEAK waitGroupTooFew
	}()
}

var neverReleased sync.Mutex

func mutexNeverReleased() {
	go func() {
		neverReleased.Lock() // LEAK mutexNeverReleased
	}()
}

func lockOrder() {
	var a, b sync.Mutex
	var both sync.WaitGroup
	both.Add(2)
	go func() {
		a.Lock()
		both.Done()
		both.Wait()
		b.Lock() // LEAK lockOrder
		b.Unlock()
		a.Unlock()
	}()
	go func() {
		b.Lock()
		both.Done()
		both.Wait()
		a.Lock() // LEAK lockOrder
		a.Unlock()
		b.Unlock()
	}()
}

type cache struct {
	sync.RWMutex
	filling sync.Mutex
}

func lockOrderInObject() {
	var both sync.WaitGroup
	shared := &cache{}
	both.Add(2)
	go func() {
		shared.Lock()
		both.Done()
		both.Wait()
		shared.filling.Lock() // LEAK lockOrderInObject
		shared.filling.Unlock()
		shared.Unlock()
	}()
	go func() {
		shared.filling.Lock()
		both.Done()
		both.Wait()
		shared.RLock() // LEAK lockOrderInObject
		shared.RUnlock()
		shared.filling.Unlock()
	}()
}

func goroutinePerRequest() {
	go func() {
		for {
			time.Sleep(time.Hour) // LEAK goroutinePerRequest
		}
	}()
}

func connectionWithoutDeadline() {
	client, err := net.Dial("tcp", silent.Addr().String())
	must(err)
	keep(client)
	go func() {
		client.Read(make([]byte, 1)) // LEAK connectionWithoutDeadline
	}()
}

func doneOfSizeOne() {
	done := make(chan bool, 1)
	for i := 0; i < 3; i++ {
		go func() {
			<-done // LEAK doneOfSizeOne
		}()
	}
	done <- true
}

func generator() func() int {
	values := make(chan int)
	go func() {
		for i := 0; ; i++ {
			values <- i // LEAK closureKeepsGoroutine
		}
	}()
	return func() int { return <-values }
}

func closureKeepsGoroutine() {
	next := generator()
	next()
}

func forgottenCancel() {
	ctx, cancel := context.WithCancel(context.Background())
	keep(cancel)
	go func() {
		<-ctx.Done() // LEAK forgottenCancel
	}()
}

func errgroupMember() {
	var group errgroup
	values := make(chan int)
	group.Go(func() error {
		values <- 1 // LEAK errgroupMember
		return nil
	})
	group.Go(func() error { return io.EOF })
	keep(&group)
}

func condNeverSignalled() {
	cond := sync.NewCond(&sync.Mutex{})
	go func() {
		cond.L.Lock()
		cond.Wait() // LEAK condNeverSignalled
		cond.L.Unlock()
	}()
}

// Its two goroutines are those of net/http: (*persistConn).readLoop and writeLoop.
func bodyNeverClosed() {
	response, err := client.Get(server.URL)
	must(err)
	keep(response.Body)
}

// Timers: what is outstanding belongs to the stack that started it.

func afterInHotLoop() {
	ready := make(chan int, 1)
	for i := 0; i < 10; i++ {
		ready <- i
		select {
		case <-ready:
		case <-time.After(time.Hour): // LEAK afterInHotLoop
		}
	}
}

func tickerNeverStopped() {
	ticker := time.NewTicker(time.Hour) // LEAK tickerNeverStopped
	keep(ticker)
}

// A loop that should wait and does not.
func spin() {
	values := make(chan int)
	for {
		select { // LEAK spin
		case <-values:
			return
		default:
		}
	}
}

var leaks = []func(){
	abandonedSend, firstAnswerWins, receiverGone, nilChannelSend, nilChannelReceive, fullBuffer,
	selectNeverReady, selectMissesCase, oneOfTenServed, waitGroupTooFew, mutexNeverReleased,
	lockOrder, lockOrderInObject, goroutinePerRequest, connectionWithoutDeadline, doneOfSizeOne,
	closureKeepsGoroutine, forgottenCancel, errgroupMember, condNeverSignalled, bodyNeverClosed,
	afterInHotLoop, tickerNeverStopped,
}

func prepareLeaks() {
	neverReleased.Lock()
}

func serve(w http.ResponseWriter, _ *http.Request) {
	w.Write(make([]byte, 1<<20))
}
