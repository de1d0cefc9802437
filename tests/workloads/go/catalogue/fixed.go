// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"io"
	"net"
	"sync"
	"time"
)

// The same programs as they should be: nothing stays.

func abandonedSendFixed() {
	answer := make(chan int, 1)
	go func() {
		time.Sleep(2 * short)
		answer <- 1
	}()
	select {
	case <-answer:
	case <-time.After(short):
	}
}

func firstAnswerWinsFixed() {
	answers := make(chan int, 3)
	for i := 0; i < 3; i++ {
		go func() { answers <- query() }()
	}
	<-answers
}

func receiverGoneFixed() {
	values, done := make(chan int), make(chan bool)
	defer close(done)
	go func() {
		defer close(values)
		for i := 0; i < 3; i++ {
			select {
			case values <- i:
			case <-done:
				return
			}
		}
	}()
	for range values {
		break
	}
}

func nilChannelSendFixed() {
	values := make(chan int, 1)
	go func() { values <- 1 }()
}

func nilChannelReceiveFixed() {
	values := make(chan int, 1)
	values <- 1
	go func() { <-values }()
}

func fullBufferFixed() {
	values := make(chan int, 3)
	go func() {
		for i := 0; i < 3; i++ {
			values <- i
		}
	}()
}

func selectNeverReadyFixed() {
	first, second := make(chan int), make(chan int)
	go func() {
		select {
		case <-first:
		case <-second:
		case <-time.After(short):
		}
	}()
}

func selectMissesCaseFixed() {
	values, errors, done := make(chan int), make(chan error), make(chan bool)
	go func() {
		for {
			select {
			case <-values:
			case <-errors:
			case <-done:
				return
			}
		}
	}()
	close(done)
}

func oneOfTenServedFixed() {
	values := make(chan int)
	for i := 0; i < 10; i++ {
		go func() { values <- 1 }()
	}
	for i := 0; i < 10; i++ {
		<-values
	}
}

func waitGroupTooFewFixed() {
	var group sync.WaitGroup
	group.Add(2)
	go group.Done()
	go group.Done()
	go group.Wait()
}

var released sync.Mutex

func mutexNeverReleasedFixed() {
	go func() {
		released.Lock()
		defer released.Unlock()
	}()
}

func lockOrderFixed() {
	var a, b sync.Mutex
	for i := 0; i < 2; i++ {
		go func() {
			a.Lock()
			b.Lock()
			b.Unlock()
			a.Unlock()
		}()
	}
}

func lockOrderInObjectFixed() {
	shared := &cache{}
	for i := 0; i < 2; i++ {
		go func() {
			shared.Lock()
			shared.filling.Lock()
			shared.filling.Unlock()
			shared.Unlock()
		}()
	}
}

func goroutinePerRequestFixed() {
	go time.Sleep(short)
}

func connectionWithoutDeadlineFixed() {
	client, err := net.Dial("tcp", silent.Addr().String())
	must(err)
	go func() {
		client.SetReadDeadline(time.Now().Add(short))
		client.Read(make([]byte, 1))
		client.Close()
	}()
}

func doneOfSizeOneFixed() {
	done := make(chan bool)
	for i := 0; i < 3; i++ {
		go func() { <-done }()
	}
	close(done)
}

func generatorFixed(ctx context.Context) func() int {
	values := make(chan int)
	go func() {
		for i := 0; ; i++ {
			select {
			case values <- i:
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() int { return <-values }
}

func closureKeepsGoroutineFixed() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	next := generatorFixed(ctx)
	next()
}

func forgottenCancelFixed() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { <-ctx.Done() }()
}

func errgroupMemberFixed() {
	var group errgroup
	values := make(chan int, 1)
	group.Go(func() error {
		values <- 1
		return nil
	})
	group.Go(func() error { return io.EOF })
	group.Wait()
}

func condNeverSignalledFixed() {
	cond := sync.NewCond(&sync.Mutex{})
	go func() {
		time.Sleep(short)
		cond.Broadcast()
	}()
	go func() {
		cond.L.Lock()
		cond.Wait()
		cond.L.Unlock()
	}()
}

func bodyNeverClosedFixed() {
	response, err := client.Get(server.URL)
	must(err)
	_, err = io.Copy(io.Discard, response.Body)
	must(err)
	response.Body.Close()
}

func afterInHotLoopFixed() {
	ready := make(chan int, 1)
	for i := 0; i < 10; i++ {
		ready <- i
		timer := time.NewTimer(time.Hour)
		select {
		case <-ready:
		case <-timer.C:
		}
		timer.Stop()
	}
}

func tickerNeverStoppedFixed() {
	time.NewTicker(time.Hour).Stop()
}

// A loop that waits.
func spinFixed() {
	for {
		time.Sleep(short)
	}
}

var fixed = []func(){
	abandonedSendFixed, firstAnswerWinsFixed, receiverGoneFixed, nilChannelSendFixed,
	nilChannelReceiveFixed, fullBufferFixed, selectNeverReadyFixed, selectMissesCaseFixed,
	oneOfTenServedFixed, waitGroupTooFewFixed, mutexNeverReleasedFixed, lockOrderFixed,
	lockOrderInObjectFixed, goroutinePerRequestFixed, connectionWithoutDeadlineFixed,
	doneOfSizeOneFixed, closureKeepsGoroutineFixed, forgottenCancelFixed, errgroupMemberFixed,
	condNeverSignalledFixed, bodyNeverClosedFixed, afterInHotLoopFixed, tickerNeverStoppedFixed,
}
