"""What may be done at a place: with the credentials that plan, and with those that apply where these are others.

Invariant: credentials that apply are looked up where they are, and asked what they may do; where they are not, that is
said, and nothing is concluded about them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from ropa.config import NOT_HERE
from ropa.connector import Connector, Health
from ropa.errors import ConfigurationError, Finding, Severity
from ropa.sweep.site import Site


@dataclass(frozen=True, slots=True)
class Rights:
    """One place, asked."""

    connector: Connector
    """Opened to plan with."""
    health: Health
    applying: Literal["same", "here", "elsewhere"]
    """Whether the credentials that apply are those that plan, others that were asked too, or others that are not to be
    had on this machine: then ``health`` says nothing of them."""


def ask_rights(site: Site, location: str) -> Rights:
    """Ask a place who we are there and what we may do. Raises LocationError, and ConfigurationError where plan and
    apply name different sources."""
    connector = site.connector(location)
    health = connector.check()
    if not site.config.locations[location].apply:
        return Rights(connector, health, "same")
    try:
        acting = site.acting(location)
    except ConfigurationError as error:
        if error.code != NOT_HERE:
            raise
        # What it says of deleting, it says of credentials that are not meant to delete.
        return Rights(connector, replace(health, may_delete=None, notes=()), "elsewhere")
    found = acting.check()
    return Rights(connector, replace(found, planning_may_delete=health.planning_may_delete), "here")


def rights_findings(location: str, rights: Rights) -> Iterator[Finding]:
    """Yield what is to be said of the two credentials of a place."""
    entry = f"location.{location}"
    if rights.health.planning_may_delete and rights.applying == "same":
        yield Finding(
            "planning-can-delete",
            Severity.NOTE,
            entry,
            "The same credentials plan and delete there.",
            f"Plan with credentials that only read, and give those that delete in [{entry}.apply].",
        )
    elif rights.health.planning_may_delete:
        yield Finding(
            "planning-can-delete",
            Severity.WARNING,
            entry,
            "The credentials that plan can delete there, though others are given to apply.",
            "Take the right to delete from the credentials that plan: they need to read, and nothing else.",
        )
    if rights.applying == "elsewhere":
        yield Finding(
            "apply-credentials-elsewhere",
            Severity.NOTE,
            entry,
            "The credentials that apply cannot be looked up here: what they may do is not known.",
            f"Run `ropa location check {location}` where plans are applied.",
        )
