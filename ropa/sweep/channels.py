"""Which ways of telling people are configured, and which of them cannot be reached.

Invariant: trouble is noted as a code and since when, and is gone as soon as there is nothing left untold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ropa.clock import timestamp
from ropa.sweep.site import Site
from ropa.sweep.state import get_state, set_state

HEALTHCHECK = "healthcheck"
_TROUBLE = "channel_failing."


def note_trouble(site: Site, channel: str, code: str | None) -> None:
    """Note that a channel cannot tell what it has to tell, and since when; None: it has nothing left to tell."""
    name = f"{_TROUBLE}{channel}"
    before = get_state(site, name)
    if code is None:
        if before is not None:
            set_state(site, **{name: None})
        return
    since = before.partition(" ")[0] if before else timestamp(site.now())
    if before != f"{since} {code}":
        set_state(site, **{name: f"{since} {code}"})


def channels(site: Site) -> list[dict[str, Any]]:
    """Return the configured channels, each with since when and why it cannot be reached, None where it can."""
    notify = site.config.notify
    configured: Mapping[str, object] = {"mail": notify.mail, "webhook": notify.webhook, HEALTHCHECK: notify.healthcheck}
    return [_standing(site, name) for name, settings in configured.items() if settings is not None]


def failing(told: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the names of the channels that cannot be reached."""
    return [str(one["channel"]) for one in told if one["code"]]


def _standing(site: Site, channel: str) -> dict[str, Any]:
    since, _, code = (get_state(site, f"{_TROUBLE}{channel}") or "").partition(" ")
    return {"channel": channel, "failing_since": since or None, "code": code or None}
