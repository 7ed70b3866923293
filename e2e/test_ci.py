"""The recipes of docs/ci.md, run unchanged; and the action, run as a runner would."""

import json
import os
import platform
import re
import shlex
import shutil
import signal
import sys
import tarfile
import threading
import time
import tomllib
from contextlib import suppress
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import urlopen

import pytest
from conftest import BIN, CLIENT, ROOT, SERVER, run
from decision import decide
from ruamel.yaml import YAML

RECIPES = ROOT / "examples" / "ci"
RETRY = RECIPES / "retry.toml"
VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
STOPPED = "stopped: every request was answered"


def needs(tool: str):
    return pytest.mark.skipif(shutil.which(tool) is None, reason=f"{tool} is not on this machine")


def yaml(path: Path) -> dict:
    return YAML(typ="safe").load(path)


# What the document shows


def test_the_document_quotes_every_recipe_unchanged():
    document = (ROOT / "docs" / "ci.md").read_text()
    shown = re.findall(r"^\[`(examples/ci/[^`]+)`\]\(\.\./\1\)[^\n]*\n\n```\w+\n(.*?)^```$", document, re.M | re.S)
    files = (path for path in RECIPES.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    assert dict(shown) == {str(path.relative_to(ROOT)): path.read_text() for path in files}


# The recipes of languages; the one in Rust is a test of the client's crate


@pytest.fixture
def recipes(tmp_path, monkeypatch):
    """A copy of the recipes, and a flag-server in the path that records each start."""
    folder = tmp_path / "recipes"
    shutil.copytree(RECIPES, folder, ignore=shutil.ignore_patterns("__pycache__"))
    program = tmp_path / "bin" / "flag-server"
    program.parent.mkdir()
    starts = tmp_path / "starts"
    starts.touch()
    server, log = shlex.quote(str(SERVER)), shlex.quote(str(tmp_path / "decisions.jsonl"))
    program.write_text(f'#!/bin/sh\necho "$*" >>{shlex.quote(str(starts))}\nexec {server} --decision-log {log} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    # The packages, as they are in the sources: other tests install them.
    monkeypatch.setenv("FLAGBENCH_BIN", str(program.parent))
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "python" / "src"))
    monkeypatch.setenv("PYTEST_PLUGINS", "flagbench.pytest_plugin")
    monkeypatch.delenv("FLAGS_URL", raising=False)
    modules = folder / "node" / "node_modules"
    modules.mkdir()
    (modules / "flagbench").symlink_to(ROOT / "npm" / "flagbench")
    return folder


@pytest.fixture
def broken(recipes, tmp_path):
    """The recipes, and a flag-server that does not start."""
    program = tmp_path / "bin" / "flag-server"
    program.write_text("#!/bin/sh\necho 'error: it is out of order' >&2\nexit 2\n")
    return recipes


def sent_statuses(folder: Path) -> dict[tuple[str, str], list[int]]:
    """The statuses of each (run, code) that the one server of this test sent, after checking that they are as planned."""
    assert len((folder / "starts").read_text().splitlines()) == 1, "one server for all"
    scenario = tomllib.loads(RETRY.read_text())
    sent = {}
    for line in (folder / "decisions.jsonl").read_text().splitlines():
        record = json.loads(line)
        if record["run"].endswith("in_the_middle_of_a_test"):
            continue  # it has other scenarios
        statuses = sent.setdefault((record["run"], record["path"].split("/")[2]), [])
        statuses.append(record["sent"]["status"])
        request = (record["run"], record["method"], record["path"], record["attempt"])
        assert record["attempt"] == len(statuses), "each run has its own count"
        assert record["sent"]["status"] == (503 if record["attempt"] <= 2 else 200)
        delay = decide(scenario["rule"][1], scenario["seed"], *request)["delay_ns"]
        assert record["plan"]["delay_ms"] == pytest.approx(delay / 1e6, abs=1e-6), "each run has its own decisions"
    return sent


