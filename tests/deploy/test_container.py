"""The image: what its file says, and its commands carried out in a clean root, as a number that owns only its state."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from containerfile import FILE, ROOT, carry_out, instructions, stages

UID = "10001"
LOCK = "all" if "ROPA_CAMPAIGN" in os.environ else "core"
"""The campaign installs every extra; the sample what the core needs."""


@pytest.fixture(scope="module")
def text() -> str:
    return FILE.read_text(encoding="utf-8")


def test_the_base_image_is_pinned_by_a_whole_version_and_the_digest_can_be_given(text):
    arguments, (build, run) = stages(text)
    name, _, tag = arguments["PYTHON_IMAGE"].partition(":")
    assert name == "python"
    version, variant = tag.split("-", 1)
    assert variant.startswith("slim-")
    assert len(version.split(".")) == 3
    assert tuple(int(part) for part in version.split(".")) >= (3, 11)
    assert build.image == run.image == arguments["PYTHON_IMAGE"]


def test_it_runs_as_a_number_without_a_shell_and_tells_how_it_is(text):
    _, (_, run) = stages(text)
    assert run.one("USER").text == f"{UID}:{UID}"
    assert run.one("ENTRYPOINT").argv == ["ropa"]
    assert run.one("CMD").argv == ["schedule"]
    assert json.loads(run.one("HEALTHCHECK").text.partition("CMD ")[2]) == ["ropa", "status"]
    assert "--start-period=26h" in run.one("HEALTHCHECK").text
    words = [one.word for one in run.instructions]
    assert words.index("USER") > max(index for index, word in enumerate(words) if word in {"RUN", "COPY"})
    assert "VOLUME" not in words


def test_every_package_is_installed_by_its_hash_and_as_a_wheel_or_without_an_index(text):
    installs = [
        command
        for one in instructions(text)
        if one.word == "RUN"
        for command in one.text.split("&&")
        if " -m pip " in command
    ]
    assert len(installs) == 4
    for command in installs:
        assert "--no-deps" in command
        assert "--no-index" in command or {"--require-hashes", "--only-binary"} <= set(command.split()), command


def test_only_what_is_named_is_copied_and_only_that_reaches_the_builder(text):
    _, (build, run) = stages(text)
    copied = {source.rstrip("/") for one in build.all("COPY") for source in one.text.split()[:-1]}
    ignored = FILE.with_name("Containerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignored[1] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == copied
    assert all((ROOT / name).exists() for name in copied)
    assert [one.text for one in run.all("COPY")] == ["--from=build ${PREFIX} ${PREFIX}"]


def test_the_version_of_the_label_is_the_projects(text):
    import tomllib

    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert f"ARG VERSION={version}\n" in text


# --- carried out ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Image:
    """What the Containerfile made, and how a container of it is started here."""

    folder: Path
    environment: Mapping[str, str]

    @property
    def prefix(self) -> Path:
        return self.folder / "opt/ropa"

    @property
    def project(self) -> Path:
        return self.folder / "srv/ropa"

    @property
    def state(self) -> Path:
        return self.folder / "var/lib/ropa"

    def run(self, *command: str, exit_code: int = 0) -> str:
        """Run a command as the image does: read-only but for the state and /tmp, as a number, with nothing else set."""
        environ = [f"{name}={value}" for name, value in self.environment.items()]
        command = ("env", "-i", *environ, "sh", "-c", 'cd "$1"; shift; exec "$@"', "sh", str(self.project), *command)
        if os.geteuid() == 0:
            command = ("unshare", "--mount", "sh", "-e", "-c", _CONTAINER, "sh", str(self.folder), UID, *command)
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        assert done.returncode == exit_code, done.stdout + done.stderr
        return done.stdout


# Python itself is part of the base image: where it lies below /root, which is closed, its folder alone is shown there.
_CONTAINER = f"""
folder=$1 uid=$2; shift 2
base={sys.base_prefix}
mkdir -p "$folder/base"
mount --bind "$base" "$folder/base"
mount -t tmpfs -o mode=755 tmpfs /root
mkdir -p "$base" 2>/dev/null || true
mount --bind "$folder/base" "$base"
mount --bind "$folder" /mnt
mount -t tmpfs -o mode=1777,noexec,nosuid,nodev tmpfs /tmp
mkdir -p "$folder"
mount --bind /mnt "$folder"
mount --bind "$folder/var/lib/ropa" "$folder/var/lib/ropa"
mount -o remount,ro,bind "$folder"
mount -o remount,ro,bind /
exec setpriv --reuid "$uid" --regid "$uid" --clear-groups --no-new-privs --bounding-set -all --inh-caps -all "$@"
"""


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    folder = Path(tempfile.mkdtemp(prefix="ropa-image-"))
    try:
        folder.chmod(0o755)
        python = Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}")
        beside = folder / "usr/local/bin"
        for made in (beside, folder / "build", folder / "opt", folder / "srv", folder / "var/lib", folder / "home"):
            made.mkdir(parents=True)
        (beside / "python").symlink_to(python)
        given = {
            "PREFIX": str(folder / "opt/ropa"),
            "PROJECT": str(folder / "srv/ropa"),
            "STATE": str(folder / "var/lib/ropa"),
            "LOCK": LOCK,
        }
        kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or name.endswith("_proxy")}
        environment = {**kept, "PATH": f"{beside}:/usr/bin:/bin", "HOME": str(folder / "home")}
        _, (build, run) = stages(FILE.read_text(encoding="utf-8"))
        carry_out(build, workdir=folder / "build", given=given, environment=environment)
        shutil.rmtree(folder / "build")
        if os.geteuid() != 0:
            run.instructions = [one for one in run.instructions if one.word != "RUN"]
            (folder / "srv/ropa").mkdir()
            (folder / "var/lib/ropa").mkdir(mode=0o700)
        lasting = carry_out(run, workdir=folder, given=given, environment={"PATH": "/usr/bin:/bin"})
        yield Image(folder, lasting)
    finally:
        subprocess.run(["chmod", "-R", "u+w", str(folder)], check=False)
        shutil.rmtree(folder)


@pytest.mark.campaign
def test_the_image_holds_ropa_in_byte_code_and_nothing_that_installs(image):
    packages = next(image.prefix.glob("lib/python3.*/site-packages"))
    assert not (packages / "pip").exists()
    assert not (packages / "hatchling").exists()
    sources = [path for path in (packages / "ropa").rglob("*.py") if "migrations" not in path.parts]
    assert sources
    for source in sources:
        assert list((source.parent / "__pycache__").glob(f"{source.stem}.*.pyc")), source
    assert image.run("ropa", "--version").startswith("ropa ")


@pytest.mark.campaign
@pytest.mark.whole
def test_the_demonstration_runs_in_it_and_status_tells_that_all_is_well(image):
    before = _tree(image.prefix)
    demo = str(image.state / "demo")
    told = json.loads(image.run("ropa", "demo", demo, "--json"))
    assert told["status"]["overdue"] == 0
    # ROPA_STATE names the container's own state; the demonstration keeps its own beside it.
    environment = {name: value for name, value in image.environment.items() if name != "ROPA_STATE"}
    beside = Image(image.folder, environment)
    beside.run("ropa", "-C", demo, "ledger", "verify")
    beside.run("ropa", "-C", demo, "status")
    assert _tree(image.prefix) == before


@pytest.mark.whole
@pytest.mark.campaign
def test_a_project_mounted_read_only_gets_its_state_in_the_volume_and_nowhere_else(image):
    source = ROOT / "examples/webassur"
    shutil.copytree(source, image.project, dirs_exist_ok=True)
    project = _tree(image.project)
    image.run("ropa", "init")
    image.run("ropa", "register", "import", "register.toml", "--by", "An Peeters", "--reason", "first version")
    assert "no sweep has succeeded yet" in image.run("ropa", "status", exit_code=1)
    assert _tree(image.project) == project
    assert {path.name for path in image.state.iterdir()} >= {"ropa.db", "ledger", "keys"}
    for path in (image.state / "ropa.db", image.state / "keys"):
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.whole
@pytest.mark.campaign
def test_nothing_but_the_state_and_tmp_can_be_written(image):
    image.run("sh", "-e", "-c", 'touch "$ROPA_STATE/here" && rm "$ROPA_STATE/here" && touch /tmp/here')
    for path in (image.prefix / "bin/new", image.prefix / "bin/ropa", image.project / "new", image.folder / "new"):
        image.run("sh", "-c", f'! touch "{path}" 2>/dev/null')
    if os.geteuid() == 0:
        assert image.run("id", "-u") == f"{UID}\n"
        image.run("sh", "-c", "! touch /etc/new 2>/dev/null && ! touch /var/tmp/new 2>/dev/null")


@pytest.mark.campaign
def test_a_volume_as_kubernetes_mounts_it_takes_the_state(image):
    volume = image.state / "volume"
    volume.mkdir()
    if os.geteuid() == 0:
        os.chown(volume, 0, int(UID))
    volume.chmod(0o2775)
    project = volume.with_name("project")
    (project / "config").mkdir(parents=True)
    shutil.copyfile(ROOT / "examples/webassur/config/retention.toml", project / "config/retention.toml")
    mounted = Image(image.folder, {**image.environment, "ROPA_STATE": str(volume)})
    mounted.run("ropa", "-C", str(project), "init")
    mounted.run("ropa", "-C", str(project), "ledger", "verify")


def _tree(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(folder)): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in folder.rglob("*")
    }
