"""The page in a real browser: what hostile names can do there, and how one searches it."""

from dataclasses import replace

import pytest
import report_sample as sample
from report_browser import WIDTHS, opened
from report_pages import EMPTY, HOSTILE, hostile

from ropa.report.words import Words
from ropa.sweep.standing import State

DOCUMENT = sample.document()
NL = Words("nl", DOCUMENT.timezone)
ACTIVITIES = len(DOCUMENT.activities)

TOO_WIDE = """() => [...document.querySelectorAll("body *")].filter((element) => {
    const box = element.getBoundingClientRect();
    return box.width > 0 && box.right > innerWidth + 1 && !element.closest(".scroll, .away, .quiet, pre, svg");
}).map((element) => element.outerHTML.slice(0, 120)).slice(0, 5)"""

SHOWN = """() => ({
    activities: [...document.querySelectorAll("article")].filter((a) => a.checkVisibility()).length,
    rows: [...document.querySelectorAll("article [data-at]")].filter((row) => row.checkVisibility()).length,
    marks: [...document.querySelectorAll(".where [data-at]")].filter((row) => row.checkVisibility()).length,
    targets: [...document.querySelectorAll("#standings [data-at]")].filter((row) => row.checkVisibility()).length,
})"""


@pytest.fixture
def page(browser, tmp_path):
    with opened(browser, tmp_path, DOCUMENT) as found:
        yield found


def told(page):
    return page.inner_text("#filter-told")


def search(page, text):
    page.fill("#filter-text", text)
    page.wait_for_timeout(400)
    return page.evaluate(SHOWN)


def count_of(page):
    shown, whole = page.evaluate(SHOWN), page.evaluate("() => document.querySelectorAll('article [data-at]').length")
    return NL(
        "page.filter_count",
        activities=shown["activities"],
        all_activities=ACTIVITIES,
        rows=shown["rows"],
        all_rows=whole,
    )


# --- hostile names ------------------------------------------------------------------------------------------------


@pytest.mark.sampled(one_in=9)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", [*HOSTILE, "all"])
def test_a_hostile_name_opens_nothing_asks_for_nothing_and_breaks_no_layout(browser, tmp_path, name, width):
    document = hostile(*(HOSTILE.values() if name == "all" else [HOSTILE[name]]))
    with opened(browser, tmp_path, document, width=width) as page:
        page.fill("#filter-text", HOSTILE.get(name, "x").split("\r")[0][:150])
        page.wait_for_timeout(300)
        page.press("#filter-text", "Escape")
        assert page.evaluate("() => document.documentElement.scrollWidth") == WIDTHS[width]
        assert page.evaluate(TOO_WIDE) == []
        assert page.evaluate("() => document.scripts.length + document.styleSheets.length") == 2
        assert (page.dialogs, page.asked, page.said) == ([], [], [])


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("document", [DOCUMENT, EMPTY], ids=["sample", "empty"])
def test_the_page_fits_its_window_and_says_nothing_to_the_console(browser, tmp_path, document, width):
    with opened(browser, tmp_path, document, width=width) as page:
        assert page.evaluate("() => document.documentElement.scrollWidth") == WIDTHS[width]
        assert page.evaluate(TOO_WIDE) == []
        assert (page.dialogs, page.asked, page.said) == ([], [], [])


