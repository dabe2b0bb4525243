"""The ``retention.toml`` that ``ropa init`` writes: a sound example in which every key is explained.

Invariant: it loads as it stands, and its one rule only flags.
"""

from __future__ import annotations

_TEMPLATE = """\
# Places and rules: where personal data is kept, how long, and what then happens.
# This file decides what is deleted: keep it under review like code, and writable by nobody but its owner.
# Try it with `ropa check`; `ropa plan` shows what it means and changes nothing.
# A line that starts with "# key =" shows a key that may be left out.
# More places and rules may stand in config/retention.d/*.toml, each in one file only.

# The controller's time zone: periods count in its calendar days. Required.
timezone = "Europe/Brussels"

# What stops a run before its first record. Over a cap nothing happens at all; there is no option that lifts one.
[safety]
max_records = 10_000                # per target and run
max_share = 0.25                    # of the dataset's population, above 0 and at most 1
max_records_7_days = 50_000         # over seven rolling days
approvals = 1                       # persons needed per plan, 1 to 10
approval_valid = "P7D"              # after which an approval lapses
# require_synchronised_clock = false   # true: no purge while the kernel says that its clock is not disciplined

# [state]
# database = "env:ROPA_STATE_URL"   # replaces var/ropa.db, e.g. postgresql+psycopg://...; no password in this file

# [ledger]
# checkpoint_export = "/srv/checkpoints"   # a folder elsewhere that receives each run's signed checkpoint
# origin = "ropa/example"           # the ledger's name in its checkpoints: no white space, no +

# Who is told when something is overdue, blocked, failed, missed or waiting for approval: once a matter.
# [notify]
# healthcheck = "env:ROPA_HEALTHCHECK_URL"   # called after each sweep that succeeded

# [notify.mail]
# server = "smtp.example.org"
# port = 587
# security = "starttls"             # or "tls"; "none" never sends a password
# user = "ropa"
# password = "env:ROPA_SMTP_PASSWORD"
# from = "ropa@example.org"
# to = ["privacy@example.org"]

# [notify.webhook]
# url = "https://hooks.example.org/ropa"
# secret = "env:ROPA_WEBHOOK_SECRET"   # signs each notice

# A location is a system that stores data. Names: small letters, digits, - and _.
[location.crm]
title = "Customer database"         # what people call it
connector = "sql"                   # how it is reached; `ropa location list` names the connectors that are installed
country = "BE"                      # where the data lies: two capitals, ISO 3166
# recipient = "microsoft"           # who runs it, as in the register; leave out for a system of your own
# batch_size = 1000                 # records per intent in the ledger, at most 100,000
# backups_kept = "P90D"             # how long a backup of it may live; so long a restore is noticed; "none": never
# The keys below belong to the connector. A relative path is relative to the project folder. A secret never stands
# here: write env:NAME or file:PATH, also for a URL with a password in it.
url = "sqlite:///data/crm.sqlite"
# apply = { url = "env:CRM_APPLY_URL" }   # other credentials to act with, so that those that plan only need to read

# A dataset holds items of one kind: a table, a folder, a list, a mailbox folder.
[location.crm.dataset.contacts]
title = "Customers and prospects"   # what people call it
source = "contacts"                 # the connector's own word: here the table. Required.
# key = ["id"]                      # default: the primary key from the catalogue
# timezone = "UTC"                  # of dates that carry no zone; default: the controller's
subject = ["email"]                 # what identifies the person, for holds and requests; any of them
# Anchors: the dates that periods run from, under names of your own.
anchor.created = "created_at"
anchor.last-contact = { column = "last_contact_on" }
# anchor.imported = { column = "imported", format = "epoch" }         # epoch, epoch-ms or a pattern such as %d/%m/%Y
# anchor.last-activity = { latest = ["created_at", "crm.orders:ordered_on"] }   # own columns, children's, the parent's
# anchor.applied = { pattern = "%Y-%m-%d", in = "name" }             # files: a date in the name
# Data categories, each with the columns that hold it.
data.name = ["first_name", "last_name"]
data.email = ["email"]
data.birth-date = ["birth_date"]
# parent = { dataset = "crm.accounts", via = ["account_id"], with_parent = true }   # true: goes when its parent goes

# A rule: activity, dataset, data, anchor, period and action are required and have no default.
[rule.prospects]
activity = "intake"                 # key of a processing activity in the register
dataset = "crm.contacts"            # location.dataset
data = "*"                          # every category mapped in the dataset, or a list: ["name", "email"]
# where = { status = ["new", "lost"], customer_number = { null = true }, country = { not = "US" } }   # all must hold
anchor = "last-contact"             # one of the anchors of the dataset
period = "6 months"                 # or "10 years", "1 year 27 days", "4 weeks", "P6M"; under a day only with keep
start = "anchor"                    # or "next-year": from 1 January after the anchor, as tax law does
action = "flag"                     # flag: only say so | anonymise | purge | keep
# mask = { birth-date = "year" }    # anonymise: clear (the default), year, truncate-ip, redact, random
legal_ground = "own policy"         # the law or the policy that sets the period
# reason = "..."                    # why; required with keep
approval = "plan"                   # a person approves each plan; "mandate": a standing mandate may
# max_records = 50_000              # this rule's own caps, e.g. for the first clean-up of a backlog
# max_share = 0.9
"""


def template() -> str:
    """Return a commented ``retention.toml`` that loads as it stands where the ``sql`` connector is installed."""
    return _TEMPLATE
