# ruff: noqa: DTZ001 - wall-clock times are what is tested
"""Rows that come as columns tell what they tell one by one, and a batch that goes so is compared no less closely."""

from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from postgres_bed import opened_on
from sql_bed import act, dataset, due, every, undated, whole, words
from sqlalchemy import event
from test_postgres_dates import NOW, ODD, ZONES

from connectors.sql.anchors import NO_DATE, number_of
from connectors.sql.backend import Dating
from connectors.sql.catalogue import Kind
from connectors.sql.postgres import PostgresBackend
from connectors.sql.postgres_columns import PostgresColumn
from connectors.sql.postgres_packed import packed_of
from connectors.sql.postgres_pages import Pages
from ropa.connector import Action, Batch, Condition, FieldChange
from ropa.errors import LocationError

EPOCH = datetime(2000, 1, 1)
KEYS = {"bigint": "g", "int": "g", "smallint": "g", "uuid": "md5(g::text)::uuid"}
ITEMS = dataset("items", anchors=("created", "wall", "day"), data={"name": ("body",), "note": ("note",)})
CLEAR = (FieldChange("body"), FieldChange("note"))


@pytest.fixture(params=KEYS)
def database(postgres, request):
    with postgres.create() as made:
        fill(made, request.param)
        yield made


@pytest.fixture
def numbered(postgres):
    with postgres.create() as made:
        fill(made, "bigint")
        yield made


def fill(database, key, rows=300):
    database.execute(
        f"CREATE TABLE items (id {key} PRIMARY KEY, created timestamptz, wall timestamp, day date, body text, note text);"
        f"INSERT INTO items SELECT {KEYS[key]}, '2020-01-01 23:30Z'::timestamptz + g * interval '13 hours',"
        " CASE WHEN g % 7 > 0 THEN '2019-03-01'::timestamp + g * interval '7 hours' END,"
        " CASE WHEN g % 11 > 0 THEN '2019-03-01'::date + g ELSE 'infinity' END, 'Person ' || g, 'note'"
        f" FROM generate_series(1, {rows}) g;"
        "UPDATE items SET created = NULL WHERE ctid = '(0,1)'; UPDATE items SET created = now() + interval '3 days'"
        " WHERE ctid = '(0,3)'"
    )


def one_by_one(monkeypatch):
    monkeypatch.setattr(PostgresBackend, "pages", lambda *_: None)


def told(location, selection):
    return [
        (list(batch.keys), list(batch.versions), list(batch.anchored), dict(batch.notes))
        for batch in location.find(selection)
    ]


def left(database):
    return {row[0] for row in database.execute("SELECT id::text FROM items")}


def is_swift(monkeypatch):
    """Have what goes the careful way fail."""

    def careful(*_):
        raise AssertionError("the careful way")

    monkeypatch.setattr("connectors.sql.acting.Actor._attempt", careful)


@pytest.mark.parametrize("size", [7, 1000])
@pytest.mark.sampled(one_in=2)
def test_a_listing_is_the_same_as_one_by_one(database, monkeypatch, size):
    database.execute("UPDATE items SET created = '-infinity' WHERE ctid = '(0,5)'")
    selections = [
        due("items"),
        due("items", anchor="wall"),
        due("items", anchor="day", anchors=("day", "created", "wall")),
        due("items", fields=CLEAR),
        due("items", match=(Condition("body", ("Person 5", "Person 6", "Person 250")),)),
        undated("items", "created", "wall", "day"),
        every("items", check_anchors=False, anchors=("wall",)),
        every("items"),
    ]
    with opened_on(database.url, ITEMS, batch_size=size) as location:
        as_pages = [told(location, selection) for selection in selections]
        narrow = due("items", keys=tuple(as_pages[0][0][0][1:5]))
        as_pages.append(told(location, narrow))
        one_by_one(monkeypatch)
        assert as_pages == [told(location, selection) for selection in [*selections, narrow]]
        assert sum(len(keys) for keys, *_ in as_pages[0]) == 297


