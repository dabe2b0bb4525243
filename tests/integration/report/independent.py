"""The report's numbers by another road: plain SQL on the run database, and the ledger's lines read as JSON.

Nothing of the product is imported here; what is said twice is written twice.
"""

import json
from collections import Counter
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import create_engine

GONE = {"purged", "anonymised", "recoverable", "absent"}
SHORT = {"refused", "failed", "unverified"}
BRUSSELS = ZoneInfo("Europe/Brussels")


class Independent:
    """What a stranger with the state folder can find out."""

    def __init__(self, state, today, url=None):
        """``url``: of the run database, where that is not in the folder."""
        self.today = today
        database = create_engine(url or f"sqlite:///{state / 'ropa.db'}")
        with database.connect() as base:
            self.targets = [
                # Columns of JSON as text, whatever the driver makes of them.
                {name: json.dumps(v) if isinstance(v, (dict, list)) else v for name, v in row.items()}
                for row in base.exec_driver_sql(
                    "SELECT t.*, p.as_of, p.created_at AS planned_at, p.register_revision FROM plan_target t"
                    " JOIN plan p ON p.id = t.plan_id WHERE NOT p.is_forecast AND p.state <> 'writing'"
                    " ORDER BY p.as_of, p.id"
                ).mappings()
            ]
            for row in self.targets:
                row["oldest_due_on"] = None if row["oldest_due_on"] is None else str(row["oldest_due_on"])
            self.digests = dict(base.exec_driver_sql("SELECT digest, id FROM plan").all())
            open_ones = base.exec_driver_sql("SELECT code, entry FROM finding WHERE resolved_at IS NULL").all()
            self.findings, self.open_findings = len(open_ones), {tuple(row) for row in open_ones}
            held = "SELECT reason, count(*) FROM legal_hold WHERE released_at IS NULL GROUP BY reason"
            self.holds = dict(base.exec_driver_sql(held).all())
        database.dispose()
        self.events = [json.loads(line) for line in (state / "ledger" / "events.jsonl").read_bytes().splitlines()]

    def of(self, kind):
        return [event for event in self.events if event["type"] == kind]

    def newest(self, dataset, scope, rules):
        """The row of the newest plan about a target."""
        return self._all(dataset, scope, rules)[-1]

    def _all(self, dataset, scope, rules):
        return [
            row
            for row in self.targets
            if (f"{row['location']}.{row['dataset']}", row["scope"]) == (dataset, scope)
            and set(json.loads(row["rules"])) == set(rules)
        ]

    def counts(self, dataset, scope, rules):
        """The numbers of a cell whose only target this is; what became of the records is read from the ledger."""
        row = self.newest(dataset, scope, rules)
        became = self.became(row)
        refused = json.loads(row["outcomes"]).get("refused", 0) if row["refused_by"] else 0
        became["refused"] += refused
        told = {
            "due": row["due"] + row["already_flagged"],
            "done": sum(became[word] for word in GONE),
            "waiting": row["records"] - sum(became.values()),
            "held": row["held"] + became["held"],
            "blocked": row["blocked"] + became["blocked"],
            "flagged": row["already_flagged"] + became["flagged"],
            "unanchored": row["unanchored"],
            "done_total": sum(
                sum(count for word, count in self.became(past).items() if word in GONE)
                for past in self._all(dataset, scope, rules)
            ),
        }
        return told | {word: became[word] for word in ("refused", "failed", "unverified", "changed", "absent")}

    def became(self, row):
        """What the receipts say of one target of one plan."""
        digest = next(text for text, plan in self.digests.items() if plan == row["plan_id"])
        roots = {
            event["root"]
            for event in self.of("intent")
            if event["plan"] == digest
            and (event["location"], event["dataset"], event["scope"]) == (row["location"], row["dataset"], row["scope"])
            and set(event["rules"]) == set(json.loads(row["rules"]))
        }
        found = Counter()
        for event in self.of("receipt"):
            if event["root"] in roots:
                found.update(event["counts"])
        return found

    def worst_late(self, dataset, scope, rules):
        row = self.newest(dataset, scope, rules)
        counts = self.counts(dataset, scope, rules)
        if counts["due"] == counts["done"] or row["oldest_due_on"] is None:
            return 0
        return max(0, (self.today - date.fromisoformat(row["oldest_due_on"])).days)

    def runs(self):
        """By run: what the receipts that carry its id say, and what it counted without one."""
        found = {event["run"]: Counter() for event in self.of("run_start")}
        for event in self.of("receipt"):
            found[event["run"]].update(event["counts"])
        for event in self.of("run_end"):
            found[event["run"]]["refused"] = event["totals"].get("refused", 0)
        return {run: +counts for run, counts in found.items()}

    def plan_of(self, run):
        """The number of the plan that a run wrote, None where it wrote none."""
        digests = [event["plan"] for event in self.of("plan") if event["run"] == run]
        return self.digests[digests[0]] if digests else None

    def maker_of(self, plan):
        return next(event["run"] for event in self.of("plan") if self.digests[event["plan"]] == plan)

    def months(self):
        """Month to (runs, gone, fell short)."""
        runs, found = self.runs(), {}
        for event in self.of("run_start"):
            entry = found.setdefault(_night(event["at"]).replace(day=1), [0, 0, 0])
            entry[0] += 1
            entry[1] += sum(count for word, count in runs[event["run"]].items() if word in GONE)
            entry[2] += sum(count for word, count in runs[event["run"]].items() if word in SHORT)
        return found

    def nights_missed(self):
        """Days, from the first sweep to yesterday, on which no sweep ended as complete."""
        sweeps = {e["run"]: _night(e["at"]) for e in self.of("run_start") if e["mode"] == "sweep"}
        whole = {sweeps[e["run"]] for e in self.of("run_end") if e["run"] in sweeps and e["state"] == "complete"}
        day, found = min(sweeps.values()), []
        while day < self.today:
            found += [day] * (day not in whole)
            day += timedelta(days=1)
        return found


def _night(at):
    return datetime.fromisoformat(at).astimezone(BRUSSELS).date()
