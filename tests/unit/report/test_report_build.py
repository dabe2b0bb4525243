from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import report_sample as sample

from ropa.clock import parse_period
from ropa.register.text import from_toml
from ropa.report.answer import Nights, Proof, summarise
from ropa.report.build import GAPS_SHOWN, MONTHS_SHOWN, RUNS_IN_DETAIL, RUNS_SHOWN, build
from ropa.report.model import Verdict
from ropa.sweep.adherence import Adherence
from ropa.sweep.history import RunSummary, RunTarget
from ropa.sweep.standing import Counts, Standing, State

NOW = sample.NOW


def stand(state=State.ENFORCED, late=0, stopped_by=None, at=NOW, **counts):
    return Standing(
        identity="crm.contacts/row/*/purge/r",
        location="crm",
        dataset="contacts",
        scope="row",
        data=("*",),
        action="purge",
        rules=("r",),
        state=state,
        counts=Counts(**counts),
        worst_late_days=late,
        stopped_by=stopped_by,
        scanned_at=None if state is State.NEVER_SCANNED else at,
    )


def cell(state, category="name"):
    return Adherence(activity="a", category=category, location="crm", dataset="contacts", state=state)


STEADY = Nights(first_on=NOW.date(), last_on=NOW.date(), missed=0, gaps=())


def answer(stands, cells=(), findings=(), evidence=sample.EVIDENCE, now=NOW, nights=STEADY):
    proof = Proof({stand.identity: stand for stand in stands}, evidence, now)
    return summarise(stands, cells, findings, nights, proof)


def reasons(summary):
    return {reason.code: reason.count for reason in summary.reasons}


def test_all_that_was_due_and_is_gone_is_adhered_to():
    found = answer([stand(due=3, done=3, done_total=9)], [cell(State.ENFORCED)])
    assert (found.verdict, found.reasons, found.due, found.done, found.done_total) == (Verdict.ADHERED, (), 3, 3, 9)


def test_what_is_held_is_adhered_to_for_a_recorded_reason():
    assert answer([stand(State.HELD, late=400, due=2, held=2)]).verdict is Verdict.ADHERED


def test_what_waits_for_a_person_is_told_and_no_breach():
    found = answer([stand(State.WAITING, due=5, waiting=3, flagged=2)])
    assert (found.verdict, reasons(found)) == (Verdict.ADHERED, {"waiting": 5})


def test_what_is_late_is_not_adhered_to_and_says_how_late():
    found = answer([stand(State.OVERDUE, late=41, due=9, done=2, waiting=4, failed=1, held=1, blocked=0, unverified=1)])
    assert found.verdict is Verdict.NOT_ADHERED
    assert reasons(found) == {"overdue": 6, "late": 41}
    assert found.fell_short == 2


def test_what_is_blocked_is_a_missed_purge():
    found = answer([stand(State.BLOCKED, late=3, due=2, blocked=2)])
    assert (found.verdict, reasons(found)["blocked"]) == (Verdict.NOT_ADHERED, 2)


def test_a_place_that_could_not_be_read_shows_nothing():
    found = answer([stand(State.STOPPED, stopped_by="unreachable")])
    assert (found.verdict, reasons(found)) == (Verdict.NOT_SHOWN, {"stopped": 1})


def test_a_cap_that_keeps_records_from_going_is_not_adhered_to():
    found = answer([stand(State.STOPPED, stopped_by="cap-share", due=900, refused=900)])
    assert (found.verdict, reasons(found)["overdue"]) == (Verdict.NOT_ADHERED, 900)


def test_never_looked_at_is_not_shown():
    assert reasons(answer([stand(), stand(State.NEVER_SCANNED)])) == {"never-scanned": 1}
    found = answer([stand(State.NEVER_SCANNED)])
    assert (found.verdict, reasons(found)) == (Verdict.NOT_SHOWN, {"no-scan": 1})


