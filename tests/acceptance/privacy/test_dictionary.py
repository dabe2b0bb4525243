"""Case 107: whoever has the ledger alone, and a list of every person there may be, learns nothing about any of them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import product
from pathlib import Path

from checker import bytes_below, leaf
from judging import Judge
from kill_project import Project, approve, cases, expect, make, prepare
from ropa_runs import Server

STRANGERS = cases(3_000, 1_000_000)
HASHES = ("sha256", "sha1", "md5", "sha512", "sha3_256", "blake2b", "blake2s")
_HEX = re.compile(rb"[0-9a-f]{32,}")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{20,}={0,2}")


def values_in(ledger: Path) -> set[bytes]:
    """Every value in the evidence that could be a hash: hex or base64, also cut to a usual length."""
    found: set[bytes] = set()
    for _path, content in bytes_below(ledger):
        found |= {bytes.fromhex(text.decode()) for text in _HEX.findall(content) if len(text) % 2 == 0}
        for text in _BASE64.findall(content):
            try:
                found.add(base64.b64decode(text, validate=True))
            except ValueError:
                continue
    for path, _content in bytes_below(ledger):
        if _HEX.fullmatch(path.stem.encode()):
            found.add(bytes.fromhex(path.stem))
    return {value[:16] for value in found if len(value) >= 16}


def spellings(location: str, dataset: str, key: str) -> Iterator[bytes]:
    """The ways in which somebody could have written a record down before hashing it."""
    for text in {key, key.lower(), key.upper(), json.dumps([key]), key.partition("@")[0]}:
        yield text.encode()
        yield text.encode() + b"\n"
    yield f"{location}.{dataset}:{key}".encode()
    yield f"{location}/{dataset}/{key}".encode()
    for separators in ((",", ":"), (", ", ": ")):
        for row in ([location, dataset, [key]], [dataset, [key]], [f"{location}.{dataset}", key], [key]):
            yield json.dumps(row, ensure_ascii=False, separators=separators).encode()


def guesses(location: str, dataset: str, key: str, keys: tuple[bytes, ...]) -> Iterator[bytes]:
    """Every digest, cut to 16 bytes, of every spelling: unkeyed, as a Merkle leaf, and under keys that are no secret."""
    for text in spellings(location, dataset, key):
        for name in HASHES:
            yield hashlib.new(name, text).digest()[:16]
        yield hashlib.sha256(b"\0" + text).digest()[:16]
        for secret in keys:
            yield hmac.digest(secret, text, "sha256")[:16]


def applied(server: Server, folder: Path) -> Project:
    project = prepare(server, make(folder))
    approve(server, project)
    return project


def test_no_candidate_hashes_to_anything_in_the_evidence(server: Server, tmp_path: Path) -> None:
    project = applied(server, tmp_path / "p")
    planned = Judge(project).case.planned
    expect(server.run("-C", project.folder, "apply", str(project.plan)))
    evidence = values_in(project.ledger)
    assert len(evidence) > 60
    public = (project.ledger / "public.pem").read_bytes()
    known = (b"", bytes(32), b"ropa", project.digest.encode(), bytes.fromhex(project.digest[7:]), public)
    datasets = [("crm", "prospects"), ("crm", "customers"), ("cvs", "applications")]
    everybody = [json.loads(key)[0] for _dataset, key in planned]
    everybody += [token for tokens in project.tokens.values() for token in tokens]
    everybody += [str(number) for number in range(STRANGERS // 10)]
    everybody += [f"person{number}@example.org" for number in range(STRANGERS // 30)]
    found = [
        (place, dataset, key)
        for (place, dataset), key in product(datasets, everybody)
        if not evidence.isdisjoint(guesses(place, dataset, key, known))
    ]
    assert not found

    # The attack itself works: with a batch's own key, and only with it, the same list opens the batch.
    with closing(sqlite3.connect(project.database)) as database:
        keys = [row[0] for row in database.execute("SELECT key FROM batch WHERE dataset = 'prospects'")]
    opened = [
        key
        for key, secret in product(everybody, keys)
        if bytes.fromhex(leaf(secret, "crm", "prospects", json.dumps([key])))[:16] in evidence
    ]
    assert len(opened) == sum(1 for dataset, _ in planned if dataset == "prospects")


def test_two_entries_about_one_person_do_not_look_alike(server: Server, tmp_path: Path) -> None:
    """The same record, planned and held twice over, leaves no value twice: nothing links its entries."""
    project = prepare(server, make(tmp_path / "p", files=False))
    held = next(key for dataset, key in project.held if dataset == "prospects")
    hold = ("hold", "add", "--record", "crm.prospects", held, "--reason", "other", "--by", "An")
    for _ in range(3):
        expect(server.run("-C", project.folder, *hold))
    lines = (project.ledger / "events.jsonl").read_text()
    leaves = re.findall(r'"leaf":"([0-9a-f]{64})"', lines)
    assert len(leaves) == len(set(leaves)) == 4
