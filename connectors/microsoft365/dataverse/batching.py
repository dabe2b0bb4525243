"""Many requests in one: Dataverse's multipart ``$batch``, several at a time.

    learn.microsoft.com/power-apps/developer/data-platform/webapi/execute-batch-operations-using-web-api

Invariant: each request has exactly one answer in the end, its own; the status of the whole says nothing about it. What
was told to wait is sent again alone, what was carried out never is. A change set is carried out wholly or not at all.
What got no answer has status 0: whether it was carried out must be asked.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from connectors.microsoft365.answers import Answer, wait_of
from connectors.microsoft365.http import Service
from ropa.errors import LocationError

MOST = 1000
"""Parts that Dataverse takes in one batch."""
_WAIT = frozenset({429, 503})
_CRLF = b"\r\n"


@dataclass(frozen=True, slots=True)
class Part:
    """One request; ``url`` is relative to the service's root, without a slash before it, its query encoded."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None


Unit = tuple[Part, ...]
"""What is carried out wholly or not at all: one request, or a change set of several (none of them a GET)."""


def send_units(service: Service, units: Sequence[Unit], *, size: int, at_once: int) -> list[list[Answer]]:
    """Send any number of units, at most ``size`` parts in a batch and ``at_once`` batches at a time, and return the
    answers of each: one a part, or, where a change set was not carried out, its one error for all of them.

    What must wait longer than the budget keeps its 429. Raises LocationError where a batch cannot be sent or is refused
    because of who asks (401, no token), after the others were ended.
    """
    groups = _groups(units, size)
    answers: list[list[Answer]] = [[] for _ in units]

    def send(places: list[int]) -> None:
        for place, told in zip(places, _send_group(service, [units[place] for place in places]), strict=True):
            answers[place] = told

    if len(groups) <= 1 or at_once == 1:
        for group in groups:
            send(group)
        return answers
    with ThreadPoolExecutor(max_workers=min(at_once, len(groups))) as pool:
        for done in [pool.submit(send, group) for group in groups]:
            done.result()
    return answers


def send_parts(service: Service, parts: Sequence[Part], *, size: int, at_once: int) -> list[Answer]:
    """Send parts that do not hang together, and return the answer of each."""
    return [told[0] for told in send_units(service, [(part,) for part in parts], size=size, at_once=at_once)]


def _groups(units: Sequence[Unit], size: int) -> list[list[int]]:
    """Return positions of units that go together; a unit larger than a batch should be has one to itself."""
    groups: list[list[int]] = []
    room = 0
    for place, unit in enumerate(units):
        if not groups or len(unit) > room:
            groups.append([])
            room = size
        groups[-1].append(place)
        room -= len(unit)
    return groups


def _send_group(service: Service, units: Sequence[Unit]) -> list[list[Answer]]:
    answers: list[list[Answer]] = [[Answer(0)] * len(unit) for unit in units]
    places = list(range(len(units)))
    waited, attempt = 0.0, 0
    while places:
        told = _send_once(service, [units[place] for place in places])
        for place, found in zip(places, told, strict=False):
            answers[place] = found
        # A service that stops at the first error did nothing of what stands behind it.
        stopped = places[len(told) :] if told else []
        throttled = [place for place in places[: len(told)] if answers[place][0].status in _WAIT]
        places = sorted(throttled + stopped)
        if throttled:
            attempt += 1
            seconds = max(wait_of(answers[place][0].headers, attempt) for place in throttled)
            try:
                service.put_off(seconds, waited)
            except LocationError:
                break
            waited += seconds
    return answers


