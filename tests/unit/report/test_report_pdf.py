"""The report as PDF: every fact stands in it, it is tagged and fit for an archive, and no name in it can act."""

import io
import json as stdlib_json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import date, datetime
from enum import StrEnum
from fractions import Fraction
from itertools import pairwise

import leaves
import pikepdf
import pytest
import report_sample as sample

from ropa.clock import Period
from ropa.errors import CallError, ConfigurationError, RopaError
from ropa.report import json, pdf
from ropa.report.pdf import activities, blocks, glyphs
from ropa.report.pdf.content import ATTACHED, PANELS, content
from ropa.report.words import Words, languages
from ropa.report.writing import FORMATS
from ropa.sweep.standing import State

DOCUMENT = sample.document()
NL = Words("nl", DOCUMENT.timezone)
PAGES = {lang: pdf.render(DOCUMENT, lang) for lang in languages()}


def texts(value):
    """The texts of the content, those of a line together."""
    if isinstance(value, dict):
        if "spans" in value:
            return ["".join(span["text"] for span in value["spans"])]
        return [text for key, part in value.items() if key not in UNSEEN for text in texts(part)]
    if isinstance(value, list):
        return [text for part in value for text in texts(part)]
    return [value] if isinstance(value, str) else []


UNSEEN = {"kind", "look", "mark", "tone", "page", "lang", "region", "drawing", "alt", "bar", "attachment"}
"""What steers the template, is set with numbers in it, or stands in the file beside its pages."""


# --- the facts ----------------------------------------------------------------------------------------------------

SAID_ELSEWHERE = leaves.SAID_ELSEWHERE | {
    ("RowPart", "Adherence", "targets"): "Standing.identity, in the table of standings",
}

LEAVES = [
    (number, *found)
    for number, found in enumerate(leaves.places(DOCUMENT), 1)
    if (found[2], type(found[1]).__name__, found[3]) not in SAID_ELSEWHERE
]


def spelled(value):
    """How a value stands in the Dutch report; a date as a day or as a month."""
    if isinstance(value, tuple):
        return [text for part in value for text in spelled(part)]
    if isinstance(value, datetime):
        return [NL.instant(value)]
    if isinstance(value, date):
        return [NL.day(value) if value.day != 1 else NL.month(value)]
    if isinstance(value, Period):
        return [NL.period(value)]
    if isinstance(value, int):
        return [NL.number(value)]
    return [value]


@pytest.mark.sampled(one_in=12)
@pytest.mark.parametrize("found", LEAVES, ids=lambda found: f"{found[3]}.{type(found[2]).__name__}.{found[4]}")
def test_each_fact_of_the_model_is_set(found):
    number, path, instance, _owner, name, kind = found
    value = leaves.fresh(number, type(instance).__name__, name, kind, getattr(instance, name))
    set_now = texts(content(leaves.changed(DOCUMENT, path, name, value), "nl"))
    if isinstance(value, (bool, StrEnum)) or (type(instance).__name__, name) in leaves.CHOICES:
        assert set_now != texts(content(DOCUMENT, "nl"))
        return
    folded = "\n".join(set_now).casefold()
    if isinstance(value, date) and not isinstance(value, datetime):
        assert any(text.casefold() in folded for text in (NL.day(value), NL.month(value)))
    else:
        assert [text for text in spelled(value) if text.casefold() not in folded] == []


def test_a_session_cookie_says_when_it_goes():
    cookie = replace(DOCUMENT.cookies[-1], lifetime=None, is_session=True)
    assert NL("text.session") in texts(content(replace(DOCUMENT, cookies=(cookie,)), "nl"))


def test_instants_follow_the_documents_zone():
    assert "21 november 2026, 08:15" in "\n".join(texts(content(DOCUMENT, "nl")))
    assert "21 november 2026, 07:15" in "\n".join(texts(content(replace(DOCUMENT, timezone="UTC"), "nl")))


def test_each_reason_is_a_sentence_of_the_cover_and_of_its_activity():
    said = texts(content(DOCUMENT, "nl"))
    parts = (DOCUMENT.summary, *DOCUMENT.activities)
    assert [
        reason.code
        for part in parts
        for reason in part.reasons
        if NL.count(f"reason.{reason.code}", reason.count) not in said
    ] == []


def test_a_reason_that_is_an_alarm_is_said_in_red():
    cover = content(DOCUMENT, "nl")["cover"]
    looks = {reason["spans"][0]["text"]: reason["spans"][0]["looks"] for reason in cover["reasons"]}
    overdue = next(reason for reason in DOCUMENT.summary.reasons if reason.code == "overdue")
    waiting = next(reason for reason in DOCUMENT.summary.reasons if reason.code == "waiting")
    assert looks[NL.count("reason.overdue", overdue.count)] == ["bad"]
    assert looks[NL.count("reason.waiting", waiting.count)] == []


