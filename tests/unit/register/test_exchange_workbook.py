"""A register goes out as a workbook, is edited by hand, and comes back: exactly, or with every problem named."""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import replace
from datetime import date, datetime

import openpyxl
import pytest
import xlsxwriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from register_builders import SOUND, registers, sound
from workbooks import NAME, at, edited, parts, problems, read, saved, with_part

from ropa.errors import RegisterError
from ropa.register import Register, from_toml
from ropa.register.exchange.cells import LONGEST, MOST_LINES, list_cells, read_list, sheet_digest, units
from ropa.register.exchange.layout import MARK, READ_ME, WORDS, layouts
from ropa.register.exchange.workbook import to_workbook, write_sheets
from ropa.register.exchange.workbook_reading import read_workbook
from ropa.register.specs import specs

CHECKED = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
TEXT = st.text(
    st.characters(blacklist_categories=("Cs", "Cc")) | st.sampled_from("\n\t↳›"), min_size=1, max_size=30
).filter(lambda text: bool(text.strip()))
NOON = datetime.fromisoformat("2026-01-01T12:00:00")
MIDNIGHT = NOON.replace(hour=0)
HOSTILE = [
    "=1+1", '=HYPERLINK("http://example.org")', "+1", "-1", "@SUM(1)", "'quoted", "\ttab", "007", "1e5", "TRUE", "6.10",
    "2026-01-01", "https://example.org", "mailto:a@example.org", "_x0041_", " lead", "trail ", "a\nb\n\nc", "\n x", "↳ x",
    "› x", "😀" * 500, "שלום עולם", "\u202eevil", "x" * 2000, "\u00a0x\u3000", "<b>&amp;</b>", "a;b,c|d", "C:\\new\\table", "nil",
    "#REF!", "{=1}", "a\u0085b\u2028c",
]  # fmt: skip


def rows_of(data: bytes, sheet: str) -> list[list[object]]:
    return [[cell.value for cell in row] for row in openpyxl.load_workbook(io.BytesIO(data))[sheet].iter_rows()]


# --- out and in ---------------------------------------------------------------------------------------------------


@CHECKED
@given(registers)
def test_a_register_comes_back_from_its_workbook(register):
    incoming = read(to_workbook(register))
    assert incoming.register == register
    assert list(incoming.register.activities) == list(register.activities)
    assert (incoming.form, incoming.is_whole, incoming.left) == ("workbook", True, ())


@CHECKED
@given(registers)
def test_the_same_register_gives_the_same_bytes(register):
    assert to_workbook(register) == to_workbook(register)


@given(st.lists(TEXT, max_size=5))
def test_a_list_comes_back_from_its_cells(items):
    assert [item for cell in list_cells(items) for item in read_list(cell)] == items


def test_the_empty_register_comes_back_too():
    assert read(to_workbook(Register())).register == Register()


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_stays_the_text_it_is_wherever_it_stands(text):
    base = sound()
    activity = replace(base.activities["intake"], title=text, purposes=(text, "other"), measures=("first", text))
    recipient = replace(base.recipients["host"], name=text, systems=(text,))
    register = replace(base, activities={"intake": activity}, recipients={"host": recipient})
    data = to_workbook(register)
    assert read(data).register == register
    for content in parts(data).values():
        assert not re.search(rb"<f[ >]|<hyperlink", content)


def test_keys_that_look_like_numbers_stay_keys():
    text = '[recipient.007]\nname = "x"\n[cookie."=1+1"]\nsetter = "007"\n[cookie." 1e5"]\n[activity.1e5]\ntitle = "x"\nrecipients = ["007"]\ndata = ["1e5", "true"]\n'
    register = from_toml(text)
    assert read(to_workbook(register)).register == register


def test_a_list_that_no_cell_can_hold_goes_on_in_the_next_column():
    long = tuple(f"{number:03} " + "😀" * 990 for number in range(60))
    many = tuple(f"measure {number}" for number in range(500))
    activity = replace(sound().activities["intake"], purposes=long, measures=many)
    register = replace(sound(), activities={"intake": activity})
    data = to_workbook(register)
    assert read(data).register == register
    head, row = rows_of(data, "edit activity")[:2]
    assert {"purposes", "purposes 2", "measures", "measures 2"} <= set(head)
    texts = [cell for cell in row if isinstance(cell, str)]
    assert max(units(text) for text in texts) <= LONGEST
    assert max(text.count("\n") for text in texts) < MOST_LINES


