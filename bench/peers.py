#!/usr/bin/env python3
"""Flagbench compared with its peers: the processor time of a request in a server or a load generator, and the cost of waiting.

peers.sh calls it, and installs what it needs. User and system time come from the kernel's accounting of the processes.
Contenders take turns in an alternating order. The speed of a machine varies, so a single figure means little: the ratios are medians of
the ratios within each round.
"""

import argparse
import json
import os
import platform
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import start

ROOT = Path(__file__).resolve().parent.parent
FLAGS = ROOT / "flags_data" / "flags"
PATH = "/flags/va/va.gif"  # 11.6 KB, as such flags usually have
CONNECTIONS = 64
OTHER_FILES = 100
DELAY = 2.0

# Like bench/floor.c, with a delay: the other server that waits.
AIOHTTP = """
import asyncio, sys
from aiohttp import web
body = open(sys.argv[2], "rb").read()
async def flag(request):
    await asyncio.sleep(float(sys.argv[3]))
    return web.Response(body=body, content_type="image/gif")
app = web.Application()
app.router.add_get("/{path:.*}", flag)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None, backlog=4096)
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def processes(root: int) -> list[int]:
    """A process and its descendants."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(folder.name))
    found, ahead = [], [root]
    while ahead:
        found.append(ahead.pop())
        ahead += children.get(found[-1], [])
    return found


def processor_seconds(root: int) -> float:
    """The processor time of all threads of these processes, from the scheduler's count in nanoseconds."""
    total = 0
    for pid in processes(root):
        for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            total += int(task.read_text().split()[0])
    return total / 1e9


def resident_bytes(root: int) -> int:
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in processes(root))
    return pages * resource.getpagesize()


def open_files(root: int) -> int:
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in processes(root))


def pinned(cpus: set[int]):
    """Runs in the child before `exec`: pins it to these processors."""
    return lambda: os.sched_setaffinity(0, cpus)


def can_wait(count: int) -> int:
    """This many, or the most files that a process may open; raises the limit, which later processes inherit."""
    wanted = count + OTHER_FILES
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    except ValueError:
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        print(f"a process may have {most} files open here, so fewer than {count} can wait", file=sys.stderr)
        return most - OTHER_FILES
    return count


