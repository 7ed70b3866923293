"""The files that GitHub reads, checked as far as possible without it: workflows, issue forms, dependency updates.

Their schemas, their scripts, and the files of the repository that they use.
"""

import re
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import ROOT, run
from ruamel.yaml import YAML

FORMS = ROOT / ".github" / "ISSUE_TEMPLATE"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TEXTS = {path: YAML(typ="safe").load(path) for path in WORKFLOWS}
JOBS = [pytest.param(job, id=f"{path.stem}: {name}") for path, text in TEXTS.items() for name, job in text["jobs"].items()]
SCRIPTS = [
    pytest.param(step["run"], id=f"{path.stem}: {name}: {step['run'].splitlines()[0]}")
    for path, text in TEXTS.items()
    for name, job in text["jobs"].items()
    for step in job.get("steps", [])
    if "run" in step
]


def assert_valid(schema: str, *files: Path):
    check = Path(sys.executable).parent / "check-jsonschema"
    result = run(check, "--builtin-schema", f"vendor.{schema}", *files)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_workflows_follow_githubs_schema():
    assert_valid("github-workflows", *WORKFLOWS)


def test_the_issue_forms_and_dependency_updates_follow_githubs_schemas():
    config = FORMS / "config.yml"
    assert_valid("github-issue-config", config)
    assert_valid("github-issue-forms", *(path for path in FORMS.glob("*.yml") if path != config))
    assert_valid("dependabot", ROOT / ".github" / "dependabot.yml")


def test_every_dependency_file_is_updated():
    updates = YAML(typ="safe").load(ROOT / ".github" / "dependabot.yml")["updates"]
    folders = {folder for update in updates for folder in update.get("directories", [update.get("directory")])}
    for file in "Cargo.toml", "fuzz/Cargo.toml", "e2e/requirements.txt", "Dockerfile":
        assert f"/{Path(file).parent}".replace("/.", "/") in folders, file


def test_the_steps_of_the_gate_are_jobs():
    usage = run(ROOT / ".ci" / "run", "no-such-step")
    assert usage.returncode == 2
    steps = re.search(r"^steps: (.*)$", usage.stderr, re.M)[1].split()
    jobs = TEXTS[ROOT / ".github" / "workflows" / "ci.yml"]["jobs"]["gate"]["strategy"]["matrix"]["step"]
    assert sorted(" ".join(jobs).split()) == sorted(steps)


@pytest.mark.parametrize("workflow", TEXTS.values(), ids=[path.stem for path in TEXTS])
def test_a_workflow_grants_only_read_access_by_default(workflow):
    assert workflow["permissions"] in ({}, {"contents": "read"})
    assert "group" in workflow["concurrency"]


@pytest.mark.parametrize("job", JOBS)
def test_a_job_has_a_time_limit_and_uses_only_githubs_own_actions_by_commit(job):
    if "uses" in job:  # a workflow, whose jobs end by themselves
        assert (ROOT / job["uses"]).is_file()
        return
    assert job["timeout-minutes"] <= 90
    for step in job["steps"]:
        if "uses" in step:
            assert re.fullmatch(r"actions/[\w-]+@[\da-f]{40}", step["uses"])
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", WORKFLOWS, ids=[path.stem for path in WORKFLOWS])
def test_a_commit_of_an_action_names_its_version_and_has_one_only(path):
    """Dependabot writes both when it updates one."""
    uses = re.findall(r"uses: (?!\./)(.*)", path.read_text())
    assert uses
    for line in uses:
        assert re.fullmatch(r"[\w/-]+@[\da-f]{40} # v\d+\.\d+\.\d+", line), line
    pinned = {line.split("@")[0] for other in WORKFLOWS for line in re.findall(r"uses: (?!\./)(.*)", other.read_text())}
    everywhere = {line for other in WORKFLOWS for line in re.findall(r"uses: (?!\./)(.*)", other.read_text())}
    assert len(everywhere) == len(pinned), "one action has two versions"


def test_images_that_run_in_workflows_are_named_by_digest():
    for path in WORKFLOWS:
        images = re.findall(r"(?:FROM |--from=|RUST_IMAGE: )(\S+)", path.read_text())
        assert all(re.fullmatch(r"[\w.:-]+@sha256:[\da-f]{64}", image) for image in images), images
    release = TEXTS[ROOT / ".github" / "workflows" / "release.yml"]["env"]["RUST_IMAGE"]
    assert f"\nARG RUST_IMAGE={release.split('@')[0]}\n" in (ROOT / "Dockerfile").read_text()


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_passes_shellcheck_and_calls_existing_files(script):
    assert "${{" not in script, "an expression may contain anything; it belongs in `env`"
    result = run("bash", "-n", "-c", script)
    assert (result.returncode, result.stderr) == (0, "")
    for path in re.findall(r"(?<![\w/])\.ci/\w+", script):
        assert (ROOT / path).stat().st_mode & 0o111


def test_the_toolchain_is_the_documented_one():
    read = lambda name: tomllib.loads((ROOT / name).read_text())
    promised = read("Cargo.toml")["workspace"]["package"]["rust-version"]
    pinned = read("rust-toolchain.toml")["toolchain"]["channel"]
    assert pinned.startswith(f"{promised}.")
    for path, workflow in TEXTS.items():
        assert workflow["env"]["RUSTUP_TOOLCHAIN"] == pinned
        assert all(image == pinned for image in re.findall(r"FROM rust:([\d.]+)", path.read_text()))
    assert re.findall(r"^ARG RUST_IMAGE=rust:([\d.]+)", (ROOT / "Dockerfile").read_text(), re.M) == [promised]
