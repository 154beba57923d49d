"""A served page in Chromium with the network closed: it answers, complains of nothing, and its kernel ends with its tab."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import IN_BROWSER, page_in_chromium
from serving import PASSWORD, Served, dashboards, small_workspace

from sop_workbench.serving.identity import add_user

pytestmark = IN_BROWSER


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    workspace = small_workspace(tmp_path_factory.mktemp("screen") / "w")
    add_user(workspace, "vic", PASSWORD)
    with dashboards(workspace, users=str(workspace / "passwords.yaml"), patience="60") as one:
        yield one


def sign_in(page, served: Served) -> None:
    page.goto(f"{served.base}probe?cycle=2027-01")
    page.get_by_label("Name").fill("vic")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def kernels(served: Served) -> int:
    with urllib.request.urlopen(f"{served.base}health", timeout=30) as answer:
        return json.loads(answer.read())["kernels"]


def becomes(served: Served, count: int) -> bool:
    end = time.monotonic() + 20  # less than the server's patience with a tab that cannot say goodbye
    while kernels(served) != count and time.monotonic() < end:
        time.sleep(0.1)
    return kernels(served) == count


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_signed_in_viewer_moves_a_slider_and_is_refused_an_approval(served: Served, scheme: str, tmp_path: Path) -> None:
    with page_in_chromium(scheme) as (page, faults, outside):
        page.set_default_timeout(60_000)
        sign_in(page, served)
        page.get_by_role("slider").first.wait_for()
        page.get_by_role("slider").first.focus()
        page.keyboard.press("ArrowRight")
        page.get_by_text("doubled 2", exact=True).wait_for()
        # what a viewer can do with the browser's tools: switch the button on and press it
        page.get_by_role("button", name="Approve").evaluate("button => { button.disabled = false; button.click(); }")
        page.get_by_text("refused: vic is a viewer").wait_for()
        assert page.get_by_role("status").filter(has_text="Preparing").count() == 0
        page.screenshot(path=tmp_path / f"{scheme}.png")
        assert faults == []
        assert outside == []
        page.reload()
        page.get_by_role("slider").first.wait_for()
        assert becomes(served, 1), "a page opened again leaves the old kernel"
        page.goto(served.base)
        assert becomes(served, 0), "a page that was left takes its kernel along"


def test_a_closed_tab_takes_its_kernel_along(served: Served) -> None:
    with page_in_chromium() as (first, _, _):
        context = first.context.browser.new_context()  # its window stays open when the tab is closed
        tab, _other = context.new_page(), context.new_page()
        tab.set_default_timeout(60_000)
        sign_in(tab, served)
        tab.get_by_role("slider").first.wait_for()
        assert kernels(served) == 1
        tab.close(run_before_unload=True)
        assert becomes(served, 0)
        context.close()


def test_scripts_in_texts_do_not_run_and_fault_pages_are_words(served: Served) -> None:
    with page_in_chromium() as (page, faults, outside):
        page.set_default_timeout(60_000)
        sign_in(page, served)
        page.get_by_role("slider").first.wait_for()
        page.evaluate("() => document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.hurt=1\">')")
        page.evaluate("() => document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.hurt=2'}))")
        page.wait_for_timeout(300)
        assert page.evaluate("window.hurt") is None
        assert any("Content Security Policy" in fault for fault in faults)
        page.goto(f"{served.base}probe?cycle=../../x")
        page.get_by_role("heading", name="This cannot be opened").wait_for()
        page.goto(f"{served.base}broken")
        page.get_by_text("could not be finished").wait_for()
        assert outside == []
