"""The connector ``manual``: a place that people handle by hand, a filing cabinet or a system without an interface.

The register shows what lies there and how long; a person does the work. Invariant: nothing is ever claimed about what
is in there. Counting and listing raise, because "0" and "nothing due" would be lies; nothing can be acted on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ropa.connector import (
    Action,
    Batch,
    Capabilities,
    ConnectorType,
    DatasetInfo,
    Health,
    Key,
    LocationSpec,
    Look,
    Option,
    Outcome,
    Outcomes,
    OutcomeWord,
    Record,
    Selection,
)
from ropa.errors import LocationError

CAPABILITIES = Capabilities(actions=frozenset(), is_enforcing=False, has_subjects=False)


class ManualConnector:
    """A place that is documented and not reached."""

    capabilities = CAPABILITIES

    def __init__(self, spec: LocationSpec) -> None:
        self._spec = spec

    def check(self) -> Health:
        """Say that nothing stands in the way, and who does the work there."""
        options = self._spec.options
        notes = ["kept by hand: nothing is read or removed here by a program"]
        notes += [f"{name}: {options[name]}" for name in ("contact", "instructions") if options.get(name)]
        return Health(is_reachable=True, may_read=False, may_delete=False, notes=tuple(notes))

    def datasets(self) -> list[DatasetInfo]:
        """List what is declared; nobody knows what else is there."""
        return [
            DatasetInfo(source=dataset.source, kind="by hand", declared_as=name)
            for name, dataset in self._spec.datasets.items()
        ]

    def count(self, dataset: str) -> int:
        """Raise LocationError: nobody has counted."""
        raise self._by_hand(dataset)

    def problems(self, dataset: str, selection: Selection | None = None) -> list[str]:  # noqa: ARG002 - the contract's
        """Return nothing but an unknown dataset: columns cannot be looked up."""
        return [] if dataset in self._spec.datasets else [f"there is no dataset {dataset}"]

    def find(self, selection: Selection) -> Iterator[Batch]:
        """Raise LocationError: "nothing due" would be a lie."""
        raise self._by_hand(selection.dataset)

    def act(self, selection: Selection, batch: Batch, action: Action) -> Outcomes:  # noqa: ARG002 - the contract's
        """Refuse every record: a person does it."""
        own = [Outcome(found.key, OutcomeWord.REFUSED) for found in batch.records]
        others = [(child.dataset, found.key) for child in batch.companions for found in child.records]
        return Outcomes.of(own + [Outcome(key, OutcomeWord.REFUSED, dataset=dataset) for dataset, key in others])

    def inspect(self, source: str, look: Look, *, limit: int) -> Mapping[str, Mapping[str, int]]:  # noqa: ARG002 - the contract's
        """See ``Connector.inspect``: nothing can be looked into here."""
        return {}

    def settle(self, dataset: str) -> str:  # noqa: ARG002 - the contract's
        """Return ``logical``: what became of the bytes is not known."""
        return "logical"

    def finish(self, dataset: str) -> str:
        """See ``Connector.finish``: nothing more is to be done than for every batch."""
        return self.settle(dataset)

    def remaining(self, selection: Selection, batch: Batch) -> set[Key]:  # noqa: ARG002 - the contract's
        """Raise LocationError: it cannot be read back."""
        raise self._by_hand(batch.dataset)

    def read(self, dataset: str, subject: str) -> Iterator[Record]:  # noqa: ARG002 - the contract's
        """Raise LocationError: a person must look it up."""
        raise self._by_hand(dataset)

    def close(self) -> None:
        """Let go of nothing: nothing is held."""

    def _by_hand(self, dataset: str) -> LocationError:
        contact = self._spec.options.get("contact")
        return LocationError(
            f"{self._spec.name}.{dataset} is kept by hand and cannot be asked",
            next_step=f"Ask {contact}." if contact else "Ask whoever keeps it.",
            code="manual",
        )


TYPE = ConnectorType(
    name="manual",
    open=ManualConnector,
    capabilities=CAPABILITIES,
    options={
        "contact": Option(help="Who does the work there."),
        "instructions": Option(help="What to do, and where it is written down."),
    },
)
