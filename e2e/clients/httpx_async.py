"""Tasks and a semaphore, with httpx."""

import asyncio

import httpx
from common import failed, image_url, main, received


async def download_one(client: httpx.AsyncClient, cc: str, base_url: str, semaphore: asyncio.Semaphore) -> dict:
    try:
        async with semaphore:
            resp = await client.get(image_url(base_url, cc))
    except httpx.HTTPError as error:
        return failed(cc, error)
    return received(cc, resp.status_code, resp.headers, resp.content)


async def supervisor(cc_list: list[str], base_url: str, concurrency: int) -> list[dict]:
    semaphore = asyncio.Semaphore(concurrency)
    limits = httpx.Limits(max_connections=concurrency)
    async with httpx.AsyncClient(timeout=30, limits=limits, follow_redirects=True) as client:
        to_do = [download_one(client, cc, base_url, semaphore) for cc in cc_list]
        return [await task for task in asyncio.as_completed(to_do)]


def download_many(cc_list: list[str], base_url: str, concurrency: int):
    return asyncio.run(supervisor(cc_list, base_url, concurrency))


if __name__ == "__main__":
    main(download_many)
