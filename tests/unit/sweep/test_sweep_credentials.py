"""Two credentials: those that apply are looked up when the first batch is about to be acted on, and never before."""

from collections import Counter

import pytest
from sweep_kit import CAPS, CONTACTS, FRESH, PROSPECTS, contacts

from connectors.memory import MemoryConnector
from ropa.config import references
from ropa.connector import Action, Capabilities, ConnectorType, Health, Option
from ropa.errors import ConfigurationError, LocationError
from ropa.sweep.check import live_findings
from ropa.sweep.rights import ask_rights
from ropa.wiring import connector_types

VAULT = CONTACTS.replace(
    'connector = "memory"', 'connector = "vault"\ntoken = "env:PLAN_TOKEN"\napply = { token = "env:APPLY_TOKEN" }'
)
OTHER = VAULT.replace("crm", "shop").replace("APPLY_TOKEN", "SHOP_TOKEN")
OTHER_RULE = PROSPECTS.replace("rule.prospects", "rule.shoppers").replace("crm.", "shop.")
CONFIG = CAPS + VAULT + PROSPECTS


class Vault(MemoryConnector):
    """A place that gives rights to a token."""

    def __init__(self, spec, data, places):
        super().__init__(spec, data)
        self.places, self.name = places, spec.name
        self.clock = places.clock
        self.token = spec.options["token"]
        self.writing = (spec.options.get("apply") or spec.options)["token"]

    def check(self):
        health = super().check()
        return Health(
            True, self.token, True, self.writing in self.places.deleters, health.now, (f"writes as {self.writing}",),
            self.token in self.places.deleters,
        )  # fmt: skip

    def act(self, selection, batch, action):
        self.places.acts.append((self.name, self.writing))
        if self.writing not in self.places.deleters:
            raise LocationError("denied")
        return super().act(selection, batch, action)


class Places:
    """The connector type ``vault``, with what it was opened with and whether something was looked up in vain."""

    def __init__(self):
        self.data, self.clock = {}, None
        self.opened, self.acts, self.deleters = [], [], {"deletes"}
        self.type = ConnectorType(
            "vault",
            self.open,
            Capabilities(actions=frozenset({Action.PURGE})),
            options={"token": Option(is_secret=True, is_required=True, is_identity=True)},
        )

    def open(self, spec):
        self.opened.append((spec.name, "apply" in spec.options))
        return Vault(spec, self.data, self)


@pytest.fixture
def looked_up(monkeypatch):
    """Count every reference that is looked up."""
    counts = Counter()
    real = references.look_up

    def counting(text, folder, environ):
        counts[text] += 1
        return real(text, folder, environ)

    monkeypatch.setattr("ropa.config.secrets.look_up", counting)
    return counts


@pytest.fixture
def places(monkeypatch):
    made = Places()
    types = {**connector_types(), "vault": made.type}
    for module in ("sweep_kit", "ropa.wiring"):
        monkeypatch.setattr(f"{module}.connector_types", lambda: types)
    monkeypatch.setenv("PLAN_TOKEN", "reads")
    monkeypatch.delenv("APPLY_TOKEN", raising=False)
    monkeypatch.delenv("SHOP_TOKEN", raising=False)
    return made


@pytest.fixture
def world(make, places):
    def build(config=CONFIG, due=3, **tables):
        made = make(config, {"contacts": contacts(due), **tables})
        places.data, places.clock = made.data, made.clock
        return made

    return build


def test_a_plan_is_made_where_the_credentials_that_apply_are_not(world, places, looked_up):
    one = world()
    plan = one.plan()
    assert one.target(plan).records == 3
    assert looked_up["env:APPLY_TOKEN"] == 0
    assert looked_up["env:PLAN_TOKEN"] > 0
    assert places.opened == [("crm", False)]


def test_a_plan_is_applied_with_the_credentials_that_apply(world, places, looked_up, monkeypatch):
    one = world()
    plan = one.plan()
    one.approve(plan)
    monkeypatch.setenv("APPLY_TOKEN", "deletes")
    assert looked_up["env:APPLY_TOKEN"] == 0
    assert one.apply(plan).document["outcomes"] == {"purged": 3}
    assert looked_up["env:APPLY_TOKEN"] == 1
    assert set(places.acts) == {("crm", "deletes")}
    assert one.ids() == [101]


def test_applying_without_them_touches_nothing_names_the_key_and_leaves_the_plan_as_it_was(world, places):
    one = world()
    plan = one.plan()
    one.approve(plan)
    with pytest.raises(ConfigurationError) as caught:
        one.apply(plan)
    assert [problem.path for problem in caught.value.problems] == ["location.crm.apply.token"]
    assert caught.value.exit_code == 2
    assert (one.ids(), places.acts, one.events("intent")) == ([1, 2, 3, 101], [], [])
    assert one.state(plan) == "approved"


