// SPDX-License-Identifier: GPL-2.0-only

// Goroutines that get stuck, in several ways at once or one at a time:
//
//	stuck leak       one goroutine every few milliseconds, abandoned at a channel
//	stuck fixed      the same work, done right
//	stuck before N   N of them at one channel before it says "ready", none later
//	stuck nil        a few at nil channels and in empty selects
//	stuck deadlock   two goroutines that hold what the other one wants
//	stuck reader     two such of which one wants to read what the other one writes
//	stuck writer     two such of which both want to write
//	stuck object     two such with mutexes of one object, of which one has the object's address
//	stuck contended  the same two mutexes, taken in order by workers for ever
//	stuck held       readers and writers of a lock that somebody holds for ever
//	stuck queued     some that wait for one who waits for such a lock, all of one object
//	stuck spin       a select with default that takes a whole CPU
//	stuck nested     the same, some calls further in
//	stuck busy       workers that change between two waits all the time
//
// It says "ready PID" and ends with its input.
package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"
)

const (
	pause = 5 * time.Millisecond
	short = time.Millisecond
)

type account struct {
	sync.Mutex
	balance int
}

func abandon() {
	answer := make(chan int)
	go func() {
		answer <- 1 // LEAK abandon
	}()
	select {
	case <-answer:
	default:
	}
}

func deliver() {
	answer := make(chan int, 1)
	go func() {
		answer <- 1
	}()
	<-answer
}

func repeat(step func()) {
	for {
		step()
		time.Sleep(pause)
	}
}

func waitForOne(n int) {
	start := make(chan int)
	for i := 0; i < n; i++ {
		go func() {
			<-start // LEAK waitForOne
		}()
	}
}

func waitForNothing() {
	var none chan int
	go func() {
		none <- 1 // LEAK nilSend
	}()
	go func() {
		<-none // LEAK nilReceive
	}()
	for i := 0; i < 3; i++ {
		go func() {
			select {} // LEAK emptySelect
		}()
	}
}

//go:noinline
func transfer(from, to *account, locked *sync.WaitGroup) {
	from.Lock()
	defer from.Unlock()
	if locked != nil {
		locked.Done()
		locked.Wait()
	} else {
		time.Sleep(pause)
	}
	to.Lock() // LEAK transfer
	defer to.Unlock()
	from.balance--
	to.balance++
}

func deadlock() {
	var locked sync.WaitGroup
	a, b := &account{}, &account{}
	locked.Add(2)
	go transfer(a, b, &locked)
	go transfer(b, a, &locked)
}

type table struct {
	sync.RWMutex
	rows map[string]int
}

//go:noinline
func rewrite(changed *table, owner *account, locked *sync.WaitGroup) {
	changed.Lock()
	defer changed.Unlock()
	locked.Done()
	locked.Wait()
	owner.Lock() // LEAK rewrite
	defer owner.Unlock()
	changed.rows["rewritten"]++
}

//go:noinline
func lookUp(owner *account, read *table, locked *sync.WaitGroup) {
	owner.Lock()
	defer owner.Unlock()
	locked.Done()
	locked.Wait()
	read.RLock() // LEAK lookUp
	defer read.RUnlock()
	owner.balance += read.rows["rewritten"]
}

//go:noinline
func enter(owner *account, changed *table, locked *sync.WaitGroup) {
	owner.Lock()
	defer owner.Unlock()
	locked.Done()
	locked.Wait()
	changed.Lock() // LEAK enter
	defer changed.Unlock()
	changed.rows["entered"]++
}

func deadlockRW(other func(*account, *table, *sync.WaitGroup)) {
	var locked sync.WaitGroup
	changed, owner := &table{rows: map[string]int{}}, &account{}
	locked.Add(2)
	go rewrite(changed, owner, &locked)
	go other(owner, changed, &locked)
}

type store struct {
	sync.RWMutex
	filling sync.Mutex
	rows    map[string]int
}

//go:noinline
func (s *store) refill(locked *sync.WaitGroup) {
	s.Lock()
	defer s.Unlock()
	locked.Done()
	locked.Wait()
	s.filling.Lock() // LEAK (*store).refill
	defer s.filling.Unlock()
	s.rows["refilled"]++
}

