#!/usr/bin/env python3
"""What the numbers of Flagbench are worth, each against a truth that is known otherwise.

truth.sh calls it, and builds what it needs. In the short form nothing depends on the speed of the machine: what is judged is
that nothing is faster than it can be, that equals raise no alarm, and that a program of twice the time does.
"""

import argparse
import heapq
import json
import math
import re
import stat
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "e2e"))
import decision  # noqa: E402 - the decisions, computed independently

ROUNDS = 20
LIMIT = 1.05
MEAN_SERVICE = 0.020
# Of a histogram with three digits.
PRECISION = 0.002
PATH = "/flags/br/br.gif"


class Truth:
    def __init__(self, bins: Path, is_short: bool):
        self.client = (bins / "flag-client").resolve()
        self.server = (bins / "flag-server").resolve()
        self.is_short = is_short
        self.wrong: list[str] = []

    def check(self, holds: bool, claim: str) -> None:
        print(f"{'ok   ' if holds else 'WRONG'} {claim}", flush=True)
        if not holds:
            self.wrong.append(claim)

    @contextmanager
    def serving(self, scenario: str, folder: Path):
        """A server with this scenario: its URL, and its log of decisions once it has ended."""
        (folder / "scenario.toml").write_text(scenario)
        log = folder / "decisions.jsonl"
        log.unlink(missing_ok=True)
        command = [self.server, "--scenario", folder / "scenario.toml", "--port", "0", "--decision-log", log]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            yield process.stdout.readline().split()[1], log
        finally:
            process.terminate()
            process.wait()

    def load(self, url: str, folder: Path, *options: str) -> dict:
        result = folder / "load.json"
        command = [self.client, "load", "-q", "-s", f"{url}/flags", "BR", "--export-json", result, *options]
        subprocess.run(list(map(str, command)), check=True)
        return json.loads(result.read_text())


def intervals(truth: Truth) -> dict:
    """Coverage, stopping rule and winners, by simulation."""
    return simulation(truth, "flag-client", "truth")


def theory(truth: Truth) -> dict:
    """Service times in queues, by simulation."""
    return simulation(truth, "flag-scenario", "queues")


