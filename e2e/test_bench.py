"""Short runs of the benchmark scripts: that they measure, not the figures."""

import json
import os
import shutil
import subprocess
import sys

import httpx
import pytest
from conftest import BIN, ROOT, SERVER, cells, run

sys.path.insert(0, str(ROOT / "bench"))
import peers

PROGRAMS = {"server": ["nginx", "wrk"], "threads": ["wrk"], "waiting": ["nginx"], "downloaders": [], "start": []}
FIGURES = {
    "server": ["floor", "nginx", "flag-server", "flag-server, planning"],
    "waiting": ["flag-server", "aiohttp", "nginx, without a delay"],
    "downloaders": ["async-hyper", "threaded-ureq", "flags_asyncio.py"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What peers.sh makes, without oha."""
    folder = tmp_path_factory.mktemp("peers")
    result = run("cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", folder / "floor", ROOT / "bench" / "floor.c")
    assert result.returncode == 0, result.stderr
    return folder


def test_the_floor_serves_a_flag(folder):
    port = peers.free_port()
    image = ROOT / "flags_data" / "flags" / "va" / "va.gif"
    with peers.running([folder / "floor", port, image], port, os.sched_getaffinity(0)):
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            for _ in range(3):
                assert client.get(peers.PATH).content == image.read_bytes()


@pytest.mark.parametrize("part", cells(PROGRAMS, short=["server", "start"]))
def test_each_part_of_the_comparison_has_figures(part, folder):
    path = f"{os.environ['PATH']}:/usr/sbin"
    missing = [program for program in PROGRAMS[part] if shutil.which(program, path=path) is None]
    if missing:
        pytest.skip(f"SKIPPED: no {' and no '.join(missing)} on this machine")
    words = ["--only", part, "--rounds", 1, "--seconds", 1, "--waiting", 200, "--json", folder / "figures.json"]
    result = run(sys.executable, ROOT / "bench" / "peers.py", "--folder", folder, "--bins", BIN, *words, timeout=300)
    assert result.returncode == 0, result.stderr
    figures = json.loads((folder / "figures.json").read_text())[part]
    for name in FIGURES.get(part, figures):
        if part == "waiting":
            assert figures[name]["succeeded"] == 200, name
        elif part == "start":
            assert 0 < figures[name]["line_ms"] < figures[name]["answer_ms"], name
        else:
            assert figures[name]["micros"] > 0, name
        assert name in result.stdout


def test_the_start_time_of_each_kind_is_printed():
    result = run(sys.executable, ROOT / "bench" / "start.py", 2, SERVER)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count(" ms") >= 6 and "--tls" in result.stdout, result.stdout


def test_the_figures_of_the_micro_benchmark_are_read_from_its_table(folder, tmp_path):
    """It takes minutes to build, so a script replaces cargo here."""
    cargo = tmp_path / "cargo"
    cargo.write_text(
        """#!/bin/sh
cat << END
decision       fastest       │ slowest       │ median        │ mean          │ samples │ iters
├─ profile                   │               │               │               │         │
│  ├─ delay    224.2 ns      │ 275.5 ns      │ 232.7 ns      │ 233.3 ns      │ 100     │ 1600
│  │           4.458 Mitem/s │ 3.628 Mitem/s │ 4.296 Mitem/s │ 4.285 Mitem/s │         │
│  ╰─ wan      1.141 µs      │ 1.326 µs      │ 1.186 µs      │ 1.189 µs      │ 100     │ 200
END
"""
    )
    cargo.chmod(0o755)
    path = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    words = [ROOT / "bench" / "peers.py", "--folder", folder, "--bins", BIN, "--only", "decisions", "--json", tmp_path / "f.json"]
    subprocess.run([sys.executable, *words], env=path, check=True, capture_output=True)
    assert json.loads((tmp_path / "f.json").read_text())["decisions"] == {"delay": {"nanos": 232.7}, "wan": {"nanos": 1186.0}}
