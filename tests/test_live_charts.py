"""Charts that follow a slider: a drawing kept, with the rows of a newer view in it, is the one that would be built anew."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from browser import CHROMIUM, page_in_chromium
from small_company import PERIODS, SETTINGS, demand, inputs, target

from sop_workbench import charts, views, widgets
from sop_workbench.pages.screen import Block, Screen, Section
from sop_workbench.periods import Calendar
from sop_workbench.scenario import Lever
from sop_workbench.what_if import Outcome, WhatIf

Draw = Callable[[pd.DataFrame], Any]
LESS = Lever(table="capacity", column="regular_hours", operation="multiply", value=0.7)
MORE = Lever(table="consensus_demand", column="demand_qty", operation="multiply", value=1.2)


@pytest.fixture(autouse=True)
def _style() -> Iterator[None]:
    charts.use(SETTINGS)
    yield
    charts.use(SETTINGS)


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    """The plan as it is and with levers, each with its own numbers."""
    what_if = WhatIf(inputs(), demand(), target(), SETTINGS, PERIODS, Calendar("month"))
    return [what_if.base, what_if.pull([LESS]), what_if.pull([MORE]), what_if.pull([LESS, MORE])]


def volume(outcome: Outcome, measure: str = "served_qty", family: str | None = None) -> pd.DataFrame:
    return views.what_if_volume(outcome.volume, measure, family)


def load(outcome: Outcome) -> pd.DataFrame:
    return views.what_if_load(outcome.hours, inputs()["resource"])


def fullest_last(view: pd.DataFrame) -> pd.DataFrame:
    """The same loads of resources that stand in another order, one of which has another name."""
    order = view["sequence"].max() + 1 - view["sequence"]
    turned = view.assign(sequence=order, resource=view["resource"].replace({view["resource"].iloc[0]: "A new press"}))
    turned = turned.sort_values(["sequence", "period"], ignore_index=True)
    turned.attrs = view.attrs
    return turned


def of_each_chart(outcomes: list[Outcome]) -> list[tuple[Draw, list[pd.DataFrame]]]:
    """Every chart of the lever panel with views that one drawing serves."""
    loads = [load(one) for one in outcomes]
    no_load = loads[1].assign(load_ratio=np.where(loads[1].index == 0, np.nan, loads[1]["load_ratio"]))
    no_load.attrs = loads[1].attrs
    volumes = [volume(one, measure, family) for one in outcomes
               for measure, family in (("served_qty", None), ("served_qty", "Bikes"))]  # fmt: skip
    return [
        (charts.what_if_volume, volumes),
        (charts.what_if_volume, [volume(one, "produced_qty") for one in outcomes]),
        (charts.what_if_volume, [volume(one, "stock_amt") for one in outcomes]),
        (charts.what_if_load, [*loads, fullest_last(loads[0]), no_load, loads[0].head(len(PERIODS))]),
    ]


def untitled(view: pd.DataFrame) -> pd.DataFrame:
    plain = view.copy()
    plain.attrs = {**view.attrs, "title": "", "note": ""}  # stand outside the drawing
    return plain


def apart(spec: dict) -> tuple[dict, list[dict]]:
    """A specification without its rows and their name, which is made of them; and the rows."""
    ((name, rows),) = spec["datasets"].items()
    return json.loads(json.dumps({**spec, "datasets": {}}).replace(name, "rows")), rows


def test_a_refreshed_chart_is_the_one_built_anew(outcomes: list[Outcome]) -> None:
    for draw, seen in of_each_chart(outcomes):
        kept, _ = apart(draw(untitled(seen[0])).to_dict())
        for view in seen:
            assert charts.scene_of(view) == charts.scene_of(seen[0])
            anew, rows = apart(draw(untitled(view)).to_dict())
            assert kept == anew
            assert charts.rows_of(view) == rows


def test_what_a_drawing_cannot_take_has_another_scene(outcomes: list[Outcome]) -> None:
    base = outcomes[0]
    served, loads = volume(base), load(base)
    others = [
        (charts.what_if_volume, served, volume(base, "produced_qty")),  # no line for demand
        (charts.what_if_volume, volume(base, "produced_qty"), volume(base, "stock_amt")),  # money, not units
        (charts.what_if_volume, served, served[served["period"] > PERIODS[0]]),
        (charts.what_if_load, loads, loads[loads["period"] < PERIODS[-1]]),
        (charts.what_if_load, loads, loads.assign(hours_left=1.0)),
    ]
    for draw, one, other in others:
        assert charts.scene_of(one) != charts.scene_of(other)
        specs = [apart(draw(untitled(view.assign())).to_dict())[0] for view in (one, other)]
        assert specs[0] != specs[1]


def test_a_screen_sends_rows_as_long_as_the_scene_stays(outcomes: list[Outcome]) -> None:
    screen = Screen([Section("s", "", (Block("b"),))])

    def sent(view: pd.DataFrame) -> str:
        screen.chart("b", charts.what_if_volume, view, is_live=True)
        (kind,) = {"rows", "spec", "html"} & set(screen.block_b)
        return kind

    nothing = views.what_if_volume(outcomes[0].volume.head(0))
    shown = [volume(outcomes[0]), volume(outcomes[1]), volume(outcomes[1], "stock_amt"), volume(outcomes[2], "stock_amt"), nothing, nothing,
             volume(outcomes[0]), volume(outcomes[1], family="Bikes")]  # fmt: skip
    assert [sent(view) for view in shown] == ["spec", "rows", "spec", "rows", "html", "html", "spec", "rows"]
    assert screen.block_b["label"].startswith("Served, Bikes")
    screen.act("fit", width=500)
    assert "spec" in screen.block_b, "another width is another drawing"


_REFRESHED = """async ([library, kept, seen, anew]) => {
  const module = await import(URL.createObjectURL(new Blob([library], {type: "text/javascript"})));
  module.default.initialize();
  const embed = await globalThis.sopVega.ready;
  const drawn = async (spec) => {
    const held = document.body.appendChild(document.createElement("div"));
    return [held, await embed(held, spec, {actions: false, renderer: "svg"})];
  };
  const [held, drawing] = await drawn(kept);
  const pictures = [];
  for (const rows of seen) {
    drawing.view.data(Object.keys(kept.datasets)[0], rows);
    await drawing.view.resize().runAsync();
    pictures.push(held.querySelector("svg").outerHTML);
  }
  const expected = [];
  for (const spec of anew) expected.push((await drawn(spec))[0].querySelector("svg").outerHTML);
  return [pictures, expected];
}"""


@pytest.mark.slow
@pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="Chromium is missing: install Debian's package `chromium`")
def test_the_picture_with_exchanged_rows_is_that_of_a_new_drawing(outcomes: list[Outcome]) -> None:
    with page_in_chromium() as (page, faults, _):
        for draw, seen in of_each_chart(outcomes):
            specs = [draw(untitled(view)).to_dict() for view in seen]
            rows = [charts.rows_of(view) for view in seen]
            page.goto("about:blank")
            pictures, expected = page.evaluate(_REFRESHED, [widgets.library_text(), specs[0], rows, specs])
            assert [_marks(one) for one in pictures] == [_marks(one) for one in expected]
        assert faults == []


def _marks(picture: str) -> tuple[str, list[tuple[str, ...]]]:
    """Size and parts of a drawing, which may stand in another order; Vega's own names of axes are hidden by the label of the whole."""
    plain = re.sub(r' aria-label="[^"]*"|(?<=clip)\d+', "", picture)
    return re.findall(r"<svg[^>]*>", plain)[0], sorted(re.findall(r"<(g|path|text|rect|line)([^>]*)>([^<]*)", plain))
