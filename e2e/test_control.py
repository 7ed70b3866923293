"""The control plane, as tests in Python and Node use it: each has a scenario of its own on one server."""

import asyncio
import json
import subprocess
import sys
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
from browser import browser_page, needs_browser
from conftest import HERE, SERVER, run

AT_ONCE = 50
PAUSE = 0.01  # seconds
# Two failures, and then an answer that takes its time.
SCENARIO = """
[[rule]]
name = "busy"
fault = "status"
status = 503
attempts = { first = 2 }

[[rule]]
name = "late"
fault = "latency"
distribution = { fixed = "DELAY" }
attempts = { from = 3 }
"""


@pytest.fixture
def tests(pytestconfig) -> int:
    """How many tests share a server: a thousand in the long form."""
    return 1000 if pytestconfig.getoption("--long") else 200


@contextmanager
def controlled(folder: Path):
    """A server with a control plane: the URL of its flags, and that of its control plane."""
    ready = folder / "ready.json"
    options = ["--profile", "local", "--port", "0", "--control", "127.0.0.1:0", "--ready-file", ready]
    process = subprocess.Popen([SERVER, *options], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while not ready.exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.005)
        urls = json.loads(ready.read_text())
        yield urls["listeners"][0]["url"], urls["control"]
    finally:
        process.terminate()
        assert process.wait(timeout=30) == 0


async def download(client: httpx.AsyncClient, flags: str, run: str) -> None:
    """The client under test."""
    for attempt in range(1, 6):
        headers = {"flag-run": run, "user-agent": f"attempt {attempt}"}
        if (await client.get(f"{flags}/flags/br/br.gif", headers=headers)).status_code == 200:
            return
        await asyncio.sleep(PAUSE)


async def one_test(client: httpx.AsyncClient, flags: str, control: str, number: int) -> None:
    """What a client did is asserted on what was received. The test itself never sleeps."""
    name, delay = f"python {number}", 20 + number % 30
    own = f"{control}/api/runs/{name}"
    put = await client.put(f"{own}/scenario", params={"for": "1m"}, content=SCENARIO.replace("DELAY", f"{delay}ms"))
    assert put.status_code == 204, put.text
    await download(client, flags, name)
    wish = {"count": 3, "wait": "60s", "settled": "true"}
    found = (await client.get(f"{own}/records", params=wish)).json()
    assert found["complete"], found
    records = found["records"]
    seen = [(record["run"], record["attempt"], record["sent"]["status"], record["plan"]["rules"]) for record in records]
    assert seen == [(name, 1, 503, ["busy"]), (name, 2, 503, ["busy"]), (name, 3, 200, ["late"])]
    assert records[2]["plan"]["delay_ms"] == delay and records[2]["took_ms"] >= delay
    assert [dict(record["headers"])["user-agent"] for record in records] == [f"attempt {attempt}" for attempt in (1, 2, 3)]
    received = [record["received_unix_ms"] for record in records]
    assert all(later - earlier >= 1000 * PAUSE for earlier, later in zip(received, received[1:])), received
    assert (await client.delete(own)).status_code == 204


def test_many_tests_in_python_meet_exactly_their_own_scenarios(tmp_path, tests):
    async def all_of_them(flags: str, control: str) -> None:
        limits = httpx.Limits(max_connections=2 * AT_ONCE)
        async with httpx.AsyncClient(timeout=60, limits=limits) as client:
            turns = asyncio.Semaphore(AT_ONCE)

            async def in_turn(number: int) -> None:
                async with turns:
                    await one_test(client, flags, control, number)

            await asyncio.gather(*map(in_turn, range(tests)))

    with controlled(tmp_path) as (flags, control):
        asyncio.run(all_of_them(flags, control))
        left = httpx.get(f"{control}/api/records").json()
        assert left == {"complete": True, "records": []}


def test_many_tests_in_node_meet_exactly_their_own_scenarios(tmp_path, tests):
    with controlled(tmp_path) as (flags, control):
        result = run("node", HERE / "clients" / "control.mjs", flags, control, tests, AT_ONCE)
        assert result.returncode == 0, result.stderr
        assert result.stdout == f"{tests} tests passed\n"