def test_missing_evidence_is_said_in_red_on_the_cover_and_in_its_section():
    found = content(replace(DOCUMENT, evidence=None), "nl")
    assert found["cover"]["alarm"][0]["spans"][0] == blocks.span(NL("evidence.missing"), "strong", "bad")
    assert any(NL("empty.evidence") in text for text in texts(found["sections"]))


# --- the file -----------------------------------------------------------------------------------------------------


def opened(lang="nl"):
    return pikepdf.open(io.BytesIO(PAGES[lang]))


def elements(file):
    """Every element of the structure tree, in reading order."""

    def walk(node):
        if isinstance(node, pikepdf.Dictionary) and "/S" in node:
            yield node
            children = node.get("/K")
            for child in children if isinstance(children, pikepdf.Array) else [children]:
                yield from walk(child)

    roots = file.Root.StructTreeRoot.K
    for root in roots if isinstance(roots, pikepdf.Array) else [roots]:
        yield from walk(root)


def attributes(element):
    found = element.get("/A")
    return [] if found is None else list(found) if isinstance(found, pikepdf.Array) else [found]


@pytest.mark.parametrize("lang", languages())
def test_the_file_is_tagged_and_says_its_language_and_title(lang):
    with opened(lang) as file:
        assert bool(file.Root.MarkInfo.Marked)
        assert str(file.Root.Lang).partition("-")[0] == lang
        assert bool(file.Root.ViewerPreferences.DisplayDocTitle)
        with file.open_metadata() as metadata:
            assert metadata["pdfuaid:part"] == "1"
            assert (metadata["pdfaid:part"], metadata["pdfaid:conformance"]) == ("3", "A")
            assert Words(lang, "UTC")("title.document") in metadata["dc:title"]


def test_every_header_of_a_table_says_what_it_heads():
    with opened() as file:
        heads = [element for element in elements(file) if element.S == "/TH"]
        scopes = {str(a.get("/Scope")) for head in heads for a in attributes(head) if a.O == "/Table"}
        tables = sum(element.S == "/Table" for element in elements(file))
    assert tables >= 15
    assert len(heads) > 60
    assert scopes == {"/Column"}


def test_every_picture_has_a_text_alternative_and_every_heading_a_level_that_follows():
    with opened() as file:
        figures = [str(element.get("/Alt", "")) for element in elements(file) if element.S == "/Figure"]
        levels = [int(str(element.S)[2:]) for element in elements(file) if re.fullmatch(r"/H\d", str(element.S))]
    assert [alt.partition(".")[0] for alt in figures] == [
        NL(f"picture.{key}_title") for key in ("where", "long", "went")
    ]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_the_bookmarks_are_the_sections_with_each_activity_below_its_own():
    with opened() as file, file.open_outline() as outline:
        sections = {item.title: [child.title for child in item.children] for item in outline.root}
    assert next(iter(sections)) == NL("heading.summary")
    assert sections[NL("heading.activities")] == [activity.title for activity in DOCUMENT.activities]
    assert {NL("heading.evidence"), NL("heading.missing"), NL("heading.reading")} <= set(sections)


def test_nothing_in_the_file_acts_or_leads_elsewhere():
    with opened() as file:
        forbidden = {"/JavaScript", "/JS", "/Launch", "/URI", "/GoToR", "/SubmitForm", "/OpenAction", "/AA"}
        seen = set()
        for item in file.objects:
            if isinstance(item, (pikepdf.Dictionary, pikepdf.Stream)):
                found = set(item.keys()) | {str(item.get(key)) for key in ("/S", "/Type") if key in item}
                seen |= found & forbidden
        assert seen == set()
        assert list(file.attachments) == [ATTACHED]


def test_the_whole_report_as_json_is_attached():
    with opened() as file:
        attached = file.attachments[ATTACHED].get_file().read_bytes().decode()
    assert attached == json.render(DOCUMENT)


def test_the_same_document_gives_the_same_bytes():
    assert pdf.render(DOCUMENT, "nl") == PAGES["nl"]


def test_pdf_is_one_of_the_formats():
    assert "pdf" in FORMATS


# --- what a reader gets -------------------------------------------------------------------------------------------


def poppler(*options, content):
    """What pdftotext says about a PDF. (pdfinfo -struct-text would tell the order too; it takes a minute.)"""
    found = shutil.which("pdftotext")
    if found is None:
        assert not os.environ.get("CI"), "pdftotext must be there: apt-get install poppler-utils"
        pytest.skip("poppler: pdftotext is not installed")
    done = subprocess.run([found, *options, "-", "-"], input=content, capture_output=True, check=True, timeout=120)
    return done.stdout.decode()


