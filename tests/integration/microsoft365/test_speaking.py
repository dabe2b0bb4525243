"""One origin, spoken to with a token: links, waiting, renewed tokens, lost answers, batches. Nothing but requests here."""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from microsoft365_bed import CLIENT, TENANT, Bed

from connectors.microsoft365.answers import wait_of
from connectors.microsoft365.auth import Tokens
from connectors.microsoft365.faults import fault_of
from connectors.microsoft365.graph_batch import Part, send_parts
from connectors.microsoft365.http import Service
from connectors.microsoft365.opening import certificate_notes, graph_root, open_services, root_of
from connectors.microsoft365.pace import Pace, pace_of
from ropa.connector import LocationSpec
from ropa.errors import ConfigurationError, IncompleteListingError, LocationError

ROOT = "https://graph.test/v1.0/"
Answers = Callable[[httpx.Request], httpx.Response]


class _Stub(Tokens):
    """A new token each time one is refused."""

    def __init__(self) -> None:
        self.number = 1

    def get(self) -> str:
        return f"token-{self.number}"

    def renew(self, refused: str, challenge: str | None = None) -> str:
        self.challenge = challenge
        self.number += 1
        return self.get()

    def claims(self) -> dict[str, Any]:
        return {"aud": "https://other.test"}


class _Server:
    """Answers by a function, and notes what it was asked."""

    def __init__(self, answers: Answers) -> None:
        self.asked: list[httpx.Request] = []
        self._answers = answers

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return self._answers(request)


def _service(answers: Answers, *, max_wait: float = 30.0, at_once: int = 4) -> tuple[Service, _Server]:
    server = _Server(answers)
    client = httpx.Client(transport=httpx.MockTransport(server))
    return Service("crm", ROOT, _Stub(), client, pace=Pace(at_once), max_wait=max_wait), server


@pytest.fixture(autouse=True)
def slept(monkeypatch) -> list[float]:
    """Nobody sleeps; the clock moves instead."""
    passed: list[float] = []

    def sleep(seconds: float) -> None:
        passed.append(seconds)

    monkeypatch.setattr("connectors.microsoft365.http.time.sleep", sleep)
    monkeypatch.setattr("ropa.clock.monotonic", lambda: time.monotonic() + sum(passed))
    return passed


def _pages(*pages: dict[str, Any]) -> Answers:
    waiting = iter(pages)
    return lambda _: httpx.Response(200, json=next(waiting))


# --- pages ---


def test_every_page_is_read_with_the_same_headers_and_whole_links():
    link = f"{ROOT}users?$skiptoken=a%20b%2Fc"
    service, server = _service(_pages({"value": [1], "@odata.nextLink": link}, {"value": [2]}))
    assert list(service.pages("users?$top=1", headers={"Prefer": "x"})) == [[1], [2]]
    assert [request.headers["prefer"] for request in server.asked] == ["x", "x"]
    assert str(server.asked[1].url) == link


@pytest.mark.parametrize("link", ["users?$skip=1", "/v1.0/users?$skip=1", "?$skip=1"])
def test_a_relative_link_stays_here(link):
    service, server = _service(_pages({"value": [1], "@odata.nextLink": link}, {"value": []}))
    assert list(service.pages("users")) == [[1], []]
    assert server.asked[1].url.path == "/v1.0/users"
    assert server.asked[1].url.query == b"$skip=1"


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.test/v1.0/users?$skip=1",
        "http://graph.test/v1.0/users",
        "https://graph.test:8443/v1.0/users",
        "//evil.test/users",
        "https://graph.test@evil.test/users",
        "https://user:pass@graph.test/v1.0/users",
        "https://graph.test.evil.test/users",
    ],
)
def test_a_link_to_another_origin_is_refused_and_nothing_is_sent_there(link):
    service, server = _service(_pages({"value": [1], "@odata.nextLink": link}))
    with pytest.raises(LocationError, match="nothing was sent") as caught:
        list(service.pages("users"))
    assert caught.value.code == "foreign-origin"
    assert len(server.asked) == 1


