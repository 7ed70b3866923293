"""The wheel for Python, made from the programs of this build, and its pytest plugin, in an environment of its own."""

import base64
import os
import platform
import re
import signal
import subprocess
import sys
import textwrap
import time
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest
from conftest import ROOT, run

# A client that gives up at the first failure, and one that does not.
CLIENT = """
from urllib.error import HTTPError
from urllib.request import urlopen

BUSY = '''
[[rule]]
fault = "status"
status = 503
attempts = { first = 2 }
'''

def download(url, attempts):
    for attempt in range(1, attempts + 1):
        try:
            return urlopen(url, timeout=10).read()
        except HTTPError:
            if attempt == attempts:
                raise
"""


@pytest.fixture(scope="module")
def wheel(packages) -> Path:
    [wheel] = packages.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory) -> Path:
    """The Python of an environment with the wheel, beside the pytest of this one. Nothing is fetched."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    assert run(sys.executable, "-m", "venv", "--without-pip", folder).returncode == 0
    program = folder / "bin" / "python"
    words = "--python", program, "install", "--quiet", "--no-index", "--no-deps", "--find-links", wheel.parent, "flagbench"
    result = run(sys.executable, "-m", "pip", "--disable-pip-version-check", *words)
    assert result.returncode == 0, result.stderr
    [packages] = (folder / "lib").glob("python*/site-packages")
    here = next(path for path in sys.path if path.endswith("site-packages"))
    (packages / "of-the-tests.pth").write_text(here + "\n")
    return program


def check(python: Path, folder: Path, test: str, *options, client: str = CLIENT, **environment) -> subprocess.CompletedProcess:
    """Runs a file of tests with the plugin, and no environment but what is named."""
    (folder / "test_it.py").write_text(client + textwrap.dedent(test))
    keep = {name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ}
    words = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    return subprocess.run(
        [str(word) for word in words], cwd=folder, env=keep | environment, capture_output=True, text=True, timeout=300, check=False
    )


def servers() -> set[int]:
    """The processes of all servers."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"/flag-server") and b"--until-stdin-closes" in words:
            found.add(int(path.parent.name))
    return found


def assert_leaves_no_server(process: subprocess.Popen, ready: Path, kill: signal.Signals, before: set[int]) -> None:
    """Kills a process that has started one server, once it says that it is ready."""
    deadline = time.monotonic() + 60
    while not ready.exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    assert len(servers() - before) == 1
    process.send_signal(kill)
    process.wait(timeout=60)
    # A second, and on a busy machine a while for it to be noticed.
    deadline = time.monotonic() + 10
    while servers() - before:
        assert time.monotonic() < deadline, "a server is left"
        time.sleep(0.02)


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch):
    """The gate names the programs by this variable, which would be found before those of the package."""
    monkeypatch.delenv("FLAGBENCH_BIN", raising=False)


# The wheel


def test_packages_are_the_same_bytes_when_they_are_made_twice(packages_of_stand_ins):
    first, second = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in packages_of_stand_ins)
    assert first == second and len(first) == 3


def test_the_wheel_has_programs_that_can_be_started_and_lists_what_it_has(wheel):
    name, version, *_, tags = wheel.stem.split("-")
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(wheel) as zipped:
        modes = {entry.filename: entry.external_attr >> 16 & 0o777 for entry in zipped.infolist()}
        programs = {f"{name}-{version}.data/scripts/{program}" for program in ("flag-server", "flag-client")}
        assert {path for path, mode in modes.items() if mode == 0o755} == programs
        assert "flagbench/py.typed" in modes
        *rows, last = zipped.read(f"{info}/RECORD").decode().splitlines()
        assert last == f"{info}/RECORD,,"
        listed = set()
        for row in rows:
            path, digest, size = row.split(",")
            content = zipped.read(path)
            assert digest == "sha256=" + base64.urlsafe_b64encode(sha256(content).digest()).rstrip(b"=").decode()
            assert int(size) == len(content)
            listed.add(path)
        assert listed | {f"{info}/RECORD"} == set(modes)
        said = re.findall(r"^Tag: py3-none-(.*)$", zipped.read(f"{info}/WHEEL").decode(), re.M)
        assert ".".join(said) == tags and f"manylinux_2_17_{platform.machine()}" in said
        metadata = zipped.read(f"{info}/METADATA").decode()
    assert f"\nVersion: {version}\n" in metadata and "License-Expression: MIT OR Apache-2.0" in metadata


def test_each_way_to_start_the_programs_works(python, tmp_path):
    folder = python.parent
    for words in (
        [folder / "flag-server", "--version"],
        [folder / "flagbench", "server", "--version"],
        [python, "-m", "flagbench", "server", "--version"],
    ):
        assert run(*words).stdout.startswith("flag-server "), words
    for words in ([folder / "flag-client", "--version"], [folder / "flagbench", "--version"], [python, "-m", "flagbench", "client", "--version"]):
        assert run(*words).stdout.startswith("flag-client "), words


def test_a_program_that_is_not_there_is_named_with_the_remedy(python, tmp_path, monkeypatch):
    monkeypatch.setenv("FLAGBENCH_BIN", str(tmp_path))
    result = run(python, "-m", "flagbench")
    assert result.returncode == 1
    assert result.stderr == f"error: flag-client is not in FLAGBENCH_BIN={tmp_path}: install flagbench from a wheel for this platform\n"


