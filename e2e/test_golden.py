"""decision.py and the server's tests pin the same vectors."""

import http.client
import json
import re
import urllib.request

import pytest
from conftest import ROOT
from decision import (
    canonical,
    country,
    decide,
    decide_all,
    flip,
    run_in,
    teapot_and_delay,
    words,
)

GOLDEN = json.loads((ROOT / "docs" / "golden-vectors.json").read_text())
VECTORS = GOLDEN["decisions"]
SPELLINGS = GOLDEN["spellings"]


def test_the_vectors_of_the_servers_tests_are_those_of_the_second_implementation():
    source = (ROOT / "server" / "tests" / "decisions.rs").read_text()
    rows = re.findall(r'\(\s*([\d_]+|u64::MAX),\s*"(.*?)",\s*"(.*?)",\s*([\d_]+|u32::MAX),\s*(\d+),\s*([\d_]+),?\s*\)', source)
    assert len(rows) == 7
    number = {"u64::MAX": 2**64 - 1, "u32::MAX": 2**32 - 1}
    for seed, run_, path, attempt, status, nanos in rows:
        computed = teapot_and_delay(
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


def test_the_vectors_of_groups_are_those_of_the_second_implementation():
    assert len(GOLDEN["groups"]) >= 20
    for vector in GOLDEN["groups"]:
        request = (vector[key] for key in ("seed", "run", "method", "path", "attempt"))
        assert decide_all(vector["rules"], *request) == vector["decisions"], vector


def test_every_vector_of_the_documents_is_among_them():
    rows = re.findall(r"^\| `(\{.*?\})` \| (\d+) \| (.*?) \|$", (ROOT / "docs" / "determinism.md").read_text(), re.M)
    assert len(rows) >= 10
    for rule, attempt, decided in rows:
        match = [
            vector for vector in VECTORS
            if json.loads(rule) == vector["rule"] and int(attempt) == vector["attempt"]
            and (vector["seed"], vector["run"], vector["path"]) == (20150223, "", "/flags/br/br.gif")
        ]
        assert len(match) == 1 and json.loads(decided.strip("`")) == match[0]["decision"], rule


def test_the_vectors_of_spellings_are_those_of_the_second_implementation():
    assert len(SPELLINGS) >= 20
    for vector in SPELLINGS:
        path = canonical(vector["target"])
        assert (path, country(path)) == (vector["path"], vector["cc"]), vector
        assert run_in(vector["target"]) == vector.get("run"), vector


def test_the_server_decides_about_the_canonical_path_of_every_spelling(server, tmp_path):
    """A rule for each country fires for its files alone; the decision log has the path and the rule."""
    codes = {vector["cc"] for vector in SPELLINGS if vector["cc"]}
    scenario, log = tmp_path / "countries.toml", tmp_path / "decisions.jsonl"
    scenario.write_text("\n".join(
        f'[[rule]]\nname = "{code}"\nfault = "status"\nstatus = 418\nmatch = {{ cc = ["{code}"] }}' for code in codes
    ))
    with server("--scenario", str(scenario), "--port", "0", "--decision-log", str(log)) as running:
        connection = http.client.HTTPConnection(running.flags().removeprefix("http://").removesuffix("/flags"))
        for number, vector in enumerate(SPELLINGS):
            headers = {} if "run" in vector else {"flag-run": f"spelling-{number}"}
            connection.request("GET", vector["target"], headers=headers)
            response = connection.getresponse()
            response.read()
            assert (response.status == 418) == bool(vector["cc"]), vector
        connection.close()
        running.stop()
    lines = {line["run"]: line for line in map(json.loads, log.read_text().splitlines())}
    for number, vector in enumerate(SPELLINGS):
        line = lines.pop(vector.get("run", f"spelling-{number}"), None)
        if not re.match("/(flags|uploads)/.", vector["path"]):
            assert line is None, "there are no decisions about other paths"
            continue
        assert line["path"] == vector["path"], vector
        assert line["plan"]["rules"] == [vector["cc"]] * bool(vector["cc"]), vector
    assert not lines


@pytest.mark.parametrize("bits", [1, 3, 1024])
def test_the_flipped_bits_of_a_body_are_the_computed_ones(server, tmp_path, bits):
    scenario = tmp_path / "rot.toml"
    scenario.write_text(f'rule = [{{ name = "rot", fault = "corrupt", bits = {bits} }}]')
    path = "/flags/lv/lv.gif"
    stream = words(20150223, "rot", "", "GET", path, 1)
    next(stream)  # the probability word
    right = (ROOT / "flags_data" / path.lstrip("/")).read_bytes()
    with server("--scenario", str(scenario), "--port", "0") as running:
        with urllib.request.urlopen(running.flags().removesuffix("/flags") + path) as response:
            found = response.read()
    assert found == flip(right, [next(stream) for _ in range(bits)]) != right
