"""A notification channel on the page: added, tried, told of what needs somebody, switched off, deleted."""

from __future__ import annotations

from browser.browsing import barriers
from browser.conftest import House
from browser.processes import wait_for
from playwright.sync_api import Page, expect

NOTIFICATIONS = "/admin/settings/notifications"


def test_a_channel_is_added_tried_and_deleted(page: Page, house: House) -> None:
    page.goto(f"{house.url}{NOTIFICATIONS}")
    page.get_by_text("Add channel").click()
    page.get_by_role("link", name="Webhook").click()
    page.get_by_label("Name").fill("pager")
    page.get_by_label("Address", exact=True).fill("http://example.com/")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_be_focused()
    expect(page.get_by_role("alert")).to_contain_text("Enter an address that begins with https://.")
    page.get_by_label("Address", exact=True).fill(f"https://{house.vendor.domain}/nowhere")
    page.get_by_role("button", name="Send a test").click()
    failed = page.get_by_role("alert")
    expect(failed).to_be_focused()
    expect(failed).to_contain_text("The certificate of localhost is not trusted.")
    expect(failed).to_contain_text("Nothing was saved.")
    assert barriers(page) == []
    page.get_by_label("Address", exact=True).fill(f"https://{house.vendor.domain}/nowhere")  # secrets never come back
    page.get_by_text("Advanced", exact=True).click()
    page.get_by_label("CA bundle").fill(house.vendor.ca_text)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("Saved.")
    page.get_by_role("button", name="Send a test to pager").click()
    expect(page.get_by_role("alert")).to_contain_text("localhost refused the message (HTTP 404).")
    expect(page.get_by_role("row", name="pager failed").first).to_contain_text("channel.refused")
    page.get_by_role("link", name="pager").first.click()
    expect(page.get_by_text("Set ", exact=False).first).to_be_visible()
    page.get_by_label("a source brings no events for long").check()
    page.get_by_label("Wait before telling the same again").fill("0")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("row", name="pager").first).to_contain_text("failed, gap, loss, silent")
    history = ("notification", "history", "--state", "failed")
    wait_for(
        lambda: any(
            "pager" in line and "broken: Auth0" in line for line in house.conductor.cli.ok(*history).splitlines()
        ),
        "a message that failed",
    )
    page.reload()
    rows = page.get_by_role("row").filter(has_text="broken: Auth0 did not accept")
    expect(rows.filter(has_text="pager").first).to_contain_text("failed")
    page.get_by_role("link", name="pager").first.click()
    page.get_by_role("button", name="Delete pager").click()
    expect(page.get_by_role("status")).to_contain_text("Deleted. The history stays.")
    expect(page.get_by_role("link", name="pager")).to_have_count(0)
