import io
import zipfile
from dataclasses import replace
from datetime import date, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

import leaves
import openpyxl
import pytest
import report_sample as sample

from ropa.clock import Period
from ropa.errors import CallError
from ropa.register.exchange.layout import layouts
from ropa.register.exchange.workbook_reading import read_workbook
from ropa.register.text import from_toml
from ropa.report import workbook, xlsx
from ropa.report.sheets import tables
from ropa.report.view import View
from ropa.report.words import Words, languages
from ropa.report.workbook import BAD, Cell, Table, sheet_name
from ropa.sweep.standing import State

DOCUMENT = sample.document()
NL = Words("nl", DOCUMENT.timezone)
CONTENT = xlsx.render(DOCUMENT, "nl")
ZONE = ZoneInfo(DOCUMENT.timezone)

SAID_ELSEWHERE = leaves.SAID_ELSEWHERE
LEAVES = [
    (number, *found)
    for number, found in enumerate(leaves.places(DOCUMENT), 1)
    if (found[2], type(found[1]).__name__, found[3]) not in SAID_ELSEWHERE
]


def opened(content):
    return openpyxl.load_workbook(io.BytesIO(content))


def values_of(document, lang="nl"):
    """Every value of every sheet, before it is written."""
    view = View(document, Words(lang, document.timezone))
    cells = [cell for table in tables(view) for row in table.rows for cell in row]
    return [cell.value if isinstance(cell, Cell) else cell for cell in cells]


def text_in(values):
    texts = [value if isinstance(value, tuple) else (value,) for value in values if isinstance(value, (str, tuple))]
    return "\n".join(line for lines in texts for line in lines).casefold()


def rows_of(content, sheet):
    """A sheet as a list of mappings from head to value."""
    head, *rows = opened(content)[sheet].iter_rows(values_only=True)
    return [dict(zip(head, row, strict=True)) for row in rows]


BOOK = opened(CONTENT)


# --- every fact ---------------------------------------------------------------------------------------------------


def name_of(found):
    _, _, instance, owner, name, _ = found
    return f"{owner}.{type(instance).__name__}.{name}"


@pytest.mark.parametrize("found", LEAVES, ids=name_of)
def test_each_fact_of_the_model_stands_in_the_workbook(found):
    number, path, instance, _owner, name, kind = found
    value = leaves.fresh(number, type(instance).__name__, name, kind, getattr(instance, name))
    values = values_of(leaves.changed(DOCUMENT, path, name, value))
    parts = list(value) if isinstance(value, tuple) else [value]
    if parts and isinstance(parts[0], tuple):
        parts = [part for pair in parts for part in pair]
    if isinstance(value, (bool, StrEnum)) or (type(instance).__name__, name) in leaves.CHOICES:
        assert values != values_of(DOCUMENT)
        return
    text = text_in(values)
    for part in parts:
        if isinstance(part, Period):
            assert NL.period(part) in text
        elif isinstance(part, (int, date)):
            assert part in values or NL.number(part) in text if isinstance(part, int) else part in values
        else:
            assert part.casefold() in text


def test_the_file_holds_the_values_of_the_sheets():
    view = View(DOCUMENT, NL)
    for table, sheet in zip(tables(view), BOOK, strict=True):
        assert [cell.value for cell in sheet[1]] == list(table.heads)
        for row, written in zip(table.rows, sheet.iter_rows(min_row=2, values_only=True), strict=False):
            for cell, found in zip(row, written, strict=False):
                value = cell.value if isinstance(cell, Cell) else cell
                assert found == spelled(value)


def spelled(value):
    """How openpyxl reads a value back."""
    if isinstance(value, datetime):
        return value.astimezone(ZONE).replace(tzinfo=None)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - a spreadsheet knows no zones
    if isinstance(value, tuple):
        return "\n".join(value) or None
    return None if value == "" else value


def test_each_reason_is_a_sentence_of_the_summary_or_of_its_activity():
    text = text_in(values_of(DOCUMENT))
    own = [reason for activity in DOCUMENT.activities for reason in activity.reasons]
    assert own
    for reason in [*DOCUMENT.summary.reasons, *own]:
        assert NL.count(f"reason.{reason.code}", reason.count).casefold() in text


