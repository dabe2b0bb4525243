"""The stand-ins for Microsoft 365, private to whoever starts them: on free ports of loopback, gone afterwards.

They are test material that is not part of this repository: an OData server in the shape of Dataverse and one in that of
Graph, a proxy that checks every request and answer by Microsoft's own definition, an OpenID provider in Entra's place,
and nginx with TLS, an access log and limits before them. ``make servers`` fetches what they run on, once.

    with Bed.start(throttle="200/5") as bed:
        bed.graph, bed.dataverse, bed.authority, bed.ca_file, bed.certificate
        bed.requests()          # what nginx noted: method and path of each request, without the query

Of ours nothing is imported: what a test finds out here does not come from what it tests.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from servers import Kept, ServerMissing, free_port, program

ROOT = Path(__file__).parents[1]
SOURCE = Path(os.environ.get("ROPA_BEDS", ROOT.parent / "shared" / "beds")) / "microsoft365"
INSTALLED = ROOT / "build" / "microsoft365"
"""Where ``make servers`` puts what npm brings: it is for running tests, and no part of what we give away."""
TENANT = "11111111-2222-3333-4444-555555555555"
CLIENT, SECRET_CLIENT, SECRET = "retention-cert", "retention-secret", "s3cret-s3cret-s3cret-s3cret-s3cret"
PARTS = ("dataverse", "graph", "idp")
_PORTS = (4004, 4006, 4010, 9443, 8501, 8502, 8503, 8504)

_SERVE = """
set -u
trap 'trap - TERM INT EXIT; kill $(jobs -p) 2>/dev/null; wait' TERM INT EXIT
N={dataverse}/node
(cd idp && TTL={ttl} exec $N idp-oidc.mjs {idp} {tenant}) > idp.log 2>&1 &
(cd dataverse && exec $N node_modules/.bin/cds-serve --port {dv}) > dataverse.log 2>&1 &
if [ -n "{auth}" ]; then
    export NODE_EXTRA_CA_CERTS=$PWD/run/tls/ca.pem AUD=https://graph.microsoft.com
    export ISS=https://localhost:{idp}/{tenant}/v2.0 JWKS=https://localhost:{idp}/{tenant}/v2.0/jwks
    for _ in $(seq 100); do (: < /dev/tcp/127.0.0.1/{idp}) 2>/dev/null && break; sleep 0.1; done
