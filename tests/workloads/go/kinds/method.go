// SPDX-License-Identifier: GPL-2.0-only

//go:build go1.27

package main

type pair[A, B any] struct {
	a A
	b B
}

type list[T any] struct {
	values []T
}

//go:noinline
func (l *list[T]) each[U any](f func(T) U) []U {
	var all []U

	for _, value := range l.values {
		all = append(all, f(value))
	}
	return all
}

func waitInEach[T, U any](value T) {
	l := list[T]{[]T{value}}
	l.each(func(T) (none U) {
		receive(other)
		return
	})
}

func init() {
	newerKinds = append(newerKinds, func() {
		go waitInEach[int, string](1)
		go waitInEach[pair[int, []string], map[string][]int](pair[int, []string]{})
	})
}