def simulation(truth: Truth, package: str, test: str) -> dict:
    if truth.is_short:
        print("(its short form is one of the tests of the workspace)")
        return {}
    command = ["cargo", "test", "--release", "--quiet", "--locked", "-p", package, "--test", test, "--", "--ignored", "--nocapture"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    figures = [line for line in done.stdout.splitlines() if re.search(r"\d %$", line)]
    print("\n".join(figures))
    truth.check(done.returncode == 0, f"all {len(figures)} figures of the simulation are as claimed")
    return {"figures": figures}


@contextmanager
def background(processes: int, share: float):
    """Processes that are busy for this share of each tenth of a second."""
    spin = f"import time\nwhile True:\n    end = time.monotonic() + {share} / 10\n    while time.monotonic() < end: pass\n    time.sleep((1 - {share}) / 10)"
    running = [subprocess.Popen([sys.executable, "-c", spin]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def gate(truth: Truth) -> dict:
    """The recommended gate: an old and a new program race, with a threshold on their ratio."""
    with TemporaryDirectory() as text:
        folder = Path(text)

        def program(name: str, pause: float) -> Path:
            path = folder / name
            path.write_text(f'#!/bin/sh\n"{truth.client}" get BR CN IN US -s "$1" >/dev/null\nexec sleep {pause:.4f}\n')
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
            return path

        rounds = 6 if truth.is_short else ROUNDS

        def race(old: Path, new: Path) -> tuple[str, dict]:
            """The sign of the threshold, and the result."""
            options = ["bench", "BR", "CN", "IN", "US", "-r", str(rounds), "--strategy", "async", "--reference", old.name]
            commands = ["--command", f"{old} {{url}}", "--command", f"{new} {{url}}"]
            result = folder / "race.json"
            judged = ["--threshold", f"{new.name}.ratio < {LIMIT}", "--export-json", str(result)]
            done = subprocess.run(
                [truth.client, *options, *commands, *judged], cwd=folder, capture_output=True, text=True, check=False
            )
            sign = re.search(r"^([✓✗?]) .*\.ratio < ", done.stdout, re.M)
            if not sign or done.returncode not in (0, 99):
                sys.exit(f"the race failed: {done.stdout}{done.stderr}")
            return sign[1], json.loads(result.read_text())

        old = program("old.sh", 0)
        _, first = race(old, program("new.sh", 0))
        [time_of_old] = [
            median(round["elapsed_ms"] for round in lane["rounds"]) for lane in first["lanes"] if lane["name"] == "old.sh"
        ]

        def signs(slower: float, count: int) -> dict[str, int]:
            new = program("new.sh", slower * time_of_old / 1e3)
            found = {"✓": 0, "?": 0, "✗": 0}
            for _ in range(count):
                found[race(old, new)[0]] += 1
            print(f"{slower:+.0%}: {found}", flush=True)
            return found

        if truth.is_short:
            equal, slower = signs(0, 2), signs(1, 2)
            truth.check(equal["✗"] == 0, "equal programs raise no alarm")
            truth.check(slower["✗"] == 2, "a program of twice the time is found")
            return {}
        print(f"{rounds} rounds of {time_of_old:.0f} ms; 2 other processes, each busy for half of the time")
        with background(2, 0.5):
            equal, slower, little = signs(0, 300), signs(0.2, 100), signs(0.1, 100)
        truth.check(equal["✗"] == 0, f"of 300 races of equal programs, {equal['✗']} raise an alarm (expected: none)")
        truth.check(slower["✗"] >= 80, f"of 100 programs that take 20 % longer, {slower['✗']} are found (expected: 80 or more)")
        print(f"      of 100 programs that take 10 % longer, {little['✗']} are found")
        return {"equal": equal, "slower_20": slower, "slower_10": little}


def rank(values: list[float], percent: float) -> float:
    return sorted(values)[math.ceil(percent / 100 * len(values)) - 1]


def service_times(seed: int, count: int) -> list[float]:
    """Of the requests of a load, in seconds."""
    distribution = {"exponential": {"mean": "20ms"}}
    draws = (decision.words(seed, "capacity model", "load", "GET", PATH, attempt) for attempt in range(1, count + 1))
    return [decision.delay_ns(distribution, None, stream) / 1e9 for stream in draws]


def recursion(services: list[float], servers: int, rate: float, more: float) -> list[float]:
    """The response times of requests at a steady rate (Kiefer and Wolfowitz, 1955), each served for `more` seconds longer."""
    free = [0.0] * servers
    responses = []
    for number, service in enumerate(services):
        arrival = number / rate
        begun = max(heapq.heappop(free), arrival)
        heapq.heappush(free, begun + service + more)
        responses.append(begun + service + more - arrival)
    return responses


def overhead(truth: Truth, folder: Path) -> float:
    """What a request takes beside its service: measured in a closed loop with a fixed service."""
    with truth.serving('capacity = { workers = 1, service_time = { fixed = "5ms" } }', folder) as (url, _):
        result = truth.load(url, folder, "-c", "1", "-n", "100" if truth.is_short else "2000")
    return result["percentiles"]["response"]["p50"]["upper_ms"] / 1e3 - 0.005


def queue(truth: Truth) -> dict:
    """A real queue, D/M/c, against the recursion over the same service times."""
    cases = [(2, 0.8)] if truth.is_short else [(servers, load) for servers in (1, 2, 4) for load in (0.5, 0.8)]
    seconds = 4 if truth.is_short else 60
    found = {}
    with TemporaryDirectory() as text:
        folder = Path(text)
        epsilon = overhead(truth, folder)
        print(f"a request takes {epsilon * 1e3:.3f} ms beside its service")
        if not truth.is_short:
            truth.check(epsilon <= 0.0003, "that is at most 0.3 ms")
        for servers, load in cases:
            rate = load * servers / MEAN_SERVICE
            count = round(rate * seconds)
            capacity = f'{{ workers = {servers}, service_time = {{ exponential = {{ mean = "20ms" }} }}, queue = 10000 }}'
            with truth.serving(f"seed = 1\ncapacity = {capacity}", folder) as (url, _):
                result = truth.load(url, folder, "-c", "500", "-r", f"{rate}", "-n", f"{count}")
            services = service_times(1, count)
            least = recursion(services, servers, rate, 0)
            expected = recursion(services, servers, rate, epsilon)
            for percent in (50, 99):
                name = f"{servers} servers, load {load}, {count} requests: p{percent}"
                measured = result["percentiles"]["response"][f"p{percent}"]["upper_ms"] / 1e3
                possible, wanted = rank(least, percent), rank(expected, percent)
                found[name] = [measured * 1e3, wanted * 1e3]
                text = f"{name} is {measured * 1e3:.2f} ms"
                truth.check(measured >= possible * (1 - PRECISION) - 5e-5, f"{text}, no less than {possible * 1e3:.2f} ms")
                if not truth.is_short:
                    near = max(0.03 * wanted, 0.001)
                    truth.check(abs(measured - wanted) <= near, f"{text}, by recursion {wanted * 1e3:.2f} ms")
    return found


def percentiles(truth: Truth) -> dict:
    """The percentiles of a load against what the server's log says of each request."""
    rules = """
        [[rule]]
        name = "delay"
        fault = "latency"
        distribution = { lognormal = { median = "5ms", p99 = "60ms" } }

        [[rule]]
        name = "busy"
        fault = "status"
        status = 503
        probability = 0.1
    """
    count = 600 if truth.is_short else 20_000
    found = {}
    with TemporaryDirectory() as text:
        folder = Path(text)
        with truth.serving(rules, folder) as (url, log):
            result = truth.load(url, folder, "-c", "200", "-r", "300", "-n", f"{count}")
        records = [json.loads(line) for line in log.read_text().splitlines()]
    records = [record for record in records if record["path"] == PATH]
    truth.check(len(records) == count, f"the log has all {count} requests")
    held = [record["plan"]["delay_ms"] + record["late_ms"] for record in records]
    for percent, key in ((50, "p50"), (90, "p90"), (99, "p99"), (99.9, "p99_9")):
        measured = result["percentiles"]["service"][key]["upper_ms"]
        logged = rank(held, percent)
        found[key] = [measured, logged]
        text = f"p{percent} of the service times is {measured:.2f} ms"
        truth.check(measured >= logged * (1 - PRECISION), f"{text}, no less than the {logged:.2f} ms that the server held")
        if not truth.is_short:
            truth.check(measured <= logged * (1 + PRECISION) + 1, f"{text}, at most 1 ms more than that")
    return found


PARTS = {function.__name__: function for function in (intervals, theory, gate, queue, percentiles)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bins", type=Path, required=True, help="where flag-server and flag-client are")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--only", choices=PARTS, action="append", help="repeat it for more")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    truth = Truth(args.bins, args.short)
    found = {}
    for name in args.only or PARTS:
        print(f"\n{name}: {PARTS[name].__doc__}", flush=True)
        found[name] = PARTS[name](truth)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1, ensure_ascii=False))
    if truth.wrong:
        sys.exit(f"\n{len(truth.wrong)} wrong")
    print("\nall true")


if __name__ == "__main__":
    main()
