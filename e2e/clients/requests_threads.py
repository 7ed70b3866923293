"""A pool of threads, with requests."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

from common import main
from requests_sequential import download_one


def download_many(cc_list: list[str], base_url: str, concurrency: int):
    with ThreadPoolExecutor(concurrency) as executor:
        yield from executor.map(partial(download_one, base_url=base_url), cc_list)


if __name__ == "__main__":
    main(download_many)
