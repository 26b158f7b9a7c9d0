"""Log lines: one a record, with secrets masked, in two forms."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conductor import observe
from conductor.observe import JsonFormatter, LineFormatter, Redactor, redactor

Lines = Callable[[], str]
KNOWN = "k7-Vault_canary.9f2c"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhYmMifQ.c2lnbmF0dXJl-_"
LEVEL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \[([A-Z]+)\] ")


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Lines]:
    """What a set-up log writes to stderr; the log is as before afterwards."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    monkeypatch.setattr(redactor, "_known", set())
    yield lambda: capsys.readouterr().err
    root.handlers[:] = before
    root.setLevel(level)


def written(lines: Lines, form: str, message: str, error: BaseException | None = None, **facts: Any) -> str:
    observe.set_up(form)
    observe.log(logging.INFO, message, facts, error=error)
    return lines()


def raised(text: str) -> ValueError:
    try:
        raise ValueError(text)
    except ValueError as error:
        return error


def test_a_line_has_time_level_message_and_facts(lines: Lines) -> None:
    facts = {"integration": "prod", "duration": "1.5s", "retry": 3, "text": "two words", "url": "https://a.example/b"}
    line = written(lines, "line", "auth0: fetched 5 log events", **facts)
    assert LEVEL.match(line)
    assert line[25:] == (
        '[INFO] auth0: fetched 5 log events integration=prod duration=1.5s retry=3 text="two words" '
        "url=https://a.example/b\n"
    )


@pytest.mark.parametrize(
    ("level", "word"),
    [(logging.INFO, "INFO"), (logging.WARNING, "WARN"), (logging.ERROR, "ERROR"), (logging.CRITICAL, "ERROR")],
)
@pytest.mark.parametrize("form", ["line", "json"])
def test_levels_are_written_in_the_usual_words(lines: Lines, form: str, level: int, word: str) -> None:
    observe.set_up(form)
    observe.log(level, "m", {})
    text = lines()
    found = json.loads(text)["level"] if form == "json" else LEVEL.match(text)[1]  # type: ignore[index]
    assert found == word


def test_the_same_facts_are_one_json_object_a_line(lines: Lines) -> None:
    text = written(lines, "json", "auth0: fetched", integration="prod", n=5, share=0.5, ok=True, none=None, what=[1])
    assert text.count("\n") == 1
    entry = json.loads(text)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry.pop("time"))
    assert entry == {
        "level": "INFO", "message": "auth0: fetched", "integration": "prod", "n": 5, "share": 0.5, "ok": True, "none": "None", "what": "[1]",
    }  # fmt: skip


FORGED = "x\r\n2026-11-22T07:30:40.123Z [INFO] forged\x1b[31m\x00\u2028\u0085\u202e\x7f\t"


@pytest.mark.parametrize("form", ["line", "json"])
def test_s31_no_content_can_forge_a_line(lines: Lines, form: str) -> None:
    text = written(lines, form, FORGED, fact=FORGED, **{"plain": "y"})
    assert text.endswith("\n")
    assert text.count("\n") == 1
    if form == "line":
        assert text[:-1].isprintable()
        assert r"x\u000d\u000a2026" in text
    else:
        assert json.loads(text)["fact"] == FORGED
        assert not set(text[:-1]) & {chr(code) for code in range(32)}


def test_s31_a_quoted_value_cannot_end_early(lines: Lines) -> None:
    line = written(lines, "line", "m", fact='a" level=forged \\')
    assert line.endswith('fact="a\\" level=forged \\\\"\n')


def test_s31_a_traceback_cannot_forge_a_line_either(lines: Lines) -> None:
    text = written(lines, "line", "crashed", error=raised(FORGED))
    first, *others = text.splitlines()
    assert LEVEL.match(first)
    assert any("ValueError" in line for line in others)
    assert others == [line for line in others if line.startswith("  ") and line.isprintable()]


@pytest.mark.parametrize("form", ["line", "json"])
@pytest.mark.parametrize("text", ["\ud800", "a\udfffb"], ids=ascii)
def test_text_that_is_no_unicode_is_logged_all_the_same(lines: Lines, form: str, text: str) -> None:
    found = written(lines, form, f"message {text}", error=raised(text), fact=text)
    assert "ud800" in found or "udfff" in found
    found.encode()


SECRETS = {
    "a known one": KNOWN,
    "bearer": "Authorization: Bearer abcdef0123456789.-_~+/=",
    "bearer in lower case": "authorization: bearer abcdef0123456789",
    "JWT": f"token {JWT} end",
    "JWT without signature": "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhYmMifQ",
    "form": "grant_type=x&client_secret=abcdef0123456789&audience=y",
    "JSON": '{"client_secret": "abcdef0123456789", "x": 1}',
    "python": "{'client_secret': 'abcdef0123456789'}",
    "access token": '"access_token":"abcdef0123456789"',
    "password": "password=abcdef0123456789",
    "upper case": "CLIENT_SECRET=abcdef0123456789",
    "API key": "api_key: abcdef0123456789",
}
HIDDEN = ("abcdef0123456789", KNOWN, "eyJhbGciOiJSUzI1NiJ9", "eyJzdWIiOiJhYmMifQ", "c2lnbmF0dXJl")


