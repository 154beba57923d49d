"""The dashboards as people meet them: served, in Chromium, with the network closed."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import behind_nginx
import pandas as pd
import pytest
from browser import IN_BROWSER, page_in_chromium
from planned_company import CYCLE, planned
from serving import Served, dashboards, running

from sop_workbench.store import open_workspace

pytestmark = IN_BROWSER
PATIENCE = 120_000
SIZES = [(1280, 800), (1920, 1080), (390, 844)]
PAGES = ["executive_review", "management_review", "what_if"]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return planned(tmp_path_factory.mktemp("screens") / "w", is_submitted=True)


@pytest.fixture(scope="module")
def served(workspace: Path) -> Iterator[Served]:
    with dashboards(workspace, trust_header="X-Person", patience="60") as one:
        yield one


def opened(page, served: Served, name: str, person: str = "vic", query: str = f"cycle={CYCLE}") -> None:
    """The page of a person, when its first figures stand."""
    page.set_default_timeout(PATIENCE)
    page.set_extra_http_headers({"X-Person": person})
    page.goto(f"{served.base}{name}?{query}")
    page.wait_for_function("Number(document.querySelector('.sop-page')?.dataset.settled) >= 1")


def walk_down(page) -> None:
    """Scroll to the end, so that what loads when somebody comes near has loaded."""
    page.evaluate("""async () => {
      for (let place = 0; place < document.documentElement.scrollHeight + 4000; place += 500) {
        window.scrollTo(0, place); await new Promise(done => setTimeout(done, 60));
      }
    }""")
    page.wait_for_function("!document.querySelector('.sop-busy') && !document.querySelector('.sop-page').hasAttribute('aria-busy')")
    page.wait_for_timeout(400)


def settled(page, answers: int) -> None:
    page.wait_for_function(f"Number(document.querySelector('.sop-page').dataset.settled) > {answers}")


def answers(page) -> int:
    return int(page.locator(".sop-page").get_attribute("data-settled"))


@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens_at_every_size_without_complaint(served: Served, name: str, tmp_path: Path) -> None:
    with page_in_chromium() as (page, faults, outside):
        for width, height in SIZES:
            page.set_viewport_size({"width": width, "height": height})
            opened(page, served, name)
            walk_down(page)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} scrolls sideways at {width}"
            assert page.locator(".sop-chart svg").count() >= 3
            page.screenshot(path=tmp_path / f"{name}-{width}.png", full_page=True)
        assert faults == []
        assert outside == []


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_fault_of_accessibility(served: Served, name: str, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    with page_in_chromium(scheme) as (page, _, _):
        opened(page, served, name)
        walk_down(page)
        found = axe.run(page).response["violations"]
        serious = [one for one in found if one["impact"] in ("serious", "critical")]
        assert [(one["id"], [node["html"][:160] for node in one["nodes"][:3]]) for one in serious] == []


def test_a_slider_moves_cards_chart_and_constraints(served: Served) -> None:
    with page_in_chromium() as (page, faults, _):
        opened(page, served, "executive_review")
        page.get_by_role("link", name="What if").last.click()
        slider = page.get_by_role("slider", name="A fifth more hours on the line")
        slider.wait_for()
        places = {name: page.locator(f"[data-block={name}]") for name in ("live_cards", "live_volume", "live_limits")}
        page.wait_for_function("document.querySelector('[data-block=live_volume] svg')")
        before = {name: place.inner_text() for name, place in places.items()}
        line = page.locator("[data-block=live_volume] svg").inner_html()
        slider.focus()
        page.keyboard.press("End")
        page.get_by_text("150 % of it").wait_for()
        page.locator("[data-block=live_cards]").get_by_text("better").first.wait_for()
        page.wait_for_function("text => document.querySelector('[data-block=live_limits]').innerText !== text", arg=before["live_limits"])
        assert places["live_cards"].inner_text() != before["live_cards"]
        assert page.locator("[data-block=live_volume] svg").inner_html() != line
        page.get_by_role("button", name="All back to the plan").click()
        # An answer to the slider may still be under way: the last one is the plan's.
        page.wait_for_function("text => document.querySelector('[data-block=live_limits]').innerText === text", arg=before["live_limits"])
        assert faults == []


def test_the_management_review_drills_down_by_keyboard(served: Served) -> None:
    with page_in_chromium() as (page, faults, _):
        opened(page, served, "management_review")
        drill = page.locator("[data-block=drill]")
        drill.get_by_role("button", name="Bikes").focus()
        page.keyboard.press("Enter")
        drill.get_by_role("button", name=re.compile("Bike.*B1")).click()
        drill.get_by_text("North").wait_for()
        drill.get_by_role("button", name="All families").click()
        drill.get_by_role("button", name="Trailers").wait_for()
        assert faults == []


def test_a_viewer_sees_why_the_buttons_are_off_and_is_refused(served: Served) -> None:
    with page_in_chromium() as (page, _, _):
        opened(page, served, "executive_review", "vic")
        walk_down(page)
        button = page.get_by_role("button", name="Decide").first
        assert button.get_attribute("aria-disabled") == "true"
        described = page.locator(f"#{button.get_attribute('aria-describedby')}")
        assert "vic, a viewer" in described.inner_text()
        # with the browser's tools the button can be switched on; the store refuses all the same
        page.evaluate("() => { for (const off of document.querySelectorAll('[aria-disabled]')) off.removeAttribute('aria-disabled'); }")
        page.locator("#sop-choice-1-0").check()
        page.locator("#sop-why-1").fill("forged")
        button.click()
        page.get_by_role("alert").get_by_text("vic is a viewer").wait_for()
    assert open_workspace(served.workspace).cycle(CYCLE).records("decision").empty


def test_an_approver_approves_and_decides(served: Served) -> None:
    with page_in_chromium() as (page, faults, _):
        opened(page, served, "executive_review", "helga")
        walk_down(page)
        page.locator("#sop-approve-reason").fill("agreed in the meeting")
        page.get_by_role("button", name="Approve the plan").click()
        page.get_by_text("is approved by helga").wait_for()
        page.locator("#sop-choice-1-0").check()
        page.locator("#sop-expected-1").fill("50000")
        page.locator("#sop-why-1").fill("the campaign is signed")
        page.get_by_role("button", name="Decide").first.click()
        page.get_by_text("Decided by helga (approver)").wait_for()
        assert faults == []
    cycle = open_workspace(served.workspace).cycle(CYCLE)
    (row,) = cycle.records("decision").to_dict("records")
    assert (row["by"], row["why"], row["expected_effect_amt"]) == ("helga", "the campaign is signed", 50_000.0)
    status = cycle.records("step_status").query("step == '06_executive_sop'").iloc[-1]
    assert (status["status"], status["by"], status["why"]) == ("approved", "helga", "agreed in the meeting")


def test_paper_holds_what_nobody_scrolled_to(served: Served) -> None:
    with page_in_chromium() as (page, faults, _):
        page.add_init_script("window.print = () => { window.printed = document.querySelectorAll('.sop-busy').length; }")
        opened(page, served, "executive_review")
        page.wait_for_function("!document.querySelector('.sop-page').hasAttribute('aria-busy')")
        live = page.locator("#sop-live")
        assert page.locator(".sop-busy").count() > 0
        page.emulate_media(media="print")
        page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        assert live.is_hidden(), "from the browser's menu: no heading over nothing"
        page.emulate_media(media="screen")
        page.get_by_role("button", name="Print").click()
        page.wait_for_function("window.printed !== undefined")
        assert page.evaluate("window.printed") == 0, "all is computed first"
        page.emulate_media(media="print")
        page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        assert live.locator("svg").first.is_visible()
        assert faults == []


def test_a_page_whose_kernel_dies_while_it_prints_says_so_and_gives_the_button_back(served: Served) -> None:
    before = served.family()
    with page_in_chromium() as (page, _, _):
        page.add_init_script("window.print = () => { window.printed = true; }")
        opened(page, served, "executive_review")
        page.wait_for_function("!document.querySelector('.sop-page').hasAttribute('aria-busy')")
        (kernel,) = running(served.family() - before)
        os.kill(kernel, signal.SIGSTOP)  # it answers no more, and dies in the middle of it
        button = page.get_by_role("button", name="Print")
        button.click()
        page.get_by_role("button", name="Preparing …").wait_for()
        os.kill(kernel, signal.SIGKILL)
        page.get_by_text("This page is no longer connected. Reload it to go on.").wait_for(timeout=40_000)
        button.wait_for()
        assert button.is_enabled()
        assert page.evaluate("window.printed") is None, "half a page is no report"
        assert page.locator(".sop-busy").count() > 0
        assert page.locator(".sop-page").get_attribute("aria-busy") is None
        page.get_by_role("link", name="Open it again").click()
        page.wait_for_function("Number(document.querySelector('.sop-page')?.dataset.settled) >= 1")


def test_the_address_picks_and_a_wrong_one_is_answered_in_words(served: Served) -> None:
    with page_in_chromium() as (page, _, _):
        opened(page, served, "executive_review", query=f"cycle={CYCLE}&scenario=more_hours")
        assert page.get_by_label("Scenario", exact=True).input_value() == "more_hours"
        page.get_by_label("Scenario", exact=True).select_option("base")
        page.wait_for_url(re.compile("scenario=base"))
        opened(page, served, "executive_review", query=f"cycle={CYCLE}&scenario=nosuch")
        page.get_by_text("has no scenario nosuch").wait_for()
        assert page.get_by_text("Traceback").count() == 0


def test_keyboard_goes_from_the_skip_link_to_the_figures(served: Served) -> None:
    with page_in_chromium() as (page, _, _):
        opened(page, served, "executive_review")
        skip = page.get_by_role("link", name="Skip to the figures")
        skip.focus()
        assert skip.bounding_box()["x"] >= 0, "it shows when it has the focus"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "sop-main"
        summary = page.locator(".sop-card summary").first
        summary.focus()
        page.keyboard.press("Enter")
        page.get_by_text("How:").first.wait_for()
        page.keyboard.press("Escape")
        assert page.locator("details.sop-about[open]").count() == 0


def test_a_planner_marks_an_action_done_on_a_phone_and_a_viewer_reads_why_not(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOP_VIEWER", "ann")
    promised = {"title": "Ask for a quote", "owner": "Purchasing, grills and stoves of all plants", "due_date": pd.Timestamp("2099-01-08")}
    open_workspace(served.workspace).cycle(CYCLE).append("action", promised, by="ann", why="tubes are short")
    with page_in_chromium() as (page, faults, _):
        page.set_viewport_size({"width": 390, "height": 844})
        opened(page, served, "management_review", "vic")
        walk_down(page)
        place = page.locator("[data-block=actions]")
        assert "To close an action takes a planner" in place.inner_text()
        assert place.get_by_role("button", name="Close an action").get_attribute("aria-disabled") == "true"
        assert page.evaluate("(() => { const form = document.querySelector('[data-block=actions] form'); "
                             "return form.scrollWidth <= form.clientWidth + 1; })()"), "the form fits its block"
        assert faults == []
    with page_in_chromium() as (page, faults, _):
        page.set_viewport_size({"width": 390, "height": 844})
        place = page.locator("[data-block=actions]")
        opened(page, served, "management_review", "ann")
        walk_down(page)
        before = answers(page)
        place.get_by_label("Note").fill("two quotes came")
        place.get_by_role("button", name="Close an action").click()
        settled(page, before)
        page.wait_for_function("document.querySelector('[data-block=actions]').innerText.includes('0 actions open')")
        assert "Ask for a quote: done, ann (planner)" in page.locator(".sop-page").inner_text()
        assert faults == []


@behind_nginx.IS_THERE
def test_pages_work_through_nginx_under_its_prefix(workspace: Path, tmp_path: Path) -> None:
    """From the list of pages by the menu to the what-if: every address and the websocket go by the proxy, which says who looks."""
    with (
        dashboards(workspace, behind_nginx.PREFIX, trust_header=behind_nginx.HEADER, token=behind_nginx.TOKEN) as server,
        behind_nginx.behind_nginx(server, tmp_path) as address,
        page_in_chromium() as (page, faults, outside),
    ):
        page.set_default_timeout(PATIENCE)
        page.set_extra_http_headers(behind_nginx.signed("ann"))
        asked: list[str] = []
        page.on("request", lambda one: asked.append(one.url))
        page.on("websocket", lambda one: asked.append(one.url.replace("ws://", "http://")))
        page.goto(address)
        page.get_by_role("link", name="Executive review").first.click()
        page.wait_for_function("Number(document.querySelector('.sop-page')?.dataset.settled) >= 1")
        assert "ann, planner" in page.locator(".sop-page").inner_text()
        page.get_by_role("link", name="What if", exact=True).first.click()
        page.wait_for_url("**/what_if*")
        page.wait_for_function("document.querySelector('[data-block=live_volume] svg')")
        assert any("/api/kernels/" in one for one in asked)
        assert [one for one in asked if one.startswith("http") and not one.startswith(address)] == []
        assert (faults, outside) == ([], [])
