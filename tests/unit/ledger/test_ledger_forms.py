"""Canonical JSON, trees, notes, leaves, outcomes: properties."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropa.ledger import events, merkle
from ropa.ledger.batches import count_outcomes, format_batch, format_outcomes, read_leaves
from ropa.ledger.canonical import LARGEST, MAX_LINE, canonical, parse_line
from ropa.ledger.leaf import key_texts, leaf, leaves, new_batch_key
from ropa.ledger.note import parse_checkpoint

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    TEXT | st.booleans() | st.integers(-LARGEST, LARGEST),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcXYZ_09", max_size=5), inner, max_size=4),
    max_leaves=10,
)
OBJECTS = st.dictionaries(st.text("abcXYZ_09", max_size=5), VALUES, max_size=5)


@given(OBJECTS)
def test_a_value_is_read_back_as_it_was_written(value: dict[str, object]) -> None:
    line = canonical(value)
    assert parse_line(line) == value
    assert canonical(parse_line(line)) == line
    assert json.loads(line) == value


@given(OBJECTS.filter(bool), st.data())
def test_a_line_with_one_changed_byte_is_another_value_or_refused(
    value: dict[str, object], data: st.DataObject
) -> None:
    line = bytearray(canonical(value))
    line[data.draw(st.integers(0, len(line) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        changed = parse_line(bytes(line))
    except ValueError:
        return
    assert changed != value


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        None,
        {"a": None},
        [0.5],
        {"é": 1},
        {1: 2},
        LARGEST + 1,
        -LARGEST - 1,
        "\ud800",
        ["a\udfff"],
        b"x",
        {"a": {1}},
    ],
)
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(ValueError):
        canonical(value)


@pytest.mark.parametrize(
    "line",
    [
        b'{"a":1,"a":1}',
        b'{"a":1, "b":2}',
        b'{"b":1,"a":2}',
        b'{"a":1.0}',
        b'{"a":1e400}',
        b'{"a":-0}',
        b'{"a":NaN}',
        b'{"a":null}',
        b'{"a":"\\u0041"}',
        b'{"a":"\\ud800"}',
        b'{"a":"\\u000A"}',
        b'{"a":"\\/"}',
        b'{"a":"\xff"}',
        b'\xef\xbb\xbf{"a":1}',
        '{"a":1}'.encode("utf-16"),
        b'{"a":9007199254740992}',
        b'{"a":' + b"9" * 5000 + b"}",
        b"[1]",
        b"1",
        b"",
        b"{}\n",
        b"[" * 60_000,
        b'{"a":' * 10_000,
        b'{"a":' * 20 + b"1" + b"}" * 20,
        b'{"a":"' + b"x" * MAX_LINE + b'"}',
    ],
)
def test_a_line_that_is_not_canonical_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError):
        parse_line(line)


def test_an_error_never_repeats_what_it_refused() -> None:
    for value in ("canary-\ud800", {"canary-é": 1}):
        with pytest.raises(ValueError) as caught:
            canonical(value)
        assert "canary" not in str(caught.value)
    with pytest.raises(ValueError) as caught:
        parse_line(b'{"canary":canary}')
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


@given(st.integers(0, 70), st.data())
def test_every_leaf_is_proved_and_no_other_place_or_leaf_is(size: int, data: st.DataObject) -> None:
    content = [bytes([number]) for number in range(size)]
    tree = merkle.Tree()
    for item in content:
        tree.append(item)
    hashes = [merkle.leaf_hash(item) for item in content]
    root = merkle.root(content)
    assert tree.root() == root
    assert (tree.size, len(tree._peaks)) == (size, size.bit_count())
    if not size:
        with pytest.raises(IndexError):
            merkle.inclusion_proof(hashes, 0)
        return
    index = data.draw(st.integers(0, size - 1))
    path = merkle.inclusion_proof(hashes, index)
    assert len(path) <= (size - 1).bit_length()
    assert merkle.verify_inclusion(hashes[index], index, size, path, root)
    other = data.draw(st.integers(0, size).filter(lambda place: place != index))
    assert not merkle.verify_inclusion(hashes[index], other, size, path, root)
    assert not merkle.verify_inclusion(merkle.leaf_hash(b"other"), index, size, path, root)
    assert not merkle.verify_inclusion(hashes[index], index, size, [*path, root], root)
    assert not merkle.verify_inclusion(hashes[index], index, size, path, merkle.EMPTY_ROOT)
    if path:
        assert not merkle.verify_inclusion(hashes[index], index, size, path[:-1], root)


@given(st.integers(1, 70), st.data())
def test_a_larger_tree_is_proved_to_begin_with_a_smaller_one(size: int, data: st.DataObject) -> None:
    hashes = [merkle.leaf_hash(bytes([number])) for number in range(size)]
    first = data.draw(st.integers(1, size))
    small, large = merkle.root_of_hashes(hashes[:first]), merkle.root_of_hashes(hashes)
    proof = merkle.consistency_proof(hashes, first)
    assert merkle.verify_consistency(first, size, small, large, proof)
    forged = merkle.root_of_hashes([*hashes[: first - 1], merkle.leaf_hash(b"forged")])
    assert not merkle.verify_consistency(first, size, forged, large, proof)
    assert not merkle.verify_consistency(first, size, small, forged if forged != large else small + b"x", proof)
    assert not merkle.verify_consistency(first, size, small, large, [*proof, large])
    assert not merkle.verify_consistency(size + 1, size, small, large, proof)
    if first < size:
        assert not merkle.verify_consistency(first, size, small, large, [])


def test_a_consistency_proof_needs_a_smaller_tree_that_exists() -> None:
    for first in (0, 3):
        with pytest.raises(ValueError):
            merkle.consistency_proof([b"a" * 32, b"b" * 32], first)


@given(st.lists(st.lists(TEXT, min_size=1, max_size=3).map(tuple), max_size=5))
def test_many_leaves_at_once_are_the_same_as_one_by_one(keys: list[tuple[str, ...]]) -> None:
    batch_key = new_batch_key()
    assert leaves(batch_key, "crm", "contacts", keys) == [leaf(batch_key, "crm", "contacts", key) for key in keys]


@pytest.mark.parametrize("key", [(), "42", (42,), ("\ud800",), (None,)])
def test_a_key_that_is_not_an_array_of_text_gets_no_leaf(key: object) -> None:
    with pytest.raises(ValueError):
        leaf(bytes(32), "crm", "contacts", key)  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        leaves(bytes(32), "crm", "contacts", [key])  # type: ignore[list-item]


def test_a_short_batch_key_is_refused_and_fresh_ones_differ() -> None:
    with pytest.raises(ValueError):
        leaf(bytes(31), "crm", "contacts", ("1",))
    assert new_batch_key() != new_batch_key()
    assert len(new_batch_key()) == 32


@pytest.mark.parametrize("batch", [[], [b"a" * 31], [b"a" * 32] * 2, [b"a" * 32] * 100_001])
def test_what_is_no_batch_is_refused(batch: list[bytes]) -> None:
    with pytest.raises(ValueError):
        format_batch(batch)


def test_a_batch_file_must_hold_what_the_intent_says(tmp_path) -> None:
    path = tmp_path / "batch"
    _name, content = format_batch([b"\xab" * 32, b"\xcd" * 32])
    path.write_bytes(content)
    assert read_leaves(path, 2) == [b"\xab" * 32, b"\xcd" * 32]
    for wrong in (content[:-1], content.upper(), content + b"\n", content[:65] * 2, content[:65], b"\xff" * 130):
        path.write_bytes(wrong)
        with pytest.raises((ValueError, OSError)):
            read_leaves(path, 2)


@pytest.mark.parametrize(
    ("outcome", "word"),
    [
        ("purged", "purged"),
        ("failed:423", "failed"),
        ("failed:mailbox.not-found", "failed"),
        ("recoverable:2026-12-12", "recoverable"),
        ("recoverable:2026-02-30", None),
        ("recoverable:soon", None),
        ("purged:now", None),
        ("blocked:hard-link", None),
        ("failed:", None),
        ("failed:" + "x" * 33, None),
        ("failed:Jan Peeters", None),
        ("deleted", None),
        ("", None),
        (7, None),
    ],
)
def test_an_outcome_counts_under_its_word_or_is_none(outcome: object, word: str | None) -> None:
    assert events.outcome_word(outcome) == word


def test_outcomes_have_one_spelling() -> None:
    assert format_outcomes(["purged", "purged"]) == ("purged", None)
    said, content = format_outcomes(["purged", "held"])
    assert events.is_hash(said)
    assert content == b"purged\nheld\n"
    assert count_outcomes(["failed:1", "failed:2", "held"]) == {"failed": 2, "held": 1}
    for wrong in ([], ["purged", "deleted"]):
        with pytest.raises(ValueError):
            format_outcomes(wrong)


@given(st.binary(max_size=200))
def test_a_note_of_any_bytes_is_read_or_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        parse_checkpoint(data)


PLAIN = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8)
PARTS = PLAIN | TEXT | st.sampled_from(["", '"', "\\", "\x7f", "\n", "é", '","', '"]]\n["'])
KEYS = st.lists(
    st.lists(PARTS, min_size=1, max_size=3).map(tuple) | st.lists(PARTS, min_size=1, max_size=2), max_size=6
)


@given(KEYS)
def test_many_leaves_are_the_leaves_one_by_one_whatever_is_in_their_keys(keys: list[list[str]]) -> None:
    secret = b"k" * 32
    assert leaves(secret, "crm", "contacts", keys) == [leaf(secret, "crm", "contacts", key) for key in keys]
    assert [text.encode() for text in key_texts(keys)] == [canonical(list(key)) for key in keys]


@pytest.mark.parametrize(
    "keys", [[("1",), ()], [("1",), "23"], [("1",), ("2", 3)], [("1",), (None,)], [("1",), ("\ud800",)]]
)
def test_a_key_that_is_none_has_no_leaf_also_among_many(keys: list[tuple[str, ...]]) -> None:
    with pytest.raises(ValueError, match=r"key|surrogate"):
        leaves(b"k" * 32, "crm", "contacts", keys)
