"""Rows that refer to each other in any way across targets, and which of them can go: for tests of turns.

What goes is found by trying, record by record, in a program that shares no code with the product.
"""

import os
import random

from sweep_kit import CAPS, FRESH, OLD, PROSPECTS

SEEDS = 1000 if "ROPA_CAMPAIGN" in os.environ else 8
COLUMNS = ("to_staff", "to_teams", "to_notes")
TABLES = ("staff", "teams", "notes")
HEAD = CAPS + '[location.crm]\nconnector = "memory"\nbatch_size = 2\n'


def dataset(name, *, rides_with=None, kinds=()):
    """Return the text of a dataset, with a rule of six months, or one for each of some kinds of rows."""
    said = f'\n[location.crm.dataset.{name}]\nsource = "{name}"\nkey = ["id"]\nanchor.sent = "sent"\n'
    said += 'data.correspondence = ["text"]\n'
    if rides_with:
        said += f'parent = {{ dataset = "crm.{rides_with}", via = ["to_{rides_with}"], with_parent = true }}\n'
        return said
    rule = PROSPECTS.replace("crm.contacts", f"crm.{name}").replace("created", "sent")
    for kind in kinds or ("",):
        said += rule.replace("rule.prospects", f"rule.{name}{kind}")
        said += f'where = {{ kind = "{kind}" }}\n' if kind else ""
    return said


def row(key, sent=OLD, kind="x", **references):
    return {"id": key, "sent": sent, "text": f"tekst {key}", "kind": kind} | dict.fromkeys(COLUMNS) | references


def scene(seed, *, rides):
    """Return random rows of three tables that refer to each other in any way but in a circle within one target, whose
    members could only go in one batch."""
    draw = random.Random(seed)
    rows = {name: [row(key, kind=draw.choice("xy")) for key in range(1, draw.randint(2, 9))] for name in TABLES}
    if rides:
        for item in rows["notes"]:
            item["to_staff"] = draw.choice([None, *(one["id"] for one in rows["staff"])])

    def place(name, item):
        """Where a row stands in its target: only what stands before it is referred to within."""
        if rides and name in {"staff", "notes"}:
            main = item["id"] if name == "staff" else item["to_staff"]
            return "family", (main or 99, name == "staff", item["id"])
        return name, (item["id"],)

    for name, items in rows.items():
        for item in items:
            item["sent"] = FRESH if draw.random() < 0.05 else OLD
            for column in COLUMNS:
                there = column.removeprefix("to_")
                target, mine = place(name, item)
                choice = [
                    one["id"] for one in rows[there] if place(there, one)[0] != target or place(there, one)[1] < mine
                ]
                if draw.random() < 0.35 and choice and not (rides and (name, there) == ("notes", "staff")):
                    item[column] = draw.choice(choice)
    return rows


def links():
    """Return every (table, column, table referred to)."""
    return [(name, column, column.removeprefix("to_")) for name in TABLES for column in COLUMNS]


def configured(*, rides):
    """Return the configuration of a scene: two rules for one table, or a table whose rows go with those of another."""
    said = HEAD + dataset("staff", kinds=() if rides else ("x", "y")) + dataset("teams")
    return said + dataset("notes", rides_with="staff" if rides else None)


def what_goes(rows, *, rides):
    """Return the (table, id) that can go: every record of which each that refers to it goes before it, or with it.
    Found by trying, record by record."""
    nodes = {(name, item["id"]): item for name, items in rows.items() for item in items}
    referring = {node: set() for node in nodes}
    for node, item in nodes.items():
        for column in COLUMNS:
            if item[column] is not None:
                referring[column.removeprefix("to_"), item[column]].add(node)
    family = {node: node for node in nodes}
    if rides:
        family |= {("notes", item["id"]): ("staff", item["to_staff"]) for item in rows["notes"] if item["to_staff"]}
    going = {node for node, item in nodes.items() if not (rides and node[0] == "notes") and item["sent"] == OLD}
    members = {main: {node for node in nodes if family[node] == main} for main in going}
    gone = set()
    while ready := [
        main
        for main in members
        if main not in gone
        and all(other in gone for node in members[main] for other in referring[node] - members[main])
    ]:
        for main in ready:
            gone |= members[main]
    return gone
