"""Web logs from the command line: what is different where records are lines."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_kit import CONFIG, Ropa

WEB = """
[location.web]
connector = "weblog"
root = "{root}"

[location.web.dataset.access]
source = "."
pattern = "access*"
subject = ["ip"]
data.ip = ["ip"]
"""


@pytest.fixture
def logs(ropa: Ropa, tmp_path: Path) -> Path:
    root = tmp_path / "logs"
    root.mkdir()
    (root / ".ropa-root").touch()
    (root / "access.log-1").write_text('192.0.2.7 - - [10/Jan/2026:10:00:00 +0100] "GET / HTTP/1.1" 200 5\n' * 3)
    (ropa.folder / "config" / "retention.toml").write_text(CONFIG + WEB.format(root=root))
    return root


def test_a_hold_on_lines_says_that_their_numbers_pass_to_others(ropa: Ropa, logs: Path) -> None:
    key = '["access.log-1", "1-3"]'
    answer = ropa("hold", "add", "--record", "web.access", key, "--reason", "litigation", "--by", "An", code=0)
    assert "keys of web.access pass to other records" in answer.out
    document = ropa.json("hold", "add", "--record", "web.access", key, "--reason", "litigation", "--by", "An")
    assert document["record_found"] is True
    (logs / "access.log-1").rename(logs / "access.log-2")
    answer = ropa("hold", "add", "--record", "web.access", key, "--reason", "litigation", "--by", "An", code=0)
    assert "no record with this key now" in answer.out
    for hold in (["--subject", "2001:DB8::0:1"], ["--dataset", "web.access"]):
        said = ropa("hold", "add", *hold, "--reason", "litigation", "--by", "An", code=0)
        assert "pass to other records" not in said.out
