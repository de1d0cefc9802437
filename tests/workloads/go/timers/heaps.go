// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"fmt"
	"net"
	"time"
)

//go:noinline
func expire() {
	panic("an hour has passed")
}

//go:noinline
func stopped() {
	panic("it was stopped")
}

//go:noinline
func postponed() {
	panic("it was postponed")
}

type session struct{ id int }

func (s *session) close() {
	panic(s.id)
}

// One closure for each, with what it has to know.
//
//go:noinline
func expireLater(id int) *time.Timer {
	return time.AfterFunc(30*time.Minute, func() { panic(id) })
}

// A connection with a deadline for each direction, and one with the same for both.
func connect() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	for i := 0; i < 2; i++ {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			return err
		}
		kept = append(kept, conn)
	}
	hour := time.Now().Add(time.Hour)
	kept[len(kept)-2].(net.Conn).SetReadDeadline(hour)
	kept[len(kept)-2].(net.Conn).SetWriteDeadline(hour.Add(time.Hour))
	kept[len(kept)-1].(net.Conn).SetDeadline(hour)
	kept = append(kept, listener)
	return nil
}

func expect(kind, site string, count int) {
	fmt.Printf("EXPECT kind=%s site=%s count=%d bytes=0 via=heap\n", kind, site, count)
}

const few = 7

// Fills the heaps with n timers of a function, m timers and k tickers with a channel, and a few of
// each other kind, and says what has to be there.
func fillHeaps(n, m, k int) {
	for i := 0; i < n; i++ {
		kept = append(kept, time.AfterFunc(time.Hour+time.Duration(i)*time.Millisecond, expire))
		kept = append(kept, expireLater(i))
	}
	for i := 0; i < m; i++ {
		kept = append(kept, time.NewTimer(2*time.Hour))
	}
	for i := 0; i < k; i++ {
		kept = append(kept, time.NewTicker(time.Duration(1+i%2)*time.Hour))
	}
	for i := 0; i < few; i++ {
		timer := time.AfterFunc(time.Hour, postponed)
		kept = append(kept, timer, time.AfterFunc(time.Hour, (&session{i}).close))
		timer.Reset(5 * time.Hour)
		time.AfterFunc(time.Hour, stopped).Stop()
		go time.Sleep(time.Hour)
		waited := time.NewTimer(3 * time.Hour)
		go func() { <-waited.C }()
	}
	if err := connect(); err != nil {
		fmt.Println("error", err)
	}
	time.Sleep(50 * time.Millisecond) // until all goroutines wait
	expect("after_func", "main.expire", n)
	expect("after_func", "main.expireLater.func1", n)
	expect("after_func", "main.postponed", few)
	expect("after_func", "main.(*session).close-fm", few)
	expect("timer", "abandoned", m)
	expect("timer", "waited", few)
	expect("ticker", "abandoned", k)
	expect("sleep", "main", few)
	for _, side := range []string{"", "Read", "Write"} {
		expect("deadline", "runtime.netpoll"+side+"Deadline", 1)
	}
}