def test_an_anchor_of_several_dates_is_the_latest_of_them(numbered, monkeypatch):
    from ropa.connector import AnchorPart

    parts = [AnchorPart("created"), AnchorPart("wall"), AnchorPart("day")]
    items = dataset("items", anchors={"last": parts})
    with opened_on(numbered.url, items, batch_size=50) as location:
        found = told(location, due("items", anchor="last"))
        batch = whole(location, due("items", anchor="last"))
        one_by_one(monkeypatch)
        assert found == told(location, due("items", anchor="last"))
        monkeypatch.undo()
        is_swift(monkeypatch)
        assert set(words(act(location, due("items", anchor="last"), batch=batch)).values()) == {"purged"}


@pytest.mark.sampled(one_in=3)
@pytest.mark.parametrize("fields", [(), CLEAR], ids=["purge", "clear"])
def test_a_batch_goes_swiftly_and_is_read_back(database, monkeypatch, fields):
    is_swift(monkeypatch)
    selection = due("items", fields=fields)
    with opened_on(database.url, ITEMS, batch_size=1000) as location:
        batch = whole(location, selection)
        assert location.remaining(selection, batch) == set(batch.keys)
        outcomes = location.act(selection, batch, Action.ANONYMISE if fields else Action.PURGE)
        assert {outcome.word for outcome in outcomes} == {"anonymised" if fields else "purged"}
        assert location.remaining(selection, batch) == set()
        if not fields:
            assert left(database).isdisjoint(key for (key,) in batch.keys)
            assert len(left(database)) == 2
            return
        again = told(location, every("items", check_anchors=False, keys=tuple(batch.keys)))
        assert [outcome.version for outcome in outcomes] == again[0][1]
        assert location.remaining(every("items"), batch) == set(batch.keys)
        assert not told(location, selection)


@pytest.mark.sampled(one_in=4)
@pytest.mark.parametrize("fields", [(), CLEAR], ids=["purge", "clear"])
@pytest.mark.parametrize("order", ["as found", "backwards"])
def test_what_was_moved_is_the_same_and_what_was_changed_is_not(database, monkeypatch, fields, order):
    selection, action = due("items", fields=fields), Action.ANONYMISE if fields else Action.PURGE
    with opened_on(database.url, ITEMS, batch_size=1000) as location:
        batch = whole(location, selection)
        if order == "backwards":
            batch = Batch("items", batch.keys[::-1], batch.versions[::-1])
        database.execute("VACUUM FULL items")
        first = Batch("items", batch.keys[:100], batch.versions[:100])
        done = "anonymised" if fields else "purged"
        with monkeypatch.context() as swift:
            if fields or (order == "as found" and batch.keys[0] == ("2",)):
                is_swift(swift)  # other batches are looked up where they lay
            assert set(words(act(location, selection, action, batch=first)).values()) == {done}
        rest = Batch("items", batch.keys[100:], batch.versions[100:])
        touched = [key for (key,) in rest.keys[3:6]]
        database.execute("UPDATE items SET note = 'new' WHERE id::text = ANY(%s)", (touched,))
        found = words(act(location, selection, action, batch=rest))
    assert {key for key, word in found.items() if word == "changed"} == set(touched)
    assert {word for key, word in found.items() if key not in touched} == {done}


def test_a_row_with_the_version_of_another_is_changed(numbered):
    """Two rows were written by two transactions; then each by the other's: none of the versions is new."""
    with opened_on(numbered.url, ITEMS, batch_size=1000) as location:
        selection = due("items", fields=CLEAR)
        batch = whole(location, selection)
        numbered.execute("UPDATE items SET note = 'new' WHERE id = 10")
        versions = list(batch.versions)
        new = whole(location, due("items", fields=CLEAR, keys=(("10",),))).records[0].version
        versions[batch.keys.index(("20",))] = new
        found = words(act(location, selection, Action.ANONYMISE, batch=Batch("items", batch.keys, versions)))
    assert {key for key, word in found.items() if word == "changed"} == {"10", "20"}


