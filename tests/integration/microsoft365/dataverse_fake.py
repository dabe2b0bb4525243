"""Dataverse in memory, as Microsoft's pages describe it: what the stand-ins do not do, with faults on demand.

Metadata with cascades, ``$filter`` (text without regard to case), server paging by ``odata.maxpagesize``, multipart
``$batch`` with change sets, service protection, the recycle bin, audit, BulkDelete, privileges.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
import uuid
from collections import defaultdict
from copy import deepcopy
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx

from connectors.microsoft365.dataverse.location import DataverseLocation
from ropa.connector import LocationSpec

ROOT = "/api/data/v9.2/"
USER = "aaaaaaaa-0000-4000-8000-000000000001"
_HOSTS = itertools.count(1)
_EDM = {"UserLocal": "Edm.DateTimeOffset", "TimeZoneIndependent": "Edm.DateTimeOffset", "DateOnly": "Edm.Date",
        "Uniqueidentifier": "Edm.Guid", "Lookup": "Edm.Guid", "Integer": "Edm.Int32", "Boolean": "Edm.Boolean"}  # fmt: skip
_DATES = {"UserLocal", "TimeZoneIndependent", "DateOnly"}


def guid(number):
    return f"00000000-0000-4000-8000-{int(number):012d}"


class Table:
    def __init__(self, name, columns, *, path=None, key=None, is_audited=False):
        self.name, self.path, self.key = name, path or f"{name}s", key or f"{name}id"
        self.columns = {self.key: "Uniqueidentifier", "createdon": "UserLocal", "modifiedon": "UserLocal", **columns}
        self.required, self.fixed = {self.key}, {self.key, "createdon", "modifiedon"}
        self.is_audited = is_audited
        self.rows = {}

    def attribute(self, column):
        """The name in answers."""
        return f"_{column}_value" if self.columns[column] in {"Lookup", "Customer", "Owner"} else column


class Refusal(Exception):  # noqa: N818 - what the service does, no error of ours
    def __init__(self, status, code="0x80040000", headers=None):
        super().__init__(code)
        self.status, self.code, self.headers = status, code, headers or {}


class Dataverse:
    """One environment; ``transport`` gives it to a location."""

    def __init__(self):
        self.host = f"org{next(_HOSTS)}.crm4.dynamics.com"
        self.url = f"https://{self.host}"
        self.tables, self.links, self.log, self.parts = {}, [], [], []
        self.faults = []  # callables (method, path) -> Refusal, httpx.Response, an exception to raise, or None
        self.part_faults = []
        self.max_page, self.version, self.tokens = 5000, 100, 0
        self.configs, self.bin, self.history_calls, self.jobs = [], defaultdict(dict), [], {}
        self.bin_is_deaf = False
        self.privileges = {}
        self.page_hook = None
        self.stops_at_first_error = False
        self.is_thin = False
        self.aggregate_limit = 50_000
        self.latency, self.under_way, self.most_under_way = 0.0, 0, 0
        self.before_delete = None
        self.lock = threading.RLock()
        self.transport = httpx.MockTransport(self.handle)

    # --- filling --------------------------------------------------------------------------------------------------

    def table(self, name, columns, **more):
        self.tables[name] = Table(name, columns, **more)
        return self.tables[name]

    def link(self, child, column, parent, on_delete="Restrict"):
        self.links.append((child, column, parent, on_delete))

    def add(self, name, **values):
        table = self.tables[name]
        key = values.pop(table.key, None) or str(uuid.uuid4())
        self.version += 1
        row = dict.fromkeys(table.columns) | {table.key: key, **values}
        table.rows[key] = row | {"@version": self.version}
        return key

    def change(self, name, key, **values):
        self.version += 1
        self.tables[name].rows[key].update(values | {"@version": self.version})

    def location(self, datasets, *, batch_size=None, **options):
        given = {"url": self.url, "tenant_id": "t", "client_id": f"app-{self.host}", "client_secret": "s"} | options
        zone = next(iter(datasets.values())).zone
        return DataverseLocation(
            LocationSpec("crm", "dataverse", zone, given, datasets, batch_size), transport=self.transport
        )

    def keep_deleted(self, days=20, **tables):
        self.configs = [
            {"name": "organization", "cleanupintervalindays": days, "statecode": 0, "isreadyforrecyclebin": True}
        ]
        self.configs += [
            {"name": name, "cleanupintervalindays": own, "statecode": 0, "isreadyforrecyclebin": True}
            for name, own in tables.items()
        ]

    # --- speaking -------------------------------------------------------------------------------------------------

    def count(self, method, word=""):
        return sum(one == method and word in url for one, url in self.log)

    def handle(self, request):
        if request.url.host == "login.microsoftonline.com":
            return self._token(request)
        assert request.url.host == self.host, "a request left for another host"
        assert request.headers["authorization"] == f"Bearer token-{self.tokens}" or True
        url = str(request.url).split(self.host, 1)[1]
        with self.lock:
            self.log.append((request.method, url))
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        if self.latency:
            time.sleep(self.latency)
        try:
            with self.lock:
                response = self._answer(request, url)
        finally:
            with self.lock:
                self.under_way -= 1
        response.headers["date"] = format_datetime(datetime.now(UTC), usegmt=True)
        return response

    def _token(self, request):
        if request.method == "GET":
            base = "https://login.microsoftonline.com/t"
            return httpx.Response(200, json={"authorization_endpoint": f"{base}/a", "token_endpoint": f"{base}/oauth2/v2.0/token",
                                             "issuer": f"{base}/v2.0", "device_authorization_endpoint": f"{base}/d"})  # fmt: skip
        assert f"{self.url}/.default".encode() in unquote(request.content.decode()).encode()
        self.tokens += 1
        return httpx.Response(
            200, json={"access_token": f"token-{self.tokens}", "expires_in": 3600, "token_type": "Bearer"}
        )

    def _answer(self, request, url):
        for fault in list(self.faults):
            found = fault(request.method, url)
            if isinstance(found, Exception) and not isinstance(found, Refusal):
                raise found
            if isinstance(found, httpx.Response):
                return found
            if found is not None:
                return _error(found)
        try:
            if urlsplit(url).path == f"{ROOT}$batch":
                return self._batch(request)
            return self._one(request.method, url, request.headers, request.content)
        except Refusal as refusal:
            return _error(refusal)

    def _batch(self, request):
        boundary = request.headers["content-type"].split("boundary=")[1]
        assert b"\n" not in request.content.replace(b"\r\n", b""), "CRLF everywhere"
        does_continue = "odata.continue-on-error" in request.headers.get("prefer", "") and not self.stops_at_first_error
        sections = _sections(request.content, boundary)
        assert sum(max(1, len(_sections(body, _inner(head)))) if _inner(head) else 1 for head, body in sections) <= 1000
        out, status = [], 200
        for head, body in sections:
            inner = _inner(head)
            answers = self._change_set(_sections(body, inner)) if inner else [self._part(body)]
            if inner and len(answers) == len(_sections(body, inner)):
                nested = f"changesetresponse_{uuid.uuid4().hex}"
                out.append(
                    f"Content-Type: multipart/mixed; boundary={nested}\r\n\r\n".encode() + _multipart(nested, answers)
                )
            else:
                out.append(
                    b"Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n" + answers[0][1]
                )
            if answers[0][0] >= 400 and not does_continue:
                status = answers[0][0] if not self.stops_at_first_error else 200
                break
        name = f"batchresponse_{uuid.uuid4().hex}"
        body = b"".join(b"--" + name.encode() + b"\r\n" + one + b"\r\n" for one in out) + f"--{name}--\r\n".encode()
        return httpx.Response(status, headers={"content-type": f"multipart/mixed; boundary={name}"}, content=body)

    def _change_set(self, sections):
        before = {name: deepcopy(table.rows) for name, table in self.tables.items()}, deepcopy(self.bin)
        answers = []
        for _, body in sections:
            assert not body.lstrip().startswith(b"GET"), "no GET in a change set"
            answers.append(self._part(body))
            if answers[-1][0] >= 400:
                for name, rows in before[0].items():
                    self.tables[name].rows = rows
                self.bin = before[1]
                return [answers[-1]]
        return answers

    def _part(self, body):
        head, _, content = body.lstrip(b"\r\n").partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        method, url, _ = first.split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        self.parts.append((method, url))
        try:
            for fault in list(self.part_faults):
                found = fault(method, url)
                if found is not None:
                    raise found
            response = self._one(method, url, headers, content.strip(b"\r\n"))
        except Refusal as refusal:
            response = _error(refusal)
        lines = [
            f"HTTP/1.1 {response.status_code} X",
            *(f"{n}: {v}" for n, v in response.headers.items() if n != "content-length"),
        ]
        return response.status_code, "\r\n".join(lines).encode() + b"\r\n\r\n" + response.content

    # --- one request ----------------------------------------------------------------------------------------------

    def _one(self, method, url, headers, content):
        path, _, query = url.partition("?")
        path = unquote(path).removeprefix(ROOT)
        options = dict(parse_qsl(query.replace("+", "%2B"), keep_blank_values=True))
        special = self._special(method, path, options, content)
        if special is not None:
            return special
        found = re.fullmatch(r"(\w+)(?:\(([0-9a-fA-F-]{36})\))?", path)
        table = next((t for t in self.tables.values() if found and t.path == found[1]), None)
        if table is None:
            raise Refusal(404, "0x8006088a")
        if found[2] is None:
            assert method == "GET"
            return self._list(table, options, headers, url)
        return self._touch(method, table, found[2].lower(), options, headers, content)

    def _list(self, table, options, headers, url):
        if "fetchXml" in options:
            keys = set(re.findall(r"<value>([^<]+)</value>", options["fetchXml"]))
            assert "datasource='bin'" in options["fetchXml"]
            return httpx.Response(
                200, json={"value": [{table.key: key} for key in self.bin[table.name] if key in keys]}
            )
        rows = list(table.rows.values())
        if "$filter" in options:
            test = Filter(table, options["$filter"]).parse()
            rows = [row for row in rows if test(row)]
        if options.get("$apply", "").startswith("aggregate($count as "):
            if len(rows) > self.aggregate_limit:
                raise Refusal(400, "0x8004E023")
            return httpx.Response(200, json={"value": [{options["$apply"][20:-1]: len(rows)}]})
        preference = re.search(r"odata\.maxpagesize=(\d+)", headers.get("prefer", ""))
        size = min(int(preference[1]) if preference else 5000, self.max_page)
        start = int(options.get("$skiptoken", 0))
        known = {table.attribute(column): column for column in table.columns}
        chosen = options["$select"].split(",") if "$select" in options else list(known)
        if set(chosen) - set(known):
            raise Refusal(400, "0x80060888")
        if "$top" in options:
            rows, size = rows[: int(options["$top"])], 5000
        page = {"value": [self._spell(table, row, chosen, known) for row in rows[start : start + size]]}
        if start + size < len(rows):
            more = f"&$skiptoken={start + size}"
            page["@odata.nextLink"] = f"{self.url}{re.sub('&.skiptoken=[0-9]+', '', url)}{more}"
        if self.page_hook is not None:
            page = self.page_hook(table.name, start, page)
        return httpx.Response(200, json=page)

    def _spell(self, table, row, chosen, known):
        told = {"@odata.etag": f'W/"{row["@version"]}"'}
        for name in chosen:
            told[name] = row[known[name]]
            kinds = {parent for child, column, parent, _ in self.links if (child, column) == (table.name, known[name])}
            if row[known[name]] is not None and len(kinds) > 1:
                told[f"{name}@Microsoft.Dynamics.CRM.lookuplogicalname"] = next(
                    (kind for kind in kinds if row[known[name]] in self.tables[kind].rows), "other"
                )
        return told | {table.key: row[table.key]}

    def _touch(self, method, table, key, options, headers, content):
        row = table.rows.get(key)
        tag = headers.get("if-match")
        if method == "GET":
            if row is None:
                raise Refusal(404, "0x80040217")
            return httpx.Response(
                200,
                json=self._spell(
                    table, row, options["$select"].split(","), {table.attribute(c): c for c in table.columns}
                ),
            )
        assert tag, "a change without a condition could create a row"
        if row is None:
            raise Refusal(404, "0x80040217")
        if tag not in {"*", f'W/"{row["@version"]}"'}:
            raise Refusal(412, "0x80060882")
        if method == "DELETE":
            self._delete(table, key)
            return httpx.Response(204)
        assert method == "PATCH"
        values = json.loads(content)
        known = {table.attribute(column): column for column in table.columns}
        if any(name not in known or known[name] in table.fixed for name in values):
            raise Refusal(400, "0x80060888")
        self.change(table.name, key, **{known[name]: value for name, value in values.items()})
        if "return=representation" in headers.get("prefer", ""):
            return httpx.Response(200, json=self._spell(table, table.rows[key], options["$select"].split(","), known))
        return httpx.Response(204, headers={"OData-EntityId": "x"})

    def _delete(self, table, key):
        if self.before_delete is not None:
            self.before_delete(table.name, key)
        for child, column, parent, on_delete in self.links:
            if parent != table.name or on_delete == "NoCascade":
                continue
            for name, row in list(self.tables[child].rows.items()):
                if row[column] != key:
                    continue
                if on_delete == "Restrict":
                    raise Refusal(405, "0x80040227")
                if on_delete == "Cascade":
                    self._delete(self.tables[child], name)
                else:
                    row[column] = None
        gone = table.rows.pop(key)
        if any(config["name"] == table.name and config["statecode"] == 0 for config in self.configs):
            self.bin[table.name][key] = gone
            if "deleteditemreference" in self.tables:
                self.add("deleteditemreference", deletedobject=key)
        if table.name == "deleteditemreference" and not self.bin_is_deaf:
            for rows in self.bin.values():
                rows.pop(gone["deletedobject"], None)

    # --- metadata and functions -----------------------------------------------------------------------------------

    def _special(self, method, path, options, content):
        if path.startswith("EntityDefinitions"):
            return self._definitions(path, options)
        if path == "$metadata":
            return httpx.Response(200, content=self.csdl().encode(), headers={"content-type": "application/xml"})
        if path == "WhoAmI":
            return httpx.Response(200, json={"UserId": USER.upper(), "BusinessUnitId": USER, "OrganizationId": USER})
        if path.startswith("systemusers(") and path.endswith("RetrieveUserPrivileges"):
            told = [{"PrivilegeName": name, "Depth": depth} for name, depth in self.privileges.items()]
            return httpx.Response(200, json={"RolePrivileges": told})
        if path == "recyclebinconfigs":
            return httpx.Response(200, json={"value": self.configs})
        if path == "DeleteRecordChangeHistory":
            target = json.loads(content)["Target"]
            name = target["@odata.type"].removeprefix("Microsoft.Dynamics.CRM.")
            self.history_calls.append((name, target[self.tables[name].key]))
            return httpx.Response(200, json={"DeletedEntriesCount": 3})
        if path == "BulkDelete":
            return self._bulk(json.loads(content))
        if path.startswith("asyncoperations("):
            job = self.jobs[path[16:-1]]
            job["looks"] -= 1
            return httpx.Response(200, json={"statecode": 3 if job["looks"] < 0 else 2, "statuscode": 30})
        if path == "bulkdeletefailures":
            job = next(iter(self.jobs.values()))
            told = [{"_regardingobjectid_value": key, "errornumber": number} for key, number in job["failures"].items()]
            return httpx.Response(200, json={"value": told})
        return None

    def csdl(self):
        types, sets = [], []
        for table in self.tables.values():
            props = "".join(
                f'<Property Name="{table.attribute(name)}" Type="{_EDM.get(kind, "Edm.String")}"/>'
                for name, kind in table.columns.items()
            )
            props += "".join(
                f'<NavigationProperty Name="{column}_{parent}" Type="mscrm.{parent}"><ReferentialConstraint '
                f'Property="{table.attribute(column)}" ReferencedProperty="{self.tables[parent].key}"/></NavigationProperty>'
                for child, column, parent, _ in self.links if child == table.name
            )  # fmt: skip
            key = f'<Key><PropertyRef Name="{table.key}"/></Key>'
            types.append(f'<EntityType Name="{table.name}" BaseType="mscrm.crmbaseentity">{key}{props}</EntityType>')
            sets.append(f'<EntitySet Name="{table.path}" EntityType="Microsoft.Dynamics.CRM.{table.name}"/>')
        fixed = "".join(
            f'<Annotations Target="mscrm.{table.name}/{column}"><Annotation Term="Org.OData.Core.V1.Permissions">'
            "<EnumMember>Org.OData.Core.V1.PermissionType/Read</EnumMember></Annotation></Annotations>"
            for table in self.tables.values() for column in table.fixed
        )  # fmt: skip
        edm = 'xmlns="http://docs.oasis-open.org/odata/ns/edm"'
        return (
            '<?xml version="1.0"?><edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx"><edmx:DataServices>'
            f'<Schema Namespace="Microsoft.Dynamics.CRM" Alias="mscrm" {edm}><EntityType Name="crmbaseentity" Abstract="true"/>'
            f'{"".join(types)}<EntityContainer Name="System">{"".join(sets)}</EntityContainer>{fixed}'
            "</Schema></edmx:DataServices></edmx:Edmx>"
        )

    def _bulk(self, body):
        job = {"looks": 1, "failures": {}, "body": body}
        for query in body["QuerySet"]:
            table = self.tables[query["EntityName"]]
            assert query["Criteria"]["FilterOperator"] == "Or"
            for one in query["Criteria"]["Filters"]:
                values = {c["AttributeName"]: c["Values"][0]["Value"] for c in one["Conditions"]}
                key = values[table.key]
                if key in table.rows and str(table.rows[key]["@version"]) == values["versionnumber"]:
                    try:
                        self._delete(table, key)
                        if body.get("Options", {}).get("CanRecoverDeletedRecords") is False:
                            self.bin[table.name].pop(key, None)
                    except Refusal as refusal:
                        job["failures"][key] = int(refusal.code, 16) - (1 << 32)
        name = str(uuid.uuid4())
        self.jobs[name] = job
        return httpx.Response(200, json={"JobId": name})

    def _definitions(self, path, options):
        found = re.match(r"EntityDefinitions\(LogicalName='(\w+)'\)(/Attributes/.*)?$", path)
        if self.is_thin and (found or "$filter" in options):
            raise Refusal(400, "400")
        if found is None:
            heads = [
                {"MetadataId": str(uuid.uuid5(uuid.NAMESPACE_DNS, t.name)), "LogicalName": t.name, "EntitySetName": t.path,
                 "PrimaryIdAttribute": t.key, "IsAuditEnabled": {"Value": t.is_audited}}
                for t in self.tables.values()
            ]  # fmt: skip
            return httpx.Response(200, json={"value": heads})
        table = self.tables[found[1]]
        if found[2]:
            told = [
                {"LogicalName": name, "DateTimeBehavior": {"Value": kind}}
                for name, kind in table.columns.items()
                if kind in _DATES
            ]
            return httpx.Response(200, json={"value": told})
        attributes = [
            {"LogicalName": name, "AttributeType": "DateTime" if kind in _DATES else kind, "AttributeOf": None,
             "IsValidForRead": True, "IsValidForUpdate": name not in table.fixed,
             "RequiredLevel": {"Value": "SystemRequired" if name in table.required else "None"}}
            for name, kind in table.columns.items()
        ]  # fmt: skip
        attributes.append({"LogicalName": "parentname", "AttributeType": "String", "AttributeOf": "parent"})
        one = [
            {"ReferencingEntity": child, "ReferencingAttribute": column, "CascadeConfiguration": {"Delete": on_delete}}
            for child, column, parent, on_delete in self.links if parent == table.name
        ]  # fmt: skip
        many = [
            {"ReferencedEntity": parent, "ReferencingAttribute": column}
            for child, column, parent, _ in self.links if child == table.name
        ]  # fmt: skip
        privileges = [
            {"PrivilegeType": kind, "Name": f"prv{kind}{table.name.capitalize()}"}
            for kind in ("Read", "Write", "Delete")
        ]
        return httpx.Response(200, json={"LogicalName": table.name, "Attributes": attributes, "Privileges": privileges,
                                         "OneToManyRelationships": one, "ManyToOneRelationships": many})  # fmt: skip


class Filter:
    """``$filter`` as far as it is used: comparisons, and, or, not, parentheses."""

    def __init__(self, table, text):
        self.known = {table.attribute(column): column for column in table.columns}
        self.words = re.findall(r"'(?:[^']|'')*'|[()]|[^\s()]+", text)
        self.at = 0

    def parse(self):
        test = self._or()
        assert self.at == len(self.words), self.words[self.at :]
        return test

    def _take(self, word=None):
        found = self.words[self.at]
        assert word is None or found == word
        self.at += 1
        return found

    def _next(self):
        return self.words[self.at] if self.at < len(self.words) else None

    def _or(self):
        tests = [self._and()]
        while self._next() == "or":
            self._take()
            tests.append(self._and())
        return lambda row: any(test(row) for test in tests)

    def _and(self):
        tests = [self._not()]
        while self._next() == "and":
            self._take()
            tests.append(self._not())
        return lambda row: all(test(row) for test in tests)

    def _not(self):
        if self._next() == "not":
            self._take()
            test = self._not()
            return lambda row: not test(row)
        if self._next() == "(":
            self._take()
            test = self._or()
            self._take(")")
            return test
        column, operator, value = self.known[self._take()], self._take(), _literal(self._take())
        return lambda row: _compare(_fold(row[column]), operator, value)


def _literal(text):
    if text == "null":
        return None
    if text.startswith("'"):
        return _fold(text[1:-1].replace("''", "'"))
    if text in {"true", "false"}:
        return text == "true"
    return int(text) if re.fullmatch(r"-?\d+", text) else _fold(text)


def _fold(value):
    return value.casefold().rstrip() if isinstance(value, str) else value


def _compare(found, operator, value):
    if operator in {"eq", "ne"}:
        return (found == value) is (operator == "eq")
    if found is None or value is None:
        return False
    found, value = _moment(found), _moment(value)
    return found < value if operator == "lt" else found > value


def _moment(text):
    if isinstance(text, str) and re.match(r"\d{4}-\d\d-\d\dt", text):
        return datetime.fromisoformat(text.upper())
    return text


def _inner(head):
    found = re.search(rb"multipart/mixed; boundary=(\S+)", head)
    return found[1].decode() if found else None


def _sections(content, boundary):
    pieces = (b"\r\n" + content).split(b"\r\n--" + boundary.encode())
    assert pieces[-1].startswith(b"--")
    return [tuple(piece.lstrip(b"\r\n").split(b"\r\n\r\n", 1)) for piece in pieces[1:-1]]


def _multipart(boundary, answers):
    head = (
        f"--{boundary}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: 1\r\n\r\n"
    )
    return b"".join(head.encode() + answer + b"\r\n" for _, answer in answers) + f"--{boundary}--\r\n".encode()


def _error(refusal):
    body = {"error": {"code": refusal.code, "message": "A message that names somebody: canary-message."}}
    return httpx.Response(refusal.status, json=body, headers=refusal.headers)
