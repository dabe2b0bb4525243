"""What the tests of the sharepoint connector share: a certificate, places filled with rows, short ways to open them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from sharepoint_fake import CHILD_ID, LIBRARY_ID, LIST_ID, OPTIONS, FakeSharePoint, Item, List, column

from connectors.microsoft365.sharepoint import TYPE
from connectors.microsoft365.sharepoint.location import SharePointConnector
from connectors.suite import ANCHOR, CHILDREN, DATASET, ZONE
from ropa.connector import Anchor, AnchorPart, DatasetSpec, LocationSpec, Parent


@cache
def certificate():
    """Return a certificate with its private key, as PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ropa")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return (made.public_bytes(serialization.Encoding.PEM) + private).decode()


def rest_options():
    """Return the options with which list items are removed for good."""
    options = {name: value for name, value in OPTIONS.items() if name != "client_secret"}
    return {**options, "certificate": certificate(), "sharepoint_rest": True}


def spell(moment):
    """Return a moment as SharePoint tells it: an instant in UTC; a day is noon in the controller's zone."""
    if moment is None:
        return None
    if not isinstance(moment, datetime) and isinstance(moment, date):
        moment = datetime.combine(moment, time(12), ZONE)
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def list_item(row, **fields):
    """Return a row as an item of a list."""
    own = {"Title": row.note or None, "Email": row.person or None, "Datum": spell(row.on), **fields}
    return Item(row.id, own, created="2020-01-01T00:00:00Z")


def fill_list(rows, children=(), *, fake=None):
    """Return a site whose list Klanten holds rows, and whose list Orders holds children."""
    fake = fake or FakeSharePoint()
    own = fake.lists[LIST_ID]
    own.columns = [column("Title"), column("Email"), column("Datum", "dateTime"), column("ropa")]
    own.items = {row.id: list_item(row) for row in rows}
    lookup = column("Klant", "lookup", facet={"listId": LIST_ID, "columnName": "Title"})
    fake.lists[CHILD_ID] = List(
        CHILD_ID, "Orders", [column("Title"), column("Email"), column("Datum", "dateTime"), lookup]
    )
    fake.lists[CHILD_ID].items = {row.id: list_item(row, KlantLookupId=row.parent) for row in children}
    return fake


def fill_library(rows, *, fake=None, folder="root"):
    """Return a site whose library holds rows as files; the person stands in a column."""
    fake = fake or FakeSharePoint()
    fake.lists[LIBRARY_ID].columns = [column("Kandidaat"), column("Nota"), column("ropa")]
    for row in rows:
        fields = {"Kandidaat": row.person or None, "Nota": row.note or None}
        fake.files[row.id] = Item(row.id, fields, spell(row.on), spell(row.on), f"CV {row.id}.pdf", folder)
    return fake


def list_spec(name=DATASET, source="list:Klanten", **more):
    """Return the dataset of a list."""
    anchors = {ANCHOR: Anchor(ANCHOR, (AnchorPart("Datum"),))}
    return DatasetSpec(name, source, ZONE, subject=("Email",), anchors=anchors, data={"name": ("Title",)}, **more)


def child_spec():
    """Return the dataset of the list whose items belong to those of the other."""
    return list_spec(CHILDREN, "list:Orders", parent=Parent(DATASET, ("Klant",), with_parent=True))


def library_spec(source="library:Documenten", **more):
    """Return the dataset of a library."""
    anchors = {ANCHOR: Anchor(ANCHOR, (AnchorPart("createdDateTime"),))}
    given = {"subject": ("Kandidaat",), "anchors": anchors, "data": {"cv": ("*.pdf",)}, **more}
    return DatasetSpec(DATASET, source, ZONE, **given)


def open_site(fake, *datasets, batch_size=2, **options):
    """Return a connector to a fake site."""
    spec = LocationSpec(
        "site", TYPE.name, ZONE, {**OPTIONS, **options}, {one.name: one for one in datasets}, batch_size
    )
    return SharePointConnector(spec, fake)
