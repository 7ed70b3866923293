"""Downloads one flag after the other."""

from http.client import HTTPException
from urllib.request import urlopen

from flags_common import TIMEOUT, image_url, main, report_error, save_flag


def get_flag(cc: str, base_url: str) -> bytes:
    with urlopen(image_url(base_url, cc), timeout=TIMEOUT) as resp:
        return resp.read()


def download_one(cc: str, base_url: str) -> None:
    try:
        image = get_flag(cc, base_url)
    except (OSError, HTTPException) as error:  # a status of 400 and up is an OSError here
        report_error(cc, error)
    else:
        save_flag(cc, image)


def download_many(cc_list: list[str], base_url: str, _max_req: int) -> None:
    for cc in cc_list:
        download_one(cc, base_url)


if __name__ == "__main__":
    main(download_many)
