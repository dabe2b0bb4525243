"""Dataverse against a server that is not ours: pages, entity tags, batches, change sets and limits as OData has them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from microsoft365_bed import CLIENT, TENANT

from connectors.microsoft365.dataverse import TYPE
from ropa.clock import start_of_day
from ropa.connector import (
    Action,
    Anchor,
    AnchorPart,
    Batch,
    Before,
    DatasetSpec,
    FieldChange,
    LocationSpec,
    Mask,
    OutcomeWord,
    Parent,
    Selection,
    Spare,
)

ZONE = ZoneInfo("Europe/Brussels")
NOW = datetime.now(UTC).replace(microsecond=0)
ANCHORS = {"created": Anchor("created", (AnchorPart("createdon"),))}
DATASETS = {
    "contacts": DatasetSpec("contacts", "contact", ZONE, subject=("emailaddress1",), anchors=ANCHORS),
    "leads": DatasetSpec("leads", "leads", ZONE, anchors=ANCHORS),
    "notes": DatasetSpec("notes", "annotation", ZONE, parent=Parent("contacts", ("objectid",), with_parent=True)),
}
W = OutcomeWord


@pytest.fixture
def bed(own_microsoft365):
    """Stand-ins of our own, because rows are deleted here."""
    return own_microsoft365


@pytest.fixture
def opened(bed):
    """Locations, closed afterwards."""
    made = []

    def open_one(*, is_throttled=False, **more):
        options = {
            "url": bed.throttled_dataverse if is_throttled else bed.dataverse,
            "resource": bed.dataverse_resource,
            "authority": bed.authority,
            "ca_file": str(bed.ca_file),
            "tenant_id": TENANT,
            "client_id": CLIENT,
            "certificate": bed.certificate,
        }
        made.append(TYPE.open(LocationSpec("crm", "dataverse", ZONE, options | more, DATASETS)))
        return made[-1]

    yield open_one
    for location in made:
        location.close()


def due(dataset, day, **more):
    before = (Before("created", day, start_of_day(day, ZONE)),)
    return replace(Selection(dataset, ZONE, NOW, before=before, anchors=("created",)), **more)


def listed(location, selection):
    return [found for batch in location.find(selection) for found in batch.records]


def test_a_certificate_signs_in_and_the_environment_tells_what_it_can(bed, opened):
    health = opened().check()
    assert health.is_reachable
    assert health.identity == f"application {CLIENT}"
    assert abs((health.now - datetime.now(UTC)).total_seconds()) < 60


def test_what_is_due_is_what_the_table_says_is_due(bed, opened):
    location, day = opened(), date(2017, 6, 1)
    told = bed.read(
        f"{bed.dataverse}/api/data/v9.2/contacts?$filter=createdon%20lt%202017-05-31T22:00:00Z&$select=contactid"
    )
    assert [found.key[0] for found in listed(location, due("contacts", day))] == sorted(
        row["contactid"] for row in told["value"]
    )


def test_a_person_on_hold_and_its_notes_stay_and_the_rest_goes(bed, opened):
    location, day = opened(parts_per_batch=7), date(2016, 12, 20)
    selection = due("contacts", day)
    found = [one for one in listed(location, selection) if one.referred_by][:6]
    assert len(found) == 6
    (row,) = location.find(due("contacts", day, keys=(found[0].key,)))
    content = bed.read(f"{bed.dataverse}/api/data/v9.2/contacts({found[0].key[0]})")
    held = due("contacts", day, spare=Spare(subjects=frozenset({str(content["emailaddress1"])})))
    parents = ("contacts", tuple(one.key for one in found))
    notes = listed(location, Selection("notes", ZONE, NOW, parents=parents, check_anchors=False))
    batch = Batch.of("contacts", found, (Batch.of("notes", notes),))
    bare = location.act(selection, Batch.of("contacts", found), Action.PURGE)
    assert {(o.word, o.code) for o in bare} == {(W.BLOCKED, "referenced")}
    outcomes = location.act(held, batch, Action.PURGE)
    words = Counter((o.dataset, o.word) for o in outcomes)
    mine = sum(note.refers_to[0].key == found[0].key for note in notes)
    # A note that descends from what is held is held as well.
    assert words == {
        (None, W.HELD): 1,
        (None, W.PURGED): 5,
        ("notes", W.HELD): mine,
        ("notes", W.PURGED): len(notes) - mine,
    }
    assert location.remaining(selection, batch) == {found[0].key} == set(row.keys)


def test_a_stale_tag_keeps_its_row_and_the_birth_date_goes_alone(bed, opened):
    location = opened(parts_per_batch=3)
    fields = (FieldChange("birthdate"), FieldChange("telephone1", Mask.REDACT))
    selection = due("contacts", date(2017, 3, 1), fields=fields)
    found = listed(location, selection)
    assert len(found) > 10
    stale = replace(found[1], version='W/"2001-01-01T00:00:00.000Z"')
    outcomes = location.act(selection, Batch.of("contacts", [found[0], stale, *found[2:]]), Action.ANONYMISE)
    assert Counter(o.word for o in outcomes) == {W.ANONYMISED: len(found) - 1, W.CHANGED: 1}
    assert location.remaining(selection, Batch.of("contacts", found)) == {stale.key}
    row = bed.read(f"{bed.dataverse}/api/data/v9.2/contacts({found[0].key[0]})")
    assert (row["birthdate"], row["telephone1"]) == (None, "[redacted]")
    assert row["lastname"]
    assert outcomes[0].version == row["@odata.etag"]


@pytest.mark.whole
def test_under_a_limit_of_twenty_requests_a_second_nothing_is_lost_or_counted_twice(bed, opened):
    location = opened(is_throttled=True, parts_per_batch=1, at_once=40)
    before, selection = location.count("leads"), due("leads", date(2020, 1, 1))
    batches = list(location.find(selection))
    found = sum(map(len, batches))
    outcomes = [outcome for batch in batches for outcome in location.act(selection, batch, Action.PURGE)]
    assert Counter(o.word for o in outcomes) == {W.PURGED: found}
    assert found > 500
    assert location.count("leads") == before - found
    assert any(request.status == 429 for request in bed.requests())
