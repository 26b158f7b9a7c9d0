"""Thousands of generated calls, right and wrong, against a real Conductor: it never answers that it failed itself.

CONDUCTOR_TEST_CALLS=50000 asks for more than the few that every run makes.
"""

from __future__ import annotations

import json
import os
import re
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
import schemathesis
from browser import processes
from browser.processes import EMAIL, PASSWORD, Conductor
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode

from conductor.core import clock

CALLS = int(os.environ.get("CONDUCTOR_TEST_CALLS", "2000"))
OURS = {"X-Conductor": "1", "Sec-Fetch-Site": "same-origin"}
NAMES = ("prod", "off", "nothing", "prod%2Fx", "")
SLOW = {"/api/v1/integrations/{name}/poll"}  # waits for a vendor: fewer of these
ENDLESS = ("/api/v1/artifacts/live",)  # of these only the head is waited for


@dataclass
class Target:
    """A running Conductor, an administrator's session, and how its calls were answered."""

    conductor: Conductor
    http: httpx2.Client
    described: dict[str, Any]
    statuses: Counter[int] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)

    def send(self, method: str, url: str, **more: Any) -> None:
        """One call; an answer from 500 up is written down, but for those that tell of a vendor."""
        try:
            with self.http.stream(method, url, **more) as answer:
                if url not in ENDLESS or answer.status_code >= 400:
                    answer.read()
        except (httpx2.InvalidURL, httpx2.LocalProtocolError, UnicodeEncodeError, ValueError):
            return  # not even our own client can say that
        self.statuses[answer.status_code] += 1
        if answer.status_code >= 500 and answer.status_code != 502:
            self.failed.append(f"{answer.status_code} {method} {url} {str(more)[:300]}: {answer.text[:300]}")


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Started once: one integration that works, one that is switched off."""
    folder = tmp_path_factory.mktemp("calls")
    with (
        processes.simulating(folder, "--history", "60") as vendor,
        processes.serving(folder) as conductor,
        httpx2.Client(base_url=conductor.url, trust_env=False, timeout=60) as http,
    ):
        conductor.cli.add(vendor, "prod")
        conductor.cli.add(vendor, "off", "--disabled")
        page = http.get("/auth/login")
        token = re.search(r'name="csrf" value="([0-9a-f]+)"', page.text)
        assert token
        cookie = page.headers["set-cookie"].partition(";")[0]
        form = {"csrf": token[1], "email": EMAIL, "password": PASSWORD}
        answer = http.post("/auth/login", data=form, headers={**OURS, "Cookie": cookie})
        session = next(part for part in answer.headers.get_list("set-cookie") if part.startswith("__Host-sid"))
        http.headers.update({**OURS, "Cookie": session.partition(";")[0]})
        yield Target(conductor, http, http.get("/api/v1/openapi.json").json())


def test_s23_s27_no_generated_call_of_the_api_makes_it_fail(target: Target) -> None:
    schema = schemathesis.openapi.from_dict(target.described)
    operations = [result.ok() for result in schema.get_all_operations()]
    each = max(10, CALLS // (2 * len(operations)))
    for operation in operations:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            _call(target, operation, mode, each // 10 if operation.path in SLOW else each)
    assert target.failed == []
    assert {200, 404, 422} <= set(target.statuses)
    assert sum(target.statuses.values()) >= CALLS * 0.7
    assert "Traceback" not in target.conductor.printed
    assert json.loads(target.http.get("/readyz").content) == {"ready": True}


def _call(target: Target, operation: Any, mode: GenerationMode, times: int) -> None:
    try:
        cases = operation.as_strategy(generation_mode=mode)
    except Exception as error:  # nothing can be wrong with a call without parameters
        assert mode is GenerationMode.NEGATIVE, error
        return

    @given(case=cases, name=st.sampled_from(NAMES))
    @settings(
        max_examples=times,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        derandomize=CALLS <= 2000,
    )
    def one(case: Any, name: str) -> None:
        if name and "name" in (case.path_parameters or {}):
            case.path_parameters["name"] = name
        path = re.sub(r"{(\w+)}", lambda at: _quoted((case.path_parameters or {}).get(at[1], "x")), case.path)
        body = {} if _is_missing(case.body) else {"content": json.dumps(case.body, default=repr)}
        kind = {"Content-Type": "application/json"} if case.method != "GET" else {}
        target.send(case.method, path, params=case.query or {}, headers=kind, **body)

    try:
        one()
    except Exception as error:
        if type(error).__name__ not in ("Unsatisfiable", "InvalidArgument"):
            raise


def _is_missing(body: Any) -> bool:
    return type(body).__name__ == "NotSet"


def _quoted(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return urllib.parse.quote(text.encode("utf-8", "replace"), safe="%")


PAGES = ["/", "/signals/search", "/admin/settings/integrations", "/admin/settings/integrations/prod", "/auth/login"]
PAGES += ["/help/x", "/signals/events/x", "/setup", "/account", "/admin/settings/integrations/new"]
PAGES += [
    "/signals/search/counts",
    "/signals/search/map",
    "/signals/search/facets",
    "/signals/search/facet",
    "/signals/saved",
    "/signals/suggest",
]
KEYS = [
    "q",
    "last",
    "from",
    "to",
    "after",
    "open",
    "tab",
    "kind",
    "status",
    "next",
    "token",
    "before",
    "refresh",
    "done",
    "cols",
    "sort",
    "by",
    "view",
    "compare",
    "saved",
    "field",
    "like",
    "at",
]


@given(
    path=st.sampled_from(PAGES),
    query=st.dictionaries(st.sampled_from(KEYS), st.text(max_size=40) | st.integers().map(str), max_size=4),
    at=st.datetimes(),
)
@settings(
    max_examples=max(200, CALLS // 10),
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    derandomize=CALLS <= 2000,
)
def test_s23_no_generated_address_of_a_page_makes_it_fail(
    target: Target, path: str, query: dict[str, str], at: Any
) -> None:
    target.send(
        "GET", path, params={**query, "from": query.get("from", clock.to_text(at.replace(tzinfo=clock.now().tzinfo)))}
    )
    assert target.failed == []
