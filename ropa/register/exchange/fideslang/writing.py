"""The register as a fideslang manifest: the organisation, and a system for each activity with a declaration a purpose.

Where data lie is not in the register, so that a system of Fides cannot be told; each activity stands as one system of
the type ``Processing activity`` under its own key, and claims nothing about which software holds what. Invariants: only
words of fideslang's own taxonomy are used; the same register gives the same bytes; what fideslang cannot say is in
``not_in_fideslang``, every key of it.
"""

from __future__ import annotations

from typing import Any

from ropa.register.exchange.fideslang import terms
from ropa.register.exchange.fideslang.activity_writing import ActivityWriter, Words, leave_keys
from ropa.register.exchange.fideslang.nodes import yaml_library
from ropa.register.exchange.incoming import NotCarried
from ropa.register.models import Contact, Organisation, Register

_HEADER = f"""\
# Processing activities (GDPR Art. 30) as a fideslang {terms.VERSION} manifest, written by ropa.
# Keys of data categories, data uses and data subjects: fideslang, https://github.com/IABTechLab/fideslang, CC BY 4.0.
# Each system is one processing activity, each declaration one purpose of it. How long data are kept follows from rules
# that a manifest has no place for; retention_period says only what a policy states.
"""

_CONTACT = frozenset({"name", "address", "email", "telephone"})
_ORGANISATION = _CONTACT | {"legal_name", "dpo", "representative"}


def to_fideslang(register: Register) -> str:
    """Return the register as a manifest for fideslang 3.1.4. Raises ConfigurationError without PyYAML."""
    yaml = yaml_library()
    dumper: Any = type("Dumper", (yaml.SafeDumper,), {"ignore_aliases": lambda *_: True})
    # Every text of the register is quoted: no reader then takes "no", "010" or "2027-01-01" for something else.
    dumper.add_representer(Words, lambda pen, text: pen.represent_scalar("tag:yaml.org,2002:str", str(text), style='"'))
    document = _document(register, [])
    body = yaml.dump(document, Dumper=dumper, sort_keys=False, allow_unicode=True, width=1_000_000)
    return f"{_HEADER}{body}"


def not_in_fideslang(register: Register) -> tuple[NotCarried, ...]:
    """Return what ``to_fideslang`` leaves out, or writes as less than it is."""
    left: list[NotCarried] = []
    _document(register, left)
    return tuple(dict.fromkeys(left))


def _document(register: Register, left: list[NotCarried]) -> dict[str, Any]:
    systems = []
    for key, activity in register.activities.items():
        if activity.status == "active":
            systems.append(ActivityWriter(key, activity, register, left).system())
        else:
            left.append(NotCarried(f"activity.{key}", f"is {activity.status}; a manifest tells what is going on"))
    for key, recipient in register.recipients.items():
        leave_keys(left, f"recipient.{key}", recipient, {"name", "transfer"})
        if recipient.transfer is not None:
            why = "a manifest says that data go to third countries, and neither to whom nor to which"
            left.append(NotCarried(f"recipient.{key}.transfer", why))
    left += [NotCarried(f"cookie.{key}", "a manifest has no entry for a cookie") for key in register.cookies]
    for key, own in register.categories.items():
        if own != terms.own_of_key(key):
            left.append(NotCarried(f"category.{key}", "a manifest has no entry for a category"))
    if systems:
        left.append(
            NotCarried("config/retention.toml", "where data lie and the periods of the rules are no part of it")
        )
    return {"organization": [_organization(register.organisation, left)], "system": systems}


# --- organisation -------------------------------------------------------------------------------------------------


def _organization(organisation: Organisation, left: list[NotCarried]) -> dict[str, Any]:
    leave_keys(left, "organisation", organisation, _ORGANISATION)
    if organisation.legal_name and organisation.name:
        left.append(NotCarried("organisation.legal_name", "stands as the name of the controller, and is not read back"))
    controller = Contact(
        name=organisation.legal_name or organisation.name,
        address=organisation.address,
        email=organisation.email,
        telephone=organisation.telephone,
    )
    found: dict[str, Any] = {"fides_key": "default_organization"}
    if organisation.name:
        found["name"] = Words(organisation.name)
    if controller != Contact():
        found["controller"] = _contact(controller)
    for key, name in (("data_protection_officer", "dpo"), ("representative", "representative")):
        contact = getattr(organisation, name)
        if contact is not None:
            found[key] = _contact(contact)
            leave_keys(left, f"organisation.{name}", contact, _CONTACT)
    return found


def _contact(contact: Contact) -> dict[str, str]:
    named = {"name": contact.name, "address": contact.address, "email": contact.email, "phone": contact.telephone}
    return {key: Words(text) for key, text in named.items() if text}
