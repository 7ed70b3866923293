"""One flag-server for the whole suite. Each test has a run on it, with a scenario and records of its own."""

import json
import os
import subprocess
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest


@contextmanager
def flag_server(*options):
    """Runs a server on free ports; gives what its ready file says."""
    with TemporaryDirectory() as folder:
        ready = Path(folder, "ready.json")
        command = ["flag-server", *options, "--port", "0", "--control", "127.0.0.1:0", "--ready-file", ready]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 10
            while not ready.exists():
                if server.poll() is not None or time.monotonic() > deadline:
                    pytest.exit("flag-server did not start; see its message above", returncode=1)
                time.sleep(0.005)
            yield json.loads(ready.read_text())
        finally:
            server.terminate()  # SIGTERM: requests in flight may finish
            server.wait(timeout=10)


def pytest_configure(config):
    # Whoever runs a server already sets both variables. So does this for the workers of pytest-xdist, which inherit
    # the environment: all of them share one server.
    if "FLAGS_URL" not in os.environ:
        running = ExitStack()
        ready = running.enter_context(flag_server("--profile", "local"))
        config.add_cleanup(running.close)
        os.environ["FLAGS_URL"] = f"{ready['listeners'][0]['url']}/flags"
        os.environ["FLAGS_CONTROL_URL"] = ready["control"]


@dataclass(frozen=True)
class Flags:
    """What one test says to the server, and asks it. No other test notices."""

    run: str

    @property
    def url(self) -> str:
        """The base of the flags of this run; the client under test needs to know nothing else."""
        server = os.environ["FLAGS_URL"].removesuffix("/flags")
        return f"{server}/run/{quote(self.run, safe='')}/flags"

    def scenario(self, toml: str) -> None:
        """What goes wrong from now on. It ends by itself, should the test die."""
        self._ask("PUT", "/scenario?for=1m", toml.encode())

    def records(self, count: int) -> list[dict]:
        """What the server received and sent, as soon as these requests are over."""
        found = json.loads(self._ask("GET", f"/records?count={count}&settled=true&wait=5s"))
        assert found["complete"], found["records"]
        return found["records"]

    def forget(self) -> None:
        self._ask("DELETE", "")

    def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        url = f"{os.environ['FLAGS_CONTROL_URL']}/api/runs/{quote(self.run, safe='')}{path}"
        with urlopen(Request(url, body, method=method), timeout=10) as response:
            return response.read()


@pytest.fixture
def flags(request):
    # A run has 128 characters at most, and the end of this name is what tells tests apart.
    flags = Flags(request.node.nodeid[-128:])
    yield flags
    flags.forget()
