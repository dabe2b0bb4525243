"""The contract that every connector keeps, over an SQLite file."""

import sqlite3
from contextlib import closing
from datetime import datetime

import pytest

from connectors.sql import TYPE
from connectors.suite import ANCHOR, CHILDREN, DATASET, ZONE, ConnectorContract
from ropa.clock import timestamp
from ropa.connector import Anchor, AnchorPart, DatasetSpec, FieldChange, LocationSpec, Parent

OWN = {ANCHOR: Anchor(ANCHOR, (AnchorPart(ANCHOR),))}
SCHEMA = """
CREATE TABLE t_items (id INTEGER PRIMARY KEY, created TEXT, person TEXT, note TEXT);
CREATE TABLE t_lines (id INTEGER PRIMARY KEY, created TEXT, note TEXT,
                      item INTEGER REFERENCES t_items ON DELETE CASCADE);
CREATE INDEX lines_of_item ON t_lines (item);
"""


class TestSql(ConnectorContract):
    has_children = True
    fields = (FieldChange("note"),)
    note_column = "note"

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path):
        self.folder = tmp_path

    def build(self, rows, children=(), *, batch_size=2):
        path = self.folder / "crm.sqlite"
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as raw, raw:
            raw.executescript(SCHEMA)
            for row in rows:
                raw.execute(
                    "INSERT INTO t_items VALUES (?, ?, ?, ?)",
                    (int(row.id), self.spelled(row.on), row.person or None, row.note or None),
                )
            for row in children:
                raw.execute(
                    "INSERT INTO t_lines VALUES (?, ?, ?, ?)",
                    (int(row.id), self.spelled(row.on), row.note or None, int(row.parent)),
                )
        items = DatasetSpec(DATASET, "t_items", ZONE, subject=("person",), anchors=OWN, data={"name": ("person",)})
        lines = DatasetSpec(CHILDREN, "t_lines", ZONE, anchors=OWN, parent=Parent(DATASET, ("item",), with_parent=True))
        options = {"url": "sqlite:///crm.sqlite", "folder": str(self.folder)}
        return TYPE.open(LocationSpec("crm", "sql", ZONE, options, {DATASET: items, CHILDREN: lines}, batch_size))

    @staticmethod
    def spelled(moment):
        return timestamp(moment) if isinstance(moment, datetime) else moment and moment.isoformat()

    def change(self, connector, row_id):
        with closing(sqlite3.connect(self.folder / "crm.sqlite")) as raw, raw:
            table = "t_lines" if row_id.startswith("8") else "t_items"
            raw.execute(f"UPDATE {table} SET note = 'something else' WHERE id = ?", (int(row_id),))
