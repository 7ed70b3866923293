"""How long flag-server takes from its start until it accepts connections and has printed its addresses.

usage: python3 bench/start.py [RUNS [FLAG-SERVER]]

Each run starts the program anew and reads its standard output through a pipe. `line` is the time until the last of its
lines has been read, which is printed once every listener accepts; `answer` the time until the first listener has
answered a GET of /healthz that was sent after that. Both begin before the fork, so they include the start of
the process.
"""

import os
import socket
import ssl
import subprocess
import sys
import time
from statistics import median

# What is measured: its name, its options, and the lines that it prints.
STARTS = [
    ("the book's three servers", [], 3),
    ("--profile flaky", ["--profile", "flaky"], 1),
    ("--profile flaky --tls", ["--profile", "flaky", "--tls"], 1),
]
GET = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"

# The certificate is made at the start and not trusted.
UNVERIFIED = ssl.create_default_context()
UNVERIFIED.check_hostname = False
UNVERIFIED.verify_mode = ssl.CERT_NONE


def start(program: str, options: list[str], lines: int) -> tuple[float, float]:
    """The two times of one run, in milliseconds."""
    begun = time.perf_counter()
    server = subprocess.Popen([program, *options, "--port", "0"], stdout=subprocess.PIPE)
    try:
        endpoints = [server.stdout.readline().decode() for _ in range(lines)]
        line = time.perf_counter() - begun
        _, url = endpoints[0].split()
        scheme, authority = url.split("://")
        host, port = authority.split(":")
        with socket.create_connection((host, int(port))) as plain:
            connection = UNVERIFIED.wrap_socket(plain) if scheme == "https" else plain
            connection.sendall(GET)
            answer = connection.recv(12)
        if answer != b"HTTP/1.1 200":
            raise RuntimeError(f"{url} answered {answer!r}")
        return line * 1e3, (time.perf_counter() - begun) * 1e3
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def measure(runs: int, program: str) -> dict:
    """Prints the times of N starts of each kind, with their medians and maxima."""
    found = {}
    print(f"{runs} starts of each, {os.cpu_count()} processors")
    print(f"{'':<25} {'line: median':>13} {'max':>9} {'answer: median':>16} {'max':>9}")
    for name, options, lines in STARTS:
        start(program, options, lines)  # from here on the file is in the page cache
        line, answer = zip(*(start(program, options, lines) for _ in range(runs)))
        print(f"{name:<25} {median(line):10.1f} ms {max(line):6.1f} ms {median(answer):13.1f} ms {max(answer):6.1f} ms")
        found[name] = {"line_ms": median(line), "line_max_ms": max(line), "answer_ms": median(answer), "answer_max_ms": max(answer)}
    return found


if __name__ == "__main__":
    measure(int(sys.argv[1]) if len(sys.argv) > 1 else 100, sys.argv[2] if len(sys.argv) > 2 else "flag-server")
