"""The page of flags in a real browser.

Run as a program, it updates the picture of the README: `python e2e/test_page.py` (FLAGBENCH_BIN names the binaries).
"""

import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from browser import browser_page, needs_browser
from conftest import ROOT, running

pytestmark = needs_browser


@contextmanager
def page_of_flags(url: str, width: int, height: int, scheme: str):
    """The page with all its pictures loaded."""
    with browser_page(width, height, scheme) as page:
        page.goto(url)
        page.evaluate("for (const image of document.images) image.loading = 'eager'")
        page.wait_for_function("[...document.images].every(image => image.complete)")
        yield page


@pytest.mark.parametrize("width", [1280, 390])
def test_every_flag_is_visible_and_nothing_overflows(tmp_path, width):
    with running(tmp_path, "--profile", "local", "--port", "0") as server:
        with page_of_flags(f"{server.flags()}/", width, 900, "light") as page:
            sizes = page.evaluate("[...document.images].map(i => [i.naturalWidth, i.naturalHeight])")
            assert sizes == [[400, 300]] * 194
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            names = page.locator("li").all_inner_texts()
            assert names[0].split("\n")[-1].strip() == "AD Andorra" and len(names) == 194
            assert page.problems == []
            assert page.title() == "194 flags"


def test_the_page_follows_the_colour_scheme(tmp_path):
    colours = {}
    with running(tmp_path, "--profile", "local", "--port", "0") as server:
        for scheme in ("light", "dark"):
            with page_of_flags(f"{server.flags()}/", 800, 600, scheme) as page:
                colours[scheme] = page.evaluate("getComputedStyle(document.body).color")
    assert colours["light"] != colours["dark"]


if __name__ == "__main__":
    target = Path(sys.argv[1]) if sys.argv[1:] else ROOT / "docs" / "images" / "flags.png"
    with running(Path(tempfile.mkdtemp()), "--profile", "local", "--port", "0") as server:
        with page_of_flags(f"{server.flags()}/", 1280, 640, "light") as page:
            page.screenshot(path=target)
