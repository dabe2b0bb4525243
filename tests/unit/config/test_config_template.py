"""The file that `ropa init` writes loads, and teaches every key; the reference tells every key."""

import re

from ropa.config import reference, template
from ropa.config.keys import SECTIONS
from ropa.connector import Action


def test_the_template_loads_as_it_stands_and_only_flags(read):
    config = read(template())
    assert config.locations["crm"].connector == "sql"
    assert {rule.action for rule in config.rules.values()} == {Action.FLAG}


def test_the_template_names_every_key():
    for section, keys in SECTIONS.items():
        for name in keys:
            assert re.search(rf"(?<![\w-]){name}(?![\w-])", template()), f"{section}.{name}"


def test_every_key_that_the_template_leaves_out_can_be_put_in(read):
    text = template()
    for line in re.findall(r"^# (\w[\w.-]* = .*|\[[\w.]+\])$", text, re.MULTILINE):
        text = text.replace(f"# {line}", line)
    # The mask goes with another action, the date in a name with files, and the orders and accounts are not declared.
    text = text.replace('action = "flag"', 'action = "anonymise"').replace('reason = "..."', 'reason = "as agreed"')
    for other in ("orders", "accounts"):
        text += f'[location.crm.dataset.{other}]\nsource = "{other}"\n'
    config = read(text)
    assert config.origin == "ropa/example"
    assert config.rules["prospects"].max_share == 0.9
    assert len(config.rules["prospects"].where) == 3
    assert config.dataset("crm.contacts").anchors.keys() >= {"created", "imported", "last-activity", "applied"}


def test_the_reference_has_one_row_for_every_key():
    rows = [line for line in reference().splitlines() if line.startswith("| `")]
    assert len(rows) == sum(len(keys) for keys in SECTIONS.values())
    assert any(row.startswith("| `rule.X.period` |") and "**required**" in row for row in rows)
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 5 for row in rows)


def test_the_reference_tells_the_keys_of_each_connector(types):
    text = reference(types)
    assert "| `location.X.root` | path (text) | **required** |" in text
    assert "| `location.X.dataset.Y.depth` | integer |" in text
    assert (
        "| `location.X.password` | secret: `env:NAME`, `file:PATH`, `credential:NAME` or `keyring:SERVICE/USER` |"
        in text
    )
    assert "Anchors that every dataset has: `mtime`." in text
    assert "### Connector `manual`\n\nNo keys of its own." in text
