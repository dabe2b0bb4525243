import csv as stdlib_csv
import io
import re
from dataclasses import replace
from datetime import date

import openpyxl
import pytest
import report_sample as sample

from ropa.cli import report as command
from ropa.errors import CallError
from ropa.report import FORMATS, csv, html, json, languages, profiles, xlsx
from ropa.report.model import Reason, Verdict
from ropa.report.profiles import cnil, ico
from ropa.report.words import Words
from ropa.vocabulary import categories

DOCUMENT = sample.document()
EN, NL = Words("en", DOCUMENT.timezone), Words("nl", DOCUMENT.timezone)
FORMS = [name for name in profiles.names() if name != profiles.ART30]

ICO = [
    "Business function",
    "Purpose of processing",
    "Name and contact details of joint controller (if applicable)",
    "Categories of individuals",
    "Categories of personal data",
    "Categories of recipients",
    "Link to contract with processor",
    "Names of third countries or international organisations that personal data are transferred to (if applicable)",
    "Safeguards for exceptional transfers of personal data to third countries or international organisations (if applicable)",
    "Retention schedule (if possible)",
    "General description of technical and organisational security measures (if possible)",
    "Article 6 lawful basis for processing personal data",
    "Article 9 condition for processing special category data",
    "Legitimate interests for the processing (if applicable)",
    "Link to record of legitimate interests assessment (if applicable)",
    "Rights available to individuals",
    "Existence of automated decision-making, including profiling (if applicable)",
    "The source of the personal data (if applicable)",
    "Link to record of consent",
    "Location of personal data",
    "Data Protection Impact Assessment required?",
    "Data Protection Impact Assessment progress",
    "Link to Data Protection Impact Assessment",
    "Has a personal data breach occurred?",
    "Link to record of personal data breach",
    "Data Protection Act 2018 Schedule 1 Condition for processing",
    "GDPR Article 6 lawful basis for processing",
    "Link to retention and erasure policy document",
    "Is personal data retained and erased in accordance with the policy document?",
    "Reasons for not adhering to policy document (if applicable)",
]
RETENTION, BREACH, ADHERENCE, WHY = ICO[9], ICO[23], ICO[28], ICO[29]


def opened(content):
    return openpyxl.load_workbook(io.BytesIO(content))


def rows_of(document, profile, lang="en"):
    text = profiles.render(document, profile, "csv", lang).decode()
    return list(stdlib_csv.DictReader(io.StringIO(text, newline="")))


def only(activity):
    return replace(DOCUMENT, activities=(activity,))


def one(key):
    return next(activity for activity in DOCUMENT.activities if activity.key == key)


def ico_row(activity, lang="en"):
    return rows_of(only(activity), "ico", lang)[0]


# --- the forms as their authorities have them ---------------------------------------------------------------------


def test_the_ico_has_its_30_columns_in_their_order():
    assert len(ICO) == 30
    assert [column.heading for column in ico.COLUMNS] == ICO
    assert list(rows_of(DOCUMENT, "ico")[0]) == ICO
    assert [cell.value for cell in opened(profiles.render(DOCUMENT, "ico", "xlsx", "fr"))["Template"][1]] == ICO


def test_the_ico_has_a_line_for_each_activity_and_what_we_do_for_others_on_a_sheet_of_its_own():
    book = opened(profiles.render(DOCUMENT, "ico", "xlsx", "en"))
    ours = {activity.title for activity in DOCUMENT.activities if activity.role == "controller"}
    assert {cell.value.split("\n")[0] for cell in book["Template"]["A"][1:]} == ours
    others = book["Article 30(2) processor"]
    assert [cell.value.split("\n")[0] for cell in others["A"][1:]] == ["Onderhoud van sites van klanten"]
    assert others["B2"].value == "Bakkerij De Korenaar BV\nNotaris Peeters"
    assert {row[ICO[0]].split(";")[0] for row in rows_of(DOCUMENT, "ico")} == {a.title for a in DOCUMENT.activities}


def test_the_edps_has_its_13_items_for_each_record():
    rows = rows_of(DOCUMENT, "edps")
    assert [row["Record"] for row in rows] == [a.key for a in DOCUMENT.activities for _ in range(13)]
    for start in range(0, len(rows), 13):
        assert [row["Nr."] for row in rows[start : start + 13]] == [str(number) for number in range(1, 14)]
    assert rows[8]["Item"] == "Time limit for keeping the data"
    assert rows[12]["Item"].endswith("see the data protection notice")


