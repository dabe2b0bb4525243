"""Many small reads and writes at once: batches spread over a few threads, each part with an answer of its own.

Invariant: a read that got no answer is asked again, since that is harmless; a write never is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeVar

from connectors.microsoft365.answers import Answer
from connectors.microsoft365.graph_batch import MOST, Part, send_parts
from connectors.microsoft365.http import Service

AT_ONCE = 4
"""Requests under way at a time; SharePoint counts resource units a minute, so more would only wait more."""
_ATTEMPTS = 3
_AGAIN = frozenset({0, 500, 502, 504})
T = TypeVar("T")
R = TypeVar("R")


def read_parts(service: Service, urls: Sequence[str]) -> list[Answer]:
    """Return the answers to GETs of addresses relative to Graph's root, in their order, one batch after the other.

    Raises LocationError where one has no answer after some attempts, or must wait for longer than the budget.
    """
    answers = send_parts(service, [Part("GET", url) for url in urls], weight=1)
    for _ in range(_ATTEMPTS - 1):
        places = [place for place, answer in enumerate(answers) if answer.status in _AGAIN]
        if not places:
            break
        again = send_parts(service, [Part("GET", urls[place]) for place in places], weight=1)
        for place, answer in zip(places, again, strict=True):
            answers[place] = answer
    left = {answer.status for answer in answers}
    if left & {429, 503}:
        raise service.error("the service asks to wait for too long", "throttled", "Run again later, or raise max_wait.")
    if left & _AGAIN:
        raise service.error("the service does not answer", "unreachable", "Try again later.")
    return answers


def read_all(service: Service, urls: Sequence[str]) -> list[Answer]:
    """Return what ``read_parts`` does, several batches at a time."""
    return [answer for answers in spread(lambda own: read_parts(service, own), shares(urls)) for answer in answers]


def content(answer: Answer) -> dict[str, Any]:
    """Return an answer's JSON object; {} where it is none."""
    try:
        found = answer.json() if answer.is_ok else None
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}


def shares(whole: Sequence[T], size: int = MOST) -> list[Sequence[T]]:
    """Return a sequence in pieces of as many as a batch takes."""
    return [whole[start : start + size] for start in range(0, len(whole), size)]


def spread(work: Callable[[T], R], tasks: Sequence[T]) -> Iterator[R]:
    """Do some tasks a few at a time, and give the results in the order of the tasks.

    An error of one is raised in its turn; what is under way then is finished first, and nothing else is begun.
    """
    if len(tasks) < 2:
        yield from map(work, tasks)
        return
    executor = ThreadPoolExecutor(AT_ONCE, "sharepoint")
    try:
        yield from executor.map(work, tasks)
    finally:
        executor.shutdown(cancel_futures=True)


def first(items: Iterable[T], count: int) -> list[T]:
    """Return the first of some items, asking for no more of them than needed."""
    return list(islice(items, max(count, 0)))
