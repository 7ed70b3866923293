"""One flag-server for the whole suite, and a run of its own for each test."""

import json
import os
import subprocess
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

SCENARIO = Path(__file__).parent.parent / "retry.toml"


@contextmanager
def flag_server(*options):
    """Runs a server on free ports; gives the URLs of its listeners by name."""
    with TemporaryDirectory() as folder:
        ready = Path(folder, "ready.json")
        server = subprocess.Popen(
            ["flag-server", *options, "--port", "0", "--ready-file", ready], stdout=subprocess.DEVNULL
        )
        try:
            deadline = time.monotonic() + 10
            while not ready.exists():
                if server.poll() is not None or time.monotonic() > deadline:
                    pytest.exit("flag-server did not start; see its message above", returncode=1)
                time.sleep(0.005)
            listeners = json.loads(ready.read_text())["listeners"]
            yield {listener["name"]: listener["url"] for listener in listeners}
        finally:
            server.terminate()  # SIGTERM: requests in flight may finish
            server.wait(timeout=10)


def pytest_configure(config):
    # Whoever runs a server already, such as a service container, sets FLAGS_URL. So does this for the workers of
    # pytest-xdist, which inherit the environment: all of them share one server.
    if "FLAGS_URL" not in os.environ:
        running = ExitStack()
        urls = running.enter_context(flag_server("--scenario", SCENARIO))
        config.add_cleanup(running.close)
        os.environ["FLAGS_URL"] = f"{urls['retry']}/flags"


@dataclass(frozen=True)
class Flags:
    base_url: str
    run: str

    @property
    def headers(self) -> dict[str, str]:
        """Attempts are counted for each run apart, so no test changes what another one meets."""
        return {"flag-run": self.run}

    def image_url(self, cc: str) -> str:
        return f"{self.base_url}/{cc}/{cc}.gif"


@pytest.fixture
def flags(request) -> Flags:
    # A run has 128 characters at most, and the end of this name is what tells tests apart.
    return Flags(os.environ["FLAGS_URL"], run=request.node.nodeid[-128:])
