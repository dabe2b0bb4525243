"""A SharePoint site in memory: Graph, a token service and SharePoint's own interface, as a transport for httpx.

It answers as Microsoft's pages say, for what the stand-ins do not do: delta and 410, labels, the recycle bin, conditions,
lookups. Everything that a test wants otherwise is an attribute. All people are made up.
"""

from __future__ import annotations

import base64
import json
import re
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

import httpx

GRAPH = "https://graph.test/v1.0"
SITE = "https://contoso.test/sites/hr"
SITE_ID = "contoso.test,5a1e,7b2f"
LIST_ID = "0e6d4b3a-1111-4222-8333-944455556666"
CHILD_ID = "1f7e5c4b-2222-4333-8444-a55566667777"
LIBRARY_ID = "2a8f6d5c-3333-4444-8555-b66677778888"
DRIVE_ID = "b!drive-0001"
ROLES = ("Sites.Selected",)


@dataclass
class Item:
    """One list item or file."""

    id: str
    fields: dict = field(default_factory=dict)
    created: str | None = "2020-02-03T11:00:00Z"
    modified: str | None = "2020-02-03T11:00:00Z"
    name: str = ""
    folder: str = "root"
    number: int = 1
    label: dict | None = None
    status: int | None = None
    """What a change of it is answered with."""
    is_folder: bool = False

    def etag(self):
        return f'"{{GUID-{self.id}}},{self.number}"'

    def list_etag(self):
        return f'"guid-{self.id},{self.number}"'

    def touch(self):
        self.number += 1


@dataclass
class List:
    id: str
    title: str
    columns: list = field(default_factory=list)
    items: dict[str, Item] = field(default_factory=dict)
    template: str = "genericList"


def column(name, kind="text", **more):
    return {"name": name, "displayName": name, kind: more.pop("facet", {}), **more}