def test_what_is_no_longer_selected_stays(numbered):
    """The date was read when it was planned; the days of a closer cut-off are read once more in the act."""
    with opened_on(numbered.url, ITEMS, batch_size=1000) as location:
        batch = whole(location, due("items"))
        closer = due("items", day=date(2020, 2, 2))
        found = words(act(location, closer, batch=batch))
    assert set(found.values()) == {"purged", "changed"}
    assert left(numbered) >= {key for key, word in found.items() if word == "changed"}
    assert not numbered.execute("SELECT 1 FROM items WHERE created < '2020-01-31'")


def test_beside_a_rule_the_careful_way_is_gone(numbered):
    numbered.execute(
        "CREATE TABLE log (id bigint); CREATE RULE told AS ON DELETE TO items DO ALSO INSERT INTO log VALUES (old.id)"
    )
    with opened_on(numbered.url, ITEMS, batch_size=1000) as location:
        batch = whole(location, due("items"))
        assert set(words(act(location, due("items"), batch=batch)).values()) == {"purged"}
    assert numbered.execute("SELECT count(*) FROM log")[0][0] >= len(batch)


@pytest.mark.parametrize("key", ["01", "-0", "+1", "x", "", "1,2", "9" * 19, "9" * 40, "\ud800", "１"])
def test_a_key_that_no_record_can_have_is_not_there(numbered, key):
    with opened_on(numbered.url, ITEMS) as location:
        assert location.remaining(due("items"), Batch("items", [("7",), (key,)])) == {("7",)}


def test_numbers_far_apart_and_beyond_the_column_are_read_back(postgres):
    with postgres.create() as made:
        fill(made, "smallint")
        with opened_on(made.url, ITEMS) as location:
            keys = [("300",), ("-32768",), ("1",), ("32768",), ("2147483648",)]
            assert location.remaining(due("items"), Batch("items", keys)) == {("300",), ("1",)}
            assert location.remaining(due("items"), Batch("items", keys[:3])) == {("300",), ("1",)}


def test_nothing_is_open_while_the_caller_has_a_batch_in_hand_and_the_connection_lives_on(numbered):
    question = (
        "SELECT state FROM pg_stat_activity WHERE application_name = 'ropa' AND datname = current_database()"
        " AND state LIKE 'idle in transaction%'"
    )
    with opened_on(numbered.url, ITEMS, batch_size=5) as location:
        for _ in range(3):
            found = location.find(due("items"))
            batch = next(found)
            assert len(batch) == 5
            found.close()
        assert not numbered.execute(question)
        assert len(whole(location, due("items"))) == 298


def test_what_goes_wrong_at_the_next_page_is_told(numbered, monkeypatch):
    real, calls = Pages.found, []

    def found(self, connection, statement):
        calls.append(self)
        if calls.count(self) == 3:
            raise LocationError("gone", code="gone")
        return real(self, connection, statement)

    monkeypatch.setattr(Pages, "found", found)
    with opened_on(numbered.url, ITEMS, batch_size=5) as location:
        batches = location.find(due("items"))
        assert len(next(batches)) + len(next(batches)) == 10
        with pytest.raises(LocationError, match="gone"):
            list(batches)


def test_a_page_is_one_row(numbered):
    fetched = []

    def count(_connection, cursor, statement, *_):
        if "string_agg" in statement:
            fetched.append(cursor.rowcount)

    with opened_on(numbered.url, ITEMS, batch_size=1000) as location:
        event.listen(location._backend._reads, "after_cursor_execute", count)
        assert len(whole(location, due("items"))) == 298
    assert set(fetched) == {1}


def test_a_server_that_compares_long_lists_slowly_is_asked_row_by_row(numbered, monkeypatch):
    with opened_on(numbered.url, ITEMS, batch_size=1000) as location:
        location._backend._version = 130_012
        monkeypatch.setattr(Pages, "found", None)
        batch = whole(location, due("items"))
        assert set(words(act(location, due("items"), batch=batch)).values()) == {"purged"}
        assert location.remaining(due("items"), batch) == set()


