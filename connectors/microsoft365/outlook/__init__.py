r"""The connector ``outlook``: messages and contacts in mailboxes of Exchange Online, through Microsoft Graph.

The mailboxes are those in ``mailboxes`` and those of the members of ``group``. A dataset's ``source`` names a kind and
perhaps a folder: ``messages``, ``messages:inbox``, ``messages:Inbox/Sollicitaties``, ``contacts``, ``contacts:Klanten``
(``connectors.microsoft365.outlook.sources``). The key of a record is its mailbox and its immutable id.

Anchors that every dataset has: ``received`` of messages, ``created`` and ``modified`` of either. A purge is
``permanentDelete`` (``purged``: Exchange keeps it where only an administrator reaches it, for as long as a hold
stands), or, with ``removal = "deleted-items"``, a move to Deleted Items (``recoverable``). Needs for planning Mail.Read
or Contacts.Read, for applying Mail.ReadWrite or Contacts.ReadWrite, for these mailboxes only where RBAC for
Applications grants them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.microsoft365 import OPTIONS, expect_libraries
from connectors.microsoft365.outlook.columns import DEFAULT_ANCHORS, MASKS
from ropa.connector import Action, Capabilities, ConnectorType, LocationSpec, Option

if TYPE_CHECKING:
    from connectors.microsoft365.outlook.location import OutlookLocation

__all__ = ["CAPABILITIES", "TYPE", "open_location"]

CAPABILITIES = Capabilities(
    actions=frozenset({Action.PURGE, Action.ANONYMISE, Action.FLAG}), masks=MASKS, default_batch_size=2000
)
"""Of a location without contacts ANONYMISE and the masks are taken off: a message goes as a whole."""


def open_location(spec: LocationSpec) -> OutlookLocation:
    """Open a location; asks nobody. Raises ConfigurationError, and LocationError for a credential that is missing or
    where what this connector needs is not installed."""
    expect_libraries(spec.name)
    from connectors.microsoft365.outlook.location import OutlookLocation

    return OutlookLocation(spec)


TYPE = ConnectorType(
    name="outlook",
    open=open_location,
    capabilities=CAPABILITIES,
    options={
        **OPTIONS,
        "graph_url": Option(help="address of Graph with its version, where it is not Microsoft's own"),
        "mailboxes": Option((list,), help="addresses of the mailboxes that are meant"),
        "group": Option(help="address or object id of a group whose direct members' mailboxes are meant"),
        "removal": Option(help='"permanent" (default), or "deleted-items": only move to Deleted Items'),
        "recoverable_days": Option(
            (int,), help="days that the tenant keeps what was moved to Deleted Items; told as the last day of each"
        ),
        "flag_category": Option(
            help="category that marks a flagged item in the mailbox; none: nothing is changed there"
        ),
    },
    dataset_options={
        "subfolders": Option((bool,), help="whether the folders below the one in source are meant too; default false"),
        "recheck": Option(
            (bool,), help="list messages once more before they go, so that one touched since the plan stays"
        ),
    },
    default_anchors=DEFAULT_ANCHORS,
)
