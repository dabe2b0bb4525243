"""What a sound configuration becomes, and the problem that each mistake is reported as."""

import hashlib
import textwrap
from datetime import UTC, date, datetime

import pytest
from babel import Locale

from ropa.clock import Period
from ropa.config import load
from ropa.config.countries import COUNTRIES, LIKELY
from ropa.connector import Action, Anchor, AnchorPart, Condition, Mask, Parent
from ropa.errors import ConfigurationError

CONTRACT = """
timezone = "Europe/Brussels"              # periods count in these days
[safety]
max_records = 10_000                      # per target and run; over it nothing happens without a person
max_share = 0.25                          # of the dataset's population
max_records_7_days = 50_000
approvals = 1                             # persons needed per plan
approval_valid = "P7D"

[location.crm]
title = "Klantenbeheer (Microsoft 365)"
connector = "dataverse"                   # sql files weblog imap dataverse outlook sharepoint manual, or a plug-in
country = "IE"
recipient = "microsoft"                   # key of a recipient in the register
# everything else belongs to the connector:
url = "https://webassur.crm4.dynamics.com"
tenant_id = "env:CRM_TENANT_ID"           # env:NAME or file:PATH; an inline secret is refused
client_id = "env:CRM_CLIENT_ID"
certificate = "file:/run/secrets/crm.pem"

batch_size = 5000                         # records per intent

[location.crm.dataset.contacts]
title = "Klanten en prospecten"
source = "contact"                        # table, folder, entity, list, mailbox folder
key = ["contactid"]                       # default: the primary key from the catalogue
timezone = "UTC"                          # of dates that carry no zone
subject = ["emailaddress1"]               # what identifies the person, for holds and requests
anchor.created = "createdon"
anchor.last-contact = "modifiedon"
data.name = ["firstname", "lastname"]
data.birth-date = ["birthdate"]
data.email = ["emailaddress1"]

[rule.prospects]
activity = "intake"                       # key of a processing activity in the register
dataset = "crm.contacts"
data = ["name", "email"]                  # or "*": every category mapped in the dataset
where = { statecode = 0 }                 # column = value | [values] | { not = value } | { null = true }
anchor = "last-contact"
period = "6 months"
start = "anchor"                          # or "next-year": from 1 January after the anchor
action = "purge"                          # flag | anonymise | purge | keep (keep needs a reason)
legal_ground = "own policy, 28/12/2022"
approval = "plan"
"""

LOCATION = """
timezone = "Europe/Brussels"
[location.crm]
connector = "sql"
url = "sqlite:///data/crm.sqlite"
{location}
[location.crm.dataset.contacts]
source = "contacts"
anchor.created = "created_at"
anchor.last-contact = "last_contact_on"
data.name = ["first_name", "last_name"]
data.birth-date = ["birth_date"]
data.email = ["email"]
{dataset}
[location.crm.dataset.orders]
source = "orders"
anchor.ordered = "ordered_on"
data.invoice = ["number"]
{orders}
"""

RULE = {
    "activity": '"intake"',
    "dataset": '"crm.contacts"',
    "data": '["name", "email"]',
    "anchor": '"created"',
    "period": '"6 months"',
    "action": '"purge"',
}


def text(location="", dataset="", orders="", head="", rule=None, tail="") -> str:
    """A sound configuration with lines put in; ``rule``: keys to change, None taking a key out."""
    keys = {**RULE, **(rule or {})}
    rules = "\n".join(["[rule.prospects]", *(f"{key} = {value}" for key, value in keys.items() if value is not None)])
    return f"{head}\n{LOCATION.format(location=location, dataset=dataset, orders=orders)}\n{rules}\n{tail}\n"


# --- what is sound ------------------------------------------------------------------------------------------------


