"""Prospects, newsletter subscribers, consents and suppression entries of the demonstration.

Invariant: how many of each are past their period is fixed by the numbers below; everyone else is drawn around them.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from datetime import date, timedelta

from ropa.demo.model import CrmRows, first_kept_day
from ropa.demo.people import Person

_OPEN, _OPEN_DUE = 2000, 400
_WON, _WON_DUE = 500, 100
PROSPECTS = _OPEN + _WON
_SUBSCRIBER_RULES = (
    ("newsletter-unsubscribed", 200, 60),
    ("newsletter-unclear", 150, 110),
    ("newsletter-stale", 1450, 90),
)
"""Rule, subscribers it covers, how many of them are due."""
SUBSCRIBERS = sum(count for _, count, _ in _SUBSCRIBER_RULES)
_NO_DATES = ("", "", "0000-00-00", "0000-00-00", None, None)
_CHANNELS = ("form", "form", "form", "telephone", "e-mail", "facebook", "instagram")


def write_prospects(
    connection: sqlite3.Connection, written: CrmRows, today: date, seed: int, people: Iterator[Person]
) -> None:
    """Insert the prospects, the next of ``people``: open, lost or won, some due, some without a usable date."""
    draw = random.Random(f"prospects {seed}")  # noqa: S311 - generated data
    kept_12, kept_3 = first_kept_day(today, months=12), first_kept_day(today, months=3)
    ends: list[tuple[int, date, str | None]] = []  # state, day of the last contact, and as it is written
    for number in range(_OPEN):
        is_due = number < _OPEN_DUE
        day = kept_12 - timedelta(days=draw.randint(1, 700)) if is_due else kept_12 + _up_to(draw, today - kept_12)
        ends.append((draw.choice((0, 0, 2)), day, day.isoformat()))
    ends[0] = (2, kept_12 - timedelta(days=1), (kept_12 - timedelta(days=1)).isoformat())  # ended yesterday: due
    ends[-1] = (2, kept_12, kept_12.isoformat())  # ends with today's last hour: not due
    future = (today + timedelta(days=400)).isoformat()
    for place, text in enumerate((*_NO_DATES, future), start=_OPEN_DUE):
        ends[place] = (ends[place][0], ends[place][1], text)
    for number in range(_WON):
        is_due = number < _WON_DUE
        day = kept_3 - timedelta(days=draw.randint(1, 60)) if is_due else kept_3 + _up_to(draw, today - kept_3)
        ends.append((1, day, day.isoformat()))
    draw.shuffle(ends)
    rows = []
    for number, ((state, day, text), person) in enumerate(zip(ends, people, strict=False), start=1):
        created = day - timedelta(days=draw.randint(0, 40))
        rows.append((
            number, person.first_name, person.last_name, person.email, person.telephone, draw.choice(_CHANNELS), state,
            f"{created.isoformat()}T08:{draw.randint(10, 59)}:00Z", text, day.isoformat() if state == 1 else None,
        ))  # fmt: skip
    connection.executemany("INSERT INTO prospect VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    written.due["prospects-open"] = _OPEN_DUE
    written.due["prospects-won"] = _WON_DUE
    written.undated["crm.prospects:last-contact"] = len(_NO_DATES) + 1


def write_newsletter(
    connection: sqlite3.Connection, written: CrmRows, today: date, seed: int, people: Iterator[Person]
) -> None:
    """Insert subscribers, the next of ``people``, with the proof of their consent and an entry for who has left."""
    draw = random.Random(f"newsletter {seed}")  # noqa: S311 - generated data
    kept = {
        "newsletter-unsubscribed": first_kept_day(today, days=30),
        "newsletter-unclear": first_kept_day(today, months=6),
        "newsletter-stale": first_kept_day(today, months=36),
    }
    plan = [(rule, number < due) for rule, count, due in _SUBSCRIBER_RULES for number in range(count)]
    draw.shuffle(plan)
    subscribers: list[tuple[object, ...]] = []
    consents: list[tuple[object, ...]] = []
    entries: list[tuple[object, ...]] = []
    for number, ((rule, is_due), person) in enumerate(zip(plan, people, strict=False), start=1):
        day = (
            kept[rule] - timedelta(days=draw.randint(1, 300))
            if is_due
            else kept[rule] + _up_to(draw, today - kept[rule])
        )
        instant = f"{day.isoformat()}T{draw.randint(8, 16):02d}:15:00Z"
        subscribed = f"{(day - timedelta(days=draw.randint(1, 500))).isoformat()}T10:00:00Z"
        has_left, is_unclear = rule == "newsletter-unsubscribed", rule == "newsletter-unclear"
        clicked = None if has_left or is_unclear else instant
        subscribers.append((
            number, person.first_name, person.email, "unsubscribed" if has_left else "active",
            "unknown" if is_unclear else "given", instant if is_unclear else subscribed, clicked,
            instant if has_left else None,
        ))  # fmt: skip
        written.due[rule] += is_due
        if has_left:
            entries.append((len(entries) + 1, person.email, day.isoformat()))
        if not is_unclear:
            left = instant if has_left else None
            consents.append((_guid(draw), "newsletter", person.email, "nieuwsbrief, versie 1", subscribed, left))
    for _ in range(600):
        day = today - timedelta(days=draw.randint(0, 360))
        consents.append((_guid(draw), "cookies", None, "cookiebalk, versie 2", f"{day.isoformat()}T12:00:00Z", None))
    connection.executemany("INSERT INTO newsletter_subscriber VALUES (?, ?, ?, ?, ?, ?, ?, ?)", subscribers)
    connection.executemany("INSERT INTO consent_record VALUES (?, ?, ?, ?, ?, ?)", consents)
    connection.executemany("INSERT INTO suppression_entry VALUES (?, ?, ?)", entries)


def _up_to(draw: random.Random, span: timedelta) -> timedelta:
    return timedelta(days=draw.randint(0, max(0, span.days - 1)))


def _guid(draw: random.Random) -> str:
    digits = f"{draw.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
