"""The gate itself: what it runs, and what its two forms share."""

import re
import sys
import tomllib
from pathlib import Path

from conftest import ROOT, run

GATE = (ROOT / ".ci" / "run").read_text()


def read(manifest):
    return tomllib.loads(manifest.read_text())


FUZZ = read(ROOT / "fuzz" / "Cargo.toml")
MEMBERS = read(ROOT / "Cargo.toml")["workspace"]["members"]


def test_each_fuzz_target_has_a_feature_of_its_name_and_seeds():
    targets = [target["name"] for target in FUZZ["bin"]]
    assert sorted(targets) == sorted(FUZZ["features"]["default"])
    for target in FUZZ["bin"]:
        name = target["name"]
        assert target["required-features"] == [name] and name in FUZZ["features"]
        assert (ROOT / "fuzz" / target["path"]).is_file()
        assert any((ROOT / "fuzz" / "seeds" / name).iterdir())


def test_both_forms_fuzz_every_target():
    [command] = re.findall(r"mapfile -t targets < <\((sed .*)\)$", GATE, re.M)
    assert run("bash", "-c", command, cwd=ROOT).stdout.split() == [target["name"] for target in FUZZ["bin"]]


def test_the_images_can_be_built_without_the_tests():
    """cargo looks for a test or an example without a path in folders that `.dockerignore` leaves out."""
    manifests = [ROOT / member / "Cargo.toml" for member in MEMBERS]
    targets = [target for path in manifests for kind in ("test", "example") for target in read(path).get(kind, [])]
    assert targets
    assert all("path" in target for target in targets), targets


def test_the_images_are_built_from_every_crate():
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {f"!{name}" for name in ("Cargo.toml", "Cargo.lock", *MEMBERS)} == {line for line in ignored if "!" in line}


def test_the_python_code_passes_ruff():
    """With the rules of `ruff.toml`."""
    result = run(Path(sys.executable).parent / "ruff", "check", "--no-cache", ".", cwd=ROOT)
    assert result.returncode == 0, result.stdout
