"""The register: the record of processing activities (GDPR Art. 30), with its revisions, texts and completeness.

``models`` are the values, ``text`` reads and writes them, ``edit`` changes them, ``store`` keeps them with every
revision, ``completeness`` says what is missing. Only ``tables``, ``rows`` and the methods of the store need SQLModel.
"""

from ropa.register.completeness import CODES, check
from ropa.register.edit import Change, add, differences, edit, end, read_value, remove
from ropa.register.files import entry_of, entry_text, read_register
from ropa.register.models import (
    Activity,
    Contact,
    Cookie,
    DataUse,
    Organisation,
    OwnCategory,
    Policy,
    Recipient,
    Register,
    Transfer,
)
from ropa.register.parse import parse
from ropa.register.store import Dated, RegisterStore, Revision
from ropa.register.text import digest, from_json, from_toml, plain_data, reference, to_data, to_json, to_toml

__all__ = [
    "CODES",
    "Activity",
    "Change",
    "Contact",
    "Cookie",
    "DataUse",
    "Dated",
    "Organisation",
    "OwnCategory",
    "Policy",
    "Recipient",
    "Register",
    "RegisterStore",
    "Revision",
    "Transfer",
    "add",
    "check",
    "differences",
    "digest",
    "edit",
    "end",
    "entry_of",
    "entry_text",
    "from_json",
    "from_toml",
    "parse",
    "plain_data",
    "read_register",
    "read_value",
    "reference",
    "remove",
    "to_data",
    "to_json",
    "to_toml",
]
