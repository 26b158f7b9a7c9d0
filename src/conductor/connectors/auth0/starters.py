"""Searches that security teams begin with, by Auth0's event types (auth0.com/docs, "Log Event Type Codes")."""

from __future__ import annotations

from conductor.core.connector import Starter

_FAILED = 'is:failure category:"auth failure"'

STARTERS = (
    Starter("Failed logins by IP", "Where failed logins come from.", _FAILED, {"view": "group:ip"}),
    Starter(
        "Many users from one IP",
        "Logins with unknown or wrong names, by address: a list of names being tried.",
        "type:fu",
        {"view": "group:ip"},
    ),
    Starter(
        "Many IPs for one user",
        "Wrong passwords by user: one account being tried from many places.",
        "type:fp",
        {"view": "group:user_name"},
    ),
    Starter(
        "Breached passwords",
        "Logins, sign-ups and resets with a password that is known from a leak.",
        "type:(pwd_leak OR signup_pwd_leak OR reset_pwd_leak)",
        {"last": "7d"},
    ),
    Starter(
        "Blocked accounts and addresses",
        "What brute-force protection and suspicious IP throttling have stopped.",
        "type:(limit_wc OR limit_mu OR limit_sul)",
        {"last": "7d"},
    ),
    Starter(
        "MFA rejected",
        "A second factor that the user declined, or tried too often: somebody may have the password.",
        "type:(gd_auth_rejected OR gd_otp_rate_limit_exceed OR gd_recovery_rate_limit_exceed)",
        {"last": "7d"},
    ),
    Starter(
        "MFA removed",
        "Second factors that were removed from an account.",
        "type:(gd_unenroll OR gd_user_delete)",
        {"last": "30d"},
    ),
    Starter(
        "Management API changes by person",
        "Who changed the tenant's configuration.",
        "type:sapi -is:self",
        {"last": "7d", "view": "group:user_name"},
    ),
    Starter(
        "New or changed applications",
        "Applications that were made, changed or deleted, or got another secret.",
        'type:sapi description:("create a client" OR "update a client" OR "delete a client" OR "rotate a client")',
        {"last": "30d"},
    ),
    Starter(
        "Rate-limit notices",
        "Auth0 says that a limit was reached, or nearly.",
        "type:(api_limit OR api_limit_warning)",
        {"last": "7d"},
    ),
    Starter(
        "Logins by country",
        "From where people log in, beside the days before: a country that is new stands out.",
        "is:success type:s country:*",
        {"last": "7d", "view": "group:country", "compare": "prev"},
    ),
    Starter(
        "Failing service logins",
        "Programs whose client credentials are refused, by application.",
        "type:feccft",
        {"view": "group:client_name"},
    ),
)
