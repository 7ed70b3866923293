"""A client that retries, against a server that fails twice."""

from concurrent.futures import ThreadPoolExecutor
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest


class GaveUp(Exception):
    pass


def download(url: str, headers: dict[str, str], attempts: int) -> tuple[bytes, list[int]]:
    """The code under test: an image, and every status on the way to it."""
    statuses = []
    while len(statuses) < attempts:
        try:
            with urlopen(Request(url, headers=headers), timeout=5) as response:
                return response.read(), [*statuses, response.status]
        except HTTPError as error:
            statuses.append(error.code)
    raise GaveUp(statuses)


@pytest.mark.parametrize("cc", ["br", "jp", "us"])
def test_a_download_survives_two_failures(flags, cc):
    image, statuses = download(flags.image_url(cc), flags.headers, attempts=3)
    assert image.startswith(b"GIF89a")
    assert statuses == [503, 503, 200]


@pytest.mark.parametrize("cc", ["br", "jp", "us"])
def test_a_download_gives_up_after_its_last_attempt(flags, cc):
    with pytest.raises(GaveUp) as gave_up:
        download(flags.image_url(cc), flags.headers, attempts=2)
    assert gave_up.value.args == ([503, 503],)


def test_each_flag_has_attempts_of_its_own(flags):
    with ThreadPoolExecutor() as pool:
        downloads = pool.map(lambda cc: download(flags.image_url(cc), flags.headers, attempts=3), ["br", "jp", "us"])
        assert [statuses for _, statuses in downloads] == [[503, 503, 200]] * 3
