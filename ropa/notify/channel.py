"""What a channel is: it takes one message and says whether it got through.

Invariant: an error of a channel carries a code; what a server answered, an address and a secret stay out of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from ropa.clock import timestamp
from ropa.errors import RopaError
from ropa.sweep.matters import Matter
from ropa.sweep.notices import News

MOST = 50
"""So many matters stand in a message; the rest is counted."""
DEADLINE_SECONDS = 30.0
"""How long a channel may take over all, whatever it waits for."""


class ChannelError(RopaError):
    """A message did not get through; ``code`` says why."""

    def __init__(self, code: str) -> None:
        super().__init__("a notice could not be delivered", code=code)


@dataclass(frozen=True, slots=True)
class Message:
    """What is told at once."""

    id: str
    """The same each time that it is tried, so that a receiver can tell a repeat."""
    at: datetime
    origin: str | None
    """``[ledger] origin``, to tell several folders apart."""
    news: News
    is_trial: bool = False
    """Sent because a person wants to see that it arrives; it tells of nothing."""

    @property
    def document(self) -> dict[str, Any]:
        """``ropa.notice/1``."""
        passed = {matter.key: matter for matter in self.news.passed}
        return {
            "schema": "ropa.notice/1",
            **({"trial": True} if self.is_trial else {}),
            "id": self.id,
            "sent_at": timestamp(self.at),
            "origin": self.origin,
            "new": [_document(matter) for matter in self.news.new[:MOST]],
            "resolved": [
                {"key": key, "kind": key.partition(":")[0]} | _numbers(passed.get(key)) for key in self.news.over[:MOST]
            ],
            "left_out": max(0, len(self.news.new) - MOST) + max(0, len(self.news.over) - MOST),
        }


def _document(matter: Matter) -> dict[str, Any]:
    return {"key": matter.key, "kind": str(matter.kind), "severity": str(matter.severity)} | _numbers(matter)


def _numbers(matter: Matter | None) -> dict[str, Any]:
    counts, facts = (matter.counts, matter.facts) if matter is not None else ({}, {})
    return {"counts": dict(counts), "facts": dict(facts)}


class Channel(Protocol):
    """A way to tell people."""

    def send(self, message: Message) -> None:
        """Tell. Raises ChannelError; then it may or may not have got through."""
        ...


def within(seconds: float, call: Callable[[], None], *, code: str) -> None:
    """Call, and wait no longer than so: a server that sends a byte now and then would outlive any other limit.

    Raises what ``call`` raises; ChannelError with ``code`` when the time is over.
    """
    raised: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - handed on to whoever waits
            raised.append(error)

    hand = threading.Thread(target=run, name="notice", daemon=True)
    hand.start()
    hand.join(seconds)
    if hand.is_alive():
        raise ChannelError(code)
    if raised:
        raise raised[0]
