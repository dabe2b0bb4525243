"""The fixture ``share``: a root on disk."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from share_on_disk import Share


@pytest.fixture
def share():
    # Not below pytest's own folder, which only its owner can enter.
    root = Path(tempfile.mkdtemp(prefix="ropa-share-"))
    root.chmod(0o755)
    made = Share(root)
    made.cv.chmod(0o755)
    yield made
    for folder, _, _ in os.walk(root):
        Path(folder).chmod(0o755)
    shutil.rmtree(root)