def test_the_cnil_has_a_list_and_a_form_for_each_activity():
    book = opened(profiles.render(DOCUMENT, "cnil", "xlsx", "fr"))
    assert book.sheetnames == ["liste", *(activity.title[:31] for activity in DOCUMENT.activities)]
    blocks = [cell.value for cell in book.worksheets[1]["A"][1:]]
    assert list(dict.fromkeys(blocks)) == [
        "Description du traitement",
        "Acteurs",
        "Finalité(s) du traitement effectué",
        "Catégories de données personnelles concernées",
        "Données sensibles",
        "Catégories de personnes concernées",
        "Destinataires",
        "Mesures de sécurité",
        "Transferts hors UE",
    ]


def test_two_activities_of_one_name_have_a_form_each():
    twins = tuple(replace(one("intake"), key=f"k{i}", title="Klanten: a/b?") for i in range(3))
    book = opened(profiles.render(replace(DOCUMENT, activities=twins), "cnil", "xlsx", "fr"))
    assert book.sheetnames == ["liste", "Klanten a b", "Klanten a b 2", "Klanten a b 3"]


@pytest.mark.parametrize(
    "key", [key for key, known in categories().items() if not (known.is_special or known.is_criminal)]
)
def test_each_category_falls_into_one_row_of_the_cnil(key):
    row = replace(one("intake").rows[0], category=key)
    lines = rows_of(only(replace(one("intake"), rows=(row,))), "cnil", "fr")
    label = Words("fr", "UTC").label("category", key)
    found = [line["Ligne"] for line in lines if line["Colonne"] == "Description" and line["Réponse"] == label]
    assert len(found) == 1
    assert found == [cnil.BOXES.get(key, "Autres catégories")]


@pytest.mark.parametrize("key", [key for key, known in categories().items() if known.is_special or known.is_criminal])
def test_each_sensitive_category_has_its_row_of_the_cnil(key):
    row = replace(one("intake").rows[0], category=key, is_special=True)
    lines = rows_of(only(replace(one("intake"), rows=(row,))), "cnil", "fr")
    label = Words("fr", "UTC").label("category", key)
    found = [line for line in lines if line["Colonne"] == "Description" and line["Réponse"] == label]
    assert [(line["Bloc"], line["Ligne"]) for line in found] == [("Données sensibles", cnil.SENSITIVE[key])]


def test_headings_are_the_authoritys_and_answers_the_readers():
    dutch, french = rows_of(DOCUMENT, "ico", "nl")[0], rows_of(DOCUMENT, "ico", "fr")[0]
    assert list(dutch) == list(french)
    assert dutch[RETENTION].startswith("zes maanden na het laatste contact")
    assert french[RETENTION] != dutch[RETENTION]


# --- questions and answers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("lang", languages())
@pytest.mark.parametrize("profile", FORMS)
def test_no_question_is_left_blank_or_out(profile, lang):
    heads = list(rows_of(DOCUMENT, profile, lang)[0])
    for row in rows_of(DOCUMENT, profile, lang):
        assert list(row) == heads
        assert [name for name, text in row.items() if not text.strip()] == []


@pytest.mark.parametrize("profile", FORMS)
def test_an_activity_of_which_nothing_is_known_is_all_questions(profile):
    activity = replace(
        one("intake"),
        purposes=(),
        legal_basis=None,
        subjects=(),
        recipients=(),
        measures=(),
        owner=None,
        rights=(),
        rows=(),
    )
    organisation = replace(DOCUMENT.organisation, rights=(), policy_url=None, parties=DOCUMENT.organisation.parties[:1])
    rows = rows_of(replace(only(activity), organisation=organisation), profile)
    text = "\n".join(text for row in rows for text in row.values())
    for name in ("purposes", "subjects", "data", "recipients", "measures", "period"):
        assert EN("form.open", what=EN(f"open.{name}")) in text
    assert all(text.strip() for row in rows for text in row.values())


@pytest.mark.parametrize("profile", FORMS)
def test_an_open_question_is_seen_and_not_only_by_its_colour(profile):
    book = opened(profiles.render(DOCUMENT, profile, "xlsx", "nl"))
    found = 0
    for sheet in book:
        for row in sheet.iter_rows(min_row=2):
            for cell in row:
                is_open = NL("form.open", what="") in str(cell.value)
                assert (cell.fill.fgColor.rgb == "FFFFF3CD") is is_open
                found += is_open
    assert found > len(DOCUMENT.activities)


