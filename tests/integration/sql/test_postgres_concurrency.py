"""Other sessions write while records are found and purged: what changed stays, nothing is half done, nothing is lost."""

import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import pytest
from postgres_bed import opened_on
from sql_bed import BEDS, ZONE, act, dataset, due, every, undated, whole, words

from connectors.sql import acting
from ropa.connector import Action, Anchor, AnchorPart, Batch, DatasetSpec, OutcomeWord, Parent, WithdrawnError

ITEMS = dataset("items", data={"name": ("body",)})
LINES = dataset("lines", parent=Parent("items", ("item",)))


@pytest.fixture
def database(postgres):
    with postgres.create() as made:
        made.execute(
            "CREATE TABLE items (id bigint PRIMARY KEY, created timestamptz, body text);"
            "CREATE TABLE lines (id bigint PRIMARY KEY, created timestamptz, item bigint REFERENCES items);"
            "CREATE INDEX ON lines (item);"
            "INSERT INTO items SELECT g, timestamptz '2020-01-01' + g * interval '1 day', 'b' FROM generate_series(1, 8) g"
        )
        yield made


@contextmanager
def session(database):
    """Another session, in a transaction."""
    server = database.server
    with psycopg.connect(host="127.0.0.1", port=server.port, user="postgres", dbname=database.name) as other:
        yield other
        other.rollback()


def ids(database, table="items"):
    return [row[0] for row in database.execute(f"SELECT id FROM {table} ORDER BY id")]


@pytest.mark.parametrize("with_lines", [False, True], ids=["alone", "referred to"])
def test_what_changed_after_it_was_planned_stays(database, with_lines):
    datasets = [ITEMS, LINES] if with_lines else [ITEMS]
    if not with_lines:
        database.execute("DROP TABLE lines")
    with opened_on(database.url, *datasets, batch_size=100) as location:
        batch = whole(location, due("items"))
        database.execute("UPDATE items SET body = body WHERE id = 2; DELETE FROM items WHERE id = 3")
        database.execute("UPDATE items SET created = '2026-11-01' WHERE id = 4")
        database.execute("INSERT INTO items VALUES (9, '2020-01-01', 'new')")
        database.execute("VACUUM FULL items")
        found = words(act(location, due("items"), batch=batch))
    assert found == {str(n): "purged" for n in (1, 5, 6, 7, 8)} | {"2": "changed", "3": "absent", "4": "changed"}
    assert ids(database) == [2, 4, 9]


@pytest.mark.parametrize("with_lines", [False, True], ids=["alone", "referred to"])
@pytest.mark.parametrize("ends", ["commit", "rollback"])
def test_a_row_that_another_session_changes_meanwhile_is_waited_for_and_judged_anew(database, ends, with_lines):
    if not with_lines:
        database.execute("DROP TABLE lines")
    datasets = [ITEMS, LINES] if with_lines else [ITEMS]
    with opened_on(database.url, *datasets, batch_size=100) as location, session(database) as other:
        batch = whole(location, due("items"))
        other.execute("UPDATE items SET body = 'mine' WHERE id = 2")
        other.execute("DELETE FROM items WHERE id = 3")
        ending = threading.Timer(0.5, getattr(other, ends))
        ending.start()
        found = words(act(location, due("items"), batch=batch))
        ending.join()
    if ends == "commit":
        assert (found["2"], found["3"]) == ("changed", "absent")
        assert ids(database) == [2]
    else:
        assert set(found.values()) == {"purged"}
        assert ids(database) == []


@pytest.mark.parametrize("locked", [1, 8])
def test_a_date_in_another_table_that_changes_while_a_row_is_waited_for_is_seen(database, locked):
    """A statement reads what it does not lock as it was when it began, however long it waits."""
    database.execute("INSERT INTO lines SELECT id, created, id FROM items")
    anchors = anchored("last", ("created",), ("created", "items"))
    lines = DatasetSpec("lines", "lines", ZONE, anchors=anchors, parent=Parent("items", ("item",)))
    with opened_on(database.url, ITEMS, lines, batch_size=100) as location, session(database) as other:
        selection = due("lines", "last")
        batch = whole(location, selection)
        other.execute("SELECT 1 FROM lines WHERE id = %s FOR UPDATE", [locked])

        def end():
            _await_a_wait(database)
            database.execute("UPDATE items SET created = '2026-11-01' WHERE id = 3")
            other.rollback()

        ending = threading.Thread(target=end)
        ending.start()
        told = words(act(location, selection, batch=batch))
        ending.join()
    assert told == {str(n): "changed" if n == 3 else "purged" for n in range(1, 9)}
    assert ids(database, "lines") == [3]


