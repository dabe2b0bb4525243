"""The contract that every connector keeps, over MariaDB."""

from datetime import UTC, datetime

import pytest
from mariadb_bed import location

from connectors.sql import TYPE
from connectors.suite import ANCHOR, CHILDREN, DATASET, ZONE, ConnectorContract
from ropa.connector import Anchor, AnchorPart, DatasetSpec, FieldChange, Parent

OWN = {ANCHOR: Anchor(ANCHOR, (AnchorPart(ANCHOR),))}
SCHEMA = """
CREATE TABLE t_items (id INT PRIMARY KEY, created VARCHAR(30), person VARCHAR(80), note TEXT);
CREATE TABLE t_lines (id INT PRIMARY KEY, created VARCHAR(30), note TEXT, item INT,
                      FOREIGN KEY (item) REFERENCES t_items (id) ON DELETE CASCADE);
"""


class TestMariadb(ConnectorContract):
    has_children = True
    fields = (FieldChange("note"),)
    note_column = "note"
    schema = SCHEMA

    @pytest.fixture(autouse=True)
    def _server(self, mariadb):
        self.server = mariadb
        self.databases = []
        yield
        for database in self.databases:
            database.drop()

    def build(self, rows, children=(), *, batch_size=2):
        database = self.server.create()
        self.databases.append(database)
        database.execute(self.schema)
        for row in rows:
            database.execute(
                "INSERT INTO t_items VALUES (%s, %s, %s, %s)",
                (int(row.id), self.spelled(row.on), row.person or None, row.note or None),
            )
        for row in children:
            database.execute(
                "INSERT INTO t_lines VALUES (%s, %s, %s, %s)",
                (int(row.id), self.spelled(row.on), row.note or None, int(row.parent)),
            )
        items = DatasetSpec(DATASET, "t_items", ZONE, subject=("person",), anchors=OWN, data={"name": ("person",)})
        lines = DatasetSpec(CHILDREN, "t_lines", ZONE, anchors=OWN, parent=Parent(DATASET, ("item",), with_parent=True))
        return TYPE.open(location(database, items, lines, batch_size=batch_size))

    @staticmethod
    def spelled(moment):
        if not isinstance(moment, datetime):
            return moment and moment.isoformat()
        return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"

    def change(self, connector, row_id):
        table = "t_lines" if row_id.startswith("8") else "t_items"
        self.databases[-1].execute(f"UPDATE {table} SET note = 'something else' WHERE id = %s", (int(row_id),))


@pytest.mark.sampled(one_in=3)
class TestMariadbInstants(TestMariadb):
    """The same with a typed column; a day without a time is its first second there."""

    schema = SCHEMA.replace("created VARCHAR(30)", "created DATETIME(6)")

    @staticmethod
    def spelled(moment):
        if not isinstance(moment, datetime):
            return moment and moment.isoformat()
        return moment.astimezone(ZONE).replace(tzinfo=None).isoformat(" ")
