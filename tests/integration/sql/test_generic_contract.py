"""The contract that every connector keeps, over the generic path on the engines that are here to be asked."""

from contextlib import closing
from datetime import datetime

import pytest
from generic_bed import open_generic
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool

from connectors.suite import ANCHOR, CHILDREN, DATASET, ZONE, ConnectorContract, Row, due, found_keys
from ropa.clock import timestamp
from ropa.connector import Anchor, AnchorPart, DatasetSpec, FieldChange, Parent
from ropa.errors import LocationError

OWN = {ANCHOR: Anchor(ANCHOR, (AnchorPart(ANCHOR),))}


class GenericContract(ConnectorContract):
    """Dates stand as ISO 8601 text, because the suite has days and instants in one column."""

    has_children = True
    fields = (FieldChange("note"),)
    note_column = "note"
    key_type, text_type = "INTEGER", "VARCHAR(200)"
    url = ""

    def run(self, *statements):
        engine = create_engine(make_url(self.url), poolclass=NullPool)
        with engine.begin() as connection:
            for statement, values in statements:
                connection.execute(text(statement), values)

    def spelled_key(self, row_id):
        return int(row_id)

    def build(self, rows, children=(), *, batch_size=2):
        key, words = self.key_type, self.text_type
        self.run(
            ("DROP TABLE IF EXISTS t_lines", {}),
            ("DROP TABLE IF EXISTS t_items", {}),
            (f"CREATE TABLE t_items (id {key} PRIMARY KEY, created {words}, person {words}, note {words})", {}),
            (
                (
                    f"CREATE TABLE t_lines (id {key} PRIMARY KEY, created {words}, note {words}, item {key},"
                    " FOREIGN KEY (item) REFERENCES t_items (id) ON DELETE CASCADE)"
                ),
                {},
            ),
            *(
                (
                    "INSERT INTO t_items VALUES (:id, :on, :person, :note)",
                    {
                        "id": self.spelled_key(row.id),
                        "on": self.spelled(row.on),
                        "person": row.person or None,
                        "note": row.note or None,
                    },
                )
                for row in rows
            ),
            *(
                (
                    "INSERT INTO t_lines VALUES (:id, :on, :note, :item)",
                    {
                        "id": self.spelled_key(row.id),
                        "on": self.spelled(row.on),
                        "note": row.note or None,
                        "item": self.spelled_key(row.parent),
                    },
                )
                for row in children
            ),
        )
        items = DatasetSpec(DATASET, "t_items", ZONE, subject=("person",), anchors=OWN, data={"name": ("person",)})
        lines = DatasetSpec(CHILDREN, "t_lines", ZONE, anchors=OWN, parent=Parent(DATASET, ("item",), with_parent=True))
        return open_generic(self.url, items, lines, batch_size=batch_size)

    @staticmethod
    def spelled(moment):
        return timestamp(moment) if isinstance(moment, datetime) else moment and moment.isoformat()

    def change(self, connector, row_id):
        table = "t_lines" if row_id.startswith("8") else "t_items"
        self.run((f"UPDATE {table} SET note = 'something else' WHERE id = :id", {"id": self.spelled_key(row_id)}))


class TestGenericOnSqlite(GenericContract):
    @pytest.fixture(autouse=True)
    def _place(self, tmp_path):
        self.url = f"sqlite:///{tmp_path / 'crm.sqlite'}"


@pytest.mark.sampled(one_in=3)
class TestGenericOnPostgres(GenericContract):
    @pytest.fixture(autouse=True)
    def _place(self, postgres):
        with postgres.create() as database:
            self.url = database.url
            yield


@pytest.mark.sampled(one_in=3)
class TestGenericOnMariadb(GenericContract):
    @pytest.fixture(autouse=True)
    def _place(self, mariadb):
        with mariadb.create() as database:
            self.url = database.url
            yield


@pytest.mark.sampled(one_in=3)
class TestGenericWithTextKeysInManyTables(GenericContract):
    """Keys of text, three to a statement, each locked before it is read: what other engines get."""

    key_type = "VARCHAR(20)"

    @pytest.fixture(autouse=True)
    def _place(self, postgres, monkeypatch):
        monkeypatch.setattr("connectors.sql.generic_keys.MOST_BOUND", 3)
        monkeypatch.setattr("connectors.sql.generic_statements._LOCKS_ROWS_OF_A_JOIN", frozenset())
        with postgres.create() as database:
            self.url = database.url
            yield

    def spelled_key(self, row_id):
        return row_id

    def test_keys_narrow_what_is_found(self):
        with self.opened([Row(f"90{n}") for n in range(1, 6)]) as connector:
            assert found_keys(connector, due(keys=(("904",), ("902",), ("999",)))) == [("902",), ("904",)]
            with pytest.raises(LocationError, match="more keys than it can carry") as refused:
                found_keys(connector, due(keys=(("901",), ("902",), ("903",), ("904",))))
        assert refused.value.code == "too-many-keys"


def test_the_suite_is_run_over_the_generic_backend(tmp_path):
    from connectors.sql.generic import GenericBackend

    with closing(open_generic(f"sqlite:///{tmp_path / 'crm.sqlite'}")) as location:
        assert isinstance(location._backend, GenericBackend)