def _await_a_wait(database):
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    ends_at = time.monotonic() + 20
    while database.execute(waits)[0][0] == 0 and time.monotonic() < ends_at:
        time.sleep(0.02)


def test_what_is_withdrawn_while_a_row_is_waited_for_is_undone(database):
    asked = []

    def guard():
        asked.append(ids(database))
        raise WithdrawnError

    with opened_on(database.url, ITEMS, LINES, batch_size=100) as location:
        selection = replace(due("items"), guard=guard)
        with pytest.raises(WithdrawnError):
            act(location, selection, batch=whole(location, selection))
    assert asked == [[1, 2, 3, 4, 5, 6, 7, 8]]
    assert ids(database) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_of_a_batch_that_goes_in_parts_what_is_withdrawn_later_is_told_as_failed(database):
    """What lasts already cannot be undone; the rest is left alone, and nobody is told otherwise."""
    database.execute(
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN IF OLD.id = 8 THEN RAISE 'kept'; END IF; RETURN OLD; END $$;"
        "CREATE TRIGGER kept BEFORE DELETE ON items FOR EACH ROW EXECUTE FUNCTION keep()"
    )

    def guard():
        if len(ids(database)) < 8:
            raise WithdrawnError

    with opened_on(database.url, ITEMS, batch_size=100) as location:
        selection = replace(due("items"), guard=guard)
        told = act(location, selection, batch=whole(location, selection))
    gone = ["1", "2", "3", "4"]
    assert [key for key, word, _ in told if word == "purged"] == gone
    assert {(word, code) for key, word, code in told if key not in [*gone, "8"]} == {("failed", "withdrawn")}
    assert ids(database) == [5, 6, 7, 8]


def test_a_row_that_stays_locked_fails_after_a_bounded_time_and_nothing_goes(database):
    with (
        opened_on(database.url, ITEMS, LINES, batch_size=100, lock_timeout=0.2) as location,
        session(database) as other,
    ):
        batch = whole(location, due("items"))
        other.execute("SELECT * FROM items WHERE id = 5 FOR UPDATE")
        started = time.monotonic()
        found = act(location, due("items"), batch=batch)
        assert time.monotonic() - started < 30
        assert {(word, code) for _, word, code in found} == {(OutcomeWord.FAILED, "busy")}
        other.rollback()
        assert ids(database) == [1, 2, 3, 4, 5, 6, 7, 8]
        assert set(words(act(location, due("items"), batch=batch)).values()) == {"purged"}


def test_a_lock_on_the_whole_table_does_not_stop_the_night_for_ever(database):
    with (
        opened_on(database.url, ITEMS, LINES, batch_size=100, lock_timeout=0.2) as location,
        session(database) as other,
    ):
        batch = whole(location, due("items"))
        other.execute("LOCK TABLE items IN SHARE MODE")
        assert {code for _, _, code in act(location, due("items"), batch=batch)} == {"busy"}
    assert len(ids(database)) == 8


def test_a_deadlock_is_tried_again(database, monkeypatch):
    database.execute("DROP TABLE lines")
    monkeypatch.setattr(acting, "_PAUSE_SECONDS", 0.01, raising=False)
    with opened_on(database.url, ITEMS, batch_size=100) as location, session(database) as other:
        batch = whole(location, due("items"))
        other.execute("SET deadlock_timeout = '10s'")  # it is ours that is to be the victim
        other.execute("SELECT * FROM items WHERE id = 8 FOR UPDATE")
        failures = []

        def cross():
            try:
                time.sleep(0.4)
                other.execute("SELECT * FROM items WHERE id = 1 FOR UPDATE")
                other.rollback()
            except psycopg.Error as error:
                failures.append(error)

        crossing = threading.Thread(target=cross)
        crossing.start()
        found = words(act(location, due("items"), batch=batch))
        crossing.join()
        assert failures == []
    assert set(found.values()) == {"purged"}
    assert ids(database) == []


