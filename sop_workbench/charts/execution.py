"""Charts of execution and monitoring: plan against actual, causes, cadence, KPIs."""

from __future__ import annotations

import altair as alt
import pandas as pd

from sop_workbench import views
from sop_workbench.charts.drawing import (
    amount_axis,
    band_axis,
    diverging,
    drawn,
    few_wide,
    fixed,
    heat_map,
    hues_of,
    in_money,
    line_ends,
    period_order,
    ranked_bars,
    shorts,
    tooltips,
)
from sop_workbench.charts.look import AMBER, BLUE, GREY, HEIGHT, INK, ORANGE, PALE_BLUE, PALE_ORANGE, SERIES, page_width


@drawn
def plan_vs_actual(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Plan as a line over each actual, with the deviation in per cent."""
    shown = view.assign(
        deviation_text=[views.signed(views.percent(r, 0)) for r in view["deviation_ratio"]],
        side=["below" if d < 0 else "above" for d in view["deviation_qty"]],
    )
    base = alt.Chart(shown).encode(x=alt.X("family:N", sort="-y", axis=band_axis(labelLimit=110)))
    colour = alt.Color(
        "side:N",
        title="Actual is",
        scale=alt.Scale(domain=["above", "below"], range=[BLUE, ORANGE]),
        legend=alt.Legend(labelExpr="datum.label + ' plan (the line)'"),
    )
    bars = base.mark_bar(width=alt.RelativeBandSize(0.6)).encode(
        y=alt.Y("actual_qty:Q", axis=amount_axis("Units"), scale=alt.Scale(domainMax=1.1 * view[["actual_qty", "plan_qty"]].max().max())),
        color=colour,
        tooltip=tooltips(view),
    )
    plan = base.mark_tick(thickness=3, size=0.75 * page_width() / len(view), color="currentColor").encode(y=alt.Y("plan_qty:Q"))
    text = (
        base.transform_calculate(top="max(datum.actual_qty, datum.plan_qty)")
        .mark_text(dy=-9, fontWeight=600)
        .encode(y=alt.Y("top:Q"), text=alt.Text("deviation_text:N"))
    )
    return (bars + plan + text).properties(width=page_width(), height=HEIGHT)


@drawn
def error_by_lag(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Error of each stream by how many periods ahead it was planned, named at its end."""
    x = alt.X("lag:Q", axis=alt.Axis(title="Periods planned ahead", tickMinStep=1, format="d"))
    y = alt.Y("wape_ratio:Q", axis=alt.Axis(title="WAPE, %", format=".0%", tickCount=5))
    colour = alt.Color("stream:N", legend=None, scale=alt.Scale(range=list(SERIES)))
    lines = alt.Chart(view).mark_line(point=True).encode(x=x, y=y, color=colour, tooltip=tooltips(view))
    ends = alt.Chart(line_ends(view, "stream", "lag", "wape_ratio"))
    labels = ends.mark_text(align="left", dx=8, fontWeight=600).encode(x=x, y=alt.Y("place:Q"), text=alt.Text("stream:N"), color=colour)
    return (lines + labels).properties(width=page_width() - 90, height=HEIGHT)


@drawn
def waterfall(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Locks down, periods across, what happened in the last row."""
    shown = view.assign(quantity_text=shorts(view["plan_qty"]), deviation_ratio=view["deviation_ratio"].astype("float64"))
    chart = heat_map(
        shown, "plan_cycle_id", "period_label", period_order(view), diverging("deviation_ratio", -0.3, 0.0, 0.3, True), "quantity_text"
    )
    across = view["period"].nunique()
    if across > views.LAGS_SHOWN:
        return chart
    ink = alt.condition("isValid(datum.deviation_ratio)", alt.value(INK), alt.value("currentColor"))
    width = few_wide(across, page_width() - 160)
    shift = width / across / 2 - 2  # into the lower right corner of the cell
    lags = alt.Chart(shown[shown["lag"].notna()]).mark_text(align="right", dx=shift, dy=9, fontSize=8, opacity=0.7).encode(
        color=ink,
        x=alt.X("period_label:N", sort=period_order(view)), y=alt.Y("plan_cycle_id:N", sort=None), text=alt.Text("lag:Q", format="+d")
    )
    return (chart + lags).properties(width=width, height=alt.Step(32))


@drawn
def root_causes(view: pd.DataFrame) -> alt.TopLevelMixin:
    """The largest parts of the deviation, blue for more and orange for less than planned."""
    name = (view["level"].map(views.heading) + " " + view["member"]).where(view["member"] != "other items", "Other items")
    shown = view.assign(name=name, side=["less" if d < 0 else "more" for d in view["deviation_amt"]])
    labels = [
        f"{views.signed(views.short(d))} ({views.percent(s, 0)})" for d, s in zip(view["deviation_amt"], view["share_ratio"], strict=True)
    ]
    colour = alt.Color("side:N", title="Than planned", scale=alt.Scale(domain=["more", "less"], range=[BLUE, ORANGE]))
    return ranked_bars(shown, "name", "deviation_amt", amount_axis(in_money("Deviation")), labels, colour)


@drawn
def driver_causes(view: pd.DataFrame) -> alt.TopLevelMixin:
    """What drove a deviation, blue for more and orange for less than planned."""
    name = (view["driver"] + ": " + view["cause"]).where(view["driver"] != view["cause"], view["cause"])
    shown = view.assign(name=name, side=["less" if d < 0 else "more" for d in view["deviation_amt"]])
    labels = [
        f"{views.signed(views.short(d))} ({views.percent(s, 0)})" for d, s in zip(view["deviation_amt"], view["share_ratio"], strict=True)
    ]
    colour = alt.Color("side:N", title="Than planned", scale=alt.Scale(domain=["more", "less"], range=[BLUE, ORANGE]))
    return ranked_bars(shown, "name", "deviation_amt", amount_axis(in_money("Deviation")), labels, colour)


_KEPT = {"locked in time": BLUE, "locked": BLUE, "under way": GREY, "late": AMBER, "never locked": ORANGE, "skipped": "#b3261e"}


@drawn
def cadence(view: pd.DataFrame) -> alt.TopLevelMixin:
    """One mark a cycle in its order, coloured by how it was kept and worded below."""
    shown = view.assign(kept=view["state"].where(~view["state"].str.startswith("late"), "late"))
    shown["words"] = shown["state"].str.replace(r"^late by (\d+) working days?$", r"\1 WD late", regex=True)
    x = alt.X("cycle_id:O", sort=list(shown["cycle_id"]), axis=alt.Axis(title=None, labelAngle=0, orient="top"))
    base = alt.Chart(shown).encode(x=x)
    marks = base.mark_square(size=500, opacity=1).encode(
        color=fixed("kept", _KEPT, shown["kept"]), tooltip=tooltips(view), y=alt.YValue(18))
    words = base.mark_text(fontSize=11).encode(text=alt.Text("words:N"), y=alt.YValue(44))
    return (marks + words).properties(width=min(page_width(), 95 * len(shown)), height=58)


@drawn
def kpi_by_month(view: pd.DataFrame) -> alt.TopLevelMixin:
    """A KPI by member and period, coloured by its traffic light; the marks say the same without colour."""
    lights = {"green": PALE_BLUE, "amber": "#f2c14e", "red": PALE_ORANGE, "none": "#c9ced3"}
    colour = alt.Color("status:N", legend=None, scale=alt.Scale(domain=list(lights), range=list(lights.values())))
    return heat_map(view, "member", "period_label", period_order(view), colour, "value_text")


@drawn
def load_ahead(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Load of the next weeks in per cent of regular hours, orange when full; ■ where no hour is left."""
    texts = [f"{ratio * 100:.0f}{' ■' if full else ''}" for ratio, full in zip(view["load_ratio"], view["is_at_limit"], strict=True)]
    return heat_map(view.assign(load_text=texts), "resource", "period_label", period_order(view),
                     diverging("load_ratio", 0.4, 0.9, 1.25, True), "load_text")


@drawn
def revenue_sources(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Revenue by period, run rate at the bottom, new products and opportunities on top."""
    shown = view.assign(label=views.period_labels(view["period"]))
    order = [source for source in ("run rate", "new products", "opportunities") if source in set(view["source"])]
    rank = shown.assign(rank=shown["source"].map({name: n for n, name in enumerate(order)}))
    return alt.Chart(rank).mark_bar().encode(
        x=alt.X("label:O", title=None, sort=list(shown["label"].drop_duplicates()), axis=band_axis()),
        y=alt.Y("revenue_amt:Q", axis=amount_axis(in_money("Revenue"))),
        color=alt.Color("source:N", title=None, scale=alt.Scale(domain=order, range=hues_of(len(order)))),
        order=alt.Order("rank:Q"), tooltip=tooltips(view))
