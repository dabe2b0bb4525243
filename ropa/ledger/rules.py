"""What a sequence of events means, and when it contradicts itself: approvals, intents, receipts, runs, holds, sums.

Invariant: the writer asks these rules before it writes a line and the verifier asks them again, so that a ledger which
was written through ``ropa`` never holds an intent without approval, a second receipt, or counts that do not add up.
State is a few dozen bytes per batch; nothing is read from disk here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from ropa.ledger.canonical import canonical
from ropa.ledger.events import ALL, MAX_LEAVES, UNCOUNTED, is_hash, outcome_word
from ropa.ledger.keys import decode_base64, is_signed

Event = Mapping[str, Any]
UNAPPROVED = frozenset(
    {"approval-missing", "plan-rejected", "mandate-unknown", "mandate-expired", "mandate-scope", "mandate-cap"}
)
"""Codes that mean a person has to decide first; every other one is a fault in the program."""


def mandate_hash(rules: list[str], location: str, max_records: int, growth_pct: int, expires: str) -> str:
    """Return the 64 hex digits that name a mandate."""
    return sha256(canonical([rules, location, max_records, growth_pct, expires])).hexdigest()


def approval_text(origin: str, subject: str, actor: str, expires: str) -> bytes:
    """Return what an approver's own key signs; ``subject`` is the plan's digest or the mandate's hash."""
    return f"ropa-approval/1\n{origin}\n{subject}\n{actor}\n{expires}\n".encode()


@dataclass(slots=True)
class _Plan:
    records: int
    approvals: int
    given: dict[str, str] = field(default_factory=dict)
    """Actor to the latest ``expires`` given."""
    is_rejected: bool = False
    leaves: int = 0
    batches: set[int] = field(default_factory=set)
    runs: set[str] = field(default_factory=set)
    by_mandate: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class _Mandate:
    rules: frozenset[str]
    location: str
    max_records: int
    expires: str


@dataclass(slots=True)
class _Run:
    mode: str
    totals: Counter[str] = field(default_factory=Counter)
    rules: dict[str, Counter[str]] = field(default_factory=dict)
    plans: set[str] = field(default_factory=set)
    foreign: int = 0
    """Leaves of receipts for intents of earlier runs."""


