"""What the three programs share: the list of flags, and a `main` that takes the function that downloads them.

They differ in that function only, so each can be read beside the others, and timed against them:

    python3 flags_sequential.py http://localhost:8000/flags
    python3 flags_threads.py http://localhost:8000/flags -m 5 BR JP US

The images are kept in memory, and nobody looks at them: it is the waiting that is of interest here.
"""

import argparse
import sys
import time
from collections.abc import Callable

POP20 = "CN IN US ID BR PK NG BD RU JP MX PH VN ET EG DE IR TR CD FR".split()

MAX_REQ = 30
TIMEOUT = 10.0  # seconds, for one download

# Takes the codes, the URL of their folder, and the most downloads at one time.
Downloader = Callable[[list[str], str, int], None]

images: dict[str, bytes] = {}


def image_url(base_url: str, cc: str) -> str:
    cc = cc.lower()
    return f"{base_url}/{cc}/{cc}.gif"


def save_flag(cc: str, image: bytes) -> None:
    images[cc] = image
    print(f"{cc} ", end="", flush=True)  # in one piece, or what threads print would be mixed


def report_error(cc: str, error: Exception) -> None:
    reason = str(error).partition("\n")[0]
    print(f"{cc}: {type(error).__name__} {reason}\n", end="", file=sys.stderr)


def main(download_many: Downloader) -> None:
    parser = argparse.ArgumentParser(description="Downloads the flags of some countries, and tells how long that took.")
    parser.add_argument("url", help="the folder of the flags, like http://localhost:8000/flags")
    parser.add_argument("codes", nargs="*", metavar="CC", help="countries (default: the 20 most populous ones)")
    parser.add_argument("-m", "--max-req", type=int, default=MAX_REQ, metavar="N", help="at most N downloads at one time")
    args = parser.parse_intermixed_args()
    if args.max_req < 1:
        parser.error("-m: give a whole number from 1 up")
    cc_list = sorted({cc.upper() for cc in args.codes or POP20})

    start = time.perf_counter()
    download_many(cc_list, args.url.rstrip("/"), min(args.max_req, len(cc_list)))
    elapsed = time.perf_counter() - start
    print(f"\n{len(images)} downloads in {elapsed:.2f}s")
    sys.exit(0 if len(images) == len(cc_list) else 1)