def test_the_example_of_the_contract_loads(read):
    config = read(CONTRACT)
    crm = config.locations["crm"]
    contacts = config.dataset("crm.contacts")
    rule = config.rules["prospects"]
    assert str(config.timezone) == "Europe/Brussels"
    assert (config.safety.max_records, config.safety.max_share, config.safety.approvals) == (10_000, 0.25, 1)
    assert config.safety.approval_valid == Period(days=7)
    assert (crm.connector, crm.country, crm.recipient, crm.batch_size) == ("dataverse", "IE", "microsoft", 5000)
    assert crm.options["certificate"] == "file:/run/secrets/crm.pem"
    assert str(contacts.zone) == "UTC"
    assert contacts.key == ("contactid",)
    assert contacts.subject == ("emailaddress1",)
    assert contacts.anchors["last-contact"] == Anchor("last-contact", (AnchorPart("modifiedon"),))
    assert contacts.data == {
        "name": ("firstname", "lastname"),
        "birth-date": ("birthdate",),
        "email": ("emailaddress1",),
    }
    assert (rule.activity, rule.dataset, rule.data, rule.is_all_data) == (
        "intake",
        "crm.contacts",
        ("name", "email"),
        False,
    )
    assert rule.where == (Condition("statecode", (0,)),)
    assert (rule.anchor, rule.period, rule.start, rule.action) == (
        "last-contact",
        Period(months=6),
        "anchor",
        Action.PURGE,
    )
    assert (rule.legal_ground, rule.approval, rule.max_records) == ("own policy, 28/12/2022", "plan", None)


def test_the_mask_of_the_contract_loads_with_the_action_it_belongs_to(read):
    config = read(text(rule={"action": '"anonymise"', "data": '["birth-date"]', "mask": '{ birth-date = "year" }'}))
    assert config.rules["prospects"].mask == {"birth-date": Mask.YEAR}


def test_the_digest_is_that_of_the_bytes_of_the_file(write, types):
    raw = text().replace("\n", "\r\n").encode()
    assert load(write(raw), types).digest == "sha256:" + hashlib.sha256(raw).hexdigest()


def test_a_star_covers_every_category_in_the_order_of_the_dataset(read):
    for star in ('"*"', '["*"]'):
        rule = read(text(rule={"data": star})).rules["prospects"]
        assert (rule.data, rule.is_all_data) == (("name", "birth-date", "email"), True)


def test_a_dataset_without_a_zone_takes_the_controllers(read):
    assert str(read(text()).dataset("crm.orders").zone) == "Europe/Brussels"


def test_the_ledger_and_state_sections_are_read(read, tmp_path):
    head = '[state]\ndatabase = "env:RUN_DB"\n[ledger]\ncheckpoint_export = "../elsewhere"\norigin = "ropa/example"\n'
    config = read(text(tail=head))
    assert config.database == "env:RUN_DB"
    assert config.checkpoint_export == tmp_path / "../elsewhere"
    assert config.origin == "ropa/example"
    assert config.folder == tmp_path


def test_locations_without_rules_are_sound(read):
    config = read('timezone = "UTC"\n[location.paper]\nconnector = "manual"\n')
    assert (list(config.locations), config.rules) == (["paper"], {})


def test_a_byte_order_mark_does_no_harm(write, types):
    assert load(write(b"\xef\xbb\xbf" + text().encode()), types).rules.keys() == {"prospects"}


@pytest.mark.parametrize(
    ("form", "parts"),
    [
        ('"created_at"', (AnchorPart("created_at"),)),
        ('{ column = "created_at" }', (AnchorPart("created_at"),)),
        ('{ column = "created_at", format = "epoch" }', (AnchorPart("created_at", form="epoch"),)),
        ('{ column = "created_at", format = "epoch-ms" }', (AnchorPart("created_at", form="epoch-ms"),)),
        ('{ column = "c", format = "%Y-%m" }', (AnchorPart("c", form="%Y-%m"),)),
        ('{ column = "c", format = "%d/%m/%y %H:%M" }', (AnchorPart("c", form="%d/%m/%y %H:%M"),)),
        ('{ column = "c", format = "%Y-%m-%dT%H:%M:%S%z" }', (AnchorPart("c", form="%Y-%m-%dT%H:%M:%S%z"),)),
        (
            '{ latest = ["created_at", "crm.orders:ordered_on"] }',
            (AnchorPart("created_at"), AnchorPart("ordered_on", dataset="orders")),
        ),
        (
            '{ latest = ["a", { column = "crm.orders:b", format = "epoch" }] }',
            (AnchorPart("a"), AnchorPart("b", dataset="orders", form="epoch")),
        ),
        ('{ latest = ["crm.contacts:created_at"] }', (AnchorPart("created_at"),)),
        ('{ pattern = "%Y-%m-%d", in = "name" }', (AnchorPart("name", form="%Y-%m-%d"),)),
    ],
)
def test_an_anchor_can_be_written_in_these_ways(read, form, parts):
    assert read(text(dataset=f"anchor.x = {form}")).dataset("crm.contacts").anchors["x"] == Anchor("x", parts)