def squeezed(text):
    """Text without what setting it in lines changes: blanks, hyphens, marks of direction."""
    return re.sub(r"[\s\u00ad\u2010\u200e\u200f\u202a-\u202e\u2066-\u2069-]+", "", text)


def read(file):
    """The text of a PDF in the order of its content."""
    return squeezed(poppler("-raw", content=file))


@pytest.mark.parametrize("lang", languages())
def test_every_text_stands_in_the_pages(lang):
    told = read(PAGES[lang])
    found = content(DOCUMENT, lang)
    lost = [text for text in texts(found) if text != found["title"] and squeezed(text) not in told]
    # A text that goes on on the next page has that page's head in it.
    assert len(lost) < 20
    assert [word for text in lost for word in text.split() if squeezed(word) not in told] == []


@pytest.mark.parametrize("lang", languages())
def test_the_pages_can_be_searched_and_are_numbered_in_the_readers_language(lang):
    words = Words(lang, DOCUMENT.timezone)
    told = poppler(content=PAGES[lang])
    with opened(lang) as file:
        total = len(file.pages)
    assert words("pdf.page").format(n=2, total=total) in told
    assert words(f"verdict.{DOCUMENT.summary.verdict}.sentence") in re.sub(r"\s+", " ", told)
    assert "Archer Consulting BV" in told


# --- hostile names ------------------------------------------------------------------------------------------------

HOSTILE = [
    '#panic("x")',
    "$x$ *_bold_* `raw` @ref <label> \\ \\u{41} // gone /* gone */",
    '"]) #image("/etc/passwd") #([',
    "= Kop\n- lijst + een",
    "{n} {total} {title}",
    "%s \\(x\\) ~ -- --- ... 'q' \"q\"",
    "\u05d0\u05d1\u05d2 \u0645\u062d\u0645\u062f 1.215",
    "a\u05b0b e\u0301 o\u200db \ufe0f",
]
BEYOND = ["\u5c71\u7530", "\U0001f469\u200d\U0001f467", "\ue000", "\U000e0041", "\u0e01\u0e31", "\u0378"]


def named(name, document=DOCUMENT):
    """The document with a name in every place where people give names."""
    first, *rest = document.activities
    party, *parties = document.organisation.parties
    row, *rows = first.rows
    return replace(
        document,
        organisation=replace(document.organisation, parties=(replace(party, name=name, address=name), *parties)),
        activities=(
            replace(first, title=name, purposes=(name,), description=name, rows=(replace(row, source=name), *rows)),
            *rest,
        ),
        recipients=(replace(document.recipients[0], name=name), *document.recipients[1:]),
        places=(replace(document.places[0], title=name), *document.places[1:]),
        terms=(replace(document.terms[0], legal_ground=name, conditions=(name,)), *document.terms[1:]),
        cookies=(replace(document.cookies[0], name=name, purpose=name), *document.cookies[1:]),
    )


@pytest.mark.sampled(one_in=3)
@pytest.mark.parametrize("name", [*HOSTILE, "x" * 2000, "-" * 300, "\u05d0" * 500])
def test_a_hostile_name_is_set_as_it_stands(name):
    told = read(pdf.render(named(name), "nl"))
    wanted = squeezed(blocks.plain(name))
    if glyphs.is_turning(name):  # poppler tells such lines in the order in which they are seen
        assert min(wanted) in told
        return
    assert told.count(wanted) >= 8


@pytest.mark.sampled(one_in=6)
@pytest.mark.parametrize("name", BEYOND)
def test_a_character_that_the_fonts_lack_stands_as_its_code(name):
    told = read(pdf.render(named(name), "nl"))
    first = name[0]
    assert f"<U+{ord(first):04X}>" in told
    assert first not in told


def test_a_long_word_stays_within_the_page():
    file = pdf.render(named("x" * 2000), "nl")
    told = poppler("-bbox", content=file)
    width = 0.0
    for line in told.splitlines():
        if page := re.search(r'<page width="([\d.]+)"', line):
            width = float(page[1])
        elif word := re.search(r'xMin="([\d.-]+)".*xMax="([\d.]+)"', line):
            assert float(word[1]) > 40
            assert float(word[2]) < width - 40, line


@pytest.mark.parametrize("path", [glyphs.FAMILIES["Inter"], "Inter-SemiBold.otf"])
def test_both_weights_show_the_same_characters(path):
    folder = glyphs.files("ropa.report.pdf") / "fonts"
    assert glyphs.code_points((folder / path).read_bytes()) >= set(glyphs.coverages()[0])


def test_the_words_of_every_language_can_be_shown():
    for lang in languages():
        for text in Words(lang, "UTC").texts.values():
            assert glyphs.spelled(text) == text.replace("\n", "<U+000A>")


# --- limits and errors --------------------------------------------------------------------------------------------


