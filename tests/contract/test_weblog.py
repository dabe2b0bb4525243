"""The connector contract over web logs: each row is a log of its own with one line, so that its key is known."""

from __future__ import annotations

import os
import shutil
import tempfile
from datetime import datetime, time
from pathlib import Path

import pytest

from connectors.suite import ANCHOR, DATASET, DUE, ZONE, ConnectorContract
from connectors.weblog import TYPE
from ropa.connector import Anchor, AnchorPart, Connector, DatasetSpec, FieldChange, LocationSpec, Mask

LONG_AGO = datetime(2026, 1, 1, tzinfo=ZONE).timestamp()


class TestWeblog(ConnectorContract):
    fields = (FieldChange("user-agent", Mask.REDACT),)

    @pytest.fixture(autouse=True)
    def _folder(self):
        # Not below pytest's own folder, which is below /tmp itself only by chance.
        self.root = Path(tempfile.mkdtemp(prefix="ropa-weblog-"))
        yield
        shutil.rmtree(self.root)

    def build(self, rows, children=(), *, batch_size=2):
        (self.root / ".ropa-root").touch()
        (self.root / "items").mkdir()
        for row in rows:
            self._write(row.id, self._line(row.on, row.person, row.note))
        dataset = DatasetSpec(
            DATASET,
            "items",
            ZONE,
            subject=("ip", "user"),
            anchors={ANCHOR: Anchor(ANCHOR, (AnchorPart("time"),))},
            data={"ip-address": ("ip",), "browsing": ("user-agent",)},
            options={"pattern": "*.log"},
        )
        options = {"root": str(self.root), "folder": "/srv/project", "format": "combined"}
        return TYPE.open(LocationSpec("web", "weblog", ZONE, options, {DATASET: dataset}, batch_size))

    def _line(self, on, person, note):
        moment = on if isinstance(on, datetime) or on is None else datetime.combine(on, time(12), ZONE)
        when = "-" if moment is None else f"{moment:%d/%b/%Y:%H:%M:%S %z}"
        return f'192.0.2.7 - {person or "-"} [{when}] "GET / HTTP/1.1" 200 5 "-" "{note}"\n'

    def _write(self, row_id, text):
        file = self.root / "items" / f"{row_id}.log"
        file.write_text(text)
        os.utime(file, (LONG_AGO, LONG_AGO))

    def key(self, row_id):
        return (f"items/{row_id}.log", "1-1")

    def change(self, connector, row_id):
        self._write(row_id, self._line(DUE, "", "something else"))

    def break_listing(self, connector):
        (self.root / "items" / "broken.log").write_bytes(b"\x1f\x8b\x08 is no gzip")
        return True

    def test_it_is_a_connector(self):
        assert isinstance(self.build([]), Connector)
