"""The run database waits for the disk, but for a transaction that says by itself that it may be lost."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from ropa.database import open_database, without_waiting

NORMAL, FULL = 1, 2


@pytest.fixture
def engine(tmp_path):
    engine = open_database(f"sqlite:///{tmp_path / 'ropa.db'}")
    with Session(engine) as session, session.begin():
        session.execute(text("CREATE TABLE t (n INTEGER)"))
    yield engine
    engine.dispose()


def level(session):
    return session.scalar(text("PRAGMA synchronous"))


@pytest.mark.parametrize("is_kept", [True, False])
def test_only_the_transaction_that_says_so_does_not_wait_for_the_disk(engine, is_kept):
    with Session(engine) as session:
        assert level(session) == FULL
        without_waiting(session)
        session.execute(text("INSERT INTO t VALUES (1)"))
        assert level(session) == NORMAL
        if is_kept:
            session.commit()
        else:
            session.rollback()
        session.execute(text("INSERT INTO t VALUES (2)"))
        assert level(session) == FULL
    with Session(engine) as session:
        assert level(session) == FULL
        assert session.scalar(text("SELECT count(*) FROM t")) == is_kept


def test_what_was_written_before_it_was_said_is_waited_for(engine):
    with Session(engine) as session, session.begin():
        session.execute(text("INSERT INTO t VALUES (1)"))
        without_waiting(session)
        assert level(session) == FULL
