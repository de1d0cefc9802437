# SPDX-License-Identifier: GPL-2.0-only
"""Four of Debian's servers under the load of their own tools, at the same time, for minutes each:
caches that fill and evict, connections that come and go. Nothing of that is a leak."""

import glob
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request

from harness import (DEADLINE_S, Failure, Observer, Skip, check_conservation, describe, read_text,
                     require, text_differences, wait_for)
from registry import test

WATCH_S = float(os.environ.get("LEAKBPF_SERVERS_S", "190"))
PACKAGES = {"redis-server": "redis-server", "redis-benchmark": "redis-tools", "nginx": "nginx-light",
            "ab": "apache2-utils", "memcached": "memcached", "pgbench": "postgresql"}
INITDB = glob.glob("/usr/lib/postgresql/*/bin/initdb")


def tool(*command, **options):
    """Runs a tool to its end, behind the servers and the observers."""
    result = subprocess.run(["nice", *map(str, command)], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                            timeout=WATCH_S + DEADLINE_S, encoding="utf-8", errors="replace",
                            **options)
    require(result.returncode == 0, f"{command}: status {result.returncode}: {result.stdout[-500:]}")
    return result.stdout


class Server:
    """One server with its load and its observer."""
    name = None
    options = ()
    fewest = 1000  # blocks that it must have asked for

    def __init__(self, directory):
        self.directory = os.path.join(directory, self.name)
        os.mkdir(self.directory)
        self.socket = os.path.join(self.directory, "socket")
        self.requests = 0
        self.failure = None
        self.process = None
        self.thread = threading.Thread(target=self.work, daemon=True)

    def start(self, *command, **options):
        self.log = os.path.join(self.directory, "said")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd=self.directory,
                                            stdout=log, stderr=log, **options)
        try:
            wait_for(self.answers, f"{self.name} to answer")
        except Failure as failure:
            raise Failure(f"{failure}; it said: {read_text(self.log)[-2000:]}") from None

    def pids(self):
        return str(self.process.pid)

    def work(self):
        deadline = time.monotonic() + WATCH_S
        try:
            while time.monotonic() < deadline:
                self.requests += self.load(deadline - time.monotonic())
        except Exception as failure:  # pylint: disable=broad-except
            self.failure = failure

    def answers(self):
        raise NotImplementedError

    def load(self, seconds):
        """Some load, at most that long; returns how many requests it was."""
        raise NotImplementedError

    def processes(self):
        path = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        with open(path, encoding="ascii") as file:
            return [self.process.pid, *map(int, file.read().split())]

    def stop(self):
        """Ends it whatever state it is in; SIGINT ends postgres without waiting for its clients."""
        if not self.process:
            return
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Redis(Server):
    """An LRU cache of 32 MB that a million keys pass through."""
    name = "redis"

    def start_server(self):
        self.start("redis-server", "--port", "0", "--unixsocket", self.socket, "--save", "",
                   "--maxmemory", "32mb", "--maxmemory-policy", "allkeys-lru")

    def ask(self, *words):
        return subprocess.run(["redis-cli", "-s", self.socket, *words], capture_output=True,
                              timeout=DEADLINE_S, check=False, text=True).stdout

    def answers(self):
        return self.ask("PING").strip() == "PONG"

    def load(self, seconds):
        out = tool("redis-benchmark", "-s", self.socket, "-c", 10, "-n", 4000, "-r", 1000000, "-d",
                   200, "-t", "set,get,lpush,rpop,sadd,hset,zadd", "--csv")
        require("rror" not in out, f"redis-benchmark: {out[-500:]}")
        time.sleep(0.3)
        return 7 * 4000

    def check(self):
        stats = dict(line.split(":", 1) for line in self.ask("INFO", "stats").splitlines()
                     if ":" in line)
        require(int(stats["evicted_keys"]) > 1000, f"hardly an eviction: {stats['evicted_keys']}")
        return f"{stats['evicted_keys']} evictions"