def test_days_that_spreadsheets_cannot_hold_are_written_as_text():
    register = from_toml('[activity.x]\ntitle = "X"\nended_on = 0001-01-01\nreview_on = 9999-12-31\n')
    assert read(to_workbook(register)).register == register


def test_every_key_of_the_register_is_a_column_and_no_other():
    def walk(table):
        for written, (_, spec) in specs(table).items():
            if spec.table is None:
                yield written
            else:
                yield from walk(spec.table)

    listed = [column.name for layout in layouts() for column in layout.columns if column.spec is not None]
    assert sorted(listed) == sorted(walk(Register))
    names = [layout.sheet for layout in layouts()] + [READ_ME, MARK, WORDS]
    assert len({name.lower() for name in names}) == len(names)
    assert max(map(len, names)) <= 31


# --- what a person finds in it ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def book():
    register = from_toml(SOUND + "\n[organisation.policy]\nno_third_parties = true\nminimum_age = 16\n")
    return openpyxl.load_workbook(io.BytesIO(to_workbook(register)))


def test_headings_are_frozen_filtered_and_explained(book):
    for layout in layouts():
        sheet = book[layout.sheet]
        assert sheet.freeze_panes is not None
        assert sheet.auto_filter.ref is not None
        assert [cell.value for cell in sheet[1]] == [column.name for column in layout.columns]
        assert all(cell.comment is not None and cell.comment.text for cell in sheet[1])


def test_dates_truths_and_numbers_are_what_they_are(book):
    review = at(book, "edit activity", "review_on", 2)
    assert review.value == MIDNIGHT.replace(year=2027)
    assert review.number_format == "yyyy-mm-dd"
    assert at(book, "edit policy", "no_third_parties", 2).value is True
    assert at(book, "edit policy", "minimum_age", 2).value == 16
    assert at(book, "edit activity", "legal_basis", 2).number_format == "@"


def test_words_are_chosen_from_a_list(book):
    rules = {
        next(iter(rule.sqref.ranges)).coord.split(":")[0]: rule
        for rule in book["edit activity"].data_validations.dataValidation
    }
    basis = rules[at(book, "edit activity", "legal_basis", 2).coordinate]
    sheet, column = re.fullmatch(r"'(.+)'!\$([A-Z]+)\$2:\$\w+\$\d+", basis.formula1).groups()
    words = [cell.value for cell in book[sheet][column] if cell.value]
    assert words[0] == "edit activity: legal_basis"
    assert words[1:] == [*(f"6.1.{letter}" for letter in "abcdef"), "unknown"]
    assert book[sheet].sheet_state == "hidden"


def test_a_sheet_says_how_to_edit(book):
    assert book.sheetnames[0] == READ_ME
    assert book[READ_ME]["A1"].value == "How to edit the register here"
    assert book[MARK].sheet_state == "hidden"


# --- edited by hand -----------------------------------------------------------------------------------------------


def test_what_was_saved_by_another_program_comes_back_the_same():
    incoming = read(edited(lambda book: None))
    assert incoming.register == sound()
    assert incoming.left == ()


def test_an_edit_a_new_row_and_a_deleted_row_come_back():
    def change(book):
        at(book, "edit activity", "owner", 2).value = "Nieuwe eigenaar"
        book["edit activity"].append(["quotes", "Offertes"])
        book["edit data"].append([])
        book["edit data"].append(["quotes", "name"])
        book["edit dpo"].delete_rows(2)

    register = read(edited(change)).register
    assert register.activities["intake"].owner == "Nieuwe eigenaar"
    assert register.activities["quotes"].title == "Offertes"
    assert list(register.activities["quotes"].data) == ["name"]
    assert register.organisation.dpo is None


def test_columns_in_another_order_rows_that_are_hidden_and_blank_rows_between_are_read():
    def change(book):
        sheet = book["edit activity"]
        values = {cell.value: sheet.cell(2, cell.column).value for cell in sheet[1]}
        sheet.delete_rows(1, 2)
        sheet.append([*reversed(values)])
        sheet.append([])
        sheet.append(["  "])
        sheet.append([*reversed(values.values())])
        sheet.row_dimensions[4].hidden = True
        sheet.column_dimensions["B"].hidden = True

    assert read(edited(change)).register == sound()


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        (True, True),
        ("TRUE", True),
        ("waar", True),
        ("Vrai", True),
        ("FALSCH", False),
        ("onwaar", False),
        (" false ", False),
    ],
)
def test_truths_are_read_as_spreadsheets_spell_them(value, meant):
    def change(book):
        book["edit policy"].append([])
        at(book, "edit policy", "no_third_parties", 2).value = value

    assert read(edited(change)).register.organisation.policy.no_third_parties is meant