def test_pages_that_lead_round_in_a_circle_are_no_listing():
    service, _ = _service(lambda _: httpx.Response(200, json={"value": [1], "@odata.nextLink": "users?$skip=1"}))
    with pytest.raises(IncompleteListingError, match="circle"):
        list(service.pages("users"))


@pytest.mark.parametrize("page", [{}, {"value": None}, [], {"value": [], "@odata.nextLink": 7}])
def test_a_page_that_is_none_is_no_listing(page):
    service, _ = _service(lambda _: httpx.Response(200, json=page))
    with pytest.raises(IncompleteListingError):
        list(service.pages("users"))


def test_something_else_than_json_is_told():
    service, _ = _service(lambda _: httpx.Response(200, text="<html>canary</html>"))
    with pytest.raises(LocationError, match="something else than JSON") as caught:
        service.get("users")
    assert "canary" not in str(caught.value)


# --- redirects ---


def test_a_redirect_here_is_followed_and_one_away_is_refused():
    def answers(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1.0/old":
            return httpx.Response(302, headers={"Location": "/v1.0/new"})
        if request.url.path == "/v1.0/away":
            return httpx.Response(307, headers={"Location": "https://evil.test/"})
        return httpx.Response(200, json={"is": "new"})

    service, server = _service(answers)
    assert service.get("old") == {"is": "new"}
    with pytest.raises(LocationError) as caught:
        service.get("away")
    assert caught.value.code == "foreign-origin"
    assert all(request.url.host == "graph.test" for request in server.asked)


def test_redirects_have_an_end():
    service, server = _service(lambda _: httpx.Response(302, headers={"Location": "/v1.0/again"}))
    with pytest.raises(LocationError):
        service.get("again")
    assert len(server.asked) == 6


# --- waiting ---


def _then(first: httpx.Response, times: int = 1) -> Answers:
    left = [first] * times
    return lambda _: left.pop() if left else httpx.Response(200, json={"value": []})


@pytest.mark.parametrize("status", [429, 503, 504])
def test_what_the_service_asks_to_wait_is_waited(status, slept):
    service, server = _service(_then(httpx.Response(status, headers={"Retry-After": "7"})))
    service.get("users")
    assert sum(slept) == pytest.approx(7, abs=0.2)
    assert len(server.asked) == 2


def test_a_date_to_wait_for_is_read(slept):
    when = datetime.now(UTC) + timedelta(seconds=12)
    service, _ = _service(_then(httpx.Response(429, headers={"Retry-After": format_datetime(when, usegmt=True)})))
    service.get("users")
    assert 10 < sum(slept) < 13


def test_without_a_word_it_waits_longer_each_time(slept):
    service, server = _service(_then(httpx.Response(429), times=4))
    service.get("users")
    assert sum(slept) == pytest.approx(1 + 2 + 4 + 8, abs=0.5)
    assert len(server.asked) == 5


def test_nobody_waits_beyond_the_budget(slept):
    service, server = _service(lambda _: httpx.Response(429, headers={"Retry-After": "20"}), max_wait=30)
    with pytest.raises(LocationError, match="asks to wait") as caught:
        service.get("users")
    assert caught.value.code == "throttled"
    assert sum(slept) < 30
    assert len(server.asked) == 2


def test_a_service_that_always_says_now_is_given_up():
    service, server = _service(lambda _: httpx.Response(429, headers={"Retry-After": "0"}), max_wait=60)
    with pytest.raises(LocationError) as caught:
        service.get("users")
    assert caught.value.code == "throttled"
    assert len(server.asked) < 10


def test_what_one_is_told_to_wait_all_of_the_application_wait(slept):
    server = _Server(_then(httpx.Response(429, headers={"Retry-After": "5"})))
    client = httpx.Client(transport=httpx.MockTransport(server))
    pace = Pace(4)
    one, other = (Service("crm", ROOT, _Stub(), client, pace=pace) for _ in range(2))
    one.send("DELETE", "users/1")
    assert sum(slept) == pytest.approx(5, abs=0.2)
    pace.put_off(3)
    other.send("DELETE", "users/2")
    assert sum(slept) == pytest.approx(8, abs=0.3)


def test_the_longer_of_two_waits_counts():
    assert wait_of({"retry-after": "3", "ratelimit-reset": "9"}, 1) == 9
    assert wait_of({"retry-after": "nonsense"}, 3) == 4
    assert wait_of({}, 99) == 60


def test_never_more_at_once_than_allowed_and_a_batch_counts_as_what_it_runs():
    under_way, most, lock = [0], [0], threading.Lock()

    def answers(request: httpx.Request) -> httpx.Response:
        weight = 4 if request.url.path.endswith("batch") else 1
        with lock:
            under_way[0] += weight
            most[0] = max(most[0], under_way[0])
        time_to_overlap.wait(0.02)
        with lock:
            under_way[0] -= weight
        return httpx.Response(200, json={"responses": []})

    time_to_overlap = threading.Event()
    service, server = _service(answers, at_once=4)
    calls = [lambda: service.send("POST", "$batch", weight=4), lambda: service.send("GET", "users")] * 10
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.asked) == 20
    assert most[0] == 4


