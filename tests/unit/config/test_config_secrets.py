"""Secrets are references, looked up late, and never shown."""

import traceback
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ropa.config import Location, absolute_sqlite_url, check_modes, dereference, load, resolve, resolve_datasets
from ropa.config.references import MAX_SECRET
from ropa.config.secrets import has_inline_secret, is_secret_name
from ropa.errors import ConfigurationError

CANARY = "c4nary-8f1e-hunter2"


def location(lines: str, connector: str = "sql") -> str:
    return f'timezone = "UTC"\n[location.crm]\nconnector = "{connector}"\n{lines}\n'


def everything_said(error: BaseException) -> str:
    """Whatever a log, a report or a debugger could show of an error."""
    parts = ["".join(traceback.format_exception(error)), repr(error), repr(vars(error))]
    chained = [error.__cause__, error.__context__]
    return "\n".join([*parts, *(repr(inner.args) + repr(vars(inner)) for inner in chained if inner)])


@pytest.mark.parametrize(
    "lines",
    [
        f'url = "sqlite:///x"\npassword = "{CANARY}"',
        f'url = "sqlite:///x"\napi_token = "{CANARY}"',
        f'url = "postgresql://user:{CANARY}@host/db"',
        f'url = "postgresql+psycopg://:{CANARY}@host/db"',
        f'url = "postgresql://user:p/{CANARY}@host/db"',
        f'url = "postgresql://host/db?user=x&password={CANARY}"',
        f'url = "mssql+pyodbc:///?odbc_connect=DRIVER%3DX%3BPWD%3D{CANARY}"',
        f'url = "https://account.blob.example/x?sv=1&sig={CANARY}"',
        f'url = "sqlite:///x"\nschema = "-----BEGIN PRIVATE KEY-----{CANARY}"',
        f'url = "sqlite:///x"\nsearch_path = ["public", "redis://:{CANARY}@host"]',
        f'url = "sqlite:///x"\ntitle = "https://me:{CANARY}@host"',
        f'url = "sqlite:///x"\nclient_secret = "{CANARY}"',
        f'url = "sqlite:///x"\npassword = ["{CANARY}"]',
        f'url = "sqlite:///x"\npassword = "env:{CANARY}"',
        f'url = "sqlite:///x"\n[state]\ndatabase = "postgresql+psycopg://u:{CANARY}@h/d"',
    ],
)
def test_a_secret_in_the_file_is_refused_and_never_shown(write, types, lines):
    folder = write(location(lines))
    with pytest.raises(ConfigurationError) as caught:
        load(folder, types)
    assert len({problem.path for problem in caught.value.problems}) == 1
    assert CANARY not in everything_said(caught.value)


def test_a_secret_in_a_place_whose_connector_is_unknown_is_refused_too(write, types):
    folder = write(location(f'password = "{CANARY}"', connector="nosuch"))
    with pytest.raises(ConfigurationError) as caught:
        load(folder, types)
    assert [problem.path for problem in caught.value.problems] == ["location.crm.connector", "location.crm.password"]
    assert CANARY not in everything_said(caught.value)


@pytest.mark.parametrize("reference", ["env:", "env:1X", "env:A B", "env:A-B", "file:", "file: "])
def test_a_reference_that_points_nowhere_is_refused(problems, reference):
    assert list(problems(location(f'url = "{reference}"'))) == ["location.crm.url"]


@pytest.mark.parametrize(
    "lines",
    [
        'url = "env:CRM_URL"',
        'url = "postgresql://user@host:5432/db"',
        'url = "sqlite:////srv/a:b@c.sqlite"',
        'url = "https://host.example/path?version=9.2"',
        'url = "file:/run/secrets/url"\npassword = "file:pw"\napi_token = "env:TOKEN"',
    ],
)
def test_references_and_urls_without_a_password_are_sound(read, lines):
    assert read(location(lines)).locations["crm"].options["url"]


def test_a_location_does_not_show_its_options(read):
    assert "CRM_PASSWORD" not in repr(read(location('url = "sqlite:///x"\npassword = "env:CRM_PASSWORD"')))


def test_data_categories_and_columns_may_be_called_after_secrets(read):
    lines = 'url = "sqlite:///x"\n[location.crm.dataset.users]\nsource = "users"\ndata.credentials = ["password"]\n'
    assert read(location(lines)).dataset("crm.users").data == {"credentials": ("password",)}


@pytest.mark.parametrize(
    "name", ["password", "db_password", "clientSecret", "api-key", "API_KEY", "token", "passphrase", "pwd"]
)
def test_these_names_mean_a_secret(name):
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["url", "token_url", "tenant_id", "password_file", "key", "certificate_path", "schema"]
)
def test_these_names_do_not_mean_a_secret(name):
    assert not is_secret_name(name)


