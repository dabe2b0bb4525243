"""Spreadsheets with the columns of Art. 30, as other people keep them, become entries; nothing is guessed or dropped."""

from __future__ import annotations

import os
from pathlib import Path

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from register_builders import TODAY, sound
from workbooks import saved, sheet_of

from ropa.errors import RegisterError
from ropa.register import Register, check, to_json
from ropa.register.exchange import Incoming, merged, read_incoming
from ropa.register.exchange.article30 import read_csv, read_sheets
from ropa.register.exchange.article30_cells import pieces
from ropa.register.exchange.article30_words import COLUMNS, DETAILS, PARTIES, column_of, country_of
from ropa.register.exchange.sheets import Sheet
from ropa.register.exchange.workbook_reading import read_workbook

NINE = (
    "the purposes of the processing; ",
    "a description of the categories of data subjects",
    "the categories of personal data;",
    "the categories of recipients",
    "Name of recipients in third countries ",
    "International recipient Country ",
    "documentation of suitable safeguards;",
    "the envisaged time limits for erasure of the different categories of data;",
    "a general description of the technical and organisational security ",
)
HELD = ("purposes", "subjects", "data", "recipients", "abroad", "countries", "safeguards", "period", "measures")
ROW = (
    "Payroll",
    "Employees",
    "name; bank account number",
    "Tax office",
    "Beta Ltd.",
    "Canada",
    "SCC",
    "7 years",
    "TLS",
)
ICO = (
    "Business function", "Purpose of processing", "Name and contact details of joint controller (if applicable)",
    "Categories of individuals", "Categories of personal data", "Categories of recipients",
    "Link to contract with processor",
    "Names of third countries or international organisations that personal data are transferred to (if applicable)",
    "Safeguards for exceptional transfers of personal data to third countries or international organisations (if applicable)",
    "Retention schedule (if possible)",
    "General description of technical and organisational security measures (if possible)",
    "Article 6 lawful basis for processing personal data", "Location of personal data",
    "Link to retention and erasure policy document",
    "Is personal data retained and erased in accordance with the policy document?",
)  # fmt: skip


def read(*rows, title: str = "Sheet1") -> Incoming:
    return read_workbook(sheet_of(rows, title), "other.xlsx")


def left(incoming: Incoming) -> dict[str, str]:
    return {one.where: one.why for one in incoming.left}


def only(register: Register):
    [activity] = register.activities.values()
    return activity


# --- headings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("heading", "column"), [*zip(NINE, HELD, strict=True)])
def test_the_nine_columns_are_recognised(heading, column):
    assert column_of(heading) == column


@pytest.mark.parametrize(
    ("headings", "columns"),
    [
        (
            ["Verwerkingsdoeleinden", "Categorieën van betrokkenen", "Categorieën van persoonsgegevens",
             "Categorieën van ontvangers", "Doorgiften aan derde landen", "Passende waarborgen", "Beoogde bewaartermijnen",
             "Algemene beschrijving van de technische en organisatorische beveiligingsmaatregelen", "Rechtsgrond"],
            ["purposes", "subjects", "data", "recipients", "countries", "safeguards", "period", "measures", "legal_basis"],
        ),
        (
            ["Finalités du traitement", "Catégories de personnes concernées", "Catégories de données à caractère personnel",
             "Catégories de destinataires", "Transferts vers des pays tiers", "Garanties appropriées",
             "Durée de conservation", "Mesures de sécurité techniques et organisationnelles", "Base juridique"],
            ["purposes", "subjects", "data", "recipients", "countries", "safeguards", "period", "measures", "legal_basis"],
        ),
        (
            ["Zwecke der Verarbeitung", "Kategorien betroffener Personen", "Kategorien personenbezogener Daten",
             "Kategorien von Empfängern", "Übermittlungen an Drittländer", "Geeignete Garantien",
             "Vorgesehene Löschfristen", "Technische und organisatorische Maßnahmen", "Rechtsgrundlage"],
            ["purposes", "subjects", "data", "recipients", "countries", "safeguards", "period", "measures", "legal_basis"],
        ),
        (["Art. 30(1)(b): PURPOSES", "(30.1.f) Retention periods"], ["purposes", "period"]),
    ],
    ids=["nl", "fr", "de", "articles"],
)  # fmt: skip
def test_headings_are_recognised_in_four_languages(headings, columns):
    assert [column_of(heading) for heading in headings] == columns


