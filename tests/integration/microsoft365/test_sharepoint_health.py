"""What was granted, what there is, and what the service's definition says of what is asked."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from sharepoint_fake import CHILD_ID, Item, column
from sharepoint_kit import fill_library, fill_list, library_spec, list_spec, open_site

from connectors.suite import DATASET, Row, due
from ropa.connector import Action, FieldChange

BEDS = Path(os.environ.get("ROPA_BEDS") or Path(__file__).parents[4] / "shared" / "beds")
ROWS = [Row(str(number)) for number in range(901, 904)]


@pytest.mark.parametrize(
    ("roles", "may_delete", "said"),
    [
        (("Sites.Selected",), None, "cannot be read"),
        (("Sites.ReadWrite.All",), True, "too much: Sites.ReadWrite.All reaches every site"),
        (("Sites.Read.All",), False, "missing: no permission to delete"),
        (("Mail.ReadWrite",), False, "missing: no permission to read"),
        (("Sites.Selected", "Mail.ReadWrite"), None, "too much: Mail.ReadWrite is not needed"),
        ((), None, "does not say"),
    ],
)
def test_checking_says_what_is_missing_and_what_is_too_much(roles, may_delete, said):
    fake = fill_list(ROWS)
    fake.roles = roles
    health = open_site(fake, list_spec()).check()
    assert health.is_reachable
    assert health.may_read
    assert health.may_delete is may_delete
    assert health.planning_may_delete is may_delete  # one application plans and applies here
    assert any(said in note for note in health.notes)
    assert health.now is not None
    assert "app-1" in health.identity


def test_a_site_that_is_denied_names_what_to_grant():
    fake = fill_list(ROWS)
    fake.answers["GET", "/sites/hr"] = [(403, {}, {"error": {"code": "accessDenied"}})]
    health = open_site(fake, list_spec()).check()
    assert health.may_read is False
    assert any("Sites.Selected" in note for note in health.notes)


def test_discovery_lists_what_is_not_declared_with_columns_and_references():
    fake = fill_list(ROWS, [Row("801", parent="901")])
    infos = {info.source: info for info in open_site(fake, list_spec()).datasets()}
    assert set(infos) == {"list:Klanten", "list:Orders", "library:Documenten"}
    assert [info.declared_as for info in infos.values()] == [DATASET, None, None]
    (reference,) = infos["list:Orders"].references
    assert (reference.columns, reference.to_source) == (("Klant",), "list:Klanten")
    assert {"Title", "Email", "Datum"} <= {one.name for one in infos["list:Klanten"].columns}


def test_discovery_looks_into_lists_and_libraries_that_nobody_declared():
    fake = fill_library([Row("901", note="x@example.org")], fake=fill_list([], [Row("801", person="a@example.org")]))
    fake.lists[CHILD_ID].columns.append(column("Systeem", hidden=True))
    connector = open_site(fake, list_spec())
    look = {}
    for source in ("list:Orders", "library:Documenten", "list:Nergens", "what"):
        look[source] = connector.inspect(source, lambda _, text: "email" if "@" in text else None, limit=5)
    assert look == {
        "list:Orders": {"Email": {"email": 1}}, "library:Documenten": {"Nota": {"email": 1}},
        "list:Nergens": {}, "what": {},
    }  # fmt: skip


def test_a_onedrive_is_reached_by_its_owner():
    fake = fill_library(ROWS)
    original = fake._graph

    def graph(method, path, *more):
        if path == "/users/zoe@contoso.test/drive":
            return 200, {}, {"id": "b!drive-0001"}
        return original(method, path, *more)

    fake._graph = graph
    connector = open_site(fake, library_spec("onedrive"), site=None, user="zoe@contoso.test")
    assert connector.count(DATASET) == 3
    assert connector.check().is_reachable
    (info,) = connector.datasets()
    assert info.declared_as == DATASET


def test_what_is_asked_and_answered_is_as_the_definition_has_it():
    path = BEDS / "microsoft365" / "graph-v1.0-slice.openapi.json"
    if not path.exists():
        pytest.skip(f"beds absent: {path.name}")
    from openapi_core import OpenAPI
    from openapi_core.testing import MockRequest, MockResponse

    api = OpenAPI.from_dict(json.loads(path.read_text()))
    known = _patterns(json.loads(path.read_text()))
    fake = fill_library(ROWS, fake=fill_list(ROWS))
    seen = []

    def watch(method, path, query, headers, body, original=fake._graph):
        answer = original(method, path, query, headers, body)
        seen.append((method, path, query, body, answer))
        return answer

    fake._graph = watch
    spec = list_spec(name="lists", options={"flag_column": "ropa"})
    connector = open_site(fake, library_spec(), spec, batch_size=100)
    for name, action, fields in (
        ("lists", Action.FLAG, ()), ("lists", Action.ANONYMISE, (FieldChange("Title"),)),
        ("lists", Action.PURGE, ()), (DATASET, Action.PURGE, ()),
    ):  # fmt: skip
        selection = due(dataset=name, fields=fields)
        (batch,) = connector.find(selection)
        connector.act(selection, batch, action)
        connector.remaining(selection, batch)
    checked = 0
    for method, address, query, body, (status, _, content) in seen:
        if not any(pattern.fullmatch(address) for pattern in known):
            continue
        request = MockRequest(
            "https://graph.microsoft.com", method.lower(), f"/v1.0{address}", args=query,
            data=b"" if body is None else json.dumps(body).encode(),
        )  # fmt: skip
        api.validate_request(request)
        data = b"" if content is None else json.dumps(content).encode()
        api.validate_response(request, MockResponse(data, status_code=status))
        checked += 1
    assert checked > 20


def _patterns(definition):
    import re

    return [re.compile(re.sub(r"\\\{[^}]+\\\}", "[^/]+", re.escape(path))) for path in definition["paths"]]


def test_importing_the_connector_loads_neither_httpx_nor_msal():
    import subprocess
    import sys

    code = "import sys, connectors.microsoft365.sharepoint; print({'httpx', 'msal'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_an_item_without_a_version_is_never_changed_unconditionally():
    fake = fill_list(ROWS[:1])
    original = fake._list_item
    fake._list_item = lambda item, query: {k: v for k, v in original(item, query).items() if k != "eTag"}
    connector = open_site(fake, list_spec())
    selection = due(fields=(FieldChange("Title"),))
    (batch,) = connector.find(selection)
    (outcome,) = connector.act(selection, batch, Action.ANONYMISE)
    assert (str(outcome.word), outcome.code) == ("failed", "no-version")
    assert isinstance(fake.files["root"], Item)