fi
(cd graph && THROTTLE={throttle} exec $N node_modules/.bin/cds-serve --port {graph}) > graph.log 2>&1 &
(cd idp && exec $N node_modules/.bin/prism proxy -h 127.0.0.1 -p {prism} --errors -v warn \\
    ../graph-v1.0-slice.openapi.json http://127.0.0.1:{graph}/v1.0) > prism.log 2>&1 &
{nginx} -p $PWD/run/ngx -c nginx.conf > nginx.log 2>&1 &
wait -n
"""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as nginx noted it."""

    at: float
    status: int
    method: str
    path: str


class Bed:
    """Everything, running."""

    def __init__(self, folder: Path, ports: dict[int, int], kept: Kept) -> None:
        self.folder = folder
        self._ports = ports
        self._kept = kept

    @classmethod
    def start(cls, *, throttle: str = "0/1", is_authenticated: bool = False, ttl: int = 3600) -> Self:
        """Start one. ``throttle``: "200/5" lets Graph take 200 requests in 5 seconds and mailbox; ``is_authenticated``:
        Graph checks the token; ``ttl``: seconds that a token lives.

        Raises ServerMissing where the material, node, nginx or what npm brings is not there; ServerFailed.
        """
        if not SOURCE.is_dir():
            raise ServerMissing(f"{SOURCE} is not there")
        for part in PARTS:
            if not (INSTALLED / part / "node_modules").is_dir():
                raise ServerMissing(f"{INSTALLED / part} is not there; `make servers` makes it")
        nginx = program("nginx", "/usr/sbin")
        folder = Path(tempfile.mkdtemp(prefix="ropa-m365-"))
        folder.chmod(0o755)  # nginx's workers are somebody else, and put large bodies down below it
        ports = {port: free_port() for port in _PORTS}
        _lay_out(folder, ports)
        text = _SERVE.format(
            dataverse=folder / "dataverse" / "node_modules" / ".bin",
            ttl=ttl,
            idp=ports[9443],
            tenant=TENANT,
            dv=ports[4004],
            graph=ports[4006],
            prism=ports[4010],
            throttle=throttle,
            auth="yes" if is_authenticated else "",
            nginx=nginx,
        )
        (folder / "serve.sh").write_text(text)
        bed = cls(folder, ports, Kept(folder, [], [program("bash"), "serve.sh"], None, signal.SIGTERM))
        bed._kept.wait_for(lambda: bed._answers(401 if is_authenticated else 200))
        return bed

    @property
    def graph(self) -> str:
        """The address of Graph, with its version: behind TLS and the proxy that checks by definition."""
        return f"https://localhost:{self._ports[8501]}/v1.0"

    @property
    def throttled_graph(self) -> str:
        """The same with nginx's limits: 4 at once and 50 a second for a mailbox."""
        return f"https://localhost:{self._ports[8503]}/v1.0"

    @property
    def dataverse(self) -> str:
        """The address of Dataverse, without the path of its API."""
        return f"https://localhost:{self._ports[8502]}"

    @property
    def throttled_dataverse(self) -> str:
        """The same with nginx's limits: 52 at once and 20 a second for a token."""
        return f"https://localhost:{self._ports[8504]}"

    @property
    def dataverse_resource(self) -> str:
        """Whose token Dataverse's stand-in is asked with: the provider knows this one."""
        return f"http://localhost:{self._ports[4004]}"

    @property
    def authority(self) -> str:
        """The token service."""
        return f"https://localhost:{self._ports[9443]}/{TENANT}/v2.0"

    @property
    def ca_file(self) -> Path:
        """Who signed the certificates of all of them."""
        return self.folder / "run" / "tls" / "ca.pem"

    @property
    def certificate(self) -> str:
        """The application's certificate and its key, in PEM."""
        tls = self.folder / "run" / "tls"
        return (tls / "app.pem").read_text() + (tls / "app.key").read_text()

    def requests(self) -> list[Request]:
        """Return what nginx noted so far."""
        log = self.folder / "run" / "ngx" / "access.log"
        lines = log.read_text().splitlines() if log.exists() else []
        found = (line.split(" ") for line in lines)
        return [
            Request(float(at), int(status), method, path.partition("?")[0]) for at, status, method, path, *_ in found
        ]

    def read(self, url: str) -> dict[str, object]:
        """Return the JSON of an address, asked without us."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        with urllib.request.urlopen(url, context=context) as answer:
            return dict(json.load(answer))

    def stop(self) -> None:
        """End all of it; the folder goes too."""
        self._kept.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _answers(self, status: int) -> None:
        context = ssl.create_default_context(cafile=str(self.ca_file))
        expected = {
            f"{self.graph}/sites": status,
            f"{self.dataverse}/api/data/v9.2/": 200,
            f"{self.authority}/.well-known/openid-configuration": 200,
        }
        for url, wanted in expected.items():
            try:
                with urllib.request.urlopen(url, context=context, timeout=10) as answer:
                    found = answer.status
            except urllib.error.HTTPError as error:
                with error:
                    found = error.code
            if found != wanted:
                raise ConnectionError(f"{url} answers {found}")
        (self.folder / "run" / "ngx" / "access.log").write_text("")


def _lay_out(folder: Path, ports: dict[int, int]) -> None:
    """Copy the material with ports of its own, its generated people and a certificate for each side."""
    known = re.compile(rf"\b(?:{'|'.join(map(str, ports))})\b")
    for file in SOURCE.rglob("*"):
        if file.is_file() and "node_modules" not in file.parts and "run" not in file.relative_to(SOURCE).parts:
            copy = folder / file.relative_to(SOURCE)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if file.suffix in {".json", ".csdl"} and file.stat().st_size > 100_000:
                copy.symlink_to(file)
                continue
            text = file.read_text("utf-8")
            copy.write_text(known.sub(lambda found: str(ports[int(found[0])]), text))
    for part in PARTS:
        (folder / part / "node_modules").symlink_to(INSTALLED / part / "node_modules")
    for part in ("dataverse", "graph"):
        subprocess.run([sys.executable, "seed.py"], cwd=folder / part, check=True)
    tls = folder / "run" / "tls"
    tls.mkdir(parents=True)
    (folder / "run" / "ngx" / "tmp").mkdir(parents=True)
    _certify(tls)
    shutil.copytree(tls, folder / "run" / "ngx" / "tls")
    shutil.copy(folder / "nginx.conf", folder / "run" / "ngx" / "nginx.conf")


def _certify(tls: Path) -> None:
    openssl = program("openssl")
    named = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    (tls / "names").write_text(named)
    ca = "-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign"
    for arguments in (
        f"req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=stand-in {ca}",
        "req -newkey rsa:2048 -nodes -keyout srv.key -out srv.csr -subj /CN=localhost",
        "x509 -req -in srv.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out srv.pem -days 2 -extfile names",
        "req -x509 -newkey rsa:2048 -nodes -keyout app.key -out app.pem -days 2 -subj /CN=retention-app",
    ):
        subprocess.run([openssl, *arguments.split(" ")], cwd=tls, check=True, capture_output=True)