def test_one_pace_for_an_application_at_an_origin():
    assert pace_of("o", "a", "outlook", 4) is pace_of("o", "a", "outlook", 4)
    assert pace_of("o", "a", "outlook", 4) is not pace_of("o", "b", "outlook", 4)


# --- tokens ---


def test_a_token_that_ended_is_replaced_once():
    service, server = _service(
        lambda request: httpx.Response(
            200 if "token-2" in request.headers["authorization"] else 401, json={"value": []}
        )
    )
    assert service.get("users") == {"value": []}
    assert len(server.asked) == 2


def test_the_claims_that_a_refusal_asks_for_are_handed_on():
    challenge = 'Bearer error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnt9fQ=="'
    service, _ = _service(lambda _: httpx.Response(401, headers={"WWW-Authenticate": challenge}))
    with pytest.raises(LocationError):
        service.get("users")
    assert service.tokens.challenge == '{"access_token":{}}'


def test_a_token_for_another_audience_is_named_after_one_more_try():
    service, server = _service(lambda _: httpx.Response(401))
    with pytest.raises(LocationError, match=r"refuses the token, which is for https://other\.test") as caught:
        service.get("users")
    assert caught.value.code == "unauthenticated"
    assert len(server.asked) == 2


def test_a_missing_permission_is_named():
    body = {"error": {"code": "Authorization_RequestDenied", "message": "canary of Jan Peeters"}}
    service, _ = _service(lambda _: httpx.Response(403, json=body))
    with pytest.raises(LocationError) as caught:
        service.get("users", needs="Mail.Read (application)")
    assert caught.value.code == "denied"
    assert "Mail.Read (application)" in (caught.value.next_step or "")
    assert "canary" not in str(caught.value)


# --- lost answers ---


def _lost(error: type[httpx.TransportError], times: int) -> Answers:
    left = [error] * times

    def answers(_: httpx.Request) -> httpx.Response:
        if left:
            raise left.pop()("gone")
        return httpx.Response(200, json={"value": []})

    return answers


def test_reading_is_repeated_when_no_answer_comes():
    service, server = _service(_lost(httpx.ReadError, 3))
    service.get("users")
    assert len(server.asked) == 4
    service, server = _service(_lost(httpx.ReadError, 9))
    with pytest.raises(LocationError, match="does not answer"):
        service.get("users")


def test_a_deletion_without_an_answer_is_not_sent_again():
    service, server = _service(_lost(httpx.ReadTimeout, 1))
    assert service.send("DELETE", "users/1").status == 0
    assert len(server.asked) == 1


def test_a_deletion_that_never_left_is_sent_again():
    service, server = _service(_lost(httpx.ConnectError, 2))
    assert service.send("DELETE", "users/1").is_ok
    assert len(server.asked) == 3


def test_a_gateway_that_gave_up_leaves_a_deletion_open():
    service, server = _service(lambda _: httpx.Response(504, headers={"Retry-After": "1"}))
    assert service.send("DELETE", "users/1").status == 0
    assert len(server.asked) == 1