@pytest.mark.parametrize(
    "heading",
    ["", " ", "Location of personal data", "Link to retention and erasure policy document", "Categories", "the", "Ref",
     "Is personal data retained and erased in accordance with the policy document?", "Link to contract with processor",
     "Name and contact details of joint controller (if applicable)", "30", "()"],
)  # fmt: skip
def test_a_heading_that_merely_resembles_one_is_not_taken_for_it(heading):
    assert column_of(heading) is None


@pytest.mark.parametrize("listed", [COLUMNS, PARTIES, DETAILS], ids=["columns", "parties", "details"])
def test_no_heading_means_two_columns(listed):
    from ropa.register.exchange import article30_words as words

    found: dict[frozenset[str], str] = {}
    for key, many in listed.items():
        for one in many.split("|"):
            assert words._words(one), one
            assert found.setdefault(words._words(one), key) == key, one


def test_the_header_may_stand_anywhere_and_in_any_order():
    order = (8, 2, 0, 7, 1, 6, 5, 4, 3)
    above = [["Register of processing"], []]
    plain = read(NINE, ROW)
    mixed = read(*above, [NINE[index] for index in order], [ROW[index] for index in order])
    assert mixed.register == plain.register
    assert "sheet Sheet1, row 1, column A" in left(mixed)
    assert read(*[["x"]] * 29, NINE, ROW).register == plain.register
    with pytest.raises(RegisterError, match="none with the columns of Art"):
        read(*[["x"]] * 30, NINE, ROW)


# --- a row --------------------------------------------------------------------------------------------------------


def test_a_row_becomes_an_activity_with_all_it_says():
    register = read(NINE, ROW).register
    activity = register.activities["payroll"]
    assert (activity.title, activity.purposes) == ("Payroll", ("Payroll",))
    assert activity.subjects == ("employee",)
    assert [*activity.data] == ["name", "bank-account"]
    assert activity.recipients == ("tax-office", "beta-ltd")
    assert (activity.stated_period, activity.stated_text) == ("7 years", None)
    assert activity.measures == ("TLS",)
    beta = register.recipients["beta-ltd"]
    assert (beta.name, beta.country, beta.transfer.country, beta.transfer.safeguard) == ("Beta Ltd.", "CA", "CA", "scc")
    assert (activity.legal_basis, register.categories) == ("unknown", {})


def row(**values: object) -> tuple[tuple[str, ...], tuple[object, ...]]:
    """A header and a row with a purpose, some data, and what is given."""
    said = {"purposes": "Payroll", "data": "name", "subjects": "employee"} | values
    return tuple(NINE[HELD.index(key)] if key in HELD else key for key in said), tuple(said.values())


@pytest.mark.parametrize(
    "text", ["until end of contract", "zes maanden", "2 jaar", "7", "1 year; invoices 7 years", "0 days"]
)
def test_a_period_that_cannot_be_read_entirely_stays_in_words_and_is_a_finding(text):
    incoming = read(*row(period=text))
    assert (only(incoming.register).stated_period, only(incoming.register).stated_text) == (None, text)
    assert "period-in-words" in {one.code for one in check(incoming.register, None, today=TODAY)}


def test_a_number_as_period_is_no_period_for_it_has_no_unit():
    assert only(read(*row(period=7)).register).stated_text == "7"


def test_what_the_vocabulary_does_not_name_exactly_becomes_a_category_of_the_organisation():
    register = read(
        *row(data="CV, date of birth, Health and safety data (accidents, leave)\n- Shoe size; shoe  size")
    ).register
    assert [*only(register).data] == ["cv", "birth-date", "health-and-safety-data-accidents-leave", "shoe-size"]
    assert (
        register.categories["health-and-safety-data-accidents-leave"].title
        == "Health and safety data (accidents, leave)"
    )
    assert not register.categories["health-and-safety-data-accidents-leave"].special


def test_subjects_without_a_word_of_ours_keep_their_own():
    activity = only(read(*row(subjects="Customers, patients of the ward, Πελάτες")).register)
    assert activity.subjects == ("customer", "patients-of-the-ward", "other")
    assert activity.note == "Data subjects: Πελάτες"