def test_what_the_rules_say_is_the_retention_schedule():
    row = ico_row(one("invoicing"))
    assert row[RETENTION].startswith("10 years from 1 January of the year after the last invoice")
    assert "art. 60 btw-wetboek" in row[RETENTION]


def test_a_period_that_only_a_policy_states_stays_a_question():
    activity = one("intake")
    lawless = replace(activity.rows[0].adherence, rules=(), also_needed_by=())
    stated = replace(activity.rows[0], adherence=lawless, stated_text="zolang als nodig")
    row = ico_row(replace(activity, rows=(stated,)))
    assert "zolang als nodig" in row[RETENTION]
    assert EN("form.open", what=EN("open.period")) in row[RETENTION]


def adherence_of(state, **changes):
    activity = replace(one("intake"), verdict=Verdict.ADHERED, reasons=changes.pop("reasons", ()))
    cell = replace(activity.rows[0].adherence, state=state, **changes)
    return ico_row(replace(activity, rows=(replace(activity.rows[0], adherence=cell),)))


@pytest.mark.parametrize(
    ("state", "answer"),
    [
        ("enforced", "yes"),
        ("held", "yes"),
        ("waiting", "In part"),
        ("overdue", "no"),
        ("blocked", "no"),
        ("stopped", "no"),
        ("never-scanned", "Not shown"),
        ("documented-only", "Not shown"),
        ("no-rule", "Not shown"),
        ("no-place", "Not shown"),
    ],
)
def test_whether_a_period_is_adhered_to_is_answered_from_runs(state, answer):
    from ropa.sweep.standing import State

    row = adherence_of(State(state), worst_late_days=0)
    assert row[ADHERENCE].split(";")[0] == answer
    assert EN(f"meaning.{state}") in row[ADHERENCE]
    assert (row[WHY] == EN("text.not_applicable")) is (answer == "yes")


@pytest.mark.parametrize("code", ["no-evidence", "unsound-evidence", "open-intents", "outdated"])
def test_without_sound_evidence_nothing_is_called_adhered_to(code):
    from ropa.sweep.standing import State

    row = adherence_of(State.ENFORCED, reasons=(Reason(code=code, count=3),))
    assert row[ADHERENCE].split(";")[0] == "Not shown"
    assert EN.count(f"reason.{code}", 3) in row[WHY]


def test_lateness_and_obstacles_are_the_reasons():
    row = ico_row(one("intake"))
    assert "up to 412 days late" in row[ADHERENCE]
    assert "Stands in the way: orders (12)" in row[WHY]
    assert "12 blocked" in row[WHY]


def test_an_interest_a_consent_and_an_assessment_are_asked_where_they_apply():
    security, newsletter, intake = (ico_row(one(key)) for key in ("website-security", "newsletter", "intake"))
    nothing = EN("text.not_applicable")
    assert security[ICO[13]] == "Een veilige website"
    assert security[ICO[14]] == EN("form.open", what=EN("open.assessment"))
    assert newsletter[ICO[13]] == intake[ICO[14]] == intake[ICO[18]] == nothing
    assert (
        newsletter[ICO[18]]
        == "Klantenbeheer (Microsoft 365): Abonnees (Ireland (IE), Microsoft Ireland Operations Limited)"
    )


def test_a_consent_that_is_recorded_nowhere_is_a_question():
    assert ico_row(one("website-analytics"))[ICO[18]] == EN("form.open", what=EN("open.consent"))


@pytest.mark.parametrize(
    ("state", "answers"),
    [
        ("done", ("yes", "done", None)),
        ("required", ("yes", "required, still to be done", None)),
        ("not-required", ("no", "not applicable", "not applicable")),
        ("unknown", (None, None, None)),
    ],
)
def test_the_state_of_the_impact_assessment_is_answered_as_far_as_it_is_known(state, answers):
    row = ico_row(replace(one("intake"), dpia=state))
    for name, answer in zip(ICO[20:23], answers, strict=True):
        assert row[name] == answer if answer else row[name].startswith("Open question")


