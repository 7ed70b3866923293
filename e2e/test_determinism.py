"""One scenario with every fault, and unrelated clients: all get the same decisions.

The server's decision logs must be equal once they are sorted and the lateness, which is
measured, is left out.
"""

import json
from collections import Counter

import pytest
from conftest import CLIENT, CODES, cells, client_program, run

ROUNDS = 3


def rounds_of_our_client(strategy: str, concurrency: int):
    """Numbers its attempts itself."""

    def rounds(flags: str, folder):
        for attempt in range(1, ROUNDS + 1):
            run(CLIENT, "get", "-a", "-m", concurrency, "--strategy", strategy, "--attempt", attempt, "-s", flags, cwd=folder)

    return rounds


def rounds_of_python(program: str, concurrency: int):
    """Does not number its attempts: the server counts them."""

    def rounds(flags: str, _folder):
        for _ in range(ROUNDS):
            assert len(client_program(program, flags, concurrency, CODES)) == 194

    return rounds


def rounds_of_curl(flags: str, folder):
    """In reverse order, 50 at a time, each on a connection of its own.

    If a reused connection breaks before the response, curl silently sends the request again. That is another
    attempt, which the server counts.
    """
    config = folder / "curl.txt"
    urls = [f"{flags}/{cc}/{cc}.gif".lower() for cc in reversed(CODES)]
    config.write_text("".join(f'url = "{url}"\noutput = "/dev/null"\n' for url in urls))
    for _ in range(ROUNDS):
        run("curl", "--silent", "--location", "--header", "connection: close", "--parallel", "--parallel-immediate", "--parallel-max", "50", "--config", config)


CLIENTS = {
    "sequential": rounds_of_our_client("sequential", 1),
    "threaded-64": rounds_of_our_client("threaded", 64),
    "async-500": rounds_of_our_client("async", 500),
    "curl": rounds_of_curl,
    "requests-30": rounds_of_python("requests_threads.py", 30),
    "httpx-194": rounds_of_python("httpx_async.py", 194),
}


def decisions(server, folder, client, seed: int = 11) -> list[str]:
    """The lines of the decision log of a fresh server, sorted."""
    log = folder / "decisions.jsonl"
    with server("--profile", "flaky", "--seed", str(seed), "--port", "0", "--decision-log", str(log)) as running:
        client(running.flags(), folder)
        assert running.stop() == 0
    lines = []
    for line in log.read_text().splitlines():
        record = json.loads(line)
        del record["late_ms"]
        lines.append(json.dumps(record, sort_keys=True))
    return sorted(lines)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The decisions for the first client."""
    from conftest import running

    folder = tmp_path_factory.mktemp("expected")
    return decisions(lambda *args: running(folder, *args), folder, CLIENTS["async-500"])


@pytest.mark.parametrize("name", cells(CLIENTS, short=["threaded-64", "async-500", "curl", "httpx-194"]))
def test_every_client_gets_the_same_decisions(server, tmp_path, expected, name):
    assert decisions(server, tmp_path, CLIENTS[name]) == expected


def test_the_decisions_include_every_kind(expected):
    records = [json.loads(line) for line in expected]
    first_hops = [record for record in records if record["hop"] == 0]
    assert Counter(record["attempt"] for record in first_hops) == {1: 194, 2: 194, 3: 194}
    kinds = {record["plan"]["ending"]["kind"] for record in records if record["plan"]["ending"]}
    assert kinds == {"status", "reset", "close", "truncate", "stall", "garbage", "corrupt", "redirect"}
    assert any(record["plan"]["delay_ms"] > 0 for record in records)
    assert any("rate" in record["plan"]["pace"] for record in records)
    assert any("dribble" in record["plan"]["pace"] for record in records)


def test_another_seed_is_another_run(server, tmp_path, expected):
    assert decisions(server, tmp_path, CLIENTS["async-500"], seed=12) != expected


@pytest.mark.parametrize("strategy", cells(["sequential", "threaded", "async"], short=["threaded", "async"]))
def test_two_failures_and_two_retries_download_every_flag_in_three_attempts(server, tmp_path, strategy):
    scenario = tmp_path / "twice.toml"
    scenario.write_text('rule = [{ fault = "status", status = 503, attempts = { first = 2 } }]')
    log = tmp_path / "decisions.jsonl"
    with server("--scenario", str(scenario), "--port", "0", "--decision-log", str(log)) as running:
        command = (CLIENT, "get", "-a", "--retries", "2", "--strategy", strategy, "-s", running.flags())
        result = run(*command, cwd=tmp_path)
        assert running.stop() == 0
    assert result.returncode == 0 and "194 flags downloaded." in result.stdout, result.stdout + result.stderr
    attempts = Counter((record["path"], record["attempt"]) for record in map(json.loads, log.read_text().splitlines()))
    assert attempts == {(f"/flags/{cc}/{cc}.gif".lower(), attempt): 1 for cc in CODES for attempt in (1, 2, 3)}