def _send_once(service: Service, units: Sequence[Unit]) -> list[list[Answer]]:
    """Return the answers of the first so many units; none at all where it is not known what was carried out."""
    boundary = f"batch_{secrets.token_hex(16)}"
    headers = {
        "Content-Type": f"multipart/mixed; boundary={boundary}",
        "Accept": "multipart/mixed, application/json",
        "Prefer": "odata.continue-on-error",
        "OData-Version": "4.0",
        "OData-MaxVersion": "4.0",
    }
    content = _spell(units, boundary, service.root.path)
    try:
        answer = service.send("POST", "$batch", headers=headers, content=content)
    except LocationError as error:
        if error.code != "throttled":
            raise
        return [[Answer(429)] * len(unit) for unit in units]
    if answer.status == 0:
        return []
    replies = _read(answer.headers.get("content-type", ""), answer.content)
    if replies is not None:
        return [_fit(reply, unit) for reply, unit in zip(replies, units, strict=False)]
    if answer.status == 401:
        raise service.refusal(answer)
    if answer.is_ok or answer.status >= 500:
        return []
    return [[answer] * len(unit) for unit in units]


def _fit(reply: list[Answer], unit: Unit) -> list[Answer]:
    return reply if len(reply) == len(unit) else [reply[0] if reply else Answer(0)] * len(unit)


# --- how it is spelt ----------------------------------------------------------------------------------------------


def _spell(units: Sequence[Unit], boundary: str, root: str) -> bytes:
    lines: list[bytes] = []
    for number, unit in enumerate(units):
        lines.append(f"--{boundary}".encode())
        if len(unit) == 1:
            lines += _spell_part(unit[0], root, None)
            continue
        inner = f"changeset_{number}_{boundary[6:]}"
        lines += [f"Content-Type: multipart/mixed; boundary={inner}".encode(), b""]
        for place, part in enumerate(unit, start=1):
            lines.append(f"--{inner}".encode())
            lines += _spell_part(part, root, place)
        lines += [f"--{inner}--".encode(), b""]
    return _CRLF.join([*lines, f"--{boundary}--".encode(), b""])


def _spell_part(part: Part, root: str, number: int | None) -> list[bytes]:
    head = ["Content-Type: application/http", "Content-Transfer-Encoding: binary"]
    if number is not None:
        head.append(f"Content-ID: {number}")
    head += ["", f"{part.method} {root}{part.url} HTTP/1.1", "Accept: application/json"]
    head += [f"{name}: {value}" for name, value in part.headers.items()]
    body = b""
    if part.body is not None:
        head.append("Content-Type: application/json; type=entry")
        body = json.dumps(part.body, separators=(",", ":")).encode()
        head.append(f"Content-Length: {len(body)}")
    return [*(line.encode() for line in head), b"", body]


# --- how it is read -----------------------------------------------------------------------------------------------


def _read(content_type: str, content: bytes) -> list[list[Answer]] | None:
    """Return what a multipart answer holds, a list for each unit; None where it is none."""
    boundary = _boundary(content_type)
    if boundary is None:
        return None
    found: list[list[Answer]] = []
    for head, body in _sections(content, boundary):
        inner = _boundary(head.get("content-type", ""))
        if inner is None:
            found.append([_read_answer(body)])
        else:
            found.append([_read_answer(section) for _, section in _sections(body, inner)])
    return found


def _boundary(content_type: str) -> bytes | None:
    kind, _, rest = content_type.partition(";")
    if kind.strip().lower() != "multipart/mixed":
        return None
    for parameter in rest.split(";"):
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "boundary":
            return value.strip().strip('"').encode()
    return None


def _sections(content: bytes, boundary: bytes) -> list[tuple[dict[str, str], bytes]]:
    """Return head and body of each section that is there whole: what was cut off in the middle has no end."""
    pieces = (_CRLF + content).split(_CRLF + b"--" + boundary)
    return [_split(piece) for piece in pieces[1:-1] if not piece.startswith(b"--")]


def _split(section: bytes) -> tuple[dict[str, str], bytes]:
    head, _, body = section.lstrip(b"\r\n").partition(_CRLF + _CRLF)
    lines = (line.partition(":") for line in head.decode("utf-8", "replace").split("\r\n"))
    return {name.strip().lower(): value.strip() for name, _, value in lines}, body


def _read_answer(section: bytes) -> Answer:
    first, _, rest = section.lstrip(b"\r\n").partition(_CRLF)
    words = first.split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        return Answer(0)
    headers, body = ({}, rest) if rest.startswith(_CRLF) else _split(rest)
    return Answer(int(words[1]), headers, body.strip(b"\r\n"))
