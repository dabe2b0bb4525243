"""How messages and contacts are purged, cleared or marked: the only module of this connector that changes a mailbox.

Design. Nothing is changed while it is being listed. A message's date and immutable id never change, so what its
planned version tells is judged again without asking, and the deletion is addressed through the folder in which it was
planned: a message that was moved since is not found there. Whatever else a selection asks (conditions, persons,
fields), every contact, and messages where ``recheck`` says so, are listed once more just before and must be as they
were planned (folder and change key). Requests go in batches of twenty, one batch at a time: Outlook takes four
requests at once of an application, and a parallel batch runs four.

Each part has its own answer and becomes one outcome. 404, and a part whose answer was lost, are not believed: the list
is asked which of them are there. What is still there and was never answered is sent again; what is gone after we sent
its deletion is told as done. Invariant: one outcome a record; none is claimed that was not answered or seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from connectors.microsoft365.answers import Answer
from connectors.microsoft365.graph_batch import MOST, Part, send_parts
from connectors.microsoft365.http import Service
from connectors.microsoft365.outlook.asking import Question, Version, version_of
from connectors.microsoft365.outlook.columns import RECEIVED, masked
from connectors.microsoft365.outlook.listing import PREFER, Row
from connectors.microsoft365.outlook.mailboxes import path_of, segment
from connectors.microsoft365.outlook.reading import AT_ONCE, Reader
from connectors.microsoft365.outlook.sources import MESSAGES
from ropa.connector import Action, Batch, Key, Outcome, Outcomes, OutcomeWord
from ropa.errors import LocationError

_TRIES = 3
"""How often a part is sent whose answer is lost each time."""
_CODES = {423: "locked", 424: "dependency", 429: "throttled", 503: "throttled"}
CATEGORIES = "categories"

_Told = Outcome | None
"""What became of a record; None: nothing stands against acting on it."""


@dataclass(frozen=True, slots=True)
class Means:
    """How a location acts."""

    is_permanent: bool = True
    until: date | None = None
    """For what is only moved: the day from which it cannot be brought back."""
    category: str | None = None
    """The category that marks a record in the mailbox; None: it is marked on our side alone."""


class Act:
    """One call of ``act``."""

    def __init__(
        self, service: Service, reader: Reader, question: Question, batch: Batch, *, action: Action, means: Means
    ) -> None:
        self._service = service
        self._reader = reader
        self._question = question
        self._kind = question.dataset.kind
        self._action = action
        self._means = means
        self._keys = batch.keys
        self._versions = batch.versions or ("",) * len(batch.keys)
        self._told: list[_Told] = [None] * len(batch.keys)
        self._rows: dict[Key, Row] = {}
        self._lost: set[int] = set()
        """What was sent at least once without an answer."""

    def outcomes(self, mailboxes: Sequence[str]) -> Outcomes:
        """Do it; only in these mailboxes."""
        known = frozenset(mailboxes)
        for pos, key in enumerate(self._keys):
            if len(key) != 2 or key[0] not in known:
                self._tell(pos, OutcomeWord.REFUSED)
        if self._is_told_by_version():
            for pos in self._waiting():
                self._judge_version(pos)
        else:
            self._look()
        if self._action is Action.FLAG and self._means.category is None:
            for pos in self._waiting():
                self._tell(pos, OutcomeWord.FLAGGED)
        waiting = self._waiting()
        for _ in range(_TRIES):
            waiting = self._send(waiting)
            if not waiting:
                break
        for pos in waiting:
            self._tell(pos, OutcomeWord.FAILED, "no-answer")
        return self._gathered()

    # --- deciding again -------------------------------------------------------------------------------------------

    def _is_told_by_version(self) -> bool:
        question = self._question
        is_plain = question.is_told_by_version and not question.dataset.is_rechecked
        return is_plain and self._action is Action.PURGE and all(map(Version.parse, self._versions))

    def _judge_version(self, pos: int) -> None:
        key, question = self._keys[pos], self._question
        version = Version.parse(self._versions[pos])
        received = version.received if version is not None else None
        if question.is_spared(key, {}):
            self._tell(pos, OutcomeWord.HELD)
        elif not question.is_selected(question.item(key, {RECEIVED: received or None})):
            self._tell(pos, OutcomeWord.CHANGED)

    def _look(self) -> None:
        """List what was planned once more, and let only that through which is as it was and still meant."""
        question = self._question
        waiting = self._waiting()
        self._rows = self._reader.present(question, {self._keys[pos]: self._versions[pos] for pos in waiting})
        for pos in waiting:
            key = self._keys[pos]
            row = self._rows.get(key)
            if row is None:
                self._tell(pos, OutcomeWord.ABSENT)
                continue
            item = question.item(key, row)
            if question.selection.fields and not question.holds_something(item):
                self._tell(pos, OutcomeWord.ABSENT)
            elif question.is_spared(key, row):
                self._tell(pos, OutcomeWord.HELD)
            elif str(version_of(self._kind, row)) != self._versions[pos] or not question.is_selected(item):
                self._tell(pos, OutcomeWord.CHANGED)

    # --- sending --------------------------------------------------------------------------------------------------

    def _send(self, positions: Sequence[int]) -> list[int]:
        """Send what is to be done, and return what must be sent again."""
        parts: list[Part] = []
        sent: list[int] = []
        for pos in positions:
            part = self._part(pos)
            if part is None:
                self._tell(pos, OutcomeWord.FLAGGED)  # it bears the mark already
            else:
                parts.append(part)
                sent.append(pos)
        unsure: list[int] = []
        for start in range(0, len(parts), MOST):
            try:
                answers = send_parts(self._service, parts[start : start + MOST], weight=AT_ONCE)
            except LocationError as error:
                if start == 0:
                    raise
                for pos in sent[start:]:  # what was answered before stays told
                    self._tell(pos, OutcomeWord.FAILED, error.code or "unreachable")
                break
            for pos, answer in zip(sent[start:], answers, strict=False):
                if answer.status in {0, 404}:
                    unsure.append(pos)
                    self._lost |= {pos} if answer.status == 0 else set()
                else:
                    self._told[pos] = self._outcome(self._keys[pos], answer)
        return self._ask(unsure) if unsure else []

    def _part(self, pos: int) -> Part | None:
        address, row = self._address(pos), self._rows.get(self._keys[pos], {})
        if self._action is Action.ANONYMISE:
            return Part("PATCH", address, PREFER, masked(self._kind, row, self._question.selection.fields))
        if self._action is Action.FLAG:
            borne = [one for one in row.get(CATEGORIES) or [] if isinstance(one, str)]
            mark = self._means.category or ""
            return None if mark in borne else Part("PATCH", address, PREFER, {CATEGORIES: [*borne, mark]})
        if self._means.is_permanent:
            # A POST without a body is refused within a batch ("does not contain Content-Type header or body").
            return Part("POST", f"{address}/permanentDelete", PREFER, {})
        return Part("DELETE", address, PREFER)

    def _address(self, pos: int) -> str:
        mailbox, number = self._keys[pos]
        version = Version.parse(self._versions[pos])
        folder = version.folder if version is not None else ""
        inner = f"/mailFolders/{segment(folder)}" if self._kind == MESSAGES and folder else ""
        return f"/{path_of(mailbox)}{inner}/{self._kind}/{segment(number)}"

    def _outcome(self, key: Key, answer: Answer) -> Outcome:
        if answer.is_ok:
            return self._done(key, answer)
        if answer.status == 412:
            return Outcome(key, OutcomeWord.CHANGED)
        if answer.status == 403:
            return Outcome(key, OutcomeWord.REFUSED)  # a hold or a missing right: the code does not tell which
        return Outcome(key, OutcomeWord.FAILED, _CODES.get(answer.status, answer.fault.code))

    def _done(self, key: Key, answer: Answer | None = None) -> Outcome:
        if self._action is Action.PURGE:
            if self._means.is_permanent:
                return Outcome(key, OutcomeWord.PURGED)
            return Outcome(key, OutcomeWord.RECOVERABLE, until=self._means.until)
        word = OutcomeWord.FLAGGED if self._action is Action.FLAG else OutcomeWord.ANONYMISED
        return Outcome(key, word, version=self._version_now(answer) if word is OutcomeWord.ANONYMISED else None)

    def _version_now(self, answer: Answer | None) -> str | None:
        try:
            row = answer.json() if answer is not None else None
        except ValueError:
            row = None
        return str(version_of(self._kind, row)) if isinstance(row, dict) and row.get("changeKey") else None

    # --- asking what became of it ---------------------------------------------------------------------------------

    def _ask(self, unsure: Sequence[int]) -> list[int]:
        """Find out what became of parts that were not found or not answered; return those to be sent again."""
        there = self._reader.present(self._question, {self._keys[pos]: self._versions[pos] for pos in unsure})
        again = []
        for pos in unsure:
            key, is_lost = self._keys[pos], pos in self._lost
            row = there.get(key)
            if row is None:
                is_ours = is_lost and self._action is Action.PURGE
                self._told[pos] = self._done(key) if is_ours else Outcome(key, OutcomeWord.ABSENT)
            elif self._is_as_planned(pos, row):
                if is_lost:
                    again.append(pos)
                else:
                    self._tell(pos, OutcomeWord.FAILED, "not-found")
            elif is_lost and self._is_done(row):
                self._told[pos] = replace(self._done(key), version=str(version_of(self._kind, row)))
            else:
                self._tell(pos, OutcomeWord.CHANGED)
        return again

    def _is_as_planned(self, pos: int, row: Row) -> bool:
        planned, now = Version.parse(self._versions[pos]), version_of(self._kind, row)
        if self._is_told_by_version():  # nothing but the folder was looked at before, either
            return planned is not None and planned.folder == now.folder
        return str(now) == self._versions[pos]

    def _is_done(self, row: Row) -> bool:
        """Tell whether a record is as our own change leaves it."""
        if self._action is Action.ANONYMISE:
            return not masked(self._kind, row, self._question.selection.fields)
        return self._action is Action.FLAG and self._means.category in (row.get(CATEGORIES) or [])

    # --- telling --------------------------------------------------------------------------------------------------

    def _waiting(self) -> list[int]:
        return [pos for pos, told in enumerate(self._told) if told is None]

    def _tell(self, pos: int, word: OutcomeWord, code: str | None = None) -> None:
        self._told[pos] = Outcome(self._keys[pos], word, code)

    def _gathered(self) -> Outcomes:
        usual = self._done(()).word
        odd = {
            pos: told
            for pos, told in enumerate(self._told)
            if told is not None and (told.word != usual or told.until is not None or told.version is not None)
        }
        return Outcomes(self._keys, usual, odd)
