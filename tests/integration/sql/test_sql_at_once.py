"""Processes of a fleet purge batches of one table at the same time: each record goes once, and no batch fails."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Barrier

import pytest
from mariadb_bed import opened as opened_on_mariadb
from postgres_bed import opened_on as opened_on_postgres
from sql_bed import dataset, due, opened
from sql_bed import make as make_sqlite

from ropa.connector import Action

ROWS, SIZE, AT_ONCE = 480, 20, 4
TABLES = (
    "CREATE TABLE owner (id INT PRIMARY KEY)",
    "CREATE TABLE items (id INT PRIMARY KEY, created DATE, owner INT REFERENCES owner (id), body VARCHAR(20))",
    "CREATE INDEX by_date ON items (created)",
    "CREATE INDEX by_owner ON items (owner)",
    "INSERT INTO owner VALUES (0), (1), (2)",
)
ITEMS = dataset("items")


@pytest.fixture(params=["postgres", "mariadb"])
def table(request):
    """A table with indexes in which neighbours of one batch are neighbours of another."""
    server = request.getfixturevalue(request.param)
    with server.create() as database:
        for statement in TABLES:
            database.execute(statement)
        rows = ", ".join(f"({n}, '2020-01-{n % 28 + 1:02}', {n % 3}, 'b')" for n in range(ROWS))
        database.execute(f"INSERT INTO items VALUES {rows}")
        yield database


def opened_on(database, **options):
    if database.server.name == "postgresql":
        return opened_on_postgres(database.url, ITEMS, batch_size=SIZE, **options)
    return opened_on_mariadb(database, ITEMS, batch_size=SIZE, **options)


def acted(places, work):
    """Let each place carry out its batches, all at once; return how often each record had which outcome."""
    door, found = Barrier(len(places)), Counter()

    def act(place, batches):
        door.wait()
        return [place.act(due("items"), batch, Action.PURGE) for batch in batches]

    with ThreadPoolExecutor(len(places)) as pool:
        for told in pool.map(act, places, work):
            for outcomes in told:
                found.update((one.key, str(one.word)) for one in outcomes)
    return found


def test_neighbouring_batches_that_go_at_once_all_go(table):
    with ExitStack() as stack:
        places = [stack.enter_context(opened_on(table)) for _ in range(AT_ONCE)]
        assert places[0].capabilities.batches_at_once == AT_ONCE
        batches = list(places[0].find(due("items")))
        found = acted(places, [batches[n::AT_ONCE] for n in range(AT_ONCE)])
    assert Counter(word for _, word in found) == {"purged": ROWS}
    assert set(found.values()) == {1}
    assert table.execute("SELECT count(*) FROM items") == [(0,)]


def test_the_same_batch_given_to_several_is_purged_by_one_of_them(table):
    with ExitStack() as stack:
        places = [stack.enter_context(opened_on(table)) for _ in range(AT_ONCE)]
        batches = list(places[0].find(due("items")))
        turned = [[*batches[6 * n :], *batches[: 6 * n]] for n in range(AT_ONCE)]
        found = acted(places, turned)
    words = Counter()
    for (_, word), times in found.items():
        words[word] += times
    assert words == {"purged": ROWS, "absent": (AT_ONCE - 1) * ROWS}
    assert table.execute("SELECT count(*) FROM items") == [(0,)]


@pytest.mark.parametrize("option", ["max_rows_per_second", "max_replica_lag"])
def test_a_place_whose_pace_is_limited_takes_one_batch_at_a_time(table, option):
    with opened_on(table, **{option: 1000}) as place:
        assert place.capabilities.batches_at_once == 1


def test_a_sqlite_file_takes_one_batch_at_a_time(tmp_path):
    made = make_sqlite(tmp_path / "crm.sqlite", "CREATE TABLE items (id INTEGER PRIMARY KEY, created TEXT)")
    with opened(made, ITEMS) as place:
        assert place.capabilities.batches_at_once == 1