def test_a_session_cookie_says_when_it_goes():
    cookie = replace(DOCUMENT.cookies[-1], lifetime=None, is_session=True)
    assert NL("text.session") in values_of(replace(DOCUMENT, cookies=(cookie,)))


# --- types --------------------------------------------------------------------------------------------------------


def test_numbers_are_numbers_and_days_are_days_in_the_readers_format():
    rows = rows_of(CONTENT, "Naleving")
    first = rows[0]
    assert first["Over termijn"] == 1215
    assert first["Stand op"] == datetime(2026, 11, 21)  # noqa: DTZ001 - a spreadsheet knows no zones
    cell = next(cell for cell in BOOK["In het kort"]["B"] if cell.is_date)
    assert cell.number_format == "[$-813]d mmm yyyy"


@pytest.mark.parametrize("lang", languages())
def test_every_language_has_a_format_for_days_that_names_it(lang):
    book = opened(xlsx.render(DOCUMENT, lang))
    formats = {cell.number_format for cell in book.worksheets[0]["B"] if cell.is_date}
    assert formats
    assert all(found.startswith("[$-") and "yyyy" in found for found in formats)


def test_instants_are_in_the_controllers_zone_which_the_head_names():
    assert rows_of(CONTENT, "Naleving")[0]["Nagekeken (Europe/Brussels)"] == datetime(2026, 11, 21, 3, 30)  # noqa: DTZ001
    other = xlsx.render(replace(DOCUMENT, timezone="UTC"), "nl")
    assert rows_of(other, "Naleving")[0]["Nagekeken (UTC)"] == datetime(2026, 11, 21, 2, 30)  # noqa: DTZ001


def test_a_day_that_spreadsheets_do_not_know_is_written_in_words():
    activity = replace(DOCUMENT.activities[0], review_on=date(1899, 12, 31))
    found = rows_of(xlsx.render(replace(DOCUMENT, activities=(activity,)), "nl"), "Verwerkingsactiviteiten")
    assert found[0]["Herzien op"] == "31 december 1899"


# --- shape --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lang", languages())
def test_every_sheet_has_one_header_row_that_stays_filters_and_no_merged_cells(lang):
    for sheet in opened(xlsx.render(DOCUMENT, lang)):
        heads = [cell.value for cell in sheet[1]]
        assert all(heads)
        assert len(heads) == len(set(heads)), sheet.title
        assert sheet.freeze_panes in {"A2", "B2"}
        assert sheet.auto_filter.ref == sheet.dimensions
        assert sheet.merged_cells.ranges == set()
        assert sheet.print_title_rows == "$1:$1"


@pytest.mark.parametrize("lang", languages())
def test_sheet_names_fit_and_differ(lang):
    words = Words(lang, "UTC")
    names = [text for key, text in words.texts.items() if key.startswith("sheet.")]
    assert [name for name in names if sheet_name(name, set()) != name] == []
    assert len({name.casefold() for name in names}) == len(names)


def test_widths_fit_what_stands_in_the_column():
    for sheet in BOOK:
        for width in sheet.column_dimensions.values():
            assert 9 <= width.width <= 64


def test_bad_states_are_red_and_said_in_words():
    sheet = BOOK["Naleving"]
    column = [cell.value for cell in sheet[1]].index(NL("column.state_title")) + 1
    colours = {}
    for row in range(2, sheet.max_row + 1):
        cell = sheet.cell(row, column)
        colours.setdefault(cell.value, cell.fill.fgColor.rgb)
    red = {word for word, colour in colours.items() if colour == "FFFBE3E0"}
    assert red == {
        NL(f"state.{state}")
        for state in State
        if View(DOCUMENT, NL).tone(state) == BAD and NL(f"state.{state}") in colours
    }
    assert len(red) >= 5


def test_missing_evidence_is_said_in_red_and_in_words():
    content = xlsx.render(replace(DOCUMENT, evidence=None), "nl")
    cell = opened(content)["Bewijs"]["B2"]
    assert cell.value.startswith(NL("evidence.missing"))
    assert cell.fill.fgColor.rgb == "FFFBE3E0"
    broken = replace(DOCUMENT, evidence=replace(sample.EVIDENCE, is_sound=False, problems=("chain at seq 4",)))
    assert "chain at seq 4" in [cell.value for cell in opened(xlsx.render(broken, "nl"))["Bewijs"]["B"]]