@pytest.mark.parametrize(
    ("text", "recipients"), [("nil", ("none",)), ("Geen", ("none",)), ("?", ("unknown",)), (None, ())]
)
def test_no_recipient_an_unknown_one_and_nothing_said_are_three_things(text, recipients):
    assert only(read(*row(recipients=text)).register).recipients == recipients


def test_a_recipient_is_one_entry_however_often_it_is_named():
    header, first = row(recipients="Alpha NV", countries=None)
    register = read(header, first, ["Bonus", "name", "employee", "alpha  nv", "United States"]).register
    assert [*register.recipients] == ["alpha-nv"]
    assert register.recipients["alpha-nv"].country == "US"
    assert {one.recipients for one in register.activities.values()} == {("alpha-nv",)}


def test_a_country_of_the_union_is_no_transfer():
    recipient = read(*row(abroad="Gamma", countries="Deutschland")).register.recipients["gamma"]
    assert (recipient.country, recipient.transfer) == ("DE", None)


def test_countries_and_names_are_paired_only_where_it_is_certain():
    paired = read(*row(abroad="A; B", countries="India; unknown")).register.recipients
    assert {key: one.country for key, one in paired.items()} == {"a": "IN", "b": "unknown"}
    alone = read(*row(recipients="A; B", countries="India")).register
    assert alone.recipients["india"].transfer.country == "IN"
    assert alone.recipients["a"].country is None


@pytest.mark.parametrize("countries", ["India; Japan; Peru", "India"])
def test_countries_that_nobody_can_attribute_are_kept_in_words_and_told(countries):
    incoming = read(*row(abroad="A; B", countries=countries))
    assert {one.country for one in incoming.register.recipients.values()} == {None}
    assert only(incoming.register).note == f"Countries: {countries}"
    assert "which country is whose" in str(left(incoming))


@pytest.mark.parametrize("countries", ["NO", "NA"])
def test_a_code_that_may_also_say_no_is_told_and_not_guessed_at(countries):
    incoming = read(*row(abroad="A", countries=countries))
    assert incoming.register.recipients["a"].country is None
    assert "may be the code of a country" in str(left(incoming))
    assert left(read(*row(abroad="A", countries=countries.lower()))) == {}


def test_a_country_that_is_not_known_and_nobodys_is_told():
    assert "not known, and not whose" in str(left(read(*row(recipients="A; B", countries="unknown"))))


def test_a_place_that_is_no_country_and_a_safeguard_in_words_are_kept_and_told():
    incoming = read(*row(abroad="A", countries="the Cloud", safeguards="Article 45 Adequacy"))
    recipient = incoming.register.recipients["a"]
    assert (recipient.country, recipient.note) == ("unknown", "Country: the Cloud")
    assert (recipient.transfer.safeguard, recipient.transfer.note) == ("unknown", "Article 45 Adequacy")
    assert len(incoming.left) == 2


def test_another_country_for_the_same_recipient_is_told_and_changes_nothing():
    header, first = row(abroad="A", countries="India")
    incoming = read(header, first, ["Bonus", "name", "employee", "A", "Japan"])
    assert incoming.register.recipients["a"].country == "IN"
    assert "names another country" in str(left(incoming))


def test_a_safeguard_without_a_transfer_is_kept_in_the_note():
    incoming = read(*row(safeguards="SCC"))
    assert only(incoming.register).note == "Safeguards: SCC"
    assert len(incoming.left) == 1


@pytest.mark.parametrize(
    ("text", "basis", "is_told"),
    [
        ("Art. 6(1)(b)", "6.1.b", False),
        ("6.1.f", "6.1.f", False),
        ("Article 6.1.c GDPR", "6.1.c", False),
        ("6(1)(c), Act of 1992", "6.1.c", False),
        ("Consent", "unknown", True),
        ("6(1)(a) or 6(1)(f)", "unknown", True),
        ("6(1)(j)", "unknown", True),
        ("9(2)(a)", "unknown", True),
    ],
)
def test_a_legal_basis_is_taken_where_exactly_one_point_is_named(text, basis, is_told):
    incoming = read(*row(**{"Legal basis": text}))
    activity = only(incoming.register)
    assert activity.legal_basis == basis
    assert bool(incoming.left) is is_told
    assert (activity.note == f"legal_basis: {text}") is (is_told or "Act" in text)


