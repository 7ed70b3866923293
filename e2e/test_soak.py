"""The short form of bench/soak.sh: a few seconds of it."""

import subprocess
import sys

from conftest import BIN, ROOT


def test_a_server_under_load_and_rude_clients_stays_as_it_was():
    options = ["--seconds", "12", "--connections", "50", "--rate", "200"]
    command = [sys.executable, ROOT / "bench" / "soak.py", "--bins", BIN, *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("\nok ") == 6, done.stdout
