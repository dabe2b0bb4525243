"""What the systems of one file share: the taxonomy that the file adds, own categories, and recipients by name.

Invariant: one name is one recipient, one term is one category, wherever they are named.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Mapping
from dataclasses import replace
from functools import cache

from ropa.register.exchange.fideslang import terms
from ropa.register.exchange.fideslang.entry import Desk, Entry
from ropa.register.exchange.incoming import key_of
from ropa.register.models import NONE, OWN, OwnCategory, Recipient
from ropa.vocabulary import UNKNOWN, categories, plain

TAXONOMY = ("data_category", "data_use", "data_subject")


class Shelf:
    """Terms and recipients, found or made when they are first named."""

    def __init__(self, desk: Desk, custom: Mapping[str, list[Entry]]) -> None:
        """``custom``: the resources of the taxonomy that stand in the file, by kind."""
        self._desk = desk
        self._custom: dict[str, dict[str, Entry]] = {kind: {} for kind in TAXONOMY}
        for kind, entries in custom.items():
            for entry in entries:
                if term := entry.term("fides_key"):
                    self._custom[kind][term] = entry
                else:
                    entry.desk.leave(entry.path, entry.line(), "has no fides_key, so that nothing can use it")
        self._used: set[tuple[str, str]] = set()
        self.categories: dict[str, OwnCategory] = {}
        self.recipients: dict[str, Recipient] = {}
        self._own_keys: dict[str, str] = {}
        self._by_name: dict[str, str] = {}

    def data(self, entry: Entry) -> list[str]:
        """Take the data categories of a declaration: our keys, each once."""
        kept = []
        for term in entry.terms("data_categories"):
            if term == terms.NO_PERSON or term.startswith(f"{terms.NO_PERSON}."):
                entry.leave("data_categories", f"{term} is no personal data; the register lists personal data")
            elif term in terms.CATEGORIES or self._custom_of("data_category", term):
                kept.append(term)
            else:
                entry.leave("data_categories", _unknown(term, "data category", terms.CATEGORIES))
        found = terms.our_categories(kept)
        return list(dict.fromkeys(key or self._own(term) for term, key in found.items()))

    def _own(self, term: str) -> str:
        custom = self._custom_of("data_category", term)
        title, note = (custom.text("name"), custom.text("description")) if custom else (None, None)
        if term not in self._own_keys:
            key, own = terms.own_category(term, title, note)
            if key in self.categories:
                key = key_of(key, {*self.categories, *categories()})
            self.categories[key] = own
            self._own_keys[term] = key
        return self._own_keys[term]

    def subjects(self, entry: Entry) -> list[str]:
        """Take the categories of data subjects of a declaration."""
        kept = []
        for term in entry.terms("data_subjects"):
            if term in terms.SUBJECTS or self._custom_of("data_subject", term):
                kept.append(terms.our_subject(term))
            else:
                entry.leave("data_subjects", _unknown(term, "data subject", terms.SUBJECTS))
        return list(dict.fromkeys(kept))

    def use(self, entry: Entry) -> str | None:
        """Take the data use of a declaration as a purpose in words, None where it is no word of the taxonomy."""
        term = entry.term("data_use")
        if term is None:
            return None
        if custom := self._custom_of("data_use", term):
            return custom.text("name") or term
        if term in terms.USES:
            return terms.purpose_text(term)
        entry.leave("data_use", _unknown(term, "data use", terms.USES))
        return None

    def recipient(self, name: str, role: str = UNKNOWN) -> str:
        """Return the key of a recipient by name."""
        known = self._by_name.get(plain(name))
        if known is None:
            self._desk.hold_to_bound("recipients", len(self.recipients) + 1)
            known = key_of(name, _Taken(self.recipients), fallback="recipient")
            self.recipients[known] = Recipient(name=name)
            self._by_name[plain(name)] = known
        if role != UNKNOWN:
            self.recipients[known] = replace(self.recipients[known], role=role)
        return known

    def leave_unused(self) -> None:
        """Note the resources of the taxonomy that nothing in the file uses, and what of the used ones has no place."""
        for kind, entries in self._custom.items():
            for term, entry in entries.items():
                if (kind, term) in self._used:
                    entry.leave_rest(
                        kind, {}, {"is_default": "false", "organization_fides_key": "default_organization"}
                    )
                else:
                    entry.desk.leave_alike(f"{kind}.*", entry.line(), "fideslang's own word, or one that nothing uses")

    def _custom_of(self, kind: str, term: str) -> Entry | None:
        """The resource that gives a word of the file's own; none for the words that fideslang has itself."""
        known = {"data_category": terms.CATEGORIES, "data_use": terms.USES, "data_subject": terms.SUBJECTS}[kind]
        found = None if term in known else self._custom[kind].get(term)
        if found is not None:
            self._used.add((kind, term))
        return found


class _Taken:
    """The keys that a recipient cannot have: those of others, and the words that mean something else."""

    def __init__(self, recipients: Container[str]) -> None:
        self._recipients = recipients

    def __contains__(self, key: object) -> bool:
        return key in self._recipients or key in {NONE, OWN, UNKNOWN}


@cache
def _by_ending(among: frozenset[str]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for one in sorted(among):
        found[one.rpartition(".")[2]].append(one)
    return dict(found)


def _unknown(term: str, what: str, among: frozenset[str]) -> str:
    """Say that a word is not known, with the one that ends alike: words moved between releases of the taxonomy."""
    alike = _by_ending(among).get(term.rpartition(".")[2], [])
    hint = f" (did you mean {alike[0]}?)" if len(alike) == 1 else ""
    return f"{term} is no {what} of fideslang {terms.VERSION}{hint}"
