// SPDX-License-Identifier: GPL-2.0-only

// Go code in a C program (host.c), as a shared library.
package main

import "C"

//export StartWaiters
func StartWaiters(n C.int) {
	forever := make(chan int)
	for i := 0; i < int(n); i++ {
		go waitFor(forever)
	}
}

//export CallBack
func CallBack() {
	<-make(chan int)
}

func waitFor(forever <-chan int) {
	<-forever
}

func main() {}
