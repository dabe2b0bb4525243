"""Makes docs/images/report.png: the report of a demonstration run, as a browser shows it.

    python tools/make_picture.py [LANGUAGE]

Needs chromium. The picture is of a real run on generated people; nothing in it is drawn by hand. Fails when the file
would be larger than 400 KB.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TARGET = Path(__file__).parents[1] / "docs" / "images" / "report.png"
LARGEST = 400_000
SIZE = "1200,1500"
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    f"--window-size={SIZE}",
)


def make_report(folder: Path, language: str) -> Path:
    """Run the demonstration and return the path of its report."""
    ropa = [sys.executable, "-m", "ropa"]
    subprocess.run([*ropa, "-q", "demo", str(folder / "demo")], check=True, stdout=subprocess.DEVNULL)
    path = folder / "report.html"
    subprocess.run([*ropa, "-C", str(folder / "demo"), "report", "--lang", language, "-o", str(path)], check=True)
    return path


def photograph(page: Path, target: Path, work: Path) -> None:
    """Write what a browser shows of a page. Raises RuntimeError where no picture was made."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        raise RuntimeError("chromium is not installed")
    profile = f"--user-data-dir={work / 'profile'}"
    command = [browser, *_FLAGS, profile, f"--screenshot={target}", page.as_uri()]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)
    if not target.is_file():
        raise RuntimeError("the browser made no picture")


def main(arguments: list[str]) -> int:
    """Make the picture and return the exit code."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        made = work / "report.png"
        photograph(make_report(work, arguments[0] if arguments else "en"), made, work)
        size = made.stat().st_size
        if size > LARGEST:
            print(f"the picture has {size} bytes, more than {LARGEST}")
            return 1
        TARGET.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(made, TARGET)
    print(f"{TARGET.name}: {size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