@pytest.mark.parametrize(
    ("form", "condition"),
    [
        ("0", Condition("c", (0,))),
        ("true", Condition("c", (True,))),
        ('["new", "lost"]', Condition("c", ("new", "lost"))),
        ("2026-01-31", Condition("c", (date(2026, 1, 31),))),
        ("2026-01-31T12:00:00Z", Condition("c", (datetime(2026, 1, 31, 12, tzinfo=UTC),))),
        ('{ not = "US" }', Condition("c", ("US",), negated=True)),
        ("{ not = [1, 2.5] }", Condition("c", (1, 2.5), negated=True)),
        ("{ null = true }", Condition("c", (None,))),
        ("{ null = false }", Condition("c", (None,), negated=True)),
    ],
)
def test_a_condition_can_be_written_in_these_ways(read, form, condition):
    assert read(text(rule={"where": f"{{ c = {form} }}"})).rules["prospects"].where == (condition,)


def test_a_parent_is_a_dataset_of_the_same_location(read):
    orders = 'parent = { dataset = "crm.contacts", via = ["contact_id"], with_parent = true }'
    assert read(text(orders=orders)).dataset("crm.orders").parent == Parent(
        "contacts", ("contact_id",), with_parent=True
    )


def test_a_datasets_own_anchor_wins_over_the_connectors_default(read):
    head = (
        '[location.cv]\nconnector = "files"\nroot = "data/cv"\n'
        '[location.cv.dataset.new]\nsource = "new"\ndepth = 2\n'
        '[location.cv.dataset.old]\nsource = "old"\nanchor.mtime = { column = "mtime", format = "epoch" }\n'
    )
    config = read(text(tail=head))
    assert config.dataset("cv.new").anchors == {"mtime": Anchor("mtime", (AnchorPart("mtime"),))}
    assert config.dataset("cv.new").options == {"depth": 2}
    assert config.dataset("cv.old").anchors["mtime"].parts == (AnchorPart("mtime", form="epoch"),)


@pytest.mark.parametrize(
    ("period", "value"),
    [
        ("10 years", Period(years=10)),
        ("P1Y27D", Period(years=1, days=27)),
        ("4 weeks", Period(weeks=4)),
        ("30 days", Period(days=30)),
    ],
)
def test_periods_are_read_in_words_and_in_iso_8601(read, period, value):
    assert read(text(rule={"period": f'"{period}"'})).rules["prospects"].period == value


def test_a_period_under_a_day_may_stand_on_keep(read):
    rule = {"period": '"PT30M"', "action": '"keep"', "reason": '"session cookie"', "data": '"*"'}
    assert read(text(rule=rule)).rules["prospects"].period == Period(minutes=30)


def test_where_nothing_enforces_any_action_may_be_asked_for(read):
    tail = (
        '[location.paper]\nconnector = "manual"\n[location.paper.dataset.files]\nsource = "cabinet 3"\n'
        'anchor.closed = "closed_on"\ndata.name = ["cover"]\ndata.invoice = ["pages"]\n'
        '[rule.paper]\nactivity = "invoicing"\ndataset = "paper.files"\ndata = ["name"]\nanchor = "closed"\n'
        'period = "10 years"\nstart = "next-year"\naction = "anonymise"\nmask = { name = "redact" }\napproval = "mandate"\n'
        "max_records = 5\nmax_share = 1\n"
    )
    rule = read(text(tail=tail)).rules["paper"]
    assert (rule.start, rule.approval, rule.max_records, rule.max_share) == ("next-year", "mandate", 5, 1.0)


