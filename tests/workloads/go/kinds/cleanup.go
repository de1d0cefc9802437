// SPDX-License-Identifier: GPL-2.0-only

//go:build go1.25

package main

import "runtime"

//go:noinline
func cleanUpService(begun chan bool) {
	runtime.AddCleanup(&service{make(chan int)}, func(begun chan bool) {
		begun <- true
		receive(other)
	}, begun)
}

func init() {
	newerKinds = append(newerKinds, func() { startAfterCollection(cleanUpService) })
}