def test_special_data_ask_for_their_condition_and_others_do_not():
    activity = one("intake")
    special = replace(activity, rows=(replace(activity.rows[0], is_special=True, category="health"),))
    row, plain = ico_row(special), ico_row(activity)
    assert row[ICO[12]] == EN("form.open", what=EN("open.condition"))
    assert row[ICO[25]] == EN("form.open", what=EN("open.schedule_1"))
    assert row[ICO[26]].startswith("6.1.b")
    assert plain[ICO[12]] == plain[ICO[25]] == plain[ICO[26]] == EN("text.not_applicable")


@pytest.mark.parametrize(
    ("contract", "said", "colour"),
    [
        ("no", "Microsoft Ireland Operations Limited, Processor contract: no", "FFFBE3E0"),
        ("unknown", EN("form.open", what=EN("open.contract", name="Microsoft Ireland Operations Limited")), "FFFFF3CD"),
        (None, EN("form.open", what=EN("open.contract", name="Microsoft Ireland Operations Limited")), "FFFFF3CD"),
    ],
)
def test_a_processor_without_a_contract_is_said_and_one_of_which_nothing_is_said_is_asked(contract, said, colour):
    recipients = tuple(replace(found, contract=contract) for found in DOCUMENT.recipients)
    content = profiles.render(replace(only(one("intake")), recipients=recipients), "ico", "xlsx", "en")
    cell = opened(content)["Template"].cell(2, 7)
    assert (cell.value, cell.fill.fgColor.rgb) == (said, colour)


def test_a_breach_is_always_asked_since_the_register_keeps_none():
    assert {row[BREACH] for row in rows_of(DOCUMENT, "ico")} == {EN("form.open", what=EN("open.breach"))}


def test_a_safeguard_that_ended_is_said_with_its_day():
    assert "not valid since 16 July 2020" in ico_row(one("website-analytics"))[ICO[8]]


def test_where_nobody_said_who_receives_the_data_a_transfer_is_a_question():
    row = ico_row(replace(one("newsletter"), recipients=("unknown",)))
    assert row[ICO[7]] == EN("form.open", what=EN("open.transfers"))
    assert row[ICO[5]] == EN("form.open", what=EN("open.recipients"))


@pytest.mark.parametrize("profile", [*FORMS, profiles.ART30])
@pytest.mark.parametrize("form", profiles.FORMS)
def test_ended_and_replaced_processings_stay_in_with_their_end_date(profile, form):
    if profile == profiles.ART30:
        content = xlsx.render(DOCUMENT, "nl") if form == "xlsx" else csv.render(DOCUMENT, "nl").encode()
    else:
        content = profiles.render(DOCUMENT, profile, form, "nl")
    if form == "csv":
        text = content.decode()
    else:
        cells = [cell.value for sheet in opened(content) for row in sheet.iter_rows() for cell in row]
        text = "\n".join(str(value) for value in cells)
    assert "30 juni 2025" in text or "2025-06-30" in text
    assert re.search(r"Vervangen door|replaced_by", text)
    assert "newsletter" in text or "Nieuwsbrief" in text


def test_the_page_and_the_json_say_when_a_processing_ended_and_what_replaced_it():
    page, data = html.render(DOCUMENT, "nl"), json.render(DOCUMENT)
    assert "30 juni 2025" in page
    assert NL("field.replaced_by") in page
    assert '"ended_on": "2025-06-30"' in data
    assert '"replaced_by": "newsletter"' in data


@pytest.mark.parametrize("lang", languages())
def test_nothing_is_called_a_form_of_the_belgian_authority(lang):
    contents = [xlsx.render(DOCUMENT, lang), *(profiles.render(DOCUMENT, name, "xlsx", lang) for name in FORMS)]
    for content in contents:
        book = opened(content)
        cells = [str(cell.value) for sheet in book for row in sheet.iter_rows() for cell in row]
        text = " ".join([*book.sheetnames, book.properties.title, book.properties.subject, *cells]).casefold()
        assert not re.search(r"(gba|apd)[- ]?(model|sjabloon|template|format|kolom|columns|formulier|modèle)", text)


# --- how it is written --------------------------------------------------------------------------------------------


HOSTILE = [
    "=cmd|'/c calc'!A1",
    "@SUM(1)",
    "\t=1+1",
    "\r=1",
    "+1",
    "-1",
    "\uff0b1",
    'a";"b',
    "een\r\ntwee",
    "a,b;c",
    "\u202e=x",
]


