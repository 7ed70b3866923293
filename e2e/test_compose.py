"""docker compose with a real engine: its output, its exit codes, and how it ends.

The long form uses the images that `docker compose build` makes from this tree; the
short form uses the last stages of the same Dockerfile, with the programs that are already built.
"""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from conftest import CLIENT, ROOT, SERVER, run

sys.path.insert(0, str(ROOT / "bench"))
import containers

PROJECT = "flagbench-test"


def has_engine() -> bool:
    if shutil.which("docker") is None:
        return False
    words = ("docker", "info"), ("docker", "compose", "version")
    return all(run(*command).returncode == 0 for command in words)


pytestmark = pytest.mark.skipif(not has_engine(), reason="no container engine with Compose v2")


@pytest.fixture(scope="module", autouse=True)
def images(request, tmp_path_factory):
    if request.config.getoption("--long"):
        result = run("docker", "compose", "build", cwd=ROOT, timeout=3000)
        assert result.returncode == 0, result.stderr
    else:
        pack_programs(tmp_path_factory.mktemp("images"))


def pack_programs(folder: Path) -> None:
    """Makes the images of the Dockerfile without its build stage, from the programs under test.

    They need shared libraries, so the root file system contains those of this machine.
    """
    libraries = set()
    for program in SERVER, CLIENT:
        libraries |= set(re.findall(r"(/\S+) \(0x", run("ldd", program).stdout))
    certificates = "/etc/ssl/certs/ca-certificates.crt"
    built = {f"/out/{program.name}": program for program in (SERVER, CLIENT)} | {certificates: certificates}
    for image, files in ("flagbench-build", built), ("flagbench-root", {path: path for path in libraries}):
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w", dereference=True) as tar:
            for name, path in files.items():
                tar.add(path, name)
        subprocess.run(["docker", "import", "-", image], input=archive.getvalue(), capture_output=True, check=True)
    stages = (ROOT / "Dockerfile").read_text().split("\nFROM scratch AS base\n")[1]
    file = folder / "Dockerfile"
    file.write_text(f"FROM flagbench-build AS build\nFROM flagbench-root AS base\n{stages}")
    for target in "server", "client":
        words = "docker", "build", "--file", file, "--target", target, "--tag", f"flag-{target}", folder
        result = run(*words)
        assert result.returncode == 0, result.stderr