# --- batches ---


def _batch_answers(status_of: Callable[[str, int], tuple[int, dict[str, str]]]) -> Answers:
    tries: dict[str, int] = {}

    def answers(request: httpx.Request) -> httpx.Response:
        told = []
        for part in reversed(json.loads(request.content)["requests"]):
            tries[part["url"]] = tries.get(part["url"], 0) + 1
            status, headers = status_of(part["url"], tries[part["url"]])
            told.append({"id": part["id"], "status": status, "headers": headers})
        return httpx.Response(200, json={"responses": told})

    return answers


def test_each_part_has_its_own_answer_whatever_their_order():
    service, server = _service(_batch_answers(lambda url, _: (200 + int(url[1:]), {})))
    answers = send_parts(service, [Part("DELETE", f"/{number}") for number in range(45)])
    assert [answer.status for answer in answers] == [200 + number for number in range(45)]
    assert [len(json.loads(request.content)["requests"]) for request in server.asked] == [20, 20, 5]


def test_only_parts_that_were_told_to_wait_are_sent_again(slept):
    def status_of(url: str, tries: int) -> tuple[int, dict[str, str]]:
        return (429, {"Retry-After": "2"}) if int(url[1:]) % 3 == 0 and tries == 1 else (204, {})

    service, server = _service(_batch_answers(status_of))
    answers = send_parts(service, [Part("DELETE", f"/{number}") for number in range(20)])
    assert {answer.status for answer in answers} == {204}
    sent = [[part["url"] for part in json.loads(request.content)["requests"]] for request in server.asked]
    assert sent[1] == [f"/{number}" for number in range(20) if number % 3 == 0]
    assert sum(slept) == pytest.approx(2, abs=0.2)


def test_parts_that_wait_beyond_the_budget_keep_their_answer():
    service, _ = _service(_batch_answers(lambda *_: (429, {"Retry-After": "40"})), max_wait=30)
    assert [answer.status for answer in send_parts(service, [Part("DELETE", "/1")])] == [429]


def test_a_batch_without_an_answer_and_a_part_left_out_are_unknown():
    service, server = _service(_lost(httpx.ReadError, 1))
    assert [answer.status for answer in send_parts(service, [Part("DELETE", "/1"), Part("DELETE", "/2")])] == [0, 0]
    assert len(server.asked) == 1
    service, _ = _service(lambda _: httpx.Response(200, json={"responses": [{"id": "0", "status": 204}]}))
    assert [answer.status for answer in send_parts(service, [Part("DELETE", "/1"), Part("DELETE", "/2")])] == [204, 0]


def test_a_part_carries_small_header_names_and_a_body():
    service, server = _service(_batch_answers(lambda *_: (204, {})))
    send_parts(service, [Part("PATCH", "/1", {"If-Match": 'W/"1"'}, {"birthday": None})])
    part = json.loads(server.asked[0].content)["requests"][0]
    assert part["headers"] == {"if-match": 'W/"1"', "content-type": "application/json"}
    assert part["body"] == {"birthday": None}


# --- what is told of an error, and what is logged ---


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b'{"error": {"code": "ErrorItemNotFound", "message": "Jan"}}', "erroritemnotfound"),
        (b'{"error": {"code": "0x80072322"}}', "0x80072322"),
        (b'{"error": {"code": "Jan Peeters <jan@x.test>, Gent, 1980-01-01"}}', "jan-peeters-jan-x.test-gent-1980"),
        (b'{"error": "text"}', "http-403"),
        (b"<html>", "http-403"),
        (b"[]", "http-403"),
        (b"", "http-403"),
    ],
)
def test_the_code_of_an_error_fits_an_outcome(content, code):
    assert fault_of(403, content).code == code
    assert len(fault_of(403, content).code) <= 32


def test_no_address_with_a_query_is_logged(caplog):
    caplog.set_level(logging.DEBUG)
    logging.getLogger().setLevel(logging.DEBUG)
    service, _ = _service(lambda _: httpx.Response(200, json={"value": []}))
    service.get("users?$filter=mail eq 'canary@x.test'")
    assert "canary" not in caplog.text