def test_a_second_table_on_a_sheet_has_its_own_headings():
    header, first = row()
    incoming = read(
        header, first, [], ["Sales"], ["Personal data", "Recipients", "Purpose"], ["email", "nil", "Newsletter"]
    )
    assert [*incoming.register.activities] == ["payroll", "sales", "newsletter"]
    assert [*incoming.register.activities["newsletter"].data] == ["email"]
    assert incoming.register.activities["newsletter"].recipients == ("none",)


def test_a_title_over_several_columns_is_no_activity():
    book = openpyxl.Workbook()
    for cells in (*row(), ("Sales",), ("Newsletter", "email", "customer")):
        book.active.append(cells)
    book.active.merge_cells("A3:C3")
    incoming = read_workbook(saved(book), "titles.xlsx")
    assert [*incoming.register.activities] == ["payroll", "newsletter"]
    assert left(incoming) == {"sheet Sheet, row 3": "is a title over several columns, and no activity"}


def test_a_column_without_a_key_is_told_cell_by_cell():
    cells = ["HR", "Payroll", "Joint Ltd", "Employees", "name", "Tax office", "https://example.org", "US", "BCR",
             "7 years", "TLS\nMFA", "6.1.c", "Safe in Ghent", "x", "Yes"]  # fmt: skip
    incoming = read(ICO, cells)
    activity = incoming.register.activities["hr"]
    assert (activity.title, activity.purposes, activity.measures) == ("HR", ("Payroll",), ("TLS", "MFA"))
    assert activity.legal_basis == "6.1.c"
    assert incoming.register.recipients["tax-office"].transfer.safeguard == "bcr"
    told = left(incoming)
    assert len(told) == 5
    assert set(told.values()) == {"stands in a column that the register has no key for"}
    assert "sheet Sheet1, row 2, column Location of personal data" in told
    assert "Ghent" not in str(told)


def test_a_processors_table_is_a_processors():
    header = ("Controllers", "Categories of processing", "Third countries", "Technical and organisational measures")
    activity = only(read(header, ["Alpha NV; Beta NV", "Hosting", None, "TLS"]).register)
    assert (activity.role, activity.title, activity.processing) == ("processor", "Hosting", ("Hosting",))
    assert [one.name for one in activity.controllers] == ["Alpha NV", "Beta NV"]


def test_a_row_without_a_name_and_a_second_column_of_one_kind_are_told():
    header, first = row(subjects="employee")
    told = left(read([*header, "Purpose"], [*first, "Other"], [None, "email", "customer"]))
    assert "neither a name nor a purpose" in told["sheet Sheet1, row 3"]
    assert "second column" in told["sheet Sheet1, row 1, column D"]
    assert "no key" in told["sheet Sheet1, row 2, column Purpose"]


def test_rows_of_one_merged_name_each_become_an_activity_and_it_is_told():
    book = openpyxl.Workbook()
    header, first = row()
    for cells in (header, first, (None, "email", "customer")):
        book.active.append(cells)
    book.active.merge_cells("A2:A3")
    incoming = read_workbook(saved(book), "merged.xlsx")
    assert [*incoming.register.activities] == ["payroll", "payroll-2"]
    assert "merged over the rows to 3" in left(incoming)["sheet Sheet, row 2, column A"]


def test_a_formula_without_a_saved_value_is_told():
    assert "formula" in left(read(*row(recipients='="Tax"&" office"')))["sheet Sheet1, row 2, column D"]


# --- the organisation ---------------------------------------------------------------------------------------------


def test_the_controller_above_the_table_is_taken_over():
    incoming = read(
        ["Naam", "Voorbeeld NV", None, "Zomaar iets"],
        ["Adres", None, "Kerkstraat 1, 9000 Gent"],
        ["Telephone", 3291234567],
        ["DPO", "Jan Peeters", "E-mail", "dpo@example.org"],
        [],
        *row(),
    )
    organisation = incoming.register.organisation
    assert (organisation.name, organisation.address) == ("Voorbeeld NV", "Kerkstraat 1, 9000 Gent")
    assert (organisation.telephone, organisation.dpo.name) == ("3291234567", "Jan Peeters")
    assert "sheet Sheet1, row 1, column D" in left(incoming)


