"""One origin, spoken to with a token: what every request to Microsoft 365 goes through.

Invariant: a token goes to the scheme, host and port it was opened for and nowhere else: a link or a redirect that leads
away from there is an error, and nothing is sent. What the service asks to wait is waited, by every thread, within a
budget; a request that was perhaps carried out is never sent twice unless that is harmless. No address with a query, no
header and no body is ever logged or in an error.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import httpx

from connectors.microsoft365.answers import Answer, AnswerError, challenge_of, date_of, wait_of
from connectors.microsoft365.auth import Tokens
from connectors.microsoft365.pace import Pace
from ropa.errors import IncompleteListingError, LocationError

MAX_WAIT = 900.0
"""Seconds that one request may be made to wait in all, unless configured."""
_WAIT_STATUSES = frozenset({429, 503, 504})
_REPEATABLE = frozenset({"GET", "HEAD"})
_ATTEMPTS = 4
"""Of a request that got no answer at all, where repeating it is harmless."""
_REDIRECTS = 5
_TIMEOUT = httpx.Timeout(10.0, read=120.0, write=120.0, pool=None)

# They log every address with its query, which may hold a name.
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpcore").setLevel(logging.WARNING)


def open_client(ca_file: str | None, *, transport: httpx.BaseTransport | None = None) -> httpx.Client:
    """Return the client that tokens and requests share: it follows no redirect and keeps no cookie.

    ``ca_file``: PEM to trust besides the system's authorities. Raises LocationError when it cannot be read.
    """
    import ssl

    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as error:
            raise LocationError(
                "ca_file cannot be read", code="option", next_step="Give a PEM file with one or more certificates."
            ) from error
    return httpx.Client(
        verify=context, timeout=_TIMEOUT, follow_redirects=False, headers={"User-Agent": _agent()}, transport=transport
    )


def _agent() -> str:
    """How Microsoft asks traffic to be decorated: kind, company, application and version."""
    try:
        number = version("ropa")
    except PackageNotFoundError:
        number = "0"
    return f"NONISV|ropa|ropa/{number}"


class Service:
    """One origin and the token for it; threads may share it."""

    def __init__(
        self, location: str, root: str, tokens: Tokens, client: httpx.Client, *, pace: Pace, max_wait: float = MAX_WAIT
    ) -> None:
        """``root``: what relative addresses are relative to, with a slash at its end."""
        self.location = location
        self.root = httpx.URL(root)
        self.tokens = tokens
        self.pace = pace
        self.max_wait = max_wait
        self.headers: dict[str, str] = {}
        """What every request says besides."""
        self.requests = 0
        """How many requests were sent, repeats among them."""
        self.seen_at: datetime | None = None
        """The service's own clock, of its last answer."""
        self._client = client
        self._origin = _origin(self.root)

    def address(self, url: str) -> httpx.URL:
        """Return the whole address of a relative or absolute one. Raises LocationError where it leads elsewhere."""
        found = self.root.join(url)
        if _origin(found) != self._origin or found.userinfo:
            raise self.error(
                "the service names an address on another host; nothing was sent there",
                "foreign-origin",
                "Compare url with the service's own address; a proxy may be rewriting its answers.",
            )
        return found

    def get(self, url: str, *, headers: Mapping[str, str] | None = None, needs: str = "") -> Any:
        """Return the JSON of an address. ``needs``: the permission to name where it is refused.

        Raises AnswerError for another status than success, LocationError for no JSON.
        """
        answer = self.send("GET", url, headers=headers)
        if not answer.is_ok:
            raise self.refusal(answer, needs)
        try:
            return answer.json()
        except ValueError as error:
            raise self.error("the service answers something else than JSON", "answer", "Compare url.") from error

    def pages(self, url: str, *, headers: Mapping[str, str] | None = None, needs: str = "") -> Iterator[list[Any]]:
        """Yield the values of each page, one request a page, following whole next links with the same headers.

        Raises IncompleteListingError where a page is no page, or a link leads back to a page that was seen; AnswerError
        with status 410 where the service wants the listing to start over.
        """
        for page in self.whole_pages(url, headers=headers, needs=needs):
            yield page["value"]

    def whole_pages(
        self, url: str, *, headers: Mapping[str, str] | None = None, needs: str = ""
    ) -> Iterator[dict[str, Any]]:
        """Yield each page as it is, with its annotations; ``value`` is a list. See ``pages``."""
        seen: set[int] = set()
        link: str | None = url
        while link is not None:
            address = str(self.address(link))
            if hash(address) in seen:
                raise self.incomplete("its pages lead round in a circle")
            seen.add(hash(address))
            page = self.get(address, headers=headers, needs=needs)
            values = page.get("value") if isinstance(page, dict) else None
            if not isinstance(values, list):
                raise self.incomplete("a page has no values")
            yield page
            link = page.get("@odata.nextLink")
            if link is not None and not isinstance(link, str):
                raise self.incomplete("a link to the next page is no text")
            if link is not None and link.startswith("?"):
                link = str(httpx.URL(address).copy_with(query=link[1:].encode()))

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        weight: int = 1,
    ) -> Answer:
        """Send a request and return its answer, whatever its status: waiting and a token that ended are seen to.

        Status 0 where no answer came to a request that is not safe to repeat. Raises LocationError: no answer to one
        that is; made to wait for longer than the budget; a redirect away from the origin; no token.
        """
        address = self.address(url)
        waited, attempt, redirects, is_renewed = 0.0, 0, 0, False
        while True:
            waited = self._wait(waited)
            token = self.tokens.get()
            try:
                with self.pace.turn(weight):
                    said = {**self.headers, **(headers or {}), "Authorization": f"Bearer {token}"}
                    answer = self._once(method, address, said, content)
            except httpx.TransportError as error:
                attempt += 1
                is_unsent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
                if method not in _REPEATABLE and not is_unsent:
                    return Answer(0)
                if attempt >= _ATTEMPTS:
                    raise self.error("the service does not answer", "unreachable", "Try again later.") from error
                self.pace.put_off(float(2**attempt) / 2)
                continue
            if answer.status == 504 and method not in _REPEATABLE:
                return Answer(0)  # a gateway gave up waiting: the service may have carried it out
            if answer.status in _WAIT_STATUSES:
                attempt += 1
                self.put_off(wait_of(answer.headers, attempt), waited)
            elif answer.status == 401 and not is_renewed:
                is_renewed = True
                self.tokens.renew(token, challenge_of(answer.headers))
            elif answer.status in {301, 302, 307, 308} and method in _REPEATABLE and redirects < _REDIRECTS:
                redirects += 1
                address = self.address(str(address.join(answer.headers.get("location", ""))))
            else:
                return answer

    def put_off(self, seconds: float, waited: float = 0.0) -> None:
        """Let every request wait so long. Raises LocationError where the budget of one is spent by that."""
        if waited + seconds > self.max_wait:
            raise self.error(
                f"the service asks to wait {seconds:.0f} seconds more, after {waited:.0f}",
                "throttled",
                "Run again later, or raise max_wait.",
            )
        self.pace.put_off(seconds)

    def refusal(self, answer: Answer, needs: str = "") -> AnswerError:
        """Return the error for an answer that ends everything, not one record."""
        fault = answer.fault
        code, what, step = fault.code, f"the service answers {fault.status} ({fault.code})", "See the docs page."
        if fault.status == 401:
            audience = self.tokens.claims().get("aud")
            whose = f", which is for {audience}" if audience else ""
            code, what = "unauthenticated", f"the service refuses the token{whose}"
            step = "Compare url, resource and tenant_id."
        elif fault.status == 403:
            code, what = "denied", f"access is denied ({fault.code})"
            step = f"Grant {needs} to the app." if needs else "Grant the app the permission for this."
        elif fault.status == 404:
            code, what, step = "missing", f"it is not there ({fault.code})", "Compare url, source and site."
        return AnswerError(f"location {self.location}: {what}", answer, code=code, next_step=step)

    def error(self, message: str, code: str, next_step: str) -> LocationError:
        """Return an error of this location."""
        return LocationError(f"location {self.location}: {message}", code=code, next_step=next_step)

    def incomplete(self, message: str) -> IncompleteListingError:
        """Return the error for a listing that is not whole."""
        return IncompleteListingError(
            f"location {self.location}: {message}",
            code="listing",
            next_step="Run again; nothing was concluded from it.",
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _wait(self, waited: float) -> float:
        while (seconds := self.pace.delay()) > 0:
            if waited + seconds > self.max_wait:
                self.put_off(seconds, waited)
            time.sleep(seconds)
            waited += seconds
        return waited

    def _once(self, method: str, address: httpx.URL, headers: Mapping[str, str], content: bytes | None) -> Answer:
        self.requests += 1
        found = self._client.request(method, address, headers=headers, content=content)
        self._client.cookies.clear()
        self.seen_at = date_of(found.headers.get("date")) or self.seen_at
        return Answer(found.status_code, found.headers, found.content)


def _origin(url: httpx.URL) -> str:
    port = url.port or {"https": 443, "http": 80}.get(url.scheme, 0)
    return f"{url.scheme}://{url.host}:{port}"
