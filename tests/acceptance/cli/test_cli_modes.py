"""Files of the state folder that are open to others: every command that uses them refuses, and says which mode to set."""

import pytest


@pytest.mark.parametrize(
    ("name", "mode", "wanted"),
    [
        ("ledger/events.jsonl", 0o644, "600"),
        ("ledger", 0o755, "700"),
        ("keys/signing.pem", 0o640, "600"),
    ],
)
@pytest.mark.parametrize("command", ["status", "plan", "sweep"])
def test_state_that_others_may_read_is_refused_with_the_mode_to_set(ropa, name, mode, wanted, command):
    is_refused(ropa, name, mode, wanted, command)


@pytest.mark.sqlite_state("its file")
@pytest.mark.parametrize("command", ["status", "plan", "sweep"])
def test_a_run_database_that_others_may_read_is_refused_with_the_mode_to_set(ropa, command):
    is_refused(ropa, "ropa.db", 0o644, "600", command)


def is_refused(ropa, name, mode, wanted, command):
    path = ropa.folder / "var" / name
    before = path.stat().st_mode
    path.chmod(mode)
    arguments = [] if command == "status" else ["--by", "An"]
    document = ropa.refused(command, *arguments)
    assert [problem["path"] for problem in document["problems"]] == [str(path)]
    assert f"chmod {wanted} it" in document["problems"][0]["message"]
    path.chmod(before)
    assert ropa(command, *arguments).code != 2


def test_a_secret_file_for_applying_that_others_may_read_is_refused_before_anything_is_planned(ropa):
    config, secret = ropa.folder / "config" / "retention.toml", ropa.folder / "deleter"
    secret.write_text("postgresql://nobody@127.0.0.1/none\n")
    secret.chmod(0o644)
    text = config.read_text() + '\n[location.shop]\nconnector = "sql"\nurl = "env:SHOP_URL"\n'
    config.write_text(text + '[location.shop.apply]\nurl = "file:deleter"\n')
    document = ropa.refused("plan", "--by", "An")
    assert [problem["path"] for problem in document["problems"]] == ["location.shop.apply.url"]
    secret.chmod(0o400)
    assert ropa("plan", "--by", "An").code != 2
