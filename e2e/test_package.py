"""The archive of a release, made as in a release, except that the programs are those of this build."""

import json
import platform
import re
import shutil
import subprocess
import tarfile
import tomllib
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader

import pytest
from conftest import ROOT, run
from ruamel.yaml import YAML

PACKAGE = ROOT / ".ci" / "package"
VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
RELEASE = YAML(typ="safe").load(ROOT / ".github" / "workflows" / "release.yml")
TARGETS = [entry["target"] for entry in RELEASE["jobs"]["archive"]["strategy"]["matrix"]["include"]]
HERE = f"{platform.machine()}-unknown-linux-gnu"
NAME = f"flagbench-{VERSION}-{HERE}"
PROGRAMS = "flag-server", "flag-client"


@pytest.fixture
def folder(packages):
    return packages


def test_the_archive_holds_programs_documents_licences_completions_and_manual_pages(folder):
    archive = {f"{NAME}.tar.gz", f"{NAME}.tar.gz.sha256", f"{NAME}.cdx.json"}
    assert {path.name for path in folder.iterdir() if path.suffix not in (".whl", ".tgz")} == archive
    with tarfile.open(folder / f"{NAME}.tar.gz") as archive:
        files = {entry.name: entry for entry in archive if entry.isfile()}
        licences = archive.extractfile(f"{NAME}/LICENSES-THIRD-PARTY.txt").read().decode()
    pages = {name for name in files if name.startswith(f"{NAME}/man/")}
    expected = {"README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE", "LICENSES-THIRD-PARTY.txt"}
    for program in PROGRAMS:
        assert files[f"{NAME}/{program}"].mode & 0o111
        assert f"{NAME}/man/{program}.1" in pages
        expected.add(program)
        for file in "{}.bash", "_{}", "{}.fish", "_{}.ps1", "{}.elv":
            expected.add(f"completions/{file.format(program)}")
    assert files.keys() - pages == {f"{NAME}/{name}" for name in expected}
    assert all(entry.size > 0 for entry in files.values())
    # A licence that every program needs, one of the server, one of the client, and one needed by tests only.
    for name in "clap", "axum", "ureq":
        assert re.search(rf"^{name} \d", licences, re.M)
    assert not re.search(r"^proptest \d", licences, re.M)


def test_the_bill_of_materials_lists_what_the_licences_are_of(folder):
    bill = json.loads((folder / f"{NAME}.cdx.json").read_text())
    with tarfile.open(folder / f"{NAME}.tar.gz") as archive:
        licences = archive.extractfile(f"{NAME}/LICENSES-THIRD-PARTY.txt").read().decode()
    packages = set(re.findall(r"^([\w-]+) (\d+\.\S+): ", licences, re.M))
    assert {(component["name"], component["version"]) for component in bill["components"]} == packages
    for component in bill["components"]:
        assert re.fullmatch(r"[\da-f]{64}", component["hashes"][0]["content"]), component


def test_the_checksum_is_one_that_sha256sum_can_check(folder):
    result = run("sha256sum", "--check", "--strict", f"{NAME}.tar.gz.sha256", cwd=folder)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_cargo_binstall_finds_each_archive_and_its_programs(program, target):
    """https://github.com/cargo-bins/cargo-binstall/blob/main/SUPPORT.md"""
    manifest = tomllib.loads((ROOT / program.removeprefix("flag-") / "Cargo.toml").read_text())
    settings = manifest["package"]["metadata"]["binstall"]
    settings = settings | settings["overrides"].get(target, {})
    repository = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["repository"]
    ending, kind, suffix = ("zip", "zip", ".exe") if "windows" in target else ("tar.gz", "tgz", "")
    values = {"repo": repository, "version": VERSION, "target": target, "bin": program, "binary-ext": suffix}
    fill = lambda template: re.sub(r"\{ ([\w-]+) \}", lambda name: values[name[1]], template)
    name = f"flagbench-{VERSION}-{target}"
    assert fill(settings["pkg-url"]) == f"{repository}/releases/download/v{VERSION}/{name}.{ending}"
    assert fill(settings["bin-dir"]) == f"{name}/{program}{suffix}"
    assert settings["pkg-fmt"] == kind


@pytest.fixture
def notes(tmp_path):
    """The release notes of a tag, with this changelog."""

    def notes(tag: str, changelog: str) -> subprocess.CompletedProcess:
        (tmp_path / ".ci").mkdir()
        shutil.copy(PACKAGE, tmp_path / ".ci")
        shutil.copy(ROOT / "Cargo.toml", tmp_path)
        (tmp_path / "CHANGELOG.md").write_text(changelog)
        return run(tmp_path / ".ci" / "package", "--notes", tag)

    return notes


def test_the_notes_of_a_release_are_its_section_of_the_changelog(notes):
    changelog = f"# Changelog\n\n## Unreleased\n\nLater.\n\n## {VERSION} - 2026-12-24\n\n### Added\n\n- All.\n\n## 0.0.1\n\nOld.\n"
    assert notes(f"v{VERSION}", changelog).stdout == "### Added\n\n- All.\n"


@pytest.mark.parametrize(("tag", "remedy"), [("v99.0.0", f"it would be v{VERSION}"), (f"v{VERSION}", "rename Unreleased")])
def test_a_release_without_a_changelog_section_is_refused(notes, tag, remedy):
    result = notes(tag, "# Changelog\n\n## Unreleased\n\n- All.\n")
    assert (result.returncode, result.stdout) == (1, "")
    assert remedy in result.stderr


@pytest.mark.parametrize(("version", "python"), [("1.2.3", "1.2.3"), ("1.0.0-rc.1", "1.0.0rc1"), ("1.0.0-alpha.2", "1.0.0a2"), ("1.0.0-beta.3", "1.0.0b3")])
def test_a_version_before_a_release_is_spelled_as_python_does(version, python):
    loader = SourceFileLoader("package", str(PACKAGE))
    module = module_from_spec(spec_from_loader("package", loader))
    loader.exec_module(module)
    module.version = lambda: version
    assert module.python_version() == python
