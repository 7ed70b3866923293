"""The book's own ports and labels, as its programs use them."""

import json
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request

import pytest
from conftest import CLIENT, CODES, SERVER, run


@pytest.fixture(scope="module", params=["2", "1"], ids=["second-edition", "first-edition"])
def book(request, tmp_path_factory):
    """The servers of one edition of the book, on the ports that its programs name."""
    first = {"1": 8001, "2": 8000}[request.param]
    folder = tmp_path_factory.mktemp("book")
    ready = folder / "ready.json"
    process = subprocess.Popen([SERVER, "--edition", request.param, "--ready-file", ready])
    for _ in range(2000):
        if ready.exists() or process.poll() is not None:
            break
        time.sleep(0.005)
    if process.poll() is not None:
        pytest.skip(f"SKIPPED: the book's ports {first} to {first + 2} are taken on this machine")
    urls = [listener["url"] for listener in json.loads(ready.read_text())["listeners"]]
    assert urls == [f"http://127.0.0.1:{port}" for port in range(first, first + 3)]
    yield request.param, first
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0


def get(port: int, path: str):
    """(status, reason, body), as the book's programs see them: through `localhost`."""
    try:
        with urllib.request.urlopen(f"http://localhost:{port}{path}", timeout=30) as resp:
            return resp.status, resp.reason, resp.read()
    except urllib.error.HTTPError as error:
        return error.code, error.reason, error.read()


def test_local_serves_flags_and_metadata_without_faults(book):
    _, local = book
    for cc in CODES:
        status, _, image = get(local, f"/flags/{cc}/{cc}.gif".lower())
        assert (status, image[:6]) == (200, b"GIF89a"), cc
        metadata = json.loads(get(local, f"/flags/{cc}/metadata.json".lower())[2])
        assert metadata["country"] and metadata["iso_cc"] == cc
    assert get(local, "/flags/xx/xx.gif")[:2] == (404, "Not Found")
    assert get(local, "/data/flags/br/br.gif")[0] == 200


def test_error_answers_a_quarter_with_the_reason_phrases(book):
    edition, local = book
    first = {(500, "Internal Server Error"), (501, "Not Implemented"), (502, "Bad Gateway"), (503, "Service Unavailable")}
    errors = {"1": first, "2": {(418, "I'm a teapot")}}[edition]
    answers = []
    threads = [
        threading.Thread(target=lambda cc=cc: answers.append(get(local + 2, f"/flags/{cc}/{cc}.gif".lower())[:2]))
        for cc in CODES
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 194
    assert set(answers) == {(200, "OK"), *errors}
    assert 30 < sum(answer in errors for answer in answers) < 70  # 25 % of 194 is 48.5; the seed is fixed, so this cannot fail by chance


def test_get_from_error_accounts_for_every_code(book, tmp_path):
    edition, local = book
    server = "ERROR" if edition == "2" else f"http://localhost:{local + 2}/flags"
    result = run(CLIENT, "get", "-s", server, "-e", "-m", "200", cwd=tmp_path)
    assert result.returncode == 1, result.stderr
    counts = [int(count) for count in re.findall(r"^ *(\d+) (?:flags downloaded|not found|errors)\.$", result.stdout, re.M)]
    assert len(counts) == 3 and sum(counts) == 676, result.stdout
    assert len(list((tmp_path / "downloads").iterdir())) == counts[0]


def test_get_from_delay_prints_what_the_book_prints(book, tmp_path):
    edition, local = book
    label = "delay" if edition == "2" else f"http://localhost:{local + 1}"
    result = run(CLIENT, "get", "-s", label, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    name = "DELAY" if edition == "2" else "CUSTOM"
    assert re.fullmatch(
        rf"{name} site: http://localhost:{local + 1}/flags\n"
        r"Searching for 20 flags: from BD to VN\n"
        r"20 concurrent connections will be used\.\n"
        r"-{20}\n"
        r" 20 flags downloaded\.\n"
        r"Elapsed time: \d\.\d\ds\n",
        result.stdout,
    ), result.stdout