# The plugin


def test_a_client_under_test_fails_in_the_example_of_the_readme(python, tmp_path):
    example = re.search(r"```python\n(.*?)```", (ROOT / "python" / "README.md").read_text(), re.S)[1]
    result = check(python, tmp_path, example, client="")
    assert result.returncode == 1 and "HTTP Error 503" in result.stdout, result.stdout
    result = check(python, tmp_path, "def test_it(flags):\n    flags.scenario(BUSY)\n    assert download(flags.image_url('br'), 3)[:3] == b'GIF'")
    assert result.returncode == 0, result.stdout


TESTS = """
import pytest

@pytest.mark.parametrize("number", range(NUMBER))
def test_each_meets_its_own_scenario(flag_scenario, number):
    status = 500 + number % 50
    flags = flag_scenario(f'rule = [{{ fault = "status", status = {status}, attempts = {{ first = 1 }} }}]')
    assert download(flags.image_url("br"), 2).startswith(b"GIF89a")
    records = flags.records(count=2)
    assert [record.status for record in records] == [status, 200]
    assert records[0].header("User-Agent").startswith("Python-urllib")
    assert records[1].received >= records[0].received + records[0].took
"""


@pytest.mark.parametrize("workers", [0, 4])
def test_many_tests_share_one_server(python, tmp_path, pytestconfig, workers):
    number = 1000 if pytestconfig.getoption("--long") else 100
    before = servers()
    options = ("-n", workers) if workers else ()
    started = tmp_path / "started"
    spy = f"\n\n@pytest.fixture(autouse=True)\ndef note(flags):\n    print(flags.server.url, file=open({str(started)!r}, 'a'))\n"
    result = check(python, tmp_path, TESTS.replace("NUMBER", str(number)) + spy, *options)
    assert result.returncode == 0, result.stdout
    assert f"{number} passed" in result.stdout
    assert len(set(started.read_text().split())) == 1, "one server for all"
    assert servers() <= before


def test_a_variable_of_somebody_elses_server_and_a_proxy_change_nothing(python, tmp_path):
    test = TESTS.replace("NUMBER", "1")
    result = check(python, tmp_path, test, FLAG_SERVER_PORT="1", FLAG_SERVER_SEED="x", HTTP_PROXY="http://127.0.0.1:9", http_proxy="http://127.0.0.1:9")
    assert result.returncode == 0, result.stdout


def test_a_rerun_is_another_run(python, tmp_path):
    test = """
    def test_it(flags):
        flags.scenario(BUSY)
        assert download(flags.image_url("br"), 2)
    """
    result = check(python, tmp_path, test, "--reruns", "2")
    assert "1 failed, 2 rerun" in result.stdout, result.stdout


def test_a_test_meets_the_same_from_whichever_folder(python, tmp_path):
    test = """
    def test_it(flags):
        print(flags.name)
        assert False
    """
    (tmp_path / "sub").mkdir()
    names = set()
    for folder, options in ((tmp_path / "sub", ()), (tmp_path, ("sub",))):
        check(python, tmp_path / "sub", test)
        result = subprocess.run([python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options], cwd=folder, capture_output=True, text=True, check=False)
        names |= set(re.findall(r"^test_it::.*$", result.stdout, re.M))
    assert names == {"test_it::test_it"}


def test_what_is_wrong_is_told_in_the_servers_words(python, tmp_path):
    test = r"""
    import pytest
    from flagbench import ControlError, FlagServer, Incomplete, StartError

    def test_a_scenario(flags):
        with pytest.raises(ControlError, match=r"line 1: rule\[1\].fault: .*use one of"):
            flags.scenario('rule = [{ fault = "statuss" }]')

    def test_a_start():
        with pytest.raises(StartError, match="there is no such profile"):
            FlagServer("--profile", "nothing")

    def test_too_few_records(flags):
        with pytest.raises(Incomplete, match="0 records after 0.05 s"):
            flags.records(count=1, wait=0.05)
    """
    result = check(python, tmp_path, test)
    assert result.returncode == 0, result.stdout


def test_a_server_that_runs_already_is_used(python, tmp_path, server):
    with server("--profile", "local", "--port", "0", "--control", "127.0.0.1:0") as running:
        variables = {"FLAGS_URL": running.flags(), "FLAGS_CONTROL_URL": running.control}
        test = TESTS.replace("NUMBER", "1") + f"\n\ndef test_it_is_that(flags):\n    assert flags.server.flags_url == {running.flags()!r}\n"
        result = check(python, tmp_path, test, **variables)
        assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("kill", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_runner_that_is_killed_leaves_no_server(python, tmp_path, kill, workers):
    (tmp_path / "test_it.py").write_text("import time\n\ndef test_it(flags):\n    open('ready', 'w').close()\n    time.sleep(60)\n")
    before = servers()
    words = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(["-n", str(workers)] if workers else [])]
    process = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        assert_leaves_no_server(process, tmp_path / "ready", kill, before)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def test_the_package_is_typed(python, tmp_path):
    mypy = Path(sys.executable).with_name("mypy")
    result = run(mypy, "--strict", "--cache-dir", tmp_path, "--python-version", "3.10", "src", cwd=ROOT / "python")
    assert result.returncode == 0, result.stdout
