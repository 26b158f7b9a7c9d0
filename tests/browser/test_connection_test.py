"""Testing a connection on the page: each step shows as it ends, a failure says what to do, the report can be copied."""

from __future__ import annotations

from browser.browsing import barriers
from browser.conftest import House
from playwright.sync_api import Page, expect

LIST = "/admin/settings/integrations"
HUNG = 3.0  # seconds that the simulated vendor keeps silent


def fill(page: Page, house: House, secret: str) -> None:
    page.goto(f"{house.url}{LIST}/new?kind=auth0")
    page.get_by_label("Name").fill("tried")
    page.get_by_label("Domain", exact=True).fill(house.vendor.domain)
    page.get_by_label("Client ID").fill(house.vendor.client_id)
    page.get_by_label("Client Secret", exact=True).fill(secret)
    page.get_by_text("Advanced").click()
    page.get_by_label("CA bundle").fill(house.vendor.ca_text)


def test_each_step_is_shown_as_it_ends(page: Page, house: House) -> None:
    fill(page, house, house.vendor.client_secret)
    house.vendor.control("POST", "faults", {"kind": "hang", "count": 1, "endpoint": "search", "seconds": HUNG})
    page.get_by_role("button", name="Test connection").click()
    test = page.get_by_role("region", name="Connection test")
    expect(test.get_by_role("listitem").filter(has_text="Scopes")).to_be_visible()
    expect(test.get_by_role("heading", name="Testing the connection…")).to_be_visible()
    expect(test.get_by_role("listitem")).to_have_count(7)
    expect(page.get_by_role("button", name="Save", exact=True)).to_have_attribute("aria-disabled", "true")
    expect(test.get_by_role("heading", name="The connection works")).to_be_focused()
    expect(test.get_by_role("listitem")).to_have_count(9)
    expect(test).to_contain_text("3 requests were made.")  # the silent one was asked again
    expect(page.get_by_role("button", name="Save", exact=True)).not_to_have_attribute("aria-disabled", "true")
    expect(page.get_by_label("Client Secret", exact=True)).to_have_value(house.vendor.client_secret)
    assert barriers(page) == []


def test_the_failed_step_says_what_to_do_and_the_report_holds_no_secret(page: Page, house: House) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    fill(page, house, "canary-of-the-report")
    page.get_by_role("button", name="Test connection").click()
    failed = page.get_by_role("listitem").filter(has_text="Auth0 did not accept the Client ID and Client Secret.")
    expect(failed).to_be_focused()
    expect(failed).to_contain_text("Copy both again from the same application")
    page.get_by_role("button", name="Copy report").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    report = page.evaluate("navigator.clipboard.readText()")
    assert "■ Token: Auth0 did not accept the Client ID and Client Secret. (auth0.token.badsecret)" in report
    assert "· Read: not tried" in report
    assert f"domain: {house.vendor.domain}" in report
    assert "canary-of-the-report" not in report


def test_a_mistake_in_the_form_is_told_before_anything_is_asked(page: Page, house: House) -> None:
    fill(page, house, "anything")
    page.get_by_label("Domain", exact=True).fill("not a domain")
    page.get_by_role("button", name="Test connection").click()
    expect(page.get_by_role("alert")).to_contain_text("This is not an Auth0 domain.")
    expect(page.get_by_role("alert")).to_be_focused()
    page.get_by_label("Domain", exact=True).fill(house.vendor.domain)
    page.get_by_label("Client Secret", exact=True).fill(house.vendor.client_secret)
    page.get_by_role("button", name="Test connection").click()  # of the form that came back
    expect(page.get_by_role("heading", name="The connection works")).to_be_focused()
