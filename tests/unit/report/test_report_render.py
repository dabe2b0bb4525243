import base64
import csv as stdlib_csv
import hashlib
import html as stdlib_html
import io
import json as stdlib_json
import re
from dataclasses import replace
from datetime import date, datetime
from enum import StrEnum
from html.parser import HTMLParser
from itertools import pairwise

import leaves
import pytest
import report_sample as sample
from report_pages import EMPTY, HOSTILE, hostile

from ropa.clock import Period, timestamp
from ropa.errors import CallError
from ropa.report import csv, html, json
from ropa.report.words import Words, languages
from ropa.sweep.standing import State

DOCUMENT = sample.document()
NL = Words("nl", DOCUMENT.timezone)
PAGE = html.render(DOCUMENT, "nl")

SAID_ELSEWHERE = leaves.SAID_ELSEWHERE | {
    ("RowPart", "Adherence", "targets"): "Standing.identity, in the table of standings",
}


def spelled(value):
    """How a value stands in the Dutch report."""
    if isinstance(value, tuple):
        return [text for part in value for text in spelled(part)]
    if isinstance(value, datetime):
        return [NL.instant(value)]
    if isinstance(value, date):
        return [NL.month(value), NL.day(value)]
    if isinstance(value, Period):
        return [NL.period(value)]
    if isinstance(value, int):
        return [NL.number(value)]
    return [value]


def plain(value):
    """How a value stands in JSON and CSV."""
    if isinstance(value, tuple):
        return [text for part in value for text in plain(part)]
    if isinstance(value, datetime):
        return [timestamp(value)]
    if isinstance(value, date):
        return [value.isoformat()]
    return [value.iso if isinstance(value, Period) else str(value)]


LEAVES = [
    (number, *found)
    for number, found in enumerate(leaves.places(DOCUMENT), 1)
    if (found[2], type(found[1]).__name__, found[3]) not in SAID_ELSEWHERE
]


def name_of(found):
    _, _, instance, owner, name, _ = found
    return f"{owner}.{type(instance).__name__}.{name}"


def test_the_walk_reaches_every_class_of_the_model():
    reached = {type(found[2]).__name__ for found in LEAVES}
    assert reached >= {
        *(
            "Document",
            "Summary",
            "Reason",
            "OrganisationPart",
            "Party",
            "ActivityPart",
            "RowPart",
            "Adherence",
            "Counts",
        ),
        *("RecipientPart", "PlacePart", "DatasetPart", "TermPart", "Standing", "CookiePart", "HoldCount", "Finding"),
        *("MonthPart", "RunSummary", "RunTarget", "Evidence"),
    }
    assert len(LEAVES) > 150


