"""Logs of one JSON object a line: nginx, Caddy, Traefik, and what is made like them.

Invariant: a line is dated by a member of its outermost object, the first of ``_DATES`` that is there; a line that is no
JSON, or says a member twice, has no date. Fields are found by their names at any depth; what stands below such a name
in an object or a list is part of the field, unless a name of its own says another. Only what stands between the quotes
of a text is changed; a number or another bare word becomes ``null``, so that the line stays JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from datetime import datetime

from connectors.weblog.fields import Span
from connectors.weblog.readers import STRUCTURE, Piece
from connectors.weblog.stamps import Days
from ropa.clock import Moment, read_moment

_DATES = (
    "StartUTC",
    "StartLocal",
    "time_iso8601",
    "time_local",
    "date",
    "@timestamp",
    "timestamp",
    "time",
    "ts",
    "msec",
)
_EPOCHS = frozenset({"ts", "msec"})
_NAMES = {
    "ip": """ip remote_addr remote_ip client_ip clientip client client_addr clientaddr clienthost client_host
        remote_host realip_remote_addr forwarded forwarded_for x_forwarded x_forwarded_for x_original_forwarded_for
        x_real_ip x_client_ip x_cluster_client_ip x_remote_ip x_remote_addr x_originating_ip x_appengine_user_ip
        x_envoy_external_address x_azure_clientip x_azure_socketip true_client_ip cf_connecting_ip cf_connecting_ipv6
        cf_pseudo_ipv4 fastly_client_ip fly_client_ip do_connecting_ip proxy_client_ip wl_proxy_client_ip""",
    "user": "user remote_user user_id userid username clientusername",
    "referer": "referer referrer",
    "user-agent": "user_agent useragent agent",
    "request": "request uri path url args query query_string uri_path requestpath requestline",
}
_COLUMNS = {name: column for column, names in _NAMES.items() for name in names.split()}
_PART = re.compile(rb'"((?:[^"\\]|\\.)*+)"(\s*+:)?|([{\[])|([}\]])|([-+.0-9A-Za-z]++)')
_HEADER_OF = re.compile("^(?:request_|origin_|downstream_)?(?:http_)?")
"""How headers are named by Traefik and nginx."""
_HOLDER = b"request"
"""Caddy's object of this name holds fields of many kinds: only their own names say which."""
_NULL = b"null"
_EXPANDED = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ]")


class JsonReader:
    """See the module."""

    def __init__(self, days: Days) -> None:
        self._days = days
        self._names: dict[bytes, str | None] = {}

    def pieces(self, block: bytes, start: int, end: int) -> Iterator[Piece]:
        """See ``Reader.pieces``."""
        while start < end:
            stop = block.find(b"\n", start, end) + 1 or end
            yield self._day(block[start:stop]), start, stop
            start = stop

    def fields(self, line: bytes) -> list[Span]:
        """See ``Reader.fields``."""
        spans: list[Span] = []
        column: str | None = None
        around: list[str | None] = []
        """The columns of the objects and lists that the place is in."""
        is_holder = False
        for found in _PART.finditer(line):
            text, name, opening, closing, _ = found.groups()
            if name is not None:
                column = self._column(text) or (around[-1] if around else None)
                is_holder = text == _HOLDER
            elif opening is not None:
                around.append(None if is_holder and opening == b"{" else column)
                column, is_holder = around[-1], False
            elif closing is not None:
                del around[-1:]
                column = around[-1] if around else None
            elif column is not None:
                spans.append((column, *found.span(1)) if text is not None else (column, *found.span(5), _NULL))
        return spans

    def trace(self, days: Iterable[int]) -> re.Pattern[bytes] | None:  # noqa: ARG002 - the protocol's
        """Return None: dates may be numbers."""
        return None

    def _column(self, name: bytes) -> str | None:
        if name not in self._names:
            if len(self._names) > 1000:
                self._names.clear()
            text = name.decode("utf-8", "replace").casefold().replace("-", "_")
            self._names[name] = _COLUMNS.get(_HEADER_OF.sub("", text), _COLUMNS.get(text))
        return self._names[name]

    def _day(self, line: bytes) -> int | None:
        if not line.strip(b" \t\r\n\0"):
            return STRUCTURE
        try:
            # Every byte is a character of Latin-1: a line is not lost for a byte that is no UTF-8.
            members = json.loads(line.lstrip(b"\xef\xbb\xbf\0").decode("latin-1"), object_pairs_hook=_once)
        except (ValueError, RecursionError):
            return None
        if not isinstance(members, dict):
            return None
        name = next((name for name in _DATES if name in members), None)
        return None if name is None else self._days.of_moment(self._moment(name, members[name]))

    def _moment(self, name: str, value: object) -> Moment | None:
        if isinstance(value, int | float) or (name in _EPOCHS and isinstance(value, str)):
            return read_moment(value, zone=self._days.local, form="epoch") if name in _EPOCHS else None
        if not isinstance(value, str):
            return None
        if _EXPANDED.match(value):
            found = read_moment(value, zone=self._days.local)
            return found if isinstance(found, datetime) else None
        return read_moment(value, zone=self._days.local, form="%d/%b/%Y:%H:%M:%S %z")


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands there twice")
    return members
