"""A report like the one that Webassur would hand over: generated data, every state that a cell can have."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from ropa.clock import parse_period
from ropa.config.models import Config, Location, Rule
from ropa.connector import Action, Anchor, AnchorPart, Condition, DatasetSpec, Mask, Parent
from ropa.errors import Finding, Severity
from ropa.register import Dated, Register
from ropa.register.text import from_toml
from ropa.report.build import build
from ropa.report.model import Document, Evidence, HoldCount
from ropa.retention import Target, compile_policy
from ropa.sweep.adherence import adherence
from ropa.sweep.history import runs
from ropa.sweep.standing import standings
from ropa.sweep.tables import PlanRow, RunRow, TargetRow

ZONE = ZoneInfo("Europe/Brussels")
NOW = datetime(2026, 11, 21, 7, 15, tzinfo=UTC)
POLICY = "sha256:" + "3f" * 32

REGISTER = """
[organisation]
name = "Webassur"
legal_name = "Archer Consulting BV"
registration = "BE0786.223.206"
address = "Dok-Noord 7C/405, 9000 Gent"
country = "BE"
email = "info@webassur.example"
telephone = "+32 456 00 00 00"
website = "www.webassur.example"
authority = "GBA"
request_promise = "30 days"
rights = ["access", "rectification", "erasure", "restriction", "objection", "portability"]
languages = ["nl"]
[organisation.policy]
url = "www.webassur.example/privacy"
dated_on = 2022-12-28
version = "3"
[organisation.dpo]
name = "An Voorbeeld"
email = "dpo@webassur.example"

[recipient.microsoft]
name = "Microsoft Ireland Operations Limited"
role = "processor"
country = "IE"
contract = "yes"
systems = ["Microsoft 365"]
transfer = { country = "US", safeguard = "adequacy:2023/1795", evidence = "DPF-lijst, 2026-03-02" }
[recipient.google]
name = "Google Ireland Limited"
role = "controller"
country = "IE"
transfer = { country = "US", safeguard = "privacy-shield" }
[recipient.bank]
name = "Bank"
role = "controller"
country = "BE"
[recipient.hosting]
name = "Combell NV"
role = "processor"
country = "BE"
contract = "unknown"

[cookie.cookieyes-consent]
setter = "own"
lifetime = "1 year"
purpose = "voorkeuren"
consent = false
activity = "website-analytics"
[cookie._pk_id]
setter = "own"
lifetime = "P1Y27D"
purpose = "analyse"
consent = true
activity = "website-analytics"
[cookie._pk_ses]
setter = "own"
lifetime = "PT30M"
purpose = "analyse"
consent = true
activity = "website-analytics"
[cookie._ga]
setter = "google"
lifetime = "2 years"
purpose = "analyse"
consent = true
activity = "website-analytics"
[cookie.chat]
setter = "own"
lifetime = "unknown"

[activity.intake]
title = "Aanvragen en offertes"
purposes = ["Offerte voorbereiden", "Contact opnemen"]
legal_basis = "6.1.b"
subjects = ["prospect"]
data = ["name", "email", "telephone"]
recipients = ["microsoft"]
measures = ["TLS", "MFA", "role-based access"]
owner = "Zaakvoerder"
review_on = 2027-01-01

[activity.customers]
title = "Klantenbeheer"
purposes = ["Samenwerking opvolgen", "Persoonlijk aanspreken"]
legal_basis = "6.1.b"
subjects = ["customer", "contact-person"]
recipients = ["microsoft"]
measures = ["TLS", "MFA", "role-based access"]
[activity.customers.data]
name = {}
email = {}
telephone = { purposes = ["Herinnering voor een afspraak"], legal_basis = "6.1.f", interest = "Afspraken doen doorgaan" }
correspondence = {}

[activity.birthday]
title = "Attentie bij verjaardagen"
purposes = ["Kaartje of geschenk"]
legal_basis = "unknown"
subjects = ["customer"]
data = ["birth-date"]

[activity.invoicing]
title = "Facturatie en boekhouding"
purposes = ["Facturen opmaken", "Betalingen nagaan"]
legal_basis = "6.1.c"
legal_reference = "art. III.86 WER; art. 60 btw-wetboek"
subjects = ["customer"]
data = ["name", "address", "bank-account", "invoice"]
recipients = ["bank"]
measures = ["role-based access"]

[activity.recruitment]
title = "Sollicitaties"
purposes = ["De juiste persoon voor de juiste job"]
legal_basis = "6.1.b"
subjects = ["applicant"]
data = ["cv", "name", "email"]
recipients = ["microsoft"]
measures = ["role-based access"]

[activity.newsletter]
title = "Nieuwsbrief"
purposes = ["Nieuws en aanbiedingen"]
legal_basis = "6.1.a"
subjects = ["subscriber"]
data = ["email", "consent-record"]
recipients = ["unknown"]

