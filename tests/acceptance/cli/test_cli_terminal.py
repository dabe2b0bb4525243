"""On a terminal: the digest is typed by a person, and a signal is answered."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import time

import pytest
from cli_kit import SCRIPT, Ropa, outside


def on_terminal(ropa: Ropa, *arguments: str, typed: str, ends: bool = False) -> tuple[int, str, str]:
    """Call ropa with a terminal for stdin and stderr; type once the prompt is there. Returns code, stdout, terminal."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [str(SCRIPT), "-C", str(ropa.folder), *arguments],
        stdin=terminal,
        stderr=terminal,
        stdout=subprocess.PIPE,
        env=outside() | {"TERM": "xterm"},
    )
    os.close(terminal)
    seen, deadline, is_typed = b"", time.monotonic() + 50, False
    while time.monotonic() < deadline:
        ready, _, _ = select.select([controller], [], [], 0.2)
        if ready:
            try:
                seen += os.read(controller, 65536)
            except OSError:
                break
        elif process.poll() is not None:
            break
        if not is_typed and b"Type the first" in seen:
            os.write(controller, b"\x04" if ends else typed.encode() + b"\n")
            is_typed = True
    out, _ = process.communicate(timeout=20)
    os.close(controller)
    shown = seen.decode(errors="replace")
    assert "Traceback" not in shown + out.decode()
    assert is_typed or "Type" not in shown
    return process.returncode, out.decode(), shown


@pytest.fixture
def digest(ropa: Ropa) -> str:
    plan: str = ropa.json("plan")["digest"]
    return plan.removeprefix("sha256:")


def test_the_first_characters_of_the_digest_are_typed(ropa: Ropa, digest: str) -> None:
    code, out, shown = on_terminal(ropa, "approve", "1", "--by", "An", "--reason", "x", "--json", typed=digest[:12])
    assert code == 0, shown
    assert '"state": "approved"' in out
    assert out.lstrip().startswith("{"), "nothing but the document is on stdout"
    assert "crm.contacts" in shown, "what is approved is shown first"


def test_a_wrong_digest_typed_is_refused(ropa: Ropa, digest: str) -> None:
    code, _, shown = on_terminal(ropa, "approve", "1", "--by", "An", "--reason", "x", typed=digest[:11])
    assert code == 4, shown
    assert ropa.json("plan", "show", "1")["state"] == "pending"


def test_the_end_of_the_terminal_is_no_digest(ropa: Ropa, digest: str) -> None:
    assert digest
    code, _, shown = on_terminal(ropa, "approve", "1", "--by", "An", "--reason", "x", typed="", ends=True)
    assert code == 2, shown
    assert ropa.json("plan", "show", "1")["state"] == "pending"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_command_that_waits_with_its_own_code(ropa: Ropa, digest: str, signum: int) -> None:
    assert digest
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [str(SCRIPT), "-C", str(ropa.folder), "approve", "1", "--by", "An", "--reason", "x", "--json"],
        stdin=terminal, stderr=terminal, stdout=subprocess.PIPE,
    )  # fmt: skip
    os.close(terminal)
    seen = b""
    while b"Type the first" not in seen:
        seen += os.read(controller, 65536)
    time.sleep(0.5)  # a signal that comes between the prompt and the read waits for the next one, as in any Python
    process.send_signal(signum)
    out, _ = process.communicate(timeout=20)
    os.close(controller)
    assert process.returncode == 128 + signum
    assert b'"schema": "ropa.error/1"' in out
    assert b"Traceback" not in seen + out
