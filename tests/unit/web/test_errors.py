"""One envelope for every refusal, with the status of its class and the words of its advice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from conductor.analytics.syntax import QueryError
from conductor.core import errors as core
from conductor.core.connector import Advice, CheckStep, StepState
from conductor.operations.accounts import LinkRefused
from conductor.operations.integrations import CheckFailed
from conductor.operations.sessions import LoginFailed, TooManyAttempts
from conductor.store.vault import SecretUnreadable
from conductor.web import errors
from conductor.web.turns import TooManySearches, Turns

ADVICE = {"vendor.scope": Advice("It may not read {what}.", "Because {what}.", ("Tick {what}.",))}


def _told(error: core.ConductorError) -> Any:
    return errors.problem(error, ADVICE.get)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (core.Invalid({"name": "Enter a name."}), 422),
        (core.NotFound("There is no integration called x."), 404),
        (core.Conflict("Taken."), 409),
        (core.Forbidden("No."), 403),
        (core.Refused("No."), 400),
        (LinkRefused(), 400),
        (LoginFailed(), 401),
        (TooManyAttempts(30), 429),
        (TooManySearches(), 429),
        (core.RateLimited(retry_after=12.4), 429),
        (core.Unavailable("No answer."), 502),
        (core.PermissionMissing("No."), 502),
        (core.StoreFull(), 507),
        (core.StorePaused(code="local.storage.locked"), 503),
        (SecretUnreadable(), 409),
        (core.StoreError("Broken at /var/lib/secret/path."), 500),
        (core.Fenced(), 409),
    ],
)
def test_each_class_has_its_status(error: core.ConductorError, status: int) -> None:
    assert _told(error).status == status


def test_the_envelope_has_the_same_members_always() -> None:
    names = {"code", "title", "detail", "fix", "fields", "retry_after"}
    for error in (core.NotFound("x"), core.Invalid({"a": "b"}), core.RateLimited(retry_after=5), core.StoreError("x")):
        assert set(_told(error).envelope()["error"]) == names


def test_a_failure_of_the_house_tells_nothing_of_the_inside() -> None:
    assert _told(core.StoreError("Broken at /var/lib/secret/path.")) is errors.UNEXPECTED


def test_known_codes_speak_the_words_of_their_advice() -> None:
    told = _told(core.PermissionMissing("403", code="vendor.scope", what="logs"))
    assert (told.title, told.detail, told.fix) == ("It may not read logs.", "Because logs.", ["Tick logs."])


def test_fields_are_told_one_by_one() -> None:
    told = _told(core.Invalid({"name": "Enter a name."}))
    assert told.fields == {"name": "Enter a name."}
    assert "Enter a name" not in told.title


def test_a_failed_test_brings_its_steps() -> None:
    steps = [
        CheckStep("DNS", StepState.OK, "found"),
        CheckStep("Scopes", StepState.FAILED, "none", "vendor.scope", {"what": "logs"}),
    ]
    error = _told(CheckFailed(steps)).envelope()["error"]
    assert [step["state"] for step in error["steps"]] == ["ok", "failed"]
    assert error["steps"][1]["fix"] == ["Tick logs."]


def test_a_query_that_cannot_be_run_says_where() -> None:
    error = _told(QueryError("Not closed.", 5, 6, "type:(fp)")).envelope()["error"]
    assert (error["start"], error["end"], error["query"]) == (5, 6, "type:(fp)")


def test_how_long_to_wait_is_in_whole_seconds() -> None:
    assert _told(core.RateLimited(retry_after=12.4)).retry_after == 12


def test_a_user_runs_a_few_searches_at_once_and_no_more() -> None:
    async def story() -> None:
        turns = Turns(2)
        async with turns.take("ana"), turns.take("ana"):
            with pytest.raises(TooManySearches):
                async with turns.take("ana"):
                    pass
            async with turns.take("bob"):
                pass
        async with turns.take("ana"):
            pass

    asyncio.run(story())