//go:noinline
func (s *store) inspect(locked *sync.WaitGroup) {
	s.filling.Lock()
	defer s.filling.Unlock()
	locked.Done()
	locked.Wait()
	s.RLock() // LEAK (*store).inspect
	defer s.RUnlock()
	fmt.Println(len(s.rows))
}

//go:noinline
func (s *store) fill() {
	s.Lock()
	s.Unlock()
	s.RLock()
	s.RUnlock()
	s.filling.Lock()
	defer s.filling.Unlock()
	s.rows["filled"]++
}

func deadlockObject() {
	var locked sync.WaitGroup
	s := &store{rows: map[string]int{}}
	locked.Add(2)
	go s.refill(&locked)
	go s.inspect(&locked)
}

type connection struct {
	state, writing sync.Mutex
	written        int
}

//go:noinline
func (c *connection) open(locked *sync.WaitGroup) {
	c.writing.Lock()
	defer c.writing.Unlock()
	locked.Done()
	locked.Wait()
	c.state.Lock()
	defer c.state.Unlock()
	c.written = 0
}

//go:noinline
func (c *connection) write() {
	c.state.Lock()
	c.state.Unlock()
	c.writing.Lock()
	defer c.writing.Unlock()
	c.written++
}

func lockForEver(lock sync.Locker) {
	lock.Lock()
	held := make(chan bool)
	go func() {
		<-held
		lock.Unlock()
		close(held)
	}()
}

// Who waits for one mutex of an object has had the other one, which somebody else has locked since.
func queue() {
	var gate sync.WaitGroup
	s, c := &store{rows: map[string]int{}}, &connection{}
	gate.Add(3)
	go s.inspect(&gate)
	go c.open(&gate)
	time.Sleep(pause)
	for i := 0; i < 3; i++ {
		go s.fill()
		go c.write()
	}
	time.Sleep(pause)
	lockForEver(s)
	lockForEver(&c.state)
	gate.Done()
}

func contend() {
	a, b := &account{}, &account{}
	for i := 0; i < 8; i++ {
		go func() {
			for {
				transfer(a, b, nil)
			}
		}()
	}
}

func hold() {
	var lock sync.RWMutex
	held := make(chan bool)
	go func() {
		lock.RLock()
		held <- true
		<-held
		lock.RUnlock()
	}()
	<-held
	for i := 0; i < 3; i++ {
		go func() {
			lock.Lock()
			defer lock.Unlock()
		}()
	}
	time.Sleep(pause)
	for i := 0; i < 3; i++ {
		go func() {
			lock.RLock()
			defer lock.RUnlock()
		}()
	}
}

func poll() {
	values := make(chan int)
	for {
		select {
		case <-values:
		default:
		}
	}
}

type inbox struct{ items chan int }

//go:noinline
func (q *inbox) take() (int, bool) {
	select {
	case item := <-q.items:
		return item, true
	default:
		return 0, false
	}
}

//go:noinline
func (q *inbox) drain() {
	for {
		if _, ok := q.take(); ok { // LEAK drain
			return
		}
	}
}

func consume(q *inbox) {
	for {
		q.drain() // LEAK consume
		time.Sleep(pause)
	}
}

func worker(in, out chan int) {
	for value := range in {
		time.Sleep(short)
		out <- value
	}
}

func churn() {
	in, out := make(chan int), make(chan int)
	for i := 0; i < 50; i++ {
		go worker(in, out)
	}
	go func() {
		for i := 0; ; i++ {
			in <- i
		}
	}()
	for range out {
		time.Sleep(short / 10)
	}
}

func main() {
	switch os.Args[1] {
	case "leak":
		go repeat(abandon)
	case "fixed":
		go repeat(deliver)
	case "before":
		n, _ := strconv.Atoi(os.Args[2])
		waitForOne(n)
	case "nil":
		waitForNothing()
	case "deadlock":
		deadlock()
	case "reader":
		deadlockRW(lookUp)
	case "writer":
		deadlockRW(enter)
	case "object":
		deadlockObject()
	case "contended":
		contend()
	case "held":
		hold()
	case "queued":
		queue()
	case "spin":
		go poll()
	case "nested":
		go consume(&inbox{make(chan int)})
	case "busy":
		go churn()
	}
	time.Sleep(10 * pause)
	fmt.Println("ready", os.Getpid())
	io.Copy(io.Discard, os.Stdin)
}
