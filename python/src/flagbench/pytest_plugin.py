"""Fixtures: one server for the session, and for each test a run on it with a scenario and records of its own."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ._server import FlagServer, Run

_SERVER = pytest.StashKey[FlagServer]()
_LIMIT = 128


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("flagbench_args", "options of the flag-server of the session", type="args", default=[])


def _started(config: pytest.Config) -> FlagServer:
    """The server of this process: one that is named, that of the controller of pytest-xdist, or a new one."""
    if _SERVER not in config.stash:
        inherited = getattr(config, "workerinput", {}).get("flagbench")
        if inherited is not None:
            server = FlagServer.running(*inherited)
        elif "FLAGS_URL" in os.environ and "FLAGS_CONTROL_URL" in os.environ:
            token = os.environ.get("FLAGS_CONTROL_TOKEN")
            server = FlagServer.running(os.environ["FLAGS_URL"], os.environ["FLAGS_CONTROL_URL"], token)
        else:
            server = FlagServer(*config.getini("flagbench_args"))
        config.stash[_SERVER] = server
        config.add_cleanup(server.stop)
    return config.stash[_SERVER]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """With pytest-xdist, the controller starts the server, and its workers inherit the URLs."""
    server = _started(node.config)
    node.workerinput["flagbench"] = (server.url, server.control_url, os.environ.get("FLAGS_CONTROL_TOKEN"))


@pytest.fixture(scope="session")
def flag_server(pytestconfig: pytest.Config) -> Iterator[FlagServer]:
    """The server of the session, on free ports, without faults unless `flagbench_args` says otherwise."""
    with pytest.MonkeyPatch.context() as patch:
        # The client under test may obey HTTP_PROXY, which knows nothing of a server on this machine.
        for name in "NO_PROXY", "no_proxy":
            patch.setenv(name, ",".join(filter(None, [os.environ.get(name), "127.0.0.1", "localhost"])))
        yield _started(pytestconfig)


@pytest.fixture
def flags(flag_server: FlagServer, request: pytest.FixtureRequest) -> Iterator[Run]:
    """A run of this test's own: its name is the test's, so it meets the same faults every time."""
    run = flag_server.run(_name(request.node))
    run.forget()
    yield run
    run.forget()


@pytest.fixture
def flag_scenario(flags: Run) -> Callable[[str | Path], Run]:
    """Gives this test's run a scenario: `flag_scenario("[[rule]] …")`, or the path of its file."""

    def give(toml_or_path: str | Path) -> Run:
        flags.scenario(toml_or_path)
        return flags

    return give


def _name(item: Any) -> str:
    """Module and test: unlike a node ID, the same from whichever folder pytest is started."""
    module = getattr(item, "module", None)
    within = item.nodeid.partition("::")[2] or item.name
    name = f"{module.__name__}::{within}" if module else item.nodeid
    # A test that is repeated (pytest-rerunfailures) would otherwise go on where the attempt before stopped.
    count = getattr(item, "execution_count", 1)
    if count > 1:
        name += f"#{count}"
    name = name.encode("ascii", "backslashreplace").decode()
    if len(name) > _LIMIT:
        # The end tells tests apart, mostly.
        digest = hashlib.sha256(name.encode()).hexdigest()[:16]
        name = digest + name[len(digest) - _LIMIT :]
    return name