def test_the_countries_are_the_249_of_the_standard():
    assert len(COUNTRIES) == 249
    assert set(Locale("en").territories) >= COUNTRIES
    assert set(LIKELY.values()) <= COUNTRIES


# --- what is not --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "path", "suggestion"),
    [
        ({"lgeal_ground": '"x"'}, "rule.prospects.lgeal_ground", "legal_ground"),
        ({"lgeal_hold": '"x"'}, "rule.prospects.lgeal_hold", "legal_ground"),
        ({"years": "0"}, "rule.prospects.years", None),
        ({"dataset": '"crm.contcts"'}, "rule.prospects.dataset", "crm.contacts"),
        ({"dataset": '"contacts"'}, "rule.prospects.dataset", "crm.contacts"),
        ({"dataset": "5"}, "rule.prospects.dataset", None),
        ({"anchor": '"craeted"'}, "rule.prospects.anchor", "created"),
        ({"anchor": '"last_contact"'}, "rule.prospects.anchor", "last-contact"),
        ({"data": '["nmae"]'}, "rule.prospects.data[0]", "name"),
        ({"data": '["email", "birth_date"]'}, "rule.prospects.data[1]", "birth-date"),
        ({"data": '["*", "name"]'}, "rule.prospects.data[0]", None),
        ({"data": '"name"'}, "rule.prospects.data", None),
        ({"data": "[]"}, "rule.prospects.data", None),
        ({"data": '["name", "name"]'}, "rule.prospects.data", None),
        ({"data": "[1]"}, "rule.prospects.data", None),
        ({"action": '"prge"'}, "rule.prospects.action", "purge"),
        ({"action": '"anonymize"'}, "rule.prospects.action", "anonymise"),
        ({"action": '["purge"]'}, "rule.prospects.action", None),
        ({"start": '"nextyear"'}, "rule.prospects.start", "next-year"),
        ({"approval": '"Mandate"'}, "rule.prospects.approval", "mandate"),
        ({"mask": '{ name = "clear" }'}, "rule.prospects.mask", None),
        ({"mask": "{}"}, "rule.prospects.mask", None),
        ({"mask": '"clear"'}, "rule.prospects.mask", None),
        ({"action": '"anonymise"', "mask": '{ nme = "clear" }'}, "rule.prospects.mask.nme", "name"),
        ({"action": '"anonymise"', "mask": '{ name = "claer" }'}, "rule.prospects.mask.name", "clear"),
        ({"action": '"keep"', "data": '"*"'}, "rule.prospects.reason", None),
        ({"action": '"keep"', "data": '"*"', "reason": '" "'}, "rule.prospects.reason", None),
        ({"where": "{}"}, "rule.prospects.where", None),
        ({"where": '"a = 1"'}, "rule.prospects.where", None),
        ({"where": "{ a = [] }"}, "rule.prospects.where.a", None),
        ({"where": '{ a = "" }'}, "rule.prospects.where.a", None),
        ({"where": '{ a = ["x", "\\t"] }'}, "rule.prospects.where.a[1]", None),
        ({"where": "{ a = {} }"}, "rule.prospects.where.a", None),
        ({"where": "{ a = { not = 1, null = true } }"}, "rule.prospects.where.a", None),
        ({"where": "{ a = { null = 1 } }"}, "rule.prospects.where.a.null", None),
        ({"where": "{ a = { not = [] } }"}, "rule.prospects.where.a.not", None),
        ({"where": "{ a = { null = true, nto = 1 } }"}, "rule.prospects.where.a.nto", "not"),
        ({"where": "{ a = [[1]] }"}, "rule.prospects.where.a[0]", None),
        ({"where": "{ a = nan }"}, "rule.prospects.where.a", None),
        ({"where": "{ a = 12:00:00 }"}, "rule.prospects.where.a", None),
        ({"where": "{ a = 2026-01-31T12:00:00 }"}, "rule.prospects.where.a", None),
        ({"where": "{ a = 9223372036854775808 }"}, "rule.prospects.where.a", None),
        ({"where": '{ a = "x\\u0000y" }'}, "rule.prospects.where.a", None),
        ({"where": '{ "" = 1 }'}, 'rule.prospects.where.""', None),
        ({"max_records": "0"}, "rule.prospects.max_records", None),
        ({"max_records": "true"}, "rule.prospects.max_records", None),
        ({"max_share": "0"}, "rule.prospects.max_share", None),
        ({"max_share": "1.01"}, "rule.prospects.max_share", None),
        ({"max_share": "true"}, "rule.prospects.max_share", None),
        ({"max_share": "inf"}, "rule.prospects.max_share", None),
        ({"legal_ground": '""'}, "rule.prospects.legal_ground", None),
        ({"activity": '"  "'}, "rule.prospects.activity", None),
        *(({key: None}, f"rule.prospects.{key}", None) for key in RULE),
    ],
)
def test_a_mistake_in_a_rule_is_reported_at_its_key(problems, keys, path, suggestion):
    found = problems(text(rule=keys))
    assert list(found) == [path]
    assert found[path].suggestion == suggestion


