"""Charts: every view can be drawn, in one look, offline; tables are clean HTML."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import altair as alt
import pandas as pd
import pytest
from frames import PERIODS, SETTINGS, all_frames
from shown import NOTEBOOKS, display_cells

from sop_workbench import charts, views
from sop_workbench.charts.drawing import time_axis

_GENERAL = {"currency", "in_currency", "rows_of", "scene_of", "status_colour", "are_alike", "use", "readable", "luminance", "svg",
            "title_text", "note", "headline", "unchecked", "cards", "chip", "at_width", "table"}


@pytest.fixture(scope="module")
def frames() -> dict[str, pd.DataFrame]:
    charts.use(SETTINGS)
    return all_frames()


def _public(module) -> set[str]:
    own = inspect.getmembers(module, inspect.isfunction)
    return {name for name, f in own if f.__module__.startswith(module.__name__) and not name.startswith("_")}


def _drawn() -> list[str]:
    # What the what-if panel draws follows its sliders and is tested with them.
    fixed = {name for name in _public(charts) - _GENERAL if not name.startswith("what_if_")}
    return sorted(fixed | {"launch_fan", "budget_bridge"})


def _view_of(name: str, frames: dict) -> pd.DataFrame:
    view = getattr(views, name)
    named = {**frames, "forecast": frames["consensus_demand"], "plan_from": PERIODS[0]}
    if name == "bridge":
        return views.budget_bridge(frames["budget_gap"])
    return view(**{p: named[p] for p in inspect.signature(view).parameters if p in named})


def test_every_chart_draws_the_view_of_its_name() -> None:
    assert set(_drawn()) <= _public(views)


@pytest.mark.parametrize("name", _drawn())
def test_every_chart_is_titled_drawable_and_takes_the_colour_of_the_page(name: str, frames) -> None:
    view = _view_of(name, frames)
    chart = getattr(charts, name)(view)
    if isinstance(chart, charts.Html):
        assert "<table" in chart
        return
    spec = chart.to_dict()
    title = charts.title_text(spec)
    assert title == view.attrs["title"].replace(views.MONEY, "EUR")
    drawing = charts.svg(spec)
    assert drawing.startswith("<svg")
    assert "NaN" not in drawing
    assert "undefined" not in drawing
    assert views.MONEY not in drawing
    assert 'fill="currentColor"' in drawing


@pytest.mark.parametrize("name", _drawn())
def test_an_empty_view_says_why_instead_of_drawing(name: str) -> None:
    nothing = pd.DataFrame({"period": pd.to_datetime([])})
    nothing.attrs = {"title": "", "note": "", "empty": "Nothing < today."}
    shown = getattr(charts, name)(nothing)
    assert isinstance(shown, charts.Html)
    assert "Nothing &lt; today." in shown


def test_charts_are_stored_so_that_jupyterlab_draws_them_offline(frames) -> None:
    data, metadata = charts.purchases(views.purchases(frames["purchase_plan"]))._repr_mimebundle_()
    assert data["application/vnd.vegalite.v5+json"]["$schema"].endswith("/v5.json")
    assert metadata[charts.VEGA_LITE_MIME]["embed_options"] == {"renderer": "svg", "actions": False}
    assert len(data["image/png"]) > 1000
    assert "http" not in re.sub(r'"\$schema": "[^"]*"', "", alt.Chart.from_dict(data[charts.VEGA_LITE_MIME]).to_json()).replace(
        "https://vega.github.io", ""
    )


@pytest.mark.parametrize("colour", ["#000000", "#ffffff", "#0b5394", "#ffee00", "#7f0000"])
def test_brand_colour_is_seen_on_white_and_on_black(colour: str) -> None:
    made = charts.readable(colour)
    light = charts.luminance(*(int(made[i : i + 2], 16) / 255 for i in (1, 3, 5)))
    assert 1.05 / (light + 0.05) > 4
    assert (light + 0.05) / 0.05 > 4


def test_table_has_units_separators_right_numbers_and_counts_the_rest() -> None:
    view = pd.DataFrame(
        {
            "family": ["A & B"] * 5,
            "revenue_amt": [1_234_567.8, None, -0.2, 1.0, 2.0],
            "wape_ratio": [0.1234] * 5,
            "is_late": [True] * 5,
            "first_period": pd.to_datetime(["2026-10-01"] * 5),
        }
    )
    view.attrs = {"title": f"Worth 5 {views.MONEY}", "note": "How to read", "empty": ""}
    shown = charts.table(view, limit=3)
    assert shown.count("<tr>") == 4
    assert "… 2 more" in shown
    assert "A &amp; B" in shown
    assert "1,234,568" in shown
    assert ">-0<" not in shown
    assert "12.3" in shown
    assert ">yes<" in shown
    assert "Oct 26" in shown
    assert re.search(r"Revenue<br><small[^>]*>EUR</small>", shown)
    assert re.search(r"text-align:right[^>]*>1,234,568", shown)
    assert "Worth 5 EUR" in shown
    assert "nan" not in shown.lower().replace("finance", "")


def test_status_is_told_by_icon_word_and_colour(frames) -> None:
    shown = charts.cards(views.kpi_cards(frames["kpi"], pd.Timestamp("2026-10-01")))
    assert re.search(r"background-color:#b3261e[^>]*>■ act<", shown)
    assert re.search(r"background-color:#1b7f4b[^>]*>● on target<", shown)
    assert "Σ|A−F| / ΣA" in shown


def test_headline_is_the_decision_in_words(frames) -> None:
    shown = charts.headline(views.decision_line(frames["open_decision"]))
    assert "Add a second shift in final assembly" in shown
    assert "320k EUR" in shown


def test_script_in_data_is_shown_as_text() -> None:
    view = pd.DataFrame({"finding": ["<script>alert(1)</script>"]})
    view.attrs = {"title": "<b>", "note": "", "empty": ""}
    assert "<script>" not in charts.table(view)
    assert "&lt;b&gt;" in charts.table(view)


def test_a_notebook_or_a_page_shows_every_chart() -> None:
    import nbformat

    used = {
        name
        for path in NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")
        for cell in display_cells(nbformat.read(path, as_version=4))
        for name in re.findall(r"charts\.(\w+)\(", cell.source)
    }
    pages = Path(charts.__file__).parents[1] / "pages"
    used |= {name for path in pages.glob("*.py") for name in re.findall(r"charts\.(\w+)", path.read_text(encoding="utf-8"))}
    assert used >= set(_drawn()) - {"bridge", "correction_case"}  # the first is drawn as its variants, the second in a form


def test_the_number_of_a_bar_never_stands_over_the_names() -> None:
    view = pd.DataFrame({"promotion": ["wins", "loses"], "net_amt": [5e4, -9e4], "uplift_ratio": [0.3, 0.1]})
    view["break_even_ratio"] = [0.1, None]
    view.attrs = {"title": "T", "note": "", "empty": ""}
    numbers = charts.promotion_cases(view).to_dict()["layer"][1]
    assert numbers["encoding"]["x"]["field"] == "label_at"
    assert numbers["mark"]["align"] == "left"
    held = next(iter(charts.promotion_cases(view).to_dict()["datasets"].values()))
    assert [row["label_at"] for row in held] == [5e4, 0.0]
    assert held[1]["bar_label"] == "-90k  (uplift 10 %, no uplift pays)"


def test_a_table_that_is_cut_keeps_its_total() -> None:
    view = pd.DataFrame({"family": [*(f"F{n:02d}" for n in range(30)), "Total"], "revenue_amt": [1.0] * 30 + [30.0]})
    view.attrs = {"title": "", "note": "", "empty": "", "bold": ["Total"]}
    shown = str(charts.table(view, limit=20))
    assert shown.count("<tr>") == 1 + 20 + 1
    assert "Total" in shown
    assert "… 10 more" in shown


def test_the_consensus_is_drawn_thicker_than_the_streams(frames) -> None:
    drawing = charts.svg(charts.streams(views.streams(frames["demand_stream"], frames["consensus_demand"])).to_dict())
    widths = re.findall(r'stroke-width="([\d.]+)"', drawing)
    assert widths.count("4.5") == 1
    assert "1.8" in widths


def test_weeks_have_an_axis_of_weeks() -> None:
    weeks = pd.Series(pd.date_range("2026-09-28", periods=26, freq="W-MON"))
    axis = time_axis(weeks, 2).to_dict()
    assert len(axis["values"]) == 9
    assert axis["values"][0] == {"year": 2026, "month": 9, "date": 28}
    x, y = {"field": "t", "type": "temporal", "axis": axis}, {"field": "y", "type": "quantitative"}
    rows = [{"t": f"{week:%Y-%m-%dT00:00:00}", "y": 1} for week in weeks]
    drawing = charts.svg({"data": {"values": rows}, "mark": "line", "encoding": {"x": x, "y": y}})
    named = re.findall(r">(W\d\d|20\d\d)<", drawing)
    assert named[:3] == ["W40", "2026", "W43"]
    assert named[-5:].count("2027") == 1
    assert "values" not in time_axis(pd.Series(pd.date_range("2026-10-01", periods=18, freq="MS"))).to_dict()


def test_a_number_is_not_parted_from_its_per_cent(frames) -> None:
    view = views.abc_xyz(frames["item_class"])
    view.attrs["title"] = "All items: the season moves demand by -51 % to +56 %; promotions by 0.6 % of trend"
    assert charts.abc_xyz(view).to_dict()["title"]["text"] == [
        "All items: the season moves demand by -51 % to +56 %; promotions by", "0.6 % of trend"]
