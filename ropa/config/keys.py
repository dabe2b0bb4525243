"""Every key that ``retention.toml`` knows, once: what the loader accepts is what the reference describes.

Invariant: a key that is not here (and not declared by the location's connector) is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a table: what it takes, what holds when it is left out, what it means."""

    takes: str
    meaning: str
    default: str = ""
    """As the reference shows it; empty: nothing."""
    is_required: bool = False


ROOT: Mapping[str, Key] = {
    "timezone": Key("IANA zone", "The controller's zone: periods count in its calendar days.", is_required=True),
    "safety": Key("table", "What stops a run before its first record."),
    "state": Key("table", "Where the run state is kept."),
    "ledger": Key("table", "The evidence."),
    "notify": Key("table", "Who is told of what somebody must hear."),
    "location": Key("table of tables", "The places that store data, by name."),
    "rule": Key("table of tables", "The retention rules, by name."),
}
SAFETY: Mapping[str, Key] = {
    "max_records": Key("integer > 0", "Records per target and run; over it nothing happens without a person.", "10000"),
    "max_share": Key("number, 0 < n ≤ 1", "Share of the dataset's population per target and run.", "0.25"),
    "max_records_7_days": Key("integer > 0", "Records over seven rolling days.", "50000"),
    "approvals": Key("integer, 1 to 10", "Persons needed per plan.", "1"),
    "approval_valid": Key("period of a day or longer", "How long an approval stands before it lapses.", '"P7D"'),
    "require_synchronised_clock": Key(
        "true or false", "Refuse to purge while the kernel says that its clock is not disciplined.", "false"
    ),
}
STATE: Mapping[str, Key] = {
    "database": Key(
        "database URL or reference",
        "Replaces `var/ropa.db`, e.g. by `postgresql+psycopg://…`; a password in it is refused, write `env:NAME`.",
        "`var/ropa.db`",
    ),
}
LEDGER: Mapping[str, Key] = {
    "checkpoint_export": Key("path", "A folder outside the state folder that receives each run's checkpoint."),
    "origin": Key(
        "text without white space and `+`", "The ledger's name in its checkpoints.", "`ropa/` and the organisation"
    ),
}
NOTIFY: Mapping[str, Key] = {
    "healthcheck": Key(
        "https URL, or reference", "Called after each sweep that succeeded; whoever waits for it hears of silence."
    ),
    "mail": Key("table", "Notices by e-mail."),
    "webhook": Key("table", "Notices as signed JSON."),
}
MAIL: Mapping[str, Key] = {
    "server": Key("name of a host", "The SMTP server that takes our mail.", is_required=True),
    "port": Key("integer, 1 to 65535", "Its port.", "587; 465 with `tls`; 25 with `none`"),
    "security": Key("`starttls`, `tls` or `none`", "`none` sends in the clear, and never a password.", '"starttls"'),
    "user": Key("text or reference", "Who logs in, where the server asks for it."),
    "password": Key("secret: `env:NAME` or `file:PATH`", "The password of `user`."),
    "from": Key("e-mail address", "The sender.", is_required=True),
    "to": Key("list of e-mail addresses, 20 at most", "Who is told.", is_required=True),
}
WEBHOOK: Mapping[str, Key] = {
    "url": Key(
        "https URL, or reference", "Where notices are posted; plain http on this machine only.", is_required=True
    ),
    "secret": Key("secret: `env:NAME` or `file:PATH`", "Signs each notice; 16 characters or more.", is_required=True),
}
LOCATION: Mapping[str, Key] = {
    "title": Key("text", "What people call the place."),
    "connector": Key("name of a connector", "How the place is reached.", is_required=True),
    "country": Key("ISO 3166 code, two capitals", "Where the data lies."),
    "recipient": Key("recipient of the register", "Who runs the place, when it is not ourselves."),
    "batch_size": Key("integer, 1 to 100000", "Records per intent.", "the connector's own"),
    "apply": Key(
        "table of keys of the connector",
        "Other credentials for applying, so that those that plan need not delete. Never looked up while planning.",
        "the location's own",
    ),
    "backups_kept": Key(
        'period of a day or longer, or `"none"`',
        "How long a backup of the place may live. So long what was erased there is recognised after a restore "
        "(`ropa reapply`); `none`: never.",
        '"P90D"',
    ),
    "dataset": Key("table of tables", "The datasets of the place, by name."),
}
DATASET: Mapping[str, Key] = {
    "title": Key("text", "What people call the dataset."),
    "source": Key("text", "Table, folder, entity, list, mailbox folder: the connector's own word.", is_required=True),
    "key": Key("list of columns", "The columns that name a record.", "the primary key from the catalogue"),
    "timezone": Key("IANA zone", "Where dates that carry no zone are read.", "the controller's"),
    "subject": Key("list of columns", "What identifies the person, for holds and requests; any of them."),
    "anchor": Key("table", "The dates that periods run from, by name."),
    "data": Key("table of lists of columns", "Each data category, with the columns that hold it."),
    "parent": Key("table", "The record that this dataset's records belong to."),
}
ANCHOR: Mapping[str, Key] = {
    "column": Key("column, or `location.dataset:column`", "The column that holds the date; a bare text says the same."),
    "format": Key("`epoch`, `epoch-ms` or a strptime pattern", "How the date is written.", "ISO 8601 or a native type"),
    "latest": Key("list of columns", "The latest of own columns, of children's, or the parent's."),
    "pattern": Key("strptime pattern", "Files: how a date is written in the name."),
    "in": Key('`"name"`', "Files: where `pattern` is looked for."),
}
PARENT: Mapping[str, Key] = {
    "dataset": Key("`location.dataset`", "The parent's dataset, in the same location.", is_required=True),
    "via": Key("list of columns", "The columns of the child that hold the parent's key.", is_required=True),
    "with_parent": Key("true or false", "Whether the child goes when its parent goes, whatever its own age.", "false"),
}
RULE: Mapping[str, Key] = {
    "activity": Key("activity of the register", "The processing activity that needs the data.", is_required=True),
    "dataset": Key("`location.dataset`", "Where the data lies.", is_required=True),
    "data": Key('list of data categories, or `"*"`', "What the rule covers.", is_required=True),
    "where": Key("table of conditions", "Covers only the records that match all of them.", "every record"),
    "anchor": Key("anchor of the dataset", "The date the period runs from.", is_required=True),
    "period": Key("period", 'How long: `"6 months"`, `"P1Y27D"`. Under a day only with `keep`.', is_required=True),
    "start": Key('`"anchor"` or `"next-year"`', "`next-year`: from 1 January after the anchor.", '"anchor"'),
    "action": Key("`flag`, `anonymise`, `purge` or `keep`", "What happens to what is due.", is_required=True),
    "mask": Key(
        "table: category to `clear`, `year`, `truncate-ip`, `redact`, `random`",
        "How each category is anonymised.",
        "`clear`",
    ),
    "legal_ground": Key("text", "The law or the policy that sets the period."),
    "reason": Key("text", "Why; required with `keep`."),
    "approval": Key('`"plan"` or `"mandate"`', "`plan`: a person approves each plan.", '"plan"'),
    "max_records": Key("integer > 0", "This rule's own cap.", "that of `[safety]`"),
    "max_share": Key("number, 0 < n ≤ 1", "This rule's own cap.", "that of `[safety]`"),
}
WHERE: Mapping[str, Key] = {
    "not": Key("value, or list of values", "The column has none of these."),
    "null": Key("true or false", "The column is empty, or is not."),
}

SECTIONS: Mapping[str, Mapping[str, Key]] = {
    "": ROOT,
    "safety": SAFETY,
    "state": STATE,
    "ledger": LEDGER,
    "notify": NOTIFY,
    "notify.mail": MAIL,
    "notify.webhook": WEBHOOK,
    "location.X": LOCATION,
    "location.X.dataset.Y": DATASET,
    "location.X.dataset.Y.anchor.Z": ANCHOR,
    "location.X.dataset.Y.parent": PARENT,
    "rule.X": RULE,
    "rule.X.where.COLUMN": WHERE,
}
