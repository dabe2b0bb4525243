"""The kustomization: every pod under the restricted profile, one sweep a night, and delete credentials in one place."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml

from ropa.config import Config, load
from ropa.sweep.status import DEAD_MAN
from ropa.wiring import connector_types

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text(encoding="utf-8"))
NIGHT = 24 * 3600


def documents(name: str) -> list[dict]:
    return list(yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8")))


RESOURCES = [one for name in KUSTOMIZATION["resources"] for one in documents(name)]


def resource(kind: str, name: str) -> dict:
    (found,) = [one for one in RESOURCES if one["kind"] == kind and one["metadata"]["name"] == name]
    return found


def pod(workload: dict) -> dict:
    spec = workload["spec"]
    return (spec["jobTemplate"]["spec"] if workload["kind"] == "CronJob" else spec)["template"]["spec"]


WORKLOADS = {one["metadata"]["name"]: one for one in RESOURCES if one["kind"] in {"CronJob", "Deployment"}}


def secrets(name: str) -> set[str]:
    return {volume["secret"]["secretName"] for volume in pod(WORKLOADS[name])["volumes"] if "secret" in volume}


def test_every_resource_says_what_it_is_and_every_file_is_part_of_it_or_an_example():
    for one in RESOURCES:
        assert {"apiVersion", "kind", "metadata"} <= set(one)
        assert "namespace" not in one["metadata"], "the kustomization sets it once"
    files = {path.name for path in FOLDER.glob("*.yaml")}
    assert files == {*KUSTOMIZATION["resources"], "kustomization.yaml", "secret.example.yaml"}
    for generated in KUSTOMIZATION["configMapGenerator"]:
        for line in generated["files"]:
            assert (FOLDER / line.partition("=")[2]).is_file()


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_keeps_to_the_restricted_profile_and_more(name):
    spec = pod(WORKLOADS[name])
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == spec["securityContext"]["fsGroup"] == 10001
    assert spec["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(spec)
    assert resource("ServiceAccount", spec["serviceAccountName"])["automountServiceAccountToken"] is False
    for container in spec["containers"]:
        context = container["securityContext"]
        assert context == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(container["resources"]) == {"requests", "limits"}
        assert "env" not in container
        assert "envFrom" not in container
    assert all(set(volume) & {"configMap", "secret", "emptyDir", "persistentVolumeClaim"} for volume in spec["volumes"])


@pytest.mark.parametrize("name", WORKLOADS)
def test_what_is_mounted_is_there_and_only_state_and_tmp_can_be_written(name):
    spec = pod(WORKLOADS[name])
    for container in spec["containers"]:
        mounts = container["volumeMounts"]
        assert {mount["name"] for mount in mounts} == {volume["name"] for volume in spec["volumes"]}
        assert {mount["mountPath"] for mount in mounts if not mount.get("readOnly")} == {"/var/lib/ropa", "/tmp"}
    modes = [volume["secret"]["defaultMode"] for volume in spec["volumes"] if "secret" in volume]
    assert modes
    assert set(modes) == {0o440}


def test_the_night_has_one_sweep_which_is_not_tried_again_and_is_over_before_the_next():
    cron = resource("CronJob", "ropa-sweep")["spec"]
    assert cron["concurrencyPolicy"] == "Forbid"
    job = cron["jobTemplate"]["spec"]
    assert (job["backoffLimit"], job["template"]["spec"]["restartPolicy"]) == (0, "Never")
    assert job["activeDeadlineSeconds"] < NIGHT
    assert cron["startingDeadlineSeconds"] < NIGHT
    minute, hour, *rest = cron["schedule"].split()
    assert rest == ["*", "*", "*"]
    assert not 2 <= int(hour) < 3
    assert int(minute) in range(60)
    assert job["template"]["spec"]["containers"][0]["args"][0] == "sweep"


@pytest.fixture
def rules(tmp_path: Path) -> Config:
    (tmp_path / "config").mkdir()
    shutil.copyfile(FOLDER / "project/retention.toml", tmp_path / "config/retention.toml")
    return load(tmp_path, connector_types())


def test_the_zone_of_the_cron_job_is_that_of_the_rules(rules):
    assert rules.timezone == ZoneInfo(resource("CronJob", "ropa-sweep")["spec"]["timeZone"])


def test_the_rules_of_the_example_load_and_point_at_secrets_that_are_mounted(rules):
    text = (FOLDER / "project/retention.toml").read_text(encoding="utf-8")
    keys = {
        f"/run/ropa/{secret['metadata']['name'].removeprefix('ropa-')}/{key}"
        for secret in documents("secret.example.yaml")
        for key in secret["stringData"]
    }
    assert set(re.findall(r'"file:([^"]+)"', text)) == keys
    assert all(rule.action == "flag" for rule in rules.rules.values())


def test_the_dead_mans_switch_looks_more_often_than_it_may_wait():
    cron = resource("CronJob", "ropa-status")["spec"]
    assert cron["schedule"].split()[1:] == ["*"] * 4
    assert DEAD_MAN.total_seconds() > 3600
    assert cron["jobTemplate"]["spec"]["backoffLimit"] == 0


def test_only_the_sweep_holds_what_may_delete():
    assert secrets("ropa-sweep") == {"ropa-state", "ropa-read", "ropa-apply"}
    assert secrets("ropa-desk") == {"ropa-state", "ropa-read"}
    assert secrets("ropa-status") == {"ropa-state"}


def test_the_example_of_the_secrets_has_no_values_and_is_not_applied():
    assert "secret.example.yaml" not in KUSTOMIZATION["resources"]
    found = documents("secret.example.yaml")
    assert {one["metadata"]["name"] for one in found} == {"ropa-state", "ropa-read", "ropa-apply"}
    assert all(value == "" for one in found for value in one["stringData"].values())


def test_nobody_reaches_a_pod_and_a_pod_reaches_names_its_database_and_https():
    policy = resource("NetworkPolicy", "ropa")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["ingress"] == []
    ports = [sorted({port["port"] for port in rule["ports"]}) for rule in policy["egress"]]
    assert ports == [[53], [5432], [443]]
    assert all(rule["to"] for rule in policy["egress"])
    assert policy["podSelector"]["matchLabels"] == KUSTOMIZATION["labels"][0]["pairs"]


def test_the_namespace_enforces_the_restricted_profile():
    labels = resource("Namespace", KUSTOMIZATION["namespace"])["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_desk_sleeps_until_it_is_told_to_stop():
    desk = resource("Deployment", "ropa-desk")["spec"]
    assert desk["replicas"] == 0
    program, *arguments = pod(WORKLOADS["ropa-desk"])["containers"][0]["command"]
    assert program == "python"
    with subprocess.Popen([sys.executable, *arguments]) as asleep:
        time.sleep(0.5)
        assert asleep.poll() is None
        asleep.send_signal(signal.SIGTERM)
        assert asleep.wait(timeout=10) == 0
