"""Further files: more places and rules than fit in one, read in name order, each name in one file only."""

import hashlib
import os

import pytest

from ropa.config import check_modes, in_file, load
from ropa.config import sources as config_sources
from ropa.errors import ConfigurationError, Problem

MAIN = 'timezone = "UTC"\n'


def place(name, *, period="6 months"):
    return f"""
[location.{name}]
connector = "sql"
url = "sqlite:///{name}.sqlite"
[location.{name}.dataset.people]
source = "people"
anchor.created = "created"
data.name = ["name"]
[rule.{name}-people]
activity = "intake"
dataset = "{name}.people"
data = "*"
anchor = "created"
period = "{period}"
action = "purge"
"""


@pytest.fixture
def project(write):
    """Write the first file and further ones, and return the folder."""

    def project(main=MAIN, **further):
        folder = write(main)
        for name, text in further.items():
            file = folder / "config" / "retention.d" / f"{name}.toml"
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
        return folder

    return project


@pytest.fixture
def refused(types):
    """Return the problems of a folder as one line each."""

    def refused(folder):
        with pytest.raises(ConfigurationError) as caught:
            load(folder, types)
        return [str(problem) for problem in caught.value.problems]

    return refused


def test_places_and_rules_of_further_files_stand_beside_those_of_the_first(project, types):
    loaded = load(project(MAIN + place("crm"), b=place("shop"), a=place("web")), types)
    assert list(loaded.locations) == ["crm", "web", "shop"]
    assert list(loaded.rules) == ["crm-people", "web-people", "shop-people"]
    assert str(loaded.timezone) == "UTC"


def test_the_first_file_may_leave_all_places_to_the_further_ones(project, types):
    assert list(load(project(a=place("web")), types).locations) == ["web"]


def test_a_rule_may_name_a_place_of_another_file(project, types):
    rule = place("crm").partition("[rule")
    assert list(load(project(MAIN + rule[0], rules="[rule" + rule[2]), types).rules) == ["crm-people"]


def test_the_digest_of_one_file_is_that_of_its_bytes_also_beside_an_empty_folder(project, types):
    text = MAIN + place("crm")
    folder = project(text)
    alone = load(folder, types).digest
    assert alone == f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    (folder / "config" / "retention.d").mkdir()
    assert load(folder, types).digest == alone


def test_the_digest_changes_with_any_byte_name_or_order_of_a_further_file(project, types, tmp_path):
    folder = project(MAIN, a=place("web"), b=place("shop"))
    digests = [load(folder, types).digest]
    further = folder / "config" / "retention.d"
    (further / "a.toml").write_text(place("web") + "# a word\n")
    digests.append(load(folder, types).digest)
    (further / "a.toml").write_text(place("web"))
    (further / "a.toml").rename(further / "c.toml")
    digests.append(load(folder, types).digest)
    (further / "c.toml").write_text(place("shop"))
    (further / "b.toml").write_text(place("web"))
    digests.append(load(folder, types).digest)
    (folder / "config" / "retention.toml").write_text(MAIN + "# a word\n")
    digests.append(load(folder, types).digest)
    (further / "b.toml").write_text(place("web") + place("shop"))
    (further / "c.toml").unlink()
    digests.append(load(folder, types).digest)
    assert len(set(digests)) == len(digests)


def test_what_a_shell_would_not_list_as_a_toml_file_is_not_read(project, types):
    folder = project(MAIN + place("crm"))
    further = folder / "config" / "retention.d"
    further.mkdir()
    for name in ("a.toml~", ".a.toml", "README", ".#a.toml", "a.toml.bak", "a.TOML"):
        (further / name).write_text("garbage [[[")
    (further / "..data").mkdir()
    assert list(load(folder, types).locations) == ["crm"]


def test_a_further_file_may_be_a_link_as_a_config_map_makes_them(project, types):
    folder = project(MAIN)
    further = folder / "config" / "retention.d"
    (further / "..2026").mkdir(parents=True)
    (further / "..2026" / "web.toml").write_text(place("web"))
    (further / "..data").symlink_to("..2026")
    (further / "web.toml").symlink_to("..data/web.toml")
    assert list(load(folder, types).locations) == ["web"]


def test_a_place_or_rule_in_two_files_is_an_error_that_names_both(project, refused):
    found = refused(project(MAIN + place("crm"), a=place("crm"), b=place("web"), c="[location.web]\nconnector = 'x'"))
    only_once = "a place or a rule may stand only once"
    assert found == [
        f"config/retention.d/a.toml: location.crm: stands in config/retention.toml too; {only_once}",
        f"config/retention.d/a.toml: rule.crm-people: stands in config/retention.toml too; {only_once}",
        f"config/retention.d/c.toml: location.web: stands in config/retention.d/b.toml too; {only_once}",
    ]


def test_a_dataset_is_never_added_to_a_place_from_another_file(project, refused):
    more = '[location.crm.dataset.more]\nsource = "more"\n'
    (found,) = refused(project(MAIN + place("crm"), a=more))
    assert found.startswith("config/retention.d/a.toml: location.crm: stands in config/retention.toml too")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('timezone = "UTC"', "timezone"),
        ("[safety]\nmax_records = 1", "safety"),
        ('[state]\ndatabase = "x"', "state"),
        ('[ledger]\norigin = "x"', "ledger"),
        ("[notify]", "notify"),
        ("[rules.x]", "rules"),
    ],
)
def test_what_holds_for_the_whole_stands_in_the_first_file_only(project, refused, text, path):
    (found,) = refused(project(MAIN, a=text, b=place("web")))
    assert found.startswith(f"config/retention.d/a.toml: {path}: may stand in config/retention.toml only")