def test_an_old_look_shows_nothing_about_today():
    found = answer([stand(at=NOW - timedelta(days=3))])
    assert (found.verdict, reasons(found)) == (Verdict.NOT_SHOWN, {"outdated": 3})
    assert answer([stand(at=NOW - timedelta(hours=47))]).verdict is Verdict.ADHERED


@pytest.mark.parametrize(
    ("evidence", "code"),
    [
        (None, "no-evidence"),
        (replace(sample.EVIDENCE, is_sound=False, problems=("chain at seq 4",)), "unsound-evidence"),
        (replace(sample.EVIDENCE, is_sound=False), "unsound-evidence"),
        (replace(sample.EVIDENCE, open_intents=1), "open-intents"),
    ],
)
def test_without_sound_evidence_nothing_is_shown(evidence, code):
    found = answer([stand()], evidence=evidence)
    assert (found.verdict, reasons(found)) == (Verdict.NOT_SHOWN, {code: 1})


def test_a_category_without_a_period_makes_it_incomplete():
    cells = [cell(State.NO_RULE), cell(State.NO_RULE), cell(State.NO_PLACE, "chat")]
    found = answer([stand()], cells)
    assert (found.verdict, reasons(found)) == (Verdict.INCOMPLETE, {"no-rule": 1, "no-place": 1})


def test_serious_findings_are_counted_among_the_reasons():
    assert reasons(answer([stand()], findings=sample.FINDINGS)) == {"error-findings": 2}


# --- the parts ----------------------------------------------------------------------------------------------------

DOCUMENT = sample.document()


def test_places_bring_their_recipients_into_the_activity():
    activity = DOCUMENT.activity("invoicing")
    assert activity.recipients == ("bank", "microsoft")


def test_nobody_is_not_said_where_a_place_brings_somebody_but_unknown_stays():
    text = sample.REGISTER.replace('recipients = ["unknown"]', 'recipients = ["none"]')
    assert sample.document(register=from_toml(text)).activity("newsletter").recipients == ("microsoft",)
    assert DOCUMENT.activity("newsletter").recipients == ("unknown", "microsoft")


def test_a_safeguard_that_has_ended_says_since_when():
    assert DOCUMENT.recipient("google").safeguard_ended_on.isoformat() == "2020-07-16"
    assert DOCUMENT.recipient("microsoft").safeguard_ended_on is None


def test_what_differs_per_category_stands_on_its_row():
    rows = {row.category: row for row in DOCUMENT.activity("customers").rows}
    assert (rows["telephone"].legal_basis, rows["name"].legal_basis) == ("6.1.f", None)


def test_special_categories_are_marked():
    text = sample.REGISTER + '\n[category.health-note]\ntitle = "Zorgnota"\nspecial = true\n'
    text = text.replace('data = ["chat"]', 'data = ["chat", "health-note"]')
    rows = {row.category: row for row in sample.document(register=from_toml(text)).activity("chat").rows}
    assert (rows["health-note"].is_special, rows["chat"].is_special) == (True, False)


def test_a_promise_that_is_no_period_is_left_unsaid():
    assert DOCUMENT.organisation.request_promise == parse_period("30 days")
    text = sample.REGISTER.replace('request_promise = "30 days"\n', "")
    assert sample.document(register=from_toml(text)).organisation.request_promise is None


def run(day, runs_before=0, **outcomes):
    at = datetime(2025, 1, 1, 2, 30, tzinfo=UTC) + timedelta(days=day)
    target = RunTarget(location="crm", dataset="c", scope="row", data=("*",), action="purge", rules=("r",))
    return RunSummary(
        id=f"r{day}-{runs_before}",
        mode="sweep",
        state="complete",
        started_at=at,
        ended_at=at,
        policy="p",
        register_revision=1,
        outcomes=tuple(outcomes.items()),
        targets=(target,),
    )


