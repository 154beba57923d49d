"""Charts of the supply review: load, stock, service, limits."""

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
    multiples,
    period_order,
    ranked_bars,
    ratio_axis,
    shorts,
    time_axis,
    tooltips,
)
from sop_workbench.charts.look import GREY, HEIGHT, ORANGE, current, page_width


@drawn
def load_heat_map(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Load in per cent of regular hours, blue when free and orange when full; ▲ where overtime does not suffice."""
    marks = ["▲" if over else "" for over in view["is_overloaded"]]
    shown = view.assign(
        load_text=["–" if pd.isna(u) else f"{u * 100:.0f}{m}" for u, m in zip(view["utilisation_ratio"], marks, strict=True)]
    )
    return heat_map(
        shown, "resource", "period_label", period_order(view), diverging("utilisation_ratio", 0.4, 0.9, 1.25, True), "load_text"
    )


@drawn
def stock_vs_target(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Stock as an area, target as a line, safety stock as a dashed line."""
    base = alt.Chart(view).encode(x=alt.X("period:T", axis=time_axis(view["period"], 2 if view["member"].nunique() == 1 else 6)))
    money = alt.Y("value:Q", axis=amount_axis(in_money("At standard cost")))
    named = base.transform_fold(["stock_amt", "target_amt", "safety_stock_amt"], as_=["line", "value"])
    colour = alt.Color(
        "line:N",
        title=None,
        scale=alt.Scale(domain=["stock_amt", "target_amt", "safety_stock_amt"], range=[current().brand_colour, "#e69f00", ORANGE]),
        legend=alt.Legend(labelExpr="{'stock_amt': 'stock', 'target_amt': 'target', 'safety_stock_amt': 'safety stock'}[datum.label]"),
    )
    area = named.transform_filter("datum.line == 'stock_amt'").mark_area(opacity=0.25).encode(y=money, color=colour)
    lines = named.mark_line(strokeWidth=2).encode(
        y=money, color=colour, strokeDash=alt.condition("datum.line == 'stock_amt'", alt.value([1, 0]), alt.value([5, 3]))
    )
    return multiples(alt.layer(area, lines), view, 120)


@drawn
def demand_vs_plan(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Demand by period, split into served, lost and late; short months carry their share served."""
    shown = view.assign(late_qty=(view["demand_qty"] - view["served_qty"] - view["lost_qty"]).clip(lower=0))
    shown["share_text"] = [
        f"{s / d * 100:.0f} %" if d > 0 and s / d < 0.995 else "" for s, d in zip(view["served_qty"], view["demand_qty"], strict=True)
    ]
    base = alt.Chart(shown).encode(x=alt.X("period_label:N", sort=period_order(view), axis=band_axis(labelOverlap=True)))
    parts = {"served_qty": current().brand_colour, "late_qty": "#e69f00", "lost_qty": ORANGE}
    colour = alt.Color(
        "part:N",
        title="Demand",
        scale=alt.Scale(domain=list(parts), range=list(parts.values())),
        legend=alt.Legend(labelExpr="replace(datum.label, '_qty', '')"),
    )
    bars = (
        base.transform_fold(list(parts), as_=["part", "value"])
        .transform_calculate(place="indexof(['served_qty', 'late_qty', 'lost_qty'], datum.part)")
        .mark_bar(width=alt.RelativeBandSize(0.72))
        .encode(y=alt.Y("value:Q", axis=amount_axis("Units")), color=colour, order=alt.Order("place:Q"))
    )
    text = base.mark_text(dy=-8, fontWeight=600).encode(y=alt.Y("demand_qty:Q"), text=alt.Text("share_text:N"))
    return (bars + text).properties(width=page_width(), height=HEIGHT)


@drawn
def service(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Share of demand served, family by market."""
    shown = view.assign(share_text=[f"{r * 100:.0f}" for r in view["served_ratio"]])
    return heat_map(shown, "family", "market_name", None, diverging("served_ratio", 0.7, 0.92, 1.0, False), "share_text")


@drawn
def bottlenecks(view: pd.DataFrame) -> alt.TopLevelMixin:
    """The limits by the money that easing them is worth."""
    shown = view.assign(name=view["limit"] + ", " + view["member"])
    labels = [
        f"{views.short(m)}  ({views.short(p)} a unit, {n} period{'' if n == 1 else 's'})"
        for m, p, n in zip(view["money_amt"], view["price_amt"], view["period_count"], strict=True)
    ]
    return ranked_bars(shown, "name", "money_amt", amount_axis(in_money("Price × limit")), labels, alt.ColorValue(ORANGE))


@drawn
def bottleneck_hours(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Items by margin per hour of the bottleneck; what is not served in full stands in the other colour."""
    labels = [
        f"{views.short(m)}" + ("" if share > 0.9995 else f"  ({share * 100:.0f} % served)")
        for m, share in zip(view["margin_amt_per_hour"], view["served_ratio"].fillna(1.0), strict=True)
    ]
    colour = alt.condition("datum.served_ratio < 0.9995", alt.value(ORANGE), alt.value(current().brand_colour))
    return ranked_bars(view, "item_name", "margin_amt_per_hour", amount_axis(in_money("Margin per hour")), labels, colour)


@drawn
def purchases(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Money to order by period."""
    shown = view.assign(money_text=shorts(view["purchase_cost_amt"]))
    base = alt.Chart(shown).encode(
        x=alt.X("period_label:N", sort=period_order(view), axis=band_axis()),
        y=alt.Y("purchase_cost_amt:Q", axis=amount_axis(in_money("Orders placed"))),
    )
    bars = base.mark_bar(width=alt.RelativeBandSize(0.72), color=current().brand_colour).encode(tooltip=tooltips(view))
    return (bars + base.mark_text(dy=-7, fontSize=10.5).encode(text=alt.Text("money_text:N"))).properties(width=page_width(), height=220)


@drawn
def load_by_method(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Load where demand falls as bars, a lead time earlier as a line; regular and demonstrated hours as rules over each period."""
    base = alt.Chart(view).encode(x=alt.X("period:T", axis=time_axis(view["period"], 2 if view["member"].nunique() == 1 else 6)))
    hours = alt.Y("value:Q", axis=amount_axis("Hours"))
    words = {
        "load_hours": "bill of capacity",
        "offset_load_hours": "resource profile",
        "regular_hours": "regular hours",
        "demonstrated_hours": "demonstrated",
    }
    colours = hues_of(len(words))
    named = base.transform_fold(list(words), as_=["line", "value"]).transform_filter("isValid(datum.value)")
    colour = alt.Color(
        "line:N", title=None, scale=alt.Scale(domain=list(words), range=colours), legend=alt.Legend(labelExpr=f"{words}[datum.label]")
    )
    area = named.transform_filter("datum.line == 'load_hours'").mark_area(opacity=0.25).encode(y=hours, color=colour)
    lines = named.mark_line(strokeWidth=2, interpolate="linear").encode(
        y=hours, color=colour, strokeDash=alt.condition("datum.line == 'load_hours'", alt.value([1, 0]), alt.value([5, 3]))
    )
    return multiples(alt.layer(area, lines), view, 120)


@drawn
def inventory_tradeoff(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Fill rate against safety stock money around today's: the best mixes as a line, today's targets and the two better as points."""
    curve, points = view[view["option"] == "best mix"], view[view["option"] != "best mix"]
    money = points["safety_stock_amt"]
    near = curve[curve["safety_stock_amt"].between(0.4 * money.min(), 1.8 * money.max())]
    curve = near if len(near) > 2 else curve
    low = float(min(curve["fill_ratio"].min(), points["fill_ratio"].min())) if len(points) else float(curve["fill_ratio"].min())
    x = alt.X("safety_stock_amt:Q", axis=amount_axis(in_money("Safety stock")), scale=alt.Scale(zero=False))
    y = alt.Y("fill_ratio:Q", axis=ratio_axis("Fill rate", curve["fill_ratio"]), scale=alt.Scale(domain=[low, 1.0]))
    line = alt.Chart(curve).mark_line(strokeWidth=2, color=current().brand_colour).encode(x=x, y=y, tooltip=tooltips(view))
    names = list(points["option"])
    colour = alt.Color("option:N", title=None, scale=alt.Scale(domain=names, range=[ORANGE, "#e69f00", GREY][: len(names)]))
    marks = (
        alt.Chart(points)
        .mark_point(size=110, filled=True, opacity=1)
        .encode(x=x, y=y, color=colour, shape=alt.Shape("option:N", title=None, scale=alt.Scale(domain=names)), tooltip=tooltips(view))
    )
    return (line + marks).properties(width=page_width(), height=HEIGHT)


@drawn
def stock_placement(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Safety stock money by place, three ways of placing it side by side."""
    words = {"safety_stock_amt": "guaranteed service", "today_amt": "today's targets", "end_only_amt": "all at the end"}
    colour = alt.Color(
        "way:N",
        title=None,
        scale=alt.Scale(domain=list(words), range=[current().brand_colour, "#e69f00", GREY]),
        legend=alt.Legend(labelExpr=f"{words}[datum.label]"),
    )
    bars = (
        alt.Chart(view)
        .transform_fold(list(words), as_=["way", "value"])
        .mark_bar()
        .encode(
            y=alt.Y("location:N", sort=None, title=None, axis=alt.Axis(labelLimit=230)),
            yOffset=alt.YOffset("way:N", sort=list(words)),
            x=alt.X("value:Q", axis=amount_axis(in_money("Safety stock"))),
            color=colour,
            tooltip=tooltips(view),
        )
    )
    return bars.properties(width=page_width() - 190, height=alt.Step(16))
