"""The places of a simulated year, and what is true of them without asking ropa.

Generated people in two SQLite databases and two folders. When a record's period ends is computed here with plain
``datetime`` arithmetic, written from the law's words and not from the product: a period keeps the number of the day and
is clipped to the last day of a shorter month; ``next-year`` counts from 1 January after; an instant is its calendar day
in the controller's zone; the day itself is never past. Nothing of ropa is imported.
"""

from __future__ import annotations

import calendar
import os
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Europe/Brussels")
Item = tuple[str, str]
"""(dataset, key)."""


def months_after(day: date, months: int) -> date:
    """The same day of a later month, or that month's last."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def day_of(moment: datetime) -> date:
    """The controller's calendar day."""
    return moment.astimezone(ZONE).date()


@dataclass(frozen=True)
class Kind:
    """A dataset with its rule."""

    name: str
    place: str
    last_day: Callable[[date], date]
    """The last day on which a record with this anchor may be there."""
    oldest: int
    """So many days before the start of the year the oldest anchors lie."""
    a_day: float
    """Records that arrive a day."""
    by_mandate: bool = True
    clears: bool = False
    """A field is cleared and the row stays."""


KINDS = (
    Kind("prospects", "crm", lambda day: months_after(day, 6), 200, 0.7),
    Kind("leads", "crm", lambda day: months_after(day, 1), 40, 1.0),
    Kind("invoices", "crm", lambda day: months_after(date(day.year + 1, 1, 1), 12), 800, 0.1, by_mandate=False),
    Kind("visits", "web", lambda day: day + timedelta(days=30), 40, 1.5, clears=True),
    Kind("applications", "cvs", lambda day: months_after(day, 3), 110, 0.4),
    Kind("scans", "scans", lambda day: months_after(day, 12), 400, 0.3),
)

ALL = frozenset(kind.name for kind in KINDS)

CONFIG = """\
timezone = "Europe/Brussels"
[safety]
max_share = 1.0
max_records_7_days = 1_000_000

[location.crm]
connector = "sql"
url = "sqlite:///data/crm.sqlite"
batch_size = 3
[location.crm.dataset.prospects]
source = "prospect"
subject = ["email"]
anchor.at = "last_contact"
data.name = ["name"]
data.email = ["email"]
[location.crm.dataset.leads]
source = "lead"
timezone = "UTC"
anchor.at = "created_at"
data.name = ["name"]
[location.crm.dataset.invoices]
source = "invoice"
anchor.at = "issued_on"
data.invoice = ["number"]

[location.web]
connector = "sql"
url = "sqlite:///data/web.sqlite"
[location.web.dataset.visits]
source = "visit"
anchor.at = { column = "seen_at", format = "epoch" }
data.ip-address = ["ip"]

[location.cvs]
connector = "files"
root = "data/cvs"
[location.cvs.dataset.applications]
source = "."
pattern = "*.txt"
anchor.at = { pattern = "%Y-%m-%d", in = "name" }
data.cv = ["*"]

[location.scans]
connector = "files"
root = "data/scans"
[location.scans.dataset.scans]
source = "."
pattern = "*.txt"
anchor.at = "mtime"
data.identity-document = ["*"]
"""

RULES = {
    "prospects": ("name email", "6 months", "anchor", "purge"),
    "leads": ("name", "1 month", "anchor", "purge"),
    "invoices": ("invoice", "12 months", "next-year", "purge"),
    "visits": ("ip-address", "30 days", "anchor", "anonymise"),
    "applications": ("cv", "3 months", "anchor", "purge"),
    "scans": ("identity-document", "1 year", "anchor", "purge"),
}

ORGANISATION = """\
[organisation]
name = "Testbedrijf"
address = "Kouter 1, 9000 Gent"
country = "BE"
email = "register@example.org"
authority = "GBA"
languages = ["nl"]
"""

SCHEMAS = {
    "crm": """
        CREATE TABLE prospect (id INTEGER PRIMARY KEY, name TEXT, email TEXT, last_contact TEXT);
        CREATE TABLE lead (id INTEGER PRIMARY KEY, name TEXT, created_at TEXT);
        CREATE TABLE invoice (id INTEGER PRIMARY KEY, number TEXT, issued_on TEXT);
    """,
    "web": "CREATE TABLE visit (id INTEGER PRIMARY KEY, ip TEXT, seen_at INTEGER);",
}

INSERTS = {
    "prospects": "INSERT INTO prospect VALUES (:id, 'Person ' || :id, 'p' || :id || '@example.org', :day)",
    "leads": "INSERT INTO lead VALUES (:id, 'Lead ' || :id, :stamp)",
    "invoices": "INSERT INTO invoice VALUES (:id, 'F' || :id, :day)",
    "visits": "INSERT INTO visit VALUES (:id, '203.0.113.' || (:id % 250), :seconds)",
}

THERE = {
    "crm": (
        "SELECT 'prospects', id FROM prospect UNION ALL SELECT 'leads', id FROM lead"
        " UNION ALL SELECT 'invoices', id FROM invoice"
    ),
    "web": "SELECT 'visits', id FROM visit WHERE ip IS NOT NULL",
}


