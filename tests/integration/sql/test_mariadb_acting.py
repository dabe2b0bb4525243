"""Acting on MariaDB: references of every kind, others who write meanwhile, and what must not change."""

import threading
from contextlib import suppress
from dataclasses import replace

import pytest
from mariadb_bed import backend, opened, other, until_somebody_waits
from sql_bed import CUTOFF, act, dataset, due, found, keys, purge, undated, whole, words

from connectors.sql.backend import UnevenError
from connectors.sql.catalogue import bound
from ropa.connector import Action, AnchorPart, Condition, FieldChange, Mask, Outcomes, OutcomeWord, Parent, Selection
from ropa.errors import LocationError

OLD, NEW = "2020-01-02 10:00:00", "2026-11-01 10:00:00"
SCHEMA = """
CREATE TABLE person (id BIGINT UNSIGNED PRIMARY KEY, name VARCHAR(80), email VARCHAR(80) NOT NULL UNIQUE, created DATETIME, boss BIGINT UNSIGNED,
    FOREIGN KEY (boss) REFERENCES person (id));
CREATE TABLE `order` (id INT PRIMARY KEY, person BIGINT UNSIGNED NOT NULL, at DATETIME NOT NULL, KEY (at),
    FOREIGN KEY (person) REFERENCES person (id) ON DELETE RESTRICT);
CREATE TABLE visit (id INT PRIMARY KEY, person BIGINT UNSIGNED NOT NULL, FOREIGN KEY (person) REFERENCES person (id) ON DELETE CASCADE);
CREATE TABLE note (id INT PRIMARY KEY, person BIGINT UNSIGNED, FOREIGN KEY (person) REFERENCES person (id) ON DELETE SET NULL);
CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(80), created DATETIME, KEY (created));
"""
PEOPLE = dataset("people", "person", subject=("email",))
ORDERS = dataset("orders", "order", anchors=("at",), parent=Parent("people", ("person",), with_parent=True))
T = dataset("t", subject=("name",))


@pytest.fixture
def database(mariadb):
    with mariadb.create() as made:
        made.execute(SCHEMA)
        yield made


def person(database, number, created=OLD, boss=None):
    database.execute(
        "INSERT INTO person VALUES (%s, %s, %s, %s, %s)", (number, f"n{number}", f"{number}@x", created, boss)
    )


def rows(database, *numbers):
    for number in numbers:
        database.execute("INSERT INTO t VALUES (%s, %s, %s)", (number, f"n{number}", OLD))


def column(database, statement):
    return [row[0] for row in database.execute(statement)]


# --- references ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["`order`", "visit", "note"])
def test_what_undeclared_rows_refer_to_stays_whatever_the_action_of_the_key(database, table):
    for number in (1, 2):
        person(database, number)
    extra = ", NOW()" if "order" in table else ""
    database.execute(f"INSERT INTO {table} VALUES (7, 1{extra})")
    before = database.dump()
    with opened(database, PEOPLE) as crm:
        records = found(crm, due("people"))
        assert [[(r.source, r.is_declared, r.count) for r in record.referred_by] for record in records] == [
            [(table.strip("`"), False, 1)], [],
        ]  # fmt: skip
        assert words(act(crm, due("people"))) == {"1": "blocked", "2": "purged"}
    after = database.dump()
    assert column(database, "SELECT id FROM person") == [1]
    assert {name for name in before if before[name] != after[name]} == {"person"}


def test_children_that_go_with_their_parent_go_first_and_no_orphan_stays(database):
    for number in (1, 2, 3):
        person(database, number)
    for number, owner in ((1, 1), (2, 1), (3, 3)):
        database.execute("INSERT INTO `order` VALUES (%s, %s, %s)", (number, owner, NEW))
    database.execute("INSERT INTO note VALUES (1, 3)")
    with opened(database, PEOPLE, ORDERS) as crm:
        batch = whole(crm, due("people"))
        children = [
            whole(crm, Selection("orders", due("people").zone, due("people").now, parents=("people", batch.keys)))
        ]
        outcomes = act(crm, due("people"), batch=replace(batch, companions=tuple(children)))
    assert [word.value for _, word, _ in outcomes] == ["purged", "purged", "blocked", "purged", "purged", "blocked"]
    assert column(database, "SELECT id FROM person") == [3]
    assert column(database, "SELECT id FROM `order`") == [3]
    orphans = "SELECT COUNT(*) FROM `order` o LEFT JOIN person p ON p.id = o.person WHERE p.id IS NULL"
    assert column(database, orphans) == [0]


def test_a_hierarchy_goes_from_the_bottom_in_one_batch(database):
    for number, boss in ((1, None), (2, 1), (3, 2), (4, 1)):
        person(database, number, boss=boss)
    person(database, 5, NEW, boss=None)
    with opened(database, PEOPLE) as crm:
        assert set(words(act(crm, due("people"))).values()) == {"purged"}
    assert column(database, "SELECT id FROM person") == [5]