@pytest.mark.parametrize(
    "period",
    ["0", "-1", "5", "5.5", "inf", "nan", "true", "1e400", '"5"', '"0 days"', '"-1 days"', '"P0D"', '"PT30M"', '"1 day 2 hours"',
     '"5.5 months"', '""', '"6 moons"', "[6]", "{ years = 0 }", '"10000 years"', f'"{"9" * 70} days"'],
)  # fmt: skip
def test_no_number_or_vague_text_is_a_period(problems, period):
    assert list(problems(text(rule={"period": period}))) == ["rule.prospects.period"]


@pytest.mark.parametrize(
    ("head", "path", "suggestion"),
    [
        ("[saftey]\nmax_records = 1", "saftey", "safety"),
        ("[safety]\nmax_record = 1", "safety.max_record", "max_records"),
        ("[safety]\nmax_records = 0", "safety.max_records", None),
        ("[safety]\nmax_records = true", "safety.max_records", None),
        ("[safety]\nmax_records = 5.0", "safety.max_records", None),
        ("[safety]\nmax_records_7_days = -1", "safety.max_records_7_days", None),
        ("[safety]\nmax_share = 0.0", "safety.max_share", None),
        ("[safety]\nmax_share = nan", "safety.max_share", None),
        ("[safety]\napprovals = 0", "safety.approvals", None),
        ("[safety]\napprovals = 11", "safety.approvals", None),
        ('[safety]\napproval_valid = "PT1H"', "safety.approval_valid", None),
        ("[safety]\napproval_valid = 7", "safety.approval_valid", None),
        ('[safety]\nrequire_synchronised_clock = "yes"', "safety.require_synchronised_clock", None),
        ("[[safety]]\nmax_records = 1", "safety", None),
        ('[state]\ndatbase = "x"', "state.datbase", "database"),
        ("[state]\ndatabase = 1", "state.database", None),
        ('[ledger]\norigin = "a b"', "ledger.origin", None),
        ('[ledger]\norigin = "a+b"', "ledger.origin", None),
        ('[ledger]\norigin = ""', "ledger.origin", None),
        ('[ledger]\norigin = "a\\n"', "ledger.origin", None),
        ('[ledger]\ncheckpoint_export = ["x"]', "ledger.checkpoint_export", None),
    ],
)
def test_a_mistake_in_a_section_is_reported_at_its_key(problems, head, path, suggestion):
    found = problems(text(tail=head))
    assert list(found) == [path]
    assert found[path].suggestion == suggestion


@pytest.mark.parametrize(
    ("zone", "suggestion"),
    [
        ('"Europe/Brusels"', "Europe/Brussels"),
        ('"europe/brussels"', "Europe/Brussels"),
        ('"Brussels"', "Europe/Brussels"),
        ('"Europe"', None),
        ('"localtime"', None),
        ('"right/Europe/Brussels"', "Europe/Brussels"),
        ('"../../etc/passwd"', None),
        ('"/etc/localtime"', None),
        ('""', None),
        ("5", None),
    ],
)
def test_only_an_iana_zone_is_a_time_zone(problems, zone, suggestion):
    found = problems(text().replace('timezone = "Europe/Brussels"', f"timezone = {zone}"))
    assert list(found) == ["timezone"]
    assert suggestion is None or found["timezone"].suggestion == suggestion


