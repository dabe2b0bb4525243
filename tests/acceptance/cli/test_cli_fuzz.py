"""Random calls: whatever is typed, the answer is one of the contract's codes, in good time and without a traceback.

A seed prints itself when it fails. ROPA_CAMPAIGN=N makes N calls in place of a sample.
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest
from cli_kit import DUE, Answer, Ropa, call, ids, in_days
from pace import within

CALLS = int(os.environ.get("ROPA_CAMPAIGN", "0")) or 240
SEEDS = 4

REAL = [
    ["init"], ["init", "sub"], ["check"], ["check", "--offline"], ["status"], ["sweep"], ["sweep", "--by", "An"],
    ["plan"], ["plan", "--as-of", "2030-01-01"], ["plan", "--rule", "prospects"], ["plan", "--dataset", "crm.contacts"],
    ["plan", "list"], ["plan", "show", "1"], ["plan", "show", "1", "--records"], ["plan", "diff", "1", "2"],
    ["approve", "1", "--by", "An", "--reason", "x", "--digest", "DIGEST"], ["reject", "1", "--reason", "x"], ["apply", "1"],
    ["mandate", "add", "prospects", "--by", "An", "--reason", "x", "--until", "SOON", "--max-records", "9", "--max-growth", "2"],
    ["mandate", "list"], ["mandate", "revoke", "1"], ["halt", "--by", "An"], ["resume", "--reason", "x"],
    ["explain", "crm.contacts", "1"], ["explain", "crm.contacts", "1", "--as-of", "2027-01-01"],
    ["hold", "add", "--record", "crm.contacts", "1", "--reason", "litigation"], ["hold", "list"],
    ["hold", "add", "--subject", "p2@test.example", "--reason", "other", "--review", "SOON"],
    ["hold", "release", "1", "--reason", "x"], ["finding", "list"], ["finding", "show", "1"],
    ["finding", "resolve", "1", "--by", "An", "--reason", "x"], ["ledger", "verify"], ["ledger", "show"],
    ["ledger", "show", "--type", "plan"], ["ledger", "prove", "crm.contacts", "1"], ["ledger", "checkpoint"],
    ["ledger", "export", "evidence"], ["report", "--format", "json", "--lang", "en"], ["report", "-o", "r.html"], ["report", "--bundle", "b"],
    ["register", "list"], ["register", "show", "intake"], ["register", "export"], ["register", "import", "register.toml"],
    ["register", "export", "--format", "json", "-o", "r.json"], ["register", "history"], ["register", "diff", "0", "1"],
    ["register", "add", "activity.new", "--set", "title=x", "--reason", "x"], ["register", "end", "intake", "--reason", "x"],
    ["register", "edit", "activity.intake", "--set", "owner=An", "--unset", "review_on", "--reason", "x"],
    ["location", "list"], ["location", "check", "crm"], ["location", "discover", "crm"], ["demo", "config"],
    ["schedule"], ["reapply", "crm"], ["request", "add"],
]  # fmt: skip
TOKENS = [
    "", " ", "-", "--", "---", "-C", "-v", "-q", "-h", "--help", "--version", "--json", "--by", "--reason", "--as-of", "-o",
    "--format", "--lang", "--records", "--digest", "--set", "--unset", "--on", "--until", "0", "1", "2", "-1", "99", "1e9", "nan",
    "9" * 30, "2026-02-30", "2026-11-22", "0001-01-01", "9999-12-31", "crm", "crm.contacts", "crm.", "*", "null", "[]", '["1"]',
    "{}", "=", "a=b", "title=", "data=a;b", "data.email.source=x", "\x00x", "\n", "\t", "\x1b[31m", "é", "名前", "\u202e", "\ud800",
    "'; --", "$(id)", "%s", "{{7*7}}", "sha256:", "config", "var", "register.toml", "data/crm.sqlite", ".", "..", "no/such/file",
    "x" * 5000, "--json=1", "--by=", "--reason= ", "--max-growth", "inf", "--max-records", "-1.5", "activity.intake", "organisation",
]  # fmt: skip


def mutate(chance: random.Random, words: list[str], digest: str) -> list[str]:
    """One call, more or less broken."""
    made = [{"DIGEST": digest, "SOON": in_days(9)}.get(word, word) for word in words]
    for _ in range(chance.choice((0, 1, 1, 2, 3))):
        kind, at = chance.randrange(6), chance.randrange(len(made) + 1)
        if kind == 0:
            made.insert(at, chance.choice(TOKENS))
        elif kind == 1 and made:
            del made[min(at, len(made) - 1)]
        elif kind == 2 and made:
            made[min(at, len(made) - 1)] = chance.choice(TOKENS)
        elif kind == 3 and made:
            made.insert(at, chance.choice(made))
        elif kind == 4:
            chance.shuffle(made)
        else:
            made = [*made, *chance.choice(REAL)[1:]]
    return [*made, "--json"] if chance.random() < 0.5 else made


def is_safe(words: list[str]) -> bool:
    """Whether a call stays in its folder, away from the long story of the demonstration and from the service, which
    does not end by itself (``tests/acceptance/cli/test_cli_schedule.py``)."""
    return ".." not in words and "schedule" not in words and ("demo" not in words or words[:2] == ["demo", "config"])


def check_answer(words: list[str], answer: Answer) -> None:
    is_stream = "--records" in words or "--help" in words or "-h" in words or "--version" in words
    if answer.code == 2 and "--json" in words and answer.out:
        assert json.loads(answer.out)["schema"] == "ropa.error/1", words
    elif words[-1:] == ["--json"] and answer.out.startswith("{") and not is_stream:
        assert str(json.loads(answer.out)["schema"]).startswith("ropa."), words


@pytest.mark.sampled(one_in=2)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_random_calls_are_answered_within_the_contract(ropa: Ropa, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ropa.folder)
    chance = random.Random(seed)
    before, digest = ids(ropa.folder), ropa.json("plan")["digest"]
    for number in range(CALLS // SEEDS):
        words = mutate(chance, chance.choice(REAL), digest)
        if not is_safe(words):
            continue
        try:
            with within(loops=1000):
                answer = call(*words)
            check_answer(words, answer)
        except Exception as error:
            raise AssertionError(f"seed {seed}, call {number}: {words!r}") from error
    assert call("ledger", "verify").code in {0, 3}
    gone = set(before) - set(ids(ropa.folder))
    assert gone <= set(range(1, DUE)), "only what was due, and never what others refer to"
    outside = {path.name for path in Path(ropa.folder).parent.iterdir()}
    assert outside == {ropa.folder.name}
