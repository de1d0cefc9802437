// SPDX-License-Identifier: GPL-2.0-only

//go:build go1.23

package main

import "iter"

// The second value never comes.
func yieldOnce(yield func(int) bool) {
	yield(1)
	receive(other)
}

// Between its values it is not called.
func yieldTwice(yield func(int) bool) {
	yield(1)
	yield(2)
}

func pull(values iter.Seq[int], times int) {
	next, stop := iter.Pull(values)
	defer stop()
	for i := 0; i < times; i++ {
		next()
	}
	receive(other)
}

func init() {
	newerKinds = append(newerKinds, func() {
		go pull(yieldOnce, 2)
		go pull(yieldTwice, 1)
	})
}
