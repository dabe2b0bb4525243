"""Fake connector types and a folder to write a configuration into."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ropa.config import Config, load
from ropa.connector import (
    Action,
    Anchor,
    AnchorPart,
    Capabilities,
    Connector,
    ConnectorType,
    LocationSpec,
    Mask,
    Option,
)
from ropa.errors import ConfigurationError, Problem

FIELDS = Capabilities(actions=frozenset({Action.PURGE, Action.ANONYMISE}), masks=frozenset(Mask))


def never_open(_spec: LocationSpec) -> Connector:
    raise AssertionError("reading a configuration opens no location")


@pytest.fixture(scope="session")
def types() -> dict[str, ConnectorType]:
    kinds = [
        ConnectorType(
            "sql",
            never_open,
            FIELDS,
            options={
                "url": Option(is_required=True, is_identity=True, help="an SQLAlchemy URL"),
                "schema": Option(),
                "password": Option(is_secret=True, is_identity=True),
                "api_token": Option(),
                "timeout": Option((int, float)),
                "read_only": Option((bool,)),
                "search_path": Option((list,)),
                "hosts": Option((tuple,)),
                "ssl": Option((dict,)),
            },
        ),
        ConnectorType(
            "dataverse",
            never_open,
            FIELDS,
            options={
                "url": Option(is_required=True),
                "tenant_id": Option(is_required=True),
                "client_id": Option(is_required=True, is_identity=True),
                "certificate": Option(is_secret=True, is_identity=True),
            },
        ),
        ConnectorType(
            "files",
            never_open,
            Capabilities(),
            options={"root": Option(is_required=True, is_path=True), "sentinel": Option(), "pattern": Option()},
            dataset_options={"depth": Option((int,)), "exclude_list": Option(is_path=True)},
            default_anchors={"mtime": Anchor("mtime", (AnchorPart("mtime"),))},
        ),
        ConnectorType(
            "weblog",
            never_open,
            Capabilities(actions=frozenset({Action.ANONYMISE}), masks=frozenset({Mask.TRUNCATE_IP})),
        ),
        ConnectorType("manual", never_open, Capabilities(actions=frozenset(), is_enforcing=False)),
    ]
    return {kind.name: kind for kind in kinds}


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str | bytes], Path]:
    """Write ``config/retention.toml`` and return the project folder."""

    def write(text: str | bytes) -> Path:
        file = tmp_path / "config" / "retention.toml"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return tmp_path

    return write


@pytest.fixture
def read(write: Callable[[str], Path], types: dict[str, ConnectorType]) -> Callable[[str], Config]:
    return lambda text: load(write(text), types)


@pytest.fixture
def problems(read: Callable[[str], Config]) -> Callable[[str], dict[str, Problem]]:
    """Return the problems of a text by key path; each path may have one only."""

    def problems(text: str) -> dict[str, Problem]:
        with pytest.raises(ConfigurationError) as caught:
            read(text)
        found = caught.value.problems
        by_path = {problem.path: problem for problem in found}
        assert len(by_path) == len(found), [str(problem) for problem in found]
        return by_path

    return problems
