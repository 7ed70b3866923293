"""`flag-client load` as a user runs it: its documents in other tools, its requests at the server, its terminal view, its exit."""

import http.server
import json
import math
import re
import signal
import subprocess
import threading
from contextlib import contextmanager

import pyte
import pytest
from conftest import CLIENT, run
from hdrh.histogram import HdrHistogram
from jsonschema import Draft202012Validator
from terminal import on_a_terminal

TIMES = ["response", "service", "lag", "failed_response", "failed_service"]


def load(folder, *args, code=0):
    result = run(CLIENT, "load", *args, cwd=folder)
    assert result.returncode == code, result.stdout + result.stderr
    return result


@contextmanager
def other_server(answer):
    """A server that is not Flagbench; `answer` gets the handler of each request."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        do_GET = answer

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    folder = tmp_path_factory.mktemp("load")
    load(folder, "-n", "300", "-r", "1000", "--profile", "error", "--scenario", "x.toml", code=2)
    (folder / "s.toml").write_text('[[rule]]\nfault = "status"\nstatus = 503\nprobability = 0.25\n')
    load(folder, "-n", "300", "-r", "1000", "--scenario", "s.toml", "--export-json", "load.json", "--export-hgrm", "hgrm")
    return folder, json.loads((folder / "load.json").read_text())


def test_the_document_follows_the_schema(document):
    schema = json.loads(run(CLIENT, "schema").stdout)
    Draft202012Validator(schema).validate(document[1])


def test_everything_is_accounted_for(document):
    _, result = document
    requests = result["requests"]
    assert requests["sent"] == 300 and requests["unsent"] == 0
    assert requests["succeeded"] == result["statuses"]["200"] and requests["failed"] == result["statuses"]["503"]
    assert requests["succeeded"] + requests["failed"] == 300
    # The server says that its scenario wants each of these errors.
    assert requests["planned_failures"] == result["planned_statuses"]["503"] == requests["failed"]
    assert requests["cut_off"] == 0
    counts = {name: result["times"][name]["count"] for name in TIMES}
    assert counts["response"] == counts["service"] == requests["succeeded"]
    assert counts["failed_response"] == counts["failed_service"] == requests["failed"]
    assert counts["lag"] == 300


def counted(times) -> list[tuple[int, int]]:
    """(value, count up to it) according to another implementation of HdrHistogram."""
    found, total = [], 0
    for item in HdrHistogram.decode(times["histogram"]).get_recorded_iterator():
        total += item.count_at_value_iterated_to
        found.append((item.value_iterated_to, total))
    return found


@pytest.mark.parametrize("name", TIMES)
def test_other_tools_read_the_histograms(document, name):
    times = document[1]["times"][name]
    values = counted(times)
    assert values[-1][1] == times["count"] > 0
    for key, percentile in [("p50_ms", 50), ("p90_ms", 90), ("p99_ms", 99), ("p99_9_ms", 99.9), ("max_ms", 100)]:
        rank = math.ceil(times["count"] * percentile / 100)
        value = next(value for value, count in values if count >= rank)
        assert times[key] * 1e6 == pytest.approx(value, rel=2e-3), key


@pytest.mark.parametrize("name", TIMES)
def test_the_text_percentiles_are_those_of_the_histogram(document, name):
    folder, result = document
    times = result["times"][name]
    text = (folder / "hgrm" / f"{name.replace('_', '-')}.hgrm").read_text()
    lines = [line.split() for line in text.splitlines()[2:] if not line.startswith("#")]
    shares = [float(share) for _, share, *_ in lines]
    assert shares == sorted(shares) and shares[-1] == 1.0
    values = counted(times)
    for millis, share, count, *_ in lines:
        nanos = round(float(millis) * 1e6)
        assert int(count) >= float(share) * times["count"] - 1e-6
        assert int(count) == max(count for value, count in values if value <= nanos)
    assert f"Total count    = {times['count']:>12}]" in text


def test_a_result_is_reported_and_checked_again(document):
    folder, result = document
    report = run(CLIENT, "report", "load.json", cwd=folder)
    assert report.returncode == 0 and f"status 503: {result['statuses']['503']}" in report.stdout
    again = run(CLIENT, "report", "load.json", "--format", "json", cwd=folder)
    assert json.loads(again.stdout) == result
    judged = run(CLIENT, "report", "load.json", "-q", "--threshold", "load.error_rate < 1%", cwd=folder)
    assert judged.returncode == 99 and "✗ load.error_rate < 1%" in judged.stderr
    refused = run(CLIENT, "compare", "load.json", "load.json", cwd=folder)
    assert refused.returncode == 2 and "is the result of a load" in refused.stderr


def test_the_server_received_exactly_the_requests(tmp_path, server):
    log = tmp_path / "decisions.jsonl"
    with server("--profile", "local", "--port", "0", "--decision-log", log) as running:
        load(tmp_path, "-s", running.flags(), "-n", "194", "-c", "7", "-q")
        assert running.stop() == 0
    paths = [json.loads(line)["path"] for line in log.read_text().splitlines()]
    assert len(paths) == len(set(paths)) == 194


def test_any_url_is_requested_with_the_given_headers(tmp_path):
    seen = []

    def answer(request):
        seen.append((request.path, request.headers["accept"], request.headers["x-team"], request.headers["host"]))
        request.send_response(200)
        request.send_header("transfer-encoding", "chunked")
        request.end_headers()
        request.wfile.write(b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")

    with other_server(answer) as url:
        headers = ["-H", "Accept: text/plain", "-H", "x-team: red"]
        result = load(tmp_path, f"{url}/a/b?c=d", "-n", "10", "-c", "2", *headers, "--format", "json")
        assert seen == [("/a/b?c=d", "text/plain", "red", url.removeprefix("http://"))] * 10
    document = json.loads(result.stdout)
    assert (document["bytes"], document["statuses"]) == (110, {"200": 10})


def test_all_requests_are_ranked_and_served_ones_have_the_rate_of_the_schedule(document):
    folder, result = document
    assert result["throughput"]["per_second"] == 1000 and result["throughput"]["over_ms"] == 300
    for name in ["response", "service"]:
        figures = result["percentiles"][name]
        assert (figures["count"], figures["censored"], figures["failed"]) == (300, 0, 0)
        for key in ["p50", "p90", "p99", "p99_9", "max", "mean"]:
            assert figures[key]["lower_ms"] == figures[key]["upper_ms"] > 0, key
    for name in ["response", "service"]:
        text = (folder / "hgrm" / f"{name}.hgrm").read_text()
        assert f"#[Without {result['requests']['failed']} requests" in text


def test_an_overload_is_no_success(tmp_path):
    """One connection and an answer that takes 250 ms: of 200 requests in a second, 4 or fewer are sent."""
    (tmp_path / "s.toml").write_text('[[rule]]\nfault = "latency"\ndistribution = { fixed = "250ms" }\n')
    how = ["--scenario", "s.toml", "-c", "1", "-r", "200", "-d", "1s", "-w", "0s"]
    result = load(tmp_path, *how, "--export-json", "load.json", code=1)
    document = json.loads((tmp_path / "load.json").read_text())
    requests, response = document["requests"], document["percentiles"]["response"]
    assert requests["sent"] + requests["unsent"] == response["count"] == 200 and requests["sent"] <= 4
    assert response["censored"] == requests["unsent"]
    # The first requests of those that were not sent had waited for almost a second.
    assert response["p99"]["upper_ms"] is None and response["p99"]["lower_ms"] > 700
    assert document["throughput"]["per_second"] <= 4
    assert "not sent in time: " in result.stdout and "the exit code is 1" in result.stdout and "≥ " in result.stdout
    judged = load(tmp_path, *how, "--threshold", "response.p(99) < 10s", code=99)
    assert "✗ response.p(99) < 10s, found ≥ " in judged.stdout


def test_an_error_that_the_plan_wants_is_no_failure_and_another_is(tmp_path):
    (tmp_path / "s.toml").write_text('[[rule]]\nfault = "status"\nstatus = 503\n')
    planned = load(tmp_path, "--scenario", "s.toml", "-n", "20", "-c", "2")
    assert "status 503: 20, as planned" in planned.stdout
    with other_server(lambda request: request.send_error(503)) as url:
        failed = load(tmp_path, url, "-n", "20", "-c", "2", code=1)
    assert "as planned" not in failed.stdout and "20 that failed count as longer than any other" in failed.stdout


def test_the_first_failure_is_printed(tmp_path, server):
    with server("--profile", "local", "--port", "0", "--tls") as running:
        unknown = load(tmp_path, "-s", running.flags(), "-n", "3", "-c", "1", "BR", code=1)
    assert "no connection: 3, the first: GET /flags/br/br.gif: invalid peer certificate: UnknownIssuer" in unknown.stdout


def test_decisions_do_not_depend_on_the_order_of_arrival(tmp_path, server):
    """The same run on one connection and on nine, against a server that stays up: the same attempts and the same decisions."""
    (tmp_path / "s.toml").write_text('[[rule]]\nfault = "status"\nstatus = 503\nprobability = 0.5\n')
    log = tmp_path / "decisions.jsonl"
    with server("--scenario", tmp_path / "s.toml", "--port", "0", "--decision-log", log) as running:
        for connections in ["1", "9"]:
            load(tmp_path, "-s", running.flags(), "-n", "100", "-c", connections, "--run", "first", "-q", "BR", "JP", "US")
        assert running.stop() == 0
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {line["run"] for line in lines} == {"first"}
    decided = [(line["path"], line["attempt"], line["sent"]["status"]) for line in lines]
    assert len(set(decided[:100])) == 100 and sorted(decided[:100]) == sorted(decided[100:])
    attempts = sorted(attempt for path, attempt, _ in decided[:100] if path == "/flags/br/br.gif")
    assert attempts == list(range(1, len(attempts) + 1))


def test_somebody_elses_server_is_told_no_attempts_and_asked_nothing_else(tmp_path):
    seen = []

    def answer(request):
        seen.append((request.path, request.headers["flag-run"], request.headers["flag-attempt"]))
        request.send_response(200)
        request.send_header("content-length", "0")
        request.end_headers()

    with other_server(answer) as url:
        load(tmp_path, f"{url}/a", "-n", "3", "-c", "1")
        assert seen == [("/a", None, None)] * 3
        seen.clear()
        # Where there may be flags, the server is asked once who it is.
        load(tmp_path, f"{url}/flags/br/br.gif", "-n", "3", "-c", "1")
    assert seen == [("/healthz", None, None)] + [("/flags/br/br.gif", None, None)] * 3


def test_a_load_without_a_success_fails(tmp_path):
    with other_server(lambda request: request.send_error(500)) as url:
        result = load(tmp_path, url, "-n", "5", "-c", "1", code=1)
    assert "status 500: 5" in result.stdout and "No request succeeded" in result.stdout


def test_ctrl_c_keeps_what_was_measured(tmp_path):
    command = [CLIENT, "load", "-d", "1h", "-w", "0s", "-r", "200", "--export-json", "load.json"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    # The second line comes after a second of requests.
    while "in flight" not in (line := process.stderr.readline()) or line.lstrip().startswith("0."):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    document = json.loads((tmp_path / "load.json").read_text())
    assert document["interrupted"] is True and document["requests"]["succeeded"] > 0
    # All until then were answered, but perhaps for the last ones: the rate is that of the schedule.
    requests = document["requests"]
    intended = requests["sent"] + requests["unsent"] + requests["cut_off"]
    assert document["throughput"]["over_ms"] >= intended * 5
    assert f"status 200: {document['statuses']['200']}" in out


ALTERNATE, BACK = "\x1b[?1049h", "\x1b[?1049l"


def test_a_terminal_shows_the_live_view_and_is_restored(tmp_path):
    code, shown, out = on_a_terminal(tmp_path, CLIENT, "load", "-d", "1s", "-w", "0s", "-r", "100")
    assert code == 0
    assert shown.count(ALTERNATE) == shown.count(BACK) == 1 and shown.index(ALTERNATE) < shown.index(BACK)
    screen = pyte.Screen(80, 24)
    pyte.Stream(screen).feed(shown[: shown.index(BACK)])
    last = "\n".join(screen.display)
    for words in ["flag-client load: http://127.0.0.1:", "/s of 100/s wanted, ", " in flight", "so far", "p99.9", "\nstatus 200: 100 "]:
        assert words in last, last
    assert re.search(r"100 requests in ", out)


def test_ctrl_c_restores_the_terminal(tmp_path):
    code, shown, out = on_a_terminal(tmp_path, CLIENT, "load", "-d", "1h", "-w", "0s", "-r", "100", until=b"status")
    assert code == 130
    assert shown.count(ALTERNATE) == shown.count(BACK) == 1
    assert "status 200" in out


def test_with_quiet_nothing_is_shown(tmp_path):
    code, shown, out = on_a_terminal(tmp_path, CLIENT, "load", "-n", "50", "-q")
    assert (code, shown, out) == (0, "", "")
