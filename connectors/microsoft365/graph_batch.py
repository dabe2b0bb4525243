"""Many small requests in one: Graph's JSON ``$batch`` (learn.microsoft.com/graph/json-batching).

Invariant: each part has exactly one answer in the end, its own; the status of the whole says nothing about it. Parts
that were told to wait are sent again alone, those that were carried out never are. What got no answer at all has
status 0: whether it was carried out must be asked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.microsoft365.answers import Answer, wait_of
from connectors.microsoft365.http import Service
from ropa.errors import LocationError

MOST = 20
"""Parts that Graph takes in one batch."""
_WAIT = frozenset({429, 503})


@dataclass(frozen=True, slots=True)
class Part:
    """One request of a batch; ``url`` is relative to the service's root and starts with a slash."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None


def send_parts(service: Service, parts: Sequence[Part], *, size: int = MOST, weight: int = 4) -> list[Answer]:
    """Send any number of requests and return their answers in the same order.

    ``weight``: how many of them the service runs at once, as its limit counts. A part that must wait longer than the
    budget keeps its 429. Raises LocationError: the batch as a whole is refused before anything was sent.
    """
    answers: list[Answer] = [Answer(0)] * len(parts)
    for start in range(0, len(parts), size):
        places = list(range(start, min(start + size, len(parts))))
        waited, attempt = 0.0, 0
        while places:
            told = _send_once(service, {place: parts[place] for place in places}, weight)
            for place in places:
                answers[place] = told.get(place, Answer(0))
            places = [place for place in places if answers[place].status in _WAIT]
            attempt += 1
            if places:
                seconds = max(wait_of(answers[place].headers, attempt) for place in places)
                try:
                    service.put_off(seconds, waited)
                except LocationError:
                    break
                waited += seconds
    return answers


def _send_once(service: Service, parts: Mapping[int, Part], weight: int) -> dict[int, Answer]:
    body = {"requests": [_spell(place, part) for place, part in parts.items()]}
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    content = json.dumps(body, separators=(",", ":")).encode()
    answer = service.send("POST", "$batch", headers=headers, content=content, weight=weight)
    if answer.status == 0:
        return {}
    if not answer.is_ok:
        raise service.refusal(answer)
    try:
        told = answer.json()["responses"]
        return {int(one["id"]): _read(one) for one in told if int(one["id"]) in parts}
    except (ValueError, KeyError, TypeError):
        return {}


def _spell(place: int, part: Part) -> dict[str, Any]:
    spelt: dict[str, Any] = {"id": str(place), "method": part.method, "url": part.url}
    headers = {name.lower(): value for name, value in part.headers.items()}
    if part.body is not None:
        headers["content-type"] = "application/json"
        spelt["body"] = part.body
    if headers:
        spelt["headers"] = headers
    return spelt


def _read(one: Mapping[str, Any]) -> Answer:
    headers = {str(name).lower(): str(value) for name, value in (one.get("headers") or {}).items()}
    body = one.get("body")
    return Answer(int(one["status"]), headers, b"" if body is None else json.dumps(body).encode())