def with_runs(runs):
    return sample.document(runs=runs)


def test_a_month_without_a_run_is_shown_as_one():
    months = with_runs([run(0, purged=5, failed=2), run(3, anonymised=1, held=9), run(70, purged=1)]).months
    assert [(m.month.month, m.runs, m.done, m.fell_short) for m in months] == [(1, 2, 6, 2), (2, 0, 0, 0), (3, 1, 1, 0)]


def test_months_follow_the_controllers_calendar():
    at = datetime(2025, 1, 31, 23, 30, tzinfo=UTC)  # already February in Brussels
    assert with_runs([replace(run(0), started_at=at)]).months[0].month.month == 2


def test_only_the_newest_runs_are_listed_and_fewer_in_detail():
    found = with_runs([run(day) for day in range(RUNS_SHOWN + 4)]).runs
    assert [found[0].id, found[-1].id, len(found)] == [f"r{RUNS_SHOWN + 3}-0", "r4-0", RUNS_SHOWN]
    assert [bool(r.targets) for r in found].count(True) == RUNS_IN_DETAIL


def test_months_are_bounded():
    assert len(with_runs([run(0), run(31 * 40)]).months) == MONTHS_SHOWN


def test_the_same_values_give_the_same_document():
    assert sample.document() == sample.document()


def test_build_takes_no_clock_of_its_own():
    later = sample.document(now=NOW + timedelta(days=400))
    assert (later.as_of.year, later.summary.verdict) == (2027, Verdict.NOT_ADHERED)
    assert "outdated" in reasons(later.summary)
    assert build.__module__ == "ropa.report.build"


# --- each activity ------------------------------------------------------------------------------------------------


def asked(stands, cells, ended_with=(), evidence=sample.EVIDENCE, now=NOW):
    verdict, found = Proof({stand.identity: stand for stand in stands}, evidence, now).of(cells, ended_with)
    return verdict, {reason.code: reason.count for reason in found}


def covered(*stands):
    return replace(cell(State.ENFORCED), targets=tuple(stand.identity for stand in stands))


def test_an_activity_answers_for_its_own_targets_alone():
    late = replace(stand(State.OVERDUE, late=41, due=3, waiting=3), identity="late")
    fine = replace(stand(due=2, done=2), identity="fine")
    assert asked([late, fine], [covered(fine)]) == (Verdict.ADHERED, {})
    assert asked([late, fine], [covered(late), covered(late, fine)]) == (
        Verdict.NOT_ADHERED,
        {"overdue": 3, "late": 41},
    )


@pytest.mark.parametrize(
    ("evidence", "code"),
    [(None, "no-evidence"), (replace(sample.EVIDENCE, is_sound=False), "unsound-evidence")],
)
def test_an_activity_whose_evidence_is_missing_says_so(evidence, code):
    fine = stand(due=2, done=2)
    assert asked([fine], [covered(fine)], evidence=evidence) == (Verdict.NOT_SHOWN, {code: 1})
    documented = [cell(State.DOCUMENTED_ONLY)]
    assert asked([fine], documented, evidence=evidence) == (Verdict.NOT_SHOWN, {"documented-only": 1})


def test_an_open_intent_is_told_by_the_activities_of_its_dataset_and_by_all_where_it_is_not_known():
    here = stand()
    there = replace(stand(), identity="there", dataset="orders")
    known = replace(sample.EVIDENCE, open_intents=2, open_in=(("crm.contacts", 2),))
    assert asked([here, there], [covered(here)], evidence=known) == (Verdict.NOT_SHOWN, {"open-intents": 2})
    assert asked([here, there], [covered(there)], evidence=known) == (Verdict.ADHERED, {})
    unknown = replace(known, open_intents=3)
    assert asked([here, there], [covered(there)], evidence=unknown) == (Verdict.NOT_SHOWN, {"open-intents": 1})


