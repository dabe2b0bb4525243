"""Workbooks that are hostile or broken end in one typed error, before they cost time or memory."""

from __future__ import annotations

import io
import zipfile
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pace import within
from register_builders import sound
from workbooks import NAME, lying, packed, parts, problems, sheet_of, with_part

from ropa.errors import RegisterError
from ropa.register.exchange import article30
from ropa.register.exchange.package import LARGEST, MOST_PARTS, UnusableError, vetted
from ropa.register.exchange.sheets import guarded
from ropa.register.exchange.workbook import to_workbook
from ropa.register.exchange.workbook_reading import read_workbook

GOOD = to_workbook(sound())
PLAIN = sheet_of([["Purposes", "Personal data", "Data subjects"], ["Payroll", "name", "employee"]])
FIRST = "xl/worksheets/sheet1.xml"
HEAD = b'<?xml version="1.0" encoding="UTF-8"?>'
SPACE = b'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
CHECKED = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def trouble(data: bytes) -> str:
    found = problems(data)
    assert set(found) == {NAME}
    return found[NAME]


def sheet(content: bytes) -> bytes:
    return HEAD + b"<worksheet " + SPACE + b"><sheetData>" + content + b"</sheetData></worksheet>"


# --- what is no workbook ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [b"", b"PK", b"key;title\n1;2\n", b"\x00" * 5000, b"%PDF-1.7", packed({}), packed({"a.txt": b"x"}), GOOD[:-40]],
    ids=["empty", "two-letters", "csv", "zeros", "pdf", "no-parts", "text", "cut"],
)
def test_a_file_that_is_no_workbook_is_refused(data):
    assert trouble(data)


def test_a_password_is_named():
    assert "password" in trouble(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 512)
    locked = bytearray(GOOD)
    locked[locked.find(b"PK\x01\x02") + 8] |= 1
    assert "encrypted" in trouble(bytes(locked))


# --- bombs --------------------------------------------------------------------------------------------------------


def test_a_bomb_is_refused_without_unpacking_it():
    data = with_part(FIRST, b" " * (LARGEST + 1))
    with within(loops=1000):
        assert "unpacks to more than 64 MiB" in trouble(data)


def test_a_part_that_compresses_beyond_belief_is_refused():
    assert "times its size" in trouble(with_part(FIRST, b" " * (LARGEST - 10 * 1024 * 1024)))


@pytest.mark.parametrize("size", [10, 2**31])
def test_a_part_that_lies_about_its_size_is_refused(size):
    assert trouble(lying(GOOD, FIRST, size))


def test_many_parts_are_refused():
    assert "parts" in trouble(packed({f"{number}.xml": b"<a/>" for number in range(MOST_PARTS + 1)}))


def test_parts_that_overlap_are_refused():
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, text in parts(GOOD).items():
            archive.writestr(name, text)
        one, other = archive.infolist()[1:3]
        other.header_offset = one.header_offset
    assert trouble(target.getvalue())


@pytest.mark.parametrize("name", ["../evil.xml", "xl/../../evil.xml", "/etc/passwd", "xl\\evil.xml", "C:/evil.xml"])
def test_a_part_whose_name_leads_out_is_refused(name):
    assert "leads out" in trouble(with_part(name, b"<a/>"))


def test_two_parts_of_one_name_are_refused():
    assert "one name" in trouble(with_part(FIRST.upper(), parts(GOOD)[FIRST]))


def test_another_way_of_packing_is_refused():
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_LZMA) as archive:
        for name, text in parts(GOOD).items():
            archive.writestr(name, text)
    assert "packed in a way" in trouble(target.getvalue())


@pytest.mark.parametrize(
    "name", [FIRST, "xl/sharedStrings.xml", "xl/workbook.xml", "docProps/app.xml", "[Content_Types].xml"]
)
def test_a_document_type_is_refused_in_every_part(name):
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'
    assert "DOCTYPE" in trouble(with_part(name, lambda text: text.replace(b"?>", b"?>" + bomb, 1)))


def test_a_document_type_in_another_encoding_is_refused():
    text = '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE x><x/>'.encode("utf-16")
    assert "DOCTYPE" in trouble(with_part("docProps/app.xml", text))


@pytest.mark.parametrize(
    "text", [b"plain text", b"<a><b></a>", b"<a", b"<a>&undefined;</a>", b"<a/>\x00", b"", b"<a>" * 5000]
)
def test_a_part_that_is_not_well_formed_is_refused(text):
    assert trouble(with_part("xl/sharedStrings.xml", text))


@pytest.mark.parametrize(
    "cells",
    [
        b'<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>',
        b'<row r="9999999"><c r="ZZZ9999999"><v>1</v></c></row>',
    ],
)
def test_a_sheet_that_is_all_but_empty_and_huge_is_refused(cells):
    data = with_part(FIRST, sheet(cells), PLAIN)
    with within(loops=1000):
        assert "cells" in trouble(data)


@pytest.mark.parametrize(
    "cells",
    [
        b'<row r="x"><c r="A1"><v>1</v></c></row>',
        b'<row r="1"><c r="1A"><v>1</v></c></row>',
        b'<row r="-1"><c r="A-1"><v>1</v></c></row>',
        b'<row r="1"><c r="A1" t="s"><v>99999</v></c></row>',
        b'<row r="1"><c r="A1" t="s"><v>-1</v></c></row>',
        b'<row r="1"><c r="A1" t="s"><v>x</v></c></row>',
    ],
)
def test_a_cell_that_leads_nowhere_is_refused(cells):
    assert trouble(with_part(FIRST, sheet(cells), PLAIN))


