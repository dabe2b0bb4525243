"""`ropa schedule` as a process: it sweeps, tells what it did, and ends with its signal."""

import json
import signal
import subprocess
import time

import pytest
from cli_kit import SCRIPT, Ropa, from_outside, outside


@pytest.mark.sampled(one_in=3)
@pytest.mark.parametrize("hour", ["24:00", "3:30", "03:60", "", "half past three", "03:30Z", "٠٣:٣٠"])
def test_an_hour_that_is_none_is_refused_before_anything_is_made(bare: Ropa, hour: str) -> None:
    answer = from_outside("-C", str(bare.folder), "schedule", "--at", hour)
    assert (answer.code, answer.out) == (2, "")
    assert "--at takes an hour" in answer.err


def test_a_folder_without_a_configuration_is_refused(tmp_path) -> None:
    assert from_outside("-C", str(tmp_path), "schedule").code == 2


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_it_sweeps_once_tells_it_in_json_and_ends_with_the_signal(ropa: Ropa, signum: int) -> None:
    clean = outside()
    command = [str(SCRIPT), "-C", str(ropa.folder), "schedule", "--at", "00:00", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean) as service:
        told = []
        for text in service.stdout:
            told.append(json.loads(text))
            if told[-1]["event"] == "next":
                break
        began = time.monotonic()
        service.send_signal(signum)
        rest, errors = service.communicate(timeout=30)
    assert time.monotonic() - began < 10
    assert service.returncode == 128 + signum
    assert errors == ""
    assert {event["schema"] for event in told} == {"ropa.schedule/1"}
    assert [event["event"] for event in told] == ["started", "sweep", "next"]
    assert told[1]["run"]
    assert rest == ""
    again = ropa.json("status", code=1)  # what waits for a person is overdue here
    assert again["last_sweep_at"] is not None
    assert again["next_sweep_at"] == told[2]["next_sweep_at"]