class FakeSharePoint(httpx.BaseTransport):
    def __init__(self):
        self.lists = {
            LIST_ID: List(LIST_ID, "Klanten"),
            LIBRARY_ID: List(LIBRARY_ID, "Documenten", template="documentLibrary"),
        }
        self.files: dict[str, Item] = {"root": Item("root", is_folder=True)}
        self.roles = ROLES
        self.page = 200
        self.has_delta = True
        self.has_columns = True
        self.expands = True
        """Whether a delta brings the fields along."""
        self.bin_days = None
        self.gone_after: list[int] = []
        """Pages of a delta after which the next is 410."""
        self.oddity = ""
        """relative, empty-last, repeat, foreign, circle, no-values"""
        self.answers: dict[tuple[str, str], list] = {}
        """(method, end of a path) to answers that come before its own: a status, (status, headers), or "lost"."""
        self.parts_told: dict[tuple[str, str], list] = {}
        """The same of parts of a batch; "lost": carried out and not answered, "dropped": neither."""
        self.log: list[tuple[str, str]] = []
        self.parts: list[tuple[str, str, dict, object]] = []
        self.seen_origins: set[str] = set()
        self.tokens: list[str] = []
        self.removed: dict[str, str] = {}
        """Id to how it went: bin, gone."""
        self.before_batch = None

    # --- http ------------------------------------------------------------------------------------------------------

    def handle_request(self, request):
        url, method = request.url, request.method
        self.seen_origins.add(f"{url.scheme}://{url.host}")
        path = unquote(url.raw_path.decode().partition("?")[0])
        if url.host == "login.test":
            return self._login(request, path)
        assert request.headers["authorization"].startswith("Bearer ")
        self.log.append((method, path))
        told = self._queued(self.answers, method, path)
        if told == "lost":
            raise httpx.ReadError("lost")
        if told is not None:
            return self._response(request, *told)
        body = json.loads(request.content) if request.content else None
        if path.endswith("/$batch"):
            return self._batch(request, body)
        if url.host == "contoso.test":
            return self._response(request, *self._rest(method, path, request.headers))
        query = dict(parse_qsl(url.query.decode(), keep_blank_values=True))
        return self._response(request, *self._graph(method, path.removeprefix("/v1.0"), query, request.headers, body))

    def _response(self, request, status, headers=None, body=None):
        headers = {"Date": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime()), **(headers or {})}
        if body is None:
            return httpx.Response(status, headers=headers, request=request)
        return httpx.Response(status, headers=headers, json=body, request=request)

    def _queued(self, queues, method, path):
        for (wanted, end), queue in queues.items():
            if wanted == method and path.endswith(end) and queue:
                told = queue.pop(0)
                return told if isinstance(told, str | tuple) else (told, {}, error("told"))
        return None

    def _login(self, request, path):
        if path.endswith("openid-configuration"):
            base = "https://login.test/tenant/v2.0"
            return self._response(
                request, 200, {}, {"issuer": base, "token_endpoint": f"{base}/token", "authorization_endpoint": base}
            )
        form = dict(parse_qsl(request.content.decode()))
        claims = {"aud": form["scope"].removesuffix("/.default"), "roles": list(self.roles), "n": len(self.tokens)}
        text = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
        self.tokens.append(form["scope"])
        return self._response(
            request, 200, {}, {"access_token": f"e30.{text}.x", "expires_in": 3600, "token_type": "B"}
        )

    def _batch(self, request, body):
        assert 1 <= len(body["requests"]) <= 20
        if self.before_batch is not None:
            self.before_batch(body["requests"])
        answers = []
        for part in body["requests"]:
            method, url, headers = part["method"], part["url"], httpx.Headers(part.get("headers") or {})
            assert url.startswith("/")
            path, _, query = url.partition("?")
            path = unquote(path)
            self.parts.append((method, path, dict(headers), part.get("body")))
            told = self._queued(self.parts_told, method, path)
            if told == "dropped":
                continue
            status, found, content = (
                told if isinstance(told, tuple)
                else self._graph(method, path, dict(parse_qsl(unquote(query))), headers, part.get("body"))
            )  # fmt: skip
            if told != "lost":
                answers.append({"id": part["id"], "status": status, "headers": found or {}, "body": content})
        return self._response(request, 200, {}, {"responses": answers[::-1]})

    # --- Graph -----------------------------------------------------------------------------------------------------

    def _graph(self, method, path, query, headers, body):
        drive, lists = f"/drives/{DRIVE_ID}", f"/sites/{SITE_ID}/lists"
        if method == "GET" and path in {"/sites/contoso.test:/sites/hr", f"/sites/{SITE_ID}"}:
            return 200, {}, {"id": SITE_ID, "webUrl": SITE}
        if path == f"/sites/{SITE_ID}/recycleBin":
            return (400, {}, error("invalidRequest")) if self.bin_days is None else (
                200, {}, {"id": "bin", "settings": {"retentionPeriodOverrideDays": self.bin_days}})  # fmt: skip
        if path == f"/sites/{SITE_ID}/drives":
            return self._paged(path, query, [{"id": DRIVE_ID, "name": "Documenten"}])
        if path == lists:
            return self._paged(path, query, [
                {"id": one.id, "displayName": one.title, "name": one.title, "list": {"template": one.template}}
                for one in self.lists.values()
            ])  # fmt: skip
        if path.startswith(lists) and (
            found := re.fullmatch(r"/([^/]+)/(columns|items)(?:/([^/]+)(/fields)?)?", path[len(lists) :])
        ):
            one = self.lists.get(found[1])
            if one is None or (found[2] == "columns" and not self.has_columns):
                return 404, {}, error("itemNotFound")
            if found[2] == "columns":
                return self._paged(path, query, one.columns)
            return self._items(one, found[3], found[4], method, path, query, headers, body)
        if path == f"{drive}/list":
            return 200, {}, {"id": LIBRARY_ID}
        if path == f"{drive}/list/columns" and self.has_columns:
            return self._paged(path, query, self.lists[LIBRARY_ID].columns)
        if path.startswith(drive):
            return self._drive(path[len(drive) :], method, path, query, headers, body)
        return 404, {}, error("itemNotFound")

    def _items(self, one, number, is_fields, method, path, query, headers, body):
        if number is None:
            return self._paged(path, query, [self._list_item(item, query) for item in one.items.values()])
        item = one.items.get(number)
        if item is None:
            return 404, {}, error("itemNotFound")
        if method == "GET":
            return 200, {}, self._list_item(item, query)
        if (refused := self._refused(item, headers, item.list_etag())) is not None:
            return refused
        if is_fields:
            item.fields.update(body)
            item.touch()
            return 200, {}, {"@odata.etag": item.list_etag(), **item.fields}
        del one.items[number]
        self.removed[number] = "bin"
        return 204, {}, None

    def _list_item(self, item, query):
        wanted = re.search(r"fields(?:\(\$select=([^)]*)\))?", query.get("$expand", ""))
        raw = {"id": item.id, "eTag": item.list_etag(), "createdDateTime": item.created,
               "lastModifiedDateTime": item.modified, "contentType": {"id": "0x01200" if item.is_folder else "0x0100"}}  # fmt: skip
        if wanted:
            names = wanted[1].split(",") if wanted[1] else list(item.fields)
            # An empty column is not there at all.
            told = {name: item.fields[name] for name in names if item.fields.get(name) is not None}
            raw["fields"] = {"@odata.etag": item.list_etag(), **told}
        return raw

    def _refused(self, item, headers, etag):
        if item.status is not None:
            return item.status, {}, error("accessDenied", "it's possible that it's on hold")
        if "if-match" in headers and headers["if-match"] != etag:
            return 412, {}, error("resourceModified")
        return None

    def _drive(self, rest, method, path, query, headers, body):
        if rest == "":
            return 200, {}, {"id": DRIVE_ID}
        if rest == "/root/delta":
            return self._delta(path, query)
        if rest == "/items":
            files = [self._file(item, {}) for item in self.files.values() if not item.is_folder]
            return self._paged(path, query, files, counted=True)
        found = re.fullmatch(r"/items/([^/]+)(/permanentDelete|/retentionLabel|/listItem|/listItem/fields)?", rest)
        item = self.files.get(found[1]) if found else None
        if item is None:
            return 404, {}, error("itemNotFound")
        what = found[2]
        if what == "/retentionLabel":
            return (200, {}, item.label) if item.label is not None else (404, {}, error("itemNotFound"))
        if what == "/listItem":
            return 200, {}, self._list_item(item, query)
        if method == "GET":
            return 200, {}, self._file(item, query, is_alone=True)
        etag = item.list_etag() if what == "/listItem/fields" else item.etag()
        if (refused := self._refused(item, headers, etag)) is not None:
            return refused
        if what == "/listItem/fields":
            item.fields.update(body)
            item.touch()
            return 200, {}, {"@odata.etag": item.list_etag(), **item.fields}
        assert (method, what) in {("POST", "/permanentDelete"), ("DELETE", None)}
        del self.files[item.id]
        self.removed[item.id] = "gone" if what else "bin"
        return 204, {}, None

    def _file(self, item, query, *, is_alone=False):
        raw = {"id": item.id, "name": item.name, "eTag": item.etag(), "size": 1000, "createdDateTime": item.created,
               "lastModifiedDateTime": item.modified}  # fmt: skip
        if item.id == "root":
            return {**raw, "name": "root", "root": {}, "folder": {}}
        raw["folder" if item.is_folder else "file"] = {}
        raw["parentReference"] = {"driveId": DRIVE_ID, "id": item.folder}
        if is_alone:
            raw["parentReference"]["path"] = f"/drives/{DRIVE_ID}/root:{self._path(item.folder)}"
        if "listItem" in query.get("$expand", "") and not item.is_folder and (is_alone or self.expands):
            raw["listItem"] = self._list_item(item, query)
        return raw

    def _path(self, folder):
        item = self.files[folder]
        return "" if folder == "root" else f"{self._path(item.folder)}/{item.name}"

    def _delta(self, path, query):
        if not self.has_delta:
            return 404, {}, error("itemNotFound")
        number = int(query.get("$skiptoken", 0))
        if self.gone_after and number >= self.gone_after[0] > 0:
            self.gone_after.pop(0)
            return 410, {"Location": f"{GRAPH}{path}?token=again"}, error("resyncChangesApplyDifferences")
        entries = [self._file(item, query) for item in self.files.values()]
        return self._paged(path, query, entries, end={"@odata.deltaLink": f"{GRAPH}{path}?token=later"})

    def _paged(self, path, query, entries, *, counted=False, end=None):
        start = int(query.get("$skiptoken", 0))
        size = min(int(query.get("$top", self.page)), self.page)
        page = {"value": entries[start : start + size]}
        if self.oddity == "repeat" and start:
            page["value"] = entries[max(start - 1, 0) : start + size]
        if counted:
            page["@odata.count"] = len(entries)
        following = start + size
        is_last = following >= len(entries) and not (self.oddity == "empty-last" and start < len(entries))
        if is_last:
            return 200, {}, page | (end or {})
        rest = "&".join(f"{name}={value}" for name, value in query.items() if name != "$skiptoken")
        link = f"{path}?{rest}&$skiptoken={following}"
        base = GRAPH
        if path.endswith(("items", "delta")):
            base = {"relative": "", "foreign": "https://evil.test/v1.0"}.get(self.oddity, GRAPH)
            if self.oddity == "circle" and start:
                link = link.replace(f"$skiptoken={following}", f"$skiptoken={start}")
            if self.oddity == "no-values":
                page = {"error": "none"}
            if self.oddity == "relative":
                link = link.removeprefix("/")
        return 200, {}, page | {"@odata.nextLink": f"{base}{link}"}

    # --- SharePoint's own interface --------------------------------------------------------------------------------

    def _rest(self, method, path, headers):
        found = re.fullmatch(r"/sites/hr/_api/web/lists\(guid'([^']+)'\)/items\((\d+)\)", path)
        assert method == "DELETE"
        assert found
        one = self.lists[found[1]]
        item = one.items.get(found[2])
        if item is None:
            return 404, {}, {"odata.error": {"code": "-2130575338"}}
        if (refused := self._refused(item, headers, f'"{item.number}"')) is not None:
            return refused
        del one.items[found[2]]
        self.removed[found[2]] = "gone"
        return 200, {}, None


def error(code, message="of some record"):
    return {"error": {"code": code, "message": message}}


OPTIONS = {
    "client_id": "app-1",
    "client_secret": "secret-canary-1c2d",
    "authority": "https://login.test/tenant/v2.0",
    "graph_url": GRAPH,
    "site": SITE,
    "max_wait": 30,
}
