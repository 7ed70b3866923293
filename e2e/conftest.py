"""The real binaries, started and stopped as a user would."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent
BIN = Path(os.environ.get("FLAGBENCH_BIN", ROOT / "target" / "debug"))
SERVER = BIN / "flag-server"
CLIENT = BIN / "flag-client"

CODES = sorted(folder.name.upper() for folder in (ROOT / "flags_data" / "flags").iterdir() if folder.is_dir())


@dataclass
class Server:
    process: subprocess.Popen
    urls: dict[str, str]

    def flags(self, name: str | None = None) -> str:
        """The base URL of the listener of this name, or of the only one."""
        url = self.urls[name] if name else next(iter(self.urls.values()))
        return f"{url}/flags"

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)


@contextmanager
def running(folder: Path, *args: str):
    """A server whose ready file has been read; stopped at the end, whatever happens."""
    ready = folder / f"ready-{time.monotonic_ns()}.json"
    process = subprocess.Popen([SERVER, *args, "--ready-file", ready], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while not ready.exists():
            assert process.poll() is None, f"the server ended with {process.returncode}"
            assert time.monotonic() < deadline, "the server is not ready"
            time.sleep(0.005)
        listeners = json.loads(ready.read_text())["listeners"]
        yield Server(process, {listener["name"]: listener["url"] for listener in listeners})
    finally:
        process.kill()
        process.wait()


def run(*command, cwd: Path | None = None, timeout: float = 120) -> subprocess.CompletedProcess:
    """A command that has to end by itself, without a panic, and may fail."""
    result = subprocess.run(
        [str(word) for word in command], cwd=cwd, timeout=timeout, capture_output=True, text=True, check=False
    )
    assert "panicked" not in result.stderr, result.stderr
    return result


def client_program(name: str, base_url: str, concurrency: int, codes: list[str]) -> list[dict]:
    """What one of the Python programs met."""
    result = run(sys.executable, HERE / "clients" / name, base_url, concurrency, *codes)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def server(tmp_path):
    """Starts servers: `with server("--port", "0") as running: …`."""
    return lambda *args: running(tmp_path, *args)
