// SPDX-License-Identifier: GPL-2.0-only

//go:build go1.25

package main

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

//go:noinline
func bubbleFired(group *sync.WaitGroup) {
	group.Add(1)
	time.AfterFunc(time.Hour, group.Done)
}

// The runtime has it run before AfterFunc returns.
//
//go:noinline
func bubbleFiredAtOnce(group *sync.WaitGroup) {
	group.Add(1)
	time.AfterFunc(0, group.Done)
}

//go:noinline
func bubbleStopped() {
	time.AfterFunc(time.Hour, stopped).Stop()
}

//go:noinline
func bubbleReset(group *sync.WaitGroup) {
	group.Add(1)
	timer := time.AfterFunc(2*time.Hour, group.Done)
	timer.Reset(time.Hour)
	timer.Stop()
	timer.Reset(0)
}

func fillBubble(n int) {
	var group sync.WaitGroup
	for i := 0; i < n; i++ {
		bubbleFired(&group)
		bubbleFiredAtOnce(&group)
		bubbleStopped()
		bubbleReset(&group)
	}
	group.Wait()
}

// Serves inside a test: only there package synctest makes bubbles.
func serveInTest() {
	test := func(t *testing.T) {
		serve(func(n int) {
			synctest.Test(t, func(*testing.T) { fillBubble(n) })
		})
	}
	testing.Main(func(_, _ string) (bool, error) { return true, nil },
		[]testing.InternalTest{{Name: "bubble", F: test}}, nil, nil)
}
