"""Widgets: charts that follow, the grid of adjustments, the choice of corrections; without a browser, and in one."""

from __future__ import annotations

from pathlib import Path

import altair as alt
import ipywidgets
import pandas as pd
import pytest

from sop_workbench import charts, widgets
from sop_workbench.settings import Settings


@pytest.fixture(scope="module", autouse=True)
def style(tmp_path_factory: pytest.TempPathFactory) -> None:
    charts.use(Settings(company="Small"))


def bars(title: str) -> alt.Chart:
    rows = pd.DataFrame({"family": ["Grills", "Stoves"], "revenue_amt": [1.0, 2.0]})
    return alt.Chart(rows, title=title).mark_bar().encode(x="family:N", y="revenue_amt:Q")


# ------------------------------------------------------------------ shared
@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, False), ({"JPY_SESSION_NAME": "02_demand_review.ipynb"}, True), ({"SERVER_SOFTWARE": "voila/0.5"}, True),
     ({"SERVER_SOFTWARE": "Apache"}, False)],
)
def test_somebody_is_there_in_a_session_of_jupyter_or_voila(environment: dict, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JPY_SESSION_NAME", "SERVER_SOFTWARE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert widgets.is_live() is expected


def test_a_live_chart_is_named_by_its_title_and_can_be_drawn_anew() -> None:
    shown = widgets.LiveChart(bars("Revenue"))
    assert (shown.label, shown.spec["title"]) == ("Revenue", "Revenue")
    shown.show(bars("Margin"))
    assert (shown.label, shown.spec["title"]) == ("Margin", "Margin")


def test_a_note_in_place_of_a_chart_is_shown_as_it_is() -> None:
    assert isinstance(widgets.live(charts.Html("<p>Nothing yet</p>")), ipywidgets.HTML)
    assert isinstance(widgets.live(bars("Revenue")), widgets.LiveChart)


def test_the_drawing_library_is_bundled_once_and_holds_no_outside_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    text = widgets._library_text()
    assert "shared.provide(" in text
    assert len(text) > 500_000
    assert "cdn." not in text
    kept = list(tmp_path.rglob("vega-*.js"))
    assert len(kept) == 1
    kept[0].write_text("kept", encoding="utf-8")
    assert widgets._library_text() == "kept"


def test_a_cache_that_cannot_be_written_costs_only_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(widgets.vl_convert, "javascript_bundle", lambda *_, **__: "bundle")
    assert widgets._library_text() == "bundle"