def test_the_time_zone_has_no_default(problems):
    found = problems(text().replace('timezone = "Europe/Brussels"', ""))
    assert list(found) == ["timezone"]
    assert "required" in found["timezone"].message


@pytest.mark.parametrize(
    ("line", "path", "suggestion"),
    [
        ('contry = "BE"', "location.crm.contry", "country"),
        ('shcema = "x"', "location.crm.shcema", "schema"),
        ('country = "be"', "location.crm.country", "BE"),
        ('country = "UK"', "location.crm.country", "GB"),
        ('country = "XX"', "location.crm.country", None),
        ("batch_size = 0", "location.crm.batch_size", None),
        ("batch_size = 100001", "location.crm.batch_size", None),
        ("batch_size = true", "location.crm.batch_size", None),
        ("title = 1", "location.crm.title", None),
        ('title = " "', "location.crm.title", None),
        ("schema = 5", "location.crm.schema", None),
        ('schema = ""', "location.crm.schema", None),
        ('timeout = "5"', "location.crm.timeout", None),
        ("timeout = true", "location.crm.timeout", None),
        ("timeout = inf", "location.crm.timeout", None),
        ("read_only = 1", "location.crm.read_only", None),
        ("hosts = 1", "location.crm.hosts", None),
        ('search_path = "a"', "location.crm.search_path", None),
    ],
)
def test_a_mistake_in_a_location_is_reported_at_its_key(problems, line, path, suggestion):
    found = problems(text(location=line))
    assert list(found) == [path]
    assert found[path].suggestion == suggestion


