"""A real browser for the tests of the page."""

import os
import shutil

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium; where it is not installed, only CI insists on it.

    Of a module's own: while it is open, an event loop runs in this thread.
    """
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("browser absent: chromium is not installed")
        pytest.skip("browser absent: chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--disable-dev-shm-usage"])
        yield started
        started.close()