class Rules:
    """The state after some events, and the judgement of the next one."""

    def __init__(self) -> None:
        self.open_intents: dict[str, tuple[int, Event]] = {}
        """Root to (seq, intent) of every intent without a receipt, in order."""
        self.run: str | None = None
        """The run that was started last, while it is open."""
        self.active_holds = 0
        self.roots: set[bytes] = set()
        """The batches that intents named."""
        self.told: set[bytes] = set()
        """Those of them whose receipt names an outcome file."""
        self._origin = ""
        self._plans: dict[str, _Plan] = {}
        self._mandates: dict[str, _Mandate] = {}
        self._runs: dict[str, _Run | None] = {}
        self._holds: set[str] = set()
        self._actor_keys: dict[str, str] = {}
        self._checks: dict[str, Callable[[Event], list[str]]] = {
            "run_start": self._wrong_run_start,
            "run_end": self._wrong_run_end,
            "plan": self._wrong_plan,
            "approval": self._wrong_approval,
            "mandate": self._wrong_mandate,
            "plan_rejected": lambda event: [] if event["plan"] in self._plans else ["plan-unknown"],
            "mandate_revoked": lambda event: [] if event["mandate"] in self._mandates else ["mandate-unknown"],
            "intent": self._wrong_intent,
            "receipt": self._wrong_receipt,
            "hold": self._wrong_hold,
            "hold_release": self._wrong_hold,
            "key_destroyed": self._wrong_destroyed,
        }

    def wrong(self, event: Event) -> list[str]:
        """Return the codes of what is wrong with the next event, which has the form of its type. Changes nothing."""
        check = self._checks.get(event["type"])
        return check(event) if check else []

    def record(self, seq: int, event: Event) -> None:
        """Take an event into the state, whether it was right or not."""
        kind = event["type"]
        if kind == "genesis":
            self._origin = event["origin"]
        elif kind == "run_start":
            self.run = event["run"]
            self._runs.setdefault(event["run"], _Run(event["mode"]))
        elif kind == "run_end":
            self._runs[event["run"]] = None
            self.run = None if self.run == event["run"] else self.run
        elif kind == "plan":
            self._plans.setdefault(event["plan"], _Plan(event["records"], event["approvals"]))
        elif kind in {"approval", "mandate"}:
            self._record_given(event)
        elif kind == "plan_rejected" and event["plan"] in self._plans:
            plan = self._plans[event["plan"]]
            plan.given, plan.is_rejected = {}, True
        elif kind == "mandate_revoked":
            self._mandates.pop(event["mandate"], None)
        elif kind == "intent":
            self._record_intent(seq, event)
        elif kind == "receipt":
            self._record_receipt(event)
        elif kind in {"hold", "hold_release"}:
            self.active_holds = event["active"]
            (self._holds.add if kind == "hold" else self._holds.discard)(event["leaf"])

    # --- runs -----------------------------------------------------------------------------------------------------

    def _wrong_run_start(self, event: Event) -> list[str]:
        wrong = ["run-repeated"] if event["run"] in self._runs else []
        if event["interrupted"] != ([self.run] if self.run else []):
            wrong.append("run-interrupted")
        return wrong

    def _wrong_run_end(self, event: Event) -> list[str]:
        run = self._runs.get(event["run"])
        if run is None:
            return ["run-not-open"]
        wrong = []
        if self.run != event["run"] and event["state"] != "aborted":
            wrong.append("run-superseded")
        totals, rules = event["totals"], event["rules"]
        if not _adds_up(totals, run.totals):
            wrong.append("run-totals")
        if not _tells_rules(rules, run.rules, totals):
            wrong.append("run-rules")
        if event["state"] == "complete" and not self._covers_plans(event, run):
            wrong.append("plan-not-covered")
        return wrong

    def _covers_plans(self, event: Event, run: _Run) -> bool:
        # Where one run carried plans out from beginning to end, each planned record has an outcome, with or without
        # a leaf. A sweep leaves out what no mandate covers, and a plan begun by another run was counted there.
        plans = [self._plans[digest] for digest in run.plans if digest in self._plans]
        if run.mode != "apply" or not plans or any(plan.runs != {event["run"]} for plan in plans):
            return True
        counted: int = sum(event["totals"].values()) - run.foreign
        return counted == sum(plan.records for plan in plans)

    # --- plans, approvals, mandates -------------------------------------------------------------------------------

    def _wrong_plan(self, event: Event) -> list[str]:
        wrong = ["plan-repeated"] if event["plan"] in self._plans else []
        targets = event["targets"]
        if sum(target["records"] for target in targets) != event["records"] or any(
            target["due"] != target["held"] + target["blocked"] + target["records"] for target in targets
        ):
            wrong.append("plan-sums")
        return wrong

    def _wrong_approval(self, event: Event) -> list[str]:
        wrong = [] if event["plan"] in self._plans else ["plan-unknown"]
        return wrong + self._wrong_signature(event, event["plan"])

    def _wrong_mandate(self, event: Event) -> list[str]:
        parts = (event["rules"], event["location"], event["max_records"], event["growth_pct"], event["expires"])
        wrong = [] if mandate_hash(*parts) == event["mandate"] else ["mandate-hash"]
        return wrong + self._wrong_signature(event, event["mandate"])

    def _wrong_signature(self, event: Event, subject: str) -> list[str]:
        actor, key, signature = event["actor"], event.get("actor_key"), event.get("signature")
        if (key is None) != (signature is None) or self._actor_keys.get(actor, key) != key:
            return ["actor-key"]
        if key is None or signature is None:
            return []
        text = approval_text(self._origin, subject, actor, event["expires"])
        is_right = is_signed(decode_base64(key, 32), text, decode_base64(signature, 64))
        return [] if is_right else ["approval-signature"]

    def _record_given(self, event: Event) -> None:
        if "actor_key" in event:
            self._actor_keys.setdefault(event["actor"], event["actor_key"])
        if event["type"] == "mandate":
            rules, parts = frozenset(event["rules"]), (event["location"], event["max_records"], event["expires"])
            self._mandates[event["mandate"]] = _Mandate(rules, *parts)
        elif event["plan"] in self._plans:
            plan = self._plans[event["plan"]]
            plan.is_rejected = False
            plan.given[event["actor"]] = max(event["expires"], plan.given.get(event["actor"], ""))

    # --- intents and receipts -------------------------------------------------------------------------------------

    def _wrong_intent(self, event: Event) -> list[str]:
        wrong = []
        if event["run"] != self.run:
            wrong.append("intent-outside-run")
        if bytes.fromhex(event["root"]) in self.roots:
            wrong.append("root-repeated")
        if event["action"] == "keep" or (event["scope"] == "field") != ("data" in event):
            wrong.append("intent-action")
        if not 1 <= event["leaves"] <= MAX_LEAVES:
            wrong.append("intent-leaves")
        plan = self._plans.get(event["plan"])
        if plan is None:
            return [*wrong, "plan-unknown"]
        if event["batch"] in plan.batches:
            wrong.append("batch-repeated")
        if plan.leaves + event["leaves"] > plan.records:
            wrong.append("plan-exceeded")
        if plan.is_rejected:
            wrong.append("plan-rejected")
        elif "mandate" in event:
            wrong += self._wrong_under_mandate(event, plan)
        elif event["action"] != "flag":
            # Distinct persons: where two are asked, the author can be one of them and never the only one.
            given = sum(1 for expires in plan.given.values() if expires >= event["at"])
            if given < max(1, plan.approvals):
                wrong.append("approval-missing")
        return wrong

    def _wrong_under_mandate(self, event: Event, plan: _Plan) -> list[str]:
        mandate = self._mandates.get(event["mandate"])
        if mandate is None:
            return ["mandate-unknown"]
        wrong = []
        if mandate.expires < event["at"]:
            wrong.append("mandate-expired")
        if mandate.location != event["location"] or not mandate.rules.issuperset(event["rules"]):
            wrong.append("mandate-scope")
        if plan.by_mandate[event["mandate"]] + event["leaves"] > mandate.max_records:
            wrong.append("mandate-cap")
        return wrong

    def _record_intent(self, seq: int, event: Event) -> None:
        self.roots.add(bytes.fromhex(event["root"]))
        self.open_intents.setdefault(event["root"], (seq, event))
        plan = self._plans.get(event["plan"])
        if plan is not None:
            plan.batches.add(event["batch"])
            plan.runs.add(event["run"])
            plan.leaves += event["leaves"]
            if "mandate" in event:
                plan.by_mandate[event["mandate"]] += event["leaves"]
        run = self._runs.get(event["run"])
        if run is not None:
            run.plans.add(event["plan"])

    def _wrong_receipt(self, event: Event) -> list[str]:
        if event["root"] not in self.open_intents:
            return ["receipt-without-intent"]
        _seq, intent = self.open_intents[event["root"]]
        wrong, counts = [], event["counts"]
        if (event["plan"], event["batch"]) != (intent["plan"], intent["batch"]):
            wrong.append("receipt-mismatch")
        if self._runs.get(event["run"]) is None:
            wrong.append("receipt-outside-run")
        if event["run"] != intent["run"] and "reconciled" not in event:
            wrong.append("receipt-not-reconciled")
        if sum(counts.values()) != intent["leaves"] or (
            not is_hash(event["outcomes"]) and counts != {outcome_word(event["outcomes"]): intent["leaves"]}
        ):
            wrong.append("receipt-counts")
        return wrong + _wrong_words(intent, counts)

    def _record_receipt(self, event: Event) -> None:
        _seq, intent = self.open_intents.pop(event["root"], (0, None))
        if is_hash(event["outcomes"]):
            self.told.add(bytes.fromhex(event["root"]))
        run = self._runs.get(event["run"])
        if run is None:
            return
        run.totals.update(event["counts"])
        if intent is None:
            return
        if intent["run"] != event["run"]:
            run.foreign += sum(event["counts"].values())
        for rule in intent["rules"]:
            run.rules.setdefault(rule, Counter()).update(event["counts"])

    # --- holds and keys -------------------------------------------------------------------------------------------

    def _wrong_hold(self, event: Event) -> list[str]:
        is_new = event["type"] == "hold"
        wrong = [] if event["active"] == self.active_holds + (1 if is_new else -1) else ["hold-count"]
        return wrong if is_new != (event["leaf"] in self._holds) else [*wrong, "hold-leaf"]

    def _wrong_destroyed(self, event: Event) -> list[str]:
        if ("roots" in event) == ("through" in event) or event.get("through", 0) >= event["seq"]:
            return ["destroyed-scope"]
        is_known = all(bytes.fromhex(root) in self.roots for root in event.get("roots", ()))
        return [] if is_known else ["destroyed-scope"]


