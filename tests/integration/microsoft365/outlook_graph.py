"""Mailboxes in this process that answer as Graph does, for what the stand-ins do not do; and a token service beside.

Requests and answers, also those within a batch, are checked by Microsoft's own definition where it is there
(`DEFINITION`). Everything is made up, and the same each time.
"""

from __future__ import annotations

import base64
import json
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from zoneinfo import ZoneInfo

import httpx

from connectors.microsoft365.outlook.location import OutlookLocation
from ropa.clock import start_of_day
from ropa.connector import Before, DatasetSpec, LocationSpec, Selection

BEDS = Path(os.environ.get("ROPA_BEDS") or Path(__file__).parents[4] / "shared" / "beds")
DEFINITION = BEDS / "microsoft365" / "graph-v1.0-slice.openapi.json"
GRAPH = "https://graph.microsoft.com/v1.0/"
LOGIN = "https://login.test/tenant/v2.0"
ZONE = ZoneInfo("Europe/Brussels")
NOW = datetime(2026, 11, 22, 2, 30, tzinfo=UTC)
CUTOFF = date(2026, 5, 21)
INFO, SALES = "info@example.org", "sales@example.org"
ROLES = ("Mail.ReadWrite", "Contacts.ReadWrite", "GroupMember.Read.All")
CANARY = "canary-7b1f"
_CONDITION = re.compile(r"receivedDateTime (lt|le|gt|ge) (\S+)")
_COMPARE: Mapping[str, Callable[[str, str], bool]] = {
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
}

Told = tuple[int, dict[str, str], Any]
"""Status, headers, body."""


@dataclass
class Folder:
    id: str
    name: str
    parent: str | None = None
    known: str = ""


@dataclass
class Mailbox:
    """One mailbox: folders and items of both kinds, by id."""

    folders: dict[str, dict[str, Folder]] = field(default_factory=dict)
    items: dict[str, dict[str, dict[str, Any]]] = field(default_factory=lambda: {"messages": {}, "contacts": {}})

    def __post_init__(self) -> None:
        mail = [
            Folder("f-inbox", "Postvak IN", known="inbox"),
            Folder("f-cv", "Sollicitaties", "f-inbox"),
            Folder("f-cv-old", "Oud", "f-cv"),
            Folder("f-sent", "Verzonden items", known="sentitems"),
            Folder("f-deleted", "Verwijderde items", known="deleteditems"),
        ]
        contacts = [Folder("c-klanten", "Klanten"), Folder("c-oud", "Oud", "c-klanten")]
        self.folders = {"messages": {f.id: f for f in mail}, "contacts": {f.id: f for f in contacts}}

    def folder(self, kind: str, name: str) -> Folder | None:
        own = self.folders[kind]
        return own.get(name) or next((f for f in own.values() if f.known == name), None)


