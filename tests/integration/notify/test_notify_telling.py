"""Being heard: a matter once, over thirty nights, and once that it is over."""

import json
import threading
from contextlib import contextmanager
from datetime import time, timedelta

import pytest
from notify_kit import SECRET
from sqlalchemy.orm import Session
from state_engines import PostgresState
from sweep_kit import CONTACTS, HEAD, PROSPECTS, SIMPLE, World, contacts, person

from ropa.errors import LocationError
from ropa.schedule import Schedule
from ropa.sweep import matters, notices
from ropa.sweep.channels import channels
from ropa.sweep.halting import halt
from ropa.sweep.status import status
from ropa.sweep.tables import NoticeRow, RunRow
from ropa.wiring import open_teller

NOTIFY = """
[notify]
healthcheck = "env:PING"
[notify.webhook]
url = "env:HOOK"
secret = "env:SECRET"
"""
MANDATED = HEAD + "[safety]\nmax_share = 1.0\n" + CONTACTS + PROSPECTS + 'approval = "mandate"\n'


class Told:
    """A folder whose people are told over a hook."""

    def __init__(self, world, hook, **environ):
        self.world, self.hook = world, hook
        self.environ = {"HOOK": f"{hook.url}/hook", "PING": f"{hook.url}/ping/token", "SECRET": SECRET} | environ

    def watch(self, site):
        open_teller(site.config, self.environ).look(site)

    def look(self):
        self.watch(self.world.site)

    def schedule(self):
        @contextmanager
        def opened():
            self.world.reopen()
            yield self.world.site

        return Schedule(open_site=opened, at=time(3, 30), by="service", tell=lambda *_: None, watch=self.watch)


@pytest.fixture
def told(make, hook):
    def build(config=SIMPLE, tables=None, **environ):
        return Told(make(config + NOTIFY, tables if tables is not None else {"contacts": contacts(3)}), hook, **environ)

    return build


def test_a_plan_that_waits_is_announced_once_in_thirty_nights_and_once_that_it_is_over(told, hook):
    here = told()
    world = here.world
    for _ in range(30):
        world.sweep()
        for _ in range(4):
            here.look()
            world.clock.forward(hours=6)
    waiting = [key for key in hook.keys("new") if key.startswith("waiting:")]
    assert len(waiting) == 1
    assert len(hook.keys("new")) == len(set(hook.keys("new")))
    assert hook.keys("resolved") == []
    said = next(one for one in hook.notices()[0]["new"] if one["kind"] == "waiting")
    assert said["counts"] == {
        "records": 3,
        "with_them": 0,
        "population": 4,
        "held": 0,
        "blocked": 0,
        "approvals_needed": 1,
    }
    assert (said["facts"]["action"], said["facts"]["dataset"], said["facts"]["plan"]) == ("purge", "crm.contacts", "1")
    world.purge()
    here.look()
    here.look()
    assert waiting[0] in hook.keys("resolved")
    assert len(hook.keys("resolved")) == len(set(hook.keys("resolved")))


def test_what_is_overdue_blocked_and_found_wrong_is_told_and_resolved(told, hook):
    here = told(SIMPLE.replace("max_share = 1.0", "max_share = 1.0\nmax_records = 2"))
    here.world.sweep()
    here.look()
    kinds = {one["key"].split(":")[0]: one for notice in hook.notices() for one in notice["new"]}
    assert kinds["overdue"]["counts"] == {"records": 3}
    assert kinds["finding"]["facts"]["code"] == "stopped-cap-records"
    assert "waiting" not in kinds, "no person's word lifts a cap"
    here.world.remove(1)
    here.world.clock.forward(days=1)
    here.world.sweep()
    here.look()
    assert kinds["finding"]["key"] in hook.keys("resolved")
    assert any(key.startswith("waiting:") for key in hook.keys("new"))


LETTERS = """
[location.crm.dataset.letters]
source = "letters"
key = ["id"]
parent = { dataset = "crm.contacts", via = ["contact_id"], with_parent = true }
"""