class Nginx(Server):
    """Two workers that send files, packed or not, on kept and on new connections."""
    name = "nginx"
    CONFIG = """
        worker_processes 2; user root; daemon off; pid {0}/pid; error_log {0}/error.log;
        events {{}}
        http {{ access_log {0}/access.log; gzip on; gzip_types text/plain; open_file_cache max=50;
                client_body_temp_path {0}/b; proxy_temp_path {0}/p; fastcgi_temp_path {0}/f;
                uwsgi_temp_path {0}/u; scgi_temp_path {0}/s; default_type text/plain;
                server {{ listen 127.0.0.1:{1}; root {0}/files; }} }}"""

    def start_server(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        os.mkdir(os.path.join(self.directory, "files"))
        for i in range(100):
            with open(os.path.join(self.directory, f"files/{i}"), "w", encoding="ascii") as file:
                file.write("to be sent over and over\n" * (1 + 40 * i))
        config = os.path.join(self.directory, "config")
        with open(config, "w", encoding="ascii") as file:
            file.write(self.CONFIG.format(self.directory, self.port))
        self.start("nginx", "-c", config, "-e", os.path.join(self.directory, "error.log"))

    def url(self):
        return f"http://127.0.0.1:{self.port}/{random.randrange(100)}"

    def answers(self):
        try:
            with urllib.request.urlopen(self.url(), timeout=DEADLINE_S) as answer:
                return answer.read().startswith(b"to be sent")
        except OSError:
            return False

    def pids(self):
        return ",".join(map(str, self.processes()))

    def load(self, seconds):
        for options in (["-k"], ["-k", "-H", "Accept-Encoding: gzip"], []):
            out = tool("ab", "-q", "-n", 300, "-c", 8, *options, self.url())
            require("Non-2xx" not in out and "Failed requests:        0" in out, f"ab: {out}")
        time.sleep(0.2)
        return 900

    def check(self):
        return "kept and new connections"


class Memcached(Server):
    """16 MB that ever new keys of all sizes are put into. Items lie in slabs of its own, where
    leakbpf sees none of them; what it does see are the slabs, connections and their buffers."""
    name = "memcached"
    fewest = 10

    def start_server(self):
        self.sequence = 0
        self.start("memcached", "-u", "root", "-m", "16", "-s", self.socket, "-t", "2")

    def ask(self, question, until):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(DEADLINE_S)
            client.connect(self.socket)
            client.sendall(question)
            answer = b""
            while not answer.endswith(until):
                more = client.recv(65536)
                require(more, f"memcached hung up after {answer[-100:]}")
                answer += more
            return answer

    def answers(self):
        try:
            return self.ask(b"version\r\n", b"\r\n").startswith(b"VERSION")
        except OSError:
            return False

    def load(self, seconds):
        for _ in range(40):
            question = b""
            for _ in range(5):
                self.sequence += 1
                size = random.choice((30, 100, 1000, 5000, 20000))
                question += b"set key%d 0 0 %d\r\n%s\r\n" % (self.sequence, size, b"x" * size)
            wanted = random.randrange(max(1, self.sequence - 2000), self.sequence + 1)
            answer = self.ask(question + b"get key%d\r\n" % wanted, b"END\r\n")
            require(answer.startswith(b"STORED\r\n" * 5), f"memcached: {answer[:200]}")
        time.sleep(0.1)
        return 240

    def check(self):
        stats = self.ask(b"stats\r\n", b"END\r\n").decode()
        evictions = int(stats.split("STAT evictions ")[1].split()[0])
        require(evictions > 1000, f"hardly an eviction: {evictions}")
        return f"{evictions} evictions"


class Postgres(Server):
    """Four sessions that stay, and others that come and go; backends are followed."""
    name = "postgresql"
    options = ("--follow",)

    def start_server(self):
        self.bin = os.path.dirname(max(INITDB, key=lambda path: float(path.split("/")[4])))
        shutil.chown(self.directory, "postgres", "postgres")
        self.run("initdb", "-D", f"{self.directory}/data", "-A", "trust", "--no-sync")
        self.start(f"{self.bin}/postgres", "-D", f"{self.directory}/data", "-k", self.directory,
                   "-c", "listen_addresses=", "-c", "shared_buffers=32MB", "-c", "fsync=off",
                   user="postgres", group="postgres")
        self.run("pgbench", "-h", self.directory, "-i", "-q", "-s", "2", "postgres")

    def run(self, program, *arguments):
        return tool(os.path.join(self.bin, program), *arguments, user="postgres",
                    group="postgres", cwd=self.directory)

    def answers(self):
        done = subprocess.run([f"{self.bin}/psql", "-h", self.directory, "-U", "postgres", "-Atc",
                               "select 6 * 7"], capture_output=True, check=False, text=True,
                              timeout=DEADLINE_S)
        return done.stdout.strip() == "42"

    def load(self, seconds):
        turn = min(seconds, WATCH_S / 3)
        counts = []

        def bench(*options):
            try:
                out = self.run("pgbench", "-h", self.directory, "-n", "-T", max(1, round(turn)),
                               *options, "postgres")
                counts.append(int(out.split("transactions actually processed: ")[1].split()[0]))
            except Exception as failure:  # pylint: disable=broad-except
                self.failure = failure

        visitors = threading.Thread(target=bench, args=("-C", "-R", "5", "-S"))
        visitors.start()
        bench("-c", "4", "-R", "100")
        visitors.join()
        return sum(counts)

    def check(self):
        return "sessions that stay, and 5 new ones per second"


def tell(server, report):
    """A row of the table; alerted: was ever growing or leaking. What is not stable, in words."""
    verdicts = report.document["verdicts"]
    opened = sum(law["opened"] for law in report.document["conservation"].values())
    print(f"{server.name:<12}{server.requests:>9}{opened:>10}{len(report.findings):>7}"
          f"{verdicts['suspect']:>9}{verdicts['growing']:>9}{verdicts['leaking']:>9}"
          f"{sum(f['first_alert_s'] is not None for f in report.findings):>9}")
    for finding in report.flagged(("suspect", "growing", "leaking")):
        print(f"    {describe(finding)}; {finding['why']}")


def check(server, report):
    require(not server.failure, f"{server.name}: {server.failure}")
    print(f"{server.name}: {server.check()}; losses: {report.losses()}")
    require(server.process.poll() is None and server.answers(), f"{server.name} was harmed")
    for pid in server.processes():
        try:
            require(not text_differences(pid), f"breakpoints left in {server.name}, PID {pid}")
        except (FileNotFoundError, ProcessLookupError):  # a session of postgres that just ended
            require(server.process.poll() is None, f"{server.name} ended")
    check_conservation(report, in_flight=8)
    law = report.document["conservation"]["heap"]
    require(law["opened"] > server.fewest, f"{server.name} was hardly watched: {law}")
    leaking = report.flagged(("leaking",))
    require(not leaking, f"{server.name}: " + "\n".join(map(describe, leaking)))


def watch(servers, observers):
    for server, observer in zip(servers, observers):
        observer.wait_ready()
        server.thread.start()
    for server in servers:
        server.thread.join()
    reports = [observer.finish() for observer in observers]
    print(f"{'server':<12}{'requests':>9}{'opened':>10}{'sites':>7}{'suspect':>9}{'growing':>9}"
          f"{'leaking':>9}{'alerted':>9}")
    for server, report in zip(servers, reports):
        tell(server, report)
    for server, report in zip(servers, reports):
        check(server, report)


@test(name="servers", timeout=600, alone=True)
def four_servers():
    """redis, nginx, memcached and postgresql, three minutes each: none leaks.

    LEAKBPF_SERVERS_S says for how many seconds (190).
    """
    for program, package in PACKAGES.items():
        if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin"):
            raise Skip(f"{program} is not installed (Debian: {package})")
    if not INITDB:
        raise Skip("the server of postgresql is not installed (Debian: postgresql)")
    # Not in TMPDIR: paths of sockets are short, and postgres is another user.
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        os.chmod(directory, 0o755)
        servers = [kind(directory) for kind in (Redis, Nginx, Memcached, Postgres)]
        observers = []
        try:
            for server in servers:
                server.start_server()
            for server in servers:
                observers.append(Observer("-k", "heap,mmap", *server.options, pid=server.pids(),
                                          interval="2"))
            watch(servers, observers)
        finally:
            for server in servers:
                server.stop()
            for observer in observers:
                observer.__exit__()