def test_one_long_text_in_very_many_cells_is_refused_before_it_is_copied():
    texts = HEAD + b"<sst " + SPACE + b"><si><t>" + b"x" * 1_000_000 + b"</t></si></sst>"
    cells = b"".join(b'<row r="%d"><c r="A%d" t="s"><v>0</v></c></row>' % (row, row) for row in range(1, 20_000))
    data = packed(parts(PLAIN) | {"xl/sharedStrings.xml": texts, FIRST: sheet(cells)})
    assert "characters" in trouble(data)


def test_very_many_elements_are_refused():
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, text in (parts(PLAIN) | {FIRST: sheet(b"<a/>" * 5_000_000)}).items():
            archive.writestr(name, text)
    with within(loops=5000):
        assert "elements" in trouble(target.getvalue())


def test_two_sheets_that_are_one_part_are_refused():
    def twice(text: bytes) -> bytes:
        return text.replace(b"</sheets>", b'<sheet name="Again" sheetId="99" r:id="rId1"/></sheets>')

    content = parts(GOOD)
    content["xl/workbook.xml"] = twice(content["xl/workbook.xml"])
    assert "cannot be found" in trouble(packed(content))


def test_what_a_reader_gets_was_packed_by_us():
    package = vetted(GOOD)
    with zipfile.ZipFile(io.BytesIO(package.data)) as archive:
        assert {member.compress_type for member in archive.infolist()} == {zipfile.ZIP_STORED}
        assert {member.filename for member in archive.infolist()} <= set(parts(GOOD))


def test_a_panic_of_the_reader_is_a_typed_error_and_an_interruption_is_not():
    class PanicException(BaseException):
        """What a panic of Rust becomes in Python."""

    def panic():
        raise PanicException

    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(UnusableError):
        guarded(panic)
    with pytest.raises(KeyboardInterrupt):
        guarded(interrupted)


# --- anything at all ----------------------------------------------------------------------------------------------


def survives(data: bytes) -> None:
    with suppress(RegisterError):
        read_workbook(data, NAME)


@CHECKED
@given(st.sampled_from([GOOD, PLAIN]), st.lists(st.tuples(st.integers(0), st.integers(0, 255)), min_size=1, max_size=8))
def test_flipped_bytes_end_in_a_typed_error_or_not_at_all(data, flips):
    changed = bytearray(data)
    for place, value in flips:
        changed[place % len(changed)] = value
    survives(bytes(changed))


@CHECKED
@given(st.sampled_from([GOOD, PLAIN]), st.integers(0), st.integers(0))
def test_a_file_that_was_cut_ends_in_a_typed_error(data, start, end):
    survives(data[start % 50 : len(data) - end % len(data)])


@CHECKED
@given(st.sampled_from([GOOD, PLAIN]), st.data())
def test_parts_that_changed_places_end_in_a_typed_error_or_not_at_all(data, draw):
    content = parts(data)
    names = list(content)
    for _ in range(draw.draw(st.integers(1, 3))):
        one, other = draw.draw(st.sampled_from(names)), draw.draw(st.sampled_from(names))
        content[one], content[other] = content[other], content[one]
    survives(packed(content))


SCRAPS = st.sampled_from(
    [b"<", b">", b"</c>", b'r="A1"', b't="s"', b't="b"', b't="d"', b't="e"', b"<v>", b"</v>", b"1e999", b"-1", b"NaN",
     b"99999999999999999999", b"\xff", b"&#0;", b"&#65;", b"'", b'"', b"<f>1</f>", b'xml:space="preserve"', b"_x0000_", b""]
)  # fmt: skip


@CHECKED
@given(st.sampled_from([GOOD, PLAIN]), st.data())
def test_parts_with_pieces_replaced_end_in_a_typed_error_or_not_at_all(data, draw):
    content = parts(data)
    name = draw.draw(st.sampled_from([one for one in content if one.startswith("xl/")]))
    text = content[name]
    for _ in range(draw.draw(st.integers(1, 4))):
        at = draw.draw(st.integers(0, len(text)))
        text = text[:at] + draw.draw(SCRAPS) + text[at + draw.draw(st.integers(0, 12)) :]
    content[name] = text
    survives(packed(content))


@CHECKED
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["A1", "B2", "C3", "AA10", "B2"]),
            st.sampled_from(["n", "s", "b", "str", "d", "e", "inlineStr", "x"]),
            st.sampled_from(
                ["0", "1", "-1", "1.5", "1e308", "1e999", "NaN", "text", "2026-01-01T00:00:00", "", "2958466"]
            ),
            st.sampled_from(["0", "1", "2", "999"]),
        ),
        max_size=6,
    )
)
def test_cells_of_any_type_and_value_end_in_a_typed_error_or_not_at_all(cells):
    rows = "".join(
        f'<row><c r="{place}" t="{kind}" s="{style}"><v>{value}</v></c></row>' for place, kind, value, style in cells
    )
    survives(with_part(FIRST, sheet(rows.encode()), PLAIN))
    survives(with_part("xl/worksheets/sheet2.xml", sheet(rows.encode()), GOOD))


@CHECKED
@given(
    st.binary(max_size=300)
    | st.text(max_size=300).map(lambda text: b"Purpose,Personal data,Recipients\n" + text.encode("utf-8", "replace"))
)
def test_any_text_as_csv_ends_in_a_typed_error_or_not_at_all(data):
    with suppress(RegisterError):
        article30.read_csv(data, "x.csv")
