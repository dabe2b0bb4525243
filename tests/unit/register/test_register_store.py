"""The tables are the register, every change is a revision, and nobody overwrites somebody else's change."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from register_builders import registers, sound
from sqlalchemy import inspect, text

from ropa.database import migrate
from ropa.errors import BusyError, CheckError, RegisterError
from ropa.register import Dated, Register, RegisterStore, add, digest, edit, from_toml
from ropa.register.specs import LISTS, SCALARS, specs

AT = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


@pytest.fixture
def engine(tmp_path, run_state):
    return run_state.project(tmp_path)


@pytest.fixture
def store(engine):
    return RegisterStore(engine)


def save(store, register, **more):
    return store.save(register, **({"by": "an", "reason": "because", "at": AT} | more))


def test_a_new_database_holds_revision_0_and_an_empty_register(store):
    assert store.current() == (0, Register())
    assert store.at(0) == Register()
    assert store.history() == []


def test_what_is_saved_is_what_the_tables_and_the_snapshot_say(store):
    assert save(store, sound()) == 1
    assert store.current() == (1, sound())
    assert store.at(1) == sound()


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(register=registers)
def test_any_register_comes_back_from_the_tables_as_from_the_snapshot(store, register):
    number = save(store, register)
    found, current = store.current()
    assert found == number
    assert current == register
    if number:
        assert store.at(number) == register
        assert digest(store.at(number)) == store.history()[-1].digest


def test_a_save_keeps_the_order_of_the_entries(store):
    register = from_toml('[activity.z]\ntitle = "Z"\ndata = ["name", "cv", "email"]\n[activity.a]\ntitle = "A"\n')
    save(store, register)
    _, current = store.current()
    assert list(current.activities) == ["z", "a"]
    assert list(current.activities["z"].data) == ["name", "cv", "email"]


def test_a_save_without_a_change_makes_no_revision(store):
    save(store, sound())
    assert save(store, sound(), reason="again") == 1
    assert [revision.reason for revision in store.history()] == ["because"]
    assert save(store, edit(sound(), "activity.intake", {"owner": "B"})) == 2


def test_history_says_who_when_and_why(store):
    save(store, sound(), by="an", reason="first import")
    save(
        store, edit(sound(), "activity.intake", {"owner": "B"}), by="bo", reason="new owner", at=AT + timedelta(days=1)
    )
    first, second = store.history()
    assert (first.number, first.at, first.by, first.reason) == (1, AT, "an", "first import")
    assert (second.number, second.at, second.by, second.reason) == (2, AT + timedelta(days=1), "bo", "new owner")
    assert first.digest == digest(sound())
    assert second.at.tzinfo is not None


def test_an_activity_is_dated_by_when_it_came_and_when_it_changed_last(store):
    zone = ZoneInfo("Europe/Brussels")
    late = datetime(2026, 11, 21, 23, 30, tzinfo=UTC)  # the 22nd in Brussels
    other = add(sound(), "activity.other", {"title": "Ander"})
    save(store, sound(), at=late)
    save(store, other, at=late + timedelta(days=1))
    save(store, edit(other, "activity.intake", {"owner": "B"}), at=late + timedelta(days=2))
    save(store, sound(), at=late + timedelta(days=3))
    save(store, other, at=late + timedelta(days=4))
    days = [date(2026, 11, 22) + timedelta(days=n) for n in range(5)]
    assert store.dated(2, zone) == {"intake": Dated(days[0], days[0]), "other": Dated(days[1], days[1])}
    assert store.dated(5, zone) == {"intake": Dated(days[0], days[3]), "other": Dated(days[4], days[4])}
    assert store.dated(0, zone) == {}


def test_diff_compares_two_revisions_and_an_older_one_stays_readable(store):
    save(store, sound())
    save(store, edit(sound(), "activity.intake", {"owner": "B"}))
    assert [(c.path, c.before, c.after) for c in store.diff(1, 2)] == [("activity.intake.owner", "Zaakvoerder", "B")]
    assert store.at(1) == sound()
    assert store.diff(0, 1)


def test_a_revision_that_is_not_there_is_told(store):
    save(store, sound())
    with pytest.raises(CheckError, match="newest is 1"):
        store.at(7)
    with pytest.raises(CheckError):
        store.diff(1, 7)


def test_a_save_from_an_older_revision_is_refused_and_changes_nothing(store):
    save(store, sound())
    save(store, edit(sound(), "activity.intake", {"owner": "B"}), base=1)
    with pytest.raises(BusyError, match="nothing was written"):
        save(store, edit(sound(), "activity.intake", {"owner": "C"}), base=1)
    number, current = store.current()
    assert (number, current.activities["intake"].owner) == (2, "B")


def test_of_two_savers_at_once_the_second_stops(store, engine, monkeypatch):
    save(store, sound())
    # The second saver has looked at the newest revision before the first one committed.
    monkeypatch.setattr(RegisterStore, "_newest", staticmethod(lambda _session: 0))
    with pytest.raises(BusyError):
        save(store, edit(sound(), "activity.intake", {"owner": "C"}))
    monkeypatch.undo()
    assert store.current() == (1, sound())


def test_two_real_savers_at_once_make_one_revision_and_one_refusal(store, monkeypatch):
    save(store, sound())
    both_have_looked = threading.Barrier(2)
    newest = RegisterStore._newest

    def look_and_wait(session):
        found = newest(session)
        both_have_looked.wait(timeout=20)
        return found

    monkeypatch.setattr(RegisterStore, "_newest", staticmethod(look_and_wait))

    def attempt(owner):
        try:
            return save(store, edit(sound(), "activity.intake", {"owner": owner}))
        except BusyError:
            return "refused"

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(attempt, ["B", "C"]))
    monkeypatch.undo()
    assert sorted(map(str, outcomes)) == ["2", "refused"]
    number, current = store.current()
    assert number == 2
    assert current.activities["intake"].owner == "BC"[outcomes.index(2)]


def test_what_is_read_is_of_one_moment_even_while_somebody_saves(store, monkeypatch):
    from ropa.register import rows

    save(store, sound())
    read = rows.from_rows
    other = RegisterStore(store._engine)

    def save_meanwhile(session):
        monkeypatch.undo()
        save(other, edit(sound(), "activity.intake", {"owner": "B"}))
        return read(session)

    monkeypatch.setattr(rows, "from_rows", save_meanwhile)
    assert store.current() == (1, sound())
    assert store.current()[0] == 2


def test_a_save_that_fails_half_way_leaves_rows_and_history_as_they_were(store, monkeypatch):
    from ropa.register import rows

    save(store, sound())
    whole = rows.to_rows

    def broken(register):
        return [*whole(register)[:3], *whole(register)[:1]]

    monkeypatch.setattr(rows, "to_rows", broken)
    with pytest.raises(Exception):  # noqa: B017 - whatever it is, nothing may stay behind
        save(store, edit(sound(), "activity.intake", {"owner": "B"}))
    monkeypatch.undo()
    assert store.current() == (1, sound())
    assert len(store.history()) == 1


@pytest.mark.parametrize("missing", ["by", "reason"])
def test_a_change_says_who_and_why(store, missing):
    with pytest.raises(RegisterError):
        save(store, sound(), **{missing: "  "})
    assert store.history() == []


def test_a_register_that_could_not_be_read_back_is_not_saved(store):
    from dataclasses import replace

    bad = replace(sound(), organisation=replace(sound().organisation, name="bell \x07"))
    with pytest.raises(RegisterError):
        save(store, bad)
    assert store.current() == (0, Register())


def test_what_is_taken_out_leaves_no_row_behind(store, engine):
    save(store, add(sound(), "recipient.bank", {"name": "Bank", "systems": ["Isabel"]}))
    save(store, Register(organisation=sound().organisation))
    with engine.connect() as connection:
        for table in ("recipient", "recipient_system", "activity", "activity_data", "activity_purpose"):
            assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar() == 0


def test_a_strangers_sql_reads_the_register(store, engine):
    save(store, sound())
    with engine.connect() as connection:
        found = connection.execute(
            text(
                "SELECT a.title, a.legal_basis, d.category, p.value FROM activity a JOIN activity_data d ON d.owner = a.key"
                " JOIN activity_purpose p ON p.owner = a.key ORDER BY d.position"
            )
        ).all()
        snapshot = connection.execute(text("SELECT snapshot FROM register_revision")).scalar()
    assert [tuple(row) for row in found] == [
        ("Aanvragen", "6.1.b", "name", "Offerte voorbereiden"),
        ("Aanvragen", "6.1.b", "email", "Offerte voorbereiden"),
    ]
    assert json.loads(snapshot)["activity"]["intake"]["title"] == "Aanvragen"


def test_every_field_of_the_models_has_its_column_or_table():
    from ropa.register import models, rows, tables

    scalar_tables = {
        models.Organisation: tables.OrganisationRow,
        models.Policy: tables.PolicyRow,
        models.Contact: tables.ContactRow,
        models.Recipient: tables.RecipientRow,
        models.Transfer: tables.TransferRow,
        models.Cookie: tables.CookieRow,
        models.OwnCategory: tables.CategoryRow,
        models.Activity: tables.ActivityRow,
        models.DataUse: tables.ActivityData,
    }
    for kind, table in scalar_tables.items():
        columns = {column.name for column in inspect(table).columns}
        for name, spec in specs(kind).values():
            if spec.kind in SCALARS:
                assert name in columns, f"{kind.__name__}.{name}"
            elif spec.kind in LISTS:
                assert (kind, name) in rows.LISTS, f"{kind.__name__}.{name}"
        extra = columns - {field.name for field in fields(kind)}
        assert extra <= {"key", "position", "owner", "role", "category"}, table
    assert {column.name for column in inspect(tables.ActivityController).columns} >= {
        field.name for field in fields(models.Contact)
    }


def test_the_migrated_schema_is_that_of_the_models(engine):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from ropa.register.tables import METADATA

    def is_ours(thing, name, kind, _reflected, _compare):
        return kind != "table" or name in METADATA.tables

    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "include_object": is_ours, "target_metadata": METADATA}
        )
        assert compare_metadata(context, METADATA) == []


def test_migrations_can_be_repeated_and_taken_back(engine):
    from pathlib import Path

    from alembic import command
    from alembic.config import Config

    import ropa

    migrate(engine)
    config = Config()
    config.set_main_option("script_location", str(Path(ropa.__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert set(inspect(engine).get_table_names()) <= {"alembic_version"}
    migrate(engine)
    assert "activity" in inspect(engine).get_table_names()


def test_the_newest_schema_is_the_newest_migration():
    from pathlib import Path

    from alembic.script import ScriptDirectory

    import ropa
    from ropa.database import NEWEST

    assert ScriptDirectory(Path(ropa.__file__).parent / "migrations").get_heads() == [NEWEST]


def test_a_database_that_is_up_to_date_is_used_without_loading_what_migrates_it(engine):
    import subprocess
    import sys

    url = engine.url.render_as_string(hide_password=False)
    code = "import sys; from ropa.database import migrate, open_database; migrate(open_database(sys.argv[1]))"
    code += "; print([name for name in sys.modules if name.startswith('alembic')])"
    done = subprocess.run([sys.executable, "-c", code, url], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_activities_are_read_with_the_revision_they_belong_to(store):
    assert store.activities() == (0, frozenset())
    save(store, sound())
    assert store.activities() == (1, frozenset(sound().activities))


def test_reading_texts_needs_neither_sqlmodel_nor_tomlkit():
    import subprocess
    import sys

    code = "import sys, ropa.register, ropa.vocabulary; print([m for m in ('sqlmodel', 'sqlalchemy', 'tomlkit') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