# --- opening ---


@pytest.mark.parametrize(
    "address",
    [
        "http://graph.test",
        "graph.test",
        "https://",
        "https://a:b@graph.test",
        "https://graph.test?x=1",
        "ftp://graph.test",
    ],
)
def test_an_address_that_would_leak_or_is_none_is_refused(address):
    with pytest.raises(ConfigurationError) as caught:
        root_of("crm", "url", address)
    assert str(caught.value.problems[0]).startswith("location.crm.url: is no address")


@pytest.mark.parametrize("address", ["http://localhost:1/v1.0", "http://127.0.0.1:1/v1.0/", "http://[::1]:1/v1.0"])
def test_this_machine_may_be_spoken_to_plainly(address):
    assert root_of("crm", "url", address) == address.rstrip("/") + "/"


def _spec(**options: Any) -> LocationSpec:
    return LocationSpec("crm", "outlook", ZoneInfo("Europe/Brussels"), options)


def test_graph_is_the_clouds_own_unless_named():
    assert graph_root(_spec()) == "https://graph.microsoft.com/v1.0/"
    assert graph_root(_spec(cloud="china")) == "https://microsoftgraph.chinacloudapi.cn/v1.0/"
    assert graph_root(_spec(graph_url="https://localhost:1/v1.0")) == "https://localhost:1/v1.0/"


# --- the real stand-ins ---


def _options(bed: Bed) -> dict[str, Any]:
    return {
        "tenant_id": TENANT,
        "client_id": CLIENT,
        "certificate": bed.certificate,
        "authority": bed.authority,
        "ca_file": str(bed.ca_file),
    }


def test_pages_and_batches_of_the_real_stand_in(microsoft365):
    spec = _spec(**_options(microsoft365), graph_url=microsoft365.graph)
    planning, applying = open_services(
        spec, root=graph_root(spec), resource="https://graph.microsoft.com", kind="outlook", at_once=4
    )
    assert planning is applying
    found = [item["id"] for page in planning.pages("users/u1/contacts?$select=id") for item in page]
    assert len(found) == len(set(found)) == 2000
    answers = send_parts(planning, [Part("GET", f"/users/u1/contacts/{key}") for key in [*found[:25], "absent"]])
    assert [answer.status for answer in answers] == [200] * 25 + [404]
    assert planning.seen_at is not None
    planning.close()


@pytest.mark.whole
def test_a_token_for_another_resource_is_refused_by_the_real_stand_in(microsoft365):
    with Bed.start(is_authenticated=True) as bed:
        wrong = _spec(**_options(bed), graph_url=bed.graph, resource="https://org.crm.test")
        right = _spec(**_options(bed), graph_url=bed.graph)
        refused, answered = (
            open_services(
                spec, root=graph_root(spec), resource="https://graph.microsoft.com", kind="outlook", at_once=4
            )[0]
            for spec in (wrong, right)
        )
        with pytest.raises(LocationError, match=r"refuses the token, which is for https://org\.crm\.test") as caught:
            refused.get("users")
        assert caught.value.code == "unauthenticated"
        assert len(answered.get("users")["value"]) == 2
        refused.close()
        answered.close()


@pytest.mark.whole
@pytest.mark.parametrize("has_apply", [False, True])
def test_the_end_of_each_certificate_is_told(microsoft365, has_apply):
    apply = {"apply": {"client_id": CLIENT, "certificate": microsoft365.certificate}} if has_apply else {}
    spec = _spec(**_options(microsoft365), **apply, graph_url=microsoft365.graph)
    services = open_services(spec, root=graph_root(spec), resource="https://graph.microsoft.com", kind="x", at_once=4)
    told = [re.sub(r"\d{4}-\d\d-\d\d$", "DAY", note) for note in certificate_notes(*services)]
    ends = "the certificate ends on DAY"
    assert told == ([f"planning: {ends}", f"applying: {ends}"] if has_apply else [ends])
    for service in services:
        service.close()
