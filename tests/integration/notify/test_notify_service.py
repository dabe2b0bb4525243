"""The commands as a service manager runs them: a sweep that tells, a schedule that is scraped, logs that are JSON."""

import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request

import pytest
from notify_kit import SECRET, is_signed
from sweep_kit import OLD, REGISTER

CONFIG = """
timezone = "Europe/Brussels"
[safety]
max_share = 1.0
[notify]
healthcheck = "env:PING"
[notify.webhook]
url = "env:HOOK"
secret = "file:secret"
[location.crm]
connector = "sql"
url = "sqlite:///crm.sqlite"
[location.crm.dataset.contacts]
source = "contacts"
key = ["id"]
anchor.created = "created"
data.name = ["name"]
[rule.prospects]
activity = "intake"
dataset = "crm.contacts"
data = "*"
anchor = "created"
period = "6 months"
action = "purge"
"""


def prepared(home):
    """Make a folder whose register is imported, to be copied."""
    (home / "config").mkdir(parents=True)
    (home / "config" / "retention.toml").write_text(CONFIG)
    (home / "config" / "retention.toml").chmod(0o600)
    (home / "register.toml").write_text(REGISTER)
    (home / "secret").write_text(SECRET + "\n")
    (home / "secret").chmod(0o400)
    with contextlib.closing(sqlite3.connect(home / "crm.sqlite")) as raw, raw:
        raw.execute("CREATE TABLE contacts (id INTEGER PRIMARY KEY, name TEXT, created TEXT)")
        raw.executemany("INSERT INTO contacts VALUES (?, 'Naam', ?)", [(n, OLD) for n in range(3)])
    assert Folder(home, "http://127.0.0.1:1").run("register", "import", "register.toml", "--by", "An").returncode == 0


