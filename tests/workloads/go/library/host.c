/* SPDX-License-Identifier: GPL-2.0-only */
/* A C program with goroutines: 7 that wait, and a thread of its own that waits in Go code. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void StartWaiters(int n);
void CallBack(void);

static void *call_back(void *argument)
{
	CallBack();
	return argument;
}

int main(void)
{
	char line[64];
	pthread_t thread;

	StartWaiters(7);
	pthread_create(&thread, NULL, call_back, NULL);
	usleep(100000);
	printf("ready %d\n", (int)getpid());
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		if (!strcmp(line, "exit\n")) {
			puts("done exit");
			return 0;
		}
	}
	return 0;
}
