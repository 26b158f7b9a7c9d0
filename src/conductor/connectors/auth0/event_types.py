"""The event types of Auth0: 196 codes, what Auth0's dashboard calls them, and how much each one matters.

Category and outcome are ours; Auth0's first letters (s for success, f for failure) mislead too often to be a rule.
The reasons for the severities are in docs/reference/auth0-severity.md; run tools/auth0_severity.py after a change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from conductor.core.artifact import Severity


@dataclass(frozen=True, slots=True)
class EventType:
    """What is known of one event type code."""

    code: str
    name: str
    description: str
    category: str
    outcome: str
    severity: Severity


def lookup(code: str) -> EventType:
    """The type of that code. New codes appear without notice: an unknown one is a type of its own, never an error."""
    known = EVENT_TYPES.get(code)
    return known or EventType(code, code, "", "other", "unknown", Severity.INFORMATIONAL)


_TABLE: dict[tuple[str, str, Severity], tuple[tuple[str, str, str], ...]] = {
    ("auth success", "success", Severity.INFORMATIONAL): (
        (
            "ciba_start_succeeded",
            "CIBA start succeeded",
            "Client-initiated backchannel authentication request accepted",
        ),
        (
            "oidc_backchannel_logout_succeeded",
            "OIDC Back-Channel Logout succeeded",
            "Logout token delivered to an application",
        ),
        ("s", "Success Login", "User completed a login"),
        ("scoa", "Success Cross-Origin Authentication", "Embedded cross-origin login step worked"),
        ("scv", "Success Credential Validation", "Username/password pair validated (flow may continue)"),
        ("sdelsa", "Successful Delegated Silent Auth", "Silent authentication within a delegated session"),
        ("sens", "Success Exchange: Native Social Login", "Native social login token exchanged"),
        ("slo", "Success Logout", "User session ended by logout"),
        ("ssa", "Success Silent Auth", "Session-based (prompt=none) authentication worked"),
        (
            "sslo",
            "Back-Channel Logout succeeded (early code)",
            "Pre-rollout code for oidc_backchannel_logout_succeeded (2023)",
        ),
        (
            "universal_logout_succeeded",
            "Universal Logout succeeded",
            "Global token revocation / universal logout call worked",
        ),
    ),
    ("auth success", "success", Severity.MEDIUM): (
        (
            "sdel",
            "Successful Delegated Login",
            "Login performed through session delegation (an actor on behalf of a user)",
        ),
    ),
    ("auth success", "info", Severity.INFORMATIONAL): (
        ("passkey_challenge_started", "Passkey challenge started", "Native passkey challenge issued"),
    ),
    ("auth failure", "failure", Severity.INFORMATIONAL): (
        ("fdecc", "Device Confirmation Canceled", "User declined the device confirmation prompt"),
        ("flo", "Failed Logout", "Logout request failed"),
        ("fsa", "Failed Silent Auth", "Session-based (prompt=none) authentication failed"),
    ),
    ("auth failure", "failure", Severity.LOW): (
        ("ciba_start_failed", "CIBA start failed", "Client-initiated backchannel authentication request rejected"),
        ("f", "Failed Login", "Login failed for a reason other than bad user or password"),
        ("fc", "Failed by Connector", "AD/LDAP connector rejected or failed the login"),
        ("fco", "Failed by CORS", "Request origin not in the application allow list"),
        ("fcoa", "Failed Cross-Origin Authentication", "Embedded cross-origin login step failed"),
        ("fdeac", "Failed Device Activation", "Device-flow activation failed"),
        ("fdeaz", "Failed Device Authorization Request", "Device-flow start request failed"),
        ("fdelsa", "Failed Delegated Silent Auth", "Silent authentication in a delegated session failed"),
        ("federated_logout_failed", "Failed Federated Logout", "Logout at the upstream identity provider failed"),
        ("fens", "Failed Exchange: Native Social Login", "Native social login token exchange failed"),
        ("fp", "Failed Login (wrong password)", "Known user, wrong password"),
        ("fpar", "Failed Pushed Authorization Request", "PAR endpoint rejected the request"),
        (
            "fslo",
            "Back-Channel Logout failed (early code)",
            "Pre-rollout code for oidc_backchannel_logout_failed (2023)",
        ),
        ("fu", "Failed Login (invalid user)", "Unknown or invalid username/email"),
        ("oidc_backchannel_logout_failed", "OIDC Back-Channel Logout failed", "Logout token could not be delivered"),
        ("passkey_challenge_failed", "Passkey challenge failed", "Native passkey challenge was not completed"),
    ),
    ("auth failure", "failure", Severity.MEDIUM): (
        (
            "universal_logout_failed",
            "Universal Logout failed",
            "Global token revocation / universal logout call failed",
        ),
    ),
    ("token exchange", "success", Severity.INFORMATIONAL): (
        ("ciba_exchange_succeeded", "CIBA exchange succeeded", "Backchannel auth_req_id swapped for an access token"),
        (
            "idjag_exchange_succeeded",
            "ID-JAG exchange succeeded",
            "Identity-assertion authorization grant swapped for an access token",
        ),
        (
            "refresh_token_exchange_for_session_token_successful",
            "Refresh token to session token succeeded",
            "Refresh token swapped for a session transfer token (schema since removed)",
        ),
        ("sd", "Success Delegation", "Delegation token issued (legacy grant)"),
        ("seacft", "Success Exchange: Authorization Code for Access Token", "Authorization code swapped for tokens"),
        (
            "seccft",
            "Success Exchange: Client Credentials for Access Token",
            "Machine-to-machine token issued (a collector's own token requests appear here)",
        ),
        ("secte", "Success Exchange: Custom Token Exchange", "Custom token exchange succeeded"),
        ("sede", "Success Exchange: Device Code for Access Token", "Device code swapped for tokens"),
        ("seoobft", "Success Exchange: Password and OOB Challenge for Access Token", "MFA out-of-band grant succeeded"),
        (
            "seotpft",
            "Success Exchange: Password and OTP Challenge for Access Token",
            "MFA one-time-password grant succeeded",
        ),
        ("sepft", "Success Exchange: Password for Access Token", "Resource-owner-password grant succeeded"),
        (
            "sepkoobft",
            "Success Exchange: Passkey and OOB Challenge for Access Token",
            "Passkey plus out-of-band challenge grant succeeded",
        ),
        (
            "sepkotpft",
            "Success Exchange: Passkey and OTP Challenge for Access Token",
            "Passkey plus one-time-password grant succeeded",
        ),
        (
            "sertft",
            "Success Exchange: Refresh Token for Access Token",
            "Refresh token used to obtain a new access token",
        ),
        ("seta", "Success Exchange: Token Vault", "Third-party token obtained through Token Vault"),
        (
            "success_on_behalf_of_token_exchange",
            "On-behalf-of exchange succeeded",
            "On-behalf-of token exchange succeeded",
        ),
    ),
    ("token exchange", "success", Severity.LOW): (
        (
            "sdeleacft",
            "Success Exchange: Delegated Authorization Code for Access Token",
            "Authorization code exchange inside a delegated session succeeded",
        ),
    ),
    ("token exchange", "success", Severity.MEDIUM): (
        (
            "sepkrcft",
            "Success Exchange: Passkey and MFA Recovery Code for Access Token",
            "Passkey plus MFA recovery code grant succeeded",
        ),
        (
            "sercft",
            "Success Exchange: Password and MFA Recovery Code for Access Token",
            "MFA recovery-code grant succeeded",
        ),
    ),
    ("token exchange", "failure", Severity.LOW): (
        ("ciba_exchange_failed", "CIBA exchange failed", "Backchannel auth_req_id could not be swapped"),
        ("failed_on_behalf_of_token_exchange", "On-behalf-of exchange failed", "On-behalf-of token exchange failed"),
        ("fd", "Failed Delegation", "Delegation token refused (legacy grant)"),
        (
            "fdeleacft",
            "Failed Exchange: Delegated Authorization Code for Access Token",
            "Authorization code exchange inside a delegated session failed",
        ),
        (
            "feacft",
            "Failed Exchange: Authorization Code for Access Token",
            "Authorization code could not be swapped for tokens",
        ),
        ("fecte", "Failed Exchange: Custom Token Exchange", "Custom token exchange failed"),
        ("fede", "Failed Exchange: Device Code for Access Token", "Device code could not be swapped for tokens"),
        ("feoobft", "Failed Exchange: Password and OOB Challenge for Access Token", "MFA out-of-band grant failed"),
        (
            "feotpft",
            "Failed Exchange: Password and OTP Challenge for Access Token",
            "MFA one-time-password grant failed",
        ),
        ("fepft", "Failed Exchange: Password for Access Token", "Resource-owner-password grant failed"),
        ("fepotpft", "Failed Exchange: Passwordless OTP for Access Token", "Passwordless one-time-code grant failed"),
        (
            "fertft",
            "Failed Exchange: Refresh Token for Access Token",
            "Refresh token rejected, for example revoked or expired",
        ),
        ("feta", "Failed Exchange: Token Vault", "Third-party token exchange through Token Vault failed"),
        (
            "refresh_token_exchange_for_session_token_failed",
            "Refresh token to session token failed",
            "Refresh token could not be swapped for a session transfer token (schema since removed)",
        ),
    ),
    ("token exchange", "failure", Severity.MEDIUM): (
        (
            "feccft",
            "Failed Exchange: Client Credentials for Access Token",
            "Machine-to-machine token refused, including enforced token quota",
        ),
        (
            "fercft",
            "Failed Exchange: Password and MFA Recovery Code for Access Token",
            "MFA recovery-code grant failed",
        ),
        ("idjag_exchange_failed", "ID-JAG exchange failed", "Identity-assertion authorization grant refused"),
        ("jwt_bearer_exchange_failed", "JWT bearer exchange failed", "JWT bearer assertion refused"),
    ),
    ("token exchange", "failure", Severity.HIGH): (
        (
            "ferrt",
            "Failed Exchange: Rotating Refresh Token",
            "Rotating refresh token rejected, for example reuse detected",
        ),
    ),
    ("MFA", "success", Severity.INFORMATIONAL): (
        ("gd_auth_email_verification", "Email verification confirmed", "Email factor verified"),
        ("gd_auth_succeed", "MFA auth success", "Second factor verified"),
        ("gd_send_email", "MFA email sent", "Email factor message sent"),
        ("gd_send_email_verification", "Email verification sent", "Email factor verification message sent"),
        ("gd_send_pn", "Push notification sent", "Push factor notification sent"),
        ("gd_send_sms", "MFA SMS sent", "SMS factor message sent"),
        ("gd_send_voice", "MFA voice call made", "Voice factor call placed"),
    ),
    ("MFA", "success", Severity.LOW): (("gd_enrollment_complete", "MFA enrollment complete", "First factor enrolled"),),
    ("MFA", "success", Severity.MEDIUM): (
        ("gd_recovery_succeed", "MFA recovery success", "Recovery code accepted"),
        (
            "my_account_authentication_method_succeeded",
            "My Account auth method succeeded",
            "User managed an authentication method through the My Account API",
        ),
    ),
    ("MFA", "failure", Severity.LOW): (
        ("gd_auth_fail_email_verification", "Email verification failed", "Email factor not verified"),
        ("gd_send_email_failure", "MFA email failed", "Email factor message could not be sent (schema since removed)"),
        (
            "gd_send_email_verification_failure",
            "Email verification send failed",
            "Email factor verification message not sent",
        ),
        ("gd_send_pn_failure", "Push notification failed", "Push factor notification not sent"),
        ("gd_send_sms_failure", "MFA SMS failed", "SMS factor message not sent"),
        ("gd_send_voice_failure", "MFA voice call failed", "Voice factor call not placed"),
        ("gd_start_enroll_failed", "MFA enrollment start failed", "Factor enrolment could not begin"),
        ("gd_webauthn_challenge_failed", "WebAuthn challenge error", "WebAuthn verification failed in the browser"),
        ("gd_webauthn_enrollment_failed", "WebAuthn enrollment error", "WebAuthn enrolment failed in the browser"),
        (
            "my_account_authentication_method_failed",
            "My Account auth method failed",
            "Authentication method change through the My Account API failed",
        ),
        ("too_many_records", "Max authenticators reached", "User hit the ceiling of registered authenticators"),
    ),
    ("MFA", "failure", Severity.MEDIUM): (
        ("gd_auth_failed", "MFA auth failed", "Second factor not verified"),
        ("gd_recovery_failed", "MFA recovery failed", "Recovery code rejected"),
    ),
    ("MFA", "failure", Severity.HIGH): (
        ("gd_auth_rejected", "MFA auth rejected", "User declined the push request"),
        ("gd_otp_rate_limit_exceed", "Too many MFA failures", "OTP validation or delivery limit hit"),
        ("gd_recovery_rate_limit_exceed", "Too many recovery failures", "Recovery code attempts exceeded the limit"),
    ),
    ("MFA", "info", Severity.INFORMATIONAL): (
        ("gd_start_auth", "Second factor started", "Second-factor challenge began"),
        ("gd_start_enroll", "MFA enroll started", "Factor enrolment began"),
        (
            "mfar",
            "MFA Required",
            "Password-grant client told that MFA is required; carries adaptive risk data when enabled",
        ),
    ),
    ("MFA", "info", Severity.MEDIUM): (
        ("gd_unenroll", "Unenroll device account", "Second-factor device removed"),
        ("gd_update_device_account", "Update device account", "Second-factor device changed"),
        ("gd_user_delete", "User delete (MFA account)", "MFA account of a user removed"),
    ),
    ("MFA", "info", Severity.HIGH): (
        ("gd_module_switch", "Module switch", "MFA feature configuration toggled (legacy Guardian)"),
        ("gd_tenant_update", "Guardian tenant update", "MFA settings of the tenant changed"),
    ),
    ("attack protection", "failure", Severity.MEDIUM): (
        ("limit_phone", "Phone delivery limit", "User temporarily blocked from receiving more SMS or voice messages"),
        ("limit_sul", "Blocked Account (same-user limit)", "User throttled for too many logins from one IP"),
    ),
    ("attack protection", "failure", Severity.HIGH): (
        ("limit_mu", "Blocked IP Address", "IP blocked for too many failed logins or sign-ups"),
        ("limit_wc", "Blocked Account", "IP blocked after repeated failures on one account (brute-force protection)"),
    ),
    ("attack protection", "info", Severity.INFORMATIONAL): (
        ("acls_summary", "Network ACL summary", "Periodic count of tenant network ACL matches"),
        ("pla", "Pre-login assessment", "Bot-detection risk verdict taken before a login"),
    ),
    ("attack protection", "info", Severity.LOW): (
        ("ublkdu", "User login block released", "Block set by attack protection was lifted"),
    ),
    ("attack protection", "unknown", Severity.HIGH): (
        ("reset_pwd_leak", "Breached password on reset", "Password reset attempted with a known-leaked password"),
        ("signup_pwd_leak", "Breached password on signup", "Sign-up attempted with a known-leaked password"),
    ),
    ("attack protection", "unknown", Severity.CRITICAL): (
        (
            "pwd_leak",
            "Breached password on login",
            "Login attempted with a known-leaked password; told at most hourly for an address",
        ),
    ),
    ("user lifecycle", "success", Severity.INFORMATIONAL): (
        ("connected_accounts_connection_succeeded", "Connected account linked", "User linked a third-party account"),
        ("connected_accounts_delete_succeeded", "Connected account removed", "User unlinked a third-party account"),
        ("directory_sync_completed", "Directory sync completed", "Inbound directory synchronisation ended"),
        ("scph", "Success Post Change Password Hook", "Post-change-password hook ran (legacy)"),
        ("scpr", "Success Change Password Request", "Password-change request accepted"),
        ("session_revoked", "Session revoked", "User session revoked (named in docs; schema since removed)"),
        ("si", "Invite accepted", "User accepted an organization invitation"),
        ("srrt", "Refresh token revoked", "Refresh token revocation succeeded"),
        ("ss", "Success Signup", "Account created by sign-up"),
        ("sscim", "SCIM operation succeeded", "Inbound SCIM provisioning call succeeded"),
        ("sv", "Success Verification Email", "Email verification link used"),
        ("svr", "Success Verification Email Request", "Verification email queued"),
    ),
    ("user lifecycle", "success", Severity.LOW): (
        ("du", "Deleted User", "User removed (legacy code)"),
        ("organization_member_added", "Organization member added", "User added to an organization"),
        ("sce", "Success Change Email", "Email address changed"),
        ("scp", "Success Change Password", "Password changed"),
        ("scpn", "Success Change Phone Number", "Phone number changed"),
        ("scu", "Success Change Username", "Username changed"),
        ("sdu", "Success User Deletion", "User removed"),
    ),
    ("user lifecycle", "success", Severity.MEDIUM): (("sui", "Users imported", "Bulk user import finished"),),
    ("user lifecycle", "failure", Severity.LOW): (
        (
            "connected_accounts_connection_failed",
            "Connected account link failed",
            "Linking a third-party account failed",
        ),
        (
            "connected_accounts_delete_failed",
            "Connected account removal failed",
            "Unlinking a third-party account failed",
        ),
        ("fce", "Failed Change Email", "Email address change failed"),
        ("fcp", "Failed Change Password", "Password change failed"),
        ("fcph", "Failed Post Change Password Hook", "Post-change-password hook failed"),
        ("fcpn", "Failed Change Phone Number", "Phone number change failed"),
        ("fcpr", "Failed Change Password Request", "Password-change request failed"),
        ("fcu", "Failed Change Username", "Username change failed"),
        ("fdu", "Failed User Deletion", "User removal failed"),
        ("fi", "Failed invite accept", "Invitation could not be accepted"),
        ("fpurh", "Failed Post User Registration Hook", "Post-registration hook failed"),
        ("fs", "Failed Signup", "Sign-up failed"),
        ("fui", "Failed users import", "Bulk user import failed"),
        ("fv", "Failed Verification Email", "Email verification could not be completed or sent"),
        ("fvr", "Failed Verification Email Request", "Verification email request failed"),
        (
            "passkey_register_failed",
            "Passkey registration failed",
            "Native passkey registration failed (schema since removed)",
        ),
    ),
    ("user lifecycle", "failure", Severity.MEDIUM): (
        ("directory_sync_failed", "Directory sync failed", "Inbound directory synchronisation failed"),
        ("fscim", "SCIM operation failed", "Inbound SCIM provisioning call failed"),
    ),
    ("user lifecycle", "info", Severity.INFORMATIONAL): (
        ("directory_sync_started", "Directory sync started", "Inbound directory synchronisation began"),
        (
            "passkey_register_started",
            "Passkey registration started",
            "Native passkey registration began (schema since removed)",
        ),
    ),
    ("user lifecycle", "info", Severity.LOW): (
        ("wum", "Warning User Management", "Non-fatal problem in a user-management operation"),
    ),
    ("admin API", "success", Severity.LOW): (
        ("sapi", "Success API Operation", "Management API write succeeded (POST/PUT/PATCH/DELETE)"),
    ),
    ("admin API", "success", Severity.MEDIUM): (
        ("kms_key_management_success", "KMS operation succeeded", "Tenant key-management operation succeeded"),
        ("ss_sso_success", "Self-Service SSO operation succeeded", "Self-service SSO configuration step succeeded"),
    ),
    ("admin API", "success", Severity.HIGH): (
        ("mgmt_api_read", "Management API Read", "Management API GET that returned secrets"),
    ),
    ("admin API", "failure", Severity.LOW): (
        ("fapi", "Failed API Operation", "Management API operation failed (legacy code)"),
        ("ss_sso_failure", "Self-Service SSO operation failed", "Self-service SSO configuration step failed"),
    ),
    ("admin API", "failure", Severity.MEDIUM): (
        ("kms_key_management_failure", "KMS operation failed", "Tenant key-management operation failed"),
    ),
    ("admin API", "info", Severity.INFORMATIONAL): (
        ("ss_sso_info", "Self-Service SSO information", "Try-connection started or finished in self-service SSO"),
    ),
    ("notification", "success", Severity.INFORMATIONAL): (
        ("cls", "Code/link sent", "Passwordless code or link sent"),
        ("cs", "Code sent", "Passwordless code sent"),
    ),
    ("notification", "failure", Severity.LOW): (
        ("fn", "Failed sending notification", "Email or other notification not sent"),
    ),
    ("notification", "info", Severity.LOW): (
        ("w", "Warning During Login", "Non-fatal problem observed in a login transaction"),
        ("wn", "Warning sending notification", "Non-fatal problem while sending a notification"),
    ),
    ("system", "success", Severity.INFORMATIONAL): (
        ("con", "Connector online", "AD/LDAP connector online (legacy code)"),
    ),
    ("system", "failure", Severity.LOW): (
        (
            "custom_domain_verification_failed",
            "Custom domain verification failed",
            "Custom domain could not be verified",
        ),
        (
            "custom_domains_verification_failed",
            "Custom domain verification failed (early code)",
            "Earlier spelling of custom_domain_verification_failed (removed 2025)",
        ),
        ("fcpro", "Failed connector provisioning", "AD/LDAP connector could not be provisioned"),
        ("limit_delegation", "Too many calls to /delegation", "Delegation endpoint rate limited"),
        ("limit_ui", "Too many calls to /userinfo", "Userinfo endpoint rate limited (legacy code)"),
    ),
    ("system", "failure", Severity.MEDIUM): (
        ("actions_execution_failed", "Action execution failed", "An Action threw or failed"),
        ("api_limit", "API rate limit reached", "Authentication or Management API limit exceeded"),
        ("coff", "Connector offline", "AD/LDAP connector offline (legacy code)"),
    ),
    ("system", "info", Severity.INFORMATIONAL): (
        ("acul_sdk_notice", "ACUL SDK notice", "Advanced customisation SDK notice"),
        ("admin_update_launch", "Auth0 update launched", "Private-cloud update launched"),
        ("appi", "API Peak Performance initiated", "Burst add-on allowance consumed"),
        ("depnote", "Deprecation notice", "Tenant uses a deprecated feature (at most one per feature per hour)"),
        ("elevated_rate_limit", "Elevated rate limit notice", "Elevated API limit notice (schema removed in 2024)"),
        ("resource_cleanup", "Resource cleanup", "Resources over a limit were removed"),
        ("sys_os_update_end", "Auth0 OS update ended", "Private-cloud OS update ended"),
        ("sys_os_update_start", "Auth0 OS update started", "Private-cloud OS update began"),
        ("sys_update_end", "Auth0 update ended", "Private-cloud update ended"),
        ("sys_update_start", "Auth0 update started", "Private-cloud update began"),
    ),
    ("system", "info", Severity.LOW): (
        ("api_limit_warning", "API rate limit warning", "About 80% of a rate-limit bucket consumed"),
        (
            "token_quota_consumption_warning",
            "M2M token quota warning",
            "Fine-grained M2M quota reached 60, 80 or 100 percent",
        ),
    ),
    ("system", "info", Severity.HIGH): (
        ("kms_key_state_changed", "KMS key state change", "Tenant encryption key changed state"),
    ),
    ("other", "success", Severity.INFORMATIONAL): (
        ("flows_execution_completed", "Flow execution completed", "Flow (Forms/Flows) ran to the end"),
        ("forms_submission_succeeded", "Form submission succeeded", "Form submitted"),
    ),
    ("other", "failure", Severity.LOW): (
        ("flows_execution_failed", "Flow execution failed", "Flow (Forms/Flows) failed"),
        ("forms_submission_failed", "Form submission failed", "Form submission failed"),
        ("rich_consents_access_error", "Rich consent access error", "Rich consent record could not be fetched"),
    ),
}

EVENT_TYPES: Mapping[str, EventType] = MappingProxyType(
    {
        code: EventType(code, name, description, category, outcome, severity)
        for (category, outcome, severity), rows in _TABLE.items()
        for code, name, description in rows
    }
)
