"""The systemd units: sound, below an exposure of 2.0, and ropa works under what they forbid."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
SERVICES = sorted(path.name for path in FOLDER.glob("*.service"))
TIMERS = sorted(path.name for path in FOLDER.glob("*.timer"))
HARDENING = FOLDER / "ropa-.service.d" / "hardening.conf"
EXPOSURE = 2.0


def settings(path: Path) -> list[tuple[str, str]]:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and line[0] not in "#["]
    return [(name, value) for name, _, value in (line.partition("=") for line in lines)]


def values(path: Path, name: str) -> list[str]:
    return [value for key, value in settings(path) if key == name]


@pytest.fixture(scope="module")
def analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("systemd-analyze is not installed")
        pytest.skip("systemd-analyze is not installed")
    return found


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units as they are, but for ropa, which is not installed where they say."""
    folder = tmp_path / "units"
    shutil.copytree(FOLDER, folder)
    for name in SERVICES:
        unit = folder / name
        text = re.sub("/opt/ropa/bin/(ropa|dask)", "/bin/true", unit.read_text(encoding="utf-8"))
        unit.write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", SERVICES)
def test_the_exposure_of_a_unit_is_below_2(analyze, units, name):
    done = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", str(units / name)],
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) < EXPOSURE, done.stdout


def test_the_units_are_sound(analyze, units):
    paths = [str(units / name) for name in (*SERVICES, *TIMERS)]
    done = subprocess.run([analyze, "verify", "--man=no", *paths], capture_output=True, text=True, check=False)
    ours = [line for line in done.stderr.splitlines() if "ropa" in line or str(units) in line]
    assert (done.returncode, ours) == (0, [])


@pytest.mark.parametrize("name", TIMERS)
def test_a_timer_catches_up_once_and_starts_outside_the_hour_that_comes_twice(analyze, name):
    unit = FOLDER / name
    assert (FOLDER / name.replace(".timer", ".service")).exists()
    assert values(unit, "Persistent") == ["true"]
    (when,) = values(unit, "OnCalendar")
    subprocess.run([analyze, "calendar", when], check=True, capture_output=True)
    assert when == "hourly" or not re.search(r" 0[0-2]:", when)


def test_every_service_is_hardened_by_the_one_drop_in():
    assert all(name.startswith("ropa-") for name in SERVICES)
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str
    parser.read(HARDENING)
    service = parser["Service"]
    assert service["User"] == "ropa"
    assert service["NoNewPrivileges"] == service["MemoryDenyWriteExecute"] == service["PrivateTmp"] == "yes"
    assert (service["ProtectSystem"], service["LimitCORE"], service["UMask"]) == ("strict", "0", "0077")
    for name in SERVICES:
        assert not {key for key, _ in settings(FOLDER / name)} & {"User", "NoNewPrivileges", "ProtectSystem"}, name


def test_only_the_units_of_the_night_hold_what_may_delete():
    assert values(FOLDER / "ropa-status.service", "LoadCredential") == []
    assert values(FOLDER / "ropa-report.service", "LoadCredential") == []
    assert [value.partition(":")[0] for value in values(FOLDER / "ropa-plan.service", "LoadCredential")] == ["read"]
    assert values(FOLDER / "ropa-fleet.service", "LoadCredential") == []
    for name in ("ropa-schedule.service", "ropa-sweep.service", "ropa-worker@.service"):
        assert [value.partition(":")[0] for value in values(FOLDER / name, "LoadCredential")] == ["read", "apply"]


def test_a_stop_leaves_more_time_than_the_batch_in_hand_may_take():
    from ropa.schedule import LAST_CALL_SECONDS

    for name in ("ropa-schedule.service", "ropa-sweep.service"):
        (seconds,) = values(FOLDER / name, "TimeoutStopSec")
        assert int(seconds) > LAST_CALL_SECONDS


