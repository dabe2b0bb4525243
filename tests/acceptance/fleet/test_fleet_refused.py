"""What a fleet refuses, and what it does not tell: addresses, certificates, other projects, wrong clocks, lost keys."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import shutil
import socket
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fleet_kit import Bed, People, Program
from servers import free_port

from ropa.errors import CallError
from ropa.sweep import holds
from ropa.sweep.engine import check_address


@pytest.fixture
def people(tmp_path: Path) -> People:
    return People.make(tmp_path / "p")


def ended(people: People, *words: str, before: str = "", **env: str) -> tuple[int, str]:
    """Run a `ropa`; return its exit code and the code of its error."""
    made = Program(people.folder / "said", "-C", people.folder, *words, "--json", before=before, **env)
    found = made.ended()
    return found.code, json.loads(found.out.splitlines()[-1]).get("code")


@pytest.mark.parametrize(
    "address",
    ["", "fleet:8786", "http://127.0.0.1:8786", "tcp://127.0.0.1", "tcp://127.0.0.1:0", "tcp://127.0.0.1:70000",
     "tcp://10.0.0.1:8786", "tcp://fleet.example.org:8786", "tcp://0.0.0.0:8786", "tcp://[::]:8786", "tls://a b:1",
     "tls://user@host:8786", "tcp://127.0.0.1:8786/x"],
)  # fmt: skip
def test_an_address_that_could_not_be_used_safely_is_a_mistake_of_the_call(address: str) -> None:
    with pytest.raises(CallError):
        check_address(address)


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:1", "tcp://localhost:8786", "tcp://[::1]:8786", "tls://10.0.0.1:8786"]
)
def test_an_address_of_this_machine_or_with_certificates_is_taken(address: str) -> None:
    assert check_address(address) == address


@pytest.mark.whole
def test_what_is_missing_is_said_and_nothing_is_begun(people: People) -> None:
    plan = ("plan", "--by", "An", "--fleet")
    missing = "import sys; sys.modules['distributed'] = None"
    runs = people.state.ask("SELECT id FROM run")
    assert ended(people, *plan, "tcp://10.0.0.1:8786") == (2, "fleet-address")
    assert ended(people, *plan, "tls://127.0.0.1:8786") == (2, "fleet-certificates")
    assert ended(people, *plan, f"tcp://127.0.0.1:{free_port()}") == (5, "fleet")
    assert ended(people, *plan, "tcp://127.0.0.1:8786", before=missing)[0] == 2
    assert ended(people, "worker")[0] == 2
    assert ended(people, "worker", "--fleet", "tls://127.0.0.1:8786") == (2, "fleet-certificates")
    assert people.state.ask("SELECT * FROM plan_target") == []
    assert people.state.ask("SELECT id FROM run") == runs, "refused at the door: no run is begun"


@pytest.mark.whole
def test_a_worker_of_another_project_and_one_with_a_wrong_clock_take_nothing(
    fleet: Bed, address: str, people: People, tmp_path: Path
) -> None:
    plan = people.approve()
    other = People.make(tmp_path / "other")
    fleet.worker(other.folder, address)
    alone = fleet.start(people.folder, "apply", str(plan), address=address).ended()
    assert (alone.code, alone.document["code"]) == (5, "fleet")
    late = "import ropa.clock as c, datetime as d; c.now = lambda real=c.now: real() + d.timedelta(hours=1)"
    fleet.worker(people.folder, address, before=late)
    found = fleet.start(people.folder, "apply", str(plan), address=address).ended()
    assert (found.code, people.left(), other.left()) == (5, 8, 8)
    assert people.apply(plan).exit_code == 0
    assert people.left() == 0


def test_without_the_key_of_the_holds_on_persons_a_worker_stops_everything(
    fleet: Bed, address: str, people: People, tmp_path: Path
) -> None:
    with people.site() as site:
        holds.add(site, kind="subject", target=people.names[3], key=None, reason="litigation", by="Lies Legal")
    plan = people.approve()
    shutil.copytree(people.folder / "var", tmp_path / "var", ignore=shutil.ignore_patterns("holds.key", "ropa.db*"))
    (tmp_path / "var").chmod(0o700)
    url = f"sqlite:///{people.folder / 'var' / 'ropa.db'}"
    fleet.worker(people.folder, address, ROPA_STATE=str(tmp_path / "var"), ROPA_DATABASE_URL=url)
    found = fleet.start(people.folder, "apply", str(plan), address=address).ended()
    assert (found.code, people.left()) == (6, 8), found.err
    assert people.apply(plan).exit_code == 0
    assert people.left() == 1


def test_a_worker_reads_a_changed_configuration_and_one_of_another_folder_leaves_the_item(
    fleet: Bed, address: str, people: People, tmp_path: Path
) -> None:
    worker = fleet.worker(people.folder, address)
    config = people.folder / "config" / "retention.toml"
    config.write_text(config.read_text().replace("6 months", "7 months"))
    assert fleet.start(people.folder, "plan", "--by", "An", address=address).ended().code == 0
    worker.end()
    stale = tmp_path / "stale"
    shutil.copytree(people.folder, stale, ignore=shutil.ignore_patterns("var"))
    (stale / "config" / "retention.toml").write_text(config.read_text().replace("7 months", "8 months"))
    fleet.worker(stale, address, ROPA_STATE=str(people.folder / "var"))
    found = fleet.start(people.folder, "plan", "--by", "An", address=address).ended()
    assert (found.code, found.document["code"]) == (5, "item-policy")


# --- what is told ---------------------------------------------------------------------------------------------------


class Wire:
    """What goes to and from a port, kept."""

    def __init__(self, port: int) -> None:
        self.seen = bytearray()
        self._to = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._open: list[socket.socket] = [self._listening]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._listening.accept()
                there = socket.create_connection(("127.0.0.1", self._to))
                self._open += [here, there]
                for one, other in ((here, there), (there, here)):
                    self._threads.append(threading.Thread(target=self._carry, args=(one, other)))
                    self._threads[-1].start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while part := one.recv(65536):
                self.seen += part
                other.sendall(part)
        with suppress(OSError):
            other.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join(10)


def test_no_key_and_no_value_of_a_record_is_on_the_wire_in_items_or_in_what_is_logged(
    fleet: Bed, tmp_path: Path
) -> None:
    people = People.make(tmp_path / "p", config=KEYED)
    plan = people.approve()
    scheduler = fleet.scheduler(DASK_LOGGING__DISTRIBUTED="debug")
    wire = Wire(scheduler.port)
    address = f"tcp://127.0.0.1:{wire.port}"
    try:
        worker = fleet.worker(people.folder, address, DASK_LOGGING__DISTRIBUTED="debug")
        with people.site() as site:
            holds.add(site, kind="record", target="crm.people", key=(people.names[1],), reason="litigation", by="L")
        for words in (("plan", "--by", "An"), ("apply", str(plan))):
            run = fleet.start(people.folder, *words, address=address)
            assert run.ended().code == 0, run.err.read_text()
        rows = str([tuple(row) for row in people.state.ask("SELECT * FROM work_item")])
        worker.signal(15)
        assert worker.ended().code == 143
        said = rows + "".join(p.out.read_text() + p.err.read_text() for p in fleet.programs) + scheduler.log.read_text()
        assert b"do_item" in wire.seen
        for name in people.names:
            assert name not in said
            assert name.encode() not in wire.seen
            assert name.encode().hex() not in said
    finally:
        wire.close()


KEYED = """\
timezone = "Europe/Brussels"
[safety]
max_share = 1.0
[location.crm]
connector = "sql"
url = "sqlite:///data/crm.sqlite"
batch_size = 2
[location.crm.dataset.people]
source = "person"
key = ["name"]
anchor.seen = "seen_on"
data.name = ["name"]
[rule.people]
activity = "intake"
dataset = "crm.people"
data = "*"
anchor = "seen"
period = "6 months"
action = "purge"
"""

# --- over TLS ---------------------------------------------------------------------------------------------------------


def certificates(folder: Path) -> dict[str, str]:
    """Make an authority of this test's own and a certificate of it; return what tells the engine of them."""
    now = dt.datetime.now(dt.UTC)

    def made(
        name: str, issuer: tuple[x509.Name, ec.EllipticCurvePrivateKey] | None
    ) -> tuple[x509.Name, ec.EllipticCurvePrivateKey]:
        key, subject = (
            ec.generate_private_key(ec.SECP256R1()),
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]),
        )
        signer = issuer or (subject, key)
        built = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(signer[0])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=5))
            .not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
            )
            .sign(signer[1], hashes.SHA256())
        )
        (folder / f"{name}.pem").write_bytes(built.public_bytes(serialization.Encoding.PEM))
        pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        (folder / f"{name}.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, pkcs8, plain))
        return subject, key

    folder.mkdir()
    made("node", made("ca", None))
    env = {"DASK_DISTRIBUTED__COMM__TLS__CA_FILE": str(folder / "ca.pem")}
    for part in ("SCHEDULER", "WORKER", "CLIENT"):
        env[f"DASK_DISTRIBUTED__COMM__TLS__{part}__CERT"] = str(folder / "node.pem")
        env[f"DASK_DISTRIBUTED__COMM__TLS__{part}__KEY"] = str(folder / "node.key")
    return env


def test_a_fleet_over_tls_works_and_does_not_talk_to_who_has_no_certificate_of_it(
    fleet: Bed, people: People, tmp_path: Path
) -> None:
    plan = people.approve()
    env = certificates(tmp_path / "tls")
    scheduler = fleet.scheduler(scheme="tls", **env)
    fleet.worker(people.folder, scheduler.address, **env)
    stranger = certificates(tmp_path / "strange")
    refused = fleet.start(people.folder, "apply", str(plan), address=scheduler.address, **stranger).ended()
    assert (refused.code, refused.document["code"]) == (5, "fleet")
    done = fleet.start(people.folder, "apply", str(plan), address=scheduler.address, **env).ended()
    assert (done.code, done.document["outcomes"]) == (0, {"purged": 8})
    people.is_sound()
