"""People and companies that do not exist, for the demonstration and for tests.

Invariants: the same seed gives the same people, without touching any global random state; every mail address is at a
domain that RFC 2606 reserves; every account number and VAT number has valid check digits and lies in a range that no
bank and no register is known to use; so nobody is hit by accident.
"""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

MAIL_DOMAINS = ("example.com", "example.org", "example.net")
"""Reserved for documentation, RFC 2606 section 3."""

_BANK_CODE = "999"
"""A Belgian bank code that belongs to no bank."""
_POOL = 240
_LEGAL_FORMS = ("BV", "NV", "CommV", "VOF", "CV")
_TRADES = ("Bakkerij", "Garage", "Kapsalon", "Tuinen", "Dakwerken", "Boekhouding", "Optiek", "Interieur", "Drukkerij",
           "Schrijnwerk", "Fietsen", "Bloemen", "Advies", "Schilderwerken", "Traiteur")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Person:
    """A person as a customer file knows one."""

    first_name: str
    last_name: str
    birth_date: date
    telephone: str
    """National format, e.g. ``0400 12 34 56``."""
    email: str
    """Unique within one call of ``make_people``."""
    street: str
    postal_code: str
    city: str
    iban: str
    """Belgian, sixteen characters, valid check digits."""

    @property
    def name(self) -> str:
        """First and last name."""
        return f"{self.first_name} {self.last_name}"


@dataclass(frozen=True, slots=True)
class Company:
    """An enterprise."""

    name: str
    vat_number: str
    """``BE`` and ten digits, valid check digits."""


def make_people(count: int, *, seed: int, today: date) -> Iterator[Person]:
    """Generate ``count`` Belgian adults, 20 to 80 years old on ``today``; the same for the same arguments."""
    draw = random.Random(f"people {seed}")  # noqa: S311 - invented people need no secrecy
    pools = _Pools.draw(seed)
    for number in range(1, count + 1):
        first, last = draw.choice(pools.first_names), draw.choice(pools.last_names)
        yield Person(
            first_name=first,
            last_name=last,
            birth_date=today - timedelta(days=draw.randint(20 * 366, 80 * 365)),
            telephone=f"0400 {draw.randint(0, 99):02d} {draw.randint(0, 99):02d} {draw.randint(0, 99):02d}",
            email=f"{_ascii(first)}.{_ascii(last)}.{number}@{draw.choice(MAIL_DOMAINS)}",
            street=f"{draw.choice(pools.streets)} {draw.randint(1, 240)}",
            postal_code=str(draw.randint(1000, 9999)),
            city=draw.choice(pools.cities),
            iban=_iban(draw.randint(0, 9_999_999)),
        )


def make_companies(count: int, *, seed: int) -> Iterator[Company]:
    """Generate ``count`` companies with distinct VAT numbers; the same for the same arguments."""
    draw = random.Random(f"companies {seed}")  # noqa: S311 - invented companies need no secrecy
    pools = _Pools.draw(seed)
    for serial in draw.sample(range(1_000_000, 1_999_999), count):
        title = f"{draw.choice(_TRADES)} {draw.choice(pools.last_names)} {draw.choice(_LEGAL_FORMS)}"
        yield Company(title, _vat_number(serial))


@dataclass(frozen=True, slots=True)
class _Pools:
    """Names to combine: drawing each person's from Faker itself would take most of the demonstration's time."""

    first_names: tuple[str, ...]
    last_names: tuple[str, ...]
    streets: tuple[str, ...]
    cities: tuple[str, ...]

    @classmethod
    def draw(cls, seed: int) -> _Pools:
        from faker import Faker

        faker = Faker("nl_BE")
        faker.seed_instance(seed)  # this generator alone; Faker.seed() would be global
        makers = (faker.first_name, faker.last_name, faker.street_name, faker.city)
        return cls(*(tuple(maker() for _ in range(_POOL)) for maker in makers))


def _ascii(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return "".join(c for c in plain if c.isalnum()) or "x"


def _iban(account: int) -> str:
    """Return a Belgian IBAN: bank code, account and its own check (mod 97, never 00), and the ISO 7064 check."""
    base = f"{_BANK_CODE}{account:07d}"
    number = f"{base}{int(base) % 97 or 97:02d}"
    return f"BE{98 - int(f'{number}111400') % 97:02d}{number}"  # 111400: the letters B and E as numbers, and 00


def _vat_number(serial: int) -> str:
    """Return a Belgian VAT number of eight digits and their check (97 - n mod 97)."""
    base = f"{serial:08d}"
    return f"BE{base}{97 - int(base) % 97:02d}"
