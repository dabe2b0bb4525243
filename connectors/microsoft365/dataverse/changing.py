"""Changing: fields are emptied or masked, or a record is marked, with ``If-Match`` and never otherwise.

Invariant: nothing is ever created (a PATCH without ``If-Match`` would be an upsert); a record is told to be changed
only where the service said so, or where it was read back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from connectors.masks import mask_value
from connectors.microsoft365.answers import Answer
from connectors.microsoft365.dataverse.acting import ABSENT, CHANGED, Act, Name, verdict_of
from connectors.microsoft365.dataverse.batching import Part, send_parts
from connectors.microsoft365.dataverse.columns import write_value
from connectors.microsoft365.dataverse.items import RowItem, columns_for
from connectors.microsoft365.dataverse.reading import ETAG
from ropa.connector import Outcomes, OutcomeWord

Body = Callable[[RowItem], dict[str, object]]
"""What is to be written into a row; empty: nothing any more."""


class Change(Act):
    """One change of a batch."""

    def anonymise(self) -> Outcomes:
        """Change the fields of what is still selected, unchanged and not held."""
        self.look()

        def body(item: RowItem) -> dict[str, object]:
            changed: dict[str, object] = {}
            for change in self.selection.fields:
                column, value = self.declared.column(change.column), item.value(change.column)
                masked = mask_value(change.mask, value)
                if column is not None and masked != value:
                    changed[column.name] = write_value(column.kind, masked)
            return changed

        return self._change(body, OutcomeWord.ANONYMISED)

    def flag(self) -> Outcomes:
        """Mark what is still selected and not held in the dataset's ``flag_column``, where it has one."""
        options = self.declared.spec.options
        name = str(options.get("flag_column") or "")
        column = self.declared.column(name)
        self.look(more=(name,), has_version=False)
        value = options.get("flag_value", True)

        def body(item: RowItem) -> dict[str, object]:
            return {} if column is None or item.value(column.name) == value else {column.name: value}

        return self._change(body, OutcomeWord.FLAGGED)

    def _change(self, body: Body, word: OutcomeWord) -> Outcomes:
        head, parts, names = self.declared.entity.head, [], []
        for name in dict.fromkeys(self.own):
            if name in self.verdicts:
                continue
            changed = body(RowItem(self.declared, self.rows[name]))
            if not changed:
                self.verdicts[name] = (word, None)
                continue
            headers = {"If-Match": self.tags[name], "Prefer": "return=representation"}
            parts.append(Part("PATCH", f"{head.path}({name[1]})?$select={head.key}", headers, changed))
            names.append(name)
        settings = self.means.settings
        answers = send_parts(self.means.reader.service, parts, size=settings.parts_per_batch, at_once=settings.at_once)
        versions: dict[Name, str] = {}
        lost: list[Name] = []
        for name, answer in zip(names, answers, strict=True):
            if answer.is_ok:
                self.verdicts[name] = (word, None)
                versions[name] = _new_tag(answer)
            elif answer.status == 0:
                lost.append(name)
            else:
                self.verdicts[name] = verdict_of(answer)
        if lost:
            self._settle_lost(lost, body, word)
        return self.tell({}, versions if word is OutcomeWord.ANONYMISED else {})

    def _settle_lost(self, lost: Sequence[Name], body: Body, word: OutcomeWord) -> None:
        declared = self.declared
        columns = columns_for(declared, self.selection, is_whole=False) | set(self.rows[lost[0]])
        asked = {column for column in columns if declared.column(column) is not None}
        rows = self.means.reader.by_keys(declared.entity.head.path, declared.key, asked, [key for _, key in lost])
        for name in lost:
            row = rows.get(name[1])
            if row is None:
                self.verdicts[name] = ABSENT
            elif row.get(ETAG) == self.tags[name]:
                self.verdicts[name] = (OutcomeWord.FAILED, "no-answer")
            else:
                is_done = not body(RowItem(declared, row))
                self.verdicts[name] = (word, None) if is_done else CHANGED


def _new_tag(answer: Answer) -> str:
    """Return the entity tag after a change, of the row that came back or the header; empty where there is neither."""
    try:
        tag = answer.json().get(ETAG)
    except (ValueError, AttributeError):
        tag = None
    return tag if isinstance(tag, str) else answer.headers.get("etag", "")
