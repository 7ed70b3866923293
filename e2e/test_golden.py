"""decision.py and the server's tests pin the same vectors."""

import json
import re
import urllib.request

import pytest
from conftest import ROOT
from decision import decide, fate, flip, words

VECTORS = json.loads((ROOT / "docs" / "golden-vectors.json").read_text())


def test_the_vectors_of_the_servers_tests_are_those_of_the_second_implementation():
    source = (ROOT / "server" / "tests" / "decisions.rs").read_text()
    rows = re.findall(r'\(\s*([\d_]+|u64::MAX),\s*"(.*?)",\s*"(.*?)",\s*([\d_]+|u32::MAX),\s*(\d+),\s*([\d_]+),?\s*\)', source)
    assert len(rows) == 7
    number = {"u64::MAX": 2**64 - 1, "u32::MAX": 2**32 - 1}
    for seed, run_, path, attempt, status, nanos in rows:
        computed = fate(
            number.get(seed) or int(seed), path, run=run_, attempt=number.get(attempt) or int(attempt),
            teapot=0.25, lower_ns=500_000_000, upper_ns=5_000_000_000,
        )
        assert computed == (int(status), int(nanos)), path


def test_the_vectors_of_every_kind_are_those_of_the_second_implementation():
    """To the microsecond: Python's exp and log are those of the platform, and may differ in the last digit."""
    assert len(VECTORS) > 100
    for vector in VECTORS:
        request = (vector[key] for key in ("seed", "run", "method", "path", "attempt"))
        computed, pinned = decide(vector["rule"], *request), vector["decision"]
        if computed and "delay_ns" in computed:
            assert abs(computed["delay_ns"] - pinned["delay_ns"]) < 1000, vector
        else:
            assert computed == pinned, vector


def test_every_vector_of_the_documents_is_one_of_them():
    rows = re.findall(r"^\| `(\{.*?\})` \| (\d+) \| (.*?) \|$", (ROOT / "docs" / "determinism.md").read_text(), re.M)
    assert len(rows) >= 10
    for rule, attempt, decided in rows:
        match = [
            vector for vector in VECTORS
            if json.loads(rule) == vector["rule"] and int(attempt) == vector["attempt"]
            and (vector["seed"], vector["run"], vector["path"]) == (20150223, "", "/flags/br/br.gif")
        ]
        assert len(match) == 1 and json.loads(decided.strip("`")) == match[0]["decision"], rule


@pytest.mark.parametrize("bits", [1, 3, 1024])
def test_the_flipped_bits_of_a_body_are_the_computed_ones(server, tmp_path, bits):
    scenario = tmp_path / "rot.toml"
    scenario.write_text(f'rule = [{{ name = "rot", fault = "corrupt", bits = {bits} }}]')
    path = "/flags/lv/lv.gif"
    stream = words(20150223, "rot", "", "GET", path, 1)
    next(stream)  # the coin
    right = (ROOT / "flags_data" / path.lstrip("/")).read_bytes()
    with server("--scenario", str(scenario), "--port", "0") as running:
        with urllib.request.urlopen(running.flags().removesuffix("/flags") + path) as response:
            found = response.read()
    assert found == flip(right, [next(stream) for _ in range(bits)]) != right