def test_a_url_with_a_port_and_no_user_has_no_secret():
    assert not has_inline_secret("https://host:8443/path")
    assert has_inline_secret("mongodb://a:b@one,two/db")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_text_of_the_file_ever_stands_in_a_message(write, types, data):
    lines = [
        "timezone", "safety.max_records", "safety.approval_valid", "state.database", "ledger.origin", "location.crm.connector",
        "location.crm.url", "location.crm.country", "location.crm.batch_size", "location.crm.dataset.c.source",
        "location.crm.dataset.c.key", "location.crm.dataset.c.data.name", "location.crm.dataset.c.anchor.a",
        "location.crm.dataset.c.anchor.b.latest", "location.crm.dataset.c.anchor.b.format", "location.crm.dataset.c.parent.dataset",
        "rule.r.dataset", "rule.r.data", "rule.r.anchor", "rule.r.period", "rule.r.action", "rule.r.where.a", "rule.r.mask.name",
        "rule.r.start", "rule.r.approval", "rule.r.max_records", "rule.r.reason", "unknown",
    ]  # fmt: skip
    forms = st.sampled_from(
        [f'"{CANARY}"', f'["{CANARY}"]', f'{{ x = "{CANARY}" }}', f'"{CANARY}:x"', f'"env:{CANARY}"']
    )
    chosen = data.draw(st.lists(st.sampled_from(lines), unique=True, min_size=1))
    folder = write("\n".join(f"{key} = {data.draw(forms)}" for key in sorted(chosen)))
    with pytest.raises(ConfigurationError) as caught:
        load(folder, types)
    shown = everything_said(caught.value).replace(str(folder), "")
    assert CANARY not in shown


# --- looking up ---------------------------------------------------------------------------------------------------


@pytest.fixture
def secret(tmp_path: Path):
    def secret(data: bytes, mode: int = 0o400) -> Path:
        file = tmp_path / "secret"
        file.unlink(missing_ok=True)
        file.write_bytes(data)
        file.chmod(mode)
        return file

    return secret


def test_references_are_looked_up_and_paths_made_absolute(types, tmp_path, secret):
    secret(f"{CANARY}\n".encode())
    crm = Location(
        "crm",
        "sql",
        options={
            "url": "env:URL",
            "password": "file:secret",
            "timeout": 5,
            "search_path": ["env:A", "b"],
            "ssl": {"cert": "env:A", "verify": True},
        },
    )
    environ = {"URL": "sqlite:///data/x.sqlite", "A": "a"}
    assert resolve(crm, types["sql"], tmp_path, environ) == {
        "url": f"sqlite:///{tmp_path}/data/x.sqlite",
        "password": CANARY,
        "timeout": 5,
        "search_path": ["a", "b"],
        "ssl": {"cert": "a", "verify": True},
    }
    cv = Location("cv", "files", options={"root": "data/cv", "sentinel": ".ropa-root", "pattern": "*.pdf"})
    resolved = resolve(cv, types["files"], tmp_path, {})
    assert resolved == {"root": f"{tmp_path}/data/cv", "sentinel": ".ropa-root", "pattern": "*.pdf"}
    assert resolve(replace(cv, options={"root": "env:R"}), types["files"], tmp_path, {"R": "/srv/cv"}) == {
        "root": "/srv/cv"
    }


def test_the_options_of_datasets_are_resolved_as_well(read, types, tmp_path):
    lines = 'root = "cv"\n[location.crm.dataset.new]\nsource = "new"\ndepth = 2\nexclude_list = "env:LIST"\n'
    found = resolve_datasets(
        read(location(lines, "files")).locations["crm"], types["files"], tmp_path, {"LIST": "skip.txt"}
    )
    assert found["new"].options == {"depth": 2, "exclude_list": f"{tmp_path}/skip.txt"}
    assert found["new"].source == "new"


@pytest.mark.parametrize("ending", ["\n", "\r\n", ""])
def test_one_line_ending_of_a_secret_file_is_not_part_of_it(tmp_path, secret, ending):
    secret(f" {CANARY}\n{ending}".encode())
    expected = f" {CANARY}\n" if ending else f" {CANARY}"
    assert dereference("file:secret", path="p", folder=tmp_path, environ={}) == expected


def test_a_text_that_is_no_reference_comes_back_as_it_is(tmp_path):
    assert dereference("sqlite:///x", path="p", folder=tmp_path, environ={}) == "sqlite:///x"


