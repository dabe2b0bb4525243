"""The compose file: nothing in it may write, gain a right, keep a secret or be reached from elsewhere."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from servers import Postgres

FOLDER = Path(__file__).parents[2] / "deploy" / "compose"
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
DURATIONS = {"s": 1, "m": 60, "h": 3600}


def seconds(text: str) -> int:
    return int(text[:-1]) * DURATIONS[text[-1]]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_right_that_it_does_not_need(name):
    service = SERVICES[name]
    user, _, group = service["user"].partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["ulimits"]["core"] == 0
    assert not {"privileged", "ports", "devices", "network_mode", "pid", "ipc"} & set(service)
    assert all("noexec" in line and "size=" in line for line in service["tmpfs"])


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_says_how_it_is_and_its_output_rotates_by_itself(name):
    service = SERVICES[name]
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["logging"] == {"driver": "local", "options": {"max-size": "10m", "max-file": "5"}}
    assert service["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_has_a_whole_version(name):
    image, _, tag = SERVICES[name]["image"].partition(":")
    assert "/" not in image
    assert tag[0].isdigit()
    assert "." in tag


def test_secrets_are_files_that_version_control_does_not_see():
    for name, secret in COMPOSE["secrets"].items():
        assert secret == {"file": f"./secrets/{name}"}
    assert {"secrets/", "project/"} <= set((FOLDER / ".gitignore").read_text(encoding="utf-8").split())
    for service in SERVICES.values():
        assert set(service["secrets"]) <= set(COMPOSE["secrets"])
        for key, value in service.get("environment", {}).items():
            assert "PASSWORD" not in key or key.endswith("_FILE"), key
            assert "://" not in value


def test_a_number_reads_its_own_secrets_only():
    readers = [name for service in SERVICES.values() for name in service["secrets"]]
    assert len(readers) == len(set(readers))


def test_the_database_is_reached_by_ropa_alone_and_reaches_nothing():
    assert COMPOSE["networks"]["state"]["internal"] is True
    assert SERVICES["database"]["networks"] == ["state"]
    assert SERVICES["ropa"]["depends_on"] == {"database": {"condition": "service_healthy"}}


def test_the_rules_are_read_only_and_the_state_is_in_a_volume_with_a_name():
    project, state = SERVICES["ropa"]["volumes"]
    assert (project["type"], project["target"], project["read_only"]) == ("bind", "/srv/ropa", True)
    assert (state["type"], state["target"]) == ("volume", "/var/lib/ropa")
    assert state["source"] in COMPOSE["volumes"]


def test_a_stop_leaves_more_time_than_the_batch_in_hand_may_take():
    from ropa.schedule import LAST_CALL_SECONDS

    assert seconds(SERVICES["ropa"]["stop_grace_period"]) > LAST_CALL_SECONDS


def test_the_first_night_is_not_late_before_it_has_come():
    from ropa.sweep.status import DEAD_MAN

    assert seconds(SERVICES["ropa"]["healthcheck"]["start_period"]) >= DEAD_MAN.total_seconds()


def test_the_state_goes_to_the_database_whose_url_is_in_the_secret_file_and_the_ledger_to_the_volume(
    tmp_path: Path, postgres: Postgres
):
    project, state, secret = tmp_path / "project", tmp_path / "state", tmp_path / "database-url"
    shutil.copytree(FOLDER.parents[1] / "examples/webassur", project)
    rules = project / "config/retention.toml"
    rules.write_text(f'{rules.read_text(encoding="utf-8")}\n[state]\ndatabase = "file:{secret}"\n', encoding="utf-8")
    with postgres.create() as database:
        secret.write_text(database.url, encoding="utf-8")
        secret.chmod(0o400)
        environ = {name: value for name, value in os.environ.items() if not name.startswith("ROPA_")}
        environ |= {"ROPA_STATE": str(state)}

        def ropa(*arguments: str) -> tuple[int, str]:
            line = [sys.executable, "-m", "ropa", "-C", str(project), *arguments]
            done = subprocess.run(line, capture_output=True, text=True, check=False, env=environ)
            assert database.url not in done.stdout + done.stderr
            return done.returncode, done.stdout + done.stderr

        assert ropa("init")[0] == 0
        assert ropa("register", "import", "register.toml", "--by", "An", "--reason", "first version")[0] == 0
        code, words = ropa("status")
        assert code == 1, words
        assert "no sweep has succeeded yet" in words
        assert ropa("ledger", "verify")[0] == 0
    assert not (project / "var").exists()
    assert {"ledger", "keys"} <= {path.name for path in state.iterdir()}
    assert not (state / "ropa.db").exists()
    assert stat.S_IMODE((state / "keys").stat().st_mode) == 0o700
