"""A seed gives each flag the same decision for every client, in any order, at any concurrency.

The expected decisions are computed by decision.py, which shares no code with the server.
"""

import hashlib
import re

import pytest
from conftest import CLIENT, CODES, ROOT, cells, client_program, run
from decision import teapot_and_delay

SEED = 7
LOWER_NS, UPPER_NS, TEAPOT = 1_000_000, 20_000_000, 0.25
SCENARIO = """
[[rule]]
name = "teapot"
fault = "status"
probability = 0.25
status = 418

[[rule]]
name = "delay"
fault = "latency"
distribution = { uniform = { lower = "1ms", upper = "20ms" } }
"""


def expected(seed: int) -> dict[str, tuple[int, str]]:
    decisions = {}
    for cc in CODES:
        path = f"/flags/{cc}/{cc}.gif".lower()
        status, delay_ns = teapot_and_delay(seed, path, teapot=TEAPOT, lower_ns=LOWER_NS, upper_ns=UPPER_NS)
        decisions[cc] = (status, f"{delay_ns // 1_000_000}.{delay_ns // 1000 % 1000:03}")
    return decisions


@pytest.fixture
def fresh_server(server, tmp_path):
    """Starts a fresh server, whose attempt counters are empty."""
    scenario = tmp_path / "scenario.toml"
    scenario.write_text(SCENARIO)
    return lambda seed=SEED: server("--scenario", str(scenario), "--seed", str(seed), "--port", "0")


def decisions_of(results: list[dict]) -> dict[str, tuple[int, str]]:
    for result in results:
        cc = result["cc"].lower()
        if result["status"] == 200:
            image = (ROOT / "flags_data" / "flags" / cc / f"{cc}.gif").read_bytes()
            assert result["sha256"] == hashlib.sha256(image).hexdigest(), cc
    assert len(results) == len(CODES) == 194
    return {result["cc"]: (result["status"], result["plan"]) for result in results}


PROGRAMS = [("requests_sequential.py", 1)] + [
    (program, concurrency)
    for program in ("requests_threads.py", "httpx_async.py", "aiohttp_async.py")
    for concurrency in (1, 30, 194)
]


@pytest.mark.parametrize(("program", "concurrency"), cells(PROGRAMS, short=[
    ("requests_sequential.py", 1),
    ("requests_threads.py", 30),
    ("httpx_async.py", 194),
    ("aiohttp_async.py", 194),
]))
def test_a_python_client_gets_the_computed_decisions(fresh_server, program, concurrency):
    with fresh_server() as server:
        results = client_program(program, server.flags(), concurrency, CODES)
    assert decisions_of(results) == expected(SEED)


@pytest.mark.parametrize(("name", "order", "options"), [
    ("one by one", 1, []),
    ("in parallel and in reverse", -1, ["--parallel", "--parallel-immediate", "--parallel-max", "194"]),
])
def test_curl_gets_the_computed_decisions(fresh_server, tmp_path, name, order, options):
    with fresh_server() as server:
        out = "%{urlnum} %{http_code} %header{server-timing}\\n"
        urls = [f"{server.flags()}/{cc}/{cc}.gif".lower() for cc in CODES[::order]]
        config = tmp_path / "curl.txt"
        config.write_text("".join(f'url = "{url}"\noutput = "{tmp_path}/{n}"\n' for n, url in enumerate(urls)))
        result = run("curl", "--silent", "--show-error", *options, "--write-out", out, "--config", config)
    assert result.returncode == 0, result.stderr
    results = []
    for line in result.stdout.splitlines():
        number, status, timing = line.split(" ", 2)
        body = (tmp_path / number).read_bytes()
        plan = re.match(r"plan;dur=([\d.]+), wait;dur=[\d.]+$", timing)[1]
        results.append({"cc": CODES[::order][int(number)], "status": int(status), "plan": plan, "sha256": hashlib.sha256(body).hexdigest()})
    assert decisions_of(results) == expected(SEED), name


@pytest.mark.parametrize(("strategy", "concurrency"), cells(
    [("sequential", 1)] + [(strategy, concurrency) for strategy in ("threaded", "async") for concurrency in (1, 30, 194)],
    short=[("sequential", 1), ("threaded", 30), ("async", 194)],
))
def test_flag_client_gets_the_computed_decisions(fresh_server, tmp_path, strategy, concurrency):
    """Its delays are compared in client/tests/downloaders.rs; here, what it prints and saves."""
    with fresh_server() as server:
        result = run(CLIENT, "get", "-a", "-v", "-m", concurrency, "--strategy", strategy, "-s", server.flags(), cwd=tmp_path)
    assert result.returncode == 1, result.stderr
    status = {"OK": 200, "error: HTTP error 418 - I'm a teapot": 418}
    lines = re.findall(r"^([A-Z]{2}) (OK|error: .*)$", result.stdout, re.M)
    assert {cc: status[words] for cc, words in lines} == {cc: status for cc, (status, _) in expected(SEED).items()}
    saved = {path.stem for path in (tmp_path / "downloads").iterdir()}
    assert saved == {cc for cc, (status, _) in expected(SEED).items() if status == 200}


def test_another_seed_gives_other_decisions(fresh_server):
    with fresh_server(SEED + 1) as server:
        results = client_program("aiohttp_async.py", server.flags(), 194, CODES)
    assert decisions_of(results) == expected(SEED + 1) != expected(SEED)


def test_a_second_unnumbered_round_gets_the_second_attempts(fresh_server):
    with fresh_server() as server:
        first, second = (decisions_of(client_program("aiohttp_async.py", server.flags(), 194, CODES)) for _ in range(2))
    path = "/flags/br/br.gif"
    again = teapot_and_delay(SEED, path, teapot=TEAPOT, lower_ns=LOWER_NS, upper_ns=UPPER_NS, attempt=2)
    assert first == expected(SEED) != second
    assert second["BR"][0] == again[0]