def test_a_reference_that_appears_after_planning_blocks_its_record(database):
    with opened_on(database.url, ITEMS, LINES, batch_size=100) as location:
        batch = whole(location, due("items"))
        database.execute("INSERT INTO lines VALUES (1, now(), 6)")
        found = words(act(location, due("items"), batch=batch))
    assert found == {str(n): "blocked" if n == 6 else "purged" for n in range(1, 9)}
    assert (ids(database), ids(database, "lines")) == ([6], [1])


def test_a_reference_that_is_being_written_is_waited_for(database):
    with opened_on(database.url, ITEMS, LINES, batch_size=100) as location, session(database) as other:
        batch = whole(location, due("items"))
        other.execute("INSERT INTO lines VALUES (1, now(), 6)")  # holds its item by KEY SHARE
        ending = threading.Timer(0.5, other.commit)
        ending.start()
        found = words(act(location, due("items"), batch=batch))
        ending.join()
    assert found["6"] in {"blocked", "failed"}
    assert {word for key, word in found.items() if key != "6"} == {"purged"}
    assert (ids(database), ids(database, "lines")) == ([6], [1])


def test_two_that_purge_the_same_batch_purge_each_record_once(database):
    database.execute("INSERT INTO items SELECT g, '2020-01-01', 'x' FROM generate_series(100, 2000) g")
    outcomes = []
    with opened_on(database.url, ITEMS, LINES, batch_size=5000) as one, opened_on(database.url, ITEMS, LINES) as two:
        batch = whole(one, due("items"))
        threads = [
            threading.Thread(target=lambda place=place: outcomes.append(act(place, due("items"), batch=batch)))
            for place in (one, two)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    first, second = (words(each) for each in outcomes)
    for key in first:
        assert sorted((first[key], second[key])) == ["absent", "purged"]
    assert ids(database) == []


def test_the_schema_may_change_between_planning_and_acting_but_not_unnoticed(database):
    with opened_on(database.url, ITEMS, batch_size=100) as location:
        batch = whole(location, due("items"))
        database.execute("ALTER TABLE lines DROP CONSTRAINT lines_item_fkey")
        database.execute("ALTER TABLE lines ADD FOREIGN KEY (item) REFERENCES items ON DELETE CASCADE")
        database.execute("INSERT INTO lines VALUES (1, now(), 6)")
        found = words(act(location, due("items"), batch=batch))
    assert found["6"] == "blocked"
    assert ids(database, "lines") == [1]


@pytest.mark.parametrize("action", ["CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT", "NO ACTION"])
def test_what_would_reach_rows_that_are_not_declared_blocks(database, action):
    database.execute(
        "ALTER TABLE lines DROP CONSTRAINT lines_item_fkey;"
        f"ALTER TABLE lines ADD FOREIGN KEY (item) REFERENCES items ON DELETE {action};"
        "INSERT INTO lines VALUES (1, '2020-01-01', 2), (2, '2020-01-01', 2), (3, NULL, NULL)"
    )
    before = database.dump("lines")
    with opened_on(database.url, ITEMS) as location:
        referring = {r.key: r.referred_by for batch in location.find(due("items")) for r in batch.records}
        assert [(r.source, r.is_declared, r.count) for r in referring["2",]] == [("lines", False, 2)]
        found = words(act(location, due("items")))
    assert found == {str(n): "blocked" if n == 2 else "purged" for n in range(1, 9)}
    assert ids(database) == [2]
    assert database.dump("lines") == before


def test_a_trigger_that_keeps_a_row_is_not_taken_for_a_purge(database):
    database.execute(
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN IF OLD.id = 4 THEN RETURN NULL; END IF; RETURN OLD; END $$;"
        "CREATE TRIGGER keeps BEFORE DELETE ON items FOR EACH ROW EXECUTE FUNCTION keep();"
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;"
        "CREATE TRIGGER refuses BEFORE DELETE ON items FOR EACH ROW WHEN (OLD.id = 6) EXECUTE FUNCTION refuse()"
    )
    with opened_on(database.url, ITEMS) as location:
        found = {key: (word.value, code) for key, word, code in act(location, due("items"))}
    assert {key for key, (word, _) in found.items() if word == "failed"} == {"4", "6"}
    assert found["6"] == ("failed", "trigger")
    assert ids(database) == [4, 6]


# --- schemas of others ----------------------------------------------------------------------------------------------


def load(postgres, name):
    path = BEDS / "databases" / f"{name}.pg.sql"
    if not path.exists():
        pytest.skip(f"beds absent: {path}")
    database = postgres.create()
    database.load(path)
    return database


def anchored(name, *parts):
    return {name: Anchor(name, tuple(AnchorPart(*part) for part in parts))}


def test_pagila_customers_go_by_their_last_payment_over_all_partitions(postgres):
    with load(postgres, "pagila") as database:
        payments = DatasetSpec("payments", "payment", ZONE, anchors=anchored("paid", ("payment_date",)),
                               parent=Parent("customers", ("customer_id",)))  # fmt: skip
        customers = DatasetSpec("customers", "customer", ZONE, anchors=anchored("last", ("payment_date", "payments")))
        day = datetime(2022, 6, 1, tzinfo=ZONE)
        database.execute("DELETE FROM payment WHERE customer_id < 20 AND payment_date >= '2022-05-01'")
        expected = {
            str(n)
            for (n,) in database.execute(
                "SELECT customer_id FROM payment GROUP BY 1 HAVING max(payment_date) < %s ORDER BY 1", [day]
            )
        }
        assert len(expected) > 5
        paid = database.execute("SELECT count(*) FROM payment WHERE payment_date < %s", [day])[0][0]
        selection = due("customers", "last", day.date())
        with opened_on(database.url, payments, customers, batch_size=3000) as location:
            records = whole(location, selection).records
            assert {record.key[0] for record in records} == expected
            of_payments = {
                str(n): c for n, c in database.execute("SELECT customer_id, count(*) FROM payment GROUP BY 1")
            }
            for record in records:
                counted = {r.source: r.count for r in record.referred_by}
                assert counted["payments"] == of_payments[record.key[0]]
                assert "rental" in counted
            outcomes = words(act(location, selection))
            assert set(outcomes.values()) == {"blocked"}
            gone = whole(location, due("payments", "paid", day.date()))
            assert len(gone.keys) == paid
            done = location.act(due("payments", "paid", day.date()), gone, Action.PURGE)
            assert {outcome.word for outcome in done} == {OutcomeWord.PURGED}
        assert database.execute("SELECT count(*) FROM payment WHERE payment_date < %s", [day]) == [(0,)]


def test_northwind_orders_of_a_text_key_and_a_date_go_with_nothing_else(postgres):
    with load(postgres, "northwind") as database:
        before = database.dump()
        lines = DatasetSpec("lines", "order_details", ZONE, parent=Parent("orders", ("order_id",), with_parent=True))
        orders = DatasetSpec("orders", "orders", ZONE, anchors=anchored("shipped", ("shipped_date",)))
        day = datetime(1997, 6, 1, tzinfo=UTC).date()
        expected = {str(n) for (n,) in database.execute("SELECT order_id FROM orders WHERE shipped_date < %s", [day])}
        never = {str(n) for (n,) in database.execute("SELECT order_id FROM orders WHERE shipped_date IS NULL")}
        selection = due("orders", "shipped", day)
        with opened_on(database.url, lines, orders, batch_size=500) as location:
            assert {key[0] for key in keys_of(location, selection)} == expected
            assert {key[0] for key in keys_of(location, undated("orders", "shipped"))} == never
            batch = whole(location, selection)
            companions = whole(location, every("lines", parents=("orders", tuple(batch.keys))))
            refers = [
                replace(r, refers_to=tuple(x for x in r.refers_to if x.dataset == "orders")) for r in companions.records
            ]
            batch = Batch.of("orders", batch.records, (Batch.of("lines", refers),))
            done = location.act(selection, batch, Action.PURGE)
            assert {outcome.word for outcome in done} == {OutcomeWord.PURGED}
        after = database.dump()
        assert {name for name in before if before[name] != after[name]} == {"orders", "order_details"}
        assert {row[0] for row in before["orders"]} - {row[0] for row in after["orders"]} == expected
        orphans = "SELECT count(*) FROM order_details d LEFT JOIN orders o USING (order_id) WHERE o.order_id IS NULL"
        assert database.execute(orphans) == [(0,)]


def keys_of(location, selection):
    return [key for batch in location.find(selection) for key in batch.keys]