@contextmanager
def running(command: list, port: int, cpus: set[int]):
    """Runs a server, and yields once it accepts on this port."""
    process = subprocess.Popen(
        [str(word) for word in command], preexec_fn=pinned(cpus), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    process.kill()
                    sys.exit(f"{command[0]} does not accept: {process.stderr.read().decode()}")
                time.sleep(0.005)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def used(command: list, cpus: set[int]) -> tuple[float, str]:
    """The processor seconds that a command used in total, and its output."""
    process = subprocess.Popen(
        [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=pinned(cpus)
    )
    out = process.stdout.read()
    error = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{command[0]}: {error.decode()}")
    return usage.ru_utime + usage.ru_stime, out.decode()


class Peers:
    """The paths of the programs, and the command line of each."""

    def __init__(self, folder: Path, bins: Path):
        self.folder = folder
        self.server = bins / "flag-server"
        self.client = bins / "flag-client"
        self.floor = folder / "floor"
        self.oha = folder / "bin" / "oha"
        self.nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")

    # Servers: each a command for a port and a number of threads.

    def floor_server(self, port: int, _threads: int = 1) -> list:
        return [self.floor, port, FLAGS / "va" / "va.gif"]

    def nginx_server(self, port: int, threads: int = 1) -> list:
        home = self.folder / "nginx"
        home.mkdir(exist_ok=True)
        temporary = " ".join(f"{name}_temp_path {home}/{name};" for name in ["proxy", "fastcgi", "uwsgi", "scgi", "client_body"])
        (home / "nginx.conf").write_text(
            f"""
            daemon off; worker_processes {threads}; pid {home}/pid; error_log {home}/error.log; worker_rlimit_nofile 65536;
            events {{ worker_connections 65536; }}
            http {{
              access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; open_file_cache max=1000; open_file_cache_valid 60s;
              keepalive_requests 1000000000; default_type image/gif; {temporary}
              server {{ listen 127.0.0.1:{port} backlog=4096; location /flags/ {{ alias {FLAGS}/; }} }}
            }}
            """
        )
        return [self.nginx, "-c", home / "nginx.conf", "-p", home, "-e", home / "error.log"]

    def flag_server(self, *options):
        return lambda port, threads=1: [self.server, "--port", port, "--threads", threads, *options]

    def scenario(self, name: str, delay: str) -> Path:
        """One rule that delays everything by this much, with the probability of the bench profile."""
        file = self.folder / f"{name}.toml"
        file.write_text(f'[[rule]]\nfault = "latency"\ndistribution = {{ uniform = {{ lower = "{delay}", upper = "{delay}" }} }}\n')
        return file

    # Load generators: each a command for a URL and some seconds, and how to parse the number of requests from its output.

    def wrk_load(self, url: str, seconds: int):
        return ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", url], lambda text: int(re.search(r"(\d+) requests in", text)[1])

    def oha_load(self, url: str, seconds: int):
        command = [self.oha, "-c", CONNECTIONS, "-z", f"{seconds}s", "--no-tui", "--output-format", "json", url]
        return command, lambda text: sum(json.loads(text)["statusCodeDistribution"].values())

    def hey_load(self, url: str, seconds: int):
        command = ["hey", "-c", CONNECTIONS, "-z", f"{seconds}s", url]
        return command, lambda text: sum(int(count) for count in re.findall(r"\[200\]\s+(\d+) responses", text))

    def flag_client_load(self, url: str, seconds: int):
        command = [self.client, "load", url, "-c", CONNECTIONS, "-d", f"{seconds}s", "-w", "0s", "--format", "json"]
        return command, lambda text: json.loads(text)["requests"]["succeeded"]


def in_turns(contenders: dict, rounds: int, run) -> dict[str, list[dict]]:
    """Measures the contenders in turn: the figures of each in every round."""
    found: dict[str, list[dict]] = {name: [] for name in contenders}
    for number in range(rounds):
        names = list(contenders) if number % 2 == 0 else list(reversed(contenders))
        for name in names:
            print(f"  round {number + 1} of {rounds}: {name}", file=sys.stderr)
            found[name].append(run(contenders[name]))
    return found


def compared(found: dict[str, list[dict]], bases: list[str]) -> dict:
    """The medians, and the medians of the ratios within each round."""
    result = {}
    for name, figures in found.items():
        row = {key: median(figure[key] for figure in figures) for key in figures[0]}
        for base in bases:
            ratios = [mine["micros"] / other["micros"] for mine, other in zip(figures, found[base])]
            row[f"to {base}"] = median(ratios)
        result[name] = row
    return result


def show(title: str, rows: dict, bases: list[str]) -> None:
    print(f"\n{title}\n{'':26}{'CPU/request':>12}" + "".join(f"{f'× {base}':>14}" for base in bases))
    for name, row in rows.items():
        print(f"{name:26}{row['micros']:>9.1f} µs" + "".join(f"{row[f'to {base}']:>14.2f}" for base in bases))


def server_cost(peers: Peers, command, seconds: int, server_cpus: set[int], load_cpus: set[int], threads: int = 1) -> dict:
    """The cost of a request in a server, under the load of wrk."""
    port = free_port()
    url = f"http://127.0.0.1:{port}{PATH}"
    with running(command(port, threads), port, server_cpus) as process:
        used(peers.wrk_load(url, 1)[0], load_cpus)
        load, count = peers.wrk_load(url, seconds)
        before = processor_seconds(process.pid)
        _, text = used(load, load_cpus)
        spent = processor_seconds(process.pid) - before
        return {"micros": spent / count(text) * 1e6}


def load_cost(peers: Peers, load, seconds: int, server_cpus: set[int], load_cpus: set[int]) -> dict:
    """The cost of a request in a load generator, against the floor."""
    port = free_port()
    with running(peers.floor_server(port), port, server_cpus):
        command, count = load(f"http://127.0.0.1:{port}{PATH}", seconds)
        spent, text = used(command, load_cpus)
        return {"micros": spent / count(text) * 1e6}


def waiting_cost(peers: Peers, count: int, command: list, port: int, cpus: set[int], log: Path | None = None) -> dict:
    """The cost of this many concurrent requests in a server, and the lateness of their answers.

    They are sent evenly spaced, the last when the first is due. Sent at once, their answers would delay each other.
    The memory is read shortly before that, when nearly all of them wait and none has been answered.
    """
    margin = 0.05 * DELAY
    with running(command, port, cpus) as process:
        before, during = resident_bytes(process.pid), 0

        def look() -> None:
            nonlocal during
            while open_files(process.pid) < count:
                time.sleep(0.01)
            time.sleep(DELAY - margin)
            during = resident_bytes(process.pid)

        watcher = threading.Thread(target=look)
        watcher.start()
        url = f"http://127.0.0.1:{port}{PATH}"
        load = [peers.client, "load", url, "-c", count, "-n", count, "-r", count / DELAY, "--format", "json"]
        _, text = used([*load, "--threads", 1, "--timeout", "60s"], cpus)
        watcher.join()
    result = json.loads(text)
    figures = {
        "succeeded": result["requests"]["succeeded"],
        "kilobytes": (during - before) / (count * (DELAY - margin) / DELAY) / 1000,
        "service_p99_ms": result["times"]["service"]["p99_ms"],
    }
    if log:
        late = sorted(json.loads(line)["late_ms"] for line in log.read_text().splitlines())
        figures |= {"late_p50_ms": late[len(late) // 2], "late_p99_ms": late[len(late) * 99 // 100], "late_max_ms": late[-1]}
    return figures


def waiting(peers: Peers, count: int, cpus: set[int]) -> dict:
    count = can_wait(count)
    port = free_port()
    log = peers.folder / "decisions.jsonl"
    log.unlink(missing_ok=True)
    ours = [*peers.flag_server("--scenario", peers.scenario("wait", "2s"), "--decision-log", log)(port, len(cpus))]
    result = {"flag-server": waiting_cost(peers, count, ours, port, cpus, log)}
    port = free_port()
    theirs = [sys.executable, "-c", AIOHTTP, port, FLAGS / "va" / "va.gif", DELAY]
    result["aiohttp"] = waiting_cost(peers, count, theirs, port, cpus)
    port = free_port()
    result["nginx, without a delay"] = waiting_cost(peers, count, peers.nginx_server(port, len(cpus)), port, cpus)
    print(f"\n{count} connections, each with a request that waits {DELAY:.0f} s")
    for name, figures in result.items():
        late = ""
        if "late_p99_ms" in figures:
            late = "; late by {late_p50_ms:.3f} ms (p50), {late_p99_ms:.1f} (p99), {late_max_ms:.1f} (max)".format(**figures)
        print("{:26}{succeeded} answered, {kilobytes:.1f} KB for each{late}".format(name, late=late, **figures))
    return result


def downloaders(peers: Peers, rounds: int, seconds: int) -> dict:
    """The cost of a flag in each downloader and each Python program, compared with a request of the load generator.

    Under full load a server never sleeps. A downloader does not load it fully, so waking the server is a large part of the
    cost of sending. So each is also compared with a load of its own kind: tasks with a load of the same rate, and programs
    that wait for one answer at a time with a load on one connection.
    """
    file = peers.folder / "downloaders.json"
    programs = [ROOT / "examples" / "python" / f"flags_{how}.py" for how in ["sequential", "threads", "asyncio"]]
    python = [f"--command={sys.executable} {program} {{url}} -m {{workers}} {{codes}}" for program in programs]
    bench = [peers.client, "bench", "-q", "--profile", "local", "-a", "-m", 30, "-r", rounds, "--export-json", file]
    names = ["--strategy", "async", "--strategy", "threaded", "--strategy", "sequential", "--http", "reqwest", "--http", "hyper", "--http", "ureq"]
    subprocess.run([str(word) for word in [*bench, *names, *python]], check=True)
    all_series = {series["name"]: series for series in json.loads(file.read_text())["analysis"]["lanes"]}
    rate = all_series["async-hyper"]["throughput"]["median"]

    def load(*how) -> dict:
        command = [peers.client, "load", "-d", f"{seconds}s", *how, "--format", "json", "--threads", 1]
        results = [json.loads(used(command, os.sched_getaffinity(0))[1]) for _ in range(rounds)]
        return {"micros": median(result["cpu_per_request_ms"] * 1000 for result in results)}

    full, alike, single = "load", f"load, {rate:,.0f} a second", "load, one connection"
    result = {full: load("-c", 30), alike: load("-c", 30, "-r", rate), single: load("-c", 1)}
    kinds = {full: full, alike: alike, single: single}
    for name, series in all_series.items():
        result[name] = {"micros": series["cpu_ms_per_download"] * 1000}
        kinds[name] = alike if "async" in name else single
    for name, row in result.items():
        row["to load"] = row["micros"] / result[full]["micros"]
        row["to such load"] = row["micros"] / result[kinds[name]]["micros"]
    show("What a flag costs a downloader (194 flags, at most 30 at a time, profile local)", result, ["load", "such load"])
    return result


def decisions() -> dict:
    """The time to decide a rule, from the micro-benchmark, in nanoseconds."""
    command = ["cargo", "bench", "--quiet", "--locked", "-p", "flag-scenario", "--bench", "decision"]
    text = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    print(f"\nWhat a decision costs (all rules of a scenario)\n{text}", end="")
    units = {"ns": 1, "µs": 1000, "ms": 1_000_000}
    # Name, fastest, slowest, median.
    time = r"([\d.]+) (ns|µs|ms)"
    rows = re.findall(rf"─ (\S+) +{time} +│ +{time} +│ +{time}", text)
    return {name: {"nanos": float(middle) * units[unit]} for name, *_, middle, unit in rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="where peers.sh has installed the peers")
    parser.add_argument("--bins", type=Path, required=True, help="where flag-server and flag-client are")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--waiting", type=int, default=20_000, metavar="N", help="the number of downloads that wait at the same time")
    parts = ["server", "threads", "waiting", "load", "downloaders", "start", "decisions"]
    parser.add_argument("--only", choices=parts, action="append", help="repeat it for more")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    wanted = args.only or parts
    peers = Peers(args.folder.resolve(), args.bins.resolve())
    cpus = sorted(os.sched_getaffinity(0))
    first, last, all_of_them = {cpus[0]}, {cpus[-1]}, set(cpus)
    result: dict = {"processors": len(cpus), "kernel": platform.release(), "connections": CONNECTIONS, "path": PATH}

    local = peers.flag_server("--profile", "local")
    if "server" in wanted:
        planning = peers.flag_server("--scenario", peers.scenario("idle", "0ms"))
        control = ["--profile", "local", "--control", "127.0.0.1:0"]
        servers = {
            "floor": peers.floor_server,
            "nginx": peers.nginx_server,
            "flag-server": local,
            "flag-server, planning": planning,
            "with --control, no records": peers.flag_server(*control, "--control-records", "off"),
            "with --control": peers.flag_server(*control),
        }
        found = in_turns(servers, args.rounds, lambda server: server_cost(peers, server, args.seconds, first, last))
        bases = ["nginx", "floor", "flag-server"]
        result["server"] = compared(found, bases)
        show("What a request costs a server (64 connections, on one processor; wrk on another)", result["server"], bases)
    if "threads" in wanted:
        on = {"1 thread": (1, first), f"{len(cpus)} threads": (len(cpus), all_of_them)}
        found = in_turns(on, args.rounds, lambda how: server_cost(peers, local, args.seconds, how[1], all_of_them, how[0]))
        result["threads"] = compared(found, ["1 thread"])
        show("The same with more threads, each on a processor of its own", result["threads"], ["1 thread"])
    if "load" in wanted:
        loads = {"wrk": peers.wrk_load, "oha": peers.oha_load, "hey": peers.hey_load, "flag-client load": peers.flag_client_load}
        found = in_turns(loads, args.rounds, lambda load: load_cost(peers, load, args.seconds, first, last))
        result["load"] = compared(found, ["oha", "wrk"])
        show("What a request costs a load generator (64 connections, on one processor; the floor on another)", result["load"], ["oha", "wrk"])
    if "waiting" in wanted:
        result["waiting"] = waiting(peers, args.waiting, all_of_them)
    if "downloaders" in wanted:
        result["downloaders"] = downloaders(peers, args.rounds, args.seconds)
    if "start" in wanted:
        print("\nHow long the server takes to start")
        result["start"] = start.measure(10 * args.rounds, peers.server)
    if "decisions" in wanted:
        result["decisions"] = decisions()
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
