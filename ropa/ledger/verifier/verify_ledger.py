#!/usr/bin/env python3
"""Verify the evidence of ropa with the Python standard library and openssl, and nothing else.

Usage: python3 verify_ledger.py [DIR] [--key public.pem] [--checkpoint FILE]...

DIR is a ledger, an exported copy of one (events.jsonl, checkpoints/, batches/, public*.pem), or a bundle: a folder with
SHA256SUMS and the ledger in ledger/; default: the folder of this program. Of a bundle every file is compared with
SHA256SUMS first. With --checkpoint, a signed checkpoint kept elsewhere, it also shows a cut tail or a rewritten
history. Exit code 0: sound; 3: sound, but intents have no receipt yet; 1: broken, with the first fault found; 2: this
machine or the call is not fit. It shares no code with ropa, on purpose.
"""
# ruff: noqa: S603, T201 - a script that prints and calls openssl

from __future__ import annotations

import argparse
import base64
import functools
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

SPKI = bytes.fromhex("302a300506032b6570032100")  # what stands before the 32 bytes of an Ed25519 public key (RFC 8410)
SUMS, LEDGER, CHECKPOINT = "SHA256SUMS", "ledger", "checkpoint.txt"  # of a bundle
KNOWN_KEY = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"  # RFC 8032, section 7.1, test 2
KNOWN_SIGNATURE = (  # of the message 72
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)
WORDS = {"purged", "anonymised", "flagged", "recoverable", "absent", "changed"}
WORDS |= {"held", "blocked", "refused", "failed", "unverified"}
FIELDS = {
    "genesis": "origin hash public_key tool",
    "run_start": "mode tool config register host clock checkpoint interrupted",
    "plan": "plan author approvals records targets caps holds",
    "approval": "plan actor role expires",
    "mandate": "mandate rules location max_records growth_pct actor role expires",
    "plan_rejected": "plan actor",
    "mandate_revoked": "mandate actor",
    "intent": "plan batch rules location dataset scope action root leaves",
    "receipt": "plan batch root outcomes counts level proof",
    **dict.fromkeys(("hold", "hold_release"), "leaf actors reason active"),
    "key_rotate": "new_public_key old_signature new_signature actor",
    "run_end": "state code totals rules",
    **dict.fromkeys(("config", "clock_accept", "recovered", "halt", "resume"), ""),
    **dict.fromkeys(("key_destroyed", "reapply", "restore", "attested"), "actor"),
}
Event = dict[str, Any]


class BrokenError(Exception):
    """The evidence contradicts itself."""


def need(is_true: object, what: str) -> None:
    """Stop at the first thing that does not hold."""
    if not is_true:
        raise BrokenError(what)


def sha(data: bytes) -> bytes:
    """Return SHA-256."""
    return hashlib.sha256(data).digest()


def hexed(text: str) -> bytes:
    """Read 64 lower-case hex digits."""
    need(re.fullmatch("[0-9a-f]{64}", text), "not a hash")
    return bytes.fromhex(text)


def b64(text: str, length: int) -> bytes:
    """Read base64 of so many bytes, written in the one way it can be."""
    raw = base64.b64decode(text, validate=True)
    need(len(raw) == length and base64.b64encode(raw).decode() == text, "base64")
    return raw