def test_blocks_side_by_side_are_told_apart():
    organisation = read(
        ["Controller", None, "Data Protection Officer", None, "Representative", None],
        ["Name", "Voorbeeld NV", "Name", "Jan", "Name", "An"],
        ["Email", "a@example.org", "Email", "b@example.org", "Email", "c@example.org"],
        *row(),
    ).register.organisation
    assert (organisation.name, organisation.email) == ("Voorbeeld NV", "a@example.org")
    assert (organisation.dpo.name, organisation.dpo.email) == ("Jan", "b@example.org")
    assert (organisation.representative.name, organisation.representative.email) == ("An", "c@example.org")


def test_one_controller_in_a_column_is_the_organisation_and_a_second_one_is_told():
    header, first = row(Controller="Alpha NV")
    incoming = read(header, first, ["Bonus", "name", "employee", "Beta NV"])
    assert incoming.register.organisation.name == "Alpha NV"
    assert "another controller" in left(incoming)["sheet Sheet1, row 3, column Controller"]


# --- files --------------------------------------------------------------------------------------------------------


def test_the_entries_come_beside_those_that_are_there():
    incoming = read(NINE, ROW)
    assert (incoming.form, incoming.is_whole) == ("article30", False)
    after = merged(sound(), incoming)
    assert [*after.activities] == ["intake", "payroll"]
    assert after.organisation == sound().organisation


def test_every_sheet_with_the_columns_is_read_and_the_others_are_told():
    book = openpyxl.Workbook()
    for number, title in enumerate(("HR", "Lists", "Sales", "Empty")):
        sheet = book.create_sheet(title)
        for cells in {0: (NINE, ROW), 1: (["a"], ["b"]), 2: (NINE, ("Sale", *ROW[1:]))}.get(number, ()):
            sheet.append(cells)
    incoming = read_workbook(saved(book), "many.xlsx")
    assert [*incoming.register.activities] == ["payroll", "sale"]
    assert left(incoming) == {"sheet Lists": "has no row with the columns of Art. 30"}


def test_every_problem_is_told_at_once_with_its_cell():
    header, first = row(measures="x" * 2001, recipients="y\x85" + "z" * 2000)
    with pytest.raises(RegisterError) as caught:
        read(header, first, ["Bonus\x85", "n" * 2001, "employee"])
    found = {one.path: one.message for one in caught.value.problems}
    assert (
        found[f"sheet Sheet1, row 2, column {NINE[8].strip()[:60].strip()}, item 1"]
        == "is longer than 2,000 characters"
    )
    assert len(found) == 3


def test_a_workbook_without_such_a_table_is_refused():
    for data in (sheet_of([["a", "b"]]), sheet_of([]), sheet_of([["Purpose", "Name", "x"]])):
        with pytest.raises(RegisterError, match="none with the columns of Art"):
            read_workbook(data, "x.xlsx")


@pytest.mark.parametrize("code", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_same_columns_as_text_in_any_dialect(code, delimiter):
    rows = (["Zwecke", "Kategorien personenbezogener Daten", "Empfänger"], ["Löhne", "Name", "Müller & Söhne"])
    text = "\r\n".join(delimiter.join(f'"{cell}"' for cell in cells) for cells in rows)
    register = read_csv(text.encode(code), "x.csv").register
    assert register.activities["lohne"].title == "Löhne"
    assert register.recipients["muller-sohne"].name == "Müller & Söhne"


def test_a_csv_that_is_no_text_or_has_no_such_columns_is_refused():
    for data in (b"\x81\x8d\xff", b"Purpose,Personal data,Recipients\n\0", b"", b"a,b\n1,2\n", b'"' + b"x" * 200_000):
        with pytest.raises(RegisterError):
            read_csv(data, "x.csv")


def test_the_ending_of_the_name_chooses_the_reader(tmp_path):
    (tmp_path / "other.CSV").write_text("Purpose,Personal data,Recipients\nPayroll,name,nil\n", encoding="utf-8")
    assert read_incoming(tmp_path / "other.CSV").form == "article30"
    (tmp_path / "other.xlsx").write_bytes(sheet_of([NINE, ROW]))
    assert read_incoming(tmp_path / "other.xlsx").form == "article30"


def test_very_many_rows_are_refused():
    text = "Purpose,Personal data,Recipients\n" + "".join(f"P{number},name,nil\n" for number in range(5001))
    with pytest.raises(RegisterError, match="more than 5,000 entries"):
        read_csv(text.encode(), "x.csv")


# --- words --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("a; b\nc", ["a", "b", "c"]),
        ("- a\n• b\n\n* c", ["a", "b", "c"]),
        ("a, b (c, d), e", ["a", "b (c, d)", "e"]),
        ("a-b, -", ["a-b", "-"]),
        ("(a, b", ["(a, b"]),
        (" ;\n, ", []),
    ],
)
def test_a_cell_is_taken_apart_where_it_says_so(text, items):
    assert pieces(text, has_commas=True) == items


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("BE", "BE"),
        (" Belgique ", "BE"),
        ("VERENIGDE STATEN", "US"),
        ("Österreich", "AT"),
        ("be", None),
        ("Atlantis", None),
    ],
)
def test_a_country_is_known_by_its_code_or_its_name(text, code):
    assert country_of(text) == code


