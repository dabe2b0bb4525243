"""``config/retention.toml`` and ``config/retention.d``: read within bounds, checked whole, given back as frozen values.

Invariant: a configuration is either sound from end to end or refused with every problem at once; no secret and no
value of the file ever stands in a message.
"""

from ropa.config.bounds import parse_toml, raise_unusable_values, read_toml
from ropa.config.load import load
from ropa.config.models import Config, Location, Mail, Notify, Rule, Safety, Webhook
from ropa.config.modes import check_modes, check_secret_modes, check_state_modes
from ropa.config.notices import SHORTEST_SECRET, wrong_url
from ropa.config.problems import guess, spell
from ropa.config.reference import reference
from ropa.config.references import NOT_HERE, dereference
from ropa.config.secrets import absolute_sqlite_url, resolve, resolve_datasets
from ropa.config.sources import in_file
from ropa.config.template import template

__all__ = [
    "NOT_HERE",
    "SHORTEST_SECRET",
    "Config",
    "Location",
    "Mail",
    "Notify",
    "Rule",
    "Safety",
    "Webhook",
    "absolute_sqlite_url",
    "check_modes",
    "check_secret_modes",
    "check_state_modes",
    "dereference",
    "guess",
    "in_file",
    "load",
    "parse_toml",
    "raise_unusable_values",
    "read_toml",
    "reference",
    "resolve",
    "resolve_datasets",
    "spell",
    "template",
    "wrong_url",
]