class Graph(httpx.BaseTransport):
    """The service. ``page``: the most records it gives at a time, whatever is asked."""

    def __init__(self, *mailboxes: str, page: int = 1000, roles: tuple[str, ...] = ROLES) -> None:
        self.mailboxes = {name: Mailbox() for name in mailboxes or (INFO,)}
        self.groups: dict[str, tuple[str, list[dict[str, Any]]]] = {}
        """Id to address and members."""
        self.page = page
        self.roles = roles
        self.latency = 0.0
        self.is_checked = DEFINITION.is_file()
        self.log: list[tuple[str, str]] = []
        """Every request that came over the line: method and path."""
        self.parts: list[tuple[str, str]] = []
        """Every part of every batch."""
        self.before: Callable[[str, str], httpx.Response | Exception | None] = lambda _method, _path: None
        self.after: Callable[[str, str], Exception | None] = lambda _method, _path: None
        """What happens to the answer of a request that was carried out."""
        self.instead: Callable[[str, str], Told | None] = lambda _method, _url: None
        """Of a part or a single request: an answer in place of the true one."""
        self.changed: Callable[[str, Any], Any] = lambda _url, body: body
        """Changes what a list answers."""
        self.under_way = self.most_at_once = 0
        self._lock = threading.Lock()
        self._number = 0

    # --- filling --------------------------------------------------------------------------------------------------

    def add(
        self, number: str, on: datetime | None, *, mailbox: str = INFO, folder: str = "f-inbox", **more: Any
    ) -> None:
        """Put a message into a folder, or a contact where ``folder`` begins with ``c-`` (``c-`` alone: the default)."""
        kind = "contacts" if folder.startswith("c-") else "messages"
        stamp = None if on is None else on.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        dates = ("createdDateTime",) if kind == "contacts" else ("receivedDateTime", "createdDateTime")
        item = {"id": number, "parentFolderId": folder, "changeKey": self._key(), "categories": []}
        self.mailboxes[mailbox].items[kind][number] = item | dict.fromkeys(dates, stamp) | more

    def item(self, number: str, mailbox: str = INFO) -> dict[str, Any]:
        own = self.mailboxes[mailbox].items
        return own["messages"].get(number) or own["contacts"][number]

    def touch(self, number: str, mailbox: str = INFO, **more: Any) -> None:
        """Change an item as somebody else would."""
        self.item(number, mailbox).update(more, changeKey=self._key())

    def ids(self, kind: str = "messages", mailbox: str = INFO) -> list[str]:
        return sorted(self.mailboxes[mailbox].items[kind])

    def _key(self) -> str:
        self._number += 1
        return f"CQ{self._number}"

    # --- answering ------------------------------------------------------------------------------------------------

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.host == "login.test":
            return self._sign_in(request)
        assert request.url.host == "graph.microsoft.com", "nothing may be sent elsewhere"
        assert request.headers["authorization"] == f"Bearer {self._token()}"
        assert "ImmutableId" in request.headers.get("prefer", ""), "ids of two sorts would be mixed"
        path = request.url.path.removeprefix("/v1.0/")
        body = json.loads(request.content) if request.content else None
        weight = min(4, len(body["requests"])) if path == "$batch" else 1
        with self._lock:
            self.log.append((request.method, path))
            self.under_way += weight
            self.most_at_once = max(self.most_at_once, self.under_way)
        try:
            if self.latency:
                time.sleep(self.latency)
            early = self.before(request.method, path)
            if isinstance(early, Exception):
                raise early
            if early is not None:
                return early
            with self._lock:
                url = str(request.url).removeprefix(GRAPH)
                status, headers, told = self._batch(body) if path == "$batch" else self._one(request.method, url, body)
            late = self.after(request.method, path)
            if late is not None:
                raise late
            date_now = {"Date": "Sun, 22 Nov 2026 02:30:00 GMT"}
            return (
                httpx.Response(status, headers=date_now | headers, json=told)
                if told is not None
                else httpx.Response(status, headers=date_now)
            )
        finally:
            with self._lock:
                self.under_way -= weight

    def _batch(self, body: Any) -> Told:
        self._check("POST", "$batch", body, 200, {"responses": []})
        responses = []
        for part in body["requests"]:
            assert "ImmutableId" in part["headers"]["prefer"], "each part says it"
            assert part["url"].startswith("/users/"), "relative"
            if part["method"] in {"POST", "PATCH"}:
                assert part["headers"]["content-type"] == "application/json"
                assert "body" in part
            self.parts.append((part["method"], part["url"]))
            sent = part.get("body") if part["method"] == "PATCH" else None
            status, headers, told = self._one(part["method"], part["url"][1:], sent)
            responses.append({"id": part["id"], "status": status, "headers": headers, "body": told})
        return 200, {}, {"responses": responses[::-1]}  # in any order

    def _one(self, method: str, url: str, body: Any) -> Told:
        told = self.instead(method, url)
        if told is None:
            told = self._answer(method, url, body)
            self._check(method, url, body, told[0], told[2])
        return told

    def _answer(self, method: str, url: str, body: Any) -> Told:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query))
        names = [unquote(name) for name in parts.path.split("/")]
        if names[0] == "groups":
            return self._groups(names, query)
        mailbox = self.mailboxes.get(names[1])
        if mailbox is None:
            return _fault(404, "ErrorInvalidUser")
        rest = names[2:]
        if rest[0] in {"mailFolders", "contactFolders"}:
            kind = "messages" if rest[0] == "mailFolders" else "contacts"
            return self._folders(mailbox, kind, method, rest[1:], body, url, query)
        return self._items(mailbox, rest[0], None, method, rest[1:], body, url, query)

    def _folders(self, mailbox, kind, method, rest, body, url, query) -> Told:
        own = mailbox.folders[kind]
        if not rest or rest[1:] == ["childFolders"]:
            parent = None
            if rest:
                found = mailbox.folder(kind, rest[0])
                if found is None:
                    return _fault(404, "ErrorItemNotFound")
                parent = found.id
            children = [_spell(folder, own, kind) for folder in own.values() if folder.parent == parent]
            return self._page(children, url, query)
        folder = mailbox.folder(kind, rest[0])
        if folder is None:
            return _fault(404, "ErrorItemNotFound")
        if len(rest) == 1:
            count = sum(item["parentFolderId"] == folder.id for item in mailbox.items[kind].values())
            return 200, {}, _chosen(_spell(folder, own, kind) | {"totalItemCount": count}, query)
        return self._items(mailbox, kind, folder.id, method, rest[2:], body, url, query)

    def _items(self, mailbox, kind, folder, method, rest, body, url, query) -> Told:
        items = mailbox.items[kind]
        if not rest:
            where = "c-" if kind == "contacts" and folder is None else folder
            found = [item for item in items.values() if where is None or item["parentFolderId"] == where]
            return self._page([item for item in found if _fits(item, query.get("$filter"))], url, query)
        item = items.get(rest[0])
        if item is None or (folder is not None and item["parentFolderId"] != folder):
            return _fault(404, "ErrorItemNotFound")
        if rest[1:] == ["permanentDelete"] and method == "POST":
            del items[rest[0]]
            return 204, {}, None
        if method == "DELETE":
            if kind == "messages" and item["parentFolderId"] != "f-deleted":
                item["parentFolderId"] = "f-deleted"
            else:
                del items[rest[0]]
            return 204, {}, None
        if method == "PATCH":
            item.update(body, changeKey=self._key())
        return 200, {}, _chosen(item, query)

    def _page(self, rows: list[dict[str, Any]], url: str, query: dict[str, str]) -> Told:
        top, skip = min(int(query.get("$top", "10")), self.page), int(query.get("$skip", "0"))
        body: dict[str, Any] = {"value": [_chosen(row, query) for row in rows[skip : skip + top]]}
        if query.get("$count") == "true":
            body["@odata.count"] = len(rows)
        if skip + top < len(rows):
            link = re.sub(r"&\$skip=\d+", "", url) + f"&$skip={skip + top}"
            body["@odata.nextLink"] = f"{GRAPH}{link}"
        return 200, {}, self.changed(url, body)

    def _groups(self, names: list[str], query: dict[str, str]) -> Told:
        if len(names) == 1:
            found = [{"id": number} for number, (mail, _) in self.groups.items() if f"'{mail}'" in query["$filter"]]
            return 200, {}, {"value": found}
        members = self.groups[names[1]][1]
        return self._page(members, "/".join(names) + "?" + "&".join(f"{k}={v}" for k, v in query.items()), query)

    # --- signing in, checking -------------------------------------------------------------------------------------

    def _sign_in(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={
                "issuer": LOGIN, "authorization_endpoint": f"{LOGIN}/authorize", "token_endpoint": f"{LOGIN}/token",
            })  # fmt: skip
        return httpx.Response(200, json={"access_token": self._token(), "expires_in": 3600, "token_type": "Bearer"})

    def _token(self) -> str:
        claims = {"aud": "https://graph.microsoft.com"} | ({"roles": list(self.roles)} if self.roles else {})
        return f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.secret"

    def _check(self, method: str, url: str, body: Any, status: int, told: Any) -> None:
        is_defined = not url.startswith("groups") and not ("contactFolders" in url and "childFolders" in url)
        if self.is_checked and is_defined and status < 400:
            check(method, url, body, status, told)