[activity.website-security]
title = "Beveiliging van de website"
purposes = ["Ongewenste bezoekers weren"]
legal_basis = "6.1.f"
interest = "Een veilige website"
subjects = ["visitor"]
data = ["ip-address"]
recipients = ["hosting"]
measures = ["firewall"]

[activity.website-analytics]
title = "Websiteanalyse"
purposes = ["Bezoek meten"]
legal_basis = "6.1.a"
subjects = ["visitor"]
data = ["cookie-id", "browsing"]
recipients = ["google"]
criterion = "tot intrekking van de toestemming"

[activity.chat]
title = "Chatbot"
purposes = ["Vragen beantwoorden"]
legal_basis = "6.1.f"
subjects = ["visitor"]
data = ["chat"]

[activity.paper]
title = "Papieren archief"
purposes = ["Ondertekende overeenkomsten bewaren"]
legal_basis = "6.1.c"
subjects = ["customer"]
data = ["name", "address"]
recipients = ["none"]
stated_period = "7 years"
stated_start = "de ondertekening"

[activity.old-mailing]
title = "Postmailing"
purposes = ["Aanbiedingen per post"]
legal_basis = "6.1.f"
subjects = ["prospect"]
data = ["address"]
status = "ended"
ended_on = 2025-06-30
replaced_by = "newsletter"

