"""Small registers and configurations to start from, and any register that can be written."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from ropa.clock import Period
from ropa.config.models import Config, Location, Rule
from ropa.connector import Action, DatasetSpec
from ropa.register.models import Register
from ropa.register.parse import from_data
from ropa.register.specs import Kind, Spec, specs
from ropa.register.text import from_toml
from ropa.vocabulary import iso_countries

ZONE = ZoneInfo("Europe/Brussels")
TODAY = date(2026, 11, 21)

SOUND = """
[organisation]
name = "Voorbeeld"
address = "Kerkstraat 1, 9000 Gent"
country = "BE"
authority = "GBA"
request_promise = "4 weeks"
rights = ["access", "rectification", "erasure", "restriction", "portability", "objection", "automated-decisions", "withdrawal", "complaint"]

[organisation.dpo]
name = "Functionaris"
email = "dpo@example.org"

[recipient.host]
name = "Hosting NV"
role = "processor"
country = "BE"
contract = "yes"

[activity.intake]
title = "Aanvragen"
purposes = ["Offerte voorbereiden"]
legal_basis = "6.1.b"
subjects = ["prospect"]
recipients = ["host"]
measures = ["TLS"]
owner = "Zaakvoerder"
review_on = 2027-01-01
data = ["name", "email"]
"""
"""A register without a finding, together with ``sound_config()``."""


def sound() -> Register:
    return from_toml(SOUND)


def dataset(name: str = "contacts", data: tuple[str, ...] = ("name", "email")) -> DatasetSpec:
    return DatasetSpec(name=name, source=name, zone=ZONE, data={key: (f"c_{key}",) for key in data})


def location(name: str = "crm", **more) -> Location:
    values = {"connector": "sql", "country": "BE", "recipient": "host", "datasets": {"contacts": dataset()}} | more
    return Location(name=name, **values)


def rule(name: str = "prospects", **more) -> Rule:
    values = {
        "activity": "intake",
        "dataset": "crm.contacts",
        "data": ("name", "email"),
        "anchor": "created",
        "period": Period(months=6),
        "action": Action.PURGE,
    }
    return Rule(name=name, **(values | more))


def config(*, locations: tuple[Location, ...] | None = None, rules: tuple[Rule, ...] | None = None) -> Config:
    locations = (location(),) if locations is None else locations
    rules = (rule(),) if rules is None else rules
    return Config(
        timezone=ZONE,
        digest="sha256:" + "0" * 64,
        folder=Path("/nowhere"),
        locations={one.name: one for one in locations},
        rules={one.name: one for one in rules},
    )


# --- any register -------------------------------------------------------------------------------------------------

_TEXT = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\ufffe\uffff")
    | st.sampled_from("\n\t\"'\\#"),
    min_size=1,
    max_size=20,
).filter(lambda text: bool(text.strip()))
_KEY = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,8}", fullmatch=True)
_ENTRY_KEY = _KEY.filter(lambda key: key not in {"none", "own", "unknown"})
_COOKIE = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=12).filter(
    lambda text: bool(text.strip()) and "\ufffe" not in text and "\uffff" not in text
)
_PERIOD = st.sampled_from(["30 days", "P1Y27D", "10 years", "PT30M", "1 year 27 days"])


def _values(spec: Spec) -> st.SearchStrategy:
    choices = st.sampled_from(spec.choices()) if spec.choices else st.nothing()
    simple = {
        Kind.TEXT: _TEXT,
        Kind.NAME: _KEY,
        Kind.CHOICE: choices,
        Kind.DATE: st.dates(),
        Kind.FLAG: st.booleans(),
        Kind.COUNT: st.integers(0, 120),
        Kind.COUNTRY: st.sampled_from([*sorted(iso_countries()), "unknown"]),
        Kind.PERIOD: _PERIOD,
        Kind.LIFETIME: _PERIOD | st.sampled_from(["session", "unknown"]),
        Kind.TEXTS: st.lists(_TEXT, max_size=3, unique=True),
        Kind.NAMES: st.lists(_KEY, max_size=3, unique=True),
        Kind.CHOICES: st.lists(choices, max_size=3, unique=True),
    }
    if spec.kind in simple:
        return simple[spec.kind]
    inner = _document(spec.table)
    if spec.kind is Kind.TABLE:
        return inner
    if spec.kind in {Kind.TABLES, Kind.CONTACTS}:
        return st.lists(inner | (_TEXT if spec.kind is Kind.CONTACTS else st.nothing()), max_size=2)
    keys = {"cookie": _COOKIE}.get(spec.name or "", _ENTRY_KEY)
    named = st.dictionaries(keys, inner, max_size=3)
    return named | st.lists(_KEY, max_size=3, unique=True) if spec.kind is Kind.DATA else named


def _document(table: type) -> st.SearchStrategy:
    required, optional = {}, {}
    for written, (_, spec) in specs(table).items():
        (required if spec.is_required else optional)[written] = _values(spec)
    return st.fixed_dictionaries(required, optional=optional)


registers: st.SearchStrategy[Register] = (
    _document(Register).map(lambda document: document or {"organisation": {}}).map(from_data)
)
"""Any register that can be written down."""
