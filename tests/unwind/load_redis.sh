#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Keeps the redis server at the socket $1 busy until it is gone.
for _ in $(seq 600); do
	redis-cli -s "$1" ping >/dev/null 2>&1 && break
	sleep 0.1
done
while redis-benchmark -s "$1" -c 10 -t set,get,lpush,hset,zadd -n 20000 -q >/dev/null 2>&1; do
	:
done
