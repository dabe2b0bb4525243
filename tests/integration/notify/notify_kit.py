"""Servers on loopback that take notices, and a judge of signatures that shares no code with the product."""

import contextlib
import datetime as dt
import hmac
import ipaddress
import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

REGISTER = ("finding:category-without-period:", "finding:organisation-without-contact:")
SECRET = "a-secret-of-thirty-two-characters"


class Hook(ThreadingHTTPServer):
    """Takes what is posted; answers what it was told to, 200 when it was told nothing."""

    daemon_threads = True
    block_on_close = False

    def __init__(self):
        self.taken, self.answers, self.released = [], [], threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def notices(self):
        return [json.loads(body) for _, path, _, body in self.taken if path.startswith("/hook")]

    def pings(self):
        return [path for method, path, _, _ in self.taken if method == "GET"]

    def keys(self, what):
        """Return what was told, but for what the small register of these tests lacks."""
        told = [one["key"] for notice in self.notices() for one in notice[what]]
        return [key for key in told if not key.startswith(REGISTER)]


class Handler(BaseHTTPRequestHandler):
    def _take(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.taken.append((self.command, self.path, dict(self.headers), body))
        status, *more = self.server.answers.pop(0) if self.server.answers else (200,)
        if status == "hang":
            self.server.released.wait(30)
            return
        if status == "drip":
            with contextlib.suppress(OSError):
                self.wfile.write(b"HTTP/1.1 200 OK\r\n")
                while not self.server.released.wait(0.05):
                    self.wfile.write(b"x-a: b\r\n")
            return
        self.send_response(status)
        for name, value in more:
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = _take  # noqa: N815 - names of the library

    def log_message(self, *args):
        pass


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def hook():
    server = Hook()
    hand = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    hand.start()
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()
    hand.join()


def signature_of(seconds, body, secret=SECRET):
    """Sign as another program does."""
    message = seconds.encode() + b"." + body
    ran = subprocess.run(
        ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"key:{secret}", "-hex"],
        input=message,
        stdout=subprocess.PIPE,
        check=True,
    )
    return ran.stdout.decode().strip().rpartition(" ")[2]


def is_signed(headers, body, secret=SECRET):
    parts = dict(part.split("=", 1) for part in headers["Ropa-Signature"].split(","))
    return hmac.compare_digest(parts["v1"], signature_of(parts["t"], body, secret))


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A certificate for localhost that signs itself, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path
