"""Charts of the financial review."""

from __future__ import annotations

import altair as alt
import pandas as pd

from sop_workbench import views
from sop_workbench.charts.drawing import (
    amount_axis,
    band_axis,
    diverging,
    drawn,
    heat_map,
    hues_of,
    in_money,
    period_order,
    shorts,
    time_axis,
    tooltips,
)
from sop_workbench.charts.look import BLUE, GREY, HEIGHT, ORANGE, PALE_BLUE, current, page_width


@drawn
def profit_by_period(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Revenue as bars, gross margin and profit of the plan as lines named at their end."""
    shown = view.assign(margin_label="", profit_label="", is_last=view["period"] == view["period"].max())
    base = alt.Chart(shown).encode(x=alt.X("period_label:N", sort=period_order(view), axis=band_axis()))
    measures = {"revenue_amt": "revenue", "gross_margin_amt": "gross margin", "profit_amt": "profit of the plan"}
    colour = alt.Color(
        "measure:N",
        title=None,
        scale=alt.Scale(domain=list(measures), range=[PALE_BLUE, current().brand_colour, ORANGE]),
        legend=alt.Legend(labelExpr=f"{measures}[datum.label]"),
    )
    named = base.transform_fold(list(measures), as_=["measure", "value"]).encode(
        y=alt.Y("value:Q", axis=amount_axis(current().currency)), color=colour
    )
    bars = named.transform_filter("datum.measure == 'revenue_amt'").mark_bar(width=alt.RelativeBandSize(0.72))
    lines = named.transform_filter("datum.measure != 'revenue_amt'").mark_line(point=True)
    return (bars + lines).properties(width=page_width(), height=HEIGHT)


@drawn
def bridge(view: pd.DataFrame) -> alt.TopLevelMixin:
    """From one total to another, each step with its amount; the axis is cut so that the steps can be seen."""
    lowest, highest = view[["from_amt", "to_amt"]][view["kind"] == "step"].min().min(), view["to_amt"].max()
    totals = view.loc[view["kind"] == "total", "to_amt"]
    floor = max(0.0, min(totals.min(), lowest if pd.notna(lowest) else totals.min()) * 0.9) if totals.min() > 0 else min(0.0, totals.min())
    shown = view.assign(
        from_amt=view["from_amt"].where(view["kind"] == "step", floor),
        top_amt=view[["from_amt", "to_amt"]].max(axis=1),
        side=["total" if k == "total" else "more" if a >= 0 else "less" for k, a in zip(view["kind"], view["amount_amt"], strict=True)],
        amount_text=[
            views.short(a) if k == "total" else views.signed(views.short(a)) for k, a in zip(view["kind"], view["amount_amt"], strict=True)
        ],
    )
    cut = " (axis does not start at 0)" if floor > 0 else ""
    base = alt.Chart(shown).encode(x=alt.X("bar:N", sort=shown["bar"].tolist(), axis=band_axis(labelLimit=110)))
    scale = alt.Scale(domain=[floor, highest + (highest - floor) * 0.08], nice=False)
    colour = alt.Color("side:N", legend=None, scale=alt.Scale(domain=["total", "more", "less"], range=[GREY, BLUE, ORANGE]))
    bars = base.mark_bar(width=alt.RelativeBandSize(0.66)).encode(
        y=alt.Y("from_amt:Q", scale=scale, axis=amount_axis(in_money("Revenue") + cut)),
        y2=alt.Y2("to_amt:Q"),
        color=colour,
        tooltip=tooltips(view),
    )
    text = base.mark_text(dy=-8, fontWeight=600).encode(y=alt.Y("top_amt:Q", scale=scale), text=alt.Text("amount_text:N"))
    return (bars + text).properties(width=page_width(), height=HEIGHT)


budget_bridge = bridge


@drawn
def cash(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Closing cash as a line, its low point marked."""
    shown = view.assign(
        low_text=[
            views.short(c, current().currency) if low else "" for c, low in zip(view["closing_cash_amt"], view["is_low_point"], strict=True)
        ]
    )
    base = alt.Chart(shown).encode(
        x=alt.X("period:T", axis=time_axis(view["period"], 2)), y=alt.Y("closing_cash_amt:Q", axis=amount_axis(in_money("Closing cash")))
    )
    line = base.mark_line(color=current().brand_colour).encode(tooltip=tooltips(view))
    low = base.transform_filter("datum.is_low_point")
    zero = alt.Chart(view.head(1)).mark_rule(opacity=0.5).encode(y=alt.YDatum(0))
    return (
        zero
        + line
        + low.mark_point(filled=True, size=90, color=ORANGE)
        + low.mark_text(dy=16, align="left" if view["is_low_point"].head(len(view) // 2).any() else "right", fontWeight=600).encode(
            text=alt.Text("low_text:N")
        )
    ).properties(width=page_width(), height=220)


@drawn
def inventory_money(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Stock in money, families stacked, the total above."""
    order = view.groupby("family")["inventory_amt"].sum().sort_values(ascending=False).index.tolist()
    base = alt.Chart(view).encode(x=alt.X("period_label:N", sort=period_order(view), axis=band_axis()))
    bars = base.mark_bar(width=alt.RelativeBandSize(0.76)).encode(
        y=alt.Y("inventory_amt:Q", axis=amount_axis(in_money("Closing stock"))),
        tooltip=tooltips(view),
        color=alt.Color(
            "family:N",
            title=None,
            scale=alt.Scale(domain=order, range=hues_of(len(order))),
        ),
    )
    totals = view.groupby(["period", "period_label"], as_index=False)["inventory_amt"].sum()
    text = (
        alt.Chart(totals.assign(total_text=shorts(totals["inventory_amt"])))
        .mark_text(dy=-7, fontSize=10.5, fontWeight=600)
        .encode(x=alt.X("period_label:N", sort=period_order(view)), y=alt.Y("inventory_amt:Q"), text=alt.Text("total_text:N"))
    )
    return (bars + text).properties(width=page_width(), height=HEIGHT)


@drawn
def gap_heat_map(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Plan less budget, family by period: the number in money, the colour by share."""
    shown = view.assign(gap_text=[views.signed(views.short(g)) for g in view["gap_amt"]])
    return heat_map(shown, "family", "period_label", period_order(view), diverging("gap_ratio", -0.25, 0.0, 0.25, False), "gap_text")


@drawn
def demand_plan_budget(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Small multiples on one scale: demand as an area, the plan as a line, the budget dashed."""
    base = alt.Chart(view).encode(x=alt.X("period:T", axis=time_axis(view["period"], 6)))
    lines = {"demand_amt": "#e69f00", "revenue_amt": current().brand_colour, "budget_amt": GREY}
    words = {"demand_amt": "demand", "revenue_amt": "plan", "budget_amt": "budget"}
    colour = alt.Color("line:N", title=None, scale=alt.Scale(domain=list(lines), range=list(lines.values())),
                       legend=alt.Legend(labelExpr=f"{words}[datum.label]"))
    money = alt.Y("value:Q", axis=amount_axis(current().currency))
    named = base.transform_fold(list(lines), as_=["line", "value"]).encode(y=money, color=colour)
    area = named.transform_filter("datum.line == 'demand_amt'").mark_area(opacity=0.3)
    plan = named.transform_filter("datum.line == 'revenue_amt'").mark_line(strokeWidth=2.4)
    budget = named.transform_filter("datum.line == 'budget_amt' && datum.value != null").mark_line(strokeWidth=1.8, strokeDash=[5, 3])
    members = view["member"].drop_duplicates().tolist()
    columns = 3 if page_width() > 620 else 2 if page_width() > 380 else 1
    sized = alt.layer(area, budget, plan).properties(width=max(110, (page_width() - 26 * (columns - 1)) // columns), height=104)
    return sized.facet(facet=alt.Facet("member:N", title=None, sort=members), columns=columns).properties(spacing={"row": 16, "column": 26})
