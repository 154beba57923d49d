"""Charts of a what-if: the changed plan over the plan as it is."""

from __future__ import annotations

import altair as alt
import pandas as pd

from sop_workbench import views
from sop_workbench.charts.cards import TABLE_STYLE, chip_html, framed, heading_cell, row_html, safe
from sop_workbench.charts.drawing import amount_axis, band_axis, diverging, drawn, heat_map, in_money, period_order
from sop_workbench.charts.look import GREY, Html, current, page_width, worded


def what_if_measures(view: pd.DataFrame) -> Html:
    """Measures down; this plan, base and the difference across, with icon and word."""
    head = "".join(heading_cell(name, "", name != "Measure") for name in ("Measure", "What if", "Base", "Difference"))
    cells = [
        [safe(views.heading(row["measure"])), f"<b>{safe(row['now_text'])}</b>", safe(row["base_text"]),
         "–" if row["verdict"] == "same" else f"{safe(row['delta_text'])} {chip_html(row['verdict'])}"]
        for row in view.to_dict("records")
    ]
    rows = "".join(row_html(row, [False, True, True, True], False) for row in cells)
    return framed(view, f'<table style="{TABLE_STYLE}"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>')


@drawn
def what_if_volume(view: pd.DataFrame) -> alt.TopLevelMixin:
    """The plan as a line in the company's colour over base in grey; demand dotted."""
    colours = {"demand": "#b38f00", "base": GREY, "what if": current().brand_colour}
    dashes = {"demand": [2, 3], "base": [6, 3], "what if": [1, 0]}
    present = [name for name in colours if name in set(view["line"])]
    fields = {"line": "Line", "period_label": "Period", "value_text": "Quantity"}
    line = alt.Chart(view.drop(columns="period")).encode(
        x=alt.X("period_label:N", sort=period_order(view), axis=band_axis(labelOverlap=True)),
        y=alt.Y("value:Q", axis=amount_axis(in_money("At standard cost") if (view["unit"] == current().currency).any() else "Units")),
        color=alt.Color("line:N", title=None, sort=present, legend=alt.Legend(symbolType="stroke", symbolSize=300),
                        scale=alt.Scale(domain=present, range=[colours[name] for name in present])),
        strokeDash=alt.StrokeDash("line:N", title=None, sort=present,
                                  scale=alt.Scale(domain=present, range=[dashes[name] for name in present])),
        tooltip=[alt.Tooltip(f"{name}:N", title=words) for name, words in fields.items()],
    )
    return line.mark_line(strokeWidth=2.6, point=alt.OverlayMarkDef(size=18)).properties(width=page_width() - 120, height=170)


@drawn
def what_if_load(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Load in per cent of regular hours, blue when free and orange when full; ▲ ▼ where it differs from base."""
    shown = view.drop(columns="period")
    colour = diverging("load_ratio", 0.4, 0.9, 1.25, True)
    # By number, not by the order of the rows: Vega keeps the old order of names when rows are exchanged in a drawing.
    cells = heat_map(shown, "resource", "period_label", period_order(view), colour, "load_text", place="sequence")
    return cells.properties(width=page_width() - 230)  # beside the levers


def scene_of(view: pd.DataFrame) -> str:
    """What the drawing of a what-if's view depends on besides its rows: columns, periods, lines, unit.

    Where two views agree in it, one drawing serves both and takes the rows (`rows_of`) of either; else it is drawn anew.
    """
    columns = [f"{name} {pd.api.types.is_numeric_dtype(view[name])}" for name in view]
    named = [f"{name} {'|'.join(view[name].drop_duplicates().astype(str))}" for name in ("period", "line", "unit") if name in view]
    return "; ".join([*columns, *named])


def rows_of(view: pd.DataFrame) -> list[dict]:
    """The rows a chart of this view is drawn from, to put in the place of those of an earlier view of the same scene."""
    shown = worded(view).drop(columns="period", errors="ignore")
    return shown.astype(object).where(shown.notna(), None).to_dict("records")
