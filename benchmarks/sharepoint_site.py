"""A site of any size that needs no memory: the simulated pages of ``benchmarks/sharepoint.py``.

``Site`` answers as Graph would, after a round trip that is slept; ``Counted`` sends on to a real server. Both are
transports for httpx, count what they are asked, and give a token themselves: signing in is not what is measured.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from urllib.parse import parse_qsl, unquote

import httpx

HOST = "https://graph.simulated"
LOGIN = "https://login.simulated/tenant/v2.0"
LIST = "0e6d4b3a-1111-4222-8333-944455556666"
DRIVE = "b!simulated"
OPTIONS = {"client_id": "bench", "client_secret": "none", "authority": LOGIN, "max_wait": 60}
_OLD, _NEW = "2015-05-05T00:00:00Z", "2026-11-01T00:00:00Z"


class Counted(httpx.BaseTransport):
    """Counts the requests, and those under way at once."""

    def __init__(self, inner: httpx.BaseTransport | None = None, *, trip: float = 0.0) -> None:
        self._inner = inner
        self._trip = trip
        self._lock = threading.Lock()
        self._under_way = 0
        self.pages = self.batches = self.others = self.most = 0

    @property
    def requests(self) -> int:
        return self.pages + self.batches + self.others

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.host == "login.simulated":
            return _login(request)
        path = request.url.path
        with self._lock:
            self._under_way += 1
            self.most = max(self.most, self._under_way)
            if path.endswith("$batch"):
                self.batches += 1
            elif path.endswith(("/items", "/delta")):
                self.pages += 1
            else:
                self.others += 1
        try:
            time.sleep(self._trip)
            return self.answer(request)
        finally:
            with self._lock:
                self._under_way -= 1

    def answer(self, request: httpx.Request) -> httpx.Response:
        if self._inner is None:
            raise httpx.ConnectError("nothing behind it")
        return self._inner.handle_request(request)

    def close(self) -> None:
        if self._inner is not None:
            self._inner.close()


class Site(Counted):
    """A library and a list of ``size`` records each, of which every ``1/share``-th is old."""

    def __init__(self, size: int, *, share: float = 1.0, page: int = 200, trip: float = 0.0) -> None:
        super().__init__(trip=trip)
        self._size = size
        self._every = round(1 / share) if share else 0
        self._page = page
        self._gone: set[str] = set()
        self._masked: set[str] = set()

    def answer(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        query = dict(parse_qsl(url.query.decode()))
        if url.path.endswith("$batch"):
            parts = json.loads(request.content)["requests"]
            told = [self._part(part) for part in parts]
            return httpx.Response(200, json={"responses": told}, request=request)
        status, body = self._get(unquote(url.path).removeprefix("/v1.0"), query)
        return httpx.Response(status, json=body, request=request)

    def _get(self, path: str, query: dict[str, str]) -> tuple[int, object]:
        if path.endswith("/lists"):
            return 200, {"value": [{"id": LIST, "displayName": "Klanten", "list": {"template": "genericList"}}]}
        if path.endswith("/columns"):
            return 200, {
                "value": [{"name": name, kind: {}} for name, kind in (("Title", "text"), ("Datum", "dateTime"))]
            }
        if path.endswith(("/items", "/delta")):
            start = int(query.get("$skiptoken", 0))
            end = min(start + self._page, self._size)
            item = self._file if path.endswith("/delta") else self._item
            page: dict[str, object] = {"value": [item(n) for n in range(start, end) if str(n) not in self._gone]}
            if end < self._size:
                rest = "&".join(f"{name}={value}" for name, value in query.items() if name != "$skiptoken")
                page["@odata.nextLink"] = f"{HOST}/v1.0{path}?{rest}&$skiptoken={end}"
            return 200, page
        return 200, {"id": "x"}

    def _item(self, number: int) -> dict[str, object]:
        day = _OLD if self._every and number % self._every == 0 else _NEW
        version = 2 if str(number) in self._masked else 1
        fields = {"Datum": day} | ({} if version > 1 else {"Title": f"Klant {number}"})
        return {"id": str(number), "eTag": f'"guid-{number},{version}"', "createdDateTime": day, "fields": fields,
                "lastModifiedDateTime": day}  # fmt: skip

    def _file(self, number: int) -> dict[str, object]:
        return {**self._item(number), "name": f"CV {number}.pdf", "file": {}, "parentReference": {"id": "root"}}

    def _part(self, part: dict[str, str]) -> dict[str, object]:
        method, path = part["method"], part["url"].partition("?")[0]
        found = re.search(r"/items/(\d+)(/.*)?$", path)
        if found is None:
            return {"id": part["id"], "status": 200, "body": self._get(path, {})[1]}
        number, below = found[1], found[2]
        if number in self._gone or below == "/retentionLabel":
            return {"id": part["id"], "status": 404, "body": {"error": {"code": "itemNotFound"}}}
        if method == "GET":
            body = self._file(int(number)) if "/drives/" in path else self._item(int(number))
            return {"id": part["id"], "status": 200, "body": body}
        if method == "PATCH":
            self._masked.add(number)
            return {"id": part["id"], "status": 200, "body": {"@odata.etag": f'"guid-{number},2"'}}
        self._gone.add(number)
        return {"id": part["id"], "status": 204}


def _login(request: httpx.Request) -> httpx.Response:
    if request.url.path.endswith("openid-configuration"):
        body = {"issuer": LOGIN, "token_endpoint": f"{LOGIN}/token", "authorization_endpoint": LOGIN}
        return httpx.Response(200, json=body, request=request)
    claims = base64.urlsafe_b64encode(json.dumps({"roles": ["Sites.Selected"]}).encode()).decode().rstrip("=")
    body = {"access_token": f"e30.{claims}.x", "expires_in": 36000, "token_type": "Bearer"}
    return httpx.Response(200, json=body, request=request)
