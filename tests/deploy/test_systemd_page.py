"""The commands of the deployment page for systemd, run as they stand in a clean root, and the units' own commands then.

The root is this machine's with /etc, /opt and /var as overlays that go with the test: nothing outside is touched. There
is no manager to talk to, so ``systemctl`` is left out, and what the units run is run under their account and settings.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import check_docs

ROOT = Path(__file__).parents[2]
LOCK = "all" if "ROPA_CAMPAIGN" in os.environ else "core"
pytestmark = [pytest.mark.whole, pytest.mark.campaign]

_CLEAN_ROOT = """
checkout=$1 work=$2 python=$3
mount -t tmpfs tmpfs /mnt
for folder in etc opt var; do
    mkdir "/mnt/$folder" "/mnt/$folder.work"
    mount -t overlay overlay -o "lowerdir=/$folder,upperdir=/mnt/$folder,workdir=/mnt/$folder.work" "/$folder"
done
mkdir /mnt/bin && ln -s "$python" /mnt/bin/python3
export PATH=/mnt/bin:/usr/sbin:/usr/bin:/sbin:/bin TMPDIR=/mnt
cd "$checkout"
sh -e "$work/page.sh" >"$work/page.log" 2>&1 || { cat "$work/page.log"; exit 1; }

# The page's backup, the loss of everything, and the page's restore.
for step in register backup; do sh -e "$work/$step.sh"; done
rm -rf /var/lib/ropa
sh -e "$work/restore.sh"
ls -la /var/backups/ropa-keys /var/lib/ropa /var/lib/ropa/keys
# ProtectSystem=strict, ProtectHome=, ProcSubset=pid and ProtectProc=invisible, for what follows.
mount --bind /var/lib/ropa /var/lib/ropa
mount -t proc -o subset=pid,hidepid=invisible proc /proc
for folder in etc opt var mnt; do mount -o remount,ro,bind "/$folder"; done
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -o remount,ro,bind /
cd /etc/ropa
unit() {
    settings=$(sed -n 's/^Environment=//p' /etc/systemd/system/ropa-.service.d/hardening.conf)
    setpriv --reuid ropa --regid ropa --clear-groups --no-new-privs --bounding-set -all --inh-caps -all \
        env -i PATH=/usr/bin:/bin $settings "$@"
}
unit sh -c '! touch /etc/ropa/config/new 2>/dev/null && ! cat /etc/ropa/credentials/read/* 2>/dev/null'
unit /opt/ropa/bin/ropa status || test $? = 1
unit timeout --signal=TERM --preserve-status 8 \
    $(sed -n 's/^ExecStart=\\(.*\\) --by .*/\\1/p' /etc/systemd/system/ropa-schedule.service) && code=0 || code=$?
echo "schedule ended with $code"
systemd-analyze verify --man=no /etc/systemd/system/ropa-*.service /etc/systemd/system/ropa-*.timer 2>&1 | grep ropa || true
ls -ln /etc/ropa/config /etc/ropa/credentials
"""


def _python() -> str:
    """A Python that can make environments and that other users may run."""
    for path in ("/usr/bin/python3", f"{sys.base_prefix}/bin/python3"):
        code = "import ensurepip, os, sys; sys.exit(sys.version_info < (3, 11))"
        is_open = Path(path).exists() and not Path(path).resolve().is_relative_to("/root")
        if is_open and subprocess.run([path, "-c", code], check=False, capture_output=True).returncode == 0:
            return path
    pytest.fail("no Python that another user may run; on Debian: apt install python3-venv")


def test_a_new_user_who_follows_the_page_has_units_that_run(tmp_path: Path):
    if os.geteuid() != 0:
        pytest.skip("root: only root can lay a clean root over this one")
    text = (ROOT / "docs/how-to/deploy.md").read_text(encoding="utf-8")
    blocks = [one.text for one in check_docs.blocks(text)]
    (block,) = [one for one in blocks if "systemd-sysusers" in one]
    (register,) = [one for one in blocks if "ropa() {" in one]
    (function,) = [line for line in register.splitlines() if line.startswith("ropa() {")]
    for name, mark in (("register", "ropa() {"), ("backup", "VACUUM INTO"), ("restore", '--reason "restored"')):
        (steps,) = [one for one in blocks if mark in one]
        kept = [line for line in steps.splitlines() if not line.startswith("systemctl ")]
        (tmp_path / f"{name}.sh").write_text("\n".join([function, *kept, ""]), encoding="utf-8")
    outside = [path for path in ("/etc/ropa", "/opt/ropa", "/var/lib/ropa") if Path(path).exists()]
    # The checkout stays as it is: the page's own folder, a lock of the sample's size, rules that are there.
    shutil.copyfile(ROOT / "examples/webassur/config/retention.toml", tmp_path / "retention.toml")
    changed = (
        block.replace("/tmp/build", "/mnt/build")
        .replace("requirements/all.txt", f"requirements/{LOCK}.txt")
        .replace(" retention.toml ", f" {tmp_path}/retention.toml ")
        .replace(" register.toml ", " examples/webassur/register.toml ")
        .replace("systemctl daemon-reload\n", "")
    )
    (tmp_path / "page.sh").write_text(changed, encoding="utf-8")
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-e", "-c", _CLEAN_ROOT, "sh", str(ROOT), str(tmp_path), _python()],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert "  - no sweep has succeeded yet" in lines
    assert "sound" in lines, "after the restore"
    assert "runs are allowed again" in lines
    assert "schedule ended with 143" in lines
    assert any(" started: at 03:30" in line for line in lines)
    # What runs the scheduler of a fleet is in the extras, which the sample's lock leaves out.
    lines = [
        line for line in lines if LOCK == "all" or not line.startswith("ropa-fleet.service: Command /opt/ropa/bin/dask")
    ]
    assert not [line for line in lines if "not executable" in line or "Unknown" in line or "ignoring" in line]
    (rules,) = [line.split() for line in lines if line.endswith(" retention.toml")]
    assert rules[0] == "-rw-r-----"
    assert rules[2] == "0"
    assert [path for path in ("/etc/ropa", "/opt/ropa", "/var/lib/ropa") if Path(path).exists()] == outside
