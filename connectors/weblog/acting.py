"""Purging and masking planned lines, and reading back what is still there.

Design. All lines of one log that a batch names are acted on in one rewriting. While the log is in the very state in
which they were planned (device, inode, size, both times) they stand where the version says, and are of the day that it
says. Otherwise they are looked for by their content (``locating``). In both cases their bytes are held against the
digest of what was planned while the log is rewritten (``rewriting.Proof``): where one differs nothing of that log
changes. Lines that are not found any more are ``absent`` where no line of their day is left in the log, and ``changed``
where there is one: then it cannot be told whether they went or were altered. Before anything is written each range is
held against the selection and the holds once more.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

from connectors.evaluate import Judge
from connectors.files.roots import error_code
from connectors.files.tree import Chain, identity_of
from connectors.weblog import rewriting
from connectors.weblog.contents import UNREADABLE_MASKED, Masked, Rest, Spans
from connectors.weblog.dataset import LogFolder, People, RangeItem
from connectors.weblog.fields import mask_line
from connectors.weblog.finding import held_paths
from connectors.weblog.locating import Located, Spot, locate
from connectors.weblog.openness import Writers
from connectors.weblog.place import Place
from connectors.weblog.ranges import open_pieces
from connectors.weblog.rewriting import Log
from connectors.weblog.streams import PLAIN, UnreadableError, lines_of
from connectors.weblog.versions import Version
from ropa.connector import Batch, Key, Outcome, Outcomes, OutcomeWord, Selection
from ropa.errors import LocationError

Rewritten = dict[str, tuple[str, frozenset[str]]]
"""Of the last act: path to the identity of the log since our exchange, and the versions that were acted on."""

_Spots = dict[int, tuple[Version, Spot]]
_Words = dict[int, tuple[OutcomeWord, str | None]]


class Actor:
    """Acts for one selection, whose sense is checked already."""

    def __init__(self, place: Place, folder: LogFolder, selection: Selection, rewritten: Rewritten) -> None:
        self._place, self._folder, self._rewritten = place, folder, rewritten
        self._judge = Judge(replace(selection, keys=None, fields=()))
        self._keys = None if selection.keys is None else frozenset(selection.keys)
        self._held = held_paths(selection)
        self._people = People(folder.spec.subject, selection.spare.subjects)
        self._masks = {change.column: change.mask for change in selection.fields}

    def act(self, batch: Batch) -> Outcomes:
        """Act on every range of a batch, log by log."""
        outcomes: dict[int, Outcome] = {}
        self._rewritten.clear()
        with self._place.open() as root, Chain(root) as chain:
            writers = Writers(root.device)
            for path, positions in by_path(batch.keys).items():
                outcomes |= self._act_on_log(writers, chain, path, positions, batch)
        return Outcomes.of(outcomes[position] for position in range(len(batch)))

    def _act_on_log(
        self, writers: Writers, chain: Chain, path: str, positions: Sequence[int], batch: Batch
    ) -> dict[int, Outcome]:
        def all_are(word: OutcomeWord, code: str | None = None) -> dict[int, Outcome]:
            return {position: Outcome(batch.keys[position], word, code) for position in positions}

        if self._place.names_of(self._folder, path) is None:
            return all_are(OutcomeWord.CHANGED)
        try:
            with self._place.log(chain, path) as log:
                if log is None:
                    return all_are(OutcomeWord.ABSENT)
                rewriting.clear_leftovers(log.folder)
                if path in self._held:
                    return all_are(OutcomeWord.HELD)
                spots, words = self._spots(log, positions, batch)
                obstacle = self._place.obstacle(self._folder, path, log.status, writers)
                if obstacle is not None:
                    words |= dict.fromkeys(spots, (OutcomeWord.BLOCKED, obstacle))
                    spots = {}
                done = {position: Outcome(batch.keys[position], *word) for position, word in words.items()}
                return done | (self._rewrite(log, spots, batch, writers) if spots else {})
        except LocationError as error:
            return all_are(OutcomeWord.FAILED, error.code or "unreadable")
        except OSError as error:
            return all_are(OutcomeWord.FAILED, error_code(error))

    def _spots(self, log: Log, positions: Sequence[int], batch: Batch) -> tuple[_Spots, _Words]:
        """Return where the ranges stand that may go, and of the others why not."""
        words: _Words = {}
        versions: dict[int, Version] = {}
        for position in positions:
            version = version_of(batch, position)
            if version is None or (self._keys is not None and batch.keys[position] not in self._keys):
                words[position] = (OutcomeWord.CHANGED, None)
            else:
                versions[position] = version
        located = find_again(self._place, self._folder, log, versions)
        spots: _Spots = {}
        end = 0
        for position, spot in sorted(located.spots.items(), key=lambda item: item[1].start):
            version = versions[position]
            is_meant = self._judge.is_selected(RangeItem(self._folder, log.path, version.day))
            if spot.is_same and is_meant and spot.start >= end:
                spots[position] = (version, spot)
                end = spot.end
        for position, version in versions.items():
            if position not in spots:
                is_over = position not in located.spots and version.day not in located.days
                words[position] = (OutcomeWord.ABSENT if is_over else OutcomeWord.CHANGED, None)
        for position in self._spared(log, spots):
            words[position] = (OutcomeWord.HELD, None)
            del spots[position]
        return spots, words

    def _spared(self, log: Log, spots: _Spots) -> set[int]:
        """Return the ranges that have a line of a person on hold."""
        found: set[int] = set()
        if self._people.is_nobody or not spots:
            return found
        spans, at = _spans(spots), 0
        for reader, block, _, pieces in open_pieces(self._folder, self._place.zone, log.source()):
            for _, begin, stop in pieces:
                for position, start, end in spans.cut(at, stop - begin):
                    if position is None or position in found:
                        continue
                    lines = lines_of(block, begin + start, begin + end)
                    if any(self._people.is_about(line, reader.fields(line)) for line in lines):
                        found.add(position)
                at += stop - begin
        return found

    def _rewrite(self, log: Log, spots: _Spots, batch: Batch, writers: Writers) -> dict[int, Outcome]:
        spans = _spans(spots)
        masked: Masked | None = None
        content: rewriting.Content | rewriting.Kept
        versions = {position: version for position, (version, _) in spots.items()}
        if self._masks:
            content = masked = Masked(log, spans, versions, self._masks, folder=self._folder, zone=self._place.zone)
        elif log.kind == PLAIN:
            parts = {position: (spot.start, spot.end) for position, (_, spot) in spots.items()}
            content = rewriting.Kept(log.status.st_size, parts, rewriting.Proof(versions))
        else:
            content = Rest(log, spans, rewriting.Proof(versions))
        try:
            status = rewriting.exchange(log, content, writers)
        except (rewriting.ExchangeError, UnreadableError) as error:
            word = _FAILURES.get(error.code, OutcomeWord.FAILED)
            code = None if word is OutcomeWord.CHANGED else error.code
            return {position: Outcome(batch.keys[position], word, code) for position in spots}
        after = identity_of(status)
        self._rewritten[log.path] = (after, frozenset(batch.versions[position] for position in spots))
        if masked is None:
            return {position: Outcome(batch.keys[position], OutcomeWord.PURGED) for position in spots}
        return {
            position: Outcome(batch.keys[position], OutcomeWord.FAILED, UNREADABLE_MASKED)
            if position in masked.unmasked
            else Outcome(batch.keys[position], OutcomeWord.ANONYMISED, version=str(masked.version(position, after)))
            for position in spots
        }


_FAILURES = {"changed": OutcomeWord.CHANGED, "open-log": OutcomeWord.BLOCKED}


class Looker:
    """Reads back what is left of a batch, by a reading of its own."""

    def __init__(self, place: Place, folder: LogFolder, selection: Selection, rewritten: Rewritten) -> None:
        self._place, self._folder, self._rewritten = place, folder, rewritten
        self._people = People(folder.spec.subject, selection.spare.subjects)
        self._masks = {change.column: change.mask for change in selection.fields}

    def remaining(self, batch: Batch) -> set[Key]:
        """Return the ranges that are there (or, with fields, still hold something to mask)."""
        there: set[Key] = set()
        with self._place.open() as root, Chain(root) as chain:
            for path, positions in by_path(batch.keys).items():
                if self._place.names_of(self._folder, path) is None:
                    continue
                with self._place.log(chain, path) as log:
                    if log is not None:
                        there |= {batch.keys[position] for position in self._of_log(log, positions, batch)}
        return there

    def _of_log(self, log: Log, positions: Sequence[int], batch: Batch) -> set[int]:
        versions = {p: version for p in positions if (version := version_of(batch, p)) is not None}
        located = find_again(self._place, self._folder, log, versions)
        after, acted_on = self._rewritten.get(log.path, ("", frozenset[str]()))
        is_ours = after == identity_of(log.status)
        found = set(located.spots)
        for position, version in versions.items():
            # What we have just acted on and nobody has touched since is gone if it cannot be found. Else other lines of
            # that day may be the planned ones in another form: they count as there.
            is_told = is_ours and batch.versions[position] in acted_on
            if position not in found and version.day in located.days and not is_told:
                found.add(position)
        if not self._masks:
            return found
        full = self._full(log, {p: spot for p, spot in located.spots.items() if p in found})
        return full | {position for position in found if position not in located.spots}

    def _full(self, log: Log, spots: Mapping[int, Spot]) -> set[int]:
        """Return the ranges with a line that a mask would change."""
        full: set[int] = set()
        spans, at = Spans({position: (spot.start, spot.end) for position, spot in spots.items()}), 0
        for reader, block, _, pieces in open_pieces(self._folder, self._place.zone, log.source()):
            for _, begin, stop in pieces:
                for position, start, end in spans.cut(at, stop - begin):
                    if position is None or position in full:
                        continue
                    lines = lines_of(block, begin + start, begin + end)
                    if any(mask_line(line, reader.fields(line), self._masks) != line for line in lines):
                        full.add(position)
                at += stop - begin
        return full


def by_path(keys: Sequence[Key]) -> dict[str, list[int]]:
    """Return the positions of keys by the log they are in."""
    found: dict[str, list[int]] = {}
    for position, key in enumerate(keys):
        found.setdefault(key[0] if key else "", []).append(position)
    return found


def version_of(batch: Batch, position: int) -> Version | None:
    """Return a range's version; None where it is not one of ours or does not fit the key."""
    version = Version.parse(batch.versions[position]) if batch.versions else None
    first, _, last = batch.keys[position][-1].partition("-")
    if version is None or not (first.isdecimal() and last.isdecimal()):
        return None
    return version if int(last) - int(first) + 1 == version.lines else None


def find_again(place: Place, folder: LogFolder, log: Log, versions: Mapping[int, Version]) -> Located:
    """Return where planned lines stand now: at once where the log is as it was, else by their content."""
    located = Located()
    moved: list[tuple[int, Version]] = []
    for position, version in versions.items():
        if version.is_in(log.status) and (log.kind != PLAIN or _is_on_lines(log, version)):
            located.spots[position] = Spot(version.start, version.start + version.size, is_same=True)
        else:
            moved.append((position, version))
    if moved:
        found = locate(folder, place.zone, log.source(), moved)
        located.spots |= found.spots
        located.days |= found.days
    return located


def _is_on_lines(log: Log, version: Version) -> bool:
    """Tell whether a range begins and ends where lines do."""
    end = version.start + version.size
    begins = version.start == 0 or os.pread(log.descriptor, 1, version.start - 1) == b"\n"
    return begins and (end == log.status.st_size or os.pread(log.descriptor, 1, end - 1) == b"\n")


def _spans(spots: _Spots) -> Spans:
    return Spans({position: (spot.start, spot.end) for position, (_, spot) in spots.items()})
