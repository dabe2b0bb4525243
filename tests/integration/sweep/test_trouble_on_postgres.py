"""What trouble with a PostgreSQL server means for whoever asked: the same exit codes as with an SQLite file."""

import contextlib
import threading

import pytest
from sqlalchemy import text
from state_engines import PostgresState
from sweep_kit import SIMPLE, World, contacts

from ropa.database import NewerDatabaseError, migrate, open_database
from ropa.errors import BusyError, LedgerError, LocationError, RefusedError
from ropa.sweep.lock import run_lock
from ropa.sweep.state import get_state, set_state


@pytest.fixture
def world(shelf, tmp_path):
    state = PostgresState(shelf)
    made = World(tmp_path / "world", SIMPLE, {"contacts": contacts(4)}, state=state)
    made.server = state.databases[0]
    yield made
    made.close()
    state.close()


def code_of(world, statement):
    with world.site.engine.begin() as connection:
        connection.execute(text(statement))


def raising(world, sqlstate):
    """A statement that the server ends with this state."""
    return f"DO $$ BEGIN RAISE EXCEPTION 'canary-value' USING ERRCODE = '{sqlstate}'; END $$"


@pytest.mark.parametrize(
    ("states", "kind"),
    [
        (("53100", "25006", "42501", "58030"), RefusedError),
        (("40001", "40P01", "55P03", "57014"), BusyError),
        (("42P01", "XX001"), LedgerError),
        (("57P03", "53300", "08006", "28000"), LocationError),
    ],
)
def test_each_state_of_the_server_has_its_exit_code_and_tells_no_value(world, states, kind):
    for state in states:
        with pytest.raises(kind) as caught:
            code_of(world, raising(world, state))
        assert type(caught.value) is kind
        assert "canary" not in f"{caught.value}{caught.value.next_step}"


def test_a_server_that_ends_our_session_in_mid_run_is_away_and_the_next_run_goes_on(world):
    plan = world.plan()
    world.approve(plan)
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    world.crm.after_act = lambda *_: world.server.execute(end)
    try:
        code = world.apply(plan).exit_code  # a server that is there again at once: what was begun waits
    except LocationError as error:
        code = error.exit_code
    assert code == LocationError.exit_code
    world.crm.after_act = None
    world.reopen()
    assert world.apply(plan).exit_code in {0, 3}
    assert world.ids() == [101]


def test_a_database_that_is_read_only_is_not_written_and_nothing_goes(world):
    plan = world.plan()
    world.approve(plan)
    server, name = world.server.server, world.server.name
    server.ask("postgres", f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    world.reopen()
    with pytest.raises(RefusedError):
        world.apply(plan)
    assert world.ids() == [1, 2, 3, 4, 101]
    server.ask("postgres", f"ALTER DATABASE {name} RESET default_transaction_read_only")
    world.reopen()
    assert world.apply(plan).document["outcomes"] == {"purged": 4}


def test_another_session_that_keeps_a_lock_is_not_waited_for_without_end(world):
    with world.site.engine.connect() as connection:
        assert connection.execute(text("SHOW lock_timeout")).scalar() == "10s"
    with contextlib.closing(world.server.connect()) as other, other.transaction():
        other.execute("LOCK TABLE state IN ACCESS EXCLUSIVE MODE")
        with world.site.engine.begin() as connection:
            connection.execute(text("SET LOCAL lock_timeout = '100ms'"))
            with pytest.raises(BusyError):
                connection.execute(text("SELECT * FROM state"))


def test_commits_wait_for_the_disk_whatever_the_database_says(world):
    world.server.execute(f"ALTER DATABASE {world.server.name} SET synchronous_commit = off")
    world.reopen()
    with world.site.engine.connect() as connection:
        assert connection.execute(text("SHOW synchronous_commit")).scalar() == "on"


def test_a_newer_schema_is_refused_and_left_as_it_is(world):
    world.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(NewerDatabaseError):
        migrate(world.site.engine)
    assert world.execute("SELECT version_num FROM alembic_version").scalar() == "9999"
    world.is_sound = False


def test_many_who_write_one_small_fact_at_once_all_succeed(world):
    barrier, failed = threading.Barrier(8), []

    def write(number):
        barrier.wait()
        try:
            set_state(world.site, fact=str(number), other=str(number))
        except Exception as error:  # noqa: BLE001 - whatever it is, the test tells it
            failed.append(error)

    hands = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join()
    assert failed == []
    assert get_state(world.site, "fact") == get_state(world.site, "other")


def test_two_hosts_that_make_the_tables_at_once_make_them_once(postgres):
    with postgres.create() as database:
        engines = [open_database(database.url) for _ in range(3)]
        barrier, failed = threading.Barrier(3), []

        def make(engine):
            barrier.wait()
            try:
                migrate(engine)
            except Exception as error:  # noqa: BLE001 - as above
                failed.append(error)

        hands = [threading.Thread(target=make, args=(engine,)) for engine in engines]
        for hand in hands:
            hand.start()
        for hand in hands:
            hand.join()
        for engine in engines:
            engine.dispose()
        assert failed == []


def test_a_lease_that_another_took_lets_nothing_through(world):
    with run_lock(world.site) as lease:
        world.execute("UPDATE lease SET owner = 'other', fencing = fencing + 1 WHERE name = 'run'")
        for ask in (lease.renew, lambda: lease.holding().__enter__()):
            with pytest.raises(BusyError) as caught:
                ask()
            assert caught.value.code == "lease-lost"
        with pytest.raises(BusyError):
            lease.check()
    assert world.execute("SELECT owner FROM lease WHERE name = 'run'").scalar() == "other", "not given back by us"