def test_children_are_told_with_the_records_that_they_go_with_and_what_waits_too_long_is_overdue_too(told, hook):
    nearly = {"contacts": [person(1, "2026-05-19"), *contacts(0, kept=3)]}
    here = told(SIMPLE + LETTERS, nearly | {"letters": [{"id": 7, "contact_id": 1}, {"id": 8, "contact_id": 1}]})
    here.world.sweep()
    here.look()
    (waiting,) = [one for notice in hook.notices() for one in notice["new"] if one["kind"] == "waiting"]
    assert (waiting["counts"]["records"], waiting["counts"]["with_them"]) == (1, 2)
    assert not [key for key in hook.keys("new") if key.startswith("overdue")]
    for _ in range(7):
        here.world.clock.forward(days=1)
        here.world.sweep()
        here.look()
    overdue = [one for notice in hook.notices() for one in notice["new"] if one["kind"] == "overdue"]
    assert {one["key"]: one["counts"]["records"] for one in overdue} == {
        "overdue:crm.contacts": 1,
        "overdue:crm.letters": 2,
    }
    assert len(overdue) == 2


def test_a_rule_that_changes_while_it_waits_is_announced_anew(told, hook):
    here = told()
    here.world.sweep()
    here.look()
    first = [key for key in hook.keys("new") if key.startswith("waiting:")]
    here.world.configure((SIMPLE + NOTIFY).replace("6 months", "7 months"))
    here.world.clock.forward(days=1)
    here.world.sweep()
    here.look()
    waiting = [key for key in hook.keys("new") if key.startswith("waiting:")]
    assert len(waiting) == 2
    assert first[0] in hook.keys("resolved")


def test_a_night_that_fails_is_told_at_once_and_resolved_by_the_sweep_that_succeeds(told, hook):
    here = told(MANDATED, {"contacts": contacts(0, kept=2)})
    world, schedule = here.world, here.schedule()
    world.clock.forward(hours=2)
    schedule.look()
    world.clock.forward(days=6)
    schedule.look()
    assert "failed:clock-forward" in hook.keys("new")
    world.resume(accepted_day=world.site.today())
    schedule = here.schedule()
    schedule.look()
    assert "failed:clock-forward" in hook.keys("resolved")
    assert hook.keys("new").count("missed:2026-11-22") == 1


def test_nights_that_were_missed_are_told_from_when_to_when_once(told, hook):
    here = told(MANDATED, {"contacts": contacts(0, kept=2)})
    world, schedule = here.world, here.schedule()
    world.clock.forward(hours=2)
    schedule.look()
    world.clock.at += timedelta(days=3)
    schedule.look()
    missed = [one for notice in hook.notices() for one in notice["new"] if one["kind"] == "missed"]
    assert [(one["facts"], one["counts"]) for one in missed] == [
        ({"from_on": "2026-11-22", "to_on": "2026-11-23"}, {"nights": 2})
    ]
    assert status(world.site)["not_enforced"] == [{"from_on": "2026-11-22", "to_on": "2026-11-23", "nights": 2}]
    for _ in range(40):
        world.clock.forward(days=1)
        schedule.look()
    assert hook.keys("new").count("missed:2026-11-22") == 1
    assert hook.keys("resolved") == []
    assert status(world.site)["not_enforced"] == []


def test_nights_that_are_being_missed_are_told_while_it_lasts_and_their_end_with_both_dates(told, hook):
    here = told(MANDATED, {"contacts": contacts(0, kept=2)})
    world = here.world
    world.sweep()
    world.clock.forward(days=2)
    here.look()
    assert hook.keys("new") == ["missed:2026-11-22"]
    world.clock.forward(hours=3)
    world.sweep()
    here.look()
    here.look()
    resolved = [one for notice in hook.notices() for one in notice["resolved"]]
    assert [(one["key"], one["facts"]["to_on"]) for one in resolved] == [("missed:2026-11-22", "2026-11-22")]