def test_a_worker_is_left_more_time_than_the_item_in_hand_may_take():
    from ropa.sweep.serving import LAST_CALL_SECONDS

    (seconds,) = values(FOLDER / "ropa-worker@.service", "TimeoutStopSec")
    assert int(seconds) > LAST_CALL_SECONDS


def test_the_settings_of_a_fleet_are_ones_that_the_engine_has():
    import dask
    import distributed

    assert distributed.__version__
    named = dict(settings(FOLDER / "fleet.env.example"))
    assert named.pop("ROPA_FLEET").startswith("tls://")
    for name in named:
        assert name.startswith("DASK_DISTRIBUTED__")
        key = name.removeprefix("DASK_").lower().replace("__", ".")
        dask.config.get(key)  # KeyError where there is none


def test_a_unit_calls_a_command_that_there_is():
    for name in SERVICES:
        (command,) = values(FOLDER / name, "ExecStart")
        program, noun, *options = command.split()
        assert program in {"/opt/ropa/bin/ropa", "/opt/ropa/bin/dask"}
        called = (
            [sys.executable, "-m", "ropa"]
            if program.endswith("ropa")
            else [str(Path(sys.executable).with_name("dask"))]
        )
        done = subprocess.run([*called, noun, "--help"], capture_output=True, text=True, check=True)
        for option in options:
            if option.startswith("--"):
                assert option in done.stdout, (name, option)


# --- under what they forbid -------------------------------------------------------------------------------------------


def expanded(analyze: str, word: str) -> set[str]:
    """The system calls of a set (``@system-service``), its sets included."""
    if not word.startswith("@"):
        return {word}
    done = subprocess.run([analyze, "syscall-filter", word], capture_output=True, text=True, check=True)
    inner = [line.strip() for line in done.stdout.splitlines()[1:] if line.strip() and not line.strip().startswith("#")]
    return {call for one in inner for call in expanded(analyze, one)}


def allowed(analyze: str) -> set[str]:
    calls: set[str] = set()
    for line in values(HARDENING, "SystemCallFilter"):
        named = {call for word in line.lstrip("~").split() for call in expanded(analyze, word)}
        calls = calls - named if line.startswith("~") else calls | named
    return calls | expanded(analyze, "@default")


@pytest.fixture(scope="module")
def confined(analyze):
    calls = ",".join(sorted(allowed(analyze)))

    def run(*command: str, **more):
        line = [sys.executable, str(Path(__file__).with_name("sandbox.py")), calls, sys.executable, *command]
        return subprocess.run(line, capture_output=True, text=True, check=False, **more)

    return run


def test_the_filter_forbids_what_it_should_and_still_tells_whether_the_clock_is_disciplined(confined):
    code = """
import ctypes, errno, mmap, os, time
from ropa.clock import is_kernel_synchronised
assert is_kernel_synchronised() is not None
for forbidden in (
    lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC),
    lambda: os.setuid(0),
    lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()),
    lambda: os.chroot("/"),
):
    try:
        forbidden()
    except OSError as error:
        assert error.errno == errno.EPERM
    else:
        raise AssertionError
print("held")
"""
    done = confined("-c", code)
    assert done.stdout == "held\n", done.stderr


def test_the_demonstration_and_the_report_run_under_the_filter_of_the_units(confined, tmp_path):
    folder = tmp_path / "demo"
    done = confined("-m", "ropa", "demo", str(folder))
    assert done.returncode == 0, done.stderr
    done = confined("-m", "ropa", "-C", str(folder), "report", "--format", "pdf")
    assert done.returncode == 0, done.stderr
    done = confined("-m", "ropa", "-C", str(folder), "status")
    assert done.returncode == 0, done.stdout


def test_every_extra_loads_under_the_filter_of_the_units(confined):
    modules = "psycopg, pymysql, re2, msal, typst, rdflib, keyring, distributed, cryptography.fernet, prometheus_client"
    done = confined("-W", "ignore", "-c", f"import {modules}; re2.compile('a+').search('aa'); print('all')")
    assert done.stdout == "all\n", done.stderr
