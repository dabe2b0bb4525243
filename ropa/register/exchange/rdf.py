"""RDF from outside, read within bounds: nothing is fetched, nothing is expanded, and every triple is accounted for.

Invariants: size, encoding, document types and remote contexts are looked at before anything is parsed; at most
``MOST_TRIPLES`` are kept; a message names lines, prefixes and bounds, never a value. ``Source`` knows which triples
were carried over; the rest it lists.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from typing import Any

from rdflib import BNode, Graph, Literal, URIRef
from rdflib.plugins.parsers.jsonld import to_rdf
from rdflib.plugins.parsers.notation3 import BadSyntax
from rdflib.plugins.stores.memory import Memory
from rdflib.term import Node

from ropa.config.bounds import MAX_BYTES
from ropa.errors import Problem, RegisterError
from ropa.register.exchange.dpv_terms import HEADER, local, short
from ropa.register.exchange.incoming import NotCarried

MOST_TRIPLES = 50_000
_LARGER = {"json-ld": (4 * MAX_BYTES, 100_000)}
"""Bytes and triples of a form whose parser takes time in proportion."""
_LONGEST_LINE = 65_536
DEEPEST = 100
"""How deep brackets may stand in one another."""
BASE = "https://file.invalid/"
"""What relative names in a file are read against."""
NO_KEY = "the register has no key for it"

Triple = tuple[Node, Node, Node]

_UNDECLARED = re.compile(r'Prefix "([\w.-]{0,40}):?" not bound')
_ENCODING = re.compile(r"""\s*<\?xml[^>]*?encoding\s*=\s*["']([^"']*)["']""")
_BRACKET = re.compile(r"[\[({]")

# The library logs the literals and names that it cannot make sense of, and those are values.
for _name in ("rdflib", "rdflib.term"):
    logging.getLogger(_name).disabled = True


class _TooManyError(Exception):
    pass


class _Bounded(Memory):
    """A store that takes so many triples and no more, and knows the order in which they came."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.order: dict[Triple, None] = {}

    def add(self, triple: Any, context: Any, quoted: bool = False) -> None:
        if len(self.order) >= self.most:
            raise _TooManyError
        self.order[triple] = None
        super().add(triple, context, quoted)


def parse(data: bytes, name: str, form: str) -> list[Triple]:
    """Read RDF and return what it says, in its order. ``form``: ``turtle``, ``nt``, ``xml`` or ``json-ld``.

    Raises RegisterError for a file past a bound, with a document type or a remote context, or that cannot be read.
    """
    largest, most = _LARGER.get(form, (MAX_BYTES, MOST_TRIPLES))
    text = _text(data, name, largest)
    store = _Bounded(most)
    graph = Graph(store=store)
    try:
        if form == "json-ld":
            document = json.loads(text)
            _check_contexts(document, name, inside=False)
            to_rdf(document, graph, base=BASE, version=1.1)
        else:
            (_check_xml if form == "xml" else _check_lines)(text, name)
            graph.parse(data=text.encode(), format=form, publicID=BASE)
    except RegisterError:
        raise
    except _TooManyError:
        raise refused(name, f"says more than {most:,} things; import it in parts") from None
    except BadSyntax as failure:
        raise _not_turtle(failure, name) from None
    except RecursionError:
        raise refused(name, "is nested too deeply") from None
    except Exception as failure:  # noqa: BLE001 - the parsers answer hostile text with errors of every kind
        line = getattr(failure, "lineno", None) or getattr(failure, "getLineNumber", lambda: None)()
        at = f"line {line}: " if isinstance(line, int) else ""
        raise refused(name, f"{at}cannot be read as {_SAID[form]}") from None
    return list(store.order)


_SAID = {"turtle": "Turtle", "nt": "N-Triples", "xml": "RDF/XML", "json-ld": "JSON-LD"}


def refused(name: str, trouble: str, step: str | None = None) -> RegisterError:
    """Return the error for a file that is not read."""
    return RegisterError(
        f"{name}: {trouble}", (Problem(name, trouble),), next_step=step or f"Mend {name}; nothing was changed."
    )


def _text(data: bytes, name: str, largest: int) -> str:
    if len(data) > largest:
        raise refused(name, f"is larger than {largest:,} bytes; import it in parts")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        line = data.count(b"\n", 0, failure.start) + 1
        raise refused(name, f"line {line}: is not UTF-8; save the file as UTF-8") from None
    depth = 0
    for found in re.finditer(r"[\[({]+|[\])}]+", text):
        depth = max(0, depth + len(found[0]) * (1 if _BRACKET.match(found[0]) else -1))
        if depth > DEEPEST:
            raise refused(name, f"line {text.count(chr(10), 0, found.start()) + 1}: is nested deeper than {DEEPEST}")
    return text


def _check_lines(text: str, name: str) -> None:
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > _LONGEST_LINE:
            raise refused(name, f"line {number}: is longer than {_LONGEST_LINE:,} characters")


