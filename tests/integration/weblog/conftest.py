"""The fixture ``logs``: a root with logs on disk."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from log_place import Logs


@pytest.fixture
def logs():
    root = Path(tempfile.mkdtemp(prefix="ropa-logs-"))
    yield Logs(root)
    shutil.rmtree(root)