@dataclass
class Sources:
    """The places on disk, and every record that ever was in them."""

    folder: Path
    random: random.Random
    last_day: dict[Item, date] = field(default_factory=dict)
    """Of each record that ever was there, the last day on which it may be."""
    _numbers: int = 0

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def path(self, place: str) -> Path:
        return self.data / (f"{place}.sqlite" if place in SCHEMAS else place)

    def write(self, start: date) -> None:
        """Make the project folder, with what had been there before the year."""
        (self.folder / "config").mkdir(parents=True)
        self.data.mkdir()
        for place, schema in SCHEMAS.items():
            with closing(sqlite3.connect(self.path(place))) as source:
                source.executescript(schema)
        for place in ("cvs", "scans"):
            self.path(place).mkdir()
            (self.path(place) / ".ropa-root").touch()
        config, register = CONFIG, ORGANISATION
        for kind in KINDS:
            data, period, begin, action = RULES[kind.name]
            words = ", ".join(f'"{word}"' for word in data.split())
            config += (
                f'[rule.{kind.name}]\nactivity = "{kind.name}"\ndataset = "{kind.place}.{kind.name}"\n'
                f'data = [{words}]\nanchor = "at"\nperiod = "{period}"\nstart = "{begin}"\naction = "{action}"\n'
                f'legal_ground = "test"\napproval = "{"mandate" if kind.by_mandate else "plan"}"\n\n'
            )
            register += (
                f'[activity.{kind.name}]\ntitle = "{kind.name}"\nrole = "controller"\npurposes = ["{kind.name}"]\n'
                f'legal_basis = "6.1.f"\nsubjects = ["customer"]\ndata = [{words}]\nmeasures = ["TLS"]\n'
                f'status = "active"\nowner = "An"\n\n'
            )
        (self.folder / "config" / "retention.toml").write_text(config)
        (self.folder / "register.toml").write_text(register)
        for back in range(max(kind.oldest for kind in KINDS), 0, -1):
            day = start - timedelta(days=back)
            self.arrive(day, frozenset(kind.name for kind in KINDS if back <= kind.oldest))
        for kind in KINDS:  # each rule has something that is past its end on the first day
            self._add(kind, start - timedelta(days=kind.oldest + 300 if kind.name == "invoices" else kind.oldest + 1))

    def arrive(self, day: date, which: frozenset[str] = ALL) -> None:
        """Let the records of a day arrive, in some datasets; the ends of months bring more."""
        is_edge = day.month != (day + timedelta(days=1)).month or day.day == 1
        for kind in KINDS:
            count = kind.a_day * (4 if is_edge else 1)
            for _ in range(int(count + self.random.random())):
                if kind.name in which:
                    self._add(kind, day)

    def many(self, day: date, count: int) -> None:
        """Let so many leads arrive whose period ended long before: a night with much to do."""
        lead = next(kind for kind in KINDS if kind.name == "leads")
        for _ in range(count):
            self._add(lead, day - timedelta(days=100))

    def _add(self, kind: Kind, day: date) -> None:
        self._numbers += 1
        at = datetime(day.year, day.month, day.day, tzinfo=ZONE) + timedelta(
            seconds=self.random.choice((0, 1, 1800, 43200, 82000, 86399 - 3600))
        )
        seconds = int(at.timestamp())
        if kind.place in SCHEMAS:
            key = str(self._numbers)
            stamp = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            values = {"id": self._numbers, "day": day.isoformat(), "stamp": stamp, "seconds": seconds}
            with closing(sqlite3.connect(self.path(kind.place), timeout=30)) as source, source:
                source.execute("PRAGMA synchronous = OFF")
                source.execute(INSERTS[kind.name], values)
        else:
            key = f"{day} candidate {self._numbers}.txt" if kind.name == "applications" else f"{self._numbers}.txt"
            path = self.path(kind.place) / key
            path.write_text("generated")
            os.utime(path, (seconds, seconds))
        anchored_on = day if kind.name in {"prospects", "invoices", "applications"} else day_of(at)
        self.last_day[kind.name, key] = kind.last_day(anchored_on)

    def there(self, absent: frozenset[str] = frozenset()) -> set[Item]:
        """Every record that is there now, read from the places themselves; of those that can be read."""
        found: set[Item] = set()
        for place, question in THERE.items():
            if place not in absent:
                with closing(sqlite3.connect(f"file:{self.path(place)}?mode=ro", uri=True, timeout=30)) as source:
                    found |= {(dataset, str(key)) for dataset, key in source.execute(question)}
        for place, dataset in (("cvs", "applications"), ("scans", "scans")):
            if place not in absent:
                found |= {
                    (dataset, name)
                    for path in self.path(place).iterdir()
                    for name in [path.name]
                    if name.endswith(".txt")
                }
        return found


PLACE_OF = {kind.name: kind.place for kind in KINDS}
BY_MANDATE = {kind.name for kind in KINDS if kind.by_mandate}