_API: list[Any] = []


def check(method: str, url: str, body: Any, status: int, told: Any) -> None:
    """Compare a request and its answer with Microsoft's definition. Raises what openapi-core raises."""
    from openapi_core import OpenAPI
    from openapi_core.testing import MockRequest, MockResponse

    if not _API:
        _API.append(OpenAPI.from_dict(json.loads(DEFINITION.read_text())))
    parts = urlsplit(url)
    args = dict(parse_qsl(parts.query))
    sent = None if body is None else json.dumps(body).encode()
    request = MockRequest(GRAPH.rstrip("/").removesuffix("/v1.0"), method, f"/v1.0/{parts.path}", args=args, data=sent)
    _API[0].validate_request(request)
    if told is not None:
        clean = json.dumps(told).encode()
        _API[0].validate_response(request, MockResponse(clean, status_code=status))


def _fits(item: Mapping[str, Any], condition: str | None) -> bool:
    if condition is None:
        return True
    found = _CONDITION.findall(condition)
    assert " and ".join(f"receivedDateTime {o} {v}" for o, v in found) == condition.replace(" or ", " and ")
    received = item.get("receivedDateTime")
    answers = [received is not None and _COMPARE[operator](received, value) for operator, value in found]
    return any(answers) if " or " in condition else all(answers)


