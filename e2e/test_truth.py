"""The short form of bench/truth.sh: what holds on any machine."""

import subprocess
import sys

import pytest
from conftest import BIN, ROOT

# On a busy machine the other two only take longer.
PARTS = [pytest.param("gate", marks=pytest.mark.alone), "queue", "percentiles"]


@pytest.mark.parametrize("part", PARTS)
def test_the_numbers_agree_with_a_truth_that_is_known_otherwise(part):
    command = [sys.executable, ROOT / "bench" / "truth.py", "--bins", BIN, "--short", "--only", part]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout
    assert "ok " in done.stdout
    assert "WRONG" not in done.stdout