def test_the_last_activity_of_children_decides(database):
    for number in (1, 2, 3):
        person(database, number)
    database.execute(f"INSERT INTO `order` VALUES (1, 1, '{OLD}'), (2, 1, '{NEW}'), (3, 2, '{OLD}')")
    database.execute("SET sql_mode = ''; INSERT INTO `order` VALUES (4, 3, '0000-00-00'), (5, 3, '2019-01-01')")
    latest = {"last": [AnchorPart("created"), AnchorPart("at", dataset="orders")]}
    people = dataset("people", "person", anchors=latest)
    with opened(database, people, ORDERS) as crm:
        assert keys(crm, due("people", "last")) == [("2",)]
        assert keys(crm, undated("people", "last")) == [("3",)]


# --- others who write ---------------------------------------------------------------------------------------------


def test_what_changed_since_it_was_found_is_told_and_stays(database):
    rows(database, 1, 2, 3, 4, 5)
    with opened(database, T) as crm:
        batch = whole(crm, due("t"))
        database.execute(
            f"UPDATE t SET name = 'N1' WHERE id = 1; UPDATE t SET created = '{NEW}' WHERE id = 2; DELETE FROM t WHERE id = 3"
        )
        database.execute(f"DELETE FROM t WHERE id = 4; INSERT INTO t VALUES (4, 'x', '{OLD}')")
        told = {"1": "changed", "2": "changed", "3": "absent", "4": "changed", "5": "purged"}
        assert words(act(crm, due("t"), batch=batch)) == told
        assert words(act(crm, due("t"), batch=batch)) == told | {"5": "absent"}
    assert column(database, "SELECT id FROM t ORDER BY id") == [1, 2, 4]


def test_a_row_that_comes_in_between_is_not_taken_with_the_others(database):
    """It lies between the keys of the batch and is due, but was not planned."""
    rows(database, 1, 3, 5)
    with opened(database, T) as crm:
        batch = whole(crm, due("t"))
        rows(database, 2)
        assert set(words(act(crm, due("t"), batch=batch)).values()) == {"purged"}
    assert column(database, "SELECT id FROM t") == [2]


def test_a_row_that_somebody_keeps_locked_is_busy_and_the_rest_goes(database):
    rows(database, 1, 2, 3)
    with opened(database, T, lock_timeout=1) as crm, other(database) as session:
        batch = whole(crm, due("t"))
        session.cursor().execute("UPDATE t SET name = 'theirs' WHERE id = 2")
        outcomes = act(crm, due("t"), batch=batch)
        session.commit()
        assert words(outcomes)["2"] in {"failed", "changed"}
        assert {code for key, _, code in outcomes if key == "2"} == {"busy"}
        # What was not the locked row's own fault is tried again by the next run, or has gone already.
        assert words(act(crm, due("t"), batch=whole(crm, due("t")))) | {"2": "purged"}
    assert column(database, "SELECT COUNT(*) FROM t WHERE id <> 2") == [0]


def test_a_change_that_is_committed_while_we_wait_is_seen(database):
    rows(database, 1, 2)
    with opened(database, T, lock_timeout=20) as crm, other(database) as session:
        batch = whole(crm, due("t"))
        session.cursor().execute("UPDATE t SET name = 'theirs' WHERE id = 2")
        outcomes = []
        acting = threading.Thread(target=lambda: outcomes.extend(act(crm, due("t"), batch=batch)))
        acting.start()
        until_somebody_waits(database)
        session.commit()
        acting.join()
    assert words(outcomes) == {"1": "purged", "2": "changed"}
    assert database.execute("SELECT id, name FROM t") == [(2, "theirs")]


def test_writers_who_never_rest_lose_nothing(database):
    database.execute(f"INSERT INTO t SELECT seq, 'n', '{OLD}' FROM seq_1_to_300")
    stop = threading.Event()
    touched = set()
    operational_error = pytest.importorskip("pymysql").err.OperationalError

    def write():
        with other(database, autocommit=True) as session:
            number = 0
            while not stop.is_set():
                number = number % 300 + 7
                cursor = session.cursor()
                # After a deadlock or a wait in vain the writer's own change did not happen.
                with suppress(operational_error):
                    cursor.execute("UPDATE t SET name = %s, created = %s WHERE id = %s", (f"w{number}", NEW, number))
                    if cursor.rowcount:
                        touched.add(number)

    writer = threading.Thread(target=write)
    with opened(database, T, batch_size=50) as crm:
        batches = list(crm.find(due("t")))
        writer.start()
        outcomes = [outcome for batch in batches for outcome in crm.act(due("t"), batch, Action.PURGE)]
        stop.set()
        writer.join()
    gone = {int(o.key[0]) for o in outcomes if o.word is OutcomeWord.PURGED}
    left = set(column(database, "SELECT id FROM t"))
    assert gone | left == set(range(1, 301))
    assert not gone & left
    assert touched <= left


# --- what goes, and how -------------------------------------------------------------------------------------------


