"""Every command that the documentation shows as run is run, as a reader would, and ends as the page says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import check_docs

ROOT = Path(__file__).parents[2]
PAGES = check_docs.runnable_pages()
# `make docs-check` runs the pages that show what is printed, on a fixed day, and compares that; this day is for campaigns.
RUN = [
    pytest.param(
        page, id=str(page.relative_to(ROOT)), marks=[pytest.mark.whole] if check_docs.shows_outputs(page) else []
    )
    for page in PAGES
]


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> check_docs.Runner:
    folder = tmp_path_factory.mktemp("docs")
    return check_docs.Runner(folder / "pages", check_docs.environment(folder))


def test_the_tutorial_and_the_how_tos_are_run():
    names = {str(page.relative_to(ROOT / "docs")) for page in PAGES}
    assert {"tutorial/demo.md", "how-to/set-up-a-project.md", "how-to/approve-and-apply.md"} <= names
    assert {page.name for page in (ROOT / "docs/how-to").glob("*.md")} <= {page.name for page in PAGES}


@pytest.mark.sampled(one_in=2)
@pytest.mark.parametrize("page", RUN)
def test_the_commands_of_a_page_end_as_it_says(page, runner):
    ran = runner.run(page)
    assert ran
    assert check_docs.wrong_of(ran) == []
