"""Python programs race against ours: what the table and the document say of them, and what they do alone."""

import json
import re
import shlex
import socket
import sys

import pytest
from conftest import CLIENT, ROOT, run

EXAMPLES = ROOT / "examples" / "python"
SEQUENTIAL, THREADS, ASYNCIO = PROGRAMS = ("flags_sequential.py", "flags_threads.py", "flags_asyncio.py")
FLAGS = ["BD", "BR", "CD", "CN", "DE", "JP"]


def command(program: str, *words: str) -> list[str]:
    """The option that lets a program race."""
    return ["--command", shlex.join([sys.executable, str(EXAMPLES / program), *words])]


def rows(stdout: str) -> dict[str, list[str]]:
    """The columns of each lane's row."""
    lines = (re.split(r" {2,}", line.strip()) for line in stdout.splitlines())
    return {line[0]: line[1:] for line in lines if len(line) > 5}


def samples(lane: dict) -> list[dict]:
    return [sample for measured in lane["rounds"] for sample in measured["samples"]]


def race(folder, *args: str) -> tuple[dict[str, list[str]], dict[str, dict]]:
    """The table, and the lanes of the document."""
    result = run(CLIENT, "bench", "-r", "2", "--export-json", "result.json", *args, *FLAGS, cwd=folder)
    assert result.returncode == 0, result.stderr + result.stdout
    document = json.loads((folder / "result.json").read_text())
    return rows(result.stdout), {lane["name"]: lane for lane in document["lanes"]}


def test_python_programs_race_in_the_same_table(tmp_path):
    programs = [word for name in PROGRAMS for word in command(name, "{url}", "-m", "{workers}", "{codes}")]
    table, lanes = race(tmp_path, "--profile", "bench", "-m", "3", *programs)
    assert list(lanes) == ["sequential", "threaded", "async", *PROGRAMS]
    assert [table[name][-1] for name in lanes] == ["0"] * 6, "errors"
    assert [table[name][0] for name in ("sequential", SEQUENTIAL)] == ["1", "1"], "workers"
    for name in ("threaded", "async", THREADS, ASYNCIO):
        assert table[name][0] == "3", "workers"
    for name, lane in lanes.items():
        assert len(lane["rounds"]) == 2
        for measured in lane["rounds"]:
            assert sorted(sample["code"] for sample in measured["samples"]) == FLAGS, name
            assert measured.get("exit_code") is None
            assert measured["elapsed_ms"] >= max(sample["done_ms"] for sample in measured["samples"])
        for sample in samples(lane):
            assert (sample["outcome"], sample["status"], sample["attempt"]) == ("downloaded", 200, 1)
    # The same plan for all, to the microsecond: `server-timing` tells no more.
    plans = [{sample["code"]: int(sample["plan_ms"] * 1000 + 0.5) for sample in samples(lane)} for lane in lanes.values()]
    assert all(abs(plan[code] - plans[0][code]) <= 1 for plan in plans for code in FLAGS)
    # To start an interpreter takes its time, and memory.
    for name in PROGRAMS:
        assert min(sample["sent_ms"] for sample in samples(lanes[name])) > 5
        assert 5e6 < lanes[name]["memory_bytes"] < 200e6
        assert lanes[name]["contender"]["kind"] == "command"


def test_a_race_of_two_programs_and_one_strategy(tmp_path):
    twice = command(THREADS, "{url}", "{codes}")
    table, lanes = race(tmp_path, "--profile", "local", "--strategy", "async", *twice, *twice)
    assert list(lanes) == ["async", THREADS, f"{THREADS}-2"] == list(table)[1:]


def test_the_faults_are_those_that_our_own_strategies_meet(tmp_path):
    program = command(THREADS, "{url}", "{codes}")
    args = ["bench", "-r", "1", "-w", "0", "--export-json", "result.json", "--profile", "error-1e", "--strategy", "threaded"]
    result = run(CLIENT, *args, *program, *FLAGS, "XX", "YY", "ZZ", cwd=tmp_path)
    # The program says by its exit code that some downloads failed: the plan wanted it, so it is told and no failure.
    assert result.returncode == 0
    assert f"{THREADS}: the command ended with exit code 1 in 1 round" in result.stdout
    document = json.loads((tmp_path / "result.json").read_text())
    lanes = document["lanes"]
    ours, theirs = ({sample["code"]: (sample["outcome"], sample["status"]) for sample in samples(lane)} for lane in lanes)
    assert ours == theirs and ("not_found", 404) in ours.values() and ("http_error", 503) in ours.values()


def test_a_program_that_knows_its_port_is_given_it(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = command(SEQUENTIAL, f"http://localhost:{port}/flags", *FLAGS)
    _, lanes = race(tmp_path, "--profile", "local", "--strategy", "async", "--port", str(port), *program)
    assert sorted(sample["code"] for sample in samples(lanes[SEQUENTIAL])) == sorted(FLAGS * 2)


def test_what_a_program_says_when_it_is_called_wrongly_is_shown(tmp_path):
    result = run(CLIENT, "bench", *command(ASYNCIO, "{url}", "--no-such-option"), "BR", cwd=tmp_path)
    assert result.returncode == 2
    assert "ended with exit code 2 before it had asked for a flag; correct the command line" in result.stderr
    assert "unrecognized arguments: --no-such-option" in result.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_alone_downloads_what_it_is_asked_for(program, server, tmp_path):
    with server("--profile", "local", "--port", "0") as running:
        alone = [sys.executable, EXAMPLES / program, running.flags()]
        result = run(*alone, cwd=tmp_path)
        assert result.returncode == 0 and result.stderr == "", result.stderr
        codes, summary = result.stdout.splitlines()
        assert len(codes.split()) == 20 and re.fullmatch(r"20 downloads in \d\.\d\ds", summary)
        few = run(*alone, "-m", "1", "jp", "BR", cwd=tmp_path)
        assert (few.returncode, few.stdout.splitlines()[0].split()) == (0, ["BR", "JP"])
        missing = run(*alone, "BR", "XX", cwd=tmp_path)
        assert missing.returncode == 1 and missing.stdout.startswith("BR \n1 downloads in ")
        assert missing.stderr.startswith("XX: ") and "404" in missing.stderr
        assert run(*alone, "-m", "0", cwd=tmp_path).returncode == 2
    gone = run(*alone, "BR", cwd=tmp_path)
    assert gone.returncode == 1 and gone.stderr.startswith("BR: ") and "Traceback" not in gone.stderr
    assert list(tmp_path.glob("*.gif")) == []


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_alone_survives_every_fault(program, server, tmp_path):
    with server("--profile", "flaky", "--port", "0") as running:
        result = run(sys.executable, EXAMPLES / program, running.flags(), cwd=tmp_path)
    assert result.returncode == 1 and "Traceback" not in result.stderr
    arrived = len(result.stdout.splitlines()[0].split())
    assert 0 < arrived < 20 and len(result.stderr.splitlines()) == 20 - arrived
