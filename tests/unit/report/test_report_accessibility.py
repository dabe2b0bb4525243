"""The page before axe-core, in a real browser: every language, every kind of register, on a desk and in a hand."""

import pytest
import report_sample as sample
from axe_playwright_python.sync_playwright import Axe
from report_browser import WIDTHS, opened
from report_pages import EMPTY, HOSTILE, hostile

from ropa.report.words import languages

PAGES = {"sample": sample.document(), "empty": EMPTY, "hostile": hostile(*HOSTILE.values())}


# In a hand the page is laid out alike in every language; what differs is the length of words, and those are the sample's.
SHOWN = [
    pytest.param(
        *(name, lang, width),
        marks=[]
        if lang == "nl" or (name == "sample" and (width == "desktop" or lang == "de"))
        else [pytest.mark.whole],
    )
    for name in PAGES
    for lang in languages()
    for width in WIDTHS
]


@pytest.mark.sampled(one_in=3)
@pytest.mark.parametrize(("name", "lang", "width"), SHOWN)
def test_axe_finds_nothing_to_complain_of(browser, tmp_path, name, lang, width):
    # Contrast takes most of the time and knows no language.
    is_measured = lang == "nl"
    options = {"resultTypes": ["violations"], "rules": {"color-contrast": {"enabled": is_measured}}}
    with opened(browser, tmp_path, PAGES[name], lang, width=width) as page:
        found = Axe().run(page, options=options).response
    told = [f"{v['id']}: {node['html'][:200]}" for v in found["violations"] for node in v["nodes"][:3]]
    assert told == []


def test_axe_sees_what_it_should(browser, tmp_path):
    """That the check above can fail: a picture without words, and grey on grey."""
    with opened(browser, tmp_path, PAGES["sample"]) as page:
        page.evaluate(
            """() => {
                const heading = document.getElementById("pictures-title");
                heading.style.color = "#ddd";
                document.querySelectorAll("svg[role=img] title").forEach((title) => title.remove());
            }"""
        )
        found = {v["id"] for v in Axe().run(page).response["violations"]}
    assert {"color-contrast", "svg-img-alt"} <= found
