"""The connector ``weblog``: access logs of web servers, below one root.

``root`` must hold the file ``sentinel``, as for ``files``. A dataset is a folder (``source``; ``.`` is the root itself)
with every log below it that matches ``pattern``: say there which logs are rotated ones, for a log that is still being
written is refused. Logs are plain or compressed (gzip, zstd, xz), in one of the formats that
``connectors.weblog.formats.NAMES`` lists, or in a pattern of one's own (``format = "pattern"``).

A record is a range of lines: consecutive lines of one log with the same calendar day in the controller's zone. Its key
is (path from the root, "first-last"). The anchor is ``line``, that day. ``purge`` removes the lines; ``anonymise``
masks addresses (``truncate-ip``) or puts ``-`` in place of fields. The new log is written beside the old one and
exchanged for it. What is purged is gone from the file system; blocks, snapshots and backups may still hold it
(``logical``).
"""

from __future__ import annotations

from connectors.files.roots import DEFAULT_SENTINEL
from connectors.weblog.dataset import DEFAULT_ANCHORS
from connectors.weblog.location import CAPABILITIES, WeblogConnector
from connectors.weblog.versions import lasting_key
from ropa.connector import ConnectorType, Option

__all__ = ["TYPE", "WeblogConnector"]

_FORMAT = {
    "pattern": Option(help="Which files are rotated logs: a glob, such as access.log-*; default *."),
    "format": Option(help="How lines are written: combined, json, iis, haproxy, …, pattern; default auto."),
    "line_pattern": Option(help="With format = pattern: an RE2 expression with the groups date, ip, user, …."),
    "date_format": Option(help="With format = pattern: how date is written (strptime); default ISO 8601."),
}

TYPE = ConnectorType(
    name="weblog",
    open=WeblogConnector,
    capabilities=CAPABILITIES,
    options={
        "root": Option(is_required=True, is_path=True, help="The folder that holds the datasets' folders."),
        "sentinel": Option(help=f"A file that must exist in the root; default {DEFAULT_SENTINEL}."),
        **_FORMAT,
    },
    dataset_options=_FORMAT,
    default_anchors=DEFAULT_ANCHORS,
    lasting_key=lasting_key,
)
