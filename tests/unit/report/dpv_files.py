"""DPV 2.3, DPCat's shapes and the examples of both, which are not part of the project, and pyshacl over them."""

import csv
import os
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("ROPA_DPV") or Path(__file__).parents[4] / "shared" / "data" / "dpv")


def files() -> Path:
    """The folder; the test that asks is skipped where it is absent."""
    if not ROOT.is_dir():
        pytest.skip(f"beds absent: {ROOT}")
    return ROOT


@cache
def terms() -> tuple[dict[str, set[str]], set[str]]:
    """Every term by namespace, and the IRIs that are on their way out."""
    found: dict[str, set[str]] = {}
    for path in (files() / "dpv-2.3").glob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if "namespace" in row:
                    found.setdefault(row["namespace"], set()).add(row["iri"])
    sunset = set()
    for path in (files() / "dpv-2.3").glob("*.ttl"):
        text = path.read_text(encoding="utf-8")
        prefixes = dict(re.findall(r"@prefix ([\w-]*): <([^>]+)>", text))
        for block in text.split("\n\n"):
            if re.search(r'term_status\s+"sunset"', block):
                prefix, _, local = re.split(r"\s", block.strip())[0].partition(":")
                sunset.add(prefixes[prefix] + local)
    return found, sunset


@cache
def vocabulary():
    """The vocabulary as a graph: it types its own terms."""
    import rdflib

    graph = rdflib.Graph()
    for name in ("dpv", "pd", "eu-gdpr"):
        graph.parse(files() / "dpv-2.3" / f"{name}.ttl")
    return graph


@cache
def dpcat_shapes():
    """DPCat's mandatory shapes, over the namespace of DPV 2."""
    import rdflib

    text = (files() / "dpcat" / "shapes" / "dpcat_shapes_mandatory.ttl").read_text(encoding="utf-8")
    graph = rdflib.Graph()
    graph.parse(data=text.replace("https://w3id.org/dpv/dpv-skos#", "https://w3id.org/dpv#"), format="turtle")
    return graph


def violations(graph, shapes) -> set[tuple[str, str]]:
    """What does not conform: the end of the focus node's name and that of the shape's, of the path where it has none."""
    import pyshacl
    import rdflib

    sh = rdflib.Namespace("http://www.w3.org/ns/shacl#")
    _ok, results, text = pyshacl.validate(graph + vocabulary(), shacl_graph=shapes, inplace=True)
    assert "Validation Report" in text
    found = set()
    for one in results.objects(None, sh.result):
        named = results.value(one, sh.sourceShape)
        broken = named if isinstance(named, rdflib.URIRef) else results.value(one, sh.resultPath)
        focus = str(results.value(one, sh.focusNode)).removeprefix("urn:ropa:").partition(":")[2]
        found.add((focus, re.split("[#/]", str(broken))[-1]))
    return found