def test_a_run_that_outlives_a_day_is_an_alarm_in_status_and_in_a_notice(told, hook):
    here = told(MANDATED, {"contacts": contacts(0, kept=2)})
    world = here.world
    world.sweep()
    with Session(world.site.engine) as session, session.begin():
        session.add(
            RunRow(id="ab" * 8, mode="apply", started_at=world.clock.at, policy="x", register_revision=1, state="open")
        )
    world.clock.forward(hours=24)
    here.look()
    assert status(world.site)["healthy"] is True
    assert hook.keys("new") == []
    world.clock.forward(seconds=1)
    here.look()
    assert hook.keys("new") == [f"long-run:{'ab' * 8}"]
    assert "run abababababababab has been open for more than 24 hours" in status(world.site)["reasons"]
    world.execute("DELETE FROM run WHERE id = :id", id="ab" * 8)


def test_while_a_run_is_under_way_what_it_is_about_to_mend_is_neither_told_nor_resolved(told, hook):
    here = told(MANDATED, {"contacts": contacts(2, kept=5)})
    world = here.world
    world.purge()
    world.mandate(max_records=100)
    world.insert(**person(50))
    world.crm.before_act = lambda *_: here.look()
    assert world.sweep().document["outcomes"] == {"purged": 1}
    assert hook.keys("new") == []
    world.crm.before_act = None
    here.look()
    assert hook.keys("new") == []


def test_a_halt_is_told_also_in_the_middle_of_a_run_and_is_no_failed_night(told, hook):
    here = told(MANDATED, {"contacts": contacts(0, kept=2)})
    world, schedule = here.world, here.schedule()
    world.sweep()
    halt(world.site, by="Ops", reason="stop")
    world.clock.forward(days=1, hours=2)
    schedule.look()
    assert hook.keys("new") == ["halted"]
    world.resume()
    here.look()
    assert hook.keys("resolved") == ["halted"]


def test_the_healthcheck_is_called_once_for_each_sweep_that_succeeded_and_not_for_an_old_one(told, hook):
    here = told(MANDATED, {"contacts": contacts(0, kept=2)})
    world = here.world
    here.look()
    assert hook.pings() == []
    world.sweep()
    hook.answers = [(200,), (500,)]
    here.look()
    assert channels(world.site)[1]["code"] == "healthcheck-500"
    here.look()
    here.look()
    assert hook.pings() == ["/ping/token"] * 2
    assert channels(world.site)[1]["code"] is None
    world.clock.forward(days=1)
    world.crm.away_for = {"*"}
    world.sweep()
    here.look()
    assert len(hook.pings()) == 2, "a sweep that could not read a place is not a good one"
    world.crm.away_for = set()
    world.clock.forward(days=1)
    world.sweep()
    world.clock.forward(hours=27)
    here.look()
    assert len(hook.pings()) == 2


def test_a_channel_that_fails_is_tried_again_and_shows_in_status_and_stops_nothing(told, hook):
    here = told()
    world, schedule = here.world, here.schedule()
    world.clock.forward(hours=2)
    hook.answers = [(404,), (404,)]
    schedule.look()
    assert len(world.events("run_end")) == 1
    said = status(world.site)
    assert {one["channel"]: one["code"] for one in said["channels"]} == {
        "webhook": "webhook-404",
        "healthcheck": "healthcheck-404",
    }
    assert any("people cannot be told by webhook, healthcheck" in reason for reason in said["reasons"])
    here.look()
    assert [one["code"] for one in status(world.site)["channels"]] == [None, None]
    assert hook.notices()[0]["new"] == hook.notices()[1]["new"]


def test_a_secret_that_cannot_be_looked_up_is_a_channel_that_fails(told, hook):
    here = told(SECRET="", HOOK="http://elsewhere.example/hook")
    here.world.sweep()
    here.look()
    assert channels(here.world.site)[0]["code"] == "configuration"
    here.environ["SECRET"] = SECRET
    here.look()
    assert channels(here.world.site)[0]["code"] == "configuration", "plain http leaves this machine"
    assert hook.notices() == []