def test_the_checkpoint_keeps_its_lines():
    found = {row["Wat"]: row["Antwoord"] for row in rows_of(CONTENT, "Bewijs")}
    assert found[NL("field.checkpoint")] == sample.EVIDENCE.checkpoint_text.rstrip("\n")


def test_an_empty_register_says_on_each_sheet_that_there_is_nothing():
    empty = sample.document(
        register=from_toml('[organisation]\nname = "Niemand"\n'),
        standings=(),
        adherence=(),
        runs=(),
        findings=(),
        holds=(),
        evidence=None,
    )
    book = opened(xlsx.render(replace(empty, places=(), terms=()), "nl"))
    assert all(sheet["A2"].value for sheet in book)
    assert book["Verwerkingsactiviteiten"]["A2"].value == NL("empty.activities")


def test_the_book_has_a_title_and_a_language():
    assert BOOK.properties.title == f"{NL('title.document')}: Webassur"
    assert BOOK.properties.subject == "op basis van artikel 30 AVG en de richtsnoeren van de GBA"
    assert [(prop.name, prop.value) for prop in BOOK.custom_doc_props.props] == [("Language", "nl-BE")]


def test_the_book_of_one_document_is_always_the_same():
    assert xlsx.render(sample.document(), "nl") == CONTENT


def test_a_language_that_is_not_there_is_refused():
    with pytest.raises(CallError):
        xlsx.render(DOCUMENT, "xx")


def test_what_article_30_asks_is_never_blank():
    unsaid = replace(DOCUMENT.activities[0], purposes=(), subjects=(), recipients=(), measures=(), legal_basis=None)
    row = rows_of(xlsx.render(replace(DOCUMENT, activities=(unsaid,)), "nl"), "Verwerkingsactiviteiten")[0]
    for name in ("purposes", "subjects", "recipients", "measures", "legal_basis"):
        assert row[NL(f"field.{name}")] == NL("common.unknown")


def test_ended_and_replaced_activities_say_so():
    rows = {row["Sleutel"]: row for row in rows_of(CONTENT, "Verwerkingsactiviteiten")}
    assert rows["old-mailing"]["Beëindigd op"] == datetime(2025, 6, 30)  # noqa: DTZ001 - a spreadsheet knows no zones
    assert rows["old-mailing"]["Vervangen door"] == "Nieuwsbrief"


# --- hostile content ----------------------------------------------------------------------------------------------

