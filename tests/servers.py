"""Real database servers for tests and benchmarks: private, on loopback, started on first use, gone afterwards.

Invariant: whatever happens to the process that asked for a server, also a SIGKILL, the server ends and its folder goes.
A keeper (this file run as a program) starts the server as its child and holds the other end of a pipe: a word or the
end of the pipe makes it end that one process by its own id and remove the folder. Nothing that is installed is
configured or touched, no service is used, and root does not run PostgreSQL, which refuses it.

    server = Postgres.start()           # or MariaDB.start(); ServerMissing where it is not installed
    with server.create() as database:   # empty, with a name of its own
        database.load(path)
        database.execute("SELECT count(*) FROM customer")
        url = database.role("reader", "SELECT")
    server.stop()

Of ours nothing is imported: what a test finds out here does not come from what it tests.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import pwd
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

START_SECONDS = 90
STOP_SECONDS = 20
ELSEWHERE = re.compile(rb"^\s*(?:(?:DROP|CREATE) DATABASE\b[^;]*;|USE\s+\S+;|\\c(?:onnect)?\s+\S+)\s*$", re.IGNORECASE)
"""Lines of a dump that would leave the database it is loaded into."""


class ServerMissing(Exception):  # noqa: N818 - a state of the machine, for which a test is skipped
    """The server is not installed."""


class ServerFailed(Exception):  # noqa: N818 - reads as what happened
    """The server did not start, or a client of it ended with an error; the message has its last words."""


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def program(name: str, *folders: str) -> str:
    """Return the path of a program, the newest of several; raises ServerMissing."""
    for folder in folders:
        found = sorted(
            Path("/").glob(f"{folder.lstrip('/')}/{name}"), key=lambda p: [int(n) for n in re.findall(r"\d+", str(p))]
        )
        if found:
            return str(found[-1])
    on_path = shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/usr/local/sbin")
    if on_path is None:
        raise ServerMissing(f"{name} is not installed; `make servers` installs it")
    return on_path


class Kept:
    """A server process in the hands of its keeper."""

    def __init__(self, folder: Path, prepare: list[list[str]], command: list[str], user: str | None, last: int) -> None:
        orders = {"folder": str(folder), "prepare": prepare, "command": command, "user": user, "signal": last}
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "MYSQL", "MARIADB"))}
        environment |= {"LC_ALL": "C.UTF-8", "TZ": "UTC"}
        self.folder = folder
        self._keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # an interrupt at the terminal is for the tests; they end the server themselves
            env=environment,
            cwd="/",
        )
        assert self._keeper.stdin is not None
        self._keeper.stdin.write(json.dumps(orders).encode() + b"\n")
        self._keeper.stdin.flush()
        self.pid = 0

    def wait_for(self, answers: Callable[[], object]) -> None:
        """Return when the server answers; raises ServerFailed, and the server is gone, when it does not."""
        assert self._keeper.stdout is not None
        said = self._keeper.stdout.readline()
        until = time.monotonic() + START_SECONDS
        last: Exception | None = None
        while said and time.monotonic() < until and not self._has_ended():
            self.pid = int(said)
            try:
                answers()
            except Exception as error:  # noqa: BLE001 - a driver's own kind, and this file knows two
                last = error
                time.sleep(0.03)
            else:
                return
        log = self.folder / "log"
        words = log.read_text(errors="replace")[-2000:] if log.exists() else ""
        self.stop()
        raise ServerFailed(f"the server did not start: {last}\n{words}")

    def _has_ended(self) -> bool:
        # The keeper lets go of its end when the server has ended by itself.
        # Not select(), which knows no descriptor past 1,023: a long run of tests may have that many.
        waiting = select.poll()
        waiting.register(self._keeper.stdout, select.POLLIN | select.POLLHUP)
        return bool(waiting.poll(0))

    def stop(self) -> None:
        """End the server and remove its folder; does nothing the second time."""
        if self._keeper.poll() is None:
            assert self._keeper.stdin is not None
            with contextlib.suppress(OSError):
                self._keeper.stdin.write(b"stop\n")
                self._keeper.stdin.close()
            self._keeper.wait(2 * STOP_SECONDS)
        if self._keeper.stdout is not None:
            self._keeper.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Server:
    """What both servers share."""

    name: str
    drivername: str
    superuser: str

    _main: str

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self._numbers = itertools.count(1)
        self.kept: Kept

    @classmethod
    def start(cls, **settings: object) -> Self:
        """Start one; raises ServerMissing, ServerFailed."""
        for attempt in range(3):  # somebody else may take the port between asking and listening
            try:
                return cls._start(**settings)
            except ServerFailed as failed:
                if attempt == 2 or not re.search("in use|another server", str(failed)):
                    raise
        raise AssertionError

    @classmethod
    def _start(cls, **settings: object) -> Self:
        raise NotImplementedError

    @property
    def url(self) -> str:
        """The server itself, as its superuser, as an SQLAlchemy URL."""
        return self.url_of(self.superuser, self._main)

    @property
    def pid(self) -> int:
        """The process of the server."""
        return self.kept.pid

    def url_of(self, user: str, database: str) -> str:
        """Return an SQLAlchemy URL; nobody has a password, and nobody outside this machine can connect."""
        return f"{self.drivername}://{user}@127.0.0.1:{self.port}/{database}"

    def is_own(self, database: str | None, question: str) -> None:
        """Raise ServerFailed where another server has our port."""
        if Path(self.ask(database, question)[0][0]) != self.folder / "data":
            raise ServerFailed("another server listens there")

    def connect(self, database: str | None) -> Any:
        """Return a connection of the driver as the superuser, autocommit on; the caller closes it."""
        raise NotImplementedError

    def ask(self, database: str | None, sql: str, values: Any = None) -> list[tuple[Any, ...]]:
        """Run SQL as the superuser, each statement on its own; return the rows of the last one."""
        with contextlib.closing(self.connect(database)) as connection:
            return self.rows(connection, sql, values)

    @staticmethod
    def rows(connection: Any, sql: str, values: Any = None) -> list[tuple[Any, ...]]:
        """Run SQL on a connection; return the rows of the last statement."""
        with connection.cursor() as cursor:
            cursor.execute(sql, values)
            rows = cursor.fetchall() if cursor.description else ()
            while cursor.nextset():
                rows = cursor.fetchall() if cursor.description else ()
            return list(rows)

    def next_name(self) -> str:
        """Return a name for a database that no other has."""
        return f"db{next(self._numbers)}_{os.getpid()}"

    def stop(self) -> None:
        """End the server; its folder goes too."""
        self.kept.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Database:
    """One database, of its own name."""

    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.name = name
        self._roles: list[str] = []

    @property
    def url(self) -> str:
        """The database as the superuser, as an SQLAlchemy URL."""
        return self.server.url_of(self.server.superuser, self.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()

    def execute(self, sql: str, values: Sequence[object] | Mapping[str, object] | None = None) -> list[tuple[Any, ...]]:
        """Run SQL as the superuser and commit; return the rows of the last statement, [] where it has none.

        Several statements at once are fine where there are no values.
        """
        return self.server.ask(self.name, sql, values)

    def connect(self) -> Any:
        """Return a connection of the driver as the superuser, autocommit on; the caller closes it."""
        return self.server.connect(self.name)

    def load(self, path: Path) -> None:
        """Read a dump with the server's own client, as it would be at a terminal; stops at the first error.

        Lines that create or choose another database are passed over.
        """
        lines = path.read_bytes().split(b"\n")
        here = b"\n".join(b"" if ELSEWHERE.match(line) else line for line in lines)
        done = subprocess.run(self._client(), input=here, capture_output=True, check=False, env=self._client_env())
        if done.returncode:
            raise ServerFailed(f"{path.name} was not loaded: {done.stderr.decode(errors='replace')[-2000:]}")

    def role(self, name: str, *grants: str, on: Sequence[str] = ()) -> str:
        """Make a login that may do only what is granted on the tables there are now; return its URL.

        ``grants``: ``SELECT``, ``UPDATE``, ``DELETE`` …, and ``TEMPORARY`` for temporary tables, which nobody may make
        by default. ``on``: these tables only. The login's real name has the database's in front.
        """
        raise NotImplementedError

    def tables(self) -> list[str]:
        """Return the tables that hold rows, sorted."""
        raise NotImplementedError

    def dump(self, *tables: str) -> dict[str, list[tuple[str | bytes | None, ...]]]:
        """Return the rows of each table as the engine writes them (text, bytes or None), columns in order, rows sorted."""
        raise NotImplementedError

    def drop(self) -> None:
        """Remove the database and its logins, whoever is connected."""
        raise NotImplementedError

    def _client(self) -> list[str]:
        raise NotImplementedError

    def _client_env(self) -> dict[str, str]:
        return {k: v for k, v in os.environ.items() if not k.startswith(("PG", "MYSQL", "MARIADB"))}


def sorted_rows(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return sorted(rows, key=repr)


# --- PostgreSQL -----------------------------------------------------------------------------------------------------


class Postgres(Server):
    """A PostgreSQL server; ``settings`` are those of postgresql.conf."""

    name = "postgresql"
    drivername = "postgresql+psycopg"
    superuser = "postgres"
    _main = "postgres"

    @classmethod
    def _start(cls, **settings: object) -> Self:
        initdb = program("initdb", "/usr/lib/postgresql/*/bin")
        bin_folder = Path(initdb).parent
        server = cls(Path(tempfile.mkdtemp(prefix="ropa-pg-")), free_port())
        names = {entry.pw_name for entry in pwd.getpwall()}
        other = "postgres" if "postgres" in names else "nobody"
        user = other if os.geteuid() == 0 else None  # the server refuses to run as root
        if user:
            shutil.chown(server.folder, user)
        given = {
            "port": server.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": server.folder,
            "fsync": "off",
            "full_page_writes": "off",
            "timezone": "UTC",
            "deadlock_timeout": "200ms",
        } | settings
        data = str(server.folder / "data")
        options = [part for key, value in given.items() for part in ("-c", f"{key}={value}")]
        make = [initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        server.psql = str(bin_folder / "psql")
        command = [str(bin_folder / "postgres"), "-D", data, *options]
        server.kept = Kept(server.folder, [make], command, user, signal.SIGINT)
        server.kept.wait_for(lambda: server.is_own("postgres", "SHOW data_directory"))
        return server

    psql: str

    def connect(self, database: str | None) -> Any:
        import psycopg

        return psycopg.connect(host="127.0.0.1", port=self.port, user="postgres", dbname=database, autocommit=True)

    def create(self, template: PostgresDatabase | None = None, *, more: str = "") -> PostgresDatabase:
        """Make an empty database, or a copy of one that nobody is connected to: quicker than to load it again.

        ``more``: what else its CREATE DATABASE says.
        """
        name = self.next_name()
        self.ask("postgres", f"CREATE DATABASE {name} {f'TEMPLATE {template.name}' if template else ''} {more}")
        # Temporary tables are everybody's by default; here a login has what it was given.
        self.ask("postgres", f"REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC")
        return PostgresDatabase(self, name)


class PostgresDatabase(Database):
    """A database of a PostgreSQL server."""

    server: Postgres

    def role(self, name: str, *grants: str, on: Sequence[str] = ()) -> str:
        role = f"{self.name}_{name}"
        asked = [grant for grant in grants if grant.upper() != "TEMPORARY"]
        self.execute(f'CREATE ROLE "{role}" LOGIN')
        self._roles.append(role)
        if len(asked) < len(grants):
            self.execute(f'GRANT TEMPORARY ON DATABASE {self.name} TO "{role}"')
        for (schema,) in self.execute(
            "SELECT quote_ident(nspname) FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'"
        ):
            self.execute(f'GRANT USAGE ON SCHEMA {schema} TO "{role}"')
            if asked and not on:
                self.execute(f'GRANT {", ".join(asked)} ON ALL TABLES IN SCHEMA {schema} TO "{role}"')
        for table in on if asked else ():
            self.execute(f'GRANT {", ".join(asked)} ON {table} TO "{role}"')
        return self.server.url_of(role, self.name)

    def tables(self) -> list[str]:
        # A partitioned table holds nothing itself; its partitions do.
        return sorted(
            name
            for (name,) in self.execute(
                "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                " WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
            )
        )

    def dump(self, *tables: str) -> dict[str, list[tuple[str | bytes | None, ...]]]:
        columns: dict[str, list[str]] = {table: [] for table in tables or self.tables()}
        found = {}
        with contextlib.closing(self.connect()) as connection:
            for table, column in self.server.rows(
                connection,
                "SELECT t.name, quote_ident(a.attname) FROM unnest(%s::text[]) AS t(name) JOIN pg_attribute a"
                " ON a.attrelid = t.name::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY t.name, a.attnum",
                [list(columns)],
            ):
                columns[table].append(f"{column}::text")
            for table, texts in columns.items():
                rows = self.server.rows(connection, f"SELECT {', '.join(texts)} FROM ONLY {table}")
                found[table] = sorted_rows(rows)
        return found

    def drop(self) -> None:
        self.server.ask("postgres", f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")
        for role in self._roles:
            self.server.ask("postgres", f'DROP ROLE IF EXISTS "{role}"')

    def _client(self) -> list[str]:
        at = ["-h", "127.0.0.1", "-p", str(self.server.port), "-U", "postgres", "-d", self.name]
        return [self.server.psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", os.devnull, *at]


# --- MariaDB --------------------------------------------------------------------------------------------------------


class MariaDB(Server):
    """A MariaDB server; ``settings`` are its options, with underscores."""

    name = "mariadb"
    drivername = "mysql+pymysql"
    superuser = "root"
    _main = "mysql"

    @classmethod
    def _start(cls, **settings: object) -> Self:
        mariadbd, install = program("mariadbd"), program("mariadb-install-db")
        server = cls(Path(tempfile.mkdtemp(prefix="ropa-mdb-")), free_port())
        server.client = program("mariadb")
        user = pwd.getpwuid(os.geteuid()).pw_name
        first = server.folder / "first.sql"
        first.write_text(
            "CREATE USER IF NOT EXISTS root@'127.0.0.1';\nGRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;\n"
        )
        data = str(server.folder / "data")
        # Of its own: a server that starts removes what it takes for leftovers, also those of another that is running.
        temporary = server.folder / "tmp"
        temporary.mkdir()
        given = {
            "datadir": data,
            "tmpdir": temporary,
            "socket": server.socket,
            "pid_file": server.folder / "pid",
            "port": server.port,
            "bind_address": "127.0.0.1",
            "init_file": first,
            "user": user,
            "default_time_zone": "+00:00",
            "character_set_server": "utf8mb4",
            "innodb_flush_log_at_trx_commit": 0,
            "innodb_use_native_aio": 0,  # a container seldom has enough of it
            "innodb_fast_shutdown": 2,  # nobody opens these files again
        } | settings
        options = [f"--{key.replace('_', '-')}={value}" for key, value in given.items()]
        make = [
            install,
            "--no-defaults",
            f"--datadir={data}",
            f"--tmpdir={temporary}",
            "--auth-root-authentication-method=normal",
        ]
        make += ["--skip-test-db", "--skip-name-resolve", f"--user={user}"]
        command = [mariadbd, "--no-defaults", "--skip-name-resolve", *options]
        server.kept = Kept(server.folder, [make], command, None, signal.SIGTERM)
        server.kept.wait_for(lambda: server.is_own(None, "SELECT @@datadir"))
        return server

    client: str

    @property
    def socket(self) -> str:
        """The path of its socket."""
        return str(self.folder / "my.sock")

    def connect(self, database: str | None, **more: Any) -> Any:
        import pymysql
        from pymysql.constants import CLIENT

        options = {
            "charset": "utf8mb4",
            "ssl_disabled": True,
            "client_flag": CLIENT.MULTI_STATEMENTS,
            "autocommit": True,
        } | more
        return pymysql.connect(host="127.0.0.1", port=self.port, user="root", database=database, **options)

    def create(self) -> MariaDatabase:
        """Make an empty database."""
        name = self.next_name()
        self.ask(None, f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        return MariaDatabase(self, name)


class MariaDatabase(Database):
    """A database of a MariaDB server."""

    server: MariaDB

    def role(self, name: str, *grants: str, on: Sequence[str] = ()) -> str:
        role = f"{self.name}_{name}"
        asked = [grant for grant in grants if grant.upper() != "TEMPORARY"]
        self.execute(f"CREATE USER '{role}'@'127.0.0.1'")
        self._roles.append(role)
        if len(asked) < len(grants):
            self.execute(f"GRANT CREATE TEMPORARY TABLES ON {self.name}.* TO '{role}'@'127.0.0.1'")
        for table in on or ("*",):
            if asked:
                self.execute(f"GRANT {', '.join(asked)} ON {self.name}.{table} TO '{role}'@'127.0.0.1'")
        return self.server.url_of(role, self.name)

    def tables(self) -> list[str]:
        return sorted(
            name
            for (name,) in self.execute(
                "SELECT table_name FROM information_schema.tables"
                " WHERE table_schema = database() AND table_type = 'BASE TABLE'"
            )
        )

    def dump(self, *tables: str) -> dict[str, list[tuple[str | bytes | None, ...]]]:
        with contextlib.closing(self.server.connect(self.name, conv={})) as raw:  # as text, unread
            return {
                table: sorted_rows(self.server.rows(raw, f"SELECT * FROM `{table.replace('`', '``')}`"))
                for table in tables or self.tables()
            }

    def drop(self) -> None:
        self.server.ask(None, f"DROP DATABASE IF EXISTS {self.name}")
        for role in self._roles:
            self.server.ask(None, f"DROP USER IF EXISTS '{role}'@'127.0.0.1'")

    def _client(self) -> list[str]:
        at = ["--no-defaults", f"--socket={self.server.socket}", "-uroot", "--default-character-set=utf8mb4"]
        return [self.server.client, *at, self.name]


# --- the keeper -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _removed_at_last(folder: str) -> Iterator[None]:
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _keep() -> None:
    """Start what standard input orders; end it when that says so or ends."""
    orders = json.loads(sys.stdin.buffer.raw.readline())
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    user = (
        {"user": orders["user"], "group": pwd.getpwnam(orders["user"]).pw_gid, "extra_groups": []}
        if orders["user"]
        else {}
    )
    with _removed_at_last(orders["folder"]):
        with Path(orders["folder"], "log").open("wb") as log:
            common = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, "cwd": orders["folder"], **user}
            for command in orders["prepare"]:
                if subprocess.run(command, check=False, **common).returncode:
                    os.close(1)
                    sys.stdin.buffer.raw.readline()  # the log is read before the folder goes
                    return
            process = subprocess.Popen(orders["command"], **common)
        try:
            print(process.pid, flush=True)
            while process.poll() is None and not select.select([sys.stdin], [], [], 0.2)[0]:
                pass
            if process.poll() is not None:
                os.close(1)
                sys.stdin.buffer.raw.readline()
        finally:
            if process.poll() is None:
                process.send_signal(orders["signal"])
                try:
                    process.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
            process.wait()


if __name__ == "__main__":
    _keep()