class Folder:
    def __init__(self, home, hook_url):
        self.home = home
        self.environment = dict(os.environ, HOOK=f"{hook_url}/hook", PING=f"{hook_url}/ping", COVERAGE_RUN="")

    def command(self, *words):
        return [sys.executable, "-m", "ropa", *words]

    def run(self, *words, **environ):
        return subprocess.run(
            self.command(*words),
            cwd=self.home,
            env=self.environment | environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    home = tmp_path_factory.mktemp("notify") / "made"
    prepared(home)
    return home


@pytest.fixture
def folder(tmp_path, hook, made):
    return Folder(shutil.copytree(made, tmp_path / "home"), hook.url)


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def test_a_sweep_tells_at_its_end_and_logs_as_json_with_the_id_of_its_run(folder, hook):
    ran = folder.run("--log-json", "sweep", "--by", "service")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("run "), "what is printed otherwise stays"
    run = ran.stdout.split()[1]
    logged = lines(ran.stderr)
    assert [(line["event"], line["run"], line["level"]) for line in logged] == [
        ("run-start", run, "info"),
        ("run-end", run, "info"),
    ]
    assert logged[1]["state"] == "complete"
    assert hook.pings() == ["/ping"]
    (posted,) = [(headers, body) for _, path, headers, body in hook.taken if path == "/hook"]
    assert is_signed(*posted)
    assert any(key.startswith("waiting:crm.contacts:purge:") for key in hook.keys("new"))
    folder.run("sweep", "--by", "service")
    assert len(hook.notices()) == 1
    shown = folder.run("status").stdout
    assert "webhook     ready" in shown


def test_a_sweep_that_cannot_begin_is_told_and_ends_as_it_would_have(folder, hook):
    folder.run("sweep", "--by", "service")
    moved = folder.home / "crm.sqlite"
    moved.rename(folder.home / "gone.sqlite")
    folder.run("halt", "--by", "Ops", "--reason", "stop")
    ran = folder.run("--log-json", "sweep", "--by", "service")
    assert ran.returncode == 4
    assert "halted" in hook.keys("new")
    (line,) = [line for line in lines(ran.stderr) if line["event"] == "error"]
    assert (line["code"], line["exit_code"], line["level"], line["run"]) == ("halt", 4, "error", None)


@pytest.mark.whole
def test_a_server_that_cannot_be_reached_changes_neither_result_nor_exit_code(folder):
    ran = folder.run("sweep", "--by", "service", "--json", HOOK="http://127.0.0.1:1/kanarie", PING="nothing")
    assert ran.returncode == 0
    assert json.loads(ran.stdout)["state"] == "complete"
    assert "kanarie" not in ran.stdout + ran.stderr
    told = json.loads(folder.run("status", "--json").stdout)["channels"]
    assert [one["code"] for one in told] == ["webhook-unreachable", "configuration"]


def test_a_schedule_is_scraped_on_loopback_logs_each_event_and_ends_with_sigterm(folder, hook):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    service = subprocess.Popen(
        folder.command("--log-json", "schedule", "--at", "00:00", "--by", "service", "--metrics", str(port)),
        cwd=folder.home,
        env=folder.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        text = ""
        until = time.monotonic() + 60
        while "ropa_overdue_records 3.0" not in text and time.monotonic() < until:
            time.sleep(0.2)
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as it,
            ):
                text = it.read().decode()
        assert "ropa_overdue_records 3.0" in text
        while not hook.pings() and time.monotonic() < until:
            time.sleep(0.2)
        with socket.socket() as other:
            other.settimeout(2)
            assert other.connect_ex((_address_of_this_machine(), port)) != 0, "only this machine is answered"
    finally:
        service.send_signal(signal.SIGTERM)
        out, err = service.communicate(timeout=30)
    assert service.returncode == 128 + signal.SIGTERM
    assert out == ""
    logged = lines(err)
    assert {"started", "run-start", "run-end", "sweep", "next"} <= {line["event"] for line in logged}
    (run,) = {line["run"] for line in logged if line["event"] in {"run-start", "run-end", "sweep"}}
    assert run is not None
    assert any(key.startswith("waiting:") for key in hook.keys("new"))


def _address_of_this_machine():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked, contextlib.suppress(OSError):
        asked.connect(("192.0.2.1", 9))  # sends nothing
        return asked.getsockname()[0]
    return "127.0.0.2"


@pytest.mark.sampled(one_in=4)
@pytest.mark.parametrize("address", ["", "nothing", "0", "70000", "127.0.0.1:", "a b:80", ":80"])
def test_an_address_for_metrics_that_cannot_be_meant_is_a_wrong_call(folder, address):
    ran = folder.run("schedule", "--metrics", address)
    assert ran.returncode == 2
    assert "--metrics" in ran.stderr


def test_of_what_a_library_logs_only_name_and_level_are_kept_and_a_value_ends_no_line():
    program = """
import logging, sys
from ropa.cli.logs import log_as_json, log_event
log_as_json()
logging.getLogger("httpx").warning("GET https://example.org/?token=%s", "kanarie")
try:
    raise ValueError("kanarie")
except ValueError:
    logging.getLogger("ropa.sweep").exception("went-wrong")
    logging.getLogger("other").exception("kanarie")
log_event("said", text="a\\nb\\u2028\\x1b[2J", thing=object())
logging.getLogger("connectors.sql").info("batch", extra={"count": 3})
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    logged = lines(ran.stderr)
    assert [(line["event"], line["level"], line.get("error")) for line in logged] == [
        ("library", "warning", None),
        ("went-wrong", "error", "ValueError"),
        ("library", "error", "ValueError"),
        ("said", "info", None),
        ("batch", "info", None),
    ]
    assert "kanarie" not in ran.stderr
    assert ran.stderr.isascii()
    assert (logged[3]["text"], logged[3]["thing"], logged[4]["count"]) == ("a\nb\u2028\x1b[2J", "object", 3)


def told_before(folder):
    with contextlib.closing(sqlite3.connect(folder.home / "var" / "ropa.db")) as raw:
        return raw.execute("SELECT * FROM notice").fetchall(), raw.execute(
            "SELECT * FROM state ORDER BY key"
        ).fetchall()


def test_a_trial_notice_goes_out_by_every_channel_once_and_nothing_is_noted(folder, hook):
    before = told_before(folder)
    ran = folder.run("schedule", "--test-notice", "--json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {
        "schema": "ropa.test-notice/1",
        "channels": [
            {"channel": "webhook", "accepted": True, "code": None},
            {"channel": "healthcheck", "accepted": True, "code": None},
        ],
    }
    (method, _, headers, body), ping = hook.taken
    assert (method, ping[0], ping[1]) == ("POST", "GET", "/ping")
    notice = json.loads(body)
    assert (notice["schema"], notice["trial"], notice["new"], notice["resolved"]) == ("ropa.notice/1", True, [], [])
    assert is_signed(headers, body)
    assert told_before(folder) == before
    words = folder.run("schedule", "--test-notice")
    assert (words.returncode, words.stdout) == (0, "webhook     accepted\nhealthcheck accepted\n")


def test_a_trial_says_which_channel_did_not_take_it_and_tries_the_others(folder, hook):
    ran = folder.run("schedule", "--test-notice", "--json", HOOK="http://127.0.0.1:9/hook?token=kanarie")
    assert ran.returncode == 5
    assert [(one["channel"], one["accepted"], one["code"]) for one in json.loads(ran.stdout)["channels"]] == [
        ("webhook", False, "webhook-unreachable"),
        ("healthcheck", True, None),
    ]
    assert "kanarie" not in ran.stdout + ran.stderr
    words = folder.run("schedule", "--test-notice", HOOK="http://127.0.0.1:9/hook?token=kanarie")
    assert words.stdout.startswith("webhook     NOT accepted (webhook-unreachable)\n")
    (folder.home / "secret").unlink()
    assert folder.run("schedule", "--test-notice").returncode == 5


def test_a_trial_where_nobody_is_told_is_a_wrong_call(folder, hook):
    config = folder.home / "config" / "retention.toml"
    text = config.read_text()
    config.write_text(text[: text.index("[notify]")] + text[text.index("[location.crm]") :])
    ran = folder.run("schedule", "--test-notice", "--json")
    assert ran.returncode == 2
    assert json.loads(ran.stdout)["schema"] == "ropa.error/1"
    assert hook.taken == []
