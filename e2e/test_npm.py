"""The packages for npm, made from the programs of this build, and installed from a registry on this machine."""

import io
import json
import os
import platform
import shutil
import signal
import subprocess
import tarfile
from base64 import b64encode
from contextlib import contextmanager
from hashlib import sha512
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from conftest import ROOT, run
from test_python import assert_leaves_no_server, nothing_named, servers  # noqa: F401

PROCESSOR = {"x86_64": "x64", "aarch64": "arm64"}[platform.machine()]

pytestmark = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not on this machine")


def described(path: Path) -> dict:
    with tarfile.open(path) as tar:
        return json.load(tar.extractfile("package/package.json"))


@contextmanager
def registry(folder: Path):
    """A registry of what is in a folder, and of packages for the other platforms that are empty."""
    known = {described(path)["name"]: (described(path), path.name, path.read_bytes()) for path in folder.glob("*.tgz")}
    version = known["flagbench"][0]["version"]
    for name in known["flagbench"][0]["optionalDependencies"].keys() - known.keys():
        system, _, processor = name.partition("/")[2].partition("-")
        about = {"name": name, "version": version, "os": [system], "cpu": [processor]}
        content = io.BytesIO()
        with tarfile.open(mode="w:gz", fileobj=content) as tar:
            text = json.dumps(about).encode()
            entry = tarfile.TarInfo("package/package.json")
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text))
        known[name] = about, f"{system}-{processor}.tgz", content.getvalue()
    files = {file: content for _, file, content in known.values()}

    class Registry(BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.lstrip("/").replace("%2f", "/").replace("%2F", "/")
            if name in files:
                return self.answer(200, files[name])
            if name not in known:
                return self.answer(404, b"{}")
            about, file, content = known[name]
            tarball = f"http://127.0.0.1:{self.server.server_port}/{file}"
            about["dist"] = {"tarball": tarball, "integrity": "sha512-" + b64encode(sha512(content).digest()).decode()}
            document = {"name": name, "dist-tags": {"latest": about["version"]}, "versions": {about["version"]: about}}
            self.answer(200, json.dumps(document).encode())

        def answer(self, status, body):
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


def npm(folder: Path, url: str, *words, cache: Path):
    settings = "--registry", url, "--cache", cache, "--no-audit", "--no-fund", "--no-update-notifier"
    return run("npm", *words, *settings, cwd=folder)


@pytest.fixture(scope="module")
def project(packages, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "package.json").write_text('{ "name": "project", "private": true, "type": "module" }')
    with registry(packages) as url:
        result = npm(folder, url, "install", "--save-dev", "flagbench", cache=folder / "cache")
        assert result.returncode == 0, result.stderr
    return folder


def node_test(project: Path, name: str, text: str, **environment):
    path = project / f"{name}.test.mjs"
    path.write_text(text)
    words = ["node", "--test", "--test-reporter=tap", path]
    return subprocess.run(words, cwd=project, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False)


def test_the_package_has_no_scripts_and_its_platforms_have_its_version(packages):
    [main] = [path for path in packages.glob("*.tgz") if described(path)["name"] == "flagbench"]
    about = described(main)
    assert "scripts" not in about and "dependencies" not in about
    assert set(about["optionalDependencies"].values()) == {about["version"]} and len(about["optionalDependencies"]) == 5
    assert main.stat().st_size < 50_000
    [other] = set(packages.glob("*.tgz")) - {main}
    about = described(other)
    assert (about["name"], about["os"], about["cpu"]) == (f"@flagbench/linux-{PROCESSOR}", ["linux"], [PROCESSOR])
    with tarfile.open(other) as tar:
        modes = {entry.name: entry.mode for entry in tar}
    assert modes["package/bin/flag-server"] == modes["package/bin/flag-client"] == 0o755


def test_each_program_can_be_started(project, packages):
    for words, said in (
        (["flag-server", "--version"], "flag-server "),
        (["flag-client", "--version"], "flag-client "),
        (["flagbench", "--version"], "flag-client "),
        (["flagbench", "server", "--version"], "flag-server "),
    ):
        result = run(project / "node_modules" / ".bin" / words[0], *words[1:])
        assert result.returncode == 0 and result.stdout.startswith(said), words
    assert run(project / "node_modules" / ".bin" / "flag-server", "--nothing").returncode == 2


def test_a_lockfile_of_another_platform_installs_this_one(packages, tmp_path):
    (tmp_path / "package.json").write_text('{ "name": "project", "private": true }')
    with registry(packages) as url:
        words = "install", "--package-lock-only", "--os=darwin", "--cpu=arm64", "flagbench"
        assert npm(tmp_path, url, *words, cache=tmp_path / "cache").returncode == 0
        result = npm(tmp_path, url, "ci", cache=tmp_path / "cache")
        assert result.returncode == 0, result.stderr
    assert run(tmp_path / "node_modules" / ".bin" / "flag-server", "--version").returncode == 0


def test_a_platform_that_is_left_out_is_named_with_the_remedy(packages, tmp_path):
    (tmp_path / "package.json").write_text('{ "name": "project", "private": true }')
    with registry(packages) as url:
        assert npm(tmp_path, url, "install", "--omit=optional", "flagbench", cache=tmp_path / "cache").returncode == 0
    result = run(tmp_path / "node_modules" / ".bin" / "flag-server", "--version")
    assert result.returncode == 1 and "--omit=optional" in result.stderr, result.stderr


def test_a_client_under_test_fails_in_the_example_of_the_readme(project):
    text = (ROOT / "npm" / "flagbench" / "README.md").read_text()
    example = text.partition("```js\n")[2].partition("```")[0]
    result = node_test(project, "readme", example)
    assert result.returncode == 1 and "Service Unavailable" in result.stdout, result.stdout
    patient = example.replace("const response = await fetch(url);", "let response;\n  for (let n = 0; n < 3; n++) response = await fetch(url);")
    result = node_test(project, "patient", patient)
    assert result.returncode == 0, result.stdout


def test_many_tests_at_once_each_meet_their_own_scenario(project):
    result = node_test(project, "many", """
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startFlagServer } from "flagbench";

let server;
before(async () => (server = await startFlagServer({ args: ["--profile", "local"] })));
after(() => server.stop());

describe("at once", { concurrency: 50 }, () => {
  for (let number = 0; number < 200; number++) {
    test(`number ${number}`, async (t) => {
      const flags = server.run(t.name);
      const status = 500 + (number % 50);
      await flags.scenario(`rule = [{ fault = "status", status = ${status}, attempts = { first = 1 } }]`);
      for (const expected of [status, 200]) {
        const response = await fetch(flags.imageUrl("br"));
        await response.arrayBuffer();
        assert.equal(response.status, expected);
      }
      const records = await flags.records({ count: 2 });
      assert.deepEqual(records.map((record) => record.sent.status), [status, 200]);
      assert.equal(Object.fromEntries(records[0].headers)["accept"], "*/*");
      await flags.forget();
      assert.deepEqual(await flags.statuses(), []);
    });
  }
});
""", FLAG_SERVER_PORT="1")
    assert result.returncode == 0, result.stdout
    assert "# pass 200" in result.stdout or "# pass 201" in result.stdout, result.stdout[-300:]


def test_what_is_wrong_is_told_in_the_servers_words(project):
    result = node_test(project, "wrong", """
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import { startFlagServer } from "flagbench";

test("a start", async () => {
  await assert.rejects(startFlagServer({ args: ["--profile", "nothing"] }), /there is no such profile/);
});

test("a scenario, and too few records", async () => {
  const server = await startFlagServer({ scenario: "seed = 7" });
  await assert.rejects(server.run("a").scenario('rule = [{ fault = "statuss" }]'), /line 1: rule\\[1\\].fault: .*use one of/);
  await assert.rejects(server.run("a").records({ count: 1, wait: 50 }), /0 records after 50 ms/);
  await server[Symbol.asyncDispose]();
});

test("one that is never stopped", async () => {
  await startFlagServer();
});
""")
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("kill", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_a_runner_that_is_killed_leaves_no_server(project, tmp_path, kill):
    before = servers()
    text = f"""
import {{ writeFileSync }} from "node:fs";
import {{ startFlagServer }} from "flagbench";
await startFlagServer();
writeFileSync({json.dumps(str(tmp_path / "ready"))}, "");
setInterval(() => {{}}, 1000);
"""
    (project / "hang.mjs").write_text(text)
    process = subprocess.Popen(["node", "hang.mjs"], cwd=project)
    assert_leaves_no_server(process, tmp_path / "ready", kill, before)
