"""The connector ``sharepoint``: document libraries, OneDrive and lists, over Microsoft Graph.

A dataset's ``source`` says what it is:

    library:NAME[/folder]   a document library of the site, by its name; with everything below a folder of it
    drive:ID[/folder]       a library by the id of its drive, which no renaming changes
    onedrive[/folder]       the OneDrive of ``user``
    list:NAME               a list of the site, by its title or id

A library's record is a file (key: the id of the drive item), a list's record is an item (key: its number). A name
without one of these words, or one that two places bear, is refused.

Columns are those of the library or list, by their internal names; besides there are ``created`` and ``modified`` as
anchors (``createdDateTime``, ``lastModifiedDateTime``), and of files ``name``, ``path``, ``folder``, ``extension`` and
``size``. In ``data`` of a library an entry with one of ``* ? [ / .`` is a glob over files, as in ``files``; any other
is a column. What a purge leaves behind: see ``removal`` and docs/reference/connectors/sharepoint.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.microsoft365 import OPTIONS, expect_libraries
from ropa.connector import Action, Anchor, AnchorPart, Capabilities, ConnectorType, LocationSpec, Mask, Option

if TYPE_CHECKING:
    from connectors.microsoft365.sharepoint.location import SharePointConnector

__all__ = ["CAPABILITIES", "DEFAULT_ANCHORS", "TYPE"]

CAPABILITIES = Capabilities(
    actions=frozenset({Action.PURGE, Action.ANONYMISE, Action.FLAG}), masks=frozenset(Mask), default_batch_size=2000
)
DEFAULT_ANCHORS = {
    "created": Anchor("created", (AnchorPart("createdDateTime"),)),
    "modified": Anchor("modified", (AnchorPart("lastModifiedDateTime"),)),
}


def open_location(spec: LocationSpec) -> SharePointConnector:
    """Open a location; nothing is asked yet. Raises LocationError for options that cannot be used."""
    expect_libraries(spec.name)
    from connectors.microsoft365.sharepoint.location import SharePointConnector

    return SharePointConnector(spec)


TYPE = ConnectorType(
    name="sharepoint",
    open=open_location,
    capabilities=CAPABILITIES,
    options={
        **OPTIONS,
        "site": Option(help="address of the site, such as https://contoso.sharepoint.com/sites/hr"),
        "site_id": Option(help="id of the site, in place of its address"),
        "user": Option(help="address of the person whose OneDrive is meant"),
        "removal": Option(help='"permanent" (default): files go past the recycle bin; "recycle-bin": into it'),
        "recycle_bin_days": Option((int,), help="days that the bin keeps, where it cannot be read; 93 unless given"),
        "sharepoint_rest": Option((bool,), help="remove list items for good, by SharePoint's own interface"),
        "graph_url": Option(help="address of Graph with its version, where it is not Microsoft's"),
    },
    dataset_options={
        "pattern": Option(help="which files of a library are records: a glob; default *"),
        "flag_column": Option(help="column that shows that a record is flagged"),
        "flag_value": Option((str, int, float, bool), help="what is written in it; default ropa"),
    },
    default_anchors=DEFAULT_ANCHORS,
)