def test_two_services_on_one_database_tell_a_matter_once(told, hook):
    here = told()
    here.world.sweep()
    barrier = threading.Barrier(4)

    def look():
        barrier.wait()
        here.look()

    hands = [threading.Thread(target=look) for _ in range(4)]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join()
    assert len(hook.keys("new")) == len(set(hook.keys("new"))) > 0


def test_the_run_state_in_postgresql_tells_a_matter_once_too(shelf, hook, tmp_path):
    state = PostgresState(shelf)
    world = World(tmp_path / "world", SIMPLE + NOTIFY, {"contacts": contacts(3)}, state=state)
    here = Told(world, hook)
    try:
        for _ in range(3):
            world.sweep()
            hands = [threading.Thread(target=here.look) for _ in range(3)]
            for hand in hands:
                hand.start()
            for hand in hands:
                hand.join()
            world.clock.forward(days=1)
        world.purge()
        here.look()
        assert len([key for key in hook.keys("new") if key.startswith("waiting:")]) == 1
        assert len([key for key in hook.keys("resolved") if key.startswith("waiting:")]) == 1
        assert len(hook.keys("new")) == len(set(hook.keys("new")))
    finally:
        world.close()
        state.close()


def test_whoever_was_killed_while_telling_keeps_nobody_quiet_for_long_whatever_the_clock(told, hook):
    here = told()
    world = here.world
    world.sweep()
    later = world.clock.at + timedelta(days=3650)
    now, world.clock.at = world.clock.at, later
    with notices.telling(world.site) as is_ours:
        assert is_ours
        world.execute("UPDATE lease SET owner = 'dead' WHERE name = 'notify'")  # so nobody gives it back
    world.clock.at = now
    here.look()
    assert hook.keys("new")


def test_what_has_been_over_for_long_leaves_the_table(told, hook):
    here = told(MANDATED, {"contacts": contacts(0, kept=2)})
    world = here.world
    halt(world.site, by="Ops", reason="stop")
    here.look()
    world.resume()
    here.look()
    with Session(world.site.engine) as session:
        assert session.query(NoticeRow).count() == 1
    world.clock.forward(days=91)
    here.look()
    with Session(world.site.engine) as session:
        assert session.query(NoticeRow).count() == 0


def test_without_channels_nothing_is_looked_at(make, monkeypatch):
    world = make(SIMPLE, {"contacts": contacts(1)})
    monkeypatch.setattr(matters, "look", None)
    open_teller(world.loaded, {}).look(world.site)


def test_no_name_key_path_or_query_is_in_what_is_told(told, hook):
    canary = "kanarie7f3a"
    rows = [person(canary, name=canary, email=f"{canary}@example.org")]
    here = told(
        tables={"contacts": rows}, HOOK=f"{hook.url}/hook?{canary}=1", PING=f"{hook.url}/ping/{canary}?{canary}"
    )
    world = here.world
    world.hold(key=canary)
    world.insert(**person(f"{canary}2"))
    world.sweep()
    halt(world.site, by=canary, reason=canary)
    matters.note_failure(world.site, LocationError(canary))
    here.look()
    world.resume()
    world.reject(1, by=canary)
    here.look()
    bodies = [body for _, path, _, body in hook.taken if path.startswith("/hook")]
    assert {key.partition(":")[0] for key in hook.keys("new")} == {"failed", "halted", "overdue", "waiting"}
    assert len(bodies) == 2
    assert [body for body in bodies if canary.encode() in body] == []
    hook.answers = [(301, ("Location", f"/{canary}")), (500,)]
    world.clock.forward(days=1)
    world.sweep()
    here.look()
    assert canary not in json.dumps(status(world.site))
    assert canary not in repr(open_teller(world.loaded, here.environ).channels["webhook"]())


def test_the_kinds_of_a_look_are_all_there_are(make):
    world = make(SIMPLE, {"contacts": contacts(1)})
    assert matters.look(world.site).kinds == frozenset(matters.Kind)
    assert matters.look(world.site).matters == ()
