"""The connector contract over files."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from datetime import datetime, time
from pathlib import Path

import pytest

from connectors.files import TYPE
from connectors.suite import ANCHOR, DATASET, ZONE, ConnectorContract
from ropa.connector import Anchor, AnchorPart, Connector, DatasetSpec, LocationSpec

NOBODY = 65534


class TestFiles(ConnectorContract):
    @pytest.fixture(autouse=True)
    def _folder(self):
        # Not below pytest's own folder, which only its owner can enter: a test below becomes somebody else.
        self.root = Path(tempfile.mkdtemp(prefix="ropa-files-"))
        self.root.chmod(0o755)
        self.names = {}
        yield
        if os.getuid() == 0:
            os.seteuid(0)
        with suppress(FileNotFoundError):
            (self.root / "items" / "closed").chmod(0o700)
        shutil.rmtree(self.root)

    def build(self, rows, children=(), *, batch_size=2):
        (self.root / ".ropa-root").touch()
        folder = self.root / "items"
        folder.mkdir()
        for row in rows:
            self.names[row.id] = f"{row.id} {row.person}.txt".replace(" .", ".")
            file = folder / self.names[row.id]
            file.write_text(row.note)
            moment = (
                row.on if isinstance(row.on, datetime) or row.on is None else datetime.combine(row.on, time(12), ZONE)
            )
            seconds = 0 if moment is None else moment.timestamp()
            os.utime(file, (seconds, seconds))
        dataset = DatasetSpec(
            DATASET,
            "items",
            ZONE,
            subject=("name",),
            anchors={ANCHOR: Anchor(ANCHOR, (AnchorPart("mtime"),))},
            data={"correspondence": ("*",)},
        )
        options = {"root": str(self.root), "folder": "/srv/project"}
        return TYPE.open(LocationSpec("share", "files", ZONE, options, {DATASET: dataset}, batch_size))

    def key(self, row_id):
        return (f"items/{self.names.get(row_id, f'{row_id}.txt')}",)

    def change(self, connector, row_id):
        file = self.root / self.key(row_id)[0]
        status = file.stat()
        file.write_text("something else")
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    def break_listing(self, connector):
        closed = self.root / "items" / "closed"
        closed.mkdir()
        closed.chmod(0)
        if os.getuid() == 0:
            os.seteuid(NOBODY)
        return True

    def test_it_is_a_connector(self):
        assert isinstance(self.build([]), Connector)