class Compose:
    """A copy of the files that `docker compose` reads, owned by a user."""

    def __init__(self, folder: Path, owner: int):
        self.folder, self.owner = folder, owner
        for name in ("docker-compose.yml", "docker/servers.toml", "reports/.gitignore"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
        for path in (folder, *folder.rglob("*")):
            os.chown(path, owner, owner)

    def __call__(self, *words, env=None, program=("docker", "compose"), timeout=180):
        return subprocess.run(
            [*program, "-p", PROJECT, *words],
            cwd=self.folder,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def check(self, **kwargs):
        """`docker compose up` as a check in a build."""
        words = "up", "--no-build", "--abort-on-container-exit", "--exit-code-from", "client"
        return self(*words, **kwargs)

    def reports(self) -> dict[str, os.stat_result]:
        return {path.name: path.stat() for path in (self.folder / "reports").iterdir() if path.name != ".gitignore"}

    def container(self, service: str) -> str:
        return self("ps", "--all", "--quiet", service).stdout.strip()


@pytest.fixture(params=[os.getuid(), pytest.param(4321, marks=pytest.mark.long)], ids=["the user", "another user"])
def owner(request):
    if request.param != os.getuid() and os.getuid() != 0:
        pytest.skip("only root can make folders of another user")
    return request.param


@pytest.fixture
def compose(tmp_path):
    compose = Compose(tmp_path, os.getuid())
    yield compose
    compose("down", "--volumes", "--timeout", "5")


RACES = ["local", "quick-delay", "quick-error"]


def assert_reports_of(compose: Compose):
    found = compose.reports()
    assert sorted(found) == [f"{race}.json" for race in RACES] + ["report.html"]
    for name, stat in found.items():
        assert (stat.st_uid, stat.st_gid) == (compose.owner, compose.owner), name
    page = (compose.folder / "reports" / "report.html").read_text()
    for race in RACES:
        assert f"A race of downloads: {race}" in page
        document = json.loads((compose.folder / "reports" / f"{race}.json").read_text())
        assert [series["name"] for series in document["lanes"]] == ["sequential", "threaded", "async"]
        assert document["server"]["label"] == race.upper()


def test_up_as_a_check_races_on_three_servers_and_the_owner_of_the_folder_gets_the_reports(tmp_path, owner):
    compose = Compose(tmp_path, owner)
    try:
        result = compose.check()
        assert result.returncode == 0, result.stdout + result.stderr
        for words in ("LOCAL at http://server:8000/flags", "QUICK-DELAY at", "QUICK-ERROR at", "speed-up", "async.unplanned_errors == 0"):
            assert words in result.stdout
        assert_reports_of(compose)
    finally:
        compose("down", "--timeout", "5")
    assert compose.container("server") == ""


def test_a_threshold_that_is_not_met_is_exit_code_99(compose):
    (compose.folder / "slow.toml").write_text(
        "".join(
            f'[[listener]]\nname = "{name}"\nport = {port}\nrule = [{{ fault = "latency", distribution = {{ fixed = "30ms" }} }}]\n'
            for name, port in [("local", 8000), ("quick-delay", 8003), ("quick-error", 8004)]
        )
    )
    env = {"FLAGBENCH_SERVERS": "./slow.toml", "FLAGBENCH_THRESHOLD": "async.p(99) < 25ms"}
    result = compose.check(env=env)
    assert result.returncode == 99, result.stdout + result.stderr
    assert "async.p(99) < 25ms" in result.stdout
    assert "report.html" in compose.reports()


def test_up_keeps_the_servers_running_and_every_command_accepts_their_labels(compose):
    result = compose("up", "--no-build", "--detach")
    assert result.returncode == 0, result.stderr
    for port in (8000, 8001, 8002):
        assert httpx.get(f"http://127.0.0.1:{port}/healthz").text == "ok"
    assert httpx.get("http://127.0.0.1:8000/flags/br/br.gif").status_code == 200

    result = compose("run", "--rm", "-T", "client", "get", "-a", "-s", "DELAY")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "DELAY site: http://server:8001/flags" in result.stdout
    assert "194 flags downloaded." in result.stdout
    flags = list((compose.folder / "reports" / "downloads").iterdir())
    assert len(flags) == 194
    assert {path.stat().st_uid for path in flags} == {compose.owner}

    result = compose("run", "--rm", "-T", "client", "get", "-s", "error", "--retries", "0", "BR", "CD")
    assert "ERROR site: http://server:8002/flags" in result.stdout


def test_an_option_beats_the_variable_of_the_service(compose):
    """The service sets FLAG_SERVER_CONFIG; `--profile` is what was typed."""
    words = "run", "--rm", "--detach", "--publish", "127.0.0.1:8000:8000", "server", "--profile", "local"
    result = compose(*words)
    assert result.returncode == 0, result.stderr
    container = result.stdout.strip().splitlines()[-1]
    try:
        deadline = time.monotonic() + 30
        while "local http://" not in (log := docker_logs(container)):
            assert time.monotonic() < deadline, log
            time.sleep(0.05)
        assert "delay" not in log, log
        assert httpx.get("http://127.0.0.1:8000/flags/br/br.gif").headers["server-timing"].startswith("plan;dur=0.000")
    finally:
        containers.docker("rm", "--force", container)


def docker_logs(container: str) -> str:
    result = run("docker", "logs", container)
    return result.stdout + result.stderr


def test_the_containers_have_no_needless_privileges(compose):
    assert compose("up", "--no-build", "--detach").returncode == 0
    for service in ("server", "client"):
        (described,) = json.loads(containers.docker("inspect", compose.container(service)))
        host = described["HostConfig"]
        assert host["ReadonlyRootfs"] is True
        assert host["CapDrop"] == ["ALL"]
        assert host["SecurityOpt"] == ["no-new-privileges:true"]
        assert host["NanoCpus"] == 1_000_000_000 and host["Memory"] == 256 << 20 and host["PidsLimit"] == 512
        assert not host["Privileged"]
        published = [binding["HostIp"] for bindings in (host["PortBindings"] or {}).values() for binding in bindings]
        assert set(published) <= {"127.0.0.1"}
    # By default nothing runs as root, and the server keeps the user of the image.
    for image in containers.IMAGES:
        assert containers.docker("image", "inspect", "--format", "{{.Config.User}}", image) == "65532:65532"
    # The server, and at times its health check.
    processes = containers.docker("top", compose.container("server"), "-o", "pid,uid").splitlines()[1:]
    assert {process.split()[-1] for process in processes} == {"65532"}


def test_the_client_drops_root(tmp_path):
    if os.getuid() != 0:
        pytest.skip("only root can make folders of another user")
    compose = Compose(tmp_path, 4321)
    try:
        result = compose("run", "--detach", "client", "bench", "-s", "DELAY", "--quiet", timeout=60)
        assert result.returncode == 0, result.stderr
        container = result.stdout.strip().splitlines()[-1]
        deadline = time.monotonic() + 20
        while (rows := containers.docker("top", container, "-o", "pid,uid,gid").splitlines()[1:]) and rows[0].split()[1:] != ["4321", "4321"]:
            assert time.monotonic() < deadline, rows
        containers.docker("rm", "--force", container)
    finally:
        compose("down", "--timeout", "5")


def test_stop_answers_or_refuses_every_download_within_a_second(compose):
    (compose.folder / "docker" / "servers.toml").write_text(
        '[[listener]]\nname = "late"\nport = 8000\n[[listener.rule]]\nfault = "latency"\n'
        'distribution = { uniform = { lower = "100ms", upper = "10s" } }\n'
    )
    assert compose("up", "--no-build", "--detach", "server").returncode == 0
    whole = (ROOT / "flags_data" / "flags" / "br" / "br.gif").read_bytes()
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
    with httpx.Client(limits=limits, timeout=30) as client, ThreadPoolExecutor(100) as pool:
        # All connections are accepted before the downloads begin.
        deadline = time.monotonic() + 10
        while True:
            try:
                client.get("http://127.0.0.1:8000/healthz")
                break
            except httpx.TransportError:
                assert time.monotonic() < deadline
        get = lambda number: client.get("http://127.0.0.1:8000/flags/br/br.gif", headers={"flag-run": str(number)})
        downloads = [pool.submit(get, number) for number in range(100)]
        time.sleep(1)  # some are answered by then, most are in flight
        started = time.monotonic()
        result = compose("stop")
        took = time.monotonic() - started
        assert result.returncode == 0, result.stderr
        answers = [download.result() for download in downloads]
    log = compose("logs", "server").stdout
    counted = {answer.status_code: 0 for answer in answers}
    for answer in answers:
        counted[answer.status_code] += 1
        assert answer.content == (whole if answer.status_code == 200 else b"the server is stopping\n")
    assert set(counted) == {200, 503}, counted
    assert f"refused={counted[503]}" in log and "stopped: every request was answered" in log, log
    state = json.loads(containers.docker("inspect", "--format", "{{json .State}}", compose.container("server")))
    assert state["ExitCode"] == 0
    # The engine's own overhead does not count.
    assert took < 3, took
    print(f"docker compose stop took {took:.2f} s: {counted}")


@pytest.mark.long
def test_images_are_small_and_an_idle_server_uses_little_memory():
    figures = containers.measure()
    print(json.dumps(figures, indent=2))
    assert all(size <= 15 for size in figures["image_megabytes"].values())
    assert figures["idle_server_resident_megabytes"] <= 10


@pytest.mark.long
@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="no docker-compose 1.29 on this machine")
def test_docker_compose_1_29_works_too(compose):
    old = ("docker-compose",)
    result = compose("config", "--quiet", program=old)
    assert result.returncode == 0, result.stderr
    try:
        result = compose.check(program=old)
        assert result.returncode == 0, result.stdout + result.stderr
        assert_reports_of(compose)
    finally:
        compose("down", "--timeout", "5", program=old)


def test_the_compose_recipe_starts_the_tests_when_the_server_is_healthy():
    published = {image: f"ghcr.io/flagbench/{image}:latest" for image in containers.IMAGES}
    recipe = "docker", "compose", "-p", PROJECT, "-f", ROOT / "examples" / "ci" / "compose.yaml"
    for image, tag in published.items():
        containers.docker("tag", image, tag)
    try:
        result = run(*recipe, "up", "--pull", "never", "--exit-code-from", "tests", timeout=180)
        assert result.returncode == 0, result.stdout + result.stderr
        assert "3 flags" in result.stdout
    finally:
        run(*recipe, "down", "--timeout", "5")
        containers.docker("rmi", *published.values())


def test_every_documented_command_is_run_here():
    section = (ROOT / "README.md").read_text().split("## Containers")[1].split("\n## ")[0]
    documented = re.findall(r"^docker compose .*", section, re.M)
    assert documented == [
        "docker compose up",
        "docker compose up --abort-on-container-exit --exit-code-from client",
        "docker compose run --rm client get -a -s DELAY",
        "docker compose stop",
        "docker compose down",
    ]
