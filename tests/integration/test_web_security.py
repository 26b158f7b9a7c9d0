"""The web shell's promises, on every route there is: headers, same site, roles, log-in, sessions."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from routes import (
    ACCESS,
    ADMIN,
    ANALYST,
    API,
    CHANGING,
    CHANGING_API,
    CHANGING_PAGES,
    JSON,
    LIST,
    LOCAL,
    NOBODY,
    ORIGIN,
    OURS,
    PASSWORD,
    RANKS,
    VIEWER,
    Clock,
    World,
    address,
    people,
    story,
)

from conductor.core import clock
from conductor.core.errors import NotFound
from conductor.operations import accounts, auditing, sessions, statuses
from conductor.store import schema
from conductor.web import auth, security
from conductor.web.throttle import Throttle
from conductor.web.turns import AT_ONCE


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    moved = Clock()
    monkeypatch.setattr(clock, "now", lambda: moved.now)
    return moved


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Callable[[World], Awaitable[Any]]], Any]:
    """Runs a story in a world."""
    return lambda tell, local=False: asyncio.run(story(tmp_path, tell, local=local))


async def _form_token(http: httpx2.AsyncClient, page: str) -> str:
    text = (await http.get(page)).text
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', text)
    assert found, text
    return found[1]


async def _send(http: httpx2.AsyncClient, route: str, **more: Any) -> Any:
    method, path = address(route)
    return await http.request(method, path, **more)


async def _proper(http: httpx2.AsyncClient, route: str, page: str) -> Any:
    """The request as our own pages and clients send it."""
    if route.startswith("GET "):
        return await _send(http, route)
    if API in route:
        return await _send(http, route, headers=JSON, content=b"{}")
    return await _send(http, route, headers=OURS, data={"csrf": await _form_token(http, page)})


def _refused(response: Any) -> bool:
    to_login = response.status_code == 303 and response.headers["location"].startswith("/auth/login")
    return response.status_code in (401, 403) or to_login


def test_s16_the_table_above_names_every_route_and_no_other(run: Any) -> None:
    async def tell(world: World) -> None:
        routes = auth.api_routes(world.app.routes)
        there = {f"{method} {route.path}" for route in routes for method in route.methods}
        assert there == set(ACCESS)

    run(tell)


def test_s16_a_route_that_does_not_say_who_may_use_it_stops_the_app(run: Any) -> None:
    async def tell(world: World) -> None:
        world.app.add_api_route("/open", lambda: "for everyone")
        with pytest.raises(AssertionError, match="/open"):
            auth.check_routes(world.app)

    run(tell)


@pytest.mark.parametrize("role", RANKS)
def test_s16_each_role_passes_where_it_may_and_nowhere_else(run: Any, role: str) -> None:
    async def tell(world: World) -> None:
        await people(world)
        page = "/auth/login" if role == NOBODY else "/account"
        wrong = {}
        for route, needed in ACCESS.items():
            if route == "POST /auth/logout" or route == "POST /account/password":
                continue  # tried below: the one ends the session, the other answers a wrong password
            async with world.signed_in(role) as http:
                response = await _proper(http, route, page)
            may = needed in RANKS and RANKS.index(role) >= RANKS.index(needed)
            if route == "POST /auth/login":
                may = response.text.count("E-mail or password is wrong.") == 0  # refused as a log-in, not as a route
            if _refused(response) is may or response.status_code == 500:
                wrong[route] = response.status_code
        assert wrong == {}

    run(tell)


def test_the_local_socket_needs_no_session_no_token_and_no_header(run: Any) -> None:
    async def tell(world: World) -> None:
        async with world.browser() as http:
            link = await http.post(f"{API}/setup-link", json={})
            assert link.json()["url"].startswith(f"{ORIGIN}/setup?token=")
            added = await http.post(
                f"{API}/users", json={"email": "a@example.com", "password": PASSWORD, "role": "admin"}
            )
            assert (added.status_code, added.json()["role"]) == (201, "admin")
            assert (await http.get(f"{API}/users")).json()["users"][0]["email"] == "a@example.com"

    run(tell, local=True)


def _assert_headers(response: Any) -> None:
    headers = response.headers
    assert headers["content-security-policy"] == security.CSP
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["strict-transport-security"] == security.HSTS
    assert re.fullmatch(r"[0-9a-f]{16}", headers["x-request-id"])
    immutable = response.status_code == 200 and response.url.path.startswith(("/static/", "/favicon"))
    assert headers["cache-control"] == "no-store" or immutable


def test_s14_the_policy_is_the_one_that_was_measured() -> None:
    assert security.CSP == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


@pytest.mark.parametrize("role", [NOBODY, ADMIN])
def test_s14_every_answer_carries_the_security_headers(run: Any, role: str) -> None:
    async def tell(world: World) -> None:
        await people(world)
        async with world.signed_in(role) as http:
            for route in ACCESS:
                _assert_headers(await _send(http, route))
            _assert_headers(await http.get("/no/such/page"))
            _assert_headers(await http.get("/api/v1/nothing"))
            _assert_headers(await http.request("PUT", "/account", headers=OURS))
            _assert_headers(await http.get(world.app.state.assets.url("app.css")))

    run(tell)


@pytest.mark.parametrize("path", ["/", f"{API}/status"])
def test_s23_the_unexpected_tells_an_id_and_nothing_else(run: Any, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    async def broken(system: object) -> None:
        raise RuntimeError("canary-4711")

    async def tell(world: World) -> None:
        await people(world)
        monkeypatch.setattr(statuses, "overview", broken)
        async with world.signed_in(ADMIN) as http:
            response = await http.get(path)
            assert response.status_code == 500
            _assert_headers(response)
            assert "Traceback" not in response.text
            assert "canary-4711" not in response.text
            assert "Something went wrong in Conductor." in response.text

    run(tell)


def test_s14_over_plain_http_no_browser_is_told_to_insist_on_tls(run: Any) -> None:
    async def tell(world: World) -> None:
        async with world.browser("http://127.0.0.1:8080") as http:
            assert "strict-transport-security" not in (await http.get("/healthz")).headers

    run(tell)


FOREIGN = {
    "another site": {"Sec-Fetch-Site": "cross-site", "Origin": ORIGIN},
    "a sibling": {"Sec-Fetch-Site": "same-site"},
    "another origin": {"Origin": "https://evil.example"},
    "no origin": {"Origin": "null"},
    "another port": {"Origin": f"{ORIGIN}:8443"},
    "nothing said": {},
}


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
def test_s13_a_change_that_another_site_asks_for_is_refused_everywhere(run: Any, headers: dict[str, str]) -> None:
    async def tell(world: World) -> None:
        await people(world)
        async with world.signed_in(ADMIN) as http:
            token = await _form_token(http, "/account")
            for route in CHANGING:
                extra = {**JSON, **headers} if API in route else headers
                if "Sec-Fetch-Site" not in headers:
                    extra = {name: value for name, value in extra.items() if name != "Sec-Fetch-Site"}
                body = {"content": b"{}"} if API in route else {"data": {"csrf": token}}
                response = await _send(http, route, headers=extra, **body)
                assert response.status_code == 403, route
                assert "request.crosssite" in response.text, route
            assert len((await http.get(f"{API}/users")).json()["users"]) == 3

    run(tell)


def test_a_matching_origin_will_do_for_browsers_that_say_no_more(run: Any) -> None:
    async def tell(world: World) -> None:
        await people(world)
        async with world.signed_in(ADMIN) as http:
            token = await _form_token(http, "/account")
            response = await http.post("/auth/logout", headers={"Origin": ORIGIN}, data={"csrf": token})
            assert response.status_code == 303

    run(tell)


@pytest.mark.parametrize("kind", ["none", "made up", "of another session", "as plain text"])
def test_s13_a_form_without_its_own_token_changes_nothing(run: Any, kind: str) -> None:
    async def tell(world: World) -> None:
        await people(world)
        async with world.signed_in(ADMIN) as other, world.signed_in(ADMIN) as http:
            foreign = await _form_token(other, "/account")
            bodies: dict[str, dict[str, Any]] = {
                "none": {"data": {}},
                "made up": {"data": {"csrf": "0" * 80}},
                "of another session": {"data": {"csrf": foreign}},
                "as plain text": {"content": f"csrf={foreign}", "headers": {"Content-Type": "text/plain"}},
            }
            body = bodies[kind]
            headers = OURS | body.pop("headers", {})
            for route in CHANGING_PAGES:
                response = await _send(http, route, headers=headers, **body)
                assert response.status_code == 403, route
                assert "request.csrf" in response.text, route

    run(tell)


API_CASES = {
    "a form": ({**JSON, "Content-Type": "application/x-www-form-urlencoded"}, 415),
    "plain text": ({**JSON, "Content-Type": "text/plain"}, 415),
    "no type": ({"X-Conductor": "1", **OURS}, 415),
    "no header": ({"Content-Type": "application/json", **OURS}, 403),
}


@pytest.mark.parametrize(("headers", "status"), API_CASES.values(), ids=API_CASES)
def test_s13_the_api_takes_json_with_its_header_only(run: Any, headers: dict[str, str], status: int) -> None:
    async def tell(world: World) -> None:
        await people(world)
        async with world.signed_in(ADMIN) as http:
            for route in CHANGING_API:
                response = await _send(http, route, headers=headers, content=b"{}")
                assert response.status_code == status, route

    run(tell)


def test_s27_unknown_fields_are_refused_and_not_repeated(run: Any) -> None:
    async def tell(world: World) -> None:
        await people(world)
        body = {"email": "x@example.com", "password": PASSWORD, "is_superuser": "canary-4711"}
        async with world.signed_in(ADMIN) as http:
            response = await http.post(f"{API}/users", headers=JSON, json=body)
            assert response.status_code == 422
            assert "is_superuser" in response.json()["error"]["fields"]
            assert "canary-4711" not in response.text
            assert PASSWORD not in response.text

    run(tell)


def test_s25_a_body_is_one_mebibyte_at_most_however_it_is_sent(run: Any) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 64 * 1024

    async def tell(world: World) -> None:
        async with world.browser() as http:
            for content in (b"x" * (security.LARGEST_BODY + 1), chunks()):
                response = await http.post("/auth/login", headers=OURS, content=content)
                assert response.status_code == 413
                _assert_headers(response)

    run(tell)


def test_s25_json_is_nested_sixty_four_levels_at_most(run: Any) -> None:
    async def tell(world: World) -> None:
        await people(world)
        async with world.signed_in(ADMIN) as http:
            response = await http.post(f"{API}/users", headers=JSON, content=b"[" * 65 + b"]" * 65)
            assert (response.status_code, response.json()["error"]["code"]) == (400, "request.toodeep")

    run(tell)


async def _sign_in(http: httpx2.AsyncClient, email: str, password: str, **more: str) -> Any:
    form = {"csrf": await _form_token(http, "/auth/login"), "email": email, "password": password, **more}
    return await http.post("/auth/login", headers=OURS, data=form)


def test_s11_the_session_cookie_is_locked_to_this_host(run: Any) -> None:
    async def tell(world: World) -> None:
        await people(world)
        async with world.browser() as http:
            response = await _sign_in(http, "admin@example.com", PASSWORD)
            cookies = response.headers.get_list("set-cookie")
            cookie = next(cookie for cookie in cookies if cookie.startswith("__Host-sid="))
            parts = {part.strip().lower() for part in cookie.split(";")[1:]}
            assert parts == {"secure", "httponly", "samesite=lax", "path=/"}
            assert (await http.get("/account")).status_code == 200

    run(tell)


def test_s10_signing_in_never_adopts_a_session_that_was_brought(run: Any) -> None:
    async def tell(world: World) -> None:
        await people(world)
        async with world.browser() as http:
            http.cookies.set(auth.SESSION_COOKIE, "planted", domain="conductor.test")
            response = await _sign_in(http, "admin@example.com", PASSWORD)
            assert "__Host-sid=planted" not in "".join(response.headers.get_list("set-cookie"))
            assert await sessions.who(world.system, "planted") is None

    run(tell)


def test_s10_signing_out_ends_the_session_on_the_server(run: Any) -> None:
    async def tell(world: World) -> None:
        await people(world)
        async with world.signed_in(VIEWER) as http:
            token = http.cookies[auth.SESSION_COOKIE]
            csrf = await _form_token(http, "/account")
            assert (await http.post("/auth/logout", headers=OURS, data={"csrf": csrf})).status_code == 303
            assert await sessions.who(world.system, token) is None

    run(tell)


def test_after_signing_in_one_is_where_one_wanted_to_be(run: Any) -> None:
    async def tell(world: World) -> None:
        await people(world)
        async with world.browser() as http:
            first = await http.get("/signals/search?q=type%3Afp&last=7d")
            assert first.headers["location"] == "/auth/login?next=/signals/search%3Fq%3Dtype%253Afp%26last%3D7d"
            done = await _sign_in(http, "admin@example.com", PASSWORD, next="/signals/search?q=type%3Afp&last=7d")
            assert done.headers["location"] == "/signals/search?q=type%3Afp&last=7d"

    run(tell)


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_signing_in_leads_to_no_other_site(run: Any, target: str) -> None:
    async def tell(world: World) -> None:
        await people(world)
        async with world.browser() as http:
            assert (await _sign_in(http, "admin@example.com", PASSWORD, next=target)).headers["location"] == "/"

    run(tell)


def test_unknown_user_and_wrong_password_get_the_same_page(run: Any) -> None:
    async def tell(world: World) -> None:
        await people(world)
        pages = []
        async with world.browser() as http:
            for email in ("admin@example.com", "nobody@example.com"):
                response = await _sign_in(http, email, "wrong password here")
                pages.append((response.status_code, _without_tokens(response.text.replace(email, ""))))
        assert pages[0] == pages[1]
        assert pages[0][0] == 401
        assert "E-mail or password is wrong." in pages[0][1]

    run(tell)


def _without_tokens(page: str) -> str:
    return re.sub(r"[0-9a-f]{16,}", "", page)


def test_s08_five_failures_delay_the_account_for_a_while(run: Any, time: Clock) -> None:
    async def tell(world: World) -> None:
        await people(world)
        async with world.browser() as http:
            for _ in range(5):
                assert (await _sign_in(http, "admin@example.com", "wrong password here")).status_code == 401
            response = await _sign_in(http, "admin@example.com", PASSWORD)
            assert (response.status_code, response.headers["retry-after"]) == (429, "30")
            assert "Too many attempts. Try again in 30 seconds." in response.text
            time.move(seconds=30)
            assert (await _sign_in(http, "admin@example.com", PASSWORD)).status_code == 303

    run(tell)


def test_s08_one_network_cannot_try_many_accounts(run: Any) -> None:
    async def tell(world: World) -> None:
        now = [0.0]
        await people(world)
        await world.throttle(lambda: now[0])
        async with world.browser() as http:
            tries = [await _sign_in(http, f"user{n}@example.com", "wrong password here") for n in range(21)]
            assert [response.status_code for response in tries] == [401] * 20 + [429]
            now[0] += 6
            assert (await _sign_in(http, "admin@example.com", PASSWORD)).status_code == 303

    run(tell)


def test_a_session_that_ended_says_why_and_leads_back(run: Any, time: Clock) -> None:
    async def tell(world: World) -> None:
        await people(world)
        async with world.signed_in(ADMIN) as http:
            time.move(hours=12)
            moved = await http.get("/account")
            assert moved.headers["location"] == "/auth/login?next=/account"
            page = await http.get(moved.headers["location"])
            assert "You were signed out after 12 hours. Sign in to continue where you were." in page.text
            assert (await http.get(f"{API}/status")).status_code == 401

    run(tell)


def test_a_page_that_refreshes_itself_keeps_no_session_alive(run: Any, time: Clock) -> None:
    async def tell(world: World) -> None:
        await people(world)
        async with world.signed_in(VIEWER) as http:
            for _ in range(29):
                time.move(minutes=1)
                assert (await http.get(f"{LIST}?refresh=1")).status_code == 200
            time.move(minutes=1)
            ended = await http.get(
                f"{LIST}?refresh=1", headers={"HX-Request": "true", "HX-Current-URL": f"{ORIGIN}{LIST}"}
            )
            assert (ended.status_code, ended.headers["hx-redirect"]) == (401, f"/auth/login?next={LIST}")

    run(tell)


def test_a_role_that_was_taken_away_is_gone_at_once(run: Any) -> None:
    async def tell(world: World) -> None:
        await people(world)
        async with world.signed_in(ANALYST) as http:
            await accounts.edit_user(world.system, "analyst@example.com", by="admin@example.com", role=VIEWER)
            assert _refused(await http.get("/account"))

    run(tell)


def test_set_up_makes_the_administrator_signs_in_and_works_once(run: Any) -> None:
    async def tell(world: World) -> None:
        token = await accounts.setup_link(world.system)
        async with world.browser() as http:
            assert "not set up yet" in (await http.get("/auth/login")).text
            csrf = await _form_token(http, f"/setup?token={token}")
            form = {"csrf": csrf, "token": token, "name": "Ana", "email": "ana@example.com", "time_zone": "UTC"}
            weak = await http.post("/setup", headers=OURS, data=form | {"password": "short"})
            assert weak.status_code == 422
            assert "There is a problem" in weak.text
            assert "<title>Error: " in weak.text
            done = await http.post("/setup", headers=OURS, data=form | {"password": PASSWORD})
            assert done.headers["location"] == "/setup/source"
            assert "Connect " in (await http.get("/setup/source")).text
            again = await http.get(f"/setup?token={token}")
            assert again.status_code == 404
            assert "has expired or was used" in again.text

    run(tell)


def test_no_page_shows_a_password_that_was_typed(run: Any) -> None:
    async def tell(world: World) -> None:
        await people(world)
        async with world.browser() as http:
            response = await _sign_in(http, "admin@example.com", "canary-password-4711")
            assert "canary-password-4711" not in response.text

    run(tell)


def test_s08_a_thousand_attempts_get_nowhere_and_lock_nobody_out_who_is_in(run: Any, time: Clock) -> None:
    """One attacker with many addresses, a day long; the victim works on in a session from before, and gets in again."""

    async def tell(world: World) -> None:
        await people(world)
        tried = 0
        async with world.signed_in(ADMIN) as victim, world.browser() as attacker:
            for number in range(1000):
                world.app.state.throttle = Throttle(lambda: 0.0)  # another network each time
                answer = await _sign_in(attacker, "admin@example.com", f"guess number {number}")
                assert answer.status_code in (401, 429)
                tried += answer.status_code == 401
                time.move(seconds=40)
                if number % 100 == 0:
                    assert (await victim.get("/account")).status_code == 200
            assert tried < 60, "eleven hours allow hardly more than four a hour"
            time.move(minutes=15)
            world.app.state.throttle = Throttle(lambda: 0.0)
            async with world.browser() as again:
                assert (await _sign_in(again, "admin@example.com", PASSWORD)).status_code == 303

    run(tell)


def test_s13_asking_changes_nothing(run: Any) -> None:
    async def tell(world: World) -> None:
        await people(world)
        token = await accounts.setup_link(world.system) if await accounts.needs_setup(world.system) else "x"

        def everything(connection: Any) -> list[Any]:
            looked = ("sessions", "audit", "facts")  # that somebody has looked is written down
            tables = [table for table in schema.metadata.sorted_tables if table.name not in looked]
            return [connection.execute(table.select()).all() for table in tables]

        async with world.signed_in(ADMIN) as http:
            before = await world.system.database.read(everything)
            for route in ACCESS:
                if route.startswith("GET "):
                    for query in ("", f"?token={token}&do=save&enabled=0&name=x&note=x&confirm=nothing"):
                        method, path = address(route)
                        await http.request(method, path + query.replace("?", "&" if "?" in path else "?"))
                        await http.request("HEAD", path)
            assert await world.system.database.read(everything) == before
            written = await auditing.entries(world.system, auditing.Wanted(actor="admin@example.com"), 1000)
            assert {entry.action for entry in written} <= {"login", "search", "events.exported", "audit.exported"}

    run(tell)


def test_s16_nobody_ends_anothers_session(run: Any) -> None:
    """The one thing here that belongs to one user: own and other."""

    async def tell(world: World) -> None:
        await people(world)
        async with world.signed_in(ANALYST) as other, world.signed_in(VIEWER) as http:
            for role, mine in ((ANALYST, False), (VIEWER, True)):
                user = next(user for user in await accounts.users(world.system) if user.role == role)
                ((session, _),) = await sessions.sessions(world.system, user)
                form = {"csrf": await _form_token(http, "/account"), "session": session.id}
                answer = await http.post("/account/sessions", headers=OURS, data=form)
                assert (answer.status_code == 303) is mine, role
            assert (await other.get("/account")).status_code == 200
            assert _refused(await http.get("/account"))

    run(tell)


@pytest.mark.parametrize("local", [False, True])
def test_s27_no_call_of_the_api_takes_a_field_it_does_not_know(run: Any, local: bool) -> None:
    async def tell(world: World) -> None:
        await people(world)
        described = world.app.openapi()["paths"]
        bodies = 0
        async with world.signed_in(ADMIN) as http:
            for route in CHANGING_API:
                method, template = route.split(" ")
                if "requestBody" not in described[template][method.lower()]:
                    continue
                bodies += 1
                body = {"canary_field": 4711, "role": "admin", "revision": 1}
                answer = await _send(http, route, headers=JSON, json=body)
                if ACCESS[route] == LOCAL and not local:
                    assert answer.status_code == 403, route
                    continue
                assert answer.status_code == 422, route
                assert "canary_field" in answer.json()["error"]["fields"], route
                assert "4711" not in answer.text
        assert bodies >= 8

    run(tell, local)


@pytest.mark.parametrize("limit", [-1, 0, 1001, 10**30])
def test_s25_a_page_has_a_thousand_rows_at_most(run: Any, limit: int) -> None:
    async def tell(world: World) -> None:
        await people(world)
        described, tried = world.app.openapi()["paths"], 0
        async with world.signed_in(ADMIN) as http:
            for path, methods in described.items():
                for parameter in methods.get("get", {}).get("parameters", ()):
                    if parameter["name"] == "limit":
                        tried += 1
                        answer = await http.get(re.sub(r"{\w+}", "nothing", path), params={"limit": limit})
                        assert answer.status_code == 422, path
        assert tried >= 2

    run(tell)


def test_s25_each_user_runs_a_few_searches_at_once(run: Any) -> None:
    async def tell(world: World) -> None:
        await people(world)
        going, release = 0, asyncio.Event()

        async def slow(work: object) -> Any:
            nonlocal going
            going += 1
            await release.wait()
            raise NotFound("There is nothing here.")

        world.system.analytics.read = slow
        async with world.signed_in(VIEWER) as one, world.signed_in(ANALYST) as other:
            asking = [asyncio.create_task(one.get(f"{API}/artifacts/count")) for _ in range(8)]
            asking += [asyncio.create_task(one.get("/signals/search")) for _ in range(2)]
            asking += [asyncio.create_task(other.get(f"{API}/artifacts/search"))]
            async with asyncio.timeout(30):
                while len(refused := {task for task in asking if task.done()}) < 4:
                    await asyncio.sleep(0)
            release.set()
            answers = await asyncio.gather(*asking)
        assert [answer.status_code for answer in answers].count(429) == len(refused)
        assert all(int(task.result().headers["retry-after"]) >= 1 for task in refused)
        assert answers[-1].status_code == 404  # somebody else's turn is not taken
        assert going <= AT_ONCE + 1

    run(tell)
