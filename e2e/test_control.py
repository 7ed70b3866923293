"""The control plane, as tests in Python and Node use it: each has a scenario of its own on one server."""

import asyncio
import json
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from conftest import HERE, SERVER, run

AT_ONCE = 50
# Two failures, and then an answer that takes its time.
SCENARIO = """
[[rule]]
name = "busy"
fault = "status"
status = 503
attempts = { first = 2 }

[[rule]]
name = "late"
fault = "latency"
distribution = { fixed = "DELAY" }
attempts = { from = 3 }
"""


@pytest.fixture
def tests(pytestconfig) -> int:
    """How many tests share a server: a thousand in the long form."""
    return 1000 if pytestconfig.getoption("--long") else 200


@contextmanager
def controlled(folder: Path):
    """A server with a control plane: the URL of its flags, and that of its control plane."""
    ready = folder / "ready.json"
    options = ["--profile", "local", "--port", "0", "--control", "127.0.0.1:0", "--ready-file", ready]
    process = subprocess.Popen([SERVER, *options], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while not ready.exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.005)
        urls = json.loads(ready.read_text())
        yield urls["listeners"][0]["url"], urls["control"]
    finally:
        process.terminate()
        assert process.wait(timeout=30) == 0


async def one_test(client: httpx.AsyncClient, flags: str, control: str, number: int) -> None:
    """A client under test retries; what it did is asserted on what was received, and nothing sleeps."""
    name, delay = f"python {number}", 20 + number % 30
    own = f"{control}/api/runs/{name}"
    put = await client.put(f"{own}/scenario", params={"for": "1m"}, content=SCENARIO.replace("DELAY", f"{delay}ms"))
    assert put.status_code == 204, put.text
    for _attempt in range(5):
        answer = await client.get(f"{flags}/flags/br/br.gif", headers={"flag-run": name})
        if answer.status_code == 200:
            break
    wish = {"count": 3, "wait": "60s", "settled": "true"}
    found = (await client.get(f"{own}/records", params=wish)).json()
    assert found["complete"], found
    records = found["records"]
    seen = [(record["run"], record["attempt"], record["sent"]["status"], record["plan"]["rules"]) for record in records]
    assert seen == [(name, 1, 503, ["busy"]), (name, 2, 503, ["busy"]), (name, 3, 200, ["late"])]
    assert records[2]["plan"]["delay_ms"] == delay and records[2]["took_ms"] >= delay
    received = [record["received_unix_ms"] for record in records]
    assert received == sorted(received), "one after another"
    assert (await client.delete(own)).status_code == 204


def test_many_tests_in_python_meet_exactly_their_own_scenarios(tmp_path, tests):
    async def all_of_them(flags: str, control: str) -> None:
        limits = httpx.Limits(max_connections=2 * AT_ONCE)
        async with httpx.AsyncClient(timeout=60, limits=limits) as client:
            turns = asyncio.Semaphore(AT_ONCE)

            async def in_turn(number: int) -> None:
                async with turns:
                    await one_test(client, flags, control, number)

            await asyncio.gather(*map(in_turn, range(tests)))

    with controlled(tmp_path) as (flags, control):
        asyncio.run(all_of_them(flags, control))
        left = httpx.get(f"{control}/api/records").json()
        assert left == {"complete": True, "records": []}


def test_many_tests_in_node_meet_exactly_their_own_scenarios(tmp_path, tests):
    with controlled(tmp_path) as (flags, control):
        result = run("node", HERE / "clients" / "control.mjs", flags, control, tests, AT_ONCE)
        assert result.returncode == 0, result.stderr
        assert result.stdout == f"{tests} tests passed\n"


def test_the_api_is_what_its_description_says(tmp_path):
    """Requests of every kind, valid and not, made from the OpenAPI document."""
    program = Path(sys.executable).with_name("schemathesis")
    options = ["--config-file", HERE / "schemathesis.toml", "run", "--max-examples", 5, "--seed", 1]
    with controlled(tmp_path) as (_flags, control):
        result = run(program, *options, f"{control}/openapi.json", cwd=tmp_path, timeout=300)
        assert result.returncode == 0, result.stdout
        assert " passed\n" in result.stdout and "Tested: 9" in result.stdout, result.stdout


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "http://localhost:1", "null"])
def test_a_page_of_another_site_may_neither_read_nor_write(tmp_path, origin):
    with controlled(tmp_path) as (_flags, control):
        for method, path in [("GET", "/api/listeners"), ("PUT", "/api/listeners/local/scenario"), ("DELETE", "/api/runs/a")]:
            answer = httpx.request(method, control + path, headers={"origin": origin}, content="seed = 1")
            assert answer.status_code == 403, answer.text
            assert answer.headers["content-type"] == "application/problem+json"
            assert "access-control-allow-origin" not in answer.headers
        assert "seed = 20150223" in httpx.get(f"{control}/api/listeners/local/scenario").text