@pytest.mark.parametrize(
    ("line", "path", "suggestion"),
    [
        ('sourc = "x"', "location.crm.dataset.contacts.sourc", "source"),
        ("key = []", "location.crm.dataset.contacts.key", None),
        ('key = "id"', "location.crm.dataset.contacts.key", None),
        ('key = ["id", ""]', "location.crm.dataset.contacts.key[1]", None),
        ('subject = ["a", "a"]', "location.crm.dataset.contacts.subject", None),
        ('timezone = "Mars/Olympus"', "location.crm.dataset.contacts.timezone", None),
        ("data.cv = []", "location.crm.dataset.contacts.data.cv", None),
        ('data.cv = "cv"', "location.crm.dataset.contacts.data.cv", None),
        ('data.CV = ["cv"]', "location.crm.dataset.contacts.data.CV", None),
        ("anchor.x = 5", "location.crm.dataset.contacts.anchor.x", None),
        ('anchor.x = ""', "location.crm.dataset.contacts.anchor.x", None),
        ('anchor."a b" = "c"', 'location.crm.dataset.contacts.anchor."a b"', None),
        ("anchor.x = {}", "location.crm.dataset.contacts.anchor.x", None),
        ('anchor.x = { column = "a", latest = ["b"] }', "location.crm.dataset.contacts.anchor.x", None),
        ('anchor.x = { column = "a", fromat = "epoch" }', "location.crm.dataset.contacts.anchor.x.fromat", "format"),
        ('anchor.x = { column = "a", format = "%H:%M" }', "location.crm.dataset.contacts.anchor.x.format", None),
        ('anchor.x = { column = "a", format = "%Y %d" }', "location.crm.dataset.contacts.anchor.x.format", None),
        ('anchor.x = { column = "a", format = "%Q" }', "location.crm.dataset.contacts.anchor.x.format", None),
        ('anchor.x = { column = "a", format = "dd/mm/yyyy" }', "location.crm.dataset.contacts.anchor.x.format", None),
        ('anchor.x = { column = "a", in = "name" }', "location.crm.dataset.contacts.anchor.x.in", None),
        ('anchor.x = { pattern = "%Y-%m-%d" }', "location.crm.dataset.contacts.anchor.x.in", None),
        ('anchor.x = { pattern = "%Y-%m-%d", in = "nmae" }', "location.crm.dataset.contacts.anchor.x.in", "name"),
        ('anchor.x = { pattern = "epoch", in = "name" }', "location.crm.dataset.contacts.anchor.x.pattern", None),
        ("anchor.x = { latest = [] }", "location.crm.dataset.contacts.anchor.x.latest", None),
        ('anchor.x = { latest = ["a", "a"] }', "location.crm.dataset.contacts.anchor.x.latest", None),
        ('anchor.x = { latest = [{ format = "epoch" }] }', "location.crm.dataset.contacts.anchor.x.latest[0].column", None),
        (f'anchor.x = {{ column = "a", format = "%Y-%m-%d{"x" * 60}" }}', "location.crm.dataset.contacts.anchor.x.format", None),
        ('anchor.x = { latest = ["a", 1] }', "location.crm.dataset.contacts.anchor.x.latest[1]", None),
        (
            'anchor.x = { latest = ["a", "crm.ordres:d"] }',
            "location.crm.dataset.contacts.anchor.x.latest[1]",
            "crm.orders",
        ),
        ('anchor.x = { latest = ["orders:d"] }', "location.crm.dataset.contacts.anchor.x.latest[0]", "crm.orders"),
        ('anchor.x = { latest = ["erp.orders:d"] }', "location.crm.dataset.contacts.anchor.x.latest[0]", "crm.orders"),
        ('parent = "crm.orders"', "location.crm.dataset.contacts.parent", None),
        ('parent = { dataset = "crm.ordrs", via = ["o"] }', "location.crm.dataset.contacts.parent.dataset", "crm.orders"),
        ('parent = { dataset = "erp.orders", via = ["o"] }', "location.crm.dataset.contacts.parent.dataset", "crm.orders"),
        ('parent = { dataset = "crm.orders" }', "location.crm.dataset.contacts.parent.via", None),
        ('parent = { dataset = "crm.orders", via = [] }', "location.crm.dataset.contacts.parent.via", None),
        ('parent = { dataset = "crm.orders", via = ["o"], with_parents = true }',
         "location.crm.dataset.contacts.parent.with_parents", "with_parent"),
        ('parent = { dataset = "crm.contacts", via = ["id"] }', "location.crm.dataset.contacts.parent", None),
    ],
)  # fmt: skip
def test_a_mistake_in_a_dataset_is_reported_at_its_key(problems, line, path, suggestion):
    found = problems(text(dataset=line))
    assert list(found) == [path]
    assert found[path].suggestion == suggestion


def test_a_circle_of_parents_is_refused_once(problems):
    found = problems(
        text(
            dataset='parent = { dataset = "crm.orders", via = ["o"] }',
            orders='parent = { dataset = "crm.contacts", via = ["c"] }',
        )
    )
    assert list(found) == ["location.crm.dataset.contacts.parent"]
    assert "contacts > orders > contacts" in found["location.crm.dataset.contacts.parent"].message


def test_an_unknown_connector_is_one_problem_and_its_keys_and_anchors_are_not_judged(problems):
    toml = text(rule={"anchor": '"mtime"'}).replace('connector = "sql"', 'connector = "sqll"\nanything = 5')
    found = problems(toml)
    assert list(found) == ["location.crm.connector"]
    assert found["location.crm.connector"].suggestion == "sql"
    assert "dataverse, files, manual, sql, weblog" in found["location.crm.connector"].message


@pytest.mark.parametrize(
    ("tail", "path"),
    [
        ('[location."crm.two"]\nconnector = "manual"', 'location."crm.two"'),
        ('[location.CRM]\nconnector = "manual"', "location.CRM"),
        ('[location.-x]\nconnector = "manual"', "location.-x"),
        (f'[location.{"x" * 64}]\nconnector = "manual"', f"location.{'x' * 64}"),
        ('[location.paper]\ntitle = "Paper"', "location.paper.connector"),
        ("[location]\npaper = 5", "location.paper"),
        ('[location.cv]\nconnector = "files"', "location.cv.root"),
        ('[location.paper]\nconnector = "manual"\ndataset = 5', "location.paper.dataset"),
        ('[location.paper]\nconnector = "manual"\n[location.paper.dataset.x]\ntitle = "x"', "location.paper.dataset.x.source"),
        ('[location.paper]\nconnector = "manual"\n[location.paper.dataset.x]\nsource = "x"\ndepth = 2', "location.paper.dataset.x.depth"),
        ('[location.cv]\nconnector = "files"\nroot = "r"\n[location.cv.dataset.x]\nsource = "x"\ndepth = "2"', "location.cv.dataset.x.depth"),
    ],
)  # fmt: skip
def test_places_are_named_and_built_as_their_connector_says(problems, tail, path):
    toml = f'timezone = "UTC"\n{tail}\n' if tail.startswith("[location]") else text(tail=tail)
    assert list(problems(toml)) == [path]


