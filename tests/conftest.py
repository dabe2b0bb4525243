"""What every test starts from: no setting of this machine's ropa reaches it, and a slow machine fails no property."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

for name in ("ROPA_STATE", "ROPA_DATABASE_URL"):
    os.environ.pop(name, None)

# How long one example takes depends on who else uses the machine.
settings.register_profile("ropa", deadline=None, print_blob=True)
settings.load_profile("ropa")


@pytest.fixture
def repository() -> os.PathLike[str]:
    """The root of the checkout."""
    from pathlib import Path

    return Path(__file__).parents[1]
