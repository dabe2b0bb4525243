"""One look: what must be heard, told over each channel that has not told it yet.

Invariant: nothing that goes wrong here reaches the caller as anything but a noted code; no channel waits for another's
success; without ``[notify]`` nothing is looked at.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

from ropa.errors import BusyError, CallError
from ropa.notify.channel import Channel, ChannelError, Message
from ropa.notify.webhook import Healthcheck
from ropa.sweep import matters, night, notices
from ropa.sweep.channels import HEALTHCHECK, note_trouble
from ropa.sweep.matters import Look, code_of
from ropa.sweep.notices import News
from ropa.sweep.run import InterruptedRunError
from ropa.sweep.site import Site

log = logging.getLogger(__name__)

Opening = Callable[[], Channel]
"""Opens a channel with its secrets. Raises ConfigurationError for one that cannot be looked up."""


@dataclass(frozen=True)
class Teller:
    """The channels of a configuration."""

    channels: Mapping[str, Opening]
    healthcheck: Callable[[], Healthcheck] | None = None

    def look(self, site: Site) -> None:
        """Tell what has not been told. Raises what the run database raises; a channel's failure is noted."""
        if not self.channels and self.healthcheck is None:
            return
        with notices.telling(site) as is_ours:
            if not is_ours:
                return
            found = matters.look(site) if self.channels else Look((), frozenset())
            for name, opening in self.channels.items():
                self._tell(site, name, opening, found)
            self._report(site)

    def try_out(self, *, at: datetime, origin: str | None) -> dict[str, str | None]:
        """Send a trial notice by each channel and call the healthcheck, once; note nothing. Return for each the code of
        what went wrong, None where it was accepted."""
        message = Message(secrets.token_hex(8), at, origin, News((), (), ()), is_trial=True)
        found: dict[str, str | None] = {}
        for name, opening in self.channels.items():
            found[name] = _attempt(lambda opening=opening: opening().send(message))  # type: ignore[misc]
        if self.healthcheck is not None:
            healthcheck = self.healthcheck
            found[HEALTHCHECK] = _attempt(lambda: healthcheck().call())
        return found

    def _tell(self, site: Site, name: str, opening: Opening, found: Look) -> None:
        news = notices.untold(site, name, found)
        trouble = None
        if news:
            trouble = _attempt(
                lambda: opening().send(Message(secrets.token_hex(8), site.now(), site.config.origin, news))
            )
        if trouble is None:
            notices.note_told(site, name, news, found)
        note_trouble(site, name, trouble)

    def _report(self, site: Site) -> None:
        """Call the healthcheck for the newest sweep that succeeded, once."""
        if self.healthcheck is None:
            return
        opening, run, trouble = self.healthcheck, notices.unreported_sweep(site), None
        if run is not None:
            trouble = _attempt(lambda: opening().call())
            if trouble is None:
                notices.note_reported(site, run)
        note_trouble(site, HEALTHCHECK, trouble)


def _attempt(call: Callable[[], None]) -> str | None:
    """Return the code of what went wrong, None where nothing did."""
    try:
        call()
    except ChannelError as error:
        return error.code
    except Exception as error:  # noqa: BLE001 - a channel stops nothing; its text may hold an address
        return code_of(error)
    return None


@contextmanager
def heard(site: Site, watch: Callable[[Site], None], *, is_service: bool = False) -> Iterator[None]:
    """For the time of a sweep: note whether it came about, and let people hear of it at once (``watch``).

    Another run under way, an interruption and a night that is done already are no failures. What ``watch`` raises is
    logged by its kind and goes no further. ``is_service``: a wrong configuration is noted too; by hand whoever called
    reads it, and a call that is wrong (exit 2) touches nothing.
    """
    try:
        yield
    except (BusyError, InterruptedRunError):
        raise
    except Exception as error:
        is_for_the_caller = isinstance(error, CallError) and not is_service
        if not is_for_the_caller and getattr(error, "code", None) != night.NIGHT_DONE:
            with suppress(Exception):  # what is wrong with the run database is what the caller hears
                matters.note_failure(site, error)
            _guarded(site, watch)
        raise
    _guarded(site, lambda opened: matters.note_failure(opened, None))
    _guarded(site, watch)


def _guarded(site: Site, call: Callable[[Site], None]) -> None:
    try:
        call(site)
    except Exception as error:  # noqa: BLE001 - a sweep is not made worse by who hears of it
        log.warning("watch-failed: %s", code_of(error))
