"""Matters in words, for mail: what it is, what it means for the data, what to do next.

Invariant: a line is made of the counts, codes and names of its matter alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ropa.notify.channel import MOST, Message
from ropa.sweep.matters import Kind, Matter


def subject(message: Message) -> str:
    """Return the subject of a mail."""
    if message.is_trial:
        return "[ropa] trial: nothing is the matter"
    news = message.news
    parts = [f"{len(news.new)} to look at"] if news.new else []
    if news.over:
        parts.append(f"{len(news.over)} resolved")
    return f"[ropa] {', '.join(parts)}"


def text(message: Message) -> str:
    """Return the text of a mail."""
    if message.is_trial:
        return f"{_TRIAL}\n{_signature(message)}\n"
    news = message.news
    lines = []
    if news.new:
        lines += ["To look at:", ""]
        lines += [f"- {matter.severity}: {sentence(matter)}" for matter in news.new[:MOST]]
        lines += [f"- and {len(news.new) - MOST} more; `ropa finding list` has them"] if len(news.new) > MOST else []
        lines.append("")
    if news.over:
        passed = {matter.key: matter for matter in news.passed}
        lines += ["Resolved:", ""]
        lines += [f"- {_resolved(key, passed.get(key))}" for key in news.over[:MOST]]
        lines += [f"- and {len(news.over) - MOST} more"] if len(news.over) > MOST else []
        lines.append("")
    lines += [
        "`ropa status` shows how things stand now. Each matter is told once, and once more when it is over.",
        _signature(message),
    ]
    return "\n".join(lines) + "\n"


_TRIAL = """\
This is a trial. Somebody ran `ropa schedule --test-notice` to see that notices reach you: they do.

Nothing is the matter, and there is nothing to do.
"""


def _signature(message: Message) -> str:
    return f"{message.origin or 'ropa'}, message {message.id}"


def sentence(matter: Matter) -> str:
    """Return what is the matter and what to do, in a sentence or two."""
    return _SENTENCES[matter.kind](matter)


def _waiting(matter: Matter) -> str:
    facts, counts = matter.facts, matter.counts
    more = f", and {counts['with_them']:,} records that go with them" if counts["with_them"] else ""
    kept = (
        f"; {counts['held']:,} held and {counts['blocked']:,} blocked stay"
        if counts["held"] or counts["blocked"]
        else ""
    )
    persons = counts["approvals_needed"]
    who = "a person" if persons == 1 else f"{persons} persons"
    return (
        f"plan {facts['plan']} waits for {who}. Approved and applied it would {facts['action']} "
        f"{counts['records']:,} of {counts['population']:,} records of {facts['dataset']}{more}{kept}. "
        f"It lapses at {facts['lapses_at']}; `ropa plan show {facts['plan']}`."
    )


def _missed(matter: Matter) -> str:
    facts, nights = matter.facts, matter.counts["nights"]
    span = f"from {facts['from_on']} to {facts['to_on']} ({nights} {'night' if nights == 1 else 'nights'})"
    return f"not enforced {span}: no sweep ran to its end."


_SENTENCES: Mapping[Kind, Callable[[Matter], str]] = {
    Kind.OVERDUE: lambda m: f"{m.counts['records']:,} records of {m.about[0]} are past their limit and still there.",
    Kind.BLOCKED: lambda m: (
        f"{m.counts['records']:,} records of {m.about[0]} are due and cannot go, because others refer to them."
    ),
    Kind.FAILED: lambda m: (
        f"the sweep failed ({m.about[0]}), since {m.facts['since']}; `ropa sweep` by hand says why and what to do."
    ),
    Kind.MISSED: _missed,
    Kind.WAITING: _waiting,
    Kind.LONG_RUN: lambda m: (
        f"run {m.about[0]} ({m.facts['mode']}) began at {m.facts['started_at']} and has not ended in 24 hours."
    ),
    Kind.HALTED: lambda _m: "runs are halted: nothing is enforced until somebody allows them again (`ropa resume`).",
    Kind.FINDING: lambda m: (
        f"finding {m.facts['finding']}: {m.facts['code']}; `ropa finding show {m.facts['finding']}`."
    ),
}


def _resolved(key: str, passed: Matter | None) -> str:
    if passed is not None and passed.kind is Kind.MISSED:
        return f"{sentence(passed).removesuffix(': no sweep ran to its end.')}; enforced again since."
    kind, *about = key.split(":")
    if kind == Kind.WAITING:
        about = about[:-1]  # the mark that tells two rules of a dataset apart says nothing to a reader
    return " ".join((kind, *about))