def test_the_api_is_what_its_description_says(tmp_path):
    """Requests of every kind, valid and not, made from the OpenAPI document."""
    program = Path(sys.executable).with_name("schemathesis")
    options = ["--config-file", HERE / "schemathesis.toml", "run", "--max-examples", 5, "--seed", 1]
    with controlled(tmp_path) as (_flags, control):
        result = run(program, *options, f"{control}/openapi.json", cwd=tmp_path, timeout=300)
        assert result.returncode == 0, result.stdout
        assert " passed\n" in result.stdout and "Tested: 10" in result.stdout, result.stdout


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "http://localhost:1", "null"])
def test_a_page_of_another_site_may_neither_read_nor_write(tmp_path, origin):
    with controlled(tmp_path) as (_flags, control):
        for method, path in [("GET", "/api/listeners"), ("PUT", "/api/listeners/local/scenario"), ("DELETE", "/api/runs/a")]:
            answer = httpx.request(method, control + path, headers={"origin": origin}, content="seed = 1")
            assert answer.status_code == 403, answer.text
            assert answer.headers["content-type"] == "application/problem+json"
            assert "access-control-allow-origin" not in answer.headers
        assert "seed = 20150223" in httpx.get(f"{control}/api/listeners/local/scenario").text


# Lets a name lead to this machine, as whoever controls it can.
MAPPED = "--host-resolver-rules=MAP elsewhere.example 127.0.0.1"

# What a page of another site can try, and what it can see of the answer.
ATTEMPTS = """
async (control) => {
  const seen = [];
  const attempt = async (path, options) => {
    try {
      const answer = await fetch(control + path, options);
      seen.push(`${answer.type} ${answer.status} ${await answer.text()}`);
    } catch (error) {
      seen.push(error.name);
    }
  };
  const body = "seed = 1";
  for (const mode of ["cors", "no-cors", "same-origin"]) {
    for (const path of ["/api/listeners", "/api/records", "/metrics", "/openapi.json"]) await attempt(path, { mode });
  }
  await attempt("/api/listeners/local/scenario", { method: "PUT", body });
  await attempt("/api/runs/mine/scenario", { method: "PUT", body, headers: { "content-type": "application/toml" } });
  await attempt("/api/runs/mine", { method: "DELETE" });
  await attempt("/api/runs/mine/scenario", { method: "POST", mode: "no-cors", body });
  await attempt("/api/listeners", { headers: { authorization: "Bearer guess" } });
  const script = document.createElement("script");
  script.src = control + "/api/listeners";
  const loaded = new Promise((resolve) => {
    script.onload = () => resolve("loaded");
    script.onerror = () => resolve("refused");
  });
  document.documentElement.append(script);
  seen.push(`script ${await loaded}`);
  return seen;
}
"""


class Elsewhere(BaseHTTPRequestHandler):
    """A page of another site."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>elsewhere</title><body></body>")

    def log_message(self, *_args):
        pass


@contextmanager
def elsewhere():
    site = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    Thread(target=site.serve_forever, daemon=True).start()
    yield site.server_port
    site.shutdown()


@needs_browser
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "elsewhere.example"])
def test_a_page_in_a_browser_neither_reads_nor_changes_anything(tmp_path, host):
    with controlled(tmp_path) as (flags, control), elsewhere() as port:
        mine = {"flag-run": "mine"}
        httpx.get(f"{flags}/flags/br/br.gif", headers=mine)
        before = httpx.get(f"{control}/api/listeners").json()
        with browser_page(800, 600, "light", arguments=[MAPPED]) as tab:
            tab.goto(f"http://{host}:{port}/")
            seen = tab.evaluate(ATTEMPTS, control)
            for answer in seen:
                # What is opaque has neither a status nor a text.
                assert answer in ("TypeError", "opaque 0 ", "script refused"), seen
            assert httpx.get(f"{control}/api/listeners").json() == before
            assert httpx.get(f"{control}/api/runs/mine/scenario").status_code == 404
            assert len(httpx.get(f"{control}/api/runs/mine/records").json()["records"]) == 1
            # A page of its own can do all that, so the attempts are real ones.
            tab.goto(f"{control}/api/listeners")
            seen = tab.evaluate(ATTEMPTS, control)
            assert sum(answer.startswith("basic 20") for answer in seen) >= 10, seen
            assert httpx.get(f"{control}/api/runs/mine/records").json()["records"] == []


@needs_browser
def test_a_name_that_somebody_else_controls_does_not_lead_to_the_control_plane(tmp_path):
    """DNS rebinding: the browser takes both for one site, and sends no origin."""
    with controlled(tmp_path) as (_flags, control):
        port = control.rpartition(":")[2]
        with browser_page(800, 600, "light", arguments=[MAPPED]) as tab:
            answer = tab.goto(f"http://elsewhere.example:{port}/api/listeners")
            assert answer.status == 403
            seen = tab.evaluate("async () => { const a = await fetch('/api/runs/a', { method: 'DELETE' }); return a.status }")
            assert seen == 403
            assert tab.goto(f"{control}/api/listeners").status == 200
