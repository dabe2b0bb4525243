"""The page of deployment names files that exist, and no file of a deployment names a registry or holds a secret."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ropa.config.secrets import has_inline_secret

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
    from ropa.wiring import state_folder

    assert state_folder(Path("/srv/ropa"), {"ROPA_STATE": "/var/lib/ropa"}) == Path("/var/lib/ropa")
    set_there = {name for path in FILES for name in re.findall(r"\bROPA_[A-Z_]+\b", path.read_text(encoding="utf-8"))}
    assert set_there <= {"ROPA_STATE"}
