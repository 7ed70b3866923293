"""Downloads with tasks on one thread: each gives way to the others while it waits for the server.

The standard library has no HTTP client for tasks, so this program needs httpx.
"""

import asyncio
import sys

from flags_common import TIMEOUT, image_url, main, report_error, save_flag

try:
    import httpx
except ModuleNotFoundError:
    sys.exit("flags_asyncio.py needs httpx: install it with `python3 -m pip install httpx`")


async def get_flag(client: httpx.AsyncClient, cc: str, base_url: str) -> bytes:
    resp = await client.get(image_url(base_url, cc))
    resp.raise_for_status()
    return resp.content


async def download_one(client: httpx.AsyncClient, cc: str, base_url: str, semaphore: asyncio.Semaphore) -> None:
    try:
        async with semaphore:
            image = await get_flag(client, cc, base_url)
    except httpx.HTTPError as error:
        report_error(cc, error)
    else:
        save_flag(cc, image)


async def supervisor(cc_list: list[str], base_url: str, max_req: int) -> None:
    semaphore = asyncio.Semaphore(max_req)
    limits = httpx.Limits(max_connections=max_req)
    async with httpx.AsyncClient(timeout=TIMEOUT, limits=limits, follow_redirects=True) as client:
        await asyncio.gather(*(download_one(client, cc, base_url, semaphore) for cc in cc_list))


def download_many(cc_list: list[str], base_url: str, max_req: int) -> None:
    asyncio.run(supervisor(cc_list, base_url, max_req))


if __name__ == "__main__":
    main(download_many)
