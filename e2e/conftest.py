"""Starts and stops the real binaries as a user would; and selects which tests run when.

Without `--long`, tests with the mark `long` are left out. Tests with the mark `alone` are run by
the gate when nothing else runs. With `-n`, tests that share something run in the same process.
"""

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
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

# Whether a test can have a network of its own.
HAS_NAMESPACES = (
    all(map(shutil.which, ("nsenter", "unshare")))
    and subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode == 0
)
# These run one after another, because they listen on the ports of the book.
BOOK_PORTS = ("test_book.py", "test_compose.py")
# It takes longer than any other, so it begins first.
README = "test_docs.py::test_the_commands_of_a_document_print_its_output[README.md]"
if not HAS_NAMESPACES:
    BOOK_PORTS += (README,)
BOOK_GROUP = "the ports of the book"
# These share what `.ci/package` makes, which takes a while.
PACKAGES = ("test_package.py", "test_python.py", "test_npm.py")
# Tests of these files may run in any process. Those of any other file share its fixtures.
SPREAD = (
    "test_ci.py",
    "test_commands.py",
    "test_completions.py",
    "test_docs.py",
    "test_decisions.py",
    "test_race.py",
    "test_schema.py",
)
LEFT_OUT = pytest.StashKey[list[str]]()


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="run every test")


def pytest_configure(config):
    config.addinivalue_line("markers", "long: only with --long")
    config.addinivalue_line("markers", "alone: asserts measured values, so nothing may run beside it")
    config.stash[LEFT_OUT] = []


def cells(matrix, short):
    """The parameters of a matrix. Without `--long`, only those listed in `short` are run."""
    matrix, short = list(matrix), list(short)
    assert all(cell in matrix for cell in short)
    marks = [[] if cell in short else pytest.mark.long for cell in matrix]
    values = [cell if isinstance(cell, tuple) else (cell,) for cell in matrix]
    return [pytest.param(*value, marks=mark) for value, mark in zip(values, marks)]


for named in (*BOOK_PORTS, README, *PACKAGES, *SPREAD):
    file, _, test = named.partition("::")
    assert f"def {test.partition('[')[0]}" in (HERE / file).read_text(), f"conftest.py names {named}, which does not exist"


def group(nodeid: str) -> str:
    """Tests of one group run one after another, in one process."""
    name = nodeid.removeprefix("e2e/")
    if name.startswith(BOOK_PORTS):
        return BOOK_GROUP
    if name.startswith(PACKAGES):
        return "packages"
    return name if name.startswith(SPREAD) else name.partition("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return group(nodeid)

        def _assign_work_unit(self, node):
            # The longest first, so that they do not end long after all others.
            for scope in (BOOK_GROUP, README):
                if scope in self.workqueue:
                    self.workqueue.move_to_end(scope, last=False)
            # A process is always given more than one test, and what waits behind that one should be short.
            if not all(self.assigned_work.get(node, {}).get(README, {}).values()):
                self.workqueue.move_to_end(next(reversed(self.workqueue)), last=False)
            super()._assign_work_unit(node)

    return ByGroup(config, log)


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--long"):
        left_out = [item for item in items if item.get_closest_marker("long")]
        config.stash[LEFT_OUT] = [item.path.name for item in left_out]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash[LEFT_OUT]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Every process of pytest-xdist collects all tests, so the report of one is enough."""
    node.config.stash[LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", [])


def pytest_terminal_summary(terminalreporter, config):
    left_out = Counter(config.stash[LEFT_OUT])
    if left_out:
        terminalreporter.section("left for the long form")
        for name, count in sorted(left_out.items()):
            terminalreporter.line(f"{count:4} of {name}")
        terminalreporter.line(f"{left_out.total():4} in all: .ci/run long, or pytest --long")


# Brings the loopback device of a new network up, and keeps the network until standard input ends.
KEEP_NETWORK = """
import fcntl, socket, struct, sys
up = struct.pack("16sh", b"lo", 1)
fcntl.ioctl(socket.socket(), 0x8914, up)
print("up", flush=True)
sys.stdin.read()
"""


@contextmanager
def own_network():
    """The words before a command that is to run in a network of this test alone; none where that cannot be."""
    if not HAS_NAMESPACES:
        yield []
        return
    words = ["unshare", "--net", sys.executable, "-c", KEEP_NETWORK]
    keeper = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert keeper.stdout.readline() == "up\n"
        yield ["nsenter", f"--net=/proc/{keeper.pid}/ns/net"]
    finally:
        keeper.stdin.close()
        keeper.wait()


@dataclass
class Server:
    process: subprocess.Popen
    urls: dict[str, str]
    control: str | None = None

    def flags(self, name: str | None = None) -> str:
        """The base URL of the listener of this name, or of the only one."""
        url = self.urls[name] if name else next(iter(self.urls.values()))
        return f"{url}/flags"

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)


@contextmanager
def running(folder: Path, *args: str):
    """A running server whose ready file has been read; it is always stopped at the end."""
    ready = folder / f"ready-{time.monotonic_ns()}.json"
    process = subprocess.Popen([SERVER, *args, "--ready-file", ready], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while not ready.exists():
            assert process.poll() is None, f"the server ended with {process.returncode}"
            assert time.monotonic() < deadline, "the server is not ready"
            time.sleep(0.005)
        said = json.loads(ready.read_text())
        yield Server(process, {listener["name"]: listener["url"] for listener in said["listeners"]}, said.get("control"))
    finally:
        process.kill()
        process.wait()


def run(*command, cwd: Path | None = None, timeout: float = 120) -> subprocess.CompletedProcess:
    """Runs a command that must end by itself, without a panic, and may fail."""
    result = subprocess.run(
        [str(word) for word in command], cwd=cwd, timeout=timeout, capture_output=True, text=True, check=False
    )
    assert "panicked" not in result.stderr, result.stderr
    return result


def client_program(name: str, base_url: str, concurrency: int, codes: list[str]) -> list[dict]:
    """The results of one of the Python programs."""
    result = run(sys.executable, HERE / "clients" / name, base_url, concurrency, *codes)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def server(tmp_path):
    """Starts servers: `with server("--port", "0") as running: …`."""
    return lambda *args: running(tmp_path, *args)


@pytest.fixture(scope="session")
def packages(tmp_path_factory) -> Path:
    """A folder with all that a release has for this platform, except that the programs are those of this build."""
    folder = tmp_path_factory.mktemp("packages")
    result = run(ROOT / ".ci" / "package", f"{platform.machine()}-unknown-linux-gnu", "--from", BIN, "--out", folder, timeout=300)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture(scope="session")
def packages_of_stand_ins(tmp_path_factory) -> list[Path]:
    """The same twice, of programs that are small."""
    programs = tmp_path_factory.mktemp("programs")
    for program in "flag-server", "flag-client":
        (programs / program).write_text(f"#!/bin/sh\necho {program}\n")
    folders = [tmp_path_factory.mktemp("stand-ins") for _ in range(2)]
    for folder in folders:
        for kind in "wheel", "npm":
            words = f"{platform.machine()}-unknown-linux-gnu", "--from", programs, "--out", folder, "--only", kind
            assert run(ROOT / ".ci" / "package", *words).returncode == 0
    return folders
