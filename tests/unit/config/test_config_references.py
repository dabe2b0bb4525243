"""References to the keyring, to the credentials of systemd and to files as containers mount them."""

import os
import subprocess
import sys
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoKeyring
from keyring.errors import KeyringLocked

from ropa.config import dereference
from ropa.errors import ConfigurationError

CANARY = "c4nary-8f1e-hunter2"
NOBODY = 65534


class FakeKeyring(KeyringBackend):
    """A keyring in memory; what it raises is given."""

    priority = 1

    def __init__(self, entries=(), raises=None):
        super().__init__()
        self.entries, self.raises = dict(entries), raises

    def get_password(self, service, username):
        if self.raises is not None:
            raise self.raises
        return self.entries.get((service, username))

    def set_password(self, service, username, password):
        raise NotImplementedError

    def delete_password(self, service, username):
        raise NotImplementedError


@pytest.fixture
def with_keyring():
    before = keyring.get_keyring()
    yield keyring.set_keyring
    keyring.set_keyring(before)


def look_up(reference, folder=Path(), environ=None):
    return dereference(reference, path="location.crm.url", folder=folder, environ=environ or {})


def refused(reference, folder=Path(), environ=None):
    with pytest.raises(ConfigurationError) as caught:
        look_up(reference, folder, environ)
    assert [problem.path for problem in caught.value.problems] == ["location.crm.url"]
    assert caught.value.exit_code == 2
    assert CANARY not in f"{caught.value} {vars(caught.value)} {caught.value.__cause__}"
    return caught.value.problems[0].message


@pytest.mark.parametrize(
    ("reference", "entry"),
    [
        ("keyring:ropa/crm", ("ropa", "crm")),
        ("keyring:https://db.example/crm/reader", ("https://db.example/crm", "reader")),
    ],
)
def test_an_entry_of_the_keyring_is_looked_up_and_the_last_slash_divides(with_keyring, reference, entry):
    with_keyring(FakeKeyring({entry: CANARY}))
    assert look_up(reference) == CANARY


def test_a_machine_without_a_keyring_says_so_and_where_a_secret_may_stand_instead(with_keyring):
    with_keyring(NoKeyring())
    message = refused("keyring:ropa/crm")
    assert "there is no keyring on this machine" in message
    assert "file:PATH or credential:NAME" in message


@pytest.mark.parametrize(
    ("ring", "words"),
    [
        (FakeKeyring(), "has no entry crm of ropa"),
        (FakeKeyring({("ropa", "crm"): " "}), "is empty"),
        (FakeKeyring(raises=KeyringLocked(CANARY)), "is locked"),
        (FakeKeyring(raises=RuntimeError(CANARY)), "RuntimeError"),
    ],
)
def test_an_entry_that_the_keyring_does_not_give_is_an_error_without_its_text(with_keyring, ring, words):
    with_keyring(ring)
    assert words in refused("keyring:ropa/crm")


def test_without_the_extra_its_name_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert "ropa[keyring]" in refused("keyring:ropa/crm")


@pytest.mark.parametrize(
    "reference",
    ["keyring:", "keyring:crm", "keyring:/crm", "keyring:ropa/", "credential:", "credential:..", "credential:a/b"],
)
def test_a_reference_that_names_nothing_is_refused(reference, problems):
    text = f'timezone = "UTC"\n[location.crm]\nconnector = "sql"\nurl = "{reference}"\n'
    assert list(problems(text)) == ["location.crm.url"]
    assert "is not a reference to" in refused(reference)


def test_a_credential_of_systemd_is_a_file_of_its_directory(tmp_path):
    (tmp_path / "crm").write_text(CANARY + "\n")
    (tmp_path / "crm").chmod(0o440)  # with an access list for the service's user, its mask shows as the group's bits
    assert look_up("credential:crm", environ={"CREDENTIALS_DIRECTORY": str(tmp_path)}) == CANARY
    assert "cannot be opened" in refused("credential:other", environ={"CREDENTIALS_DIRECTORY": str(tmp_path)})


@pytest.mark.parametrize("directory", [None, "", "relative/folder"])
def test_a_credential_outside_a_service_of_systemd_is_refused(directory):
    environ = {} if directory is None else {"CREDENTIALS_DIRECTORY": directory}
    assert "CREDENTIALS_DIRECTORY is not set" in refused("credential:crm", environ=environ)


def projected(folder, mode):
    """Lay out a secret as Kubernetes does: a link to a link to the folder that is swapped at each change."""
    (folder / "..2026_11_22").mkdir()
    file = folder / "..2026_11_22" / "url"
    file.write_text(CANARY)
    file.chmod(mode)
    (folder / "..data").symlink_to("..2026_11_22")
    (folder / "url").symlink_to("..data/url")


def test_a_secret_of_kubernetes_is_read_through_its_links(tmp_path):
    projected(tmp_path, 0o440)
    assert look_up(f"file:{tmp_path}/url") == CANARY


@pytest.mark.parametrize("mode", [0o644, 0o444])
def test_a_secret_that_a_container_is_given_for_everybody_to_read_is_refused_behind_its_links(tmp_path, mode):
    projected(tmp_path, mode)
    assert "open to others" in refused(f"file:{tmp_path}/url")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
@pytest.mark.parametrize(("group", "is_read"), [(NOBODY, True), (0, False)])
def test_a_file_of_root_is_read_by_whoever_is_in_its_group_and_by_nobody_else(tmp_path, group, is_read):
    file = tmp_path / "url"
    file.write_text(CANARY)
    os.chown(file, 0, group)
    file.chmod(0o440)
    held = os.open(tmp_path, os.O_RDONLY)  # pytest's own folders are closed to others
    os.fchmod(held, 0o711)
    code = (
        "import os, sys; from pathlib import Path; from ropa.config import dereference; from ropa.errors import *\n"
        f"os.fchdir({held}); os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        "try: value = dereference('file:url', path='x', folder=Path('.'), environ={})\n"
        "except ConfigurationError as error: sys.exit(error.exit_code)\n"
        f"sys.exit(0 if value == {CANARY!r} else 9)"
    )
    done = subprocess.run([sys.executable, "-c", code], pass_fds=[held], cwd=Path.cwd(), check=False)
    os.close(held)
    assert done.returncode == (0 if is_read else 2)
