"""What names of files say: spelling, globs, dates, persons."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from share_on_disk import due, find, keys, name_date, purge

from connectors.files.names import NameDate, parse_key, spell_name
from ropa.connector import Condition, Spare, normalise_identifier

AWKWARD = [
    b"-rf",
    b"--",
    b"...",
    b" ",
    b"two\nlines",
    b"\xff\xfe.pdf",
    b"back\\slash",
    b"\\x41",
    b"x" * 255,
    "é".encode(),
]
AWKWARD += [b"* ?[a]", b"$(reboot)", b"\xed\xa0\x80", b".hidden", b"tab\t\x1b[31m", "e\u0301".encode()]


@given(st.binary(min_size=1, max_size=40).filter(lambda raw: not {0, 47} & set(raw) and raw not in {b".", b".."}))
def test_every_name_has_one_spelling_that_leads_back_to_it(raw):
    spelled = spell_name(os.fsdecode(raw))
    spelled.encode("utf-8")
    assert os.fsencode(parse_key(spelled)[0]) == raw


@given(st.text(alphabet="\\x4f0a/.e\u00e9", max_size=12))
def test_a_text_is_the_key_of_at_most_one_file(text):
    try:
        names = parse_key(text)
    except ValueError:
        return
    assert "/".join(map(spell_name, names)) == text
    assert not {"", ".", ".."} & set(names)


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "..", "a/../../b", "a//b", "a/", "./a", "\\x2e\\x2e/b", "a\\x2fb", "a\0b", "\\", "\\x4"]
)
def test_what_does_not_lead_to_a_file_below_the_root_is_no_key(key):
    with pytest.raises(ValueError, match=r"not the path|utf-8|null"):
        parse_key(key)


def test_exactly_the_named_file_goes_whatever_it_is_called(share):
    for raw in AWKWARD:
        share.add(raw)
        share.add(b"keep/" + raw, moment=2e9)
    connector = share.open(100)
    found = find(connector)
    assert len(found) == len(AWKWARD)
    assert [record.key for record in found] == sorted(record.key for record in found)
    for record in found:
        before = share.tree()
        assert purge(connector, [record]) == ["purged"]
        (gone,) = before - share.tree()
        assert repr(str(share.root.joinpath(*parse_key(record.key[0])))) == gone
    assert connector.count("cv") == len(AWKWARD)


def test_keys_come_in_the_order_of_whole_paths(share):
    for name in ("a/x", "a-b", "a.txt", "a0", "a/b/c", "a-/z", "A", "b", "a/b-", "é", "z"):
        share.add(name)
    found = keys(share.open())
    assert found == sorted(found)
    assert len(found) == 11


# --- patterns -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*", {"one.pdf", "TWO.PDF", "a/three.pdf", "a/b/four.pdf", "a/five.txt", ".six"}),
        ("*.pdf", {"one.pdf", "a/three.pdf", "a/b/four.pdf"}),
        ("*.[pP][dD][fF]", {"one.pdf", "TWO.PDF", "a/three.pdf", "a/b/four.pdf"}),
        ("a/*", {"a/three.pdf", "a/five.txt"}),
        ("a/**", {"a/three.pdf", "a/five.txt", "a/b/four.pdf"}),
        ("**/*.pdf", {"one.pdf", "a/three.pdf", "a/b/four.pdf"}),
        ("a/*/*", {"a/b/four.pdf"}),
        ("???.pdf", {"one.pdf"}),
        ("[!o]*.pdf", {"a/three.pdf", "a/b/four.pdf"}),
        ("[", set()),
    ],
)
def test_a_pattern_says_which_files_are_records(share, pattern, expected):
    for name in ("one.pdf", "TWO.PDF", "a/three.pdf", "a/b/four.pdf", "a/five.txt", ".six"):
        share.add(name)
    for connector in (share.open(options={"pattern": pattern}), share.open(location={"pattern": pattern})):
        assert set(keys(connector)) == {f"cv/{name}" for name in expected}
        assert connector.count("cv") == len(expected)


def test_a_file_that_no_category_matches_is_no_record(share):
    for name in ("a.pdf", "b.jpg", "c.docx"):
        share.add(name)
    connector = share.open(data={"cv": ("*.pdf",), "photo": ("*.jpg", "*.png")})
    assert keys(connector) == ["cv/a.pdf", "cv/b.jpg"]
    stray = replace(find(connector)[0], key=("cv/c.docx",))
    assert purge(connector, [stray]) == ["changed"]
    assert (share.cv / "c.docx").exists()


def test_conditions_can_be_put_on_what_a_name_says(share):
    for name in ("2020/a.PDF", "2020/b.txt", "c", ".d"):
        share.add(name, "12345")
    connector = share.open()

    def matching(column, *values):
        condition = Condition(column, values)
        assert connector.problems("cv", due(match=(condition,))) == []
        return keys(connector, due(match=(condition,)))

    assert matching("extension", "pdf") == ["cv/2020/a.PDF"]
    assert matching("extension", "") == ["cv/.d", "cv/c"]
    assert matching("folder", "cv/2020") == ["cv/2020/a.PDF", "cv/2020/b.txt"]
    assert matching("name", "c", ".d") == ["cv/.d", "cv/c"]
    assert matching("path", "cv/c") == ["cv/c"]
    assert len(matching("size", 5)) == 4
    assert matching("size", 6) == []


# --- dates in names -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("%Y-%m-%d", "2021-05-17 cv.pdf", date(2021, 5, 17)),
        ("%Y-%m-%d", "cv_2021-05-17.pdf", date(2021, 5, 17)),
        ("%Y-%m-%d", "cv_2021-05-17_2021-05-17.pdf", date(2021, 5, 17)),
        ("%Y-%m-%d", "cv_2021-05-17_2022-05-17.pdf", None),
        ("%Y-%m-%d", "cv_2021-13-17.pdf", None),
        ("%Y-%m-%d", "cv_2021-02-30.pdf", None),
        ("%Y-%m-%d", "cv_2021-02-28_2021-02-30.pdf", None),
        ("%Y-%m-%d", "cv.pdf", None),
        ("%Y-%m-%d", "12021-05-17.pdf", None),
        ("%Y-%m-%d", "2021-05-171.pdf", None),
        ("%Y-%m-%d", "2021-5-7.pdf", date(2021, 5, 7)),
        ("%Y%m%d", "IMG_20210517_123456.jpg", date(2021, 5, 17)),
        ("%Y%m%d", "20210517123456.jpg", None),
        ("%Y%m%d", "2021517.jpg", None),
        ("%d.%m.%Y", "Zoé 17.05.2021.docx", date(2021, 5, 17)),
        ("%d-%m-%Y", "01-02-03-2021.pdf", date(2021, 3, 2)),
        ("%d %B %Y", "17 May 2021.pdf", date(2021, 5, 17)),
        ("%d %B %Y", "17 floréal 2021.pdf", None),
        ("%Y-%j", "2021-032.log", date(2021, 2, 1)),
        ("%Y-%m-%dT%H%M", "2021-05-17T2330 call.wav", date(2021, 5, 17)),
    ],
)
def test_a_date_in_the_name_is_read_and_never_guessed(share, pattern, name, expected):
    share.add(name, moment=2e9)
    connector = share.open(**name_date(pattern))
    assert connector.problems("cv", due("named")) == []
    (record,) = find(connector, due("named", before=(), check_anchors=False))
    assert record.anchored == (expected,)
    assert keys(connector, due("named")) == ([f"cv/{name}"] if expected else [])
    assert keys(connector, due("named", before=(), undated=True)) == ([] if expected else [f"cv/{name}"])


@pytest.mark.parametrize("pattern", ["%Y-%m", "%Y", "%d-%m", "%c", "cv", "%Y-%m-%d%", "%H:%M"])
def test_a_pattern_that_gives_no_whole_day_is_a_problem_and_never_due(share, pattern):
    with pytest.raises(ValueError, match=r"must give|cannot be looked for"):
        NameDate(pattern)
    share.add("2021-05-17.pdf")
    connector = share.open(**name_date(pattern))
    assert len(connector.problems("cv")) == 1
    assert keys(connector, due("named")) == []


# --- persons ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "identifier", "path", "is_about"),
    [
        ("folder", "Jan Peeters", "jan peeters/cv.pdf", True),
        ("folder", "jan peeters", "JAN PEETERS/2021/cv.pdf", True),
        ("folder", "jan peeters", "jan peeters senior/cv.pdf", False),
        ("folder", "jan peeters", "x/jan peeters.pdf", False),
        ("name", "jan peeters", "x/Jan Peeters.pdf", True),
        ("name", "jan peeters", "x/CV Jan_Peeters-2021.pdf", True),
        ("name", "jan peeters", "x/CV Jan Peetersen.pdf", False),
        ("name", "peeters", "x/Jan-Peeters.pdf", True),
        ("name", "peet", "x/Jan-Peeters.pdf", False),
        ("name", "jan peeters", "jan peeters/cv.pdf", False),
        ("name", "zoe\u0301@example.org", "x/ZO\u00c9@example.org.pdf", True),
        ("name", "jan@example.org", "x/jan@example.org", True),
        ("name", "85.07.30-001.84", "x/85073000184 cv.pdf", True),
        ("name", "---", "x/cv.pdf", False),
        ("path", "jan peeters", "jan peeters/cv.pdf", True),
        ("path", "jan peeters", "x/jan peeters.pdf", True),
    ],
)
def test_a_file_is_about_whom_its_name_or_folder_says(share, subject, identifier, path, is_about):
    share.add(path)
    connector = share.open(subject=(subject,))
    selection = due(spare=Spare(subjects=frozenset({normalise_identifier(identifier)})))
    (record,) = find(connector, selection)
    assert record.is_spared is is_about
    assert len(list(connector.read("cv", identifier))) == int(is_about)
    assert purge(connector, [record], selection) == ["held" if is_about else "purged"]


def test_what_is_kept_about_a_person_is_told_with_its_size_and_time(share):
    share.add("jan peeters.pdf", "12345")
    (record,) = share.open(subject=("name",)).read("cv", "Jan Peeters")
    assert record.values["size"] == 5
    assert record.values["mtime"].year == 2020


def test_without_subject_columns_no_file_is_about_anyone(share):
    share.add("jan peeters.pdf")
    connector = share.open()
    assert not find(connector, due(spare=Spare(subjects=frozenset({"janpeeters"}))))[0].is_spared
    assert list(connector.read("cv", "jan peeters")) == []
