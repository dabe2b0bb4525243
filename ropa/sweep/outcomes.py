"""Outcomes of a portion, asked and changed without an object for each record.

Invariant: there are as many outcomes as records, in their order; what differs from the usual word is in ``odd``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from ropa.connector import Key, Outcome, Outcomes, OutcomeWord


def part(told: Outcomes, start: int, stop: int) -> Outcomes:
    """Return the outcomes between two positions."""
    if start == 0 and stop == len(told):
        return told
    odd = {pos - start: one for pos, one in told.odd.items() if start <= pos < stop}
    return Outcomes(told.keys[start:stop], told.word, odd, told.versions[start:stop] if told.versions else ())


def accounts_for(told: Outcomes, keys: list[Key]) -> bool:
    """Tell whether these are the outcomes of exactly these records, in this order."""
    return (
        list(told.keys) == keys
        and len(told.versions) in {0, len(keys)}
        and all(0 <= pos < len(keys) and one.key == keys[pos] for pos, one in told.odd.items())
    )


def counts(told: Outcomes) -> dict[str, int]:
    """Return outcome word to number; words with 0 are left out."""
    found = Counter(str(one.word) for one in told.odd.values())
    found[str(told.word)] += len(told) - len(told.odd)
    return {word: count for word, count in found.items() if count}


def positions(told: Outcomes, words: Collection[OutcomeWord]) -> Sequence[int]:
    """Return the positions of the outcomes with one of some words, rising."""
    if not told.odd:
        return range(len(told)) if told.word in words else ()
    if told.word in words:
        left = {pos for pos, one in told.odd.items() if one.word not in words}
        return [pos for pos in range(len(told)) if pos not in left]
    return sorted(pos for pos, one in told.odd.items() if one.word in words)


def spelled(told: Outcomes) -> list[str]:
    """Return the outcomes as the ledger spells them, one per record."""
    words = [_spelled(Outcome((), told.word))] * len(told)
    for pos, one in told.odd.items():
        words[pos] = _spelled(one)
    return words


def _spelled(outcome: Outcome) -> str:
    if outcome.word is OutcomeWord.FAILED:
        return f"failed:{outcome.code or 'unknown'}"
    if outcome.word is OutcomeWord.RECOVERABLE and outcome.until is not None:
        return f"recoverable:{outcome.until.isoformat()}"
    return str(outcome.word)


def changed(told: Outcomes, other: Mapping[int, Outcome]) -> Outcomes:
    """Return the outcomes with other ones at some positions."""
    return Outcomes(told.keys, told.word, {**told.odd, **other}, told.versions) if other else told


def versions(told: Outcomes) -> dict[int, str]:
    """Return, by position, how records read after our own change, where that is told."""
    found = {pos: text for pos, text in enumerate(told.versions) if text is not None and pos not in told.odd}
    return found | {pos: one.version for pos, one in told.odd.items() if one.version is not None}
