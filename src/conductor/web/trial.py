"""A connection test on the page: each step is shown as it ends, where the browser can take it so."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from conductor.core.connector import CheckStep
from conductor.operations import integrations
from conductor.operations.accounts import User
from conductor.outbound.client import Usage
from conductor.web.integration_form import Form, Typed, refilled
from conductor.web.render import pages

EVENTS = "text/event-stream"  # also tells the compression to leave it alone, which would hold the steps back
MACROS = "_trial.html"


def wants_steps(request: Request) -> bool:
    """Whether they are asked for one by one."""
    return EVENTS in request.headers.get("accept", "")


async def whole(request: Request, form: Form, typed: Typed, user: User) -> Form:
    """The form with the test that was made of it. Raises Invalid."""
    usage = Usage()
    steps = [step async for step in _steps(request, form, typed, user, usage)]
    return refilled(form, typed, steps=steps, requests=usage.requests)


async def streamed(request: Request, form: Form, typed: Typed, user: User) -> Response:
    """The steps as server-sent events, then the verdict and what stands below. Raises Invalid before the first."""
    usage = Usage()
    steps = _steps(request, form, typed, user, usage)
    first = await anext(steps)

    async def events() -> AsyncIterator[str]:
        seen = [first]
        yield _step(request, first)
        async with aclosing(steps):
            async for step in steps:
                seen.append(step)
                yield _step(request, step)
        done = replace(refilled(form, typed), steps=seen, requests=usage.requests)
        yield _event("verdict", pages(request).part(MACROS, "verdict", seen))
        yield _event("end", pages(request).part(MACROS, "end", done.report, usage.requests))

    return StreamingResponse(events(), media_type=EVENTS)


async def _steps(
    request: Request, form: Form, typed: Typed, user: User, usage: Usage
) -> AsyncGenerator[CheckStep, None]:
    name = form.saved.integration.name if form.saved else None
    system, slug = request.app.state.system, form.connector.slug
    async for step in integrations.check(system, slug, typed.values, by=user.email, name=name, usage=usage):
        yield step


def _step(request: Request, step: CheckStep) -> str:
    return _event("step", pages(request).part(MACROS, "one", step, request.app.state.system.catalog.advice))


def _event(kind: str, html: str) -> str:
    """A server-sent event; its data is a line for each line of the text."""
    data = "".join(f"data: {line}\n" for line in html.splitlines())
    return f"event: {kind}\n{data}\n"