HOSTILE = [
    "=cmd|'/c calc'!A1",
    "@SUM(1)",
    "\t=1+1",
    "\r=1",
    "+1",
    "-1",
    '=HYPERLINK("http://evil.example","x")',
    "http://evil.example/",
    "\uff1d1+1",
    "0012",
    "TRUE",
    "een\r\ntwee\x00drie",
    "\u202egnp.exe\u2066",
    "_x000D_",
    "<script>&amp;",
    "\U0001f600" * 40,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_name_stays_a_text_wherever_it_stands(text):
    activity = replace(DOCUMENT.activities[0], title=text, purposes=(text, text), owner=text)
    party = replace(DOCUMENT.organisation.parties[0], name=text)
    organisation = replace(DOCUMENT.organisation, parties=(party,))
    content = xlsx.render(replace(DOCUMENT, activities=(activity,), organisation=organisation), "nl")
    book = opened(content)
    types = {cell.data_type for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None}
    assert types <= {"s", "n", "d"}
    cell = book["Verwerkingsactiviteiten"]["A2"]
    assert cell.data_type == "s"
    assert cell.value.replace("_x005F_", "_") == workbook.shown(text)  # openpyxl does not undo the escape
    assert cell.quotePrefix is text.lstrip().startswith(("=", "+", "-", "@", "\uff1d"))
    with zipfile.ZipFile(io.BytesIO(content)) as package:
        parts = {name: package.read(name) for name in package.namelist() if name.startswith("xl/")}
    assert not [name for name, part in parts.items() if b"<f>" in part or b"<f " in part or b"<hyperlink" in part]
    assert not [name for name in parts if "externalLink" in name or "calcChain" in name or "vba" in name.lower()]


def book_of(table):
    return opened(workbook.write([table], NL, title="t", subject="s", created=sample.NOW))


@pytest.mark.parametrize("text", ["x" * 100_000, "\U0001f600" * 40_000, ("regel",) * 1_000])
def test_a_text_that_does_not_fit_goes_on_in_the_rows_below(text):
    wanted = text if isinstance(text, str) else "\n".join(text)
    sheet = book_of(Table("s", ("a", "b"), [("eerste", text), ("tweede", 5)])).worksheets[0]
    parts = [cell.value for cell in sheet["B"][1:-1]]
    assert "".join(parts).replace("\n", "") == wanted.replace("\n", "")
    assert all(len(part.encode("utf-16-le")) // 2 <= 32_767 and part.count("\n") <= 253 for part in parts)
    assert sheet["A2"].value == "eerste"
    assert [cell.value for cell in sheet[sheet.max_row]] == ["tweede", 5]


def test_a_book_that_fails_leaves_no_file_behind(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(workbook, "MAX_ROWS", 1)
    with pytest.raises(CallError):
        book_of(Table("s", ("a",), [("x",)] * 3))
    assert list(tmp_path.iterdir()) == []


def test_more_rows_than_a_sheet_takes_are_refused_with_another_way(monkeypatch):
    monkeypatch.setattr(workbook, "MAX_ROWS", 4)
    book_of(Table("s", ("a",), [("x",)] * 3))
    with pytest.raises(CallError) as error:
        book_of(Table("s", ("a",), [("x",)] * 4))
    assert "csv" in (error.value.next_step or "")


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("Klanten", "Klanten"),
        ("a/b\\c*d?e[f]g:h", "a b c d e f g h"),
        ("'quoted'", "quoted"),
        ("History", "History 1"),
        ("", "-"),
        ("\U0001f600" * 20, "\U0001f600" * 15),
        ("x" * 40, "x" * 31),
        ("y" * 30 + "'z", "y" * 30),
    ],
)
def test_a_sheet_bears_a_name_that_a_spreadsheet_takes(wanted, name):
    assert sheet_name(wanted, set()) == name


def test_two_sheets_of_one_name_are_told_apart_whatever_their_case():
    assert sheet_name("Klanten", {"klanten"}) == "Klanten 2"
    assert sheet_name("x" * 40, {"x" * 31, "x" * 29 + " 2"}) == "x" * 29 + " 3"


# --- the register itself ------------------------------------------------------------------------------------------


REGISTER = sample.register()


@pytest.mark.parametrize("lang", languages())
def test_the_register_stands_in_the_report_and_comes_back_as_it_was(lang):
    incoming = read_workbook(xlsx.render(DOCUMENT, lang, REGISTER), "report.xlsx")
    assert incoming.register == REGISTER
    assert incoming.is_whole
    assert incoming.left == ()


def test_what_was_edited_in_a_sheet_of_the_report_is_told_and_what_was_edited_in_the_register_comes_in():
    book = opened(xlsx.render(DOCUMENT, "nl", REGISTER))
    book["Naleving"]["E2"] = "nageleefd"
    sheet = book["edit activity"]
    column = [cell.value for cell in sheet[1]].index("title") + 1
    sheet.cell(2, column).value = "Offertes"
    target = io.BytesIO()
    book.save(target)
    incoming = read_workbook(target.getvalue(), "report.xlsx")
    assert [left.where for left in incoming.left] == ["sheet Naleving"]
    assert incoming.register.activities["intake"].title == "Offertes"
    assert incoming.register.activities["customers"] == REGISTER.activities["customers"]


def test_the_sheets_of_the_report_are_the_same_with_the_register_behind_them():
    book = opened(xlsx.render(DOCUMENT, "nl", REGISTER))
    assert book.sheetnames[: len(BOOK.sheetnames)] == BOOK.sheetnames
    assert xlsx.render(DOCUMENT, "nl", REGISTER) == xlsx.render(DOCUMENT, "nl", sample.register())


@pytest.mark.parametrize("lang", languages())
def test_no_sheet_of_the_report_bears_the_name_of_one_to_edit(lang):
    ours = {layout.sheet.casefold() for layout in layouts()}
    names = {text.casefold() for key, text in Words(lang, "UTC").texts.items() if key.startswith("sheet.")}
    assert ours
    assert not ours & names
