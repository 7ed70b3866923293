"""The patch of docs/adding-a-fault.md applies, passes the tests of the scenario crate and its own, and has its effect.

The copy is built in a separate folder, so that the programs of the other tests do not change.
"""

import os
import re
import subprocess
import urllib.request

import pytest
from conftest import ROOT, run

PAGE = ROOT / "docs" / "adding-a-fault.md"
PATCH = ROOT / "docs" / "adding-a-fault.patch"


def changed_files() -> dict[str, int]:
    """The files of the patch, each with the number of lines that it adds."""
    result = run("git", "apply", "--numstat", PATCH, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    rows = (line.split("\t") for line in result.stdout.splitlines())
    return {file: int(added) for added, _removed, file in rows}


def test_the_page_lists_the_files_of_the_patch_with_their_added_lines():
    rows = re.findall(r"^\| \[`(.*?)`\]\(\.\./(.*?)\) \| (\d+) \|", PAGE.read_text(), re.M)
    assert all(name == target for name, target, _ in rows)
    assert {name: int(added) for name, _, added in rows} == changed_files()
    assert len(rows) == len(changed_files())


def test_the_patch_applies():
    result = run("git", "apply", "--check", PATCH, cwd=ROOT)
    assert result.returncode == 0, result.stderr


@pytest.mark.long
def test_a_server_with_the_patch_has_the_new_kind(tmp_path):
    tree = tmp_path / "tree"
    files = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", cwd=ROOT).stdout.split("\0")
    for file in filter(None, files):
        source, copy = ROOT / file, tree / file
        if source.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(source.read_bytes())
    applied = run("git", "apply", PATCH, cwd=tree)
    assert applied.returncode == 0, applied.stderr

    target = ROOT / "target" / "adding-a-fault"
    environment = {**os.environ, "CARGO_TARGET_DIR": str(target)}
    for command in (
        "test --locked -p flag-scenario",
        "test --locked -p flag-server --test docs --test faults_http1",
        "build --locked -p flag-server",
    ):
        subprocess.run(["cargo", *command.split()], cwd=tree, env=environment, check=True)

    scenario = tmp_path / "empty.toml"
    scenario.write_text('[[rule]]\nfault = "empty"\nmatch = { cc = "EE" }\n')
    program = target / "debug" / "flag-server"
    server = subprocess.Popen([program, "--scenario", scenario, "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        _name, url = server.stdout.readline().split()
        with urllib.request.urlopen(f"{url}/flags/ee/ee.gif") as response:
            assert (response.status, response.headers["content-length"], response.read()) == (200, "0", b"")
            assert response.headers["flag-plan"] == "empty-1"
        with urllib.request.urlopen(f"{url}/flags/br/br.gif") as response:
            assert response.read() == (ROOT / "flags_data/flags/br/br.gif").read_bytes()
    finally:
        server.kill()
        server.wait()
