"""The connector contract over Dataverse as its maker describes it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

pytest.register_assert_rewrite("connectors.suite")

from dataverse_fake import Dataverse, guid  # noqa: E402

from connectors.suite import ANCHOR, CHILDREN, DATASET, ZONE, ConnectorContract  # noqa: E402
from ropa.connector import Anchor, AnchorPart, Connector, DatasetSpec, FieldChange, Mask, Parent  # noqa: E402


class _Contract(ConnectorContract):
    has_children = True
    fields = (FieldChange("description", Mask.CLEAR), FieldChange("nickname", Mask.REDACT))
    note_column = "description"
    column = "createdon"
    """The anchor's column."""
    on_delete = "Restrict"
    is_thin = False

    def build(self, rows, children=(), *, batch_size=2):
        self.place = place = Dataverse()
        place.max_page, place.is_thin = 3, self.is_thin
        columns = {"emailaddress1": "String", "description": "Memo", "nickname": "String", "birthdate": "DateOnly",
                   "seen": "TimeZoneIndependent"}  # fmt: skip
        place.table("contact", columns)
        place.table("ropa_line", columns | {"contact": "Lookup"})
        place.link("ropa_line", "contact", "contact", self.on_delete)
        for row in rows:
            place.add("contact", contactid=guid(row.id), **self.values(row))
        for row in children:
            parent = {"contact": guid(row.parent)} if row.parent else {}
            place.add("ropa_line", ropa_lineid=guid(row.id), **self.values(row), **parent)
        anchors = {ANCHOR: Anchor(ANCHOR, (AnchorPart(self.column),))}
        given = {"subject": ("emailaddress1",), "anchors": anchors, "data": {"correspondence": ("description",)}}
        parent = Parent(DATASET, ("contact",), with_parent=True)
        datasets = {
            DATASET: DatasetSpec(DATASET, "contact", ZONE, **given),
            CHILDREN: DatasetSpec(CHILDREN, "ropa_lines", ZONE, parent=parent, **given),
        }
        return place.location(datasets, batch_size=batch_size, parts_per_batch=2)

    def values(self, row):
        return {
            self.column: self.moment(row.on),
            "emailaddress1": row.person or None,
            "description": row.note or None,
            "nickname": row.note or None,
        }

    def moment(self, on):
        if on is None:
            return None
        instant = on if isinstance(on, datetime) else datetime(on.year, on.month, on.day, tzinfo=ZONE)
        return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def key(self, row_id):
        return (guid(row_id),)

    def change(self, connector, row_id):
        name = "contact" if guid(row_id) in self.place.tables["contact"].rows else "ropa_line"
        self.place.change(name, guid(row_id), description="something else")

    def break_listing(self, connector):
        self.place.page_hook = lambda _name, start, page: page if start == 0 else {"@odata.context": "x"}
        return True


class TestDataverse(_Contract):
    def test_it_is_a_connector(self):
        assert isinstance(self.build([]), Connector)


@pytest.mark.sampled(one_in=3)
class TestCascade(_Contract):
    """Where the service would take rows along that nobody planned."""

    on_delete = "Cascade"


@pytest.mark.sampled(one_in=3)
class TestRemovedLinks(_Contract):
    on_delete = "RemoveLink"


@pytest.mark.sampled(one_in=3)
class TestThinMetadata(_Contract):
    """A service that tells its definitions in ``$metadata`` alone: what happens on deletion is not known."""

    is_thin = True
    on_delete = "NoCascade"


@pytest.mark.sampled(one_in=3)
class TestDays(_Contract):
    """A column that holds a date without a time."""

    column = "birthdate"
    has_instants = False

    def moment(self, on):
        return (
            None
            if on is None
            else on.isoformat()[:10]
            if not isinstance(on, datetime)
            else f"{on.astimezone(ZONE):%Y-%m-%d}"
        )


@pytest.mark.sampled(one_in=3)
class TestWallClock(_Contract):
    """A column that holds a time in no zone, which the wire says is UTC."""

    column = "seen"

    def moment(self, on):
        if on is None:
            return None
        return (
            f"{on.astimezone(ZONE):%Y-%m-%dT%H:%M:%SZ}" if isinstance(on, datetime) else f"{on.isoformat()}T00:00:00Z"
        )
