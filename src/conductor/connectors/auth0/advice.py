"""What to tell a person about each of Auth0's error codes.

`{name}` is filled in from the error's facts. The texts are plain but for `code` in backticks; a page adds the buttons.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from conductor.core.connector import Advice

_DOMAIN: dict[str, Advice] = {
    "auth0.domain.malformed": Advice(
        title="This is not an Auth0 domain.",
        body=(
            '"`{input}`" should look like `acme.us.auth0.com`. Copy Domain from Auth0 → Applications → your '
            "application → Settings. Do not include `https://` or a path."
        ),
        fix=(
            "Copy Domain from Auth0 → Applications → your application → Settings.",
            "Do not include `https://` or a path.",
        ),
        short="domain malformed",
    ),
    "auth0.domain.dashboard": Advice(
        title="That is the Auth0 dashboard, not your tenant.",
        body="Use the Domain shown in the application's Settings.",
        fix=("Use the Domain shown in the application's Settings.",),
        short="wrong domain",
    ),
    "auth0.domain.unknown": Advice(
        title="Auth0 has no tenant at {domain}.",
        body=(
            "Check the spelling and the region: `{name}.us`, `.eu`, `.au`, `.jp`, … "
            "Some older US tenants have no region (`{name}.auth0.com`). "
            "A tenant of that name answers at `{found}`: is it yours?"
        ),
        fix=(
            "Check the spelling and the region: `{name}.us`, `.eu`, `.au`, `.jp`, …",
            "Some older US tenants have no region (`{name}.auth0.com`).",
        ),
        short="unknown tenant",
    ),
    "auth0.domain.custom": Advice(
        title="{domain} is a custom domain. We also need the tenant domain.",
        body=(
            "Auth0 issues the token on your custom domain, but the API's name stays "
            "`https://TENANT.auth0.com/api/v2/`. Enter Tenant domain, from Auth0 → Settings. "
            "Or use the tenant domain for both: simplest and works the same."
        ),
        fix=(
            "Enter Tenant domain, from Auth0 → Settings.",
            "Or use the tenant domain for both: simplest and works the same.",
        ),
        short="tenant domain missing",
    ),
}

_SECRET_STEPS = (
    "Copy both again from the same application: a secret has no spaces; the one entered has {len} characters.",
    "Check that the domain {domain} is the tenant where the application lives.",
    "If the secret was rotated in Auth0, paste the new one.",
)
_SECRET_BODY = " ".join(f"({number}) {step}" for number, step in enumerate(_SECRET_STEPS, 1))

_TOKEN: dict[str, Advice] = {
    "auth0.token.badsecret": Advice(
        title="Auth0 did not accept the Client ID and Client Secret.",
        body=f"{_SECRET_BODY} We retry once an hour.",
        fix=_SECRET_STEPS,
        short="credentials rejected",
    ),
    "auth0.token.badsecret.worked": Advice(
        title="Auth0 did not accept the Client ID and Client Secret.",
        body=(
            "It worked until {last_ok}. The secret was probably rotated or the application deleted. "
            f"{_SECRET_BODY} We retry once an hour."
        ),
        fix=_SECRET_STEPS,
        short="credentials rejected",
    ),
    "auth0.token.granttype": Advice(
        title="This application cannot sign in by itself.",
        body=(
            "It is not a Machine to Machine application. Best: create one and use its ID and secret. "
            "Or: Applications → {client} → Settings → Advanced → Grant Types → tick Client Credentials."
        ),
        fix=(
            "Best: create a Machine to Machine application and use its ID and secret.",
            "Or: Applications → {client} → Settings → Advanced → Grant Types → tick Client Credentials.",
        ),
        short="wrong application",
    ),
    "auth0.token.nogrant": Advice(
        title="The application is not linked to the Auth0 Management API.",
        body=(
            "Applications → {client} → APIs tab → Auth0 Management API → turn on, tick `read:logs`, save. "
            "Takes effect at once."
        ),
        fix=("Applications → {client} → APIs tab → Auth0 Management API → turn on, tick `read:logs`, save.",),
        short="API not linked",
    ),
    "auth0.token.audience": Advice(
        title="Auth0 does not know the API `{audience}`.",
        body=(
            "The tenant domain is wrong, most often because a custom domain was entered. "
            "Enter the `….auth0.com` tenant domain."
        ),
        fix=("Enter the `….auth0.com` tenant domain.",),
        short="tenant domain wrong",
    ),
    "auth0.token.other": Advice(
        title="Auth0 refused to issue a token: {error}.",
        body=(
            'It said: "{error_description}". This is not one of Auth0\'s standard errors; a Credentials Exchange '
            "Action or Hook in your tenant may have produced it. "
            "Check Auth0 → Monitoring → Logs for Failed Exchange at {time}."
        ),
        fix=("Check Auth0 → Monitoring → Logs for Failed Exchange at {time}.",),
        short="token refused",
    ),
    "auth0.token.rejected": Advice(
        title="Auth0 rejected a token it has just issued.",
        body=(
            "Usual causes: this server's clock ({skew}), or token and API on different domains. "
            "Run Test connection to see which."
        ),
        fix=("Run Test connection to see which.",),
        short="token rejected",
    ),
}

_SCOPE: dict[str, Advice] = {
    "auth0.scope.missing": Advice(
        title="The application may not read logs.",
        body=(
            "Permission `read:logs` is missing; it has: {scopes}. Applications → {client} → APIs → Auth0 Management "
            "API → tick read:logs → Update. Then choose Test again: we ask for a fresh token, since the old one keeps "
            "its old permissions for up to 24 h."
        ),
        fix=(
            "Applications → {client} → APIs → Auth0 Management API → tick read:logs → Update.",
            "Then choose Test again: we ask for a fresh token.",
        ),
        short="permission missing",
    ),
    "auth0.scope.excess": Advice(
        title="This application can do more than it needs.",
        body=(
            "It also has {n} permissions, for example `{worst}`. If this server were broken into, an attacker could "
            "use them. Remove all but `read:logs`."
        ),
        fix=("Remove all but `read:logs`.",),
        short="excess permissions",
    ),
}

_RATE: dict[str, Advice] = {
    "auth0.rate.limited": Advice(
        title="Auth0 asked us to slow down.",
        body=(
            "Limit {limit}, reset at {reset}. We wait and continue from the saved position; nothing is skipped. If "
            "this happens often: other applications share this limit; lower the backfill share. We are {behind} "
            "behind; events are safe until {loss_time}."
        ),
        fix=("If this happens often: other applications share this limit; lower the backfill share.",),
        short="rate limited",
    ),
    "auth0.rate.insufficient": Advice(
        title="Your tenant produces events faster than Auth0 lets anyone read them.",
        body=(
            "Your tenant makes {rate} events/min, which needs at least {n} requests/min of {limit}. "
            "Use an Auth0 log stream for this tenant, or ask Auth0 for a higher limit."
        ),
        fix=("Use an Auth0 log stream for this tenant, or ask Auth0 for a higher limit.",),
        short="limit too low",
    ),
    "auth0.rate.token": Advice(
        title="The application's token quota is used up until {reset}.",
        body=(
            "We keep one token for its full life, so something else is using this application's credentials. "
            "Give Conductor its own application."
        ),
        fix=("Give Conductor its own application.",),
        short="token quota",
    ),
    "auth0.server": Advice(
        title="Auth0 has a problem (HTTP {status}).",
        body=(
            "Nothing to do here. Retrying with growing pauses, next at {time}. See status.auth0.com for your region."
        ),
        fix=("Nothing to do here. See status.auth0.com for your region.",),
        short="Auth0 problem",
    ),
}

_DATA: dict[str, Advice] = {
    "auth0.data.none.new": Advice(
        title="Connected. Auth0 has no events yet.",
        body=(
            "Our own sign-in should appear within a few minutes. Or sign in to any application of this tenant; the "
            "event appears here within about {wait}. Auth0 says events may arrive with some delay."
        ),
        fix=("Sign in to any application of this tenant; the event appears here within about {wait}.",),
        short="no events yet",
    ),
    "auth0.data.none.silent": Advice(
        title="No events for {duration}, usual pause here is under {typical}.",
        body=(
            "We are connected and caught up at {time}. Either nobody used the tenant, or its logs stopped. "
            "Check Auth0 → Monitoring → Logs."
        ),
        fix=("Check Auth0 → Monitoring → Logs.",),
        short="unusually silent",
    ),
}

_POSITION: dict[str, Advice] = {
    "auth0.checkpoint.expiring": Advice(
        title="Events will be lost from {loss_time} ({countdown}).",
        body="Our position is {age} old and your plan keeps logs for {retention}. Fix the problem above first.",
        fix=("Fix the problem above first.",),
        short="loss ahead",
    ),
    "auth0.checkpoint.expired": Advice(
        title="Some events are gone: {from} – {to}.",
        body=(
            "Conductor could not collect for {duration}, and Auth0 deletes events after {retention}. We continue from "
            "the oldest event that still exists, {oldest}. The gap is marked in search and exports. "
            "Other copies, such as an Auth0 log stream, may still have them."
        ),
        fix=("Look at the gap, and close it with a note when you know what it means.",),
        short="events lost",
    ),
}

_RESPONSE: dict[str, Advice] = {
    "auth0.response.shape": Advice(
        title="Auth0 answered something we do not understand.",
        body=(
            "A list of events was expected and something else came ({size} bytes). The position is saved and nothing "
            "is skipped. Run Test connection. If it passes and this comes back, report it: Conductor needs a change."
        ),
        fix=(
            "Run Test connection.",
            "If it passes and this comes back, report it: Conductor needs a change.",
        ),
        short="unexpected answer",
    ),
    "auth0.response.truncated": Advice(
        title="Auth0's answer was cut short.",
        body=(
            "It ended after {size} bytes, in the middle of an event. The position is saved and nothing is skipped; we "
            "ask again. If this happens often, a proxy or firewall between us and Auth0 probably cuts long answers."
        ),
        fix=("If this happens often, ask who runs the proxy or firewall between us and Auth0.",),
        short="answer cut short",
    ),
}

_RECORDS: dict[str, Advice] = {
    "auth0.record.too_large": Advice(
        title="One event is larger than we take, and nothing after it can be found yet.",
        body=(
            "Auth0's log is read on from the event's id, and an event that cannot be read does not tell it. As soon as "
            "Auth0's search knows a later event we go on behind it, and tell what was left out. To read the event "
            "itself, allow larger answers with `CONDUCTOR_MAX_ANSWER_MIB`."
        ),
        fix=("Wait for the next event.", "Or allow larger answers with `CONDUCTOR_MAX_ANSWER_MIB`."),
        short="event too large",
    ),
    "auth0.ids.unknown": Advice(
        title="Auth0's event ids have a form that we do not know.",
        body=(
            "Their time cannot be read from them. Events are collected in the order in which Auth0 serves them, but "
            "one that becomes visible late can be missed. Please report this: Conductor needs a change."
        ),
        fix=("Report this: Conductor needs a change.",),
        short="unknown ids",
    ),
}

ADVICE: Mapping[str, Advice] = MappingProxyType(
    {**_DOMAIN, **_TOKEN, **_SCOPE, **_RATE, **_DATA, **_POSITION, **_RESPONSE, **_RECORDS}
)
