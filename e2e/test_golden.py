"""decision.py and the server's tests pin the same vectors."""

import re

from conftest import ROOT, run
from decision import fate


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