def test_a_date_is_a_date_in_either_calendar_of_spreadsheets_and_as_text():
    def other_calendar(book):
        book.epoch = openpyxl.utils.datetime.CALENDAR_MAC_1904
        at(book, "edit activity", "review_on", 2).value = date(2028, 2, 29)

    def as_text(book):
        at(book, "edit activity", "review_on", 2).value = "2028-02-29"

    for change in (other_calendar, as_text):
        assert read(edited(change)).register.activities["intake"].review_on == date(2028, 2, 29)


def test_a_word_that_looks_like_a_number_may_be_stored_as_one():
    def change(book):
        at(book, "edit activity", "condition", 2).value = 10

    assert read(edited(change)).register.activities["intake"].condition == "10"


# --- wrong by hand ------------------------------------------------------------------------------------------------


def test_every_problem_is_named_at_once_with_sheet_row_and_column():
    def change(book):
        at(book, "edit activity", "legal_basis", 2).value = "6.1.z"
        at(book, "edit activity", "review_on", 2).value = "31/12/2027"
        at(book, "edit activity", "purposes", 2).value = "a\nb\na"
        at(book, "edit activity", "recipients", 2).value = "host\nNot A Key"
        at(book, "edit organisation", "telephone", 2).value = 32456154487
        at(book, "edit organisation", "website", 2).value = "x" * 2001
        at(book, "edit organisation", "email", 2).value = "=1+1"
        at(book, "edit recipient", "contract", 2).value = True
        book["edit recipient"].append(["host", "Twice"])
        book["edit recipient"].append([None, "Nameless"])
        book["edit recipient"].append(["untitled", None, "processor"])
        book["edit data"].append(["nowhere", "name"])
        book["edit data"].append(["intake", "name"])
        book["edit organisation"].append(["Second"])

    found = problems(edited(change))
    assert found["sheet edit activity, row 2, legal_basis"].startswith("must be one of: 6.1.a")
    assert found["sheet edit activity, row 2, review_on"] == "must be a date: YYYY-MM-DD, without a time"
    assert found["sheet edit activity, row 2, purposes"] == "names something twice"
    assert "key of an entry" in found["sheet edit activity, row 2, recipients, item 2"]
    assert found["sheet edit organisation, row 2, telephone"].startswith("is a number")
    assert found["sheet edit organisation, row 2, website"] == "is longer than 2,000 characters"
    assert found["sheet edit organisation, row 2, email"].startswith("is a formula")
    assert found["sheet edit recipient, row 2, contract"].startswith("is a truth value")
    assert found["sheet edit recipient, row 3"] == "is about the entry that has a row already: row 2"
    assert found["sheet edit recipient, row 4, key"] == "is required"
    assert found["sheet edit recipient, row 5, name"] == "is required"
    assert found["sheet edit data, row 4, activity"] == "names no row of the sheet edit activity"
    assert found["sheet edit data, row 5"] == "is about the entry that has a row already: row 2"
    assert found["sheet edit organisation, row 3"] == "is about the only row that this sheet takes: row 2"
    assert len(found) == 14


def test_no_problem_repeats_a_value_of_a_cell():
    canary = "Zebedeus Canarie"

    def change(book):
        for column in ("legal_basis", "review_on", "subjects", "stated_period", "replaced_by", "automated_decisions"):
            at(book, "edit activity", column, 2).value = canary
        book["edit data"].append([canary, canary])

    assert canary not in str(problems(edited(change)))


def test_sheets_columns_and_headings_must_stand():
    def change(book):
        del book["edit cookie"]
        sheet = book["edit recipient"]
        at(book, "edit recipient", "country", 1).value = "Countri"
        sheet.cell(1, sheet.max_column + 1).value = "name"
        sheet.cell(2, sheet.max_column + 2).value = "beside the table"
        book["edit category"].delete_cols(1)

    found = problems(edited(change))
    assert found["sheet edit cookie"].startswith("is missing")
    assert "the column country is missing" in found["sheet edit recipient, row 1"]
    assert [where for where, message in found.items() if message == "is not a known column"]
    assert [message for where, message in found.items() if "has the name of another column" in message]
    assert [message for where, message in found.items() if "its column has no name" in message]
    assert "the column key is missing" in found["sheet edit category, row 1"]


def test_a_column_that_came_with_a_later_version_may_be_absent():
    def older(book):
        at(book, "edit activity", "stated_text", 1).value = None
        for row in book[MARK].iter_rows():
            if row[0].value == "columns":
                row[2].value = row[2].value.replace("\nstated_text", "")

    assert read(edited(older)).register == sound()