def hostile(text):
    activity = replace(one("intake"), title=text, purposes=(text, text), owner=text, source=text, key=text)
    parties = tuple(replace(party, name=text, address=text) for party in DOCUMENT.organisation.parties)
    recipients = tuple(replace(found, name=text, transfer_evidence=text) for found in DOCUMENT.recipients)
    return replace(
        only(activity),
        organisation=replace(DOCUMENT.organisation, parties=parties, website=text),
        recipients=recipients,
    )


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("profile", FORMS)
def test_hostile_names_are_inert_in_the_csv(profile, text):
    content = profiles.render(hostile(text), profile, "csv", "nl").decode()
    table = list(stdlib_csv.reader(io.StringIO(content, newline="")))
    assert {len(row) for row in table} == {len(table[0])}
    assert len(table) == len(
        list(stdlib_csv.reader(io.StringIO(profiles.render(hostile("x"), profile, "csv", "nl").decode())))
    )
    for row in table:
        for cell in row:
            assert not cell.lstrip().startswith(("=", "+", "-", "@", "\uff0b"))
            assert not re.search("[\x00-\x1f\u202a-\u202e]", cell)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("profile", FORMS)
def test_hostile_names_are_texts_in_the_workbook(profile, text):
    book = opened(profiles.render(hostile(text), profile, "xlsx", "nl"))
    types = {cell.data_type for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None}
    assert types <= {"s", "n"}


@pytest.mark.parametrize("profile", FORMS)
def test_every_sheet_of_a_form_has_one_header_row_that_stays_and_filters(profile):
    for sheet in opened(profiles.render(DOCUMENT, profile, "xlsx", "en")):
        assert sheet.freeze_panes in {"A2", "B2"}
        assert sheet.auto_filter.ref == sheet.dimensions
        assert sheet.merged_cells.ranges == set()
        assert all(cell.value for cell in sheet[1])


@pytest.mark.parametrize("profile", FORMS)
@pytest.mark.parametrize("form", profiles.FORMS)
def test_the_form_of_one_document_is_always_the_same(profile, form):
    assert profiles.render(DOCUMENT, profile, form, "de") == profiles.render(sample.document(), profile, form, "de")


@pytest.mark.parametrize("profile", FORMS)
@pytest.mark.parametrize("form", profiles.FORMS)
def test_a_register_without_activities_still_has_a_header(profile, form):
    content = profiles.render(replace(DOCUMENT, activities=()), profile, form, "en")
    if form == "csv":
        assert len(content.decode().splitlines()) == 1
    else:
        assert opened(content).worksheets[0]["A1"].value


# --- what can be asked for ----------------------------------------------------------------------------------------


def test_the_report_itself_is_the_default_and_exists_in_every_format():
    assert profiles.names()[0] == profiles.ART30
    for form in FORMATS:
        profiles.check(profiles.ART30, form)


def test_an_unknown_profile_is_refused_with_those_that_exist():
    with pytest.raises(CallError) as error:
        profiles.check("gba", "xlsx")
    assert error.value.exit_code == 2
    assert all(name in (error.value.next_step or "") for name in profiles.names())


@pytest.mark.parametrize("form", ["html", "pdf", "json", "jsonld"])
@pytest.mark.parametrize("profile", FORMS)
def test_a_form_of_an_authority_is_a_workbook_or_csv_only(profile, form):
    with pytest.raises(CallError) as error:
        profiles.check(profile, form)
    assert error.value.exit_code == 2
    assert all(name in (error.value.next_step or "") for name in profiles.FORMS)


def test_the_help_names_every_format_language_and_profile():
    arguments = {name: kind.__metadata__[0].help for name, kind in annotations().items()}
    for name, known in (("form", FORMATS), ("lang", languages()), ("profile", profiles.names())):
        assert set(known) <= set(re.findall(r"\w+", arguments[name])), name


def annotations():
    from typing import get_type_hints

    hints = get_type_hints(command.report, include_extras=True)
    return {name: hints[name] for name in ("form", "lang", "profile")}


def test_a_day_is_written_as_the_reader_writes_it():
    assert date(2025, 6, 30) == one("old-mailing").ended_on
    rows = rows_of(only(one("old-mailing")), "edps", "en")
    assert "30 June 2025" in rows[6]["Description"]
