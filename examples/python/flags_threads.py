"""Downloads with a pool of threads: while one waits for the server, the others go on."""

from concurrent.futures import ThreadPoolExecutor, as_completed

from flags_common import main
from flags_sequential import download_one


def download_many(cc_list: list[str], base_url: str, max_req: int) -> None:
    with ThreadPoolExecutor(max_workers=max_req) as executor:
        to_do = [executor.submit(download_one, cc, base_url) for cc in cc_list]
        for future in as_completed(to_do):
            future.result()  # raises what the thread did not expect


if __name__ == "__main__":
    main(download_many)