def _check_xml(text: str, name: str) -> None:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise refused(name, "has a document type; entities are not expanded", "Save it without <!DOCTYPE …>.")
    declared = _ENCODING.match(text)
    if declared and declared[1].lower() not in {"utf-8", "utf8"}:
        raise refused(name, "declares another encoding than UTF-8", "Save it as UTF-8, and let it say so.")


def _check_contexts(value: Any, name: str, *, inside: bool) -> None:
    """Refuse every context that would have to be fetched, and contexts within contexts, which cost without bound."""
    if isinstance(value, list):
        for inner in value:
            _check_contexts(inner, name, inside=inside)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key == "@import" or (key == "@context" and _is_remote(inner)):
                step = "Put the context itself into the file, as an object of prefixes and terms."
                raise refused(name, "names a context elsewhere; nothing is fetched", step)
            if key == "@context" and inside:
                raise refused(name, "has a context within a context")
            _check_contexts(inner, name, inside=inside or key == "@context")


def _is_remote(context: Any) -> bool:
    return isinstance(context, str) or (isinstance(context, list) and any(isinstance(one, str) for one in context))


def _not_turtle(failure: BadSyntax, name: str) -> RegisterError:
    line = int(failure.lines) + 1
    found = _UNDECLARED.search(str(failure._why))  # noqa: SLF001 - its text holds an excerpt of the file besides
    if found is None:
        return refused(name, f"line {line}: is not Turtle")
    prefix = found[1]
    known = f" @prefix {prefix}: <{HEADER[prefix]}> ." if prefix in HEADER else ""
    step = f"Declare it at the head of the file:{known or ' @prefix ' + prefix + ': <…> .'}"
    return refused(name, f'line {line}: the prefix "{prefix}:" is not declared', step)


class Source:
    """What a file says, by the present names of its predicates, and what of it was carried over."""

    def __init__(self, triples: list[Triple]) -> None:
        self.used: set[Triple] = set()
        self.triples = triples
        self._by_subject: dict[Node, dict[str, list[Triple]]] = {}
        self._into: dict[Node, Triple] = {}
        self._why: dict[Triple, str] = {}
        self._notes: dict[str, str] = {}
        for triple in self.triples:
            subject, predicate, value = triple
            self._by_subject.setdefault(subject, {}).setdefault(short(str(predicate)), []).append(triple)
            self._into.setdefault(value, triple)

    def subjects(self) -> Iterator[Node]:
        """Everything that the file describes, in its order."""
        yield from self._by_subject

    def has(self, node: Node) -> bool:
        """Whether the file describes a node."""
        return node in self._by_subject

    def says(self, node: Node) -> frozenset[str]:
        """The names of the predicates of a node."""
        return frozenset(self._by_subject.get(node, ()))

    def of(self, node: Node, *names: str) -> list[Triple]:
        """What a node says under predicates, by their present names."""
        found = self._by_subject.get(node, {})
        return [triple for name in names for triple in found.get(name, ())]

    def types(self, node: Node) -> frozenset[str]:
        """The types of a node, by their present names."""
        return frozenset(short(str(value)) for _, _, value in self.of(node, "rdf:type"))

    def parent(self, node: Node) -> Node | None:
        """The first that refers to a node."""
        return self._into[node][0] if node in self._into else None

    def use(self, *triples: Triple) -> None:
        """Count triples as carried over."""
        self.used.update(triples)

    def use_types(self, node: Node, *names: str) -> None:
        """Count as carried over that a node is what its place in the register says it is."""
        self.use(*(triple for triple in self.of(node, "rdf:type") if short(str(triple[2])) in names))

    def leave(self, triple: Triple, why: str) -> None:
        """Say why a triple was not carried over."""
        self._why.setdefault(triple, why)

    def note(self, node: Node, why: str) -> None:
        """Say what else must be known of a node, besides the triples that were left."""
        self._notes.setdefault(self.where(node), why)

    def where(self, node: Node) -> str:
        """Say where a node stands: its name, for one without a name the way to it."""
        steps: list[str] = []
        seen: set[Node] = set()
        while isinstance(node, BNode) and node in self._into and node not in seen:
            seen.add(node)
            subject, predicate, _ = self._into[node]
            steps.insert(0, named(predicate))
            node = subject
        return " > ".join([local(str(node)) if isinstance(node, URIRef) else "a node without a name", *steps][:6])

    def left(self) -> tuple[NotCarried, ...]:
        """What was not carried over, each subject and predicate once."""
        found: dict[tuple[Node, Node], str] = {}
        for triple in self.triples:
            if triple not in self.used:
                found.setdefault(triple[:2], self._why.get(triple, NO_KEY))
        places: dict[tuple[str, str], None] = {}
        for (subject, predicate), why in found.items():
            places[f"{self.where(subject)} > {named(predicate)}", why] = None
        return tuple(NotCarried(where, why) for where, why in [*places, *self._notes.items()])


def named(predicate: Node) -> str:
    """Return a predicate by its present name, printable."""
    name = short(str(predicate))
    return name if re.fullmatch(r"[a-z-]+:[\w-]{1,80}", name) else local(str(predicate))


def lexical(node: Node) -> str | None:
    """Return the text of a literal as written; None for anything else."""
    return str(node) if isinstance(node, Literal) else None
