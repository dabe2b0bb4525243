"""The register leaves as a workbook, a privacy officer edits it, and it comes back as one revision or not at all."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import openpyxl
from cli_kit import SCRIPT, Ropa, snapshot

from ropa.register.exchange import read_incoming


def edit(path: Path, sheet: str, column: str, value: object) -> None:
    book = openpyxl.load_workbook(path)
    found = [cell for cell in book[sheet][1] if cell.value == column]
    book[sheet].cell(2, found[0].column).value = value
    book.save(path)


def test_a_workbook_goes_round_and_an_edit_is_one_revision(ropa: Ropa) -> None:
    path = ropa.folder / "edited.xlsx"
    text = ropa("register", "export", code=0).out
    ropa("register", "export", "--format", "xlsx", "-o", "edited.xlsx", code=0)
    assert path.stat().st_mode & 0o777 == 0o600
    assert "nothing changed: revision 1 stands" in ropa("register", "import", "edited.xlsx", code=0).out
    edit(path, "edit organisation", "telephone", "+32 9 000 00 00")
    preview = ropa("register", "import", "edited.xlsx", "--preview", code=0).out
    assert "organisation.telephone: " in preview
    assert "1 changes; nothing was written" in preview
    assert ropa("register", "export", code=0).out == text
    done = ropa.json("register", "import", "edited.xlsx", "--by", "An", "--reason", "moved")
    assert (done["form"], done["revision"], done["changes"], done["left"]) == ("workbook", 2, 1, [])
    assert 'telephone = "+32 9 000 00 00"' in ropa("register", "export", code=0).out


def test_a_workbook_with_problems_changes_nothing_and_names_sheet_row_and_column(ropa: Ropa) -> None:
    path = ropa.folder / "edited.xlsx"
    ropa("register", "export", "--format", "xlsx", "-o", "edited.xlsx", code=0)
    edit(path, "edit activity", "legal_basis", "6.1.z")
    edit(path, "edit organisation", "telephone", 32456)
    error = ropa.refused("register", "import", "edited.xlsx")
    places = {problem["path"] for problem in error["problems"]}
    assert places == {"sheet edit activity, row 2, legal_basis", "sheet edit organisation, row 2, telephone"}
    assert ropa.json("register", "list")["revision"] == 1


def test_an_edit_beside_the_register_is_told(ropa: Ropa) -> None:
    ropa("register", "export", "--format", "xlsx", "-o", "edited.xlsx", code=0)
    edit(ropa.folder / "edited.xlsx", "edit read me", "How to edit the register here", "Not mine")
    out = ropa("register", "import", "edited.xlsx", code=0).out
    assert "not carried over: sheet edit read me: was edited, but is made from the register" in out


def test_bytes_go_into_a_file_or_a_pipe_but_not_on_a_terminal_or_into_a_document(ropa: Ropa) -> None:
    command = [str(SCRIPT), "-C", str(ropa.folder), "register", "export", "--format", "xlsx"]
    piped = subprocess.run(command, capture_output=True, check=True, timeout=60)
    (ropa.folder / "piped.xlsx").write_bytes(piped.stdout)
    assert read_incoming(ropa.folder / "piped.xlsx").form == "workbook"
    before = snapshot(ropa.folder)
    answer = ropa("register", "export", "--format", "xlsx", "--json", code=2)
    assert "-o" in answer.document["next_step"]
    ours, theirs = pty.openpty()
    try:
        shown = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, check=False, timeout=60)
    finally:
        os.close(theirs)
        os.close(ours)
    assert shown.returncode == 2
    assert b"Name a file with -o" in shown.stderr
    assert snapshot(ropa.folder) == before


def test_a_spreadsheet_of_somebody_else_comes_beside_what_is_there(ropa: Ropa) -> None:
    (ropa.folder / "other.csv").write_text(
        "Purpose,Personal data,Recipients,Retention,Comment\nPayroll,name,nil,until they leave,x\n", encoding="utf-8"
    )
    before = {one["key"] for one in ropa.json("register", "list")["activities"]}
    done = ropa.json("register", "import", "other.csv")
    assert (done["form"], done["revision"]) == ("article30", 2)
    assert [one["where"] for one in done["left"]] == ["sheet other.csv, row 2, column Comment"]
    assert {one["key"] for one in ropa.json("register", "list")["activities"]} == before | {"payroll"}
    found = {(one["code"], one["entry"]) for one in ropa.json("check", code=1)["findings"]}
    assert ("period-in-words", "activity.payroll.data.name") in found
