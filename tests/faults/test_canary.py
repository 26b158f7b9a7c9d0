"""Unmistakable secrets through a whole run, with everything failing that can fail: they come out nowhere.

Beside the secrets there is a name that is no secret. It must be found on every surface that is searched, or the search
there would prove nothing.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import logging
import re
import secrets as random
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import sqlalchemy
from browser import processes
from browser.processes import NO_PROXY, Conductor, Vendor
from worlds import collecting

from conductor import catalog, observe
from conductor.operations import integrations
from conductor.simulator.faults import KINDS, Fault
from conductor.simulator.tenant import TenantSpec
from conductor.store import memory, schema
from conductor.store.database import sqlite_url
from conductor.store.keyfile import open_key_file
from conductor.store.vault import Vault

PUBLIC = "magpie-in-plain-sight"  # an integration's name
SLUG = "auth0"
LIST = "/admin/settings/integrations"
SLOW = {"hang", "drip"}  # these hold a poll for its whole deadline; the others fail at once
ROLES = ("admin", "analyst", "viewer")
SEARCHED = "SearchedFor"  # what somebody searched for is written into the audit log, on purpose, and nowhere else
AUDITED = {"answers to GET", "database", "backup", "backup command"}


def canary(what: str) -> str:
    """A value that occurs nowhere by chance."""
    return f"CANARY{what}{random.token_hex(12)}"


@dataclass
class Secrets:
    """Every secret of the run by what it is, and where each was found: surface → secrets."""

    values: dict[str, str] = field(default_factory=dict)
    collected: list[tuple[str, bytes, str]] = field(default_factory=list)

    def make(self, what: str) -> str:
        """A new one."""
        self.values[what] = canary(what)
        return self.values[what]

    def search(self, surface: str, content: bytes | str, *, but: str = "") -> None:
        """Have this searched at the end, when all secrets are known, for all of them but one."""
        self.collected.append((surface, content.encode() if isinstance(content, str) else content, but))

    def hits(self) -> dict[str, set[str]]:
        """Which secrets stand where, however they are written."""
        forms = {what: spellings(value) for what, value in self.values.items()}
        found: dict[str, set[str]] = defaultdict(set)
        for surface, data, but in self.collected:
            for what, written in forms.items():
                if what != but and any(form in data for form in written):
                    found[surface].add(what)
        return dict(found)

    def seen(self) -> set[str]:
        """Where the name that is no secret was found."""
        return {surface for surface, data, _ in self.collected if PUBLIC.encode() in data}


def spellings(secret: str) -> set[bytes]:
    """A secret as it may stand in text: plain, in URLs, escaped, in base64 at each of its three offsets, in hex."""
    plain = secret.encode()
    inner = {base64.b64encode(b"x" * offset + plain)[4:-4] for offset in range(3)}
    quoted = {urllib.parse.quote(secret, safe="").encode(), json.dumps(secret)[1:-1].encode()}
    return {plain, plain[::-1], plain.hex().encode(), *inner, *quoted}


class Browser:
    """A session over HTTP without a browser: remembers cookies, and hands every answer to the search."""

    def __init__(self, url: str, found: Secrets) -> None:
        self.url, self.found = url, found
        self.cookies: dict[str, str] = {}

    def send(
        self, method: str, path: str, body: bytes | None = None, *, but: str = "", **headers: str
    ) -> tuple[int, str]:
        """One exchange; `but` is what this answer may hold."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named |= {"Sec-Fetch-Site": "same-origin"}
        if self.cookies:
            named["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        request = urllib.request.Request(self.url + path, body, named, method=method)
        opener = urllib.request.build_opener(NO_PROXY, _Stay)
        try:
            answer = opener.open(request, timeout=60)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            content: str = answer.read().decode("utf-8", "replace")
            for cookie in answer.headers.get_all("Set-Cookie", []):
                name, _, value = cookie.partition(";")[0].partition("=")
                self.cookies[name] = value
            kept = [f"{name}: {value}" for name, value in answer.headers.items() if name.lower() != "set-cookie"]
            self.found.search(f"answers to {method}", "\n".join([*kept, content]), but=but)
            return answer.status, content

    def form(self, page: str, target: str = "", *, but: str = "", **values: str) -> tuple[int, str]:
        """Post a page's form."""
        token = re.search(r'name="csrf" value="([0-9a-f]+)"', self.send("GET", page, but=but)[1])
        assert token, page
        body = urllib.parse.urlencode({"csrf": token[1], **values}).encode()
        kind = "application/x-www-form-urlencoded"
        return self.send("POST", target or page.partition("?")[0], body, but=but, Content_Type=kind)

    def api(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        """A call of the API."""
        content = None if body is None else json.dumps(body).encode()
        return self.send(method, f"/api/v1{path}", content, Content_Type="application/json", X_Conductor="1")


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass
class Run:
    """What runs."""

    folder: Path
    vendor: Vendor
    conductor: Conductor
    found: Secrets

    def cli(self, *words: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """A command, its output searched."""
        done = self.conductor.cli.run(*words, text=text)
        self.found.search("command line", done.stdout + done.stderr)
        return done

    def secret_file(self, name: str, content: str) -> str:
        """A file to name on the command line."""
        path = self.folder / name
        path.write_text(content)
        return str(path)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Secrets:
    """The whole run. Tests look at what was found."""
    folder = tmp_path_factory.mktemp("canary")
    kept = Secrets()
    secret_file = folder / "client-secret"
    secret_file.write_text(kept.make("ClientSecret"))
    with (
        processes.simulating(folder, "--client-secret-file", str(secret_file), "--history", "150") as vendor,
        processes.serving(folder, admin=False) as conductor,
    ):
        run = Run(folder, vendor, conductor, kept)
        browsers = _people(run)
        _shown_once(run, browsers["admin"])
        _integrations(run)
        _fail(run, browsers["admin"])
        _look(run, browsers)
        _processes(run)
        _files(run)
        kept.values["token"] = _token(run)
        _files(run)
        _backup(run)
    _files(run)
    kept.search("log", conductor.printed, but="setup link")
    return kept


def _people(run: Run) -> dict[str, Browser]:
    """An administrator by the set-up link, an analyst and a viewer by the command line; each signs in."""
    link = run.conductor.setup_link
    run.found.values["setup link"] = urllib.parse.parse_qs(urllib.parse.urlsplit(link).query)["token"][0]
    people = {role: Browser(run.conductor.url, run.found) for role in ROLES}
    about = {"name": "Ana", "time_zone": "UTC", "token": run.found.values["setup link"]}
    page = f"/setup?token={about['token']}"
    weak = {"email": "admin@example.com", "password": run.found.make("WeakPassword")[:7]}
    people["admin"].form(page, "/setup", but="setup link", **about, **weak)
    status, _ = people["admin"].form(
        page, "/setup", but="setup link", **about, email="admin@example.com", password=run.found.make("AdminPassword")
    )
    assert status == 303
    for role in ROLES[1:]:
        password = run.found.make(f"{role.title()}Password")
        added = run.cli("user", "add", f"{role}@example.com", "--role", role, "--password-file", "-", text=password)
        assert added.returncode == 0, added.stderr
        people[role].form("/auth/login", email=f"{role}@example.com", password=run.found.make("WrongPassword"))
        assert people[role].form("/auth/login", email=f"{role}@example.com", password=password)[0] == 303
    for role, browser in people.items():
        run.found.values[f"session of {role}"] = browser.cookies["__Host-sid"]
    return people


def _shown_once(run: Run, admin: Browser) -> None:
    """An invitation that somebody looks at, and an API token that is used: each is shown once, when it is made."""
    _, made = admin.form("/admin/users", but="invitation", email="invited@example.com", role="viewer")
    run.found.values["invitation"] = re.findall(r"/invite\?token=([\w-]{43})", made)[0]
    stranger = Browser(run.conductor.url, run.found)
    assert stranger.send("GET", f"/invite?token={run.found.values['invitation']}", but="invitation")[0] == 200
    scope = {"name": "canary", "days": "1", "scope-admin": "on"}
    _, made = admin.form("/admin/settings/tokens", but="API token", **scope)
    run.found.values["API token"] = re.findall(r"cdr_[\w-]{43}", made)[0]
    bearer = f"Bearer {run.found.values['API token']}"
    for path in ("/api/v1/tokens", "/api/v1/audit", "/metrics"):
        assert stranger.send("GET", path, Authorization=bearer)[0] == 200
    assert stranger.send("GET", "/api/v1/tokens", Authorization=f"{bearer}x")[0] == 401


def _integrations(run: Run) -> None:
    """One that works, one with every secret field filled behind a proxy that is not there, one that is refused."""
    vendor = run.vendor
    base = ["--domain", vendor.domain, "--client-id", vendor.client_id, "--plan", "enterprise"]
    base += ["--ca-bundle", str(vendor.ca)]
    good = ["--client-secret-file", "-"]
    added = run.cli("integration", "add", SLUG, "--name", PUBLIC, *base, *good, text=vendor.client_secret)
    assert added.returncode == 0, added.stderr
    every = []
    for item in catalog.load().connectors[SLUG].Config.form():
        if item.secret:
            value = run.found.make(item.name.title().replace("_", ""))
            every += [f"--{item.option}-file", run.secret_file(item.name, value)]
    full = [*base, *every, "--proxy", f"http://ann@127.0.0.1:{processes.free_port()}", "--disabled"]
    assert run.cli("integration", "add", SLUG, "--name", "full", *full).returncode == 0
    run.cli("integration", "add", SLUG, "--name", "refused", *base, *good, text=run.found.make("WrongSecret"))


def _fail(run: Run, admin: Browser) -> None:
    """Every fault the vendor knows, at the token and at the log; every refusal of ours, with secrets in the request."""
    run.cli("integration", "poll", PUBLIC, "--json")
    for kind in sorted(set(KINDS) - SLOW):
        run.vendor.control("POST", "faults", {"kind": kind, "endpoint": "any", "count": 1})
        admin.api("POST", "/integrations/test", {"name": PUBLIC})
        run.vendor.control("POST", "faults", {"kind": kind, "endpoint": "logs", "count": 1})
        admin.api("POST", f"/integrations/{PUBLIC}/poll", {})
        run.vendor.control("DELETE", "faults")
    run.cli("integration", "test", PUBLIC, "--json")
    admin.api("PATCH", f"/integrations/{PUBLIC}", {"config": {"polling_interval": 6}})
    run.cli("integration", "test", "full")
    run.cli("integration", "enable", "full")
    run.cli("integration", "poll", "full", "--json")
    secret = run.found.make("TypedSecret")
    for config in (
        {"client_secret": secret, "domain": "not a domain"},
        {"client_secret": secret, "no_such_field": secret},
        {"client_secret": {"nested": secret}},
        {"client_secret": secret, "proxy": f"http://ann:{secret}@proxy.example:1"},
        {"client_secret": secret, "proxy": f"ann:{secret}@proxy.example:1"},
        {"client_secret": secret, "ca_bundle": "no certificate", "domain": run.vendor.domain, "client_id": "x"},
        {"client_secret": secret, "domain": run.vendor.domain, "client_id": run.vendor.client_id},
    ):
        admin.api("POST", "/integrations/test", {"connector": SLUG, "config": config})
        admin.api("POST", "/integrations", {"connector": SLUG, "name": "typed", "config": config})
        admin.api("PATCH", f"/integrations/{PUBLIC}", {"config": config})
        values = {name: str(value) for name, value in config.items()}
        for do in ("test", "save"):
            admin.form(f"{LIST}/new?kind={SLUG}", f"{LIST}/new?kind={SLUG}", name="typed", do=do, **values)
            admin.form(f"{LIST}/{PUBLIC}?tab=settings", f"{LIST}/{PUBLIC}", name=PUBLIC, do=do, **values)
    admin.api("POST", "/users", {"email": "x", "password": secret, "role": "nobody"})
    admin.form("/account", "/account/password", current=secret, new=secret, password=secret)
    admin.send(
        "POST", "/api/v1/users", f'{{"password": "{secret}'.encode(), Content_Type="application/json", X_Conductor="1"
    )
    admin.send("GET", f"/api/v1/artifacts/search?q={run.found.make(SEARCHED)}")
    with contextlib.suppress(OSError, ValueError):
        run.vendor.control("POST", "events", {"type": "s"})
    run.cli("integration", "poll", PUBLIC)


def _look(run: Run, browsers: dict[str, Browser]) -> None:
    """Every page and every answer, by every role and by nobody."""
    described = json.loads(browsers["admin"].api("GET", "/openapi.json")[1])
    row = json.loads(browsers["admin"].api("GET", "/artifacts/search?limit=1")[1])["rows"]
    known = {"name": PUBLIC, "id": row[0]["id"], "gap": "1", "email": "viewer@example.com"}
    endless = "/api/v1/artifacts/live"
    api = [path for path, methods in described["paths"].items() if "get" in methods and path != endless]
    pages = [
        "/",
        "/account",
        "/help",
        "/admin/settings/general",
        "/signals/search?last=30d",
        "/signals/search/counts?last=30d",
        "/signals/search/map?last=30d",
        "/signals/search/facets?last=30d",
        "/signals/saved",
        "/signals/exports",
        "/signals/export?last=30d&format=ndjson&all=true",
        f"/signals/events/{row[0]['id']}",
        LIST,
        "/metrics",
    ]
    pages += [f"{LIST}/{name}?tab={tab}" for name in (PUBLIC, "full") for tab in ("", "polls", "gaps", "settings")]
    pages += [f"/?tab={tab}" for tab in ("pipeline", "services", "system")]
    pages += [f"{LIST}/{name}/polls/{number}" for name in (PUBLIC, "full") for number in range(1, 9)]
    pages += [f"{LIST}/new?kind={SLUG}", "/nothing", "/auth/login", "/readyz"]
    pages += [re.sub(r"{(\w+)}", lambda match: known.get(match[1], "1"), path) for path in api]
    for browser in (*browsers.values(), Browser(run.conductor.url, run.found)):
        for path in pages:
            status, _ = browser.send("GET", path)
            assert status < 500, path
    for words in (
        ["status"],
        ["integration", "list"],
        ["integration", "show", PUBLIC],
        ["integration", "show", "full"],
    ):
        for form in ([], ["--json"]):
            assert run.cli(*words, *form).returncode in (0, 10, 11)
    run.cli("integration", "polls", "full", "--json")
    run.cli("search", f"integration:{PUBLIC}", "--jsonl")


def _processes(run: Run) -> None:
    """Arguments and environment of Conductor and whatever it started."""
    port = urllib.parse.urlsplit(run.conductor.url).port
    listening = [item.pid for item in psutil.net_connections("tcp") if item.laddr.port == port and item.pid]
    serving = psutil.Process(listening[0])
    for process in (serving, *serving.children(recursive=True)):
        told = Path(f"/proc/{process.pid}")
        run.found.search("/proc cmdline", (told / "cmdline").read_bytes() + b"\0" + PUBLIC.encode())
        run.found.search("/proc environ", (told / "environ").read_bytes() + b"\0" + PUBLIC.encode())
        assert re.search(r"Max core file size\s+0\s+0", (told / "limits").read_text())


def _token(run: Run) -> str:
    """The token in use, which nobody but the vault knows; read as Conductor reads it."""
    data = run.conductor.cli.data
    vault = Vault(open_key_file(data / "conductor.key"))
    engine = sqlalchemy.create_engine(sqlite_url(data / "conductor.db"))
    with engine.connect() as connection:
        table = schema.secrets
        row = connection.execute(sqlalchemy.select(table).where(table.c.field == "token")).first()
        assert row is not None
        sealed = vault.get(connection, row.owner, "token", context=row.context)
    engine.dispose()
    assert sealed
    return str(json.loads(sealed)["value"])


def _files(run: Run) -> None:
    """Every byte of the data directory, the write-ahead log and the search engine's parts among them."""
    data = run.conductor.cli.data
    key = (data / "conductor.key").read_text().strip()
    run.found.values["master key"] = key
    for path in data.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.name != "conductor.key":
            kind = "database" if path.name.startswith("conductor.db") else "data directory"
            with contextlib.suppress(FileNotFoundError):
                content = path.read_bytes()
                run.found.search(kind, content)
                assert bytes.fromhex(key) not in content, path


def _backup(run: Run) -> None:
    """A copy of the database as an operator makes one."""
    copy = run.folder / "backup.db"
    source = sqlite3.connect(f"file:{run.conductor.cli.data / 'conductor.db'}?mode=ro", uri=True)
    target = sqlite3.connect(copy)
    with source, target:
        source.backup(target)
    source.close()
    target.close()
    run.found.search("backup", copy.read_bytes())
    if "backup" in run.cli("db", "--help").stdout:
        made = run.folder / "made-by-command.db"
        done = run.cli("db", "backup", str(made))
        assert done.returncode == 0, done.stderr
        run.found.search("backup command", made.read_bytes())


def test_s17_s21_s22_no_secret_comes_out_anywhere(found: Secrets) -> None:
    hits = found.hits()
    for surface in AUDITED:
        hits.get(surface, set()).discard(SEARCHED)
    assert {surface: secrets for surface, secrets in hits.items() if secrets} == {}
    assert len(found.values) >= 15


def test_the_search_for_secrets_sees_every_surface(found: Secrets) -> None:
    """The integration's name is no secret and stands everywhere; where it was not found, nothing would be."""
    wanted = {"log", "database", "backup", "command line", "answers to GET", "answers to POST", "answers to PATCH"}
    assert wanted <= found.seen()


@pytest.mark.parametrize("written", ["{}", "x={}&y", '{{"secret": "{}"}}', "Bearer {}\n", "'{}'"])
def test_the_search_for_secrets_finds_one_that_leaks(written: str) -> None:
    found = Secrets()
    secret = found.make("Leaked")
    for form in (
        secret,
        base64.b64encode(f"ann:{secret}".encode()).decode(),
        secret.encode().hex(),
        urllib.parse.quote(secret),
    ):
        found.collected.clear()
        found.search("log", written.format(form))
        assert found.hits() == {"log": {"Leaked"}}, form


def test_s22_a_process_that_holds_secrets_leaves_no_core_and_cannot_be_read(tmp_path: Path) -> None:
    program = (
        "import ctypes, resource; from conductor.store import memory; memory.protect();"
        "print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["(0,", "0)", "0"]
    assert memory.PR_SET_DUMPABLE == 4


@pytest.mark.parametrize("form", ["line", "json"])
def test_s21_the_most_talkative_log_tells_no_secret(tmp_path: Path, form: str) -> None:
    """Every logger of the process at DEBUG, those of libraries too, while everything fails."""
    found = Secrets()
    spoken = io.StringIO()
    values = {"client_secret": found.make("ClientSecret"), "proxy_password": found.make("ProxyPassword")}
    found.values["token"] = canary("Token")

    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(client_secret=values["client_secret"])) as it:
            await it.add(PUBLIC)
            await it.poll(PUBLIC)
            config = it.values(client_secret=values["client_secret"])
            proxied = config | {"proxy": "http://ann@127.0.0.1:9", "proxy_password": values["proxy_password"]}
            await integrations.add(it.system, "full", SLUG, proxied, enabled=False, by="test", test=False)
            await it.poll("full")
            for kind in sorted(set(KINDS) - SLOW):
                for endpoint in ("token", "logs"):
                    it.world.faults.add(Fault(kind, count=1, endpoint=endpoint))
                    async for _ in integrations.check(it.system, SLUG, {}, name=PUBLIC, by="test"):
                        pass
                    await it.poll(PUBLIC)
                    it.world.faults.clear()
            observe.log(logging.DEBUG, f"authorization: Bearer {found.values['token']}", {"said": "x"})
            logging.getLogger("conductor").debug("asked %s", f"?client_secret={values['client_secret']}")

    before = {name: logging.getLogger(name).level for name in [None, *logging.root.manager.loggerDict]}
    handlers = logging.root.handlers[:]
    try:
        observe.set_up(form, level=logging.DEBUG)
        handler = logging.root.handlers[0]
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(spoken)
        for name in list(logging.root.manager.loggerDict):
            logging.getLogger(name).setLevel(logging.DEBUG)
        asyncio.run(asyncio.wait_for(work(), 300))
    finally:
        logging.root.handlers[:] = handlers
        for logger, level in before.items():
            logging.getLogger(logger).setLevel(level)
    found.search("log", spoken.getvalue())
    assert found.hits() == {}
    assert found.seen() == {"log"}
    assert "httpcore" in spoken.getvalue() or "httpx" in spoken.getvalue(), "the libraries were not heard"
