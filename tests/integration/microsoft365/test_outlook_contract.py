"""The connector contract over mailboxes: all messages, those of folders, and contacts."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import ClassVar

from outlook_graph import INFO, Graph, located

from connectors.suite import ANCHOR, DATASET, ZONE, ConnectorContract
from ropa.connector import Anchor, AnchorPart, Connector, DatasetSpec, FieldChange, Mask


class OverGraph(ConnectorContract):
    source: ClassVar[str] = "messages"
    folder: ClassVar[str] = "f-inbox"
    column: ClassVar[str] = "receivedDateTime"
    dataset_options: ClassVar[dict[str, object]] = {}
    subject: ClassVar[tuple[str, ...]] = ("from",)

    def content(self, row):
        person = {"emailAddress": {"name": "Somebody", "address": row.person}}
        return {"subject": row.note} | ({"from": person} if row.person else {})

    def build(self, rows, children=(), *, batch_size=2):
        self.graph = Graph(page=2)
        for row in rows:
            on = row.on
            moment = (
                on if isinstance(on, datetime) or on is None else datetime.combine(on, time(12), ZONE).astimezone(UTC)
            )
            self.graph.add(row.id, moment, folder=self.folder, **self.content(row))
        dataset = DatasetSpec(
            DATASET,
            self.source,
            ZONE,
            subject=self.subject,
            anchors={ANCHOR: Anchor(ANCHOR, (AnchorPart(self.column),))},
            options=self.dataset_options,
        )
        return located(self.graph, {DATASET: dataset}, batch_size=batch_size)

    def key(self, row_id):
        return (INFO, row_id)

    def break_listing(self, connector):
        self.graph.changed = lambda _url, body: {name: value for name, value in body.items() if name != "value"}
        return True

    def test_it_is_a_connector(self):
        assert isinstance(self.build([]), Connector)


class TestMessages(OverGraph):
    note_column = "subject"

    def change(self, connector, row_id):
        self.graph.touch(row_id, parentFolderId="f-sent")


class TestMessagesOfFolders(OverGraph):
    source = "messages:Inbox/sollicitaties"
    folder = "f-cv-old"
    dataset_options: ClassVar[dict[str, object]] = {"subfolders": True, "recheck": True}
    note_column = "subject"

    def change(self, connector, row_id):
        self.graph.touch(row_id, isRead=True)


class TestMessagesByAnotherDate(TestMessages):
    column = "createdDateTime"

    def change(self, connector, row_id):
        self.graph.touch(row_id, isRead=True)


class TestContacts(OverGraph):
    source = "contacts"
    folder = "c-oud"
    column = "createdDateTime"
    subject = ("displayName", "emailAddresses")
    note_column = "personalNotes"
    fields = (FieldChange("personalNotes"), FieldChange("jobTitle", Mask.REDACT))

    def content(self, row):
        return {"personalNotes": row.note, "displayName": "", "emailAddresses": [{"name": "x", "address": row.person}]}

    def change(self, connector, row_id):
        self.graph.touch(row_id, companyName="something else")


class TestContactsOfAFolder(TestContacts):
    source = "contacts:klanten/oud"


del OverGraph
