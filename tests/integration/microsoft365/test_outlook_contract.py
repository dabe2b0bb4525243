"""The connector contract over mailboxes: all messages, those of folders, and contacts."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, time
from typing import ClassVar

import pytest
from openapi_core.exceptions import OpenAPIError
from outlook_graph import DEFINITION, INFO, Graph, check, located

from connectors.microsoft365.outlook import TYPE
from connectors.suite import ANCHOR, DATASET, ZONE, ConnectorContract
from ropa.connector import Anchor, AnchorPart, Connector, DatasetSpec, FieldChange, LocationSpec, Mask
from ropa.errors import ConfigurationError, LocationError


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


@pytest.mark.sampled(one_in=3)
class TestMessagesOfFolders(OverGraph):
    source = "messages:Inbox/sollicitaties"
    folder = "f-cv-old"
    dataset_options: ClassVar[dict[str, object]] = {"subfolders": True, "recheck": True}
    note_column = "subject"

    def change(self, connector, row_id):
        self.graph.touch(row_id, isRead=True)


@pytest.mark.sampled(one_in=3)
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


@pytest.mark.sampled(one_in=3)
class TestContactsOfAFolder(TestContacts):
    source = "contacts:klanten/oud"


del OverGraph


def test_what_is_sent_and_answered_is_held_to_microsofts_definition():
    if not DEFINITION.is_file():
        pytest.skip(f"beds absent: {DEFINITION.name}")
    check("GET", f"users/{INFO}/messages?$select=id&$top=1000", None, 200, {"value": [{"id": "a"}]})
    for url, told in (
        (f"users/{INFO}/messages?$select=idd", {"value": []}),
        (f"users/{INFO}/messages?$top=5000", {"value": []}),
        (f"users/{INFO}/messages", {"value": [{"id": 7}]}),
    ):
        with pytest.raises(OpenAPIError):
            check("GET", url, None, 200, told)


def test_it_is_light_to_import_and_says_what_is_missing():
    code = "import sys, connectors.microsoft365.outlook; print(sorted({'httpx', 'msal'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
    spec = LocationSpec("mail", "outlook", ZONE, {"mailboxes": [INFO]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("connectors.microsoft365.find_spec", lambda _name: None)
        with pytest.raises(LocationError) as caught:
            TYPE.open(spec)
    assert caught.value.next_step == "Run: pip install 'ropa[microsoft365]'"
    with pytest.raises(ConfigurationError):
        TYPE.open(spec)
