from __future__ import annotations

import json
from base64 import b64encode

import pytest

AUDIENCE = "https://localhost/api/v2/"


def test_a_token_tells_its_scope_and_its_life(desk, body):
    answer = body(desk(token_lifetime=600, scope="read:logs").token())
    assert answer.items() >= {"token_type": "Bearer", "expires_in": 600, "scope": "read:logs"}.items()
    assert answer["access_token"].count(".") == 2


def test_json_and_basic_authentication_are_accepted_too(desk, body):
    one = desk()
    spec = one.tenant.spec
    fields = {"grant_type": "client_credentials", "audience": AUDIENCE}
    secret = {"client_id": spec.client_id, "client_secret": spec.client_secret}
    as_json = {"content-type": "application/json"}
    assert one.send("POST", "/oauth/token", body=json.dumps(fields | secret).encode(), headers=as_json).status == 200
    basic = b64encode(f"{spec.client_id}:{spec.client_secret}".encode()).decode()
    headers = as_json | {"authorization": f"Basic {basic}"}
    assert one.send("POST", "/oauth/token", body=json.dumps(fields).encode(), headers=headers).status == 200


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "access_denied"),
        ({"client_secret": None}, 401, "access_denied"),
        ({"client_id": "stranger"}, 401, "access_denied"),
        ({"grant_type": None}, 400, "invalid_request"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"audience": "https://localhost/api/v2"}, 403, "access_denied"),
        ({"audience": "https://elsewhere.example/api/v2/"}, 403, "access_denied"),
    ],
)
def test_what_does_not_fit_is_refused_in_the_vendors_words(desk, body, changes, status, error):
    reply = desk().token(**changes)
    assert (reply.status, body(reply)["error"]) == (status, error)


def test_a_broken_json_body_is_an_invalid_request(desk):
    reply = desk().send("POST", "/oauth/token", body=b"{", headers={"content-type": "application/json"})
    assert reply.status == 400


@pytest.mark.parametrize("audience", [AUDIENCE, "https://localhost:8443/api/v2/", "https://127.0.0.1:1/api/v2/"])
def test_the_audience_is_the_canonical_host_with_or_without_its_port(desk, audience):
    assert desk().token(audience=audience).status == 200


def test_the_audience_stays_canonical_on_a_custom_domain(desk, body):
    one = desk(custom_domain="login.example.com")
    wrong = one.token(host="login.example.com", audience="https://login.example.com/api/v2/")
    assert wrong.status == 403
    assert body(wrong)["error_description"] == "Service not enabled within domain: https://login.example.com/api/v2/"
    assert one.token(host="login.example.com").status == 200


def test_a_token_is_good_only_on_the_host_that_issued_it(desk, body):
    one = desk(custom_domain="login.example.com")
    token = body(one.token(host="login.example.com"))["access_token"]
    headers = {"authorization": f"Bearer {token}"}
    assert one.send("GET", "/api/v2/logs", host="login.example.com", headers=headers).status == 200
    refused = one.send("GET", "/api/v2/logs", headers=headers)
    assert (refused.status, body(refused)["message"]) == (401, "Invalid token")


def test_without_an_audience_the_token_is_useless(desk, body):
    one = desk()
    answer = body(one.token(audience=None))
    assert "scope" not in answer
    one.headers["authorization"] = f"Bearer {answer['access_token']}"
    assert one.get().status == 401


def test_a_client_without_the_grant_type_is_told_so(desk, body):
    reply = desk(client_credentials=False).token()
    assert reply.status == 403
    assert body(reply)["error"] == "unauthorized_client"
    assert body(reply)["error_uri"].startswith("https://auth0.com/docs")


def test_a_client_without_a_grant_for_the_api_is_told_so(desk, body):
    reply = desk(granted=False, client_id="abc").token()
    assert reply.status == 403
    assert body(reply)["error_description"] == f'Client "abc" is not authorized to access resource server "{AUDIENCE}".'


def test_an_unknown_host_has_no_tenant(desk):
    reply = desk().token(host="nobody.example.com")
    assert (reply.status, reply.body, reply.content_type) == (404, b"Not found.", "text/plain; charset=utf-8")


@pytest.mark.parametrize(("secret", "code"), [("simulated-secret", "seccft"), ("wrong", "feccft")])
def test_every_token_request_leaves_an_event_in_the_log(desk, secret, code):
    one = desk()
    one.token(client_secret=secret)
    (event,) = one.tenant.events
    assert json.loads(event.body).items() >= {"type": code, "client_id": "simulated-client"}.items()


def test_a_changed_secret_counts_at_once_and_old_tokens_live_on(desk):
    one = desk().login()
    one.tenant.change(one.now, client_secret="new")
    assert one.get().status == 200
    assert one.token(client_secret="simulated-secret").status == 401
    assert one.token(client_secret="new").status == 200


def test_too_many_token_requests_are_limited_until_time_passes(desk, body):
    one = desk(rate_limit="plan", plan="free")
    assert [one.token().status for _ in range(31)] == [200] * 30 + [429]
    limited = one.token()
    assert (body(limited)["error"], limited.headers["retry-after"]) == ("too_many_requests", "1")
    assert sum(b'"type":"api_limit"' in event.body for event in one.tenant.events) == 1
    one.wait(1)
    assert one.token().status == 200


def test_reset_on_the_token_endpoint_is_the_time_of_a_full_bucket(desk):
    one = desk(rate_limit="plan", plan="enterprise")
    for _ in range(2):
        one.token()
    headers = one.token().headers
    assert (headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"]) == ("100", "97")
    assert int(headers["x-ratelimit-reset"]) - one.now.timestamp() == 43.2 * 60