@pytest.mark.parametrize("rule", ["rule = 5", "[[rule]]\nx = 1", "[rule]\nprospects = 5"])
def test_a_rule_is_a_table_under_a_name(problems, rule):
    found = problems(f'timezone = "UTC"\n{rule}\n')
    assert list(found) in (["rule"], ["rule.prospects"])


def test_a_file_that_enforces_nothing_is_refused(problems):
    for nothing in ("", "[location]\n", "[rule]\n[location]\n"):
        assert list(problems(f'timezone = "UTC"\n{nothing}')) == ["location"]


def test_a_star_over_a_dataset_without_data_is_refused(problems):
    tail = '[location.paper]\nconnector = "manual"\n[location.paper.dataset.x]\nsource = "x"\nanchor.a = "a"\n'
    found = problems(text(tail=tail, rule={"dataset": '"paper.x"', "data": '"*"', "anchor": '"a"'}))
    assert list(found) == ["rule.prospects.data"]


def test_all_mistakes_are_reported_at_once_in_the_order_of_the_text(problems):
    found = problems(
        """
timezone = "Mars/Olympus"
[safety]
max_records = 0
[location.crm]
connector = "sql"
contry = "BE"
[location.crm.dataset.contacts]
sauce = "contacts"
data.name = []
[rule.prospects]
dataset = "crm.contact"
lgeal_hold = ""
period = 0
action = "prge"
"""
    )
    assert list(found) == [
        "timezone",
        "safety.max_records",
        "location.crm.url",
        "location.crm.contry",
        "location.crm.dataset.contacts.source",
        "location.crm.dataset.contacts.sauce",
        "location.crm.dataset.contacts.data.name",
        "rule.prospects.activity",
        "rule.prospects.data",
        "rule.prospects.anchor",
        "rule.prospects.dataset",
        "rule.prospects.lgeal_hold",
        "rule.prospects.period",
        "rule.prospects.action",
    ]


@pytest.mark.parametrize(
    ("connector", "keys", "path"),
    [
        ("files", {"action": '"anonymise"'}, "rule.r.action"),
        ("weblog", {"action": '"purge"'}, "rule.r.action"),
        ("weblog", {"action": '"anonymise"'}, "rule.r.action"),
        ("weblog", {"action": '"anonymise"', "mask": '{ a = "truncate-ip", b = "year" }'}, "rule.r.mask.b"),
    ],
)
def test_an_action_that_the_connector_cannot_carry_out_is_refused(problems, connector, keys, path):
    options = 'root = "r"' if connector == "files" else ""
    rule = {**RULE, "dataset": '"place.x"', "data": '["a", "b"]', "anchor": '"d"', **keys}
    found = problems(
        textwrap.dedent(f"""
        timezone = "UTC"
        [location.place]
        connector = "{connector}"
        {options}
        [location.place.dataset.x]
        source = "x"
        anchor.d = "d"
        data.a = ["a"]
        data.b = ["b"]
        [rule.r]
        """)
        + "\n".join(f"{key} = {value}" for key, value in rule.items())
    )
    assert list(found) == [path]


def test_thousands_of_mistakes_are_counted_and_reported_in_a_moment(write, types):
    folder = write("\n".join(f"mistkae_{number} = 1" for number in range(50_000)))
    with pytest.raises(ConfigurationError) as caught:
        load(folder, types)
    assert len(caught.value.problems) == 1001
    assert caught.value.problems[-1].message == "and 49002 further problems"
