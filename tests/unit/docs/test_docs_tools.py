"""The tools that guard the repository guard it: each is shown something wrong and must say so."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from tools import check_docs, check_locks, check_skips

ROOT = Path(__file__).parents[3]

RESULT = """<testsuites><testsuite tests="3" failures="{failures}" errors="0" skipped="1" time="1.5">
<testcase classname="tests.unit.test_a" name="test_one" time="1"/>
<testcase classname="tests.unit.test_a" name="test_two[x]" time="1"><skipped type="pytest.skip" message="{why}"/></testcase>
</testsuite></testsuites>"""


def run_skips(tmp_path, why, failures=0, checks=0):
    path = tmp_path / "result.xml"
    path.write_text(RESULT.format(why=why, failures=failures))
    command = [sys.executable, "tools/check_skips.py", str(path), str(checks)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_skip_that_nobody_allowed_fails_and_is_named(tmp_path):
    ran = run_skips(tmp_path, "I did not feel like it")
    assert ran.returncode == 1
    assert "tests.unit.test_a::test_two[x]: I did not feel like it" in ran.stdout
    assert ran.stdout.splitlines()[-1] == "===== 1 failed, 2 passed, 1 skipped in 1.50s ====="


def test_a_failed_test_and_a_failed_check_are_counted(tmp_path):
    assert run_skips(tmp_path, "x", failures=1, checks=2).stdout.splitlines()[-1].startswith("===== 4 failed, 1 passed")


def test_tests_that_never_ran_are_a_failure():
    ran = subprocess.run(
        [sys.executable, "tools/check_skips.py", "no-such-file.xml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert "1 failed" in ran.stdout


def test_a_skip_is_allowed_by_its_name_and_its_reason_together():
    allowed = check_skips.read_allowed("# why\n\ntests.a::*   beds absent: *\n")
    assert check_skips.not_allowed([("tests.a::test_x", "beds absent: /x")], allowed) == []
    assert (
        len(check_skips.not_allowed([("tests.a::test_x", "tired"), ("tests.b::test_x", "beds absent: /x")], allowed))
        == 2
    )
    with pytest.raises(ValueError, match="without a reason"):
        check_skips.read_allowed("tests.a::*\n")


def test_the_list_of_allowed_skips_can_be_read():
    assert check_skips.read_allowed(check_skips.ALLOWED.read_text(encoding="utf-8"))


GOOD = "# made by a tool\nalembic==1.2 \\\n    --hash=sha256:00\n    # via x\nPy_YAML==6 ; python_version < '4' \\\n    --hash=sha256:11\n"


def test_a_sound_lock_has_no_problems():
    assert check_locks.problems_of("core.txt", GOOD, ["alembic>=1", "py-yaml[x]>=5,<7"]) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD + "--index-url https://example.org/simple\n", "names a host"),
        (GOOD + "typer==1\n", "typer has no hash"),
        (GOOD + "typer>=1\n", "not a pinned requirement"),
        (GOOD.replace("alembic", "other"), "alembic is asked for and not locked"),
    ],
)
def test_a_faulty_lock_is_found(text, words):
    assert any(words in problem for problem in check_locks.problems_of("core.txt", text, ["alembic>=1"]))


def test_the_locks_of_this_repository_are_sound():
    ran = subprocess.run(
        [sys.executable, "tools/check_locks.py"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (0, "locks: no problems in 4 files\n")


def test_blocks_of_a_page_are_run_in_order_in_one_folder(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "```text file=a/b.txt\nhello\n```\n```sh runnable\ncat a/b.txt\necho x > c\n```\n"
        "```sh example\nexit 9\n```\n```sh runnable exit=3\ncat c\nexit 3\n```\n"
    )
    folder = tmp_path / "folder"
    folder.mkdir()
    ran = list(check_docs.run_page(page, folder, check_docs.environment(tmp_path)))
    assert [(one.output, one.exit_code, one.block.exit_code) for one in ran] == [("hello\n", 0, 0), ("x\n", 3, 3)]


def test_a_page_starts_in_the_folder_that_the_page_before_it_left(monkeypatch, tmp_path):
    monkeypatch.setattr(check_docs, "DOCS", tmp_path)
    (tmp_path / "first.md").write_text("```sh runnable\necho 1 >> log\n```\n")
    for name in ("second.md", "third.md"):
        (tmp_path / name).write_text("<!-- after: first.md -->\n\n```sh runnable\necho 2 >> log; cat log\n```\n")
    runner = check_docs.Runner(tmp_path / "work", check_docs.environment(tmp_path))
    assert [runner.run(tmp_path / name)[0].output for name in ("second.md", "third.md")] == ["1\n2\n"] * 2


def test_a_failing_command_ends_its_block(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```sh runnable\nfalse\necho not reached\n```\n")
    (ran,) = check_docs.run_page(page, tmp_path, check_docs.environment(tmp_path))
    assert (ran.exit_code, ran.output) == (1, "")


@pytest.fixture
def make_docs(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    return importlib.import_module("make_docs")


def test_what_differs_from_run_to_run_is_masked_and_the_rest_stays(make_docs):
    shown = make_docs.masked("digest sha256:" + "ab" * 32 + "\nrun 2dd291dab263e6fc of plan 2\ndue 2020-09-01   \n")
    assert shown == "digest sha256:…\nrun … of plan 2\ndue 2020-09-01\n"


def test_a_generated_part_is_replaced_and_the_text_around_it_stays(make_docs):
    page = "# A\n\n<!-- begin generated by tools/make_docs.py -->\nold\n<!-- end generated -->\n\n## B\n"
    once = make_docs.filled(page, "new\n")
    assert "new" in once
    assert "old" not in once
    assert once.startswith("# A\n")
    assert once.endswith("## B\n")
    assert make_docs.filled(once, "new") == once
    with pytest.raises(ValueError, match="no place"):
        make_docs.filled("# A\n", "new")


PAGE = """```sh runnable
echo one
```
<!-- output -->
```text
stale
```

```sh runnable exit=3
exit 3
```

```sh runnable
echo two
```
<!-- output -->
```text
```
"""


def test_the_output_of_each_block_stands_under_it(make_docs, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    runner = check_docs.Runner(tmp_path / "work", check_docs.environment(tmp_path))
    once = make_docs.with_outputs(page, PAGE, runner)
    assert once == PAGE.replace("stale\n", "one\n").replace("```text\n```", "```text\ntwo\n```")
    page.write_text(once)
    assert (
        make_docs.with_outputs(page, once, check_docs.Runner(tmp_path / "again", check_docs.environment(tmp_path)))
        == once
    )


def test_a_page_whose_command_ends_otherwise_is_not_written(make_docs, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE.replace("exit 3", "exit 4"))
    runner = check_docs.Runner(tmp_path / "work", check_docs.environment(tmp_path))
    with pytest.raises(RuntimeError, match="exit 4, not 3"):
        make_docs.with_outputs(page, page.read_text(), runner)


def test_a_shape_names_kinds_and_never_a_value(make_docs):
    shapes = importlib.import_module("json_shapes")
    document = {
        "schema": "ropa.x/1",
        "name": "Jan",
        "all": [{"a": 1}, {"a": None, "b": True}],
        "counts": {"Jan": 3},
        "inner": {"schema": "ropa.y/1", "name": "Jan"},
    }
    assert shapes.shape(document, is_whole=True) == {
        "schema": "ropa.x/1",
        "name": "text",
        "all": [{"a": "integer or null", "b": "true/false"}],
        "counts": {"…": "integer"},
        "inner": {"schema": "ropa.y/1", "…": "as below"},
    }
