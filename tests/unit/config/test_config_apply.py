"""``[location.X.apply]``: other credentials for the same source, and nothing else."""

import pytest

from ropa.config import resolve
from ropa.config.models import Location
from ropa.errors import ConfigurationError

CANARY = "c4nary-8f1e-hunter2"
CRM = 'timezone = "UTC"\n[location.crm]\nconnector = "sql"\nurl = "env:CRM_URL"\n'


def test_what_says_who_we_are_may_be_given_otherwise_to_apply(read):
    location = read(CRM + '[location.crm.apply]\nurl = "env:APPLY_URL"\npassword = "file:pw"\n').locations["crm"]
    assert location.apply == {"url": "env:APPLY_URL", "password": "file:pw"}
    assert location.options == {"url": "env:CRM_URL"}
    assert "APPLY_URL" not in repr(location)


def test_on_one_line_it_says_the_same(read):
    assert read(CRM + 'apply = { url = "env:APPLY_URL" }\n').locations["crm"].apply == {"url": "env:APPLY_URL"}


@pytest.mark.parametrize(
    ("line", "path", "words"),
    [
        ('schema = "other"', "schema", "cannot be another for applying than for planning"),
        ("timeout = 3", "timeout", "cannot be another for applying than for planning"),
        ('connector = "files"', "connector", "cannot be another for applying than for planning"),
        ("batch_size = 3", "batch_size", "cannot be another for applying than for planning"),
        ('dataset.contacts.source = "others"', "dataset", "cannot be another for applying than for planning"),
        ('passwort = "env:X"', "passwort", "is not a known key"),
        (f'url = "postgresql://user:{CANARY}@host/db"', "url", "has a secret in it"),
        (f'password = "{CANARY}"', "password", "is a secret and must be a reference"),
        ('password = "env:"', "password", "is not a reference"),
        ("url = 3", "url", "must be text"),
    ],
)
def test_what_says_where_the_data_are_and_what_is_unknown_or_a_secret_is_refused_by_its_key_path(
    problems, line, path, words
):
    found = problems(CRM + f"[location.crm.apply]\n{line}\n")
    assert list(found) == [f"location.crm.apply.{path}"]
    assert words in found[f"location.crm.apply.{path}"].message
    assert CANARY not in str(found)


@pytest.mark.parametrize(("lines", "words"), [("apply = {}", "is empty"), ('apply = "env:X"', "must be a table")])
def test_an_apply_that_says_nothing_is_refused(problems, lines, words):
    found = problems(CRM + lines + "\n")
    assert words in found["location.crm.apply"].message


def test_a_place_without_credentials_of_its_own_takes_no_others(problems):
    found = problems('timezone = "UTC"\n[location.web]\nconnector = "files"\nroot = "."\napply = { root = "x" }\n')
    assert "its rights are those of whoever runs this" in found["location.web.apply"].message


def test_they_are_looked_up_only_where_they_are_asked_for_and_missed_by_their_key_path(types, tmp_path):
    plain = Location("crm", "sql", options={"url": "env:CRM_URL"})
    both = Location("crm", "sql", options={"url": "env:CRM_URL"}, apply={"url": "env:APPLY_URL"})
    assert resolve(plain, types["sql"], tmp_path, {"CRM_URL": "a"}) == {"url": "a"}
    environ = {"CRM_URL": "a", "APPLY_URL": "b"}
    assert resolve(both, types["sql"], tmp_path, environ) == {"url": "a", "apply": {"url": "b"}}
    with pytest.raises(ConfigurationError) as caught:
        resolve(both, types["sql"], tmp_path, {"CRM_URL": CANARY})
    assert [problem.path for problem in caught.value.problems] == ["location.crm.apply.url"]
    assert CANARY not in str(caught.value)