def test_two_writers_at_once_lose_nothing(numbered):
    """A row that another session changes while the batch is under way is waited for, and then stays."""
    server = numbered.server
    with opened_on(numbered.url, ITEMS, batch_size=1000, lock_timeout=0.3) as location:
        batch = whole(location, due("items", fields=CLEAR))
        with psycopg.connect(host="127.0.0.1", port=server.port, user="postgres", dbname=numbered.name) as other:
            other.execute("UPDATE items SET note = 'mine' WHERE id = 50")
            found = act(location, due("items", fields=CLEAR), Action.ANONYMISE, batch=batch)
            other.commit()
    assert {(word, code) for _, word, code in found} == {("failed", "busy")}
    assert numbered.execute("SELECT count(*) FROM items WHERE body IS NULL") == [(0,)]


# --- packed dates -----------------------------------------------------------------------------------------------------

MICROSECONDS = [(moment.replace(tzinfo=None) - EPOCH) // timedelta(microseconds=1) for moment in ODD]
moments = st.lists(
    st.sampled_from(MICROSECONDS)
    | st.integers(-(2**63), 2**63 - 1)
    | st.integers(0, 10**15)
    | st.tuples(st.sampled_from(MICROSECONDS), st.integers(-(10**11), 10**11)).map(sum),
    min_size=1,
    max_size=30,
)


def read(micros, zone, dating):
    try:
        naive = EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        return number_of("no date", dating)
    return number_of(naive if zone else naive.replace(tzinfo=UTC), dating)


@given(values=moments, local=st.sampled_from(ZONES), zone=st.sampled_from([None, *ZONES]), has_none=st.booleans())
def test_packed_moments_are_read_as_the_clock_reads_each(values, local, zone, has_none):
    dating = Dating(zone or ZONES[0], None, local, NOW)
    kind = Kind.INSTANT if zone is None else Kind.NAIVE
    packed = packed_of(PostgresColumn("a", "", kind, is_nullable=True), dating)
    expected = [read(value, zone, dating) for value in values] + [NO_DATE] * has_none
    values = [*values, *[-(2**63) + 1] * has_none]
    raw = b"".join(value.to_bytes(8, "big", signed=True) for value in values)
    expected = [NO_DATE if value == -(2**63) + 1 else n for value, n in zip(values, expected, strict=True)]
    assert packed.numbers(raw) == expected
    judges(packed.extremes(raw), expected)


@example(values=[0, -(2**31) + 1, -(2**31)])
@given(values=st.lists(st.integers(-(2**31), 2**31 - 1) | st.integers(0, 10_000), min_size=1, max_size=30))
def test_packed_days_are_read_as_the_clock_reads_each(values):
    dating = Dating(ZONES[0], None, ZONES[0], NOW)
    packed = packed_of(PostgresColumn("a", "", Kind.DATE, is_nullable=True), dating)
    expected = []
    for value in values:
        try:
            expected.append(number_of(date(2000, 1, 1) + timedelta(days=value), dating))
        except OverflowError:
            expected.append(NO_DATE if value == -(2**31) + 1 else number_of("no date", dating))
    raw = b"".join(value.to_bytes(4, "big", signed=True) for value in values)
    assert packed.numbers(raw) == expected
    judges(packed.extremes(raw), expected)


def judges(extremes, numbers):
    """By the extremes every cut-off is judged as by all of the numbers."""
    assert set(extremes) <= set(numbers)
    for last in {n + d for n in numbers for d in (-1, 0, 1)}:
        assert all(NO_DATE < n < last for n in extremes) == all(NO_DATE < n < last for n in numbers)


def test_other_columns_do_not_come_packed():
    dating = Dating(ZONES[0], None, ZONES[0], NOW)
    for kind in (Kind.TEXT, Kind.NUMBER, Kind.BYTES, Kind.OTHER):
        assert packed_of(PostgresColumn("a", "", kind, is_nullable=True), dating) is None