@pytest.mark.parametrize("form", ["line", "json"])
@pytest.mark.parametrize("place", ["message", "fact", "traceback"])
@pytest.mark.parametrize("text", SECRETS.values(), ids=SECRETS)
def test_s21_secrets_are_masked_wherever_they_stand(lines: Lines, form: str, place: str, text: str) -> None:
    redactor.know(KNOWN)
    where: dict[str, Any] = {"message": "m", place: text}
    error = raised(where.pop("traceback")) if "traceback" in where else None
    found = written(lines, form, error=error, **where)
    assert "***" in found
    assert [secret for secret in HIDDEN if secret in found] == []
    if form == "json":
        json.loads(found)


def test_what_surrounds_a_secret_stays() -> None:
    clean = Redactor().clean("a client_secret=abcdef&audience=y Bearer abcdefghij end")
    assert clean == "a client_secret=***&audience=y Bearer *** end"


@pytest.mark.parametrize("form", ["line", "json"])
@pytest.mark.parametrize(
    "secret", ['quo"ted-secret', "back\\slash-secret", "spaced out secret", "ümläut-secret", "a&b=c-secret"]
)
def test_s21_a_known_secret_is_masked_however_it_is_written(lines: Lines, form: str, secret: str) -> None:
    redactor.know(secret)
    found = written(
        lines, form, f"plain {secret}", error=raised(secret), fact=secret, listed=[secret], url=quote(secret, safe="")
    )
    for spelled in (secret, secret.replace("\\", "\\\\"), secret.replace('"', '\\"'), quote(secret, safe="")):
        assert spelled not in found
    assert "secret" not in found.replace("Secret", "").replace("test_observe", "")


@given(secret=st.text("abcd", min_size=8, max_size=20), cuts=st.lists(st.integers(0, 13), min_size=1, max_size=4))
def test_a_secret_inside_another_leaves_no_rest(secret: str, cuts: list[int]) -> None:
    made = Redactor()
    for cut in cuts:
        made.know(secret[cut : cut + 6])
    made.know(secret)
    assert made.clean(f"<{secret}>") == "<***>"


@pytest.mark.parametrize("short", ["", "a", "admin"])
def test_very_short_secrets_do_not_mask_ordinary_words(short: str) -> None:
    made = Redactor()
    made.know(short)
    assert made.clean("an admin asks") == "an admin asks"


def test_s21_http_libraries_do_not_print_addresses(lines: Lines) -> None:
    observe.set_up()
    for name in ("httpx2", "httpcore2", "httpx", "uvicorn.access", "alembic"):
        logging.getLogger(name).info("GET https://acme/?secret=1")
        logging.getLogger(name).warning("heard")
    found = lines()
    assert "secret" not in found
    assert found.count("heard") == 5


def test_formats_are_those_of_the_settings(lines: Lines) -> None:
    for form, kind in (("line", LineFormatter), ("json", JsonFormatter)):
        observe.set_up(form)
        printing, kept = logging.getLogger().handlers
        assert (type(printing.formatter), kept) == (kind, observe.recent)


def test_the_last_warnings_are_kept_without_secrets_and_no_more_than_a_hundred(lines: Lines) -> None:
    observe.set_up()
    observe.recent.lines.clear()
    for number in range(150):
        observe.log(logging.WARNING, f"web: warning {number}", {"password": "canary-4711"})
    observe.log(logging.INFO, "web: routine", {})
    kept = list(observe.recent.lines)
    assert [len(kept), kept[0].split("web: ")[1], kept[-1].split("web: ")[1]] == [
        100,
        'warning 50 password="***"',
        'warning 149 password="***"',
    ]


@pytest.mark.parametrize("form", ["line", "json"])
@pytest.mark.parametrize("name", ["client_secret", "password", "access_token", "api_key"])
def test_s21_a_fact_whose_name_tells_that_it_is_secret_is_masked(lines: Lines, form: str, name: str) -> None:
    found = written(lines, form, "m", **{name: "hunter22", "other": "stays"})
    assert "hunter22" not in found
    assert "stays" in found


def test_a_masked_line_of_json_is_json_still(lines: Lines) -> None:
    entry = json.loads(written(lines, "json", 'password=abc" and "more', fact="x\\"))
    assert entry["message"] == 'password=***" and "more'
    assert entry["fact"] == "x\\"
