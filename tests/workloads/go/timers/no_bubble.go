// SPDX-License-Identifier: GPL-2.0-only

//go:build !go1.25

package main

import "fmt"

func serveInTest() {
	fmt.Println("error: no bubbles in this version of Go")
}
