"""What names and types of columns suggest: enough of what is personal, and little else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ropa.vocabulary import categories, hint_category, hint_columns
from ropa.vocabulary.hints import key_value_columns, strong_hint

BEDS = Path(__file__).parents[4] / "shared" / "beds"
NO_DATUM = {"user.unique_id", "user.sensor", "user"}
"""Labels of Fides on keys and on columns of which nothing is said: not what a name could tell."""


@pytest.mark.parametrize(
    ("column", "category"),
    [
        ("comment_author_email", "email"), ("comment_author_IP", "ip-address"), ("comment_author", "name"),
        ("adresse_email", "email"), ("location_ip", "ip-address"), ("ship_name", "name"), ("date_of_birth", "birth-date"),
        ("billing_state", "address"), ("ccn", "bank-account"), ("BTW_nummer", "invoice"), ("user_pass", "credentials"),
        ("nom_entreprise", "organisation-name"), ("Kreditkartennummer", "bank-account"), ("sofinummer", "national-id"),
        ("opt_in_date", "consent-record"), ("emailadresKlant", "email"),
    ],
)  # fmt: skip
def test_the_phrase_that_ends_last_decides(column, category):
    assert hint_category(column) == category


@pytest.mark.parametrize(
    "column",
    ["email_verified", "is_email_valid", "invoice_type", "payment_term", "address_id", "phone_type", "password_changed",
     "nb_clients", "ip_version", "comment_karma", "email_count", "id_adresse", "mailserver_url_regex", "location_type_id"],
)  # fmt: skip
def test_what_is_said_about_a_datum_is_not_the_datum(column):
    assert hint_category(column) is None


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        ("BOOLEAN", {"consent", "opt_out"}),
        ("TINYINT(1)", {"consent", "opt_out"}),
        ("INTEGER", {"telephone", "house_number", "iban"}),
        ("int", {"telephone", "house_number", "iban"}),
        ("timestamp with time zone", {"consent", "opt_out", "birth_date"}),
        ("DATE", {"consent", "opt_out", "birth_date"}),
        ("VARCHAR(40)", {"email", "telephone", "house_number", "consent", "opt_out", "birth_date", "iban"}),
        ("", {"email", "telephone", "house_number", "consent", "opt_out", "birth_date", "iban"}),
        ("bytea", {"email", "telephone", "house_number", "consent", "opt_out", "birth_date", "iban"}),
    ],
)
def test_a_type_rules_out_what_it_cannot_hold(kind, columns):
    names = ["email", "telephone", "house_number", "consent", "opt_out", "birth_date", "iban"]
    assert set(hint_columns("customers", [(name, kind) for name in names])) == columns


def test_a_word_that_says_little_needs_a_table_of_persons_or_a_column_that_says_more():
    weak = [("name", "TEXT"), ("city", "TEXT"), ("notes", "TEXT")]
    assert hint_columns("product_categories", weak) == {}
    assert hint_columns("crm.Klanten", weak) == {"name": "name", "city": "address", "notes": "correspondence"}
    assert hint_columns("user_dashboards", weak) == {}, "a dashboard is no person"
    assert set(hint_columns("t17", [*weak, ("e_mail", "TEXT")])) == {"name", "city", "notes", "e_mail"}
    assert set(hint_columns("dashboards", [*weak, ("login", "TEXT")])) == {"login", "city", "notes"}


def test_keys_and_foreign_keys_count_where_they_identify_a_person_themselves():
    columns = [("email", "TEXT"), ("full_name", "TEXT"), ("iban", "TEXT"), ("first_name", "TEXT")]
    found = hint_columns("members", columns, key=["email", "full_name"], pointers=["iban", "first_name"])
    assert found == {"email": "email", "iban": "bank-account"}


@pytest.mark.parametrize(
    ("columns", "pair"),
    [
        (["meta_id", "post_id", "meta_key", "meta_value"], ("meta_key", "meta_value")),
        (["option_id", "option_name", "option_value", "autoload"], ("option_name", "option_value")),
        (["id", "veld", "waarde"], ("veld", "waarde")),
        (["id", "value"], (None, "value")),
        (["id", "email"], (None, None)),
        ([], (None, None)),
    ],
)
def test_the_columns_of_a_key_value_table_are_told(columns, pair):
    assert key_value_columns(columns) == pair


def test_a_strong_hint_needs_no_table():
    assert (strong_hint("first_name"), strong_hint("name"), strong_hint("rich_editing")) == ("name", None, None)


def test_a_name_of_any_length_or_script_suggests_something_known_or_nothing():
    for name in ["", "_", "名前", "a" * 10_000, "e" + "-mail" * 3000, "\ud800", "email\x00"]:
        assert hint_category(name) in {None, *categories()}


# --- measured -----------------------------------------------------------------------------------------------------


def _labels(path: Path) -> dict[tuple[str, str], str]:
    """Read (table, column) to label from the data map of Fides: YAML of one regular shape."""
    found, table, column = {}, "", ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if named := re.match(r" {6}- name: (\w+)", line):
            table = named[1]
        elif named := re.match(r" {10}- name: (\w+)", line):
            column = named[1]
        elif labelled := re.match(r" {12}data_categories: \[(.*)\]", line):
            found[table, column] = labelled[1]
    return found


def _tables(path: Path) -> dict[str, list[tuple[str, str]]]:
    text = path.read_text(encoding="utf-8", errors="replace")
    found = {}
    for made in re.finditer(r"CREATE TABLE (?:IF NOT EXISTS )?([^\s(]+)\s*\((.*?)\n\)", text, re.DOTALL):
        lines = [re.match(r"\s*[`\"]?(\w+)[`\"]?\s+([\w() ]+)", line) for line in made[2].splitlines()]
        found[made[1].strip('`"').rpartition(".")[2]] = [
            (line[1], re.sub(r"\s+(NOT|DEFAULT|PRIMARY)\b.*", "", line[2]).strip())
            for line in lines
            if line and line[1].upper() not in {"PRIMARY", "KEY", "UNIQUE", "CONSTRAINT", "FULLTEXT", "FOREIGN"}
        ]
    return found


@pytest.mark.parametrize("engine", ["postgres", "mysql"])
def test_names_agree_with_a_database_whose_authors_labelled_it(engine):
    labels_at = BEDS / "fides" / f"{engine}_example_test_dataset.yml"
    schema_at = BEDS / "fides" / ("postgres_sample.sql" if engine == "postgres" else "mysql_example.sql")
    if not labels_at.exists():
        pytest.skip(f"the labelled database is not at {labels_at}")
    labels, tables = _labels(labels_at), _tables(schema_at)
    personal = {at for at, label in labels.items() if label.startswith("user") and label not in NO_DATUM}
    guessed = set()
    for table in {table for table, _ in labels}:
        types = dict(tables.get(table, []))
        columns = [(column, types.get(column, "")) for of, column in labels if of == table]
        guessed |= {(table, column) for column in hint_columns(table, columns)}
    right = len(guessed & personal)
    print(f"{engine}: precision {right / len(guessed):.2f}, recall {right / len(personal):.2f}, {len(labels)} columns")
    assert right / len(guessed) >= 0.85
    assert right / len(personal) >= 0.90


EXPECTED = {
    "matomo-omnifixture.mysql.sql": {
        "log_visit": {"location_ip", "idvisitor", "user_id", "referer_url", "location_latitude"},
        "user": {"login", "email", "password"},
        "brute_force_log": {"ip_address"},
        "goal": set(),
        "sequence": set(),
    },
    "wordpress.mysql.sql": {
        "wp_comments": {"comment_author", "comment_author_email", "comment_author_IP", "comment_content"},
        "wp_users": {"user_login", "user_email", "user_pass", "display_name"},
        "wp_terms": set(),
        "wp_options": set(),
    },
    "phplist.mysql.sql": {
        "phplist_user_user": {"email", "password"},
        "phplist_user_blacklist": {"email"},
        "phplist_user_user_history": {"ip"},
        "phplist_list": set(),
    },
    "tryton.pg.sql": {
        "party_party": {"name"},
        "res_user": {"login", "email"},
        "product_category": set(),
        "stock_move": set(),
    },
}


@pytest.mark.parametrize("dump", EXPECTED)
def test_names_find_the_personal_columns_of_real_schemas_and_leave_the_others(dump):
    path = BEDS / "databases" / dump
    if not path.exists():
        pytest.skip(f"there is no {path}")
    tables = _tables(path)
    for table, wanted in EXPECTED[dump].items():
        found = set(hint_columns(table, tables[table]))
        assert wanted <= found, table
        assert wanted or not found, table
