"""The connector ``memory``: tables as lists of rows in this process. For tests, demonstrations and as a worked example.

    location = MemoryConnector(spec, {"contacts": [{"id": 1, "created": date(2020, 1, 1)}]})

In a configuration, ``connector = "memory"`` with ``rows = [{ id = 1, … }]`` in a dataset gives a location that is new
each time it is opened.
"""

from __future__ import annotations

from connectors.memory.connector import CAPABILITIES, Call, MemoryConnector
from ropa.connector import ConnectorType, LocationSpec, Option

__all__ = ["TYPE", "Call", "MemoryConnector"]


def open_location(spec: LocationSpec) -> MemoryConnector:
    """Return a location with the rows that its datasets' ``rows`` options give."""
    rows = {name: [dict(row) for row in dataset.options.get("rows", ())] for name, dataset in spec.datasets.items()}
    # The rows stand in the configuration anyway; with a key that everyone knows a plan made by one process can be
    # applied by another, as with any real location.
    return MemoryConnector(spec, rows, version_key=b"rows of the configuration")


TYPE = ConnectorType(
    name="memory",
    open=open_location,
    capabilities=CAPABILITIES,
    dataset_options={"rows": Option(types=(list,), help="The rows, as tables; for demonstrations.")},
)
