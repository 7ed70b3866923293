"""The page of a result in a real browser: on screens and phones, in light and dark, without a network and without a script."""

import json
from itertools import product

import pytest
from browser import browser_page, needs_browser
from conftest import CLIENT, cells, run

pytestmark = needs_browser


@pytest.fixture(scope="module")
def page_files(tmp_path_factory):
    """A race, one with faults and retries, and a sweep."""
    folder = tmp_path_factory.mktemp("pages")
    for name, args in [
        ("race", ("bench", "-r", "2", "-w", "0")),
        ("faults", ("bench", "-a", "--profile", "flaky", "--retries", "1", "--timeout", "2s", "-r", "1", "-w", "0",
                    "--strategy", "threaded", "--strategy", "async")),
        ("sweep", ("sweep", "-m", "1,2,5", "-r", "1", "-w", "0")),
    ]:
        result = run(CLIENT, *args, "-q", "--report", f"{name}.html", "--export-json", f"{name}.json",
                     "--plot", f"{name}.png", cwd=folder)
        assert result.returncode == 0, result.stderr
    return folder


# The list covers each pair of a page, a width and a scheme.
@pytest.mark.parametrize(("name", "width", "scheme"), cells(
    product(["race", "faults", "sweep"], [1280, 390], ["light", "dark"]),
    short=[
        ("race", 1280, "light"),
        ("race", 390, "dark"),
        ("faults", 1280, "dark"),
        ("faults", 390, "light"),
        ("sweep", 1280, "light"),
        ("sweep", 390, "dark"),
    ],
))
def test_a_page_is_complete_and_fits(page_files, name, width, scheme):
    file = page_files / f"{name}.html"
    with browser_page(width, 900, scheme, java_script_enabled=False) as page:
        page.goto(file.as_uri())
        # The page's own scripts are off; the test's queries still run.
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert [url for url in page.requests if not url.startswith(("file:", "data:"))] == []
        assert page.problems == []
        shown = page.locator("figure svg:visible")
        assert shown.count() == page.locator("figure").count() >= 4
        for index in range(shown.count()):
            box = shown.nth(index).bounding_box()
            assert box["height"] > 50 and 0 <= box["x"] and box["x"] + box["width"] <= width
        # No text of a picture is too small to read, or outside of it.
        sizes = page.evaluate("""[...document.querySelectorAll('figure svg')].filter(s => s.checkVisibility()).flatMap(
            svg => [...svg.querySelectorAll('text')].map(text => text.getBoundingClientRect().height))""")
        assert min(sizes) >= 8, sorted(sizes)[:3]
        all_series = json.loads((page_files / f"{name}.json").read_text())["lanes"]
        rows = page.locator("tbody tr th").all_inner_texts()
        assert rows[: len(all_series)] == [series["name"] for series in all_series]


@pytest.mark.parametrize("name", ["race", "faults", "sweep"])
def test_a_page_follows_the_colour_scheme(page_files, name):
    colours = {}
    for scheme in ("light", "dark"):
        with browser_page(800, 600, scheme) as page:
            page.goto((page_files / f"{name}.html").as_uri())
            colours[scheme] = page.evaluate("""[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor,
                getComputedStyle([...document.querySelectorAll('figure svg')].find(s => s.checkVisibility()).querySelector('text')).fill]""")
    assert all(light != dark for light, dark in zip(colours["light"], colours["dark"]))


def test_a_picture_for_a_slide_is_a_png_of_its_size(page_files):
    for name in ("race", "faults", "sweep"):
        png = (page_files / f"{name}.png").read_bytes()
        width, height = int.from_bytes(png[16:20]), int.from_bytes(png[20:24])
        assert png.startswith(b"\x89PNG") and (width, height >= 900) == (1600, True)