def test_an_activity_that_was_never_looked_at_or_long_ago_is_not_shown():
    never, old = stand(State.NEVER_SCANNED), stand(at=NOW - timedelta(days=3))
    assert asked([never], [covered(never)]) == (Verdict.NOT_SHOWN, {"never-scanned": 1})
    assert asked([old], [covered(old)]) == (Verdict.NOT_SHOWN, {"outdated": 3})


def test_an_activity_without_rule_place_or_data_is_incomplete():
    assert asked([], [cell(State.NO_RULE), cell(State.NO_PLACE, "chat")]) == (
        Verdict.INCOMPLETE,
        {"no-rule": 1, "no-place": 1},
    )
    assert asked([], []) == (Verdict.INCOMPLETE, {"no-data": 1})


def test_an_ended_activity_tells_of_the_rules_that_still_run():
    text = sample.REGISTER.replace('title = "Sollicitaties"', 'title = "Sollicitaties"\nstatus = "ended"')
    ended = sample.document(register=from_toml(text)).activity("recruitment")
    assert ended.rules == ("applicants",)
    assert {"ended-with-rules": 1}.items() <= reasons(ended).items()
    old = DOCUMENT.activity("old-mailing")
    assert (old.ended_on.isoformat(), old.replaced_by, old.rules) == ("2025-06-30", "newsletter", ())
    assert "ended-with-rules" not in reasons(old)


def test_rights_follow_from_the_legal_bases_of_the_activity_and_of_its_categories():
    assert "withdrawal" in DOCUMENT.activity("newsletter").rights
    assert "objection" not in DOCUMENT.activity("intake").rights
    assert "objection" in DOCUMENT.activity("customers").rights  # the telephone number rests on 6.1.f
    assert DOCUMENT.activity("client-sites").rights == ()
    assert DOCUMENT.activity("birthday").rights == ()  # its basis is not known


def test_a_period_in_the_words_of_another_document_stands_where_it_was_said():
    text = sample.REGISTER.replace('title = "Chatbot"', 'title = "Chatbot"\nstated_text = "zolang nodig"')
    text = text.replace('purposes = ["Kaartje of geschenk"]', 'purposes = ["Kaartje"]')
    chat = sample.document(register=from_toml(text)).activity("chat")
    assert (chat.stated_text, [row.stated_text for row in chat.rows]) == ("zolang nodig", ["zolang nodig"])
    own = text.replace('data = ["chat"]', 'data.chat = { stated_text = "een jaar of zo" }')
    assert sample.document(register=from_toml(own)).activity("chat").rows[0].stated_text == "een jaar of zo"


# --- nights -------------------------------------------------------------------------------------------------------


def test_nights_without_a_sweep_are_told_with_the_newest_first_and_in_number():
    found = with_runs([run(0), run(1), run(4), replace(run(6), state="partial")])
    assert found.first_sweep_on.isoformat() == "2025-01-01"
    assert found.last_sweep_on.isoformat() == "2025-01-05"
    assert found.gaps[-1].from_on.isoformat() == "2025-01-03"
    assert (found.gaps[-1].nights, found.gaps[0].from_on.isoformat()) == (2, "2025-01-06")
    assert found.missed_nights == sum(gap.nights for gap in found.gaps)
    assert reasons(found.summary)["missed-nights"] == found.missed_nights


def test_a_nightly_job_that_never_ran_is_said_as_such():
    found = with_runs([replace(run(0), mode="apply")])
    assert (found.first_sweep_on, found.last_sweep_on, found.missed_nights, found.gaps) == (None, None, 0, ())
    assert reasons(found.summary)["no-sweep"] == 1


def test_gaps_are_bounded_and_their_number_is_not():
    found = with_runs([run(2 * n) for n in range(GAPS_SHOWN + 5)])
    assert len(found.gaps) == GAPS_SHOWN
    assert found.missed_nights > sum(gap.nights for gap in found.gaps)
