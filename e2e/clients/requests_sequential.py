"""One flag after the other, with requests."""

import requests
from common import failed, image_url, main, received


def download_one(cc: str, base_url: str) -> dict:
    try:
        resp = requests.get(image_url(base_url, cc), timeout=30)
    except requests.RequestException as error:
        return failed(cc, error)
    return received(cc, resp.status_code, resp.headers, resp.content)


def download_many(cc_list: list[str], base_url: str, _concurrency: int):
    for cc in cc_list:
        yield download_one(cc, base_url)


if __name__ == "__main__":
    main(download_many)
