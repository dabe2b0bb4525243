"""The workers of a fleet in Kubernetes: as confined as the sweep, over TLS alone, and the scheduler holds nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
FLEET = FOLDER / "fleet"
COMPONENT = yaml.safe_load((FLEET / "kustomization.yaml").read_text(encoding="utf-8"))
RESOURCES = [
    one for name in COMPONENT["resources"] for one in yaml.safe_load_all((FLEET / name).read_text(encoding="utf-8"))
]
WORKLOADS = {
    one["metadata"]["name"]: one["spec"]["template"]["spec"] for one in RESOURCES if one["kind"] == "Deployment"
}


def resource(kind: str) -> dict:
    (found,) = [one for one in RESOURCES if one["kind"] == kind]
    return found


def sweep() -> dict:
    (job,) = yaml.safe_load_all((FOLDER / "sweep.yaml").read_text(encoding="utf-8"))
    return job["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def secrets(pod: dict) -> set[str]:
    return {volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume}


def test_every_file_is_part_of_the_component():
    named = {*COMPONENT["resources"], *(patch["path"] for patch in COMPONENT["patches"])}
    assert {path.name for path in FLEET.glob("*.yaml")} == {*named, "kustomization.yaml"}


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_of_the_fleet_is_as_confined_as_the_sweep(name):
    pod, model = WORKLOADS[name], sweep()
    for what in ("securityContext", "automountServiceAccountToken", "enableServiceLinks", "serviceAccountName"):
        assert pod[what] == model[what], what
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(pod)
    (container,) = pod["containers"]
    assert container["securityContext"] == model["containers"][0]["securityContext"]
    assert set(container["resources"]) == {"requests", "limits"}
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}
    writable = {mount["name"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
    assert writable <= {"state", "tmp"}


def test_the_scheduler_holds_no_rules_state_or_credentials_and_a_worker_what_the_sweep_has():
    assert secrets(WORKLOADS["ropa-fleet"]) == {"ropa-fleet-tls"}
    assert not {"project", "state"} & {volume["name"] for volume in WORKLOADS["ropa-fleet"]["volumes"]}
    assert secrets(WORKLOADS["ropa-worker"]) == secrets(sweep()) | {"ropa-fleet-tls"}
    assert WORKLOADS["ropa-worker"]["affinity"] == sweep()["affinity"]


def test_the_fleet_talks_over_tls_with_certificates_that_are_mounted():
    data = resource("ConfigMap")["data"]
    scheme, _, where = data["ROPA_FLEET"].partition("://")
    assert (scheme, where) == ("tls", f"{resource('Service')['metadata']['name']}:8786")
    assert data["DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION"] == "true"
    paths = {value for name, value in data.items() if "__TLS__" in name}
    (patch,) = COMPONENT["patches"]
    patched = yaml.safe_load((FLEET / patch["path"]).read_text(encoding="utf-8"))
    containers = [pod["containers"][0] for pod in WORKLOADS.values()]
    containers.append(patched["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0])
    for container in containers:
        assert container["envFrom"] == [{"configMapRef": {"name": "ropa-fleet"}}]
        (mount,) = [mount for mount in container["volumeMounts"] if mount["name"] == "fleet"]
        assert {str(Path(path).parent) for path in paths} == {mount["mountPath"]}


def test_only_pods_of_ropa_reach_the_fleet():
    policy = resource("NetworkPolicy")["spec"]
    ours = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "ropa"}}}
    assert [rule["from"] for rule in policy["ingress"]] == [rule["to"] for rule in policy["egress"]] == [[ours]]


def test_a_worker_has_time_to_end_its_item():
    from ropa.sweep.serving import LAST_CALL_SECONDS

    assert WORKLOADS["ropa-worker"]["terminationGracePeriodSeconds"] > LAST_CALL_SECONDS