def test_no_place_is_acted_on_while_the_credentials_of_another_in_the_plan_are_missing(world, places, monkeypatch):
    one = world(CAPS + VAULT + OTHER + PROSPECTS + OTHER_RULE)
    plan = one.plan()
    one.approve(plan)
    monkeypatch.setenv("APPLY_TOKEN", "deletes")
    with pytest.raises(ConfigurationError) as caught:
        one.apply(plan)
    assert [problem.path for problem in caught.value.problems] == ["location.shop.apply.token"]
    assert (places.acts, one.events("intent")) == ([], [])


def test_credentials_of_a_place_where_nothing_is_due_are_not_needed(world, places, looked_up, monkeypatch):
    shop = (OTHER + OTHER_RULE).replace("contacts", "visitors")
    one = world(CAPS + VAULT + PROSPECTS + shop, visitors=contacts(0))
    plan = one.plan()
    one.approve(plan)
    monkeypatch.setenv("APPLY_TOKEN", "deletes")
    assert one.apply(plan).document["outcomes"] == {"purged": 3}
    assert looked_up["env:SHOP_TOKEN"] == 0


def test_a_sweep_looks_them_up_only_when_something_is_to_be_acted_on(world, places, looked_up, monkeypatch):
    one = world(CONFIG + 'approval = "mandate"\n', due=0)
    one.insert(id=7, name="N", email="n@example.org", created=FRESH)
    assert one.sweep().exit_code == 0
    assert looked_up["env:APPLY_TOKEN"] == 0
    one.insert(id=8, name="N", email="o@example.org", created="2020-01-01")
    assert one.sweep().exit_code in {0, 3, 4}  # what nobody has approved waits
    assert looked_up["env:APPLY_TOKEN"] == 0
    by_person = one.plan()
    one.approve(by_person)
    monkeypatch.setenv("APPLY_TOKEN", "deletes")
    one.apply(by_person)
    one.mandate()
    one.insert(id=9, name="N", email="p@example.org", created="2020-01-01")
    one.reopen()
    looked_up.clear()
    places.opened.clear()
    assert one.sweep().document["outcomes"] == {"purged": 1}
    assert places.opened == [("crm", False), ("crm", True)]
    assert looked_up["env:APPLY_TOKEN"] == 1
    one.reopen()
    monkeypatch.delenv("APPLY_TOKEN")
    assert one.sweep().exit_code == 0  # a mandate is there, and nothing is due
    assert looked_up["env:APPLY_TOKEN"] == 1


def test_what_is_only_flagged_on_our_side_needs_no_right_to_delete(world, looked_up):
    one = world(CONFIG.replace('action = "purge"', 'action = "flag"'))
    result = one.sweep()
    assert result.document["outcomes"] == {"flagged": 3}
    assert looked_up["env:APPLY_TOKEN"] == 0


def found(one, code):
    return [(str(f.severity), f.entry) for f in live_findings(one.site) if f.code == code]


@pytest.mark.parametrize(
    ("plans_as", "has_apply", "severity"),
    [("reads", True, []), ("deletes", True, ["warning"]), ("deletes", False, ["note"]), ("reads", False, [])],
)
def test_credentials_that_plan_and_can_delete_are_found(world, monkeypatch, plans_as, has_apply, severity):
    monkeypatch.setenv("PLAN_TOKEN", plans_as)
    monkeypatch.setenv("APPLY_TOKEN", "deletes")
    one = world(CONFIG if has_apply else CONFIG.replace('apply = { token = "env:APPLY_TOKEN" }', ""))
    assert found(one, "planning-can-delete") == [(word, "location.crm") for word in severity]
    assert found(one, "apply-credentials-elsewhere") == []


def test_where_they_cannot_be_looked_up_nothing_is_concluded_about_them(world):
    one = world()
    assert found(one, "apply-credentials-elsewhere") == [("note", "location.crm")]
    assert found(one, "location-no-delete") == []
    assert found(one, "location-note") == []
    rights = ask_rights(one.site, "crm")
    assert (rights.applying, rights.health.may_delete, rights.health.planning_may_delete) == ("elsewhere", None, False)


def test_credentials_that_apply_and_cannot_delete_are_found(world, monkeypatch):
    monkeypatch.setenv("APPLY_TOKEN", "reads")
    one = world()
    assert found(one, "location-no-delete") == [("warning", "location.crm")]
    assert ask_rights(one.site, "crm").applying == "here"
