"""The connector ``files``: folders of files below one root, on a disk or a mounted share.

``root`` must hold the file ``sentinel`` (default ``.ropa-root``): it says that this is the place, and its absence that
a share is not mounted. A dataset is a folder (``source``, relative to the root; ``.`` is the root itself) with
everything below it that matches ``pattern``, a glob: on the name, or, where it holds a ``/``, on the path below that
folder (``*`` stays within one folder, ``**`` does not). Where ``data`` gives globs, a file that none of them matches is
no record: nothing is known about what it holds. The key of a record is its path from the root.

An anchor is the time of last change (``mtime``) or a date in the name. ``subject`` may name ``name``, ``folder`` or
``path``: see ``connectors.files.names.Persons``. Needs the right to list and stat, to purge also to write in the
folders. A purge is final as far as the file system goes; blocks, snapshots and backups may still hold the bytes
(``logical``).
"""

from __future__ import annotations

from connectors.files.location import CAPABILITIES, DEFAULT_ANCHORS, FilesConnector
from connectors.files.roots import DEFAULT_SENTINEL
from ropa.connector import ConnectorType, Option

__all__ = ["TYPE", "FilesConnector"]

TYPE = ConnectorType(
    name="files",
    open=FilesConnector,
    capabilities=CAPABILITIES,
    options={
        "root": Option(is_required=True, is_path=True, help="The folder that holds the datasets' folders."),
        "sentinel": Option(help=f"A file that must exist in the root; default {DEFAULT_SENTINEL}."),
        "pattern": Option(help="Which files are records: a glob; default *."),
    },
    dataset_options={
        "pattern": Option(help="Which files are records of this dataset, in place of the location's pattern."),
        "prune_empty": Option(types=(bool,), help="Whether folders that a purge empties are removed."),
    },
    default_anchors=DEFAULT_ANCHORS,
)