def stamp(text: str) -> str:
    """Read an instant as the ledger writes it."""
    need(re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", text), "not an instant")
    datetime.fromisoformat(text[:-1])  # raises where there is no such day or time
    return text


class Tree:
    """RFC 6962: the roots of full subtrees, from left to right."""

    def __init__(self) -> None:
        self.size, self.stack = 0, list[bytes]()

    def add(self, data: bytes) -> None:
        """Add a leaf."""
        self.stack.append(sha(b"\0" + data))
        self.size += 1
        for _ in range((self.size & -self.size).bit_length() - 1):
            right = self.stack.pop()
            self.stack.append(sha(b"\1" + self.stack.pop() + right))

    def root(self) -> bytes:
        """Return the root over all leaves."""
        return functools.reduce(lambda right, left: sha(b"\1" + left + right), self.stack[::-1])


@functools.cache
def is_signed(key: bytes, message: bytes, signature: bytes) -> bool:
    """Ask openssl whether an Ed25519 signature holds."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("key", "message", "signature")]
        for path, data in zip(paths, (SPKI + key, message, signature), strict=True):
            path.write_bytes(data)
        call = ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-rawin", "-inkey", str(paths[0])]
        call += ["-in", str(paths[1]), "-sigfile", str(paths[2])]
        return subprocess.run(call, capture_output=True, check=False).returncode == 0


def parse(line: bytes) -> Event:
    """Read a line: canonical JSON (so no key twice), without null and floats."""
    need(line.endswith(b"\n"), "the last line is not whole")
    event: Event = json.loads(line.decode())
    again = json.dumps(event, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    need(isinstance(event, dict) and again.encode() + b"\n" == line, "a line is not in canonical form")
    todo: list[Any] = [event]
    while todo:
        item = todo.pop()
        need(isinstance(item, str | list | dict) or (isinstance(item, int) and abs(item) < 2**53), "null or float")
        need(not isinstance(item, dict) or all(key.isascii() for key in item), "a key that is not ASCII")
        todo += item.values() if isinstance(item, dict) else item if isinstance(item, list) else []
    need(type(event["v"]) is int and event["v"] == 1 and type(event["seq"]) is int and event["run"], "form")
    return event


class Note:
    """A checkpoint: origin, size, root; a blank line; signature lines."""

    def __init__(self, data: bytes) -> None:
        head, _, tail = data.decode().partition("\n\n")
        self.text = (head + "\n").encode()
        self.origin, size, root = head.split("\n")
        self.size, self.root, self.lines = int(size), b64(root, 32), list[tuple[str, bytes]]()
        need(str(self.size) == size and self.size > 0 and tail.endswith("\n"), "a checkpoint's form")
        for line in tail[:-1].split("\n"):
            dash, name, value = line.split(" ")
            raw = base64.b64decode(value)
            need(dash == "—" and name and base64.b64encode(raw).decode() == value, "a signature line's form")
            self.lines.append((name, raw))

    def check(self, origin: str, root: bytes, keys: list[bytes]) -> None:
        """Compare with the ledger's name, its tree at this size, and the keys that had to sign."""
        need((self.origin, self.root) == (origin, root), f"checkpoint {self.size} does not agree with the lines")
        for key in keys:
            own = [raw[4:] for name, raw in self.lines if name == origin and raw[:4] == key_id(origin, key)]
            need(own and all(is_signed(key, self.text, raw) for raw in own), f"signature of checkpoint {self.size}")


def key_id(origin: str, key: bytes) -> bytes:
    """Return the 4 bytes that name a key."""
    return sha(origin.encode() + b"\n\1" + key)[:4]


def pem(key: bytes) -> bytes:
    """Return a public key as openssl writes it."""
    return b"-----BEGIN PUBLIC KEY-----\n" + base64.b64encode(SPKI + key) + b"\n-----END PUBLIC KEY-----\n"


def word_of(outcome: str) -> str:
    """Return the word that an outcome counts under."""
    word, colon, code = outcome.partition(":")
    need(word in WORDS and (not colon or word in {"failed", "recoverable"}), "an outcome that is none")
    need(not colon or re.fullmatch(r"[a-z0-9_.-]{1,32}", code), "an outcome's code")
    return word if word != "recoverable" or not colon else (stamp(f"{code}T00:00:00Z"), word)[1]


def adds_up(said: dict[str, int], summed: dict[str, int]) -> bool:
    """Totals are the sums of the receipts; beyond them stands only what never got a leaf."""
    more = {word: said.get(word, 0) - summed.get(word, 0) for word in said.keys() | summed.keys()}
    return all(n == 0 or (n > 0 and word in {"refused", "held", "blocked"}) for word, n in more.items())


class Story:
    """What the events say, each checked against all before it. A KeyError is a reference to what never was."""

    def __init__(self, folder: Path) -> None:
        self.batches, self.origin, self.run, self.active = folder / "batches", "", "", 0
        self.plans, self.mandates, self.runs = dict[str, Event](), dict[str, Event](), dict[str, Event]()
        self.open, self.actor_keys, self.unknown = dict[str, Event](), dict[str, str](), Counter[str]()
        self.seen, self.holds = set[str](), set[str]()

    def take(self, event: Event) -> None:
        """Check the form that a type asks for, then what it says."""
        kind = event["type"]
        if kind not in FIELDS:
            self.unknown[kind] += 1
            return
        need(event.keys() >= set(FIELDS[kind].split()), "a field is missing")
        for name in {"plan", "mandate", "root", "leaf"} & event.keys():
            hexed(event[name])
        for name in {"batch", "leaves", "records", "approvals", "holds", "active", "max_records"} & event.keys():
            need(type(event[name]) is int and event[name] >= 0, f"{name} is no count")
        rules = event["rules"].values() if kind == "run_end" else []
        for counts in [*(event[name] for name in ("counts", "totals") if name in event), *rules]:
            need(all(word in WORDS and type(n) is int and n > 0 for word, n in counts.items()), "counts that are none")
        getattr(self, f"_{kind}", lambda _event: None)(event)

    def _run_start(self, event: Event) -> None:
        need(event["run"] not in self.runs, "a run that starts twice")
        need(event["interrupted"] == ([self.run] if self.run else []), "a run cut off that is not told")
        need(event["mode"] in {"plan", "apply", "sweep", "reconcile"}, "mode")
        self.run, sums = event["run"], {"totals": Counter[str](), "rules": dict[str, Counter[str]]()}
        self.runs[self.run] = {"mode": event["mode"], "plans": set(), "foreign": 0, **sums}

    def _run_end(self, event: Event) -> None:
        name, totals, rules, run = event["run"], event["totals"], event["rules"], self.runs[event["run"]]
        need(run and event["state"] in {"complete", "partial", "aborted"}, "a run that ends twice, or without a state")
        need(self.run == name or event["state"] == "aborted", "a run that ends after another began")
        need(adds_up(totals, run["totals"]), "totals are not the sums of the receipts")
        need(rules.keys() != {"*"} or rules["*"] == totals, "the totals of all rules are not the run's")
        for rule in () if rules.keys() == {"*"} else rules.keys() | run["rules"].keys():
            need(adds_up(rules.get(rule, {}), run["rules"].get(rule, {})), "a rule's totals are not its sums")
        plans = [self.plans[plan] for plan in run["plans"]]
        if plans and (run["mode"], event["state"]) == ("apply", "complete") and all(p["runs"] == {name} for p in plans):
            planned = sum(plan["records"] for plan in plans)
            need(sum(totals.values()) - run["foreign"] == planned, "outcomes do not add up to the plan")
        self.runs[name], self.run = {}, "" if self.run == name else self.run

    def _plan(self, event: Event) -> None:
        targets, few = event["targets"], {name: event[name] for name in ("records", "approvals")}
        need(event["plan"] not in self.plans, "a plan that stands twice")
        need(sum(t["records"] for t in targets) == event["records"], "targets do not add up to the plan")
        need(all(t["due"] == t["held"] + t["blocked"] + t["records"] for t in targets), "a target does not add up")
        mine: Event = {"given": {}, "batches": set(), "runs": set(), "under": Counter()}
        self.plans[event["plan"]] = {**few, **mine, "is_rejected": False, "leaves": 0}

    def _check_signature(self, event: Event, subject: str) -> None:
        actor, key, signature = event["actor"], event.get("actor_key"), event.get("signature")
        need((key is None) == (signature is None) and self.actor_keys.get(actor, key) == key, "an approver's key")
        stamp(event["expires"])
        if key is not None and signature is not None:
            self.actor_keys[actor] = key
            text = f"ropa-approval/1\n{self.origin}\n{subject}\n{actor}\n{event['expires']}\n"
            need(is_signed(b64(key, 32), text.encode(), b64(signature, 64)), "an approval's signature")

    def _approval(self, event: Event) -> None:
        plan, actor = self.plans[event["plan"]], event["actor"]
        self._check_signature(event, event["plan"])
        plan["is_rejected"] = False
        plan["given"][actor] = max(event["expires"], plan["given"].get(actor, ""))

    def _plan_rejected(self, event: Event) -> None:
        self.plans[event["plan"]].update(given={}, is_rejected=True)

    def _mandate(self, event: Event) -> None:
        parts = [event[name] for name in ("rules", "location", "max_records", "growth_pct", "expires")]
        text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
        need(sha(text.encode()).hex() == event["mandate"], "a mandate's hash")
        self._check_signature(event, event["mandate"])
        self.mandates[event["mandate"]] = event

    def _mandate_revoked(self, event: Event) -> None:
        del self.mandates[event["mandate"]]

    def _intent(self, event: Event) -> None:
        plan, root, leaves, action = self.plans[event["plan"]], event["root"], event["leaves"], event["action"]
        need(event["run"] == self.run, "an intent outside its run")
        need(root not in self.seen and event["batch"] not in plan["batches"], "a batch that stands twice")
        need(event["scope"] in {"row", "field"} and (event["scope"] == "field") == ("data" in event), "scope and data")
        need(action in {"flag", "anonymise", "purge"} and not plan["is_rejected"], "an intent that may not be")
        plan["leaves"] += leaves
        need(1 <= leaves <= 100_000 and plan["leaves"] <= plan["records"], "more leaves than the plan has records")
        if "mandate" in event:
            mandate = self.mandates[event["mandate"]]
            plan["under"][event["mandate"]] += leaves
            need(mandate["expires"] >= event["at"], "a mandate that expired")
            need(mandate["location"] == event["location"], "a mandate for another location")
            need(set(event["rules"]) <= set(mandate["rules"]), "a mandate for other rules")
            need(plan["under"][event["mandate"]] <= mandate["max_records"], "more records than the mandate allows")
        elif action != "flag":
            given = sum(expires >= event["at"] for expires in plan["given"].values())
            need(given >= max(1, plan["approvals"]), "an intent without the approvals it needs")
        lines, tree = (self.batches / root).read_bytes().split(b"\n"), Tree()
        need(lines.pop() == b"" and len(lines) == len(set(lines)) == leaves, "a batch file's form")
        for line in lines:
            tree.add(hexed(line.decode()))
        need(tree.root().hex() == root, "a batch file's root")
        self.seen.add(root)
        self.open[root] = event
        plan["batches"].add(event["batch"])
        plan["runs"].add(self.run)
        self.runs[self.run]["plans"].add(event["plan"])

    def _receipt(self, event: Event) -> None:
        root, counts, said, run = event["root"], event["counts"], event["outcomes"], self.runs[event["run"]]
        intent = self.open.pop(root)
        need((event["plan"], event["batch"]) == (intent["plan"], intent["batch"]), "a receipt of another batch")
        need(run and event["level"] in {"logical", "physical"}, "a receipt outside a run, or without a level")
        is_own, leaves = event["run"] == intent["run"], intent["leaves"]
        need(event.get("reconciled", is_own) is True, "another run's receipt that does not say so")
        lines = [said] * leaves
        if re.fullmatch("[0-9a-f]{64}", said):
            content = (self.batches / f"{root}.outcomes").read_bytes()
            lines = content.decode("ascii").split("\n")
            need(sha(content).hex() == said and lines.pop() == "", "an outcome file is not what the receipt says")
            need(len(lines) == leaves and len(set(lines)) > 1, "an outcome file's lines")
        need(Counter(map(word_of, lines)) == counts, "counts do not agree with the outcomes")
        is_purge, is_flag = (intent["scope"], intent["action"]) == ("row", "purge"), intent["action"] == "flag"
        allowed = {"purged": is_purge, "flagged": is_flag, "anonymised": not is_purge and not is_flag}
        need(all(allowed.get(word, True) for word in counts), "an outcome that the action cannot have")
        run["totals"].update(counts)
        run["foreign"] += 0 if is_own else leaves
        for rule in intent["rules"]:
            run["rules"].setdefault(rule, Counter()).update(counts)

    def _hold(self, event: Event) -> None:
        is_new = event["type"] == "hold"
        need(event["active"] == self.active + (1 if is_new else -1), "holds in force do not add up")
        need(is_new != (event["leaf"] in self.holds) and event["actors"], "a hold that is there twice, or never was")
        self.active, self.holds = event["active"], self.holds ^ {event["leaf"]}

    _hold_release = _hold

    def _key_destroyed(self, event: Event) -> None:
        need(("roots" in event) != ("through" in event) and event.get("through", 0) < event["seq"], "scope")
        need(self.seen.issuperset(event.get("roots", ())), "a key of a batch that never was")


def verify(folder: Path, outside_key: bytes | None, outside: list[bytes]) -> tuple[Story, Tree, int]:
    """Return what was told, the tree over the lines, and how many the newest checkpoint covers. Raises when broken."""
    names = [path.name for path in (folder / "checkpoints").iterdir() if re.fullmatch("[0-9]{12}", path.name)]
    notes = {int(name): Note((folder / "checkpoints" / name).read_bytes()) for name in names}
    need(notes and all(size == note.size for size, note in notes.items()), "no checkpoint, or one under a wrong name")
    kept = [Note(data) for data in outside]
    tree, story, keys, replaced = Tree(), Story(folder), list[bytes](), list[bytes]()
    prev, at, quoted = "0" * 64, "", 0
    with (folder / "events.jsonl").open("rb") as stream:
        while line := stream.readline(65_538):
            event, seq = parse(line), tree.size
            need(event["seq"] == seq and event["prev"] == prev, f"line {seq}: the chain is broken")
            need(stamp(event["at"]) >= at and (event["type"] == "genesis") == (seq == 0), f"line {seq}: order")
            if seq == 0:
                story.origin, keys = event["origin"], [b64(event["public_key"], 32)]
                need(event["hash"] == "sha256", "hash")
                need((folder / "public.pem").read_bytes() == pem(keys[0]), "public.pem is not the key of genesis")
            elif event["type"] == "key_rotate":
                pair = [keys[-1], b64(event["new_public_key"], 32)]
                old, new = (base64.b64encode(key).decode() for key in pair)
                text = f"ropa-key-rotate/1\n{story.origin}\n{seq}\n{prev}\n{old}\n{new}\n".encode()
                for key, name in zip(pair, ("old_signature", "new_signature"), strict=True):
                    need(is_signed(key, text, b64(event[name], 64)), f"line {seq}: {name}")
                name = f"public-{key_id(story.origin, pair[1]).hex()}.pem"
                need((folder / name).read_bytes() == pem(pair[1]), f"{name} is not the key of line {seq}")
                keys, replaced = [*keys, pair[1]], [*replaced, keys[-1]]
            elif event["type"] == "run_start":
                size, root = event["checkpoint"]["size"], hexed(event["checkpoint"]["root"])
                is_there = size in notes and notes[size].root == root and quoted <= size <= seq
                need(is_there or (size, root, quoted) == (0, sha(b""), 0), f"line {seq}: a checkpoint is not there")
                quoted = size
            try:
                story.take(event)
            except (BrokenError, KeyError, OSError) as error:
                raise BrokenError(f"line {seq}: {type(error).__name__}: {error}") from error
            tree.add(line[:-1])
            prev, at = sha(line[:-1]).hex(), event["at"]
            if tree.size in notes:
                notes[tree.size].check(story.origin, tree.root(), [keys[-1], *replaced])
                replaced = []
            for note in kept:
                if note.size == tree.size:
                    note.check(story.origin, tree.root(), keys[-1:])
    need(max([*notes, *(note.size for note in kept)]) <= tree.size, "a checkpoint covers more lines than there are")
    need(outside_key is None or outside_key.strip() in [pem(key).strip() for key in keys], "the ledger has another key")
    return story, tree, max(notes)


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, read piece by piece."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def check_bundle(folder: Path) -> tuple[int, list[str]]:
    """Compare every file that SHA256SUMS lists; return how many they are, and the names of files that it does not."""
    text, listed = (folder / SUMS).read_bytes().decode("ascii"), set[str]()
    need(text.endswith("\n"), f"the last line of {SUMS} is not whole")
    for line in text[:-1].split("\n"):
        found = re.fullmatch(r"([0-9a-f]{64})  ([A-Za-z0-9_-][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*)", line)
        need(found, f"a line of {SUMS} that is none")
        digest, name = found.groups() if found else ("", "")
        path = folder / name
        need(name not in listed and path.is_file() and not path.is_symlink(), f"{name} is not there, or listed twice")
        need(digest_of(path) == digest, f"{name} is not as {SUMS} says")
        listed.add(name)
    own = {path.name for path in (folder / LEDGER).glob("public*.pem")}
    need(listed >= {CHECKPOINT, f"{LEDGER}/events.jsonl", *own, *(f"{LEDGER}/{name}" for name in own)}, "a file lacks")
    same = all((folder / name).read_bytes() == (folder / LEDGER / name).read_bytes() for name in own)
    need(own and same, "a public key is not the one of the ledger")
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or path.is_file()}
    return len(listed), sorted(there - listed - {SUMS})