def test_a_table_is_bounded_and_says_how_much_is_left_out(monkeypatch):
    cookies = DOCUMENT.cookies * 300
    found = content(replace(DOCUMENT, cookies=cookies), "nl")
    left_out = len(cookies) - blocks.TABLE_ROWS
    tables = [b for s in found["sections"] for b in s["blocks"] if b["kind"] == "table"]
    assert max(len(table["rows"]) for table in tables) == blocks.TABLE_ROWS
    assert [table["note"] for table in tables if table["note"]] == [NL.count("pdf.left_out", left_out)]


def test_the_rows_of_all_activities_together_are_bounded_and_each_says_how_many_are_left_out(monkeypatch):
    monkeypatch.setattr(activities, "ROWS", 3)
    notes = [table["note"] for table in tables_of_activities(DOCUMENT) if table["note"]]
    told = sum(len(table["rows"]) for table in tables_of_activities(DOCUMENT))
    monkeypatch.setattr(activities, "ROWS", 10_000)
    everything = sum(len(table["rows"]) for table in tables_of_activities(DOCUMENT))
    assert told == 3
    assert sum(int(note.split()[0]) for note in notes) == everything - 3


def test_the_activities_are_bounded_and_how_many_are_left_out_is_said(monkeypatch):
    monkeypatch.setattr(activities, "ACTIVITIES", 2)
    section = content(DOCUMENT, "nl")["sections"][2]
    titles = [block["text"] for block in section["blocks"] if block["kind"] == "heading" and block["level"] == 2]
    assert titles == [activity.title for activity in DOCUMENT.activities[:2]]
    assert NL.count("pdf.activities_left_out", len(DOCUMENT.activities) - 2) in texts(section)


def tables_of_activities(document):
    section = content(document, "nl")["sections"][2]
    return [block for block in section["blocks"] if block["kind"] == "table"]


def test_a_picture_of_many_parts_is_bounded_and_says_so():
    many = tuple(replace(activity, key=f"{activity.key}-{i}") for i in range(60) for activity in DOCUMENT.activities)
    section = content(replace(DOCUMENT, activities=many), "nl")["sections"][0]
    assert sum(block["kind"] == "where" for block in section["blocks"]) == PANELS
    assert any("tabellen hieronder zeggen hetzelfde" in text for text in texts(section))


def test_an_empty_register_is_a_document_too():
    empty = replace(
        DOCUMENT,
        **dict.fromkeys(
            ("categories", "activities", "recipients", "places", "terms", "standings", "cookies", "holds"), ()
        ),
        findings=(),
        months=(),
        runs=(),
        gaps=(),
        first_sweep_on=None,
        last_sweep_on=None,
        evidence=None,
    )
    for lang in languages():
        assert pdf.render(empty, lang).startswith(b"%PDF-1.7")


def test_without_typst_the_extra_to_install_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(ConfigurationError) as error:
        pdf.render(DOCUMENT, "nl")
    assert "ropa[pdf]" in (error.value.next_step or "")
    assert error.value.exit_code == 2


def test_a_language_without_a_catalogue_is_refused():
    with pytest.raises(CallError):
        pdf.render(DOCUMENT, "xx")


def test_an_error_of_typst_names_nothing_of_the_document(monkeypatch):
    monkeypatch.setattr(glyphs, "spelled", lambda text: text)
    monkeypatch.setattr(blocks, "spelled", lambda text: text)
    with pytest.raises(RopaError) as error:
        pdf.render(named("\u5c71\u7530 Canarie"), "nl")
    told = f"{error.value} {error.value.next_step} {error.value.__cause__}"
    assert "Canarie" not in told
    assert "\u5c71" not in told
    assert error.value.code == "pdf-typesetting"


# --- contrast -----------------------------------------------------------------------------------------------------


def test_every_colour_of_text_has_the_contrast_that_wcag_asks():
    folder = glyphs.files("ropa.report.pdf") / "template"
    colours = dict(re.findall(r'#let ([\w-]+) = rgb\("(#\w{6})"\)', (folder / "blocks.typ").read_text()))
    for text in ("ink", "soft", "accent", "bad"):
        for ground in ("#ffffff", colours["wash"], colours["bad-wash"]):
            assert contrast(colours[text], ground) >= Fraction(9, 2)


def contrast(one, other):
    """WCAG 2.2, contrast ratio of two colours."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_every_state_has_a_sign_of_its_own():
    folder = glyphs.files("ropa.report.pdf") / "template"
    drawn = set(re.findall(r'state == "([\w-]+)"', (folder / "marks.typ").read_text()))
    assert set(State) - drawn == {State.NO_PLACE}


def test_the_content_is_plain_data():
    assert stdlib_json.loads(stdlib_json.dumps(content(DOCUMENT, "nl"))) == content(DOCUMENT, "nl")
