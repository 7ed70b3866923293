"""What the client programs share: the book's harness, whose `main` takes the download function.

usage: PROGRAM BASE_URL CONCURRENCY CC…
It prints one JSON object per flag: the result that the client saw.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Iterable


def image_url(base_url: str, cc: str) -> str:
    return f"{base_url}/{cc}/{cc}.gif".lower()


def received(cc: str, status: int, headers, body: bytes) -> dict:
    """The result of one flag, from its response."""
    return {
        "cc": cc,
        "status": status,
        "plan": headers["server-timing"].split(",")[0].removeprefix("plan;dur="),
        "sha256": hashlib.sha256(body).hexdigest() if status == 200 else None,
    }


def failed(cc: str, error: Exception) -> dict:
    """The result of a flag without a response."""
    return {"cc": cc, "error": type(error).__name__}


def main(download_many: Callable[[list[str], str, int], Iterable[dict]]) -> None:
    base_url, concurrency, *cc_list = sys.argv[1:]
    for result in download_many(cc_list, base_url, int(concurrency)):
        print(json.dumps(result), flush=True)