def test_zero_dates_are_never_due_and_always_told(database):
    rows(database, 1)
    database.execute(
        "SET sql_mode = ''; INSERT INTO t VALUES (2, 'x', '0000-00-00'), (3, 'x', '2020-00-00'), (4, 'x', NULL), (5, 'x', '2099-01-01')"
    )
    with opened(database, T) as crm:
        assert keys(crm, undated("t")) == [("2",), ("3",), ("4",), ("5",)]
        assert purge(crm, due("t")) == [("1",)]
    assert column(database, "SELECT id FROM t ORDER BY id") == [2, 3, 4, 5]


@pytest.mark.parametrize("size", [7, 250, 1000])
def test_exactly_the_due_rows_go_at_any_size_of_batch(database, size):
    database.execute(
        "INSERT INTO t SELECT seq * 3, IF(seq % 5, 'keep', 'x'), '2026-05-20 20:00:00' + INTERVAL (seq * 7919 % 97) * 10 MINUTE FROM seq_1_to_600"
    )
    meant = "created < '2026-05-21' AND name = 'keep'"
    expected = column(database, f"SELECT id FROM t WHERE {meant} ORDER BY id")
    others = database.execute(f"SELECT * FROM t WHERE NOT ({meant}) ORDER BY id")
    assert 100 < len(expected) < 500
    selection = due("t", day=CUTOFF, match=(Condition("name", ("keep",)),))
    with opened(database, T, batch_size=size) as crm:
        for _ in range(2):
            batches = list(crm.find(selection))
            assert [int(key[0]) for batch in batches for key in batch.keys] == expected
        for batch in batches:
            outcomes = crm.act(selection, batch, Action.PURGE)
            assert isinstance(outcomes, Outcomes)
            assert {outcome.word for outcome in outcomes} == {OutcomeWord.PURGED}
            assert crm.remaining(selection, batch) == set()
    assert database.execute("SELECT * FROM t ORDER BY id") == others


def test_fields_are_cleared_and_masked_and_a_second_run_changes_nothing(database):
    for number in (1, 2, 3):
        person(database, number)
    fields = (FieldChange("name"), FieldChange("email", Mask.RANDOM))
    with opened(database, PEOPLE) as crm:
        selection = due("people", fields=fields)
        assert set(words(act(crm, selection, Action.ANONYMISE)).values()) == {"anonymised"}
        after = database.dump()
        assert keys(crm, selection) == []
    assert database.dump() == after
    assert column(
        database, "SELECT COUNT(*) FROM person WHERE name IS NULL AND email LIKE 'anon-%'".replace("%", "%")
    ) == [3]


def test_a_trigger_that_refuses_stops_its_record_alone(database):
    rows(database, 1, 2, 3)
    database.execute(
        "CREATE TRIGGER no BEFORE DELETE ON t FOR EACH ROW IF OLD.id = 2 THEN SIGNAL SQLSTATE '45000'; END IF"
    )
    with opened(database, T) as crm:
        outcomes = act(crm, due("t"))
    assert words(outcomes) == {"1": "purged", "2": "failed", "3": "purged"}
    assert {code for key, _, code in outcomes if key == "2"} == {"trigger"}
    assert column(database, "SELECT id FROM t") == [2]


def test_names_with_quotes_and_spaces(mariadb):
    with mariadb.create() as database:
        database.execute('CREATE TABLE `a ``b "c` (`the id` INT PRIMARY KEY, `cre``ated` DATETIME, `100%` INT)')
        database.execute(f"INSERT INTO `a ``b \"c` VALUES (1, '{OLD}', 1), (2, '{NEW}', 1)")
        named = dataset("odd", 'a `b "c', anchors=("cre`ated",))
        with opened(database, named) as crm:
            selection = due("odd", "cre`ated", match=(Condition("100%", (1,)),))
            assert crm.problems("odd", selection) == []
            assert purge(crm, selection) == [("1",)]
        assert column(database, 'SELECT COUNT(*) FROM `a ``b "c`') == [1]


def test_a_batch_of_a_user_that_may_not_delete_stays(database):
    rows(database, 1)
    with opened(database, T, url=database.role("reader", "SELECT")) as crm:
        assert keys(crm, due("t")) == [("1",)]
        with pytest.raises(LocationError) as caught:
            act(crm, due("t"))
        assert caught.value.code == "denied"
    assert column(database, "SELECT id FROM t") == [1]


def test_nothing_is_deleted_where_it_could_not_be_undone(database):
    database.execute("CREATE TABLE m (id INT PRIMARY KEY, created DATETIME) ENGINE=MyISAM")
    database.execute(f"INSERT INTO m VALUES (1, '{OLD}'), (2, '{NEW}')")
    before = database.dump()
    with backend(database) as made, made.writing() as connection:
        own = made.read_catalogue(connection).tables["m"].plain()
        with pytest.raises(UnevenError), made.transaction(connection):
            made.remove(connection, own, [own.c.id == bound(1)], [own.c.id])
    assert database.dump() == before