@pytest.mark.sampled(one_in=6)
@pytest.mark.parametrize("found", LEAVES, ids=name_of)
def test_each_fact_of_the_model_stands_in_the_page_and_in_the_json(found):
    number, path, instance, _owner, name, kind = found
    old = getattr(instance, name)
    value = leaves.fresh(number, type(instance).__name__, name, kind, old)
    document = leaves.changed(DOCUMENT, path, name, value)
    page, data = stdlib_html.unescape(html.render(document, "nl")), json.render(document)
    assert data != json.render(DOCUMENT)
    if isinstance(value, (bool, StrEnum)) or (type(instance).__name__, name) in leaves.CHOICES:
        assert page != stdlib_html.unescape(PAGE)
        return
    wanted = spelled(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        assert any(text in page for text in wanted)
    else:
        folded = page.casefold()
        assert [text for text in wanted if text.casefold() not in folded] == []
    assert [text for text in plain(value) if text not in data] == []


def test_a_session_cookie_says_when_it_goes():
    cookie = replace(DOCUMENT.cookies[-1], lifetime=None, is_session=True)
    assert NL("text.session") in html.render(replace(DOCUMENT, cookies=(cookie,)), "nl")


def test_instants_follow_the_documents_zone():
    assert "21 november 2026, 08:15" in PAGE
    assert "21 november 2026, 07:15" in html.render(replace(DOCUMENT, timezone="UTC"), "nl")
    assert "UTC" in html.render(replace(DOCUMENT, timezone="UTC"), "nl")


def test_each_reason_is_a_sentence_of_the_page():
    for reason in [*DOCUMENT.summary.reasons, *(r for a in DOCUMENT.activities for r in a.reasons)]:
        assert stdlib_html.escape(NL.count(f"reason.{reason.code}", reason.count), quote=False) in PAGE


# --- csv ----------------------------------------------------------------------------------------------------------


def rows_of(document, lang="nl"):
    return list(stdlib_csv.DictReader(io.StringIO(csv.render(document, lang), newline="")))


ROW_LEAVES = [
    found
    for found in [(n, *f) for n, f in enumerate(leaves.places(DOCUMENT), 1)]
    if (
        type(found[2]).__name__ in {"RowPart", "Adherence"}
        or (found[3], type(found[2]).__name__) == ("Adherence", "Counts")
    )
    and (type(found[2]).__name__, found[4]) not in {("Adherence", "activity"), ("Adherence", "category")}
]


@pytest.mark.parametrize("found", ROW_LEAVES, ids=name_of)
def test_each_fact_of_a_row_stands_in_the_csv(found):
    number, path, instance, _owner, name, kind = found
    value = leaves.fresh(number, type(instance).__name__, name, kind, getattr(instance, name))
    text = csv.render(leaves.changed(DOCUMENT, path, name, value), "nl")
    if isinstance(value, (bool, StrEnum)):
        assert text != csv.render(DOCUMENT, "nl")
    else:
        wanted = [NL.period(value)] if isinstance(value, Period) else plain(value)
        assert [part for part in wanted if part not in text] == []


def test_the_csv_has_one_row_per_activity_category_and_place():
    wanted = [
        (activity.key, row.category, row.adherence.location or "", row.adherence.dataset or "")
        for activity in DOCUMENT.activities
        for row in activity.rows
    ]
    assert [(r["activity"], r["category"], r["location"], r["dataset"]) for r in rows_of(DOCUMENT)] == wanted


def test_the_csv_keys_are_the_same_in_every_language_and_the_words_are_not():
    nl, en = rows_of(DOCUMENT, "nl"), rows_of(DOCUMENT, "en")
    assert list(nl[0]) == list(en[0])
    assert (nl[0]["category_title"], en[0]["category_title"]) == ("naam", "name")
    assert [r["state"] for r in nl] == [r["state"] for r in en]


def test_an_activity_without_data_keeps_its_row():
    activity = replace(DOCUMENT.activities[0], rows=())
    rows = rows_of(replace(DOCUMENT, activities=(activity,)))
    assert [(r["activity"], r["category"], r["state"]) for r in rows] == [("intake", "", "")]


def test_an_empty_register_still_has_a_header():
    lines = csv.render(replace(DOCUMENT, activities=()), "nl").splitlines()
    assert len(lines) == 1
    assert lines[0].split(",") == list(rows_of(DOCUMENT)[0])


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\n=HYPERLINK(1)", "\u200e=1", "\uff1d1"],
)
def test_no_cell_starts_a_formula(text):
    cell = csv.cell(text)
    assert cell.startswith("'")
    assert cell[1:].strip() in {text.strip(), text.strip("\u200e \t\r\n")}


@pytest.mark.parametrize("text", ["", "naam", "a=b", "6.1.b", "'quoted"])
def test_an_innocent_cell_stays_as_it_is(text):
    assert csv.cell(text) == text


# --- json ---------------------------------------------------------------------------------------------------------


def test_the_json_names_its_schema_and_knows_no_language():
    data = stdlib_json.loads(json.render(DOCUMENT))
    assert data["schema"] == "ropa.report/1"
    assert list(data)[1:] == list(DOCUMENT.__dataclass_fields__)
    assert data["activities"][0]["rows"][0]["adherence"]["counts"]["due"] == 1215
    assert data["terms"][0]["period"] == "P6M"
    assert data["generated_at"] == "2026-11-21T07:15:00Z"


# --- the page -----------------------------------------------------------------------------------------------------

VOID = {"meta", "link", "br", "hr", "img", "input", "col"}


