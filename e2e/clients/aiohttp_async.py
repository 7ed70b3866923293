"""Tasks and a semaphore, with aiohttp."""

import asyncio

import aiohttp
from common import failed, image_url, main, received


async def download_one(session: aiohttp.ClientSession, cc: str, base_url: str, semaphore: asyncio.Semaphore) -> dict:
    try:
        async with semaphore, session.get(image_url(base_url, cc)) as resp:
            return received(cc, resp.status, resp.headers, await resp.read())
    except aiohttp.ClientError as error:
        return failed(cc, error)


async def supervisor(cc_list: list[str], base_url: str, concurrency: int) -> list[dict]:
    semaphore = asyncio.Semaphore(concurrency)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        to_do = [download_one(session, cc, base_url, semaphore) for cc in cc_list]
        return await asyncio.gather(*to_do)


def download_many(cc_list: list[str], base_url: str, concurrency: int):
    return asyncio.run(supervisor(cc_list, base_url, concurrency))


if __name__ == "__main__":
    main(download_many)