def _tells_rules(
    told: Mapping[str, Mapping[str, int]], receipted: Mapping[str, Counter[str]], totals: Mapping[str, int]
) -> bool:
    """Whether a run's end tells what the receipts of each rule come to; where they are too many, of all together."""
    if told.keys() == {ALL}:
        return told[ALL] == totals
    return all(_adds_up(told.get(rule, {}), receipted.get(rule, {})) for rule in told.keys() | receipted.keys())


def _adds_up(said: Mapping[str, int], summed: Mapping[str, int]) -> bool:
    """Tell whether totals are the sums of the receipts, and beyond them only what is counted without a leaf."""
    return all(
        said.get(word, 0) >= summed.get(word, 0) if word in UNCOUNTED else said.get(word, 0) == summed.get(word, 0)
        for word in said.keys() | summed.keys()
    )


def _wrong_words(intent: Event, counts: Mapping[str, int]) -> list[str]:
    # A field target's records stay and lose fields, whatever the rule's action; flagging changes nothing.
    is_purge = intent["scope"] == "row" and intent["action"] == "purge"
    is_change = intent["action"] != "flag" and not is_purge
    allowed = {"purged": is_purge, "anonymised": is_change, "flagged": intent["action"] == "flag"}
    return ["outcome-action"] if any(not allowed.get(word, True) for word in counts) else []