class Reader(HTMLParser):
    """Notes what the tests ask about, and that every element is closed in its order."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.ids, self.tags, self.heads, self.text = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        assert len(found) == len(attrs), f"an attribute twice on <{tag}>"
        self.tags.append((tag, found))
        if "id" in found:
            self.ids.append(found["id"])
        if re.fullmatch("h[1-6]", tag):
            self.heads.append(int(tag[1]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.text.append(data)


def read(page):
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


PAGES = {"sample": DOCUMENT, "empty": EMPTY}


@pytest.mark.parametrize("lang", languages())
@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_well_formed_and_its_ids_are_unique(name, lang):
    reader = read(html.render(PAGES[name], lang))
    assert len(reader.ids) == len(set(reader.ids))
    assert dict(reader.tags)["html"]["lang"] == lang
    for _tag, attrs in reader.tags:
        for key in ("aria-labelledby", "aria-describedby"):
            assert set(attrs.get(key, "").split()) <= set(reader.ids)


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_fetched_and_links_stay_in_the_page(name):
    page = html.render(PAGES[name], "nl")
    reader = read(page)
    assert [attrs for tag, attrs in reader.tags if tag == "script"] == [{}]
    for tag, attrs in reader.tags:
        assert tag not in {"link", "img", "iframe", "object", "embed", "form", "base", "video", "audio"}
        assert "style" not in attrs
        assert not [
            key for key in attrs if key.startswith("on") or key in {"src", "srcset", "action", "formaction", "data"}
        ]
        for key in ("href", "xlink:href"):
            target = attrs.get(key)
            assert target is None or (target.startswith("#") and target[1:] in reader.ids)
    assert not re.search(r"url\((?!#)|@import|https?://", page.replace("http-equiv", ""))
    policy = next(
        attrs["content"] for tag, attrs in reader.tags if attrs.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert ("meta", {"name": "referrer", "content": "no-referrer"}) in reader.tags
    for tag in ("style", "script"):
        (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}';" in policy


def test_tables_have_a_caption_and_every_head_a_scope():
    reader = read(PAGE)
    assert [tag for tag, _ in reader.tags].count("table") == [tag for tag, _ in reader.tags].count("caption") > 10
    assert {attrs.get("scope") for tag, attrs in reader.tags if tag == "th"} == {"col", "row", "rowgroup"}


def test_headings_go_down_one_level_at_a_time():
    heads = read(PAGE).heads
    assert heads[0] == 1
    assert heads.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(heads))


def test_the_page_has_landmarks_a_skip_link_and_regions_that_a_keyboard_reaches():
    reader = read(PAGE)
    tags = [tag for tag, _ in reader.tags]
    assert [tags.count(tag) for tag in ("main", "header", "footer", "nav")] == [1, 1 + len(DOCUMENT.activities), 1, 1]
    assert next(attrs for tag, attrs in reader.tags if tag == "a") == {"class": "skip", "href": "#content"}
    scrolling = [attrs for _, attrs in reader.tags if "scroll" in (attrs.get("class") or "").split()]
    assert all(attrs["tabindex"] == "0" and attrs["role"] == "region" for attrs in scrolling)


def test_every_picture_is_a_table_that_says_in_words_what_its_marks_and_bars_show():
    reader = read(PAGE)
    pictures = [attrs["class"] for tag, attrs in reader.tags if tag == "table" and attrs["class"] in PICTURES]
    assert set(pictures) == PICTURES
    svgs = re.findall(r"<svg([^>]*)>(?=(.{0,200}))", PAGE)
    spoken = [rest for attrs, rest in svgs if 'role="img"' in attrs]
    cells = sum(len({(row.category, row.adherence.location) for row in a.rows}) for a in DOCUMENT.activities)
    assert len(spoken) == cells
    assert all(re.match("<title>[^<]+</title>", rest) for rest in spoken)
    assert all('aria-hidden="true"' in attrs for attrs, _ in svgs if 'role="img"' not in attrs)


PICTURES = {"where", "bars long", "bars went"}


def picture(name, document=DOCUMENT):
    """The rows of one picture, each as its text."""
    page = html.render(document, "nl")
    inside = page.split(f'<table class="{name}"')[1].split("</table>")[0]
    return [
        " ".join(re.sub("<[^>]*>", " ", stdlib_html.unescape(row)).split()) for row in re.split("<tr[^>]*>", inside)[2:]
    ]


def test_what_lives_where_has_a_line_per_category_with_the_state_at_its_place():
    assert "Bewijs van toestemming geen termijn" in picture("where")
    lines = sum(len({row.category for row in activity.rows}) for activity in DOCUMENT.activities)
    assert len(picture("where")) == len(DOCUMENT.activities) + lines


def test_how_long_says_each_period_and_how_late_it_is():
    found = picture("bars long")
    assert "E-mailadres Aanvragen en offertes zes maanden tot 412 dagen te laat" in found
    assert "Postadres Papieren archief zeven jaar + tot het einde van het jaar enkel gedocumenteerd" in found
    assert "IP-adres Beveiliging van de website 30 dagen" in found


def test_what_went_says_each_month_also_one_without_a_run():
    quiet = replace(DOCUMENT.months[0], runs=0, done=0, fell_short=0)
    found = picture("bars went", replace(DOCUMENT, months=(quiet, *DOCUMENT.months[1:])))
    assert found[0] == f"{NL.month(quiet.month)} 0 0 geen"
    last = DOCUMENT.months[-1]
    assert found[-1] == " ".join(
        [NL.month(last.month), *(NL.number(count) for count in (last.done, last.fell_short, last.runs))]
    )


def test_a_large_register_is_told_in_lines_that_can_be_looked_at():
    copies = tuple(replace(a, key=f"{a.key}-{i}") for i in range(20) for a in DOCUMENT.activities)
    large = replace(DOCUMENT, activities=copies)
    with_data = [activity for activity in copies if activity.rows]
    assert len(picture("where", large)) == len(with_data)
    assert "Klantenbeheer te laat 4" in picture("where", large)
    assert "Telefoonnummer 20 activiteiten zes maanden tot 412 dagen te laat" in picture("bars long", large)
    assert '<body class="large">' in html.render(large, "nl")


@pytest.mark.parametrize("state", State)
def test_each_state_has_a_shape_of_its_own_and_a_word(state):
    assert f'<symbol id="mark-{state}"' in PAGE
    assert stdlib_html.escape(NL(f"meaning.{state}"), quote=False) in PAGE
    shapes = re.findall(r'<symbol id="mark-[a-z-]+" [^>]*>(.*?)</symbol>', PAGE)
    assert len(set(shapes)) == len(list(State)) == len(shapes)


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_colours_have_contrast_enough():
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", PAGE))
    texts = [colours[name] for name in ("ink", "soft", "accent", "bad")] + re.findall(
        r"[ {]color: (#[0-9a-f]{6})", PAGE
    )
    for ground in ("#ffffff", colours["wash"], colours["bad-wash"], colours["accent-wash"]):
        for text in texts:
            light, dark = sorted((luminance(ground), luminance(text)), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, ground)


def test_missing_evidence_is_said_in_red_and_in_words():
    page = html.render(EMPTY, "nl")
    assert 'class="alarm"' in page
    assert NL("evidence.missing") in page
    assert NL("evidence.missing_text") in page
    assert 'class="alarm"' not in PAGE
    broken = replace(DOCUMENT, evidence=replace(sample.EVIDENCE, is_sound=False, problems=("chain at seq 4",)))
    page = html.render(broken, "nl")
    assert page.count('class="alarm"') == 2
    assert "chain at seq 4" in page


def test_the_page_never_calls_itself_a_form_of_the_authority():
    for lang in languages():
        text = " ".join(read(html.render(DOCUMENT, lang)).text).casefold()
        assert not re.search(r"gba[- ]?(model|sjabloon|template|format|kolom|columns|formulier)", text)
    assert "op basis van artikel 30 AVG en de richtsnoeren van de GBA" in PAGE
    assert "based on Art. 30 GDPR and GBA guidance" in html.render(DOCUMENT, "en")


def test_the_headings_of_article_30_stand_in_the_page_word_for_word():
    text = stdlib_html.unescape(PAGE)
    assert "de categorieën van ontvangers aan wie de persoonsgegevens zijn of zullen worden verstrekt" in text
    for group, letters in (("1", "abcdefg"), ("2", "abcd")):
        for letter in letters:
            assert NL(f"article30_{group}.{letter}") in text


def test_the_page_of_one_document_is_always_the_same():
    assert html.render(DOCUMENT, "nl") == PAGE
    assert csv.render(DOCUMENT, "nl") == csv.render(sample.document(), "nl")
    assert json.render(DOCUMENT) == json.render(sample.document())


def test_a_language_that_is_not_there_is_refused():
    for renderer in (html, csv):
        with pytest.raises(CallError):
            renderer.render(DOCUMENT, "xx")


# --- hostile names ------------------------------------------------------------------------------------------------


@pytest.mark.sampled(one_in=3)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_inert_in_the_page(name):
    page = html.render(hostile(HOSTILE[name]), "nl")
    reader = read(page)
    assert {tag for tag, _ in reader.tags} <= {tag for tag, _ in read(PAGE).tags}
    assert not [key for _, attrs in reader.tags for key in attrs if key.startswith("on")]
    assert "49" not in re.findall(r"<h3[^>]*>(?:<bdi>)?(.*?)<", page)
    assert not re.search("[\x00-\x08\u202a-\u202e\u2066-\u2069]", page)
    assert len(reader.ids) == len(set(reader.ids))


def test_a_template_in_a_name_is_shown_as_it_was_written():
    assert "{{7*7}}" in stdlib_html.unescape(html.render(hostile("{{7*7}}"), "nl"))


def test_names_in_another_direction_are_set_apart():
    assert f"<bdi>{HOSTILE['arabic']}</bdi>" in html.render(hostile(HOSTILE["arabic"]), "nl")


@pytest.mark.sampled(one_in=3)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_inert_in_the_csv(name):
    document = hostile(HOSTILE[name])
    rows = rows_of(document)
    assert len(rows) == len(rows_of(DOCUMENT))
    for row in rows:
        assert None not in row
        for cell in row.values():
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
            assert not re.search("[\x00-\x1f\u202a-\u202e]", cell)
    if name == "formula":
        assert rows[0]["activity_title"] == f"'{HOSTILE[name]}"


def test_the_json_keeps_a_hostile_name_as_it_was_written():
    data = stdlib_json.loads(json.render(hostile(HOSTILE["newline"])))
    assert data["activities"][0]["title"] == HOSTILE["newline"]
