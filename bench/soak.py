#!/usr/bin/env python3
"""Whether a server that runs for long stays as it was: memory, descriptors, threads, and a record of every request.

soak.sh calls it, and builds what it needs. The scenario is the profile `flaky`. Beside the load, the scenario is read again (SIGHUP) and the log of
decisions is rotated every ten seconds, and clients come that never read, that leave in the middle, and that close their half of the connection.
"""

import argparse
import itertools
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

REQUEST = b"GET /flags/br/br.gif HTTP/1.1\r\nhost: localhost\r\nflag-run: rude\r\n\r\n"
# More answers than the buffers of a connection hold.
UNREAD = 2000
SEND_TIMEOUT = 3
# What a server may grow by, from the middle third to the last: 10 %, and what the allocator keeps.
GROWTH, SLACK = 1.10, 4.0


class Server:
    def __init__(self, program: Path, folder: Path):
        self.log, self.rotated = folder / "decisions.jsonl", folder / "rotated.jsonl"
        self.errors = (folder / "server.log").open("w+")
        scenario = folder / "flaky.toml"
        scenario.write_text(subprocess.run([program, "profiles", "flaky"], capture_output=True, text=True, check=True).stdout)
        options = ["--scenario", scenario, "--port", "0", "--decision-log", self.log, "--send-timeout", f"{SEND_TIMEOUT}s"]
        self.process = subprocess.Popen([program, *options], stdout=subprocess.PIPE, stderr=self.errors, text=True)
        self.url = self.process.stdout.readline().split()[1]
        self.port = int(self.url.rsplit(":", 1)[1])
        self.records = Counter()

    def figures(self) -> dict[str, float]:
        proc = Path("/proc") / str(self.process.pid)
        status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
        return {
            "MB": int(status["VmRSS"].split()[0]) / 1024,
            "descriptors": len(list((proc / "fd").iterdir())),
            "threads": int(status["Threads"]),
        }

    def rotate(self) -> None:
        """Moves the log away, and tells the server to open it anew and to read its scenario again."""
        self.log.rename(self.rotated)
        self.process.send_signal(signal.SIGHUP)
        until = time.monotonic() + 10
        while not self.log.exists():
            if time.monotonic() > until:
                sys.exit("the log was not opened anew after SIGHUP")
            time.sleep(0.01)
        # The server may be about to write what it wrote to the old file.
        time.sleep(0.5)
        self.count(self.rotated)

    def count(self, log: Path) -> None:
        with log.open() as lines:
            self.records.update(json.loads(line)["run"] for line in lines)
        log.unlink()

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=60)
        self.count(self.log)
        return code


def rude_clients(port: int, over: threading.Event) -> None:
    """Some connections at a time that behave badly, in turns."""
    open_sockets: list[socket.socket] = []
    for kind in itertools.cycle(["never reads", "leaves", "closes its half", "says nothing"]):
        if over.wait(0.2):
            break
        client = socket.create_connection(("127.0.0.1", port))
        client.setblocking(False)
        try:
            if kind == "never reads":
                client.send(REQUEST * UNREAD)
            elif kind != "says nothing":
                client.send(REQUEST)
        except OSError:
            pass
        if kind == "leaves":
            client.close()
            continue
        if kind == "closes its half":
            client.shutdown(socket.SHUT_WR)
        open_sockets.append(client)
        if len(open_sockets) > 50:
            open_sockets.pop(0).close()
    for client in open_sockets:
        client.close()


def judge(rows: list[dict], before: dict, after: dict) -> list[tuple[bool, str]]:
    third = len(rows) // 3
    middle, last = (max(row["MB"] for row in part) for part in (rows[third : 2 * third], rows[2 * third :]))
    threads = {row["threads"] for row in rows}
    grown = f"memory: at most {middle:.1f} MB in the middle third, {last:.1f} MB in the last"
    return [
        (last <= middle * GROWTH + SLACK, grown),
        (after["descriptors"] <= before["descriptors"], f"descriptors: {before['descriptors']} before, {after['descriptors']} after"),
        (len(threads) == 1, f"threads: {sorted(threads)}"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bins", type=Path, required=True, help="where flag-server and flag-client are")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--connections", type=int, default=500)
    parser.add_argument("--rate", type=int, default=2000, help="requests per second")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    client = (args.bins / "flag-client").resolve()
    with TemporaryDirectory() as text:
        folder = Path(text)
        server = Server((args.bins / "flag-server").resolve(), folder)
        before = server.figures()
        result = folder / "load.json"
        options = ["-c", str(args.connections), "-r", str(args.rate), "-d", f"{args.seconds}s", "-w", "0s", "--timeout", "5s"]
        command = [client, "load", "-q", "-s", f"{server.url}/flags", "--export-json", result, *options]
        load = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        over = threading.Event()
        rude = threading.Thread(target=rude_clients, args=(server.port, over), daemon=True)
        rude.start()
        rows, begun = [], time.monotonic()
        print("seconds      MB  descriptors  threads")
        while load.poll() is None:
            time.sleep(1)
            row = {"seconds": round(time.monotonic() - begun), **server.figures()}
            rows.append(row)
            if len(rows) % 10 == 0:
                server.rotate()
            if len(rows) % 30 == 0:
                print(f"{row['seconds']:7} {row['MB']:7.1f} {row['descriptors']:12} {row['threads']:8}", flush=True)
        over.set()
        rude.join()
        # The last never-reading clients have left; their connections end at once.
        time.sleep(SEND_TIMEOUT + 2)
        after = server.figures()
        code = server.end()
        # About half of the requests fail as planned, some without an answer that could say so.
        if load.returncode not in (0, 1):
            sys.exit(f"the load failed: {load.stderr.read()}")
        requests = json.loads(result.read_text())["requests"]
        found = judge(rows, before, after)
        sent, recorded = requests["sent"] + requests["cut_off"], server.records["load"]
        found.append((recorded == sent, f"records: {recorded} of {sent} requests"))
        found.append((code == 0, f"the server ended with exit code {code}"))
        server.errors.seek(0)
        panics = [line for line in server.errors if "panic" in line]
        found.append((not panics, f"panics: {len(panics)}"))
    for holds, claim in found:
        print(f"{'ok   ' if holds else 'WRONG'} {claim}")
    if args.json:
        args.json.write_text(json.dumps({"requests": requests, "before": before, "after": after, "rows": rows}, indent=1))
    if not all(holds for holds, _ in found):
        sys.exit(1)


if __name__ == "__main__":
    main()