def _chosen(row: Mapping[str, Any], query: Mapping[str, str]) -> dict[str, Any]:
    columns = query.get("$select")
    wanted = columns.split(",") if columns else list(row)
    return {name: value for name, value in row.items() if name in wanted or name.startswith("@")}


def _spell(folder: Folder, own: Mapping[str, Folder], kind: str) -> dict[str, Any]:
    spelled: dict[str, Any] = {"id": folder.id, "displayName": folder.name, "parentFolderId": folder.parent}
    if kind == "messages":
        spelled["childFolderCount"] = sum(other.parent == folder.id for other in own.values())
    return spelled


def _fault(status: int, code: str, message: str = f"About {CANARY}.") -> Told:
    return status, {}, {"error": {"code": code, "message": message}}


fault = _fault


# --- asking -------------------------------------------------------------------------------------------------------


def opened(graph: Graph, source: str = "messages", *, batch_size: int | None = None, **options: Any) -> OutlookLocation:
    """Open a location with one dataset, ``items``; what belongs to the dataset is told from the rest by its name."""
    own = {name: options.pop(name) for name in ("subfolders", "recheck") if name in options}
    subject = options.pop("subject", ())
    data = options.pop("data", {})
    dataset = DatasetSpec("items", source, ZONE, subject=subject, data=data, options=own)
    return located(graph, {"items": dataset}, batch_size=batch_size, **options)


def located(
    graph: Graph, datasets: Mapping[str, DatasetSpec], *, batch_size: int | None = None, **options: Any
) -> OutlookLocation:
    """Open a location."""
    signing = {"tenant_id": "tenant", "client_id": f"app-{id(graph)}", "client_secret": "s3cret", "authority": LOGIN}
    reached = {} if "group" in options else {"mailboxes": list(graph.mailboxes)}
    spec = LocationSpec("mail", "outlook", ZONE, signing | reached | options, datasets, batch_size)
    return OutlookLocation(spec, transport=graph)


def due(anchor: str = "received", day: date = CUTOFF, **more: Any) -> Selection:
    """Return the selection of what is before a day."""
    before = (Before(anchor, day, start_of_day(day, ZONE)),)
    return Selection("items", ZONE, NOW, **({"before": before, "anchors": (anchor,)} | more))


def days_ago(days: int) -> datetime:
    return NOW - timedelta(days=days)


def drained(batches: Any) -> tuple[list[Any], Any]:
    """Return all batches, and what the listing told at its end."""
    found = []
    while True:
        try:
            found.append(next(batches))
        except StopIteration as end:
            return found, end.value