@pytest.mark.parametrize("workers", [0, 4])
def test_the_python_tests_share_a_server_with_a_run_each(recipes, tmp_path, workers):
    options = ("-p", "no:cacheprovider", "-n", workers)
    result = run(sys.executable, "-m", "pytest", *options, "--rootdir", recipes, recipes / "python", cwd=recipes)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "8 passed" in result.stdout
    assert ("4 workers" in result.stdout) == (workers == 4)
    name = "test_downloads::test_{}".format
    expected = {(name("each_flag_has_attempts_of_its_own"), cc): [503, 503, 200] for cc in ("br", "jp", "us")}
    for cc in ("br", "jp", "us"):
        expected[name(f"a_download_survives_two_failures[{cc}]"), cc] = [503, 503, 200]
        expected[name(f"a_download_gives_up_after_its_last_attempt[{cc}]"), cc] = [503, 503]
    assert sent_statuses(tmp_path) == expected


def test_the_python_tests_use_a_server_that_is_already_running(recipes, server, tmp_path, monkeypatch):
    with server("--profile", "local", "--port", "0", "--control", "127.0.0.1:0") as running:
        monkeypatch.setenv("FLAGS_URL", running.flags())
        monkeypatch.setenv("FLAGS_CONTROL_URL", running.control)
        result = run(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", recipes / "python", cwd=recipes)
    assert result.returncode == 0, result.stdout + result.stderr
    assert (tmp_path / "starts").read_text() == ""


def test_the_python_tests_say_why_the_server_does_not_start(broken):
    result = run(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", broken / "python", cwd=broken)
    assert result.returncode == 1
    assert "flagbench._server.StartError: error: it is out of order" in result.stdout


@needs("node")
def test_the_node_tests_share_a_server_with_a_run_each(recipes, tmp_path):
    result = run("node", "--test", "--test-reporter=tap", recipes / "node" / "downloads.test.mjs")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "# pass 6\n# fail 0\n# cancelled 0\n# skipped 0" in result.stdout
    survived = {(f"of {cc} survives two failures", cc): [503, 503, 200] for cc in ("br", "jp", "us")}
    gave_up = {(f"of {cc} gives up after its last attempt", cc): [503, 503] for cc in ("br", "jp", "us")}
    assert sent_statuses(tmp_path) == survived | gave_up


@needs("node")
def test_the_node_tests_say_why_the_server_does_not_start(broken):
    result = run("node", "--test", "--test-reporter=tap", broken / "node" / "downloads.test.mjs")
    assert result.returncode == 1
    assert "error: it is out of order" in result.stdout


@pytest.mark.long
@needs("go")
def test_the_go_tests_share_a_server_with_a_run_each(recipes, tmp_path):
    result = run("go", "test", "-count=1", "-v", "./...", cwd=recipes / "go", timeout=600)
    assert result.returncode == 0, result.stdout + result.stderr
    assert STOPPED in result.stdout + result.stderr
    assert run("gofmt", "-l", recipes / "go").stdout == ""
    survived, gave_up = "TestADownloadSurvivesTwoFailures", "TestADownloadGivesUpAfterItsLastAttempt"
    assert sent_statuses(tmp_path) == {(survived, "br"): [503, 503, 200], (gave_up, "br"): [503, 503]}


def test_the_shell_script_waits_for_its_server_and_stops_it(recipes, tmp_path):
    result = run("bash", recipes / "shell" / "downloads.sh")
    assert result.returncode == 0, result.stderr
    assert result.stdout == "the patient download went well, the hasty one did not\n"
    assert STOPPED in result.stderr
    assert sent_statuses(tmp_path) == {("patient", "br"): [503, 503, 200], ("hasty", "br"): [503, 503]}


def test_the_shell_script_ends_at_once_if_the_server_does_not_start(recipes, monkeypatch):
    monkeypatch.setenv("FLAG_SERVER_SEED", "none")
    result = run("bash", recipes / "shell" / "downloads.sh")
    assert (result.returncode, result.stdout) == (1, "")
    assert "invalid value 'none' for '--seed <N>'" in result.stderr


@needs("shellcheck")
def test_the_scripts_pass_shellcheck():
    result = run("shellcheck", "action/start.sh", "examples/ci/shell/downloads.sh", ".ci/run", "bench/peers.sh", "bench/truth.sh", "bench/soak.sh", cwd=ROOT)
    assert result.returncode == 0, result.stdout


# The recipes of runners


@pytest.mark.parametrize(("schema", "files"), [
    ("github-actions", ["action.yml"]),
    ("github-workflows", ["examples/ci/github/binary.yml", "examples/ci/github/service.yml"]),
    ("gitlab-ci", ["examples/ci/gitlab/.gitlab-ci.yml"]),
    ("compose-spec", ["examples/ci/compose.yaml"]),
])
def test_a_file_for_a_runner_follows_its_schema(schema, files):
    check = Path(sys.executable).parent / "check-jsonschema"
    result = run(check, "--builtin-schema", f"vendor.{schema}", *files, cwd=ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_server_accepts_the_options_of_gitlabs_service(server):
    [service] = yaml(RECIPES / "gitlab" / ".gitlab-ci.yml")["downloads"]["services"]
    with server(*service["command"], "--port", "0") as running:
        assert list(running.urls) == ["flaky"]


def test_the_server_accepts_the_variables_of_githubs_service(server, monkeypatch):
    service = yaml(RECIPES / "github" / "service.yml")["jobs"]["test"]["services"]["flags"]
    options = run(SERVER, "--help").stdout
    for name, value in service["env"].items():
        assert f"[env: {name}=" in options
        monkeypatch.setenv(name, str(value))
    with server("--port", "0") as running:
        assert list(running.urls) == ["local", "delay", "error"]


def test_the_two_services_of_the_compose_file_work_together(server, tmp_path):
    services = yaml(RECIPES / "compose.yaml")["services"]
    [mount] = services["flags"]["volumes"]
    source, target, _ = mount.split(":")
    options = [word.replace(target, str(RECIPES / source)) for word in services["flags"]["command"]]
    with server(*options, "--port", "0") as running:
        command = [word.replace("http://flags:8000", running.urls["retry"]) for word in services["tests"]["command"]]
        assert command != services["tests"]["command"]
        result = run(CLIENT, *command, cwd=tmp_path)
    assert result.returncode == 0, result.stderr + result.stdout


# The action


class Job:
    """A job, as a composite action sees it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.action = yaml(ROOT / "action.yml")
        self.steps = 0
        (folder / "temp").mkdir()

    def uses(self, search: str = os.environ["PATH"], **given: str):
        """The result of the action's step, the outputs of the action, and what it sets for later steps."""
        given = {name.replace("_", "-"): value for name, value in given.items()}
        assert given.keys() <= self.action["inputs"].keys()
        values = {name: given.get(name, value["default"]) for name, value in self.action["inputs"].items()}
        [step] = self.action["runs"]["steps"]
        environment = {
            name: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda found: values[found[1]], value)
            for name, value in step["env"].items()
        }
        self.steps += 1
        files = {name: self.folder / f"{name}-{self.steps}" for name in ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH")}
        for file in files.values():
            file.write_text("")
        script = self.folder / "step.sh"
        script.write_text(step["run"])
        keep = {name: os.environ[name] for name in ("HOME", "CARGO_HOME", "CARGO_TARGET_DIR", "RUSTUP_HOME") if name in os.environ}
        environment |= {**keep, **{name: str(file) for name, file in files.items()}, "PATH": search}
        environment |= {"RUNNER_TEMP": str(self.folder / "temp"), "GITHUB_ACTION_PATH": str(ROOT)}
        words = ["env", "--ignore-environment", *(f"{name}={value}" for name, value in environment.items())]
        # As the runner does for `shell: bash`. It waits until every process has closed the streams of the step.
        shell = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail"]
        assert step["shell"] == "bash"
        result = run(*words, *shell, script, cwd=self.folder, timeout=900 if "build" in given else 60)

        def lines(name: str) -> dict[str, str]:
            return dict(line.split("=", 1) for line in files[name].read_text().splitlines())

        set_by_step = lines("GITHUB_OUTPUT")
        outputs = {}
        for name, output in self.action["outputs"].items():
            source = re.fullmatch(r"\$\{\{ steps\.start\.outputs\.([\w-]+) \}\}", output["value"])[1]
            outputs[name] = set_by_step.pop(source, "")
        assert set_by_step == {}, "an output that the action does not pass on"
        return result, outputs, lines("GITHUB_ENV"), files["GITHUB_PATH"].read_text().splitlines()

    def end(self):
        """Ends everything that the job started."""
        for file in self.folder.glob("GITHUB_OUTPUT-*"):
            for pid in re.findall(r"^pid=(\d+)$", file.read_text(), re.M):
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)


@pytest.fixture
def job(tmp_path):
    job = Job(tmp_path)
    yield job
    job.end()


def error(result) -> str:
    """The one annotation of a failed step."""
    assert result.returncode == 1, result.stdout + result.stderr
    [message] = re.findall(r"^::error title=Flagbench::(.*)$", result.stderr, re.M)
    return message


def test_the_action_starts_a_server_and_passes_its_address_to_the_next_steps(job):
    result, outputs, variables, path = job.uses(path=str(SERVER), args="--profile flaky --port 0")
    assert result.returncode == 0, result.stderr
    assert json.loads(outputs["ready"]) == {"listeners": [{"name": "flaky", "url": outputs["url"]}]}
    assert f"flaky {outputs['url']}\n" in result.stdout
    assert variables == {"FLAGS_URL": f"{outputs['url']}/flags"}
    assert path == [str(BIN)]
    with urlopen(f"{variables['FLAGS_URL']}/") as response:
        assert response.status == 200
    run("curl", "--silent", "--output", "/dev/null", "--header", "flag-run: one", f"{variables['FLAGS_URL']}/br/br.gif")
    os.kill(int(outputs["pid"]), signal.SIGTERM)
    deadline = time.monotonic() + 20
    while STOPPED not in Path(outputs["log"]).read_text():
        assert time.monotonic() < deadline, "the process is not the server"
        time.sleep(0.01)
    [decision] = Path(outputs["decision-log"]).read_text().splitlines()
    assert json.loads(decision)["run"] == "one"


def test_the_action_passes_the_address_of_the_control_plane_on(job):
    result, outputs, variables, _ = job.uses(path=str(SERVER), args="--profile local --port 0 --control 127.0.0.1:0")
    assert result.returncode == 0, result.stderr
    control = json.loads(outputs["ready"])["control"]
    assert variables == {"FLAGS_URL": f"{outputs['url']}/flags", "FLAGS_CONTROL_URL": control}
    with urlopen(f"{control}/api/listeners") as response:
        assert json.load(response)["listeners"][0]["url"] == outputs["url"]


def test_the_action_without_arguments_uses_free_ports_and_can_be_used_twice(job):
    used = [job.uses(path=str(SERVER))[1] for _ in range(2)]
    listeners = [json.loads(outputs["ready"])["listeners"] for outputs in used]
    assert [[listener["name"] for listener in of] for of in listeners] == [["local", "delay", "error"]] * 2
    assert [of[0]["url"] for of in listeners] == [outputs["url"] for outputs in used]
    assert len({listener["url"] for of in listeners for listener in of}) == 6


def test_the_arguments_of_the_action_may_have_quotes_and_lines_and_are_not_executed(job):
    scenario = job.folder / "with spaces.toml"
    shutil.copy(RETRY, scenario)
    result, outputs, *_ = job.uses(path=str(SERVER), args=f"--scenario '{scenario}'\n  --port 0\n")
    assert result.returncode == 0, result.stderr
    assert json.loads(outputs["ready"])["listeners"][0]["name"] == "with spaces"
    result, *_ = job.uses(path=str(SERVER), args="--profile '$(touch here)' --port 0")
    assert "--profile $(touch here): there is no such profile" in error(result)
    result, *_ = job.uses(path=str(SERVER), args="--profile 'flaky")
    assert error(result) == "args: a quote is missing in: --profile 'flaky"
    assert not (job.folder / "here").exists()


def test_the_log_of_a_server_that_does_not_start_is_shown(job):
    result, outputs, variables, _ = job.uses(path=str(SERVER), args="--scenario missing.toml --port 0")
    assert error(result).startswith("flag-server did not start: error: --scenario missing.toml: cannot be read")
    assert "::group::the log of flag-server\nerror: --scenario missing.toml" in result.stderr
    assert (set(outputs.values()), variables) == ({""}, {})


def test_a_path_that_is_not_a_program_is_refused(job):
    assert error(job.uses(path="target/flag-server")[0]).startswith("path: 'target/flag-server' is not a program")


@pytest.mark.long
@needs("cargo")
def test_the_action_builds_its_own_sources(job):
    result, outputs, _, [path] = job.uses(build="true", args="--profile local --port 0")
    assert result.returncode == 0, result.stderr
    assert json.loads(outputs["ready"])["listeners"][0]["name"] == "local"
    built = run(Path(path, "flag-server"), "--version")
    assert built.stdout == f"flag-server {VERSION}\n"


# Its downloads, from a server on this machine


TARGET = f"{platform.machine()}-unknown-linux-gnu"


class Releases:
    """A folder of releases, and an HTTP server that records its requests."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.requests = []
        releases = self

        class Handler(SimpleHTTPRequestHandler):
            def log_request(self, code="-", size="-"):
                releases.requests.append((self.path, int(code)))

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def publish(self, version: str, target: str, program: Path = SERVER) -> Path:
        """Makes an archive, and adds its line to the checksums of its release."""
        release = self.folder / f"v{version}"
        release.mkdir(exist_ok=True)
        name = f"flagbench-{version}-{target}"
        archive = release / f"{name}.tar.gz"
        with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
            tar.add(program, f"{name}/flag-server")
        with (release / "SHA256SUMS").open("a") as sums:
            sums.write(f"{sha256(archive.read_bytes()).hexdigest()}  {archive.name}\n")
        return archive


@pytest.fixture
def releases(tmp_path):
    folder = tmp_path / "releases"
    folder.mkdir()
    releases = Releases(folder)
    yield releases
    releases.http.shutdown()
    releases.http.server_close()


def on_another_system(folder: Path, system: str, machine: str) -> str:
    """A PATH with the tools of the action, where uname reports this system and sha256sum is missing."""
    tools = "awk bash cat curl cut dirname env find gzip head kill mkdir mktemp perl printf sed shasum sleep tar xargs"
    folder.mkdir()
    for tool in tools.split():
        (folder / tool).symlink_to(shutil.which(tool))
    uname = folder / "uname"
    uname.write_text(f'#!/bin/sh\ncase $1 in -s) echo {system} ;; -m) echo {machine} ;; esac\n')
    uname.chmod(0o755)
    return str(folder)


@pytest.mark.parametrize(("given", "wanted"), [("", VERSION), ("1.2.3", "1.2.3"), ("v1.2.3-rc.1", "1.2.3-rc.1")])
def test_the_action_downloads_the_release_of_its_own_version_or_of_another(job, releases, given, wanted):
    releases.publish(wanted, "some-other-target", program=RETRY)
    releases.publish(wanted, TARGET)
    result, outputs, *_ = job.uses(version=given, base_url=releases.url, args="--profile local --port 0")
    assert result.returncode == 0, result.stderr
    assert json.loads(outputs["ready"])["listeners"][0]["name"] == "local"
    archive = f"/v{wanted}/flagbench-{wanted}-{TARGET}.tar.gz"
    assert releases.requests == [(f"/v{wanted}/SHA256SUMS", 200), (archive, 200)]


@needs("shasum")
@pytest.mark.parametrize(("system", "machine", "target"), [
    ("Linux", "x86_64", "x86_64-unknown-linux-gnu"),
    ("Linux", "aarch64", "aarch64-unknown-linux-gnu"),
    ("Darwin", "x86_64", "x86_64-apple-darwin"),
    ("Darwin", "arm64", "aarch64-apple-darwin"),
])
def test_each_platform_gets_its_own_archive(job, releases, tmp_path, system, machine, target):
    releases.publish(VERSION, target)
    search = on_another_system(tmp_path / "tools", system, machine)
    result, *_ = job.uses(search=search, base_url=releases.url, args="--profile local --port 0")
    assert result.returncode == 0, result.stderr
    assert releases.requests[-1] == (f"/v{VERSION}/flagbench-{VERSION}-{target}.tar.gz", 200)


@needs("shasum")
def test_a_platform_without_a_release_gets_a_remedy(job, releases, tmp_path):
    search = on_another_system(tmp_path / "tools", "FreeBSD", "amd64")
    result, *_ = job.uses(search=search, base_url=releases.url)
    assert error(result).startswith("there is no release for FreeBSD on amd64: set 'build: true'")
    assert releases.requests == []


def test_an_archive_with_a_wrong_checksum_is_not_run(job, releases, tmp_path):
    evil = tmp_path / "evil"
    evil.write_text(f"#!/bin/sh\ntouch '{tmp_path}/run'\n")
    evil.chmod(0o755)
    sums = releases.publish(VERSION, TARGET).parent / "SHA256SUMS"
    right = sums.read_text()
    releases.publish(VERSION, TARGET, program=evil)
    sums.write_text(right)
    result, *_ = job.uses(base_url=releases.url)
    assert "Nothing of it was run" in error(result)
    assert not (tmp_path / "run").exists()

    sums.write_text(right.replace("flagbench-", "something-else-"))
    result, *_ = job.uses(base_url=releases.url)
    assert error(result).endswith(f"SHA256SUMS does not name flagbench-{VERSION}-{TARGET}.tar.gz")
    assert not (tmp_path / "run").exists()


def test_a_missing_release_is_reported(job, releases):
    result, *_ = job.uses(version="9.9.9", base_url=releases.url)
    assert error(result).startswith(f"cannot download {releases.url}/v9.9.9/SHA256SUMS: is there such a release?")
    result, *_ = job.uses(version="../9.9.9", base_url=releases.url)
    assert error(result) == "version: '../9.9.9' is not a version; give one like 0.1.0"
    assert releases.requests == [("/v9.9.9/SHA256SUMS", 404)]


def test_the_example_of_the_action_uses_what_the_action_has(server):
    text = (RECIPES / "github" / "binary.yml").read_text()
    steps = yaml(RECIPES / "github" / "binary.yml")["jobs"]["test"]["steps"]
    [step] = [step for step in steps if step.get("uses", "").startswith("flagbench/flagbench@")]
    action = yaml(ROOT / "action.yml")
    assert step["with"].keys() <= action["inputs"].keys()
    used = set(re.findall(r"\$\{\{ steps\.flags\.outputs\.([\w-]+) \}\}", text))
    assert used and used <= action["outputs"].keys()
    words = shlex.split(step["with"]["args"])
    with server(*words) as running:
        assert list(running.urls) == ["local"] and running.control