def main(arguments: list[str] | None = None) -> int:
    """Print what was found; return 0, 3 or 1."""
    parser = argparse.ArgumentParser(description="Verify the evidence of ropa.")
    parser.add_argument("folder", type=Path, metavar="DIR", nargs="?", help="a ledger or a bundle")
    parser.add_argument("--key", type=Path, help="the ledger's public key, from elsewhere")
    parser.add_argument("--checkpoint", type=Path, action="append", default=[], help="a checkpoint kept elsewhere")
    options = parser.parse_args(arguments)
    folder = options.folder or Path(__file__).parent
    if not options.folder and not (folder / SUMS).exists():
        parser.error("name the folder of the ledger")
    if sys.version_info < (3, 10):  # noqa: UP036 - a stranger's Python, not ours
        parser.error("Python 3.10 or newer is needed")
    if shutil.which("openssl") is None:
        parser.error("openssl is needed to check signatures, and is not there")
    if not is_signed(bytes.fromhex(KNOWN_KEY), b"\x72", bytes.fromhex(KNOWN_SIGNATURE)):
        parser.error("this openssl cannot check Ed25519 signatures; OpenSSL 3.0 or newer can")
    try:
        key = options.key.read_bytes() if options.key else None
        outside = [path.read_bytes() for path in options.checkpoint]
    except OSError as error:
        parser.error(str(error))
    try:
        if (folder / SUMS).exists():
            count, others = check_bundle(folder)
            print(f"files: {count} are as {SUMS} says; its own SHA-256 is {digest_of(folder / SUMS)}")
            for name in others:
                print(f"not in {SUMS}, so not checked: {name!a}")
            folder, outside = folder / LEDGER, [*outside, (folder / CHECKPOINT).read_bytes()]
        story, tree, signed = verify(folder, key, outside)
    except Exception as error:  # noqa: BLE001 - whatever evidence makes this program stumble is broken evidence
        print(f"BROKEN: {error or type(error).__name__}" if isinstance(error, BrokenError) else f"BROKEN: {error!r}")
        return 1
    print(f"sound: {story.origin}, {tree.size} lines, {tree.size - signed} of them after the newest checkpoint")
    print(f"root: {base64.b64encode(tree.root()).decode()}")
    for kind, count in sorted(story.unknown.items()):
        print(f"not understood: {count} lines of type {kind}")
    for root, intent in story.open.items():
        print(f"open: the intent at line {intent['seq']}, batch {root}, has no receipt yet")
    return 3 if story.open else 0


if __name__ == "__main__":
    sys.exit(main())