def test_merged_cells_and_errors_in_cells_are_told():
    def change(book):
        book["edit recipient"].merge_cells("B2:C2")
        cell = at(book, "edit activity", "owner", 2)
        cell.value, cell.data_type = "#REF!", "e"

    found = problems(edited(change))
    assert found["sheet edit recipient"] == "cells B2 to C2 are merged; separate them"
    assert found["sheet edit activity, row 2, owner"] == "holds an error in place of a value"


def test_a_list_cannot_begin_with_the_rest_of_an_item():
    found = problems(edited(lambda book: setattr(at(book, "edit activity", "purposes", 2), "value", "↳rest\nx")))
    assert "goes on with the item above it" in found["sheet edit activity, row 2, purposes"]


def test_a_workbook_that_was_emptied_says_nothing():
    def change(book):
        for layout in layouts():
            book[layout.sheet].delete_rows(2, 10)

    assert "nothing never means everything" in problems(edited(change))[NAME]


def test_without_its_mark_a_register_is_refused_and_not_taken_for_something_else():
    assert MARK in problems(edited(lambda book: book.__delitem__(MARK)))[NAME]


def test_a_register_of_another_form_is_refused():
    assert (
        "ropa.register/1" in problems(edited(lambda book: setattr(book[MARK]["A1"], "value", "ropa.register/2")))[NAME]
    )


# --- within a bigger workbook -------------------------------------------------------------------------------------

REPORT = [
    ["Report", None, 3, 1.5],
    [True, date(2026, 11, 22), NOON],
    [],
    ["=x", " y\nz "],
]


def report() -> bytes:
    target = io.BytesIO()
    book = xlsxwriter.Workbook(target, {"in_memory": True, "strings_to_formulas": False})
    sheet = book.add_worksheet("Summary")
    day = book.add_format({"num_format": "dd/mm/yyyy"})
    moment = book.add_format({"num_format": "dd/mm/yyyy hh:mm:ss"})
    for number, row in enumerate(REPORT):
        for index, value in enumerate(row):
            style = moment if isinstance(value, datetime) else day if isinstance(value, date) else None
            sheet.write(number, index, value, style)
    write_sheets(book, sound(), {"Summary": REPORT})
    book.close()
    return target.getvalue()


def test_the_register_is_found_within_a_bigger_workbook():
    assert (read(report()).register, read(report()).left) == (sound(), ())
    resaved = saved(openpyxl.load_workbook(io.BytesIO(report())))
    assert (read(resaved).register, read(resaved).left) == (sound(), ())


def test_an_edit_where_nothing_is_taken_over_is_told():
    book = openpyxl.load_workbook(io.BytesIO(report()))
    book["Summary"]["A4"] = "edited"
    book[READ_ME]["A20"] = "edited"
    book.create_sheet("My notes")["A1"] = "x"
    incoming = read(saved(book))
    assert incoming.register == sound()
    told = {one.where: one.why for one in incoming.left}
    assert set(told) == {"sheet Summary", f"sheet {READ_ME}", "sheet My notes"}
    assert told["sheet Summary"].startswith("was edited, but is made from the register")
    assert told["sheet My notes"] == "is not a sheet of the register"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([["a", None, ""], [], [None]], [["a"]]),
        ([[1]], [[1.0]]),
        ([["a\r\nb"]], [["a\nb"]]),
        ([[date(2026, 1, 1)]], [[MIDNIGHT]]),
        ([[NOON.replace(microsecond=400)]], [[NOON]]),
    ],
)
def test_the_digest_of_a_sheet_does_not_see_how_it_was_saved(one, other):
    assert sheet_digest(one) == sheet_digest(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [([["1"]], [[1]]), ([[True]], [[1]]), ([["a", "b"]], [["a"], ["b"]]), ([["", "a"]], [["a"]]), ([["a "]], [["a"]])],
)
def test_the_digest_of_a_sheet_sees_every_edit(one, other):
    assert sheet_digest(one) != sheet_digest(other)


def test_a_note_in_a_cell_that_is_loose_html_does_no_harm():
    assert read(with_part("xl/drawings/vmlDrawing1.vml", b"<xml><br></xml>")).register == sound()


def test_the_workbook_can_be_opened_by_another_library_without_a_complaint():
    data = to_workbook(sound())
    assert zipfile.ZipFile(io.BytesIO(data)).testzip() is None
    with pytest.raises(RegisterError):
        read_workbook(data[:-30], NAME)
