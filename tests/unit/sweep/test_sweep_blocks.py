"""Planned records in blocks: what is read back is what was written, wherever the batches of either side end."""

import json
from datetime import UTC, date, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.errors import LedgerError
from ropa.ledger.leaf import key_texts
from ropa.sweep import blocks, own_changes, packing, reordering
from ropa.sweep.blocks import Columns, Reader, Stay
from ropa.sweep.tables import (
    PlannedBlock,
    PlannedKey,
    PlannedReference,
    PlannedReferring,
    PlannedStay,
    PlannedVersion,
    PlanRow,
    TargetRow,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
HELD = Stay("held", "hold")
TARGET = 7


@pytest.fixture
def engine(run_state):
    """A database with the two targets that blocks are written for; each example leaves it as it was."""
    made = run_state.engine()
    with Session(made) as opened, opened.begin():
        day = datetime(2026, 11, 21, tzinfo=UTC)
        more = {"author": "a", "policy": "p", "register_revision": 1, "tool": "t"}
        opened.add(PlanRow(id=1, as_of=day.date(), created_at=day, **more))
        opened.flush()
        row = {"identity": "i", "location": "l", "dataset": "d", "scope": "row", "data": [], "action": "purge"}
        row |= {"plan_id": 1, "position": 0, "rules": [], "revisions": [], "cutoffs": {}}
        opened.add_all(TargetRow(id=number, **row) for number in (TARGET, 8))
    return made


EACH = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def session(engine):
    with Session(engine) as opened:
        yield opened
        opened.rollback()


def key(number):
    return (f"k{number}", "é\n")


def write(session, sizes, stays=(), *, target=TARGET):
    """Write blocks of so many records, numbered through."""
    start = 0
    for size in sizes:
        seqs = range(start, start + size)
        blocks.write(
            session,
            target,
            start,
            keys=[key(seq) for seq in seqs],
            versions=[f"v{seq}" for seq in seqs],
            days=list(seqs),
            stays={seq - start: HELD for seq in seqs if seq in stays},
        )
        start += size


def expected(seqs):
    return list(seqs), [key(seq) for seq in seqs], [f"v{seq}" for seq in seqs]


def parts(columns):
    return list(columns.seqs), columns.keys, columns.versions


# --- packing -------------------------------------------------------------------------------------------------------


@given(st.integers(1, 3).flatmap(lambda width: st.lists(st.tuples(*[TEXT] * width), min_size=1, max_size=6)))
def test_keys_of_any_text_and_width_come_back_as_they_were(keys):
    assert packing.unpack_keys(packing.pack_keys(keys), len(keys)) == keys


@given(st.lists(TEXT, min_size=1, max_size=6))
def test_versions_come_back_as_they_were(versions):
    assert packing.unpack_versions(packing.pack_versions(versions), len(versions)) == versions


def test_versions_that_are_not_told_come_back_empty():
    assert packing.unpack_versions(packing.pack_versions(()), 3) == ["", "", ""]


@given(st.lists(st.integers(0, date.max.toordinal()), max_size=6))
def test_days_come_back_as_they_were(days):
    assert list(packing.unpack_days(packing.pack_days(days), len(days))) == days


@given(st.sets(st.integers(0, 40)))
def test_numbers_come_back_as_they_were(seqs):
    assert packing.unpack_seqs(packing.pack_seqs(sorted(seqs))) == sorted(seqs)


@pytest.mark.parametrize("keys", [[("1", "2"), ("3",)], [("1",), ("2", "3")], [()], [(), ()], [("1",), ()]])
def test_keys_that_are_not_of_one_width_are_refused_and_none_is_cut_short(keys):
    with pytest.raises(ValueError, match="as many parts"):
        packing.pack_keys(keys)


@pytest.mark.parametrize("packed", ['[["1","2"]]', '[["1","2","3"],["1"]]', "[]", "x", "[1]", '[["1"],["2"],["3"]]'])
def test_keys_that_are_not_as_many_as_they_should_be_stop_everything(packed):
    with pytest.raises(LedgerError):
        packing.unpack_keys(packed, 3)


@pytest.mark.parametrize("packed", ['["1","2"]', "{}", "7", "x"])
def test_versions_that_are_not_as_many_as_they_should_be_stop_everything(packed):
    with pytest.raises(LedgerError):
        packing.unpack_versions(packed, 3)


def test_days_that_are_not_as_many_as_they_should_be_stop_everything():
    with pytest.raises(LedgerError):
        packing.unpack_days(b"1234", 2)


# --- reading ---------------------------------------------------------------------------------------------------------

SIZES = st.lists(st.integers(1, 4), max_size=5)
SEQS = st.sets(st.integers(0, 19))


@EACH
@given(sizes=SIZES, stays=SEQS, limit=st.integers(1, 6), start=st.integers(0, 8))
def test_batches_of_any_size_hold_every_planned_record_once_and_in_order(engine, sizes, stays, limit, start):
    planned = [seq for seq in range(start, sum(sizes)) if seq not in stays]
    with Session(engine) as session:
        write(session, sizes, stays)
        reader, at, taken = Reader(TARGET), start, []
        while batch := reader.take(session, at, limit):
            assert len(batch) == limit or batch.seqs[-1] == planned[-1]
            assert parts(batch) == expected(batch.seqs)
            assert parts(Reader(TARGET).take(session, batch.seqs[0], len(batch))) == parts(batch), "read back alone"
            taken += batch.seqs
            at = batch.seqs[-1] + 1
        session.rollback()
    assert taken == planned


@EACH
@given(sizes=SIZES, stays=SEQS, wanted=SEQS)
def test_records_are_picked_from_any_blocks_but_for_what_stays(engine, sizes, stays, wanted):
    with Session(engine) as session:
        write(session, sizes, stays)
        picked = Reader(TARGET).pick(session, sorted(wanted))
        session.rollback()
    assert parts(picked) == expected(sorted(seq for seq in wanted - stays if seq < sum(sizes)))


def test_a_walk_tells_each_record_with_its_day_and_why_it_stays(session):
    write(session, [2, 3], {3})
    told = list(blocks.walk(session, TARGET))
    assert [record.key for record in told] == [key(seq) for seq in range(5)]
    assert [record.due_on for record in told] == [None, *(date.fromordinal(day) for day in (1, 2, 3, 4))]
    assert [(record.disposition, record.reason) for record in told] == [("planned", None)] * 3 + [
        ("held", "hold"),
        ("planned", None),
    ]
    assert blocks.count(session, TARGET) == 5
    assert (blocks.has_any(session, TARGET), blocks.has_any(session, 8)) == (True, False)


def test_every_block_is_given_also_one_that_begins_within_another_or_before_the_first(session):
    """Else it could be acted on and lie outside the digest."""
    write(session, [3, 2])
    for first in (-5, 1):
        blocks.write(session, TARGET, first, keys=[key(99)], versions=["x"], days=[1])
    assert [block.first_seq for block in blocks.blocks(session, TARGET)] == [-5, 0, 1, 3]


# --- by key ----------------------------------------------------------------------------------------------------------


def test_keys_are_written_once_however_often_they_are_asked_for(session):
    write(session, [2, 2])
    blocks.write_keys(session, TARGET, {1: key_texts([key(1)])[0]})
    blocks.write_keys(session, TARGET, {})
    blocks.write_all_keys(session, TARGET)
    blocks.write_all_keys(session, TARGET)
    found = session.execute(select(col(PlannedKey.seq), col(PlannedKey.key)).order_by(col(PlannedKey.seq))).all()
    assert [(seq, tuple(json.loads(text))) for seq, text in found] == [(seq, key(seq)) for seq in range(4)]


@EACH
@given(sizes=SIZES.filter(bool), stays=SEQS, ranks=st.lists(st.integers(0, 3), min_size=20, max_size=20))
def test_records_put_in_order_keep_all_that_is_theirs(engine, sizes, stays, ranks):
    """By rank, then as they were; with their versions, days, references and reasons."""
    total = sum(sizes)
    order = sorted(range(total), key=lambda seq: (ranks[seq], seq))
    with Session(engine) as session:
        write(session, sizes, stays)
        write(session, [2], {0}, target=8)
        blocks.write_all_keys(session, TARGET)
        for row in session.scalars(select(PlannedKey)):
            row.rank = ranks[row.seq]
        for seq in range(0, total, 2):
            more = {"parent_dataset": "d", "parent_key": f"p{seq}", "plan_id": 1, "location": "l"}
            session.add(PlannedReference(target_id=TARGET, seq=seq, **more))
            session.add(PlannedReferring(target_id=TARGET, seq=seq, source=f"s{seq}", is_declared=True, count=1))
        session.flush()
        reordering.put_in_order(session, TARGET)
        session.expire_all()
        walked = list(blocks.walk(session, TARGET))
        references = session.execute(select(col(PlannedReference.seq), col(PlannedReference.parent_key))).all()
        referring = session.execute(select(col(PlannedReferring.seq), col(PlannedReferring.source))).all()
        keys = session.execute(
            select(col(PlannedKey.seq), col(PlannedKey.key)).where(col(PlannedKey.target_id) == TARGET)
        ).all()
        other = list(blocks.walk(session, 8))
        versions = Reader(TARGET).take(session, 0, total).versions
        session.rollback()
    assert [record.key for record in walked] == [key(seq) for seq in order]
    assert [record.due_on for record in walked] == [date.fromordinal(seq) if seq else None for seq in order]
    assert [record.disposition == "held" for record in walked] == [seq in stays for seq in order]
    assert versions == [f"v{seq}" for seq in order if seq not in stays]
    assert {(order[seq], text) for seq, text in references} == {(seq, f"p{seq}") for seq in range(0, total, 2)}
    assert {(order[seq], text) for seq, text in referring} == {(seq, f"s{seq}") for seq in range(0, total, 2)}
    assert {(order[seq], tuple(json.loads(text))) for seq, text in keys} == {(seq, key(seq)) for seq in range(total)}
    assert [(record.key, record.disposition) for record in other] == [(key(0), "held"), (key(1), "planned")]


# --- leaving ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("piece", [1, 3, 10_000])
def test_records_leave_in_pieces_and_take_every_row_beside_them_along(monkeypatch, engine, piece):
    monkeypatch.setattr(blocks, "PIECE", piece)
    tables = (PlannedBlock, PlannedStay, PlannedKey, PlannedReference, PlannedReferring)
    with Session(engine) as session:
        for target in (TARGET, 8):
            write(session, [2, 2, 2], {0, 5}, target=target)
            blocks.write_all_keys(session, target)
            more = {"parent_dataset": "d", "parent_key": "p", "plan_id": 1, "location": "l"}
            session.add(PlannedReference(target_id=target, seq=9, **more))
            session.add(PlannedReferring(target_id=target, seq=3, source="s", is_declared=True, count=1))
        session.commit()
        blocks.forget(session, TARGET)
        left = {
            (table.__tablename__, target): session.scalar(
                select(func.count()).select_from(table).where(col(table.target_id) == target)
            )
            for table in tables
            for target in (TARGET, 8)
        }
    engine.dispose()
    assert {count for (_, target), count in left.items() if target == TARGET} == {0}
    assert all(count for (_, target), count in left.items() if target == 8)


# --- our own changes -------------------------------------------------------------------------------------------------


def target_row(id_, **more):
    given = {"plan_id": 1, "position": id_, "identity": f"t{id_}", "location": "crm", "dataset": "contacts"}
    given |= {"scope": "field", "data": [], "action": "anonymise", "rules": [], "revisions": [], "cutoffs": {}}
    return TargetRow(id=id_, **(given | {"records": 2} | more))


def test_our_own_change_is_told_to_the_other_field_targets_of_the_dataset_alone(session):
    first, second, elsewhere = target_row(1), target_row(2), target_row(3, dataset="orders")
    rows = target_row(4, scope="row")
    session.add_all([first, second, elsewhere, rows])
    session.flush()
    records = Columns(range(2), [("1",), ("2",)], ["a", "b"])
    own_changes.note(session, elsewhere, {'["1"]': "x"})
    assert session.scalar(select(func.count()).select_from(PlannedVersion)) == 0, "nobody else has these records"
    own_changes.note(session, first, {'["1"]': "x"})
    own_changes.note(session, second, {'["1"]': "y"})
    assert own_changes.applied_to(session, first, records).versions == ["y", "b"]
    assert own_changes.applied_to(session, elsewhere, records) is records
    assert own_changes.applied_to(session, rows, records) is records
    own_changes.forget(session, 1)
    assert own_changes.applied_to(session, first, records) is records


@given(st.lists(TEXT | st.sampled_from(["", "a", '"', "\\", "\x7f", "é", "1,2"]), min_size=1))
def test_texts_are_packed_as_json_spells_them_whatever_is_in_them(texts):
    spelled = json.dumps(texts, ensure_ascii=False, separators=(",", ":"))
    assert packing.pack_keys([(text,) for text in texts]) == f"[{spelled}]"
    assert packing.pack_keys([(text, "x") for text in texts]) == json.dumps(
        [texts, ["x"] * len(texts)], ensure_ascii=False, separators=(",", ":")
    )
    same = json.dumps(texts[0], ensure_ascii=False)
    assert packing.pack_versions(texts) == (same if len(set(texts)) == 1 else spelled)
