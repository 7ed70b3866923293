"""A real browser, for the tests that look at pages."""

import shutil
from contextlib import contextmanager

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="SKIPPED: no Chromium on this machine")


@contextmanager
def browser_page(width: int, height: int, scheme: str, *, arguments=(), **options):
    """An empty page that records its requests and its errors."""
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync", *arguments]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme, **options)
        page.problems, page.requests = [], []
        page.on("console", lambda message: page.problems.append(message.text))
        page.on("requestfailed", lambda request: page.problems.append(request.url))
        page.on("request", lambda request: page.requests.append(request.url))
        yield page
        browser.close()
