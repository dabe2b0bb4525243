"""The page of deployment names files that exist, and no file of a deployment names a registry or holds a secret."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import get_args

import pytest

from ropa.config.secrets import has_inline_secret
from tools import check_docs

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs/how-to" / name for name in ("deploy.md", "upgrade.md")]
FILES = sorted(path for path in (ROOT / "deploy").rglob("*") if path.is_file())
NAMED = re.compile(r"(?:deploy|tests|requirements)/[\w./*-]*[\w/]")
HOSTS = re.compile(r"(?:\bregistry\.|index-url|(?<![\w./-])[a-z0-9-]+(?:\.[a-z0-9-]+)+/[a-z0-9._/-]+:[a-z0-9])")
"""A registry, an index, or an image that is not named plainly but with a host before it."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_named_in_the_page_exists(page):
    names = set(NAMED.findall(page.read_text(encoding="utf-8")))
    assert names
    missing = [name for name in sorted(names) if not any(ROOT.glob(name.rstrip("/").removesuffix("/*")))]
    assert missing == []


def test_the_page_names_every_folder_of_the_deployment():
    text = PAGES[0].read_text(encoding="utf-8")
    assert [path.name for path in (ROOT / "deploy").iterdir() if f"`deploy/{path.name}/`" not in text] == []


@pytest.mark.parametrize("path", [*FILES, *PAGES], ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_names_a_registry_or_holds_a_secret(path):
    text = path.read_text(encoding="utf-8")
    assert HOSTS.findall(text) == []
    for line in text.splitlines():
        if "%s" not in line and ":...@" not in line:  # a template of a URL, filled in on the spot
            assert not has_inline_secret(line), line
    assert "PRIVATE KEY" not in text


def test_the_units_and_the_images_settings_are_those_that_ropa_reads():
    from ropa.sweep.opening import state_folder

    assert state_folder(Path("/srv/ropa"), {"ROPA_STATE": "/var/lib/ropa"}) == Path("/var/lib/ropa")
    set_there = {name for path in FILES for name in re.findall(r"\bROPA_[A-Z_]+\b", path.read_text(encoding="utf-8"))}
    from ropa.cli.inputs import Fleet

    assert get_args(Fleet)[1].envvar == "ROPA_FLEET"
    assert set_there <= {"ROPA_STATE", "ROPA_FLEET"}


STUB = """#!/bin/sh
printf '%s\\n' "${0##*/} $*" >>"$CALLS"
"""
"""Stands for a container engine and a cluster, which are not here: notes what it was called with."""


@pytest.mark.parametrize(
    ("mark", "expected"),
    [
        ("docker build", ["docker build -f deploy/container/Containerfile"]),
        ("cd deploy/compose", ["docker compose build", "docker compose run --rm ropa init", "docker compose up -d"]),
        ("kubectl apply -k", ["kubectl apply -k deploy/kubernetes", "kubectl -n ropa scale deployment/ropa-desk"]),
    ],
)
def test_the_commands_of_containers_run_as_a_script_in_the_order_of_the_page(tmp_path, mark, expected):
    if os.geteuid() != 0:
        pytest.skip("root: only root can give the secrets to the numbers that read them")
    checkout, stubs, calls = tmp_path / "checkout", tmp_path / "stubs", tmp_path / "calls"
    shutil.copytree(ROOT / "deploy", checkout / "deploy")
    for place in (checkout, checkout / "deploy/compose"):
        shutil.copyfile(ROOT / "examples/webassur/config/retention.toml", place / "retention.toml")
        shutil.copyfile(ROOT / "examples/webassur/register.toml", place / "register.toml")
    stubs.mkdir()
    for name in ("docker", "kubectl"):
        (stubs / name).write_text(STUB, encoding="utf-8")
        (stubs / name).chmod(0o755)
    (script,) = [one.text for one in check_docs.blocks(PAGES[0].read_text(encoding="utf-8")) if mark in one.text]
    done = subprocess.run(
        ["sh", "-e", "-c", script],
        cwd=checkout,
        env={"PATH": f"{stubs}:/usr/bin:/bin", "CALLS": str(calls)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    called = calls.read_text(encoding="utf-8").splitlines()
    found = [next(n for n, call in enumerate(called) if call.startswith(words)) for words in expected]
    assert found == sorted(found)
    if mark == "cd deploy/compose":
        secrets = checkout / "deploy/compose/secrets"
        owners = {path.name: (path.stat().st_uid, oct(path.stat().st_mode & 0o777)) for path in secrets.iterdir()}
        assert owners == {"database-password": (999, "0o400"), "database-url": (10001, "0o400")}
