"""A flag-server of its own, and runs on it: what a test says to the server, and asks it.

The server ends with this process, however that dies: it holds the other end of a pipe.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import ProxyHandler, Request, build_opener

from ._find import find

# Nothing here goes through a proxy: the server is on this machine, or was named.
_open = build_opener(ProxyHandler({})).open


class StartError(RuntimeError):
    """The server did not start; the text is its own."""


class ControlError(RuntimeError):
    """The control plane refused something; the text is its own."""


class Incomplete(AssertionError):
    """Fewer requests came than were waited for, or some are not over."""


@dataclass(frozen=True)
class Record:
    """One request: what was received, and what was sent. docs/control.md describes `raw`."""

    method: str
    path: str
    query: str | None
    headers: Sequence[tuple[str, str]]
    attempt: int
    rules: Sequence[str]
    status: int | None
    bytes: int
    end: str
    received: float
    """When, in seconds since 1970."""
    took: float
    """In seconds."""
    raw: Mapping[str, Any]

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Record:
        sent = raw["sent"]
        return cls(
            method=raw["method"],
            path=raw["path"],
            query=raw["query"],
            headers=[(name, value) for name, value in raw["headers"]],
            attempt=raw["attempt"],
            rules=raw["plan"]["rules"],
            status=sent["status"],
            bytes=sent["bytes"],
            end=sent["end"],
            received=raw["received_unix_ms"] / 1e3,
            took=raw["took_ms"] / 1e3,
            raw=raw,
        )

    def header(self, name: str) -> str | None:
        """The value of the first header of this name, in any case."""
        return next((value for found, value in self.headers if found == name.lower()), None)


class Run:
    """A part of a server: its own scenario, attempts and records. Others do not notice it."""

    def __init__(self, server: FlagServer, name: str):
        self.server = server
        self.name = name

    @property
    def url(self) -> str:
        """The base of its flags. The client under test needs to know nothing else."""
        return f"{self.server.url}/run/{quote(self.name, safe='')}/flags"

    @property
    def headers(self) -> dict[str, str]:
        """For a client that fetches from `server.url` and names its run in a header instead."""
        return {"flag-run": self.name}

    def image_url(self, cc: str) -> str:
        return f"{self.url}/{cc.lower()}/{cc.lower()}.gif"

    def scenario(self, toml_or_path: str | Path, lasts: str = "10m") -> None:
        """What goes wrong from now on: the text of a scenario, or its file. It ends by itself after a while."""
        text = toml_or_path.read_text("utf-8") if isinstance(toml_or_path, Path) else toml_or_path
        self._ask("PUT", f"/scenario?{urlencode({'for': lasts})}", text.encode())

    def records(self, count: int = 0, wait: float = 5.0, settled: bool = True) -> list[Record]:
        """What the server received and sent, as soon as there are `count` and no response is under way.

        Raises Incomplete if that is not so after `wait` seconds.
        """
        milliseconds = min(max(round(wait * 1000), 0), 60_000)
        how_long = "60s" if milliseconds == 60_000 else f"{milliseconds / 1000:.3f}s"
        query = urlencode({"count": count, "wait": how_long, "settled": str(settled).lower()})
        found = json.loads(self._ask("GET", f"/records?{query}"))
        records = [Record.of(raw) for raw in found["records"]]
        if not found["complete"]:
            raise Incomplete(f"{len(records)} records after {wait} s, or requests under way; waited for {count}")
        return records

    def statuses(self, count: int = 0, wait: float = 5.0) -> list[int | None]:
        """The status of each response."""
        return [record.status for record in self.records(count, wait)]

    def forget(self) -> None:
        """Forgets its scenario, its attempts and its records."""
        self._ask("DELETE", "")

    def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        return self.server._ask(method, f"/api/runs/{quote(self.name, safe='')}{path}", body)


class FlagServer:
    """A running flag-server. Without options it serves the flags without faults; each run adds its own."""

    def __init__(self, *options: str | Path):
        self._process: subprocess.Popen[str] | None = None
        self._token: str | None = None
        command = [find("flag-server"), *(options or ("--profile", "local"))]
        command += ["--port", "0", "--control", "127.0.0.1:0", "--until-stdin-closes"]
        # Those of the environment are options too: one that somebody has set for a server of their own breaks every test.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FLAG_SERVER_")}
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
            encoding="utf-8",
        )
        self._process = process
        assert process.stdout is not None and process.stderr is not None
        self.urls: dict[str, str] = {}
        for line in process.stdout:
            name, _, url = line.strip().partition(" ")
            if name == "control":
                self._control = url
                break
            self.urls[name] = url
        else:
            message = process.stderr.read().strip()
            process.wait()
            raise StartError(message or f"flag-server ended with {process.returncode}")
        self.url = next(iter(self.urls.values()))
        # Nobody reads its log, which must not fill the pipe.
        _drain(process.stderr)

    @classmethod
    def running(cls, url: str, control: str, token: str | None = None) -> FlagServer:
        """One that somebody else has started, such as a service container."""
        server = cls.__new__(cls)
        server._process = None
        server._token = token
        server._control = control.rstrip("/")
        server.url = url.rstrip("/").removesuffix("/flags")
        server.urls = {}
        return server

    @property
    def flags_url(self) -> str:
        """The base of the flags of the first listener, as the book's programs want it."""
        return f"{self.url}/flags"

    @property
    def control_url(self) -> str:
        return self._control

    def run(self, name: str) -> Run:
        """A run; at most 128 ASCII characters."""
        return Run(self, name)

    def stop(self) -> None:
        """Stops it, if it is ours. Requests in flight may finish."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for stream in process.stdin, process.stdout:
            if stream is not None:
                stream.close()

    def __enter__(self) -> FlagServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        headers = {"authorization": f"Bearer {self._token}"} if self._token else {}
        request = Request(self._control + path, body, headers, method=method)
        try:
            with _open(request, timeout=90) as answer:
                text: bytes = answer.read()
                return text
        except HTTPError as error:
            raise ControlError(_problem(error.read())) from None


def _problem(body: bytes) -> str:
    try:
        problem = json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")
    lines = [f"line {entry['line']}: {entry['key']}: {entry['message']}" for entry in problem.get("errors", [])]
    return "\n".join([problem["detail"], *lines])


def _drain(stream: IO[str]) -> None:
    def read() -> None:
        with stream:
            for _ in stream:
                pass

    Thread(target=read, daemon=True, name="the log of flag-server").start()