# --- other people's files -----------------------------------------------------------------------------------------

SAMPLES = Path(os.environ.get("ROPA_DPV") or Path(__file__).parents[4] / "shared/data/dpv") / "dpcat/semantics2021"
EXPECTED = {
    "Beta_a_processor_of__employee_expenses": 1,
    "Customer_Services_deptartment_of_Alpha": 3,
    "HR_department_of_Alpha": 4,
    "Marketing_department_of_Alpha": 3,
}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_published_samples_come_in_whole(name):
    path = SAMPLES / f"{name}.xlsx"
    if not path.is_file():
        pytest.skip(f"beds absent: {path}")
    incoming = read_incoming(path)
    activities = incoming.register.activities.values()
    assert len(activities) == EXPECTED[name]
    assert all(one.purposes and one.subjects and one.data and one.measures for one in activities)
    assert all(bool(one.stated_period) != bool(one.stated_text) for one in activities)
    assert left(incoming)["sheet Sheet1, row 2"] == "names terms of a vocabulary, and no processing activity"
    assert len(incoming.left) == (2 if name.startswith("HR") else 1)


# --- any table ----------------------------------------------------------------------------------------------------

HEADINGS = [heading for many in COLUMNS.values() for heading in many.split("|")] + ["Reference", "Remarks", "", "30"]
WORDS = st.sampled_from(
    ["nil", "?", "NO", "India", "Belgium", "scc", "7 years", "6.1.b", "9(2)(h)", "name", "Employees", "=1+1", "dpv:Purpose", "a;b", "a, b",
     "x\ny", "Name", "Controller", "DPO", "-", "Alpha NV", "alpha nv", "Γάμμα", "😀", "a" * 61, 7.0, 7.5, True, "", " ", None]
)  # fmt: skip
CHECKED = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@CHECKED
@given(st.data())
def test_every_cell_of_any_table_is_in_the_register_or_told(data):
    headings = [*NINE[:3], *data.draw(st.lists(st.sampled_from(HEADINGS), max_size=8))]
    cells = st.builds(lambda word, is_token: (word, is_token), WORDS, st.booleans())
    drawn = data.draw(st.lists(st.lists(cells, min_size=len(headings), max_size=len(headings)), max_size=5))
    rows = [
        [f"Token {row} {column} x" if is_token else word for column, (word, is_token) in enumerate(line)]
        for row, line in enumerate(drawn)
    ]
    above = data.draw(st.lists(st.lists(WORDS, max_size=3), max_size=2))
    try:
        incoming = read_sheets(
            [Sheet("S", [["" if cell is None else cell for cell in line] for line in [*above, headings, *rows]])], "x"
        )
    except RegisterError as error:
        assert all(one.path.startswith("sheet S") for one in error.problems)  # noqa: PT017 - both ends are right
        return
    said, told = to_json(incoming.register).lower(), left(incoming)
    for row, line in enumerate(rows):
        where = f"sheet S, row {len(above) + row + 2}"
        for cell in line:
            if isinstance(cell, str) and cell.startswith("Token"):
                is_kept = cell.lower() in said or f'"{cell.lower().replace(" ", "-")}"' in said
                assert is_kept or where in told or any(one.startswith(f"{where},") for one in told), (cell, rows)
