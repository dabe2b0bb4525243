"""The contract that every connector keeps, over a table in PostgreSQL: with one pair of credentials and with two."""

import pytest

from connectors.sql import TYPE
from connectors.suite import ANCHOR, CHILDREN, DATASET, ZONE, ConnectorContract
from ropa.connector import Anchor, AnchorPart, DatasetSpec, FieldChange, LocationSpec, Parent

OWN = {ANCHOR: Anchor(ANCHOR, (AnchorPart(ANCHOR),))}
TABLES = ["t_items", "t_lines"]
SCHEMA = """
CREATE TABLE t_items (id {key} PRIMARY KEY, created {date}, person text, note text);
CREATE TABLE t_lines (id bigint PRIMARY KEY, created {date}, note text,
                      item {key} REFERENCES t_items ON DELETE CASCADE);
CREATE INDEX ON t_lines (item);
CREATE INDEX ON t_items (created);
"""


class PostgresContract(ConnectorContract):
    has_children = True
    fields = (FieldChange("note"),)
    note_column = "note"
    date_type = "timestamptz"
    key_type = "bigint"
    roles = False

    @pytest.fixture(autouse=True)
    def _database(self, postgres):
        with postgres.create() as self.database:
            self.connectors = []
            yield
            for connector in self.connectors:
                connector.close()

    def build(self, rows, children=(), *, batch_size=2):
        self.database.execute("DROP TABLE IF EXISTS t_lines; DROP TABLE IF EXISTS t_items")
        self.database.execute(SCHEMA.format(date=self.date_type, key=self.key_type))
        for row in rows:
            self.database.execute(
                "INSERT INTO t_items VALUES (%s, %s, %s, %s)",
                (row.id, self.spelled(row.on), row.person or None, row.note or None),
            )
        for row in children:
            self.database.execute(
                "INSERT INTO t_lines VALUES (%s, %s, %s, %s)",
                (row.id, self.spelled(row.on), row.note or None, row.parent),
            )
        items = DatasetSpec(DATASET, "t_items", ZONE, subject=("person",), anchors=OWN, data={"name": ("person",)})
        lines = DatasetSpec(CHILDREN, "t_lines", ZONE, anchors=OWN, parent=Parent(DATASET, ("item",), with_parent=True))
        options = {"url": self.database.url}
        if self.roles:
            number = len(self.connectors)
            options = {
                "url": self.database.role(f"reader{number}", "SELECT"),
                "apply": {
                    "url": self.database.role(f"writer{number}", "SELECT", "UPDATE (id, note)", "DELETE", on=TABLES)
                },
            }
        connector = TYPE.open(LocationSpec("crm", "sql", ZONE, options, {DATASET: items, CHILDREN: lines}, batch_size))
        self.connectors.append(connector)
        return connector

    @staticmethod
    def spelled(moment):
        return moment

    def change(self, connector, row_id):
        table = "t_lines" if row_id.startswith("8") else "t_items"
        self.database.execute(f"UPDATE {table} SET note = 'something else' WHERE id = %s", (row_id,))


@pytest.mark.sampled(one_in=3)
class TestInstants(PostgresContract):
    pass


@pytest.mark.sampled(one_in=3)
class TestTwoCredentials(PostgresContract):
    roles = True


@pytest.mark.sampled(one_in=3)
class TestText(PostgresContract):
    date_type = "text"
    key_type = "numeric"

    @staticmethod
    def spelled(moment):
        return moment.isoformat() if moment else moment


del PostgresContract