@pytest.mark.parametrize("text", ["location = 1", 'rule = ["x"]', "[[location]]\nx = 1"])
def test_places_and_rules_of_a_further_file_are_tables(project, refused, text):
    (found,) = refused(project(MAIN, a=text, b=place("web")))
    assert "must be a table of" in found


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"# only words\n", "is empty"),
        (b"\xff\xfe\x00garbage", "is not UTF-8"),
        (b"[[[[", "is not TOML"),
        (b"[rule.x]\n[rule.x]\n", "may stand only once"),
        (b"#" * (1024 * 1024 + 1), "is larger than"),
        (b"x = '" + b"y" * 5000 + b"'", "is longer than"),
        (b"x = " + b"[" * 100, "nested"),
        (b"a=1\n" * 53_000, "gives more than 52,428 values"),
    ],
)
def test_each_further_file_is_read_within_the_bounds_of_the_first(project, types, refused, content, message):
    folder = project(MAIN, a="x", b=place("web"))
    (folder / "config" / "retention.d" / "a.toml").write_bytes(content)
    (found,) = refused(folder)
    assert found.startswith(str(folder / "config" / "retention.d" / "a.toml"))
    assert message in found


def test_every_file_that_cannot_be_read_is_told_at_once(project, refused):
    folder = project(MAIN, web=place("web"), tables="[safety]\nmax_records = 1")
    further = folder / "config" / "retention.d"
    (further / "folder.toml").mkdir()
    (further / "loop.toml").symlink_to("loop.toml")
    (further / "nowhere.toml").symlink_to("nothing")
    os.mkfifo(further / "pipe.toml")
    (folder / "config" / "retention.toml").write_text("timezone = ")
    found = refused(folder)
    assert [line.removeprefix(f"{folder}/config/") for line in found[1:5]] == [
        "retention.d/folder.toml: is not a file",
        "retention.d/loop.toml: cannot be opened: Too many levels of symbolic links",
        "retention.d/nowhere.toml: cannot be opened: No such file or directory",
        "retention.d/pipe.toml: is not a file",
    ]
    assert "retention.toml: line 1" in found[0]
    assert "safety" in found[5]


@pytest.mark.parametrize("make", ["file", "loop", "nowhere"])
def test_a_folder_of_further_files_that_cannot_be_listed_is_an_error_and_never_taken_for_none(project, refused, make):
    folder = project(MAIN + place("crm"))
    further = folder / "config" / "retention.d"
    if make == "file":
        further.write_text("x")
    else:
        further.symlink_to("retention.d" if make == "loop" else "nothing")
    (found,) = refused(folder)
    assert "retention.d: cannot be listed" in found


@pytest.mark.parametrize("name", ["a b", "-x", "é", "a\x1b"])
def test_a_name_whose_order_is_not_the_same_everywhere_is_refused(project, refused, name):
    folder = project(MAIN + place("crm"))
    further = folder / "config" / "retention.d"
    further.mkdir()
    (further / f"{name}.toml").write_text(place("web"))
    (found,) = refused(folder)
    assert "the name of a further file has" in found


def test_more_files_than_are_read_are_refused_before_one_is_opened(project, refused, monkeypatch):
    monkeypatch.setattr(config_sources, "MAX_FILES", 2)
    (found,) = refused(project(MAIN, a="garbage", b="garbage", c="garbage"))
    assert found.endswith("retention.d: has more than 2 files")


@pytest.mark.parametrize(("bound", "message"), [("MAX_TOTAL_BYTES", "together larger"), ("MAX_TOTAL_VALUES", "values")])
def test_all_files_together_have_a_bound_too(project, types, refused, monkeypatch, bound, message):
    folder = project(MAIN, a=place("web"), b=place("shop"))
    load(folder, types)
    monkeypatch.setattr(config_sources, bound, 20)
    (found,) = refused(folder)
    assert message in found


def test_a_problem_names_the_further_file_that_it_is_in_and_one_of_the_first_names_none(project, refused):
    found = refused(project(MAIN + place("crm", period="0 years"), a=place("web", period="soon"), b=place("shop")))
    assert len(found) == 2
    assert found[0].startswith("rule.crm-people.period: ")
    assert found[1].startswith("config/retention.d/a.toml: rule.web-people.period: ")


def test_rules_of_two_files_that_contradict_are_refused_with_the_file_of_the_later(project, refused):
    other = place("crm").partition("[rule.crm-people]")[2].replace('"purge"', '"flag"')
    found = refused(project(MAIN + place("crm"), a=f"[rule.again]{other}"))
    assert found[0].startswith("config/retention.d/a.toml: rule.again.action: contradicts rule.crm-people")


def test_what_is_found_later_is_told_with_its_file_too():
    origins = {("rule", "web"): "config/retention.d/a.toml"}
    problem = Problem("rule.web.mask", "no")
    assert in_file(origins, problem).path == "config/retention.d/a.toml: rule.web.mask"
    assert in_file(origins, Problem("rule.crm.mask", "no")).path == "rule.crm.mask"


def test_a_further_file_that_others_may_change_is_refused_and_so_is_its_folder(project):
    folder = project(MAIN, a=place("web"), b=place("shop"))
    further = folder / "config" / "retention.d"
    assert check_modes(folder) == []
    (further / "b.toml").chmod(0o664)
    assert [problem.path for problem in check_modes(folder)] == [str(further / "b.toml")]
    (further / "b.toml").chmod(0o644)
    further.chmod(0o777)
    assert [problem.path for problem in check_modes(folder)] == [str(further)]
