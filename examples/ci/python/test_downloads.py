"""A client that retries, and what the server saw of it.

pip install flagbench pytest
"""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

RETRY = Path(__file__).parent.parent / "retry.toml"
CODES = ["br", "jp", "us"]


class GaveUp(Exception):
    pass


def download(url: str, attempts: int, pause: float = 0.0) -> bytes:
    """The code under test."""
    for attempt in range(1, attempts + 1):
        try:
            with urlopen(Request(url, headers={"user-agent": "downloads/1"}), timeout=5) as response:
                return response.read()
        except HTTPError:
            if attempt < attempts:
                time.sleep(pause)
    raise GaveUp(url)


@pytest.mark.parametrize("cc", CODES)
def test_a_download_survives_two_failures(flags, cc):
    flags.scenario(RETRY)
    assert download(flags.image_url(cc), attempts=3, pause=0.1).startswith(b"GIF89a")
    records = flags.records(count=3)
    assert [record.status for record in records] == [503, 503, 200]
    assert {record.header("user-agent") for record in records} == {"downloads/1"}
    assert all(later.received - earlier.received >= 0.1 for earlier, later in zip(records, records[1:])), "it paused"


@pytest.mark.parametrize("cc", CODES)
def test_a_download_gives_up_after_its_last_attempt(flags, cc):
    flags.scenario(RETRY)
    with pytest.raises(GaveUp):
        download(flags.image_url(cc), attempts=2)
    assert flags.statuses(count=2) == [503, 503]


def test_each_flag_has_attempts_of_its_own(flags):
    flags.scenario(RETRY)
    with ThreadPoolExecutor() as pool:
        images = list(pool.map(lambda cc: download(flags.image_url(cc), attempts=3), CODES))
    assert all(image.startswith(b"GIF89a") for image in images)
    attempts = [(record.path, record.attempt) for record in flags.records(count=9)]
    assert sorted(attempts) == [(f"/flags/{cc}/{cc}.gif", attempt) for cc in CODES for attempt in (1, 2, 3)]


def test_a_scenario_changes_in_the_middle_of_a_test(flags):
    image = flags.image_url("br")
    download(image, attempts=1)
    flags.scenario('rule = [{ fault = "status", status = 429, retry_after = "1s" }]')
    with pytest.raises(GaveUp):
        download(image, attempts=1)
    assert flags.statuses(count=2) == [200, 429]
