"""The common event types of Auth0, each as a sentence; the others are told by their own description.

What the types mean is in `event_types`, from Auth0's list of log event type codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_TO = "[ to {client_name}]"
_FOR = "[ for {client_name}]"
_FROM = "[ from {origin}]"
_BY = "[ through {connection}]"

SENTENCES: Mapping[str, str] = MappingProxyType(
    {
        "s": "{who} signed in" + _TO + _FROM + ".",
        "scoa": "{who} signed in by an embedded form" + _TO + _FROM + ".",
        "scv": "The password of {who} was right" + _FROM + ".",
        "ssa": "{who} was signed in without being asked again" + _TO + _FROM + ".",
        "slo": "{who} signed out" + _FROM + ".",
        "sdel": "Somebody signed in" + _TO + " in the name of {who}" + _FROM + ".",
        "f": "{who} could not sign in" + _TO + _FROM + "[: {description}].",
        "fp": "{who} gave a wrong password" + _TO + _FROM + ".",
        "fu": "Somebody tried to sign in as {who}, an unknown user" + _BY + _FROM + ".",
        "fc": "The directory connector refused {who}" + _BY + _FROM + ".",
        "fco": "A sign-in" + _TO + " came from an origin that is not allowed" + _FROM + ".",
        "fcoa": "{who} could not sign in by an embedded form" + _TO + _FROM + ".",
        "fsa": "A sign-in without asking again failed" + _TO + _FROM + "[: {description}].",
        "flo": "A sign-out failed" + _FOR + _FROM + ".",
        "ss": "{who} signed up" + _TO + _FROM + ".",
        "fs": "{who} could not sign up" + _TO + _FROM + "[: {description}].",
        "sv": "{who} confirmed their e-mail address.",
        "svr": "An e-mail to confirm an address was sent to {who}.",
        "fv": "The e-mail address of {who} was not confirmed[: {description}].",
        "scp": "{who} changed their password" + _FROM + ".",
        "fcp": "{who} could not change their password" + _FROM + ".",
        "scpr": "A change of the password of {who} was asked for" + _FROM + ".",
        "fcpr": "A change of the password of {who} was asked for and refused" + _FROM + ".",
        "sce": "The e-mail address of {who} was changed.",
        "fce": "The e-mail address of {who} could not be changed.",
        "scu": "The user name of {who} was changed.",
        "scpn": "The phone number of {who} was changed.",
        "sdu": "The user {who} was deleted.",
        "du": "The user {who} was deleted.",
        "fdu": "The user {who} could not be deleted.",
        "si": "{who} accepted an invitation[ to {organization_name}].",
        "fi": "{who} could not accept an invitation[ to {organization_name}].",
        "organization_member_added": "{who} was added to an organization[: {organization_name}].",
        "session_revoked": "A session of {who} was ended.",
        "srrt": "A refresh token of {who} was revoked.",
        "cs": "A code to sign in with was sent to {who}.",
        "cls": "A code or link to sign in with was sent to {who}.",
        "seacft": "{client_name} got tokens for {who}" + _FROM + ".",
        "feacft": "{client_name} got no tokens for a code" + _FROM + "[: {description}].",
        "seccft": "The service {client_name} got a token" + _FROM + "[ for {audience}].",
        "feccft": "The service {client_name} got no token" + _FROM + "[: {description}].",
        "sepft": "{client_name} got tokens for the password of {who}" + _FROM + ".",
        "fepft": "{client_name} got no tokens for the password of {who}" + _FROM + ".",
        "sertft": "{client_name} renewed the tokens of {who}" + _FROM + ".",
        "fertft": "{client_name} could not renew tokens[ of {who}]" + _FROM + "[: {description}].",
        "ferrt": "{client_name} used a refresh token[ of {who}] that is not valid any more" + _FROM + ".",
        "sens": "{who} signed in by a social account" + _TO + _FROM + ".",
        "gd_auth_succeed": "{who} passed the second factor" + _FROM + ".",
        "gd_auth_failed": "{who} failed the second factor" + _FROM + ".",
        "gd_auth_rejected": "{who} declined the second factor" + _FROM + ".",
        "gd_start_auth": "{who} was asked for the second factor" + _FROM + ".",
        "gd_enrollment_complete": "{who} set up a second factor" + _FROM + ".",
        "gd_unenroll": "A second factor of {who} was removed" + _FROM + ".",
        "gd_user_delete": "All second factors of {who} were removed.",
        "gd_otp_rate_limit_exceed": "{who} failed the second factor too often" + _FROM + ".",
        "gd_recovery_succeed": "{who} passed the second factor with a recovery code" + _FROM + ".",
        "gd_recovery_failed": "{who} gave a wrong recovery code" + _FROM + ".",
        "gd_send_pn": "A push notification was sent to {who}.",
        "gd_send_sms": "A code by SMS was sent to {who}.",
        "gd_send_email": "A code by e-mail was sent to {who}.",
        "mfar": "{client_name} was told that {who} needs a second factor" + _FROM + ".",
        "pwd_leak": "{who} tried to sign in with a password that is known from a leak" + _FROM + ".",
        "signup_pwd_leak": "{who} tried to sign up with a password that is known from a leak" + _FROM + ".",
        "reset_pwd_leak": "{who} tried to choose a password that is known from a leak" + _FROM + ".",
        "limit_wc": "{ip} may not sign in as {who} for now: too many wrong passwords.",
        "limit_mu": "{ip} is blocked for now: too many failed sign-ins or sign-ups.",
        "limit_sul": "{who} is slowed down: too many sign-ins from {ip}.",
        "limit_phone": "{who} gets no more codes by phone for now.",
        "ublkdu": "{who} may sign in again.",
        "api_limit": "A rate limit of Auth0 was exceeded[ by {client_name}][: {description}].",
        "api_limit_warning": "A rate limit of Auth0 is nearly reached[ by {client_name}][: {description}].",
        "sapi": "[{who} changed something through the Management API: ]{description}[ ({client_name})].",
        "fapi": "A call of the Management API failed[: {description}].",
        "mgmt_api_read": "[{who} read secrets through the Management API: ]{description}[ ({client_name})].",
    }
)