def test_the_policy_stops_what_would_get_in(page):
    page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.hit = true";
            const style = document.createElement("style");
            style.textContent = "main { display: none }";
            const image = document.createElement("img");
            image.src = "https://picture.example/x.png";
            image.setAttribute("onerror", "window.hit = true");
            document.body.append(script, style, image);
        }"""
    )
    page.wait_for_timeout(300)
    assert page.evaluate("() => window.hit") is None
    assert page.is_visible("main")
    assert all(any(f"{kind}-src" in text for text in page.said) for kind in ("script", "style"))
    assert any("picture.example" in text and "violates" in text for text in page.said)


# --- the filter ---------------------------------------------------------------------------------------------------


def test_without_script_nothing_of_the_filter_shows_and_everything_else_does(browser, tmp_path):
    with opened(browser, tmp_path, DOCUMENT, with_script=False) as page:
        assert not page.is_visible("#filter")
        assert not page.is_visible("#filter-nothing")
        assert page.evaluate(SHOWN)["activities"] == ACTIVITIES


def test_free_words_are_found_in_activities_and_in_rows_without_regard_to_accents_and_case(page):
    assert page.is_visible("#filter")
    assert told(page) == ""
    assert search(page, "BÁKKERIJ de korenaar")["activities"] == 1
    assert told(page) == count_of(page)
    found = search(page, "klantenbeheer correspondentie")
    assert (found["activities"], found["rows"]) == (1, 1)
    assert search(page, "geen zulk woord")["activities"] == 0
    assert page.is_visible("#filter-nothing")


@pytest.mark.parametrize("state", sorted({r.adherence.state for a in DOCUMENT.activities for r in a.rows}))
@pytest.mark.sampled(one_in=4)
def test_a_state_shows_the_rows_that_have_it_and_no_other(page, state):
    page.select_option("#filter-state", str(state))
    wanted = {(a.key, r.category) for a in DOCUMENT.activities for r in a.rows if r.adherence.state == state}
    found = page.evaluate(SHOWN)
    assert found["activities"] == len({key for key, _ in wanted})
    assert found["marks"] == len(wanted)
    assert found["targets"] == sum(stand.state == state for stand in DOCUMENT.standings)
    assert told(page) == count_of(page)


def test_state_and_place_are_asked_of_the_same_row(page):
    page.select_option("#filter-place", "web")
    assert page.evaluate(SHOWN)["activities"] == 2
    page.select_option("#filter-state", str(State.ENFORCED))
    assert page.evaluate(SHOWN)["activities"] == 1
    page.select_option("#filter-place", "crm")
    assert page.evaluate(SHOWN)["activities"] == 0


def test_only_what_needs_attention_leaves_out_what_is_well(page):
    page.check("#filter-bad")
    shown = page.evaluate(
        "() => [...document.querySelectorAll('article h3')].filter((h) => h.checkVisibility()).map((h) => h.innerText)"
    )
    assert "Facturatie en boekhouding" in shown
    assert "Beveiliging van de website" not in shown
    assert "Papieren archief" not in shown


def test_the_keyboard_is_enough_and_escape_shows_everything_again(page):
    page.focus("#filter-text")
    page.keyboard.type("nieuwsbrief")
    page.wait_for_timeout(400)
    assert page.evaluate(SHOWN)["activities"] < ACTIVITIES
    for wanted in ("filter-state", "filter-place", "filter-bad", "filter-clear"):
        page.keyboard.press("Tab")
        assert page.evaluate("() => document.activeElement.id") == wanted
        assert page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Escape")
    assert page.evaluate(SHOWN)["activities"] == ACTIVITIES
    assert (page.input_value("#filter-text"), told(page)) == ("", "")
    assert page.is_disabled("#filter-clear")


def test_how_many_are_left_is_announced(page):
    assert page.get_attribute("#filter-told", "role") == "status"
    assert page.get_attribute("#filter-told", "aria-live") == "polite"
    page.check("#filter-bad")
    assert told(page) == count_of(page)
    page.click("#filter-clear")
    assert told(page) == ""
    assert page.evaluate("() => document.activeElement.id") == "filter-text"


def test_a_link_to_what_is_filtered_out_shows_it(page):
    search(page, "nieuwsbrief")
    page.evaluate("() => { location.hash = '#activity-1' }")
    page.wait_for_timeout(300)
    assert page.is_visible("#activity-1")
    assert page.input_value("#filter-text") == ""


def test_printing_prints_everything_whatever_is_filtered(page):
    whole = page.evaluate(SHOWN)
    assert search(page, "nieuwsbrief") != whole
    page.emulate_media(media="print")
    assert page.evaluate(SHOWN) == whole
    assert not page.is_visible("#filter")
    assert page.evaluate("() => getComputedStyle(document.querySelector('thead')).display") == "table-header-group"


def test_a_large_register_is_laid_out_as_one_scrolls_and_searched_as_a_whole(browser, tmp_path):
    copies = tuple(
        replace(a, key=f"{a.key}-{i}", title=f"{a.title} nummer{i}") for i in range(30) for a in DOCUMENT.activities
    )
    with opened(browser, tmp_path, replace(DOCUMENT, activities=copies)) as page:
        assert page.evaluate("() => getComputedStyle(document.querySelector('article')).contentVisibility") == "auto"
        assert search(page, "nummer29")["activities"] == ACTIVITIES
        page.emulate_media(media="print")
        assert page.evaluate("() => getComputedStyle(document.querySelector('article')).contentVisibility") == "visible"
        assert page.evaluate(SHOWN)["activities"] == len(copies)
        assert page.said == []