[activity.client-sites]
title = "Onderhoud van sites van klanten"
role = "processor"
processing = ["Hosting en onderhoud van websites"]
controllers = ["Bakkerij De Korenaar BV", "Notaris Peeters"]
subjects = ["visitor"]
data = ["ip-address"]
recipients = ["hosting"]
measures = ["TLS", "back-up"]
"""


def _dataset(name, title, data, anchors, *, parent=None):
    return DatasetSpec(
        name=name,
        source=name.replace("-", "_"),
        zone=ZONE,
        title=title,
        anchors={a: Anchor(a, (AnchorPart(a.replace("-", "_") + "_at"),)) for a in anchors},
        data={category: (category.replace("-", "_"),) for category in data},
        parent=parent,
    )


def config() -> Config:
    """The policy: five places, thirteen rules."""
    locations = {
        "crm": Location(
            "crm",
            "sql",
            title="Klantenbeheer (Microsoft 365)",
            country="IE",
            recipient="microsoft",
            datasets={
                "prospects": _dataset("prospects", "Prospecten", ["name", "email", "telephone"], ["last-contact"]),
                "contacts": _dataset(
                    "contacts",
                    "Klanten",
                    ["name", "birth-date", "email", "telephone", "address", "bank-account"],
                    ["last-contact", "last-invoice"],
                ),
                "notes": _dataset(
                    "notes",
                    "Samenvattingen van meetings",
                    ["correspondence"],
                    [],
                    parent=Parent("contacts", ("contact_id",), with_parent=True),
                ),
                "invoices": _dataset("invoices", "Facturen", ["invoice"], ["issued"]),
                "subscribers": _dataset("subscribers", "Abonnees", ["email", "consent-record"], ["unsubscribed"]),
            },
        ),
        "cv": Location(
            "cv",
            "files",
            title="Map sollicitaties",
            country="BE",
            datasets={"applications": _dataset("applications", "Sollicitaties", ["cv", "name", "email"], ["mtime"])},
        ),
        "web": Location(
            "web",
            "weblog",
            title="Webserver",
            country="BE",
            recipient="hosting",
            datasets={"access": _dataset("access", "Toegangslog", ["ip-address"], ["visited"])},
        ),
        "browser": Location(
            "browser",
            "manual",
            title="Browser van de bezoeker",
            datasets={"cookies": _dataset("cookies", "Cookies", ["cookie-id"], ["visited"])},
        ),
        "archive": Location(
            "archive",
            "manual",
            title="Archiefkast",
            country="BE",
            datasets={"contracts": _dataset("contracts", "Overeenkomsten", ["name", "address"], ["contract-end"])},
        ),
    }
    crm_customers = "crm.contacts"
    rules = [
        _rule("prospects", "intake", "crm.prospects", ["name", "email", "telephone"], "last-contact", "6 months"),
        _rule(
            "customer-contact", "customers", crm_customers, ["name", "email", "telephone"], "last-contact", "2 years"
        ),
        _rule(
            "birthday",
            "birthday",
            crm_customers,
            ["birth-date"],
            "last-contact",
            "6 months",
        ),
        _rule(
            "customer-tax",
            "invoicing",
            crm_customers,
            ["name", "address", "bank-account"],
            "last-invoice",
            "10 years",
            start="next-year",
            legal_ground="art. 60 btw-wetboek",
        ),
        _rule(
            "invoice-tax",
            "invoicing",
            "crm.invoices",
            ["invoice"],
            "issued",
            "10 years",
            start="next-year",
            legal_ground="art. 60 btw-wetboek",
            where=(Condition("statecode", (0, 2)),),
        ),
        _rule("subscribers", "newsletter", "crm.subscribers", ["email"], "unsubscribed", "P1Y27D", Action.FLAG),
        _rule("applicants", "recruitment", "cv.applications", ["cv", "name", "email"], "mtime", "4 weeks"),
        _rule(
            "access-log",
            "website-security",
            "web.access",
            ["ip-address"],
            "visited",
            "30 days",
            Action.ANONYMISE,
            mask={"ip-address": Mask.TRUNCATE_IP},
        ),
        _rule(
            "analytics-cookie",
            "website-analytics",
            "browser.cookies",
            ["cookie-id"],
            "visited",
            "PT30M",
            Action.KEEP,
            reason="staat in de browser van de bezoeker",
        ),
        _rule("paper", "paper", "archive.contracts", ["name", "address"], "contract-end", "7 years", start="next-year"),
    ]
    return Config(
        timezone=ZONE,
        digest=POLICY,
        folder=Path("/nowhere"),
        locations=locations,
        rules={rule.name: rule for rule in rules},
    )


def _rule(name, activity, dataset, data, anchor, period, action=Action.PURGE, **more):
    more.setdefault("legal_ground", "eigen keuze, beleid van 28/12/2022")
    return Rule(name, activity, dataset, tuple(data), anchor, parse_period(period), action, **more)


def register() -> Register:
    """The register."""
    return from_toml(REGISTER)


# What the newest plan found and what became of it, by (dataset, scope): the rest was never looked at.
_FOUND = {
    ("prospects", "row"): {"due": 1215, "held": 3, "blocked": 12, "records": 1200, "population": 8000, "late": 412},
    ("contacts", "row"): {"due": 61, "held": 0, "blocked": 0, "records": 61, "population": 2140, "late": 3},
    ("notes", "row"): {"due": 140, "records": 140, "population": 5200, "late": 3},
    ("contacts", "field"): {"due": 230, "held": 4, "records": 226, "population": 2140, "late": 95, "unanchored": 5},
    ("invoices", "row"): {"due": 900, "records": 900, "population": 2100, "late": 700, "stopped_by": "cap-share"},
    ("subscribers", "field"): {"due": 3, "records": 3, "already": 4, "population": 640, "late": 1},
    ("access", "row"): {"due": 0, "records": 0, "population": 88000},
}
_BECAME = {
    ("prospects", "row"): {"purged": 1150, "failed": 4, "changed": 2, "absent": 4, "recoverable": 40},
    ("contacts", "row"): {},
    ("notes", "row"): {},
    ("contacts", "field"): {"anonymised": 220, "unverified": 6},
    ("invoices", "row"): {"refused": 900},
    ("subscribers", "field"): {"flagged": 3},
    ("access", "row"): {},
}


def fill(session: Session, targets: tuple[Target, ...]) -> None:
    """Twelve months of runs, the last of which was last night."""
    started = datetime(2025, 12, 2, 2, 30, tzinfo=UTC)
    plan_id = 0
    while started < NOW:
        plan_id += 1
        is_last = started + timedelta(days=9) > NOW
        at = datetime(2026, 11, 21, 2, 30, tzinfo=UTC) if is_last else started
        session.add(
            PlanRow(
                id=plan_id,
                digest=f"{plan_id:064x}",
                as_of=at.date(),
                created_at=at,
                author="a1",
                policy=POLICY if plan_id > 20 else "sha256:" + "aa" * 32,
                register_revision=7 if plan_id > 20 else 6,
                tool="ropa 0.1.0",
                state="partly-applied" if is_last else "applied",
            )
        )
        session.flush()
        totals: dict[str, int] = {}
        for target in targets:
            for identity, name in ((target.identity, target.dataset), (f"{target.identity}>notes", "notes")):
                if name == "notes" and (target.dataset, target.scope) != ("contacts", "row"):
                    continue
                found = _FOUND.get((name, target.scope))
                if found is None:
                    continue
                became = _BECAME[name, target.scope] if is_last else _earlier(name, target.scope, plan_id)
                session.add(_target_row(plan_id, identity, name, target, found, became, at.date(), is_last=is_last))
                for word, count in became.items():
                    totals[word] = totals.get(word, 0) + count
        session.add(
            RunRow(
                id=f"{plan_id:016x}",
                mode="sweep",
                plan_id=plan_id,
                started_at=at,
                ended_at=at + timedelta(minutes=4),
                state="partial" if is_last else "complete",
                policy=POLICY if plan_id > 20 else "sha256:" + "aa" * 32,
                register_revision=7 if plan_id > 20 else 6,
                swept_on=at.date(),
                totals=totals,
            )
        )
        started += timedelta(days=9)
    session.commit()


def _earlier(name, scope, plan_id):
    if (name, scope) == ("prospects", "row"):
        return {"purged": 20 + (plan_id * 37) % 90}
    if (name, scope) == ("access", "row"):
        return {"purged": 400 + (plan_id * 53) % 130, **({"failed": 40} if plan_id % 11 == 0 else {})}
    return {}


def _target_row(plan_id, identity, dataset, target, found, became, as_of, *, is_last):
    total = sum(became.values())
    late = found.get("late")
    return TargetRow(
        plan_id=plan_id,
        position=0,
        identity=identity,
        location=target.location,
        dataset=dataset,
        scope=target.scope,
        data=list(target.data) if dataset == target.dataset else ["*"],
        action=str(target.action),
        rules=[rule.name for rule in target.rules],
        revisions=[],
        cutoffs={},
        population=found["population"],
        due=found["due"] if is_last else total,
        held=found.get("held", 0) if is_last else 0,
        blocked=found.get("blocked", 0) if is_last else 0,
        unanchored=found.get("unanchored", 0),
        records=found["records"] if is_last else total,
        already_flagged=found.get("already", 0) if is_last else 0,
        stopped_by=found.get("stopped_by") if is_last else None,
        refused_by=found.get("stopped_by") if is_last else None,
        oldest_due_on=as_of - timedelta(days=late) if late and is_last else None,
        blockers={"orders": 12} if found.get("blocked") and is_last else {},
        outcomes=dict(became),
    )


FINDINGS = (
    Finding(
        "stopped-cap-share",
        Severity.ERROR,
        "crm.invoices (invoice-tax)",
        "900 records: more than the cap on the share of the dataset; nothing of it happens.",
        "Look at the plan; if it is right, raise the rule's max_share in config/retention.toml for this clean-up.",
    ),
    Finding(
        "basis-unknown",
        Severity.ERROR,
        "activity.birthday",
        "The activity has no legal basis.",
        "Say on which basis of Art. 6(1) it rests.",
    ),
    Finding(
        "blocked",
        Severity.WARNING,
        "crm.prospects (prospects)",
        "12 records that are due cannot go: orders.",
        "Declare the rows that refer to them.",
    ),
    Finding(
        "cookie-over-13-months",
        Severity.NOTE,
        "cookie._ga",
        "The cookie stays longer than 13 months.",
        "Shorten it, or say why it must stay.",
    ),
)

HOLDS = (
    HoldCount(reason="litigation", kind="subject", count=2, past_review=1),
    HoldCount(reason="restriction", kind="record", count=5),
)

EVIDENCE = Evidence(
    origin="ropa.example/webassur",
    size=412,
    root="r7+3LLco5sISQubeE39bns00X/fFyat8awNEUXQf3xo=",
    checkpoint_text=(
        "ropa.example/webassur\n412\nr7+3LLco5sISQubeE39bns00X/fFyat8awNEUXQf3xo=\n\n"
        "\N{EM DASH} ropa.example/webassur vUaPZxwu/7RIxl0vD88NW2dBw/YJ4VoEJI+103Jz5njJoma0YwKqqA7zonrKYrGueuL3yAnPA4uIIlH4WdTSpDdZUQY=\n"
    ),
    public_key_fingerprint="sha256:21fe31dfa154a261626bf854046fd2271b7bed4b6abe45aa58877ef47f9721b9",
    is_sound=True,
    open_intents=0,
)


def document(**changes) -> Document:
    """The report's document; ``changes`` replace arguments of ``build``."""
    policy, register_ = changes.pop("config", config()), changes.pop("register", register())
    targets = compile_policy(policy)
    engine = create_engine("sqlite://")
    PlanRow.metadata.create_all(engine)
    with Session(engine) as session:
        fill(session, targets)
        today = date(2026, 11, 21)
        values = {
            "register": register_,
            "revision": 7,
            "config": policy,
            "standings": standings(session, policy, targets, today=today),
            "adherence": adherence(session, policy, targets, register_, today=today),
            "runs": runs(session),
            "findings": FINDINGS,
            "holds": HOLDS,
            "evidence": EVIDENCE,
            "now": NOW,
            "dated": {key: Dated(date(2026, 1, 5), date(2026, 10, 19)) for key in register_.activities},
        }
        found = build(**(values | changes))
    engine.dispose()
    return found


if __name__ == "__main__":
    import sys

    from ropa.report import html

    Path(sys.argv[1]).write_text(html.render(document(), sys.argv[2]), encoding="utf-8")
