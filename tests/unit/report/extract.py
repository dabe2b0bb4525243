"""The text of a report in each format: what a reader, or a program that reads it, finds there.

A format joins by a function here; ``test_report_facts`` then looks for every fact of the document in it.
"""

import csv
import io
import json
import shutil
import subprocess
from html.parser import HTMLParser

import pytest


class _Page(HTMLParser):
    """The text of a page and what its pictures and links say to those who do not see them."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.texts, self.unseen = [], 0

    def handle_starttag(self, tag, attrs):
        self.unseen += tag in {"style", "script"}
        self.texts += [value for name, value in attrs if name in {"aria-label", "alt", "lang"} and value]

    def handle_endtag(self, tag):
        self.unseen -= tag in {"style", "script"}

    def handle_data(self, data):
        if not self.unseen:
            self.texts.append(data)


def of_html(content):
    page = _Page()
    page.feed(content.decode())
    return "\n".join(page.texts)


def of_csv(content):
    rows = csv.reader(io.StringIO(content.decode(), newline=""))
    return "\n".join(cell for row in rows for cell in row)


def of_json(content):
    return "\n".join(_leaves(json.loads(content)))


def _leaves(value):
    if isinstance(value, dict):
        for key, part in value.items():
            yield key  # JSON-LD has identifiers as keys too
            yield from _leaves(part)
    elif isinstance(value, list):
        for part in value:
            yield from _leaves(part)
    elif value is not None:
        yield str(value)


def of_xlsx(content):
    from openpyxl import load_workbook

    book = load_workbook(io.BytesIO(content), read_only=True)
    try:
        return "\n".join(
            str(cell) for sheet in book for row in sheet.iter_rows(values_only=True) for cell in row if cell is not None
        )
    finally:
        book.close()


def of_pdf(content):
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext (poppler-utils) is not installed")
    command = ["pdftotext", "-enc", "UTF-8", "-", "-"]
    return subprocess.run(command, input=content, capture_output=True, check=True).stdout.decode()


TEXT_OF = {"html": of_html, "csv": of_csv, "json": of_json, "xlsx": of_xlsx, "pdf": of_pdf, "jsonld": of_json}
