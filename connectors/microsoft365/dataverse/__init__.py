"""The ``dataverse`` connector: tables of Dataverse and Dynamics 365 (contact, lead, account, annotation, one's own).

Invariant: importing this package loads neither ``httpx`` nor ``msal``; that happens when a location is opened. An
anchor is a date column, or the latest of columns, also of child tables or the parent's. A deletion carries the version
that was planned (``If-Match``). What a purge leaves behind (recycle bin, audit history) is said by ``check`` and told
with each outcome.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.microsoft365 import OPTIONS, expect_libraries
from ropa.connector import Action, Capabilities, ConnectorType, LocationSpec, Mask, Option

if TYPE_CHECKING:
    from connectors.microsoft365.dataverse.location import DataverseLocation

__all__ = ["CAPABILITIES", "TYPE", "open_location"]

CAPABILITIES = Capabilities(
    actions=frozenset({Action.PURGE, Action.ANONYMISE, Action.FLAG}),
    masks=frozenset(Mask),
    default_batch_size=10_000,
)


def open_location(spec: LocationSpec) -> DataverseLocation:
    """Open a location; asks nobody anything yet. Raises LocationError for options that cannot be used."""
    expect_libraries(spec.name)
    from connectors.microsoft365.dataverse.location import DataverseLocation

    return DataverseLocation(spec)


TYPE = ConnectorType(
    name="dataverse",
    open=open_location,
    capabilities=CAPABILITIES,
    options={
        **OPTIONS,
        "url": Option(is_required=True, help="address of the environment, such as https://contoso.crm4.dynamics.com"),
        "purge_recycle_bin": Option(
            (bool,), help="true: take purged rows out of the recycle bin too, and read it back"
        ),
        "delete_history": Option(
            (bool, str),
            help='audit history of purged rows: "auto" (unless given) deletes it where the privilege is there; true '
            "makes its absence a problem; false leaves it",
        ),
        "parts_per_batch": Option((int,), help="deletions or changes in one $batch, 1 to 1000; 100 unless given"),
        "at_once": Option((int,), help="requests under way at the same time, 1 to 52; 4 unless given"),
        "page_size": Option((int,), help="rows on a page of a listing, 1 to 5000; 5000 unless given"),
        "bulk_delete_over": Option(
            (int,), help="batches of more rows than this go by a BulkDelete job; never unless given"
        ),
    },
    dataset_options={
        "flag_column": Option(help="column in which a record that is due is marked, where a rule says flag"),
        "flag_value": Option((str, int, bool), help="what is written into flag_column; true unless given"),
    },
)
