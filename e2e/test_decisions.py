"""The same seed gives the same fate to every flag, whoever asks, in any order, at any concurrency.

The expected fate is computed by decision.py, which shares no code with the server.
"""

import hashlib
import re

import pytest
from conftest import CLIENT, CODES, ROOT, cells, client_program, run
from decision import fate

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
    fates = {}
    for cc in CODES:
        path = f"/flags/{cc}/{cc}.gif".lower()
        status, delay_ns = fate(seed, path, teapot=TEAPOT, lower_ns=LOWER_NS, upper_ns=UPPER_NS)
        fates[cc] = (status, f"{delay_ns // 1_000_000}.{delay_ns // 1000 % 1000:03}")
    return fates


@pytest.fixture
def chaos(server, tmp_path):
    """Starts a fresh server, whose attempt counters know nobody."""
    scenario = tmp_path / "chaos.toml"
    scenario.write_text(SCENARIO)
    return lambda seed=SEED: server("--scenario", str(scenario), "--seed", str(seed), "--port", "0")


def fates_of(met: list[dict]) -> dict[str, tuple[int, str]]:
    for one in met:
        cc = one["cc"].lower()
        if one["status"] == 200:
            image = (ROOT / "flags_data" / "flags" / cc / f"{cc}.gif").read_bytes()
            assert one["sha256"] == hashlib.sha256(image).hexdigest(), cc
    assert len(met) == len(CODES) == 194
    return {one["cc"]: (one["status"], one["plan"]) for one in met}


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
def test_a_python_client_meets_the_computed_fate(chaos, program, concurrency):
    with chaos() as server:
        met = client_program(program, server.flags(), concurrency, CODES)
    assert fates_of(met) == expected(SEED)


@pytest.mark.parametrize(("name", "order", "options"), [
    ("one by one", 1, []),
    ("in parallel and in reverse", -1, ["--parallel", "--parallel-immediate", "--parallel-max", "194"]),
])
def test_curl_meets_the_computed_fate(chaos, tmp_path, name, order, options):
    with chaos() as server:
        out = "%{urlnum} %{http_code} %header{server-timing}\\n"
        urls = [f"{server.flags()}/{cc}/{cc}.gif".lower() for cc in CODES[::order]]
        config = tmp_path / "curl.txt"
        config.write_text("".join(f'url = "{url}"\noutput = "{tmp_path}/{n}"\n' for n, url in enumerate(urls)))
        result = run("curl", "--silent", "--show-error", *options, "--write-out", out, "--config", config)
    assert result.returncode == 0, result.stderr
    met = []
    for line in result.stdout.splitlines():
        number, status, timing = line.split(" ", 2)
        body = (tmp_path / number).read_bytes()
        plan = re.match(r"plan;dur=([\d.]+), wait;dur=[\d.]+$", timing)[1]
        met.append({"cc": CODES[::order][int(number)], "status": int(status), "plan": plan, "sha256": hashlib.sha256(body).hexdigest()})
    assert fates_of(met) == expected(SEED), name


@pytest.mark.parametrize(("strategy", "concurrency"), cells(
    [("sequential", 1)] + [(strategy, concurrency) for strategy in ("threaded", "async") for concurrency in (1, 30, 194)],
    short=[("sequential", 1), ("threaded", 30), ("async", 194)],
))
def test_our_own_client_meets_the_computed_fate(chaos, tmp_path, strategy, concurrency):
    """Its delays are compared in client/tests/downloaders.rs; here, what it prints and saves."""
    with chaos() as server:
        result = run(CLIENT, "get", "-a", "-v", "-m", concurrency, "--strategy", strategy, "-s", server.flags(), cwd=tmp_path)
    assert result.returncode == 1, result.stderr
    status = {"OK": 200, "error: HTTP error 418 - I'm a teapot": 418}
    lines = re.findall(r"^([A-Z]{2}) (OK|error: .*)$", result.stdout, re.M)
    assert {cc: status[words] for cc, words in lines} == {cc: status for cc, (status, _) in expected(SEED).items()}
    saved = {path.stem for path in (tmp_path / "downloads").iterdir()}
    assert saved == {cc for cc, (status, _) in expected(SEED).items() if status == 200}


def test_another_seed_is_another_fate(chaos):
    with chaos(SEED + 1) as server:
        met = client_program("aiohttp_async.py", server.flags(), 194, CODES)
    assert fates_of(met) == expected(SEED + 1) != expected(SEED)


def test_a_second_round_without_numbers_meets_the_second_attempts(chaos):
    with chaos() as server:
        first, second = (fates_of(client_program("aiohttp_async.py", server.flags(), 194, CODES)) for _ in range(2))
    path = "/flags/br/br.gif"
    again = fate(SEED, path, teapot=TEAPOT, lower_ns=LOWER_NS, upper_ns=UPPER_NS, attempt=2)
    assert first == expected(SEED) != second
    assert second["BR"][0] == again[0]