@pytest.mark.parametrize(
    ("options", "environ", "path"),
    [
        ({"url": "env:URL"}, {}, "location.crm.url"),
        ({"url": "env:URL"}, {"URL": ""}, "location.crm.url"),
        ({"url": "env:URL"}, {"URL": " "}, "location.crm.url"),
        ({"url": "file:nosuch"}, {}, "location.crm.url"),
        ({"url": "file:."}, {}, "location.crm.url"),
        ({"url": "env:"}, {}, "location.crm.url"),
        ({"ssl": {"cert": "env:URL"}}, {}, "location.crm.ssl.cert"),
        ({"search_path": ["a", "env:URL"]}, {}, "location.crm.search_path[1]"),
    ],
)
def test_what_cannot_be_looked_up_is_an_error_with_its_key_path(types, tmp_path, options, environ, path):
    with pytest.raises(ConfigurationError) as caught:
        resolve(Location("crm", "sql", options=options), types["sql"], tmp_path, environ)
    assert [problem.path for problem in caught.value.problems] == [path]


def test_every_missing_secret_is_told_at_once(types, tmp_path):
    crm = Location("crm", "sql", options={"url": "env:URL", "password": "env:PW", "schema": "public"})
    with pytest.raises(ConfigurationError) as caught:
        resolve(crm, types["sql"], tmp_path, {})
    assert [problem.path for problem in caught.value.problems] == ["location.crm.url", "location.crm.password"]


@pytest.mark.parametrize("mode", [0o404, 0o402, 0o420, 0o444, 0o644, 0o666, 0o660])
def test_a_secret_file_that_is_open_to_others_is_refused_without_showing_it(types, tmp_path, secret, mode):
    secret(CANARY.encode(), mode)
    with pytest.raises(ConfigurationError) as caught:
        resolve(Location("crm", "sql", options={"password": "file:secret"}), types["sql"], tmp_path, {})
    assert f"{mode:04o}" in str(caught.value.problems[0])
    assert CANARY not in everything_said(caught.value)


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o440, 0o640])
def test_a_secret_file_for_its_owner_and_group_is_read(tmp_path, secret, mode):
    secret(CANARY.encode(), mode)
    assert dereference("file:secret", path="p", folder=tmp_path, environ={}) == CANARY


@pytest.mark.parametrize(
    "data", [b"", b"\n", b" \n", CANARY.encode() + b"\xff\xfe", CANARY.encode() * (MAX_SECRET // 19 + 1)]
)
def test_a_secret_file_without_a_sound_secret_is_refused_without_showing_it(tmp_path, secret, data):
    secret(data)
    with pytest.raises(ConfigurationError) as caught:
        dereference("file:secret", path="location.crm.password", folder=tmp_path, environ={})
    assert caught.value.problems[0].path == "location.crm.password"
    assert CANARY not in everything_said(caught.value)


def test_a_secret_file_up_to_the_bound_is_read(tmp_path, secret):
    secret(b"x" * MAX_SECRET)
    assert len(dereference("file:secret", path="p", folder=tmp_path, environ={})) == MAX_SECRET


@pytest.mark.parametrize(
    ("url", "absolute"),
    [
        ("sqlite:///a/b.db", "sqlite:////srv/a/b.db"),
        ("sqlite+pysqlite:///b.db?mode=ro", "sqlite+pysqlite:////srv/b.db?mode=ro"),
        ("sqlite:////abs.db", "sqlite:////abs.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("sqlite://", "sqlite://"),
        ("sqlite:///", "sqlite:///"),
        ("postgresql://h/d", "postgresql://h/d"),
    ],
)
def test_an_sqlite_file_is_relative_to_the_project_folder(url, absolute):
    assert absolute_sqlite_url(url, Path("/srv")) == absolute


# --- who may change the file --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "is_refused"), [(0o600, False), (0o644, False), (0o664, True), (0o646, True), (0o666, True)]
)
def test_a_configuration_that_others_may_change_is_refused(write, mode, is_refused):
    folder = write("x = 1")
    (folder / "config").chmod(0o755)
    (folder / "config" / "retention.toml").chmod(mode)
    assert [problem.path for problem in check_modes(folder)] == [str(folder / "config" / "retention.toml")] * is_refused


def test_a_folder_in_which_anybody_may_swap_the_configuration_is_refused(write):
    folder = write("x = 1")
    (folder / "config" / "retention.toml").chmod(0o600)
    (folder / "config").chmod(0o777)
    assert [problem.path for problem in check_modes(folder)] == [str(folder / "config")]
    (folder / "config").chmod(0o1777)
    assert check_modes(folder) == []


def test_a_configuration_that_is_not_there_has_no_mode(tmp_path):
    assert check_modes(tmp_path) == []
