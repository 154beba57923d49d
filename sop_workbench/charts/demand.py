"""Charts of the demand review."""

from __future__ import annotations

import textwrap
from typing import Any

import altair as alt
import pandas as pd

from sop_workbench import views
from sop_workbench.charts.drawing import (
    AMOUNT_LABEL,
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
    multiples,
    name_axis,
    period_order,
    ranked_bars,
    room,
    thick_where,
    time_axis,
    tooltips,
)
from sop_workbench.charts.look import BLUE, GREY, HEIGHT, ORANGE, PALE_BLUE, SERIES, brand_apart_from, current, page_width


@drawn
def forecast_fan(view: pd.DataFrame) -> alt.TopLevelMixin:
    """History, forecast and its range; small charts when there are several members."""
    is_single = view["member"].nunique() == 1
    is_peak = view.groupby("kind")["demand_qty"].transform("max") == view["demand_qty"]
    shown = view.assign(label=view["kind"].str.capitalize().where(is_peak, ""), top_qty=view["high_qty"].fillna(view["demand_qty"]))
    colour = alt.Color("kind:N", legend=None, scale=alt.Scale(domain=["history", "forecast"], range=[GREY, current().brand_colour]))
    base = alt.Chart(shown).encode(x=alt.X("period:T", axis=time_axis(view["period"], 3 if is_single else 6)))
    area = base.mark_area(opacity=0.22, color=current().brand_colour)
    band = area.encode(y=alt.Y("low_qty:Q", axis=amount_axis("Units"), scale=alt.Scale(nice=5)), y2=alt.Y2("high_qty:Q"))
    line = base.mark_line().encode(y=alt.Y("demand_qty:Q"), color=colour, tooltip=tooltips(view))
    names = base.mark_text(dy=-9, fontWeight=600).encode(y=alt.Y("top_qty:Q"), text=alt.Text("label:N"), color=colour)
    layers = [band.transform_filter("datum.kind == 'forecast'"), line, *([names] if is_single else [])]
    return multiples(alt.layer(*layers), view, 120)


launch_fan = forecast_fan


@drawn
def demand_story(view: pd.DataFrame) -> alt.TopLevelMixin:
    """The fan with corrections as circles and events as triangles on the time axis."""
    is_single = view["member"].nunique() == 1
    is_peak = view.groupby("kind")["demand_qty"].transform("max") == view["demand_qty"]
    words = {"history": "Ordered", "forecast": "Agreed on"}
    shown = view.assign(label=view["kind"].map(words).where(is_peak, ""), top_qty=view["high_qty"].fillna(view["demand_qty"]), ground=0.0)
    colour = alt.Color("kind:N", legend=None, scale=alt.Scale(domain=["history", "forecast"], range=[GREY, current().brand_colour]))
    base = alt.Chart(shown).encode(x=alt.X("period:T", axis=time_axis(view["period"], 3 if is_single else 6)))
    y = alt.Y("demand_qty:Q", axis=amount_axis("Units"), scale=alt.Scale(nice=5))
    ahead = base.transform_filter("datum.kind == 'forecast'")
    band = ahead.mark_area(opacity=0.22, color=current().brand_colour).encode(y=alt.Y("low_qty:Q"), y2=alt.Y2("high_qty:Q"))
    line = base.mark_line().encode(y=y, color=colour, tooltip=tooltips(view))
    names = base.mark_text(dy=-9, fontWeight=600).encode(y=alt.Y("top_qty:Q"), text=alt.Text("label:N"), color=colour)
    corrected = base.transform_filter("datum.correction != ''")
    shift = corrected.mark_rule(color=ORANGE, opacity=0.7).encode(y=alt.Y("demand_qty:Q"), y2=alt.Y2("corrected_qty:Q"))
    circles = corrected.mark_point(filled=True, size=38, opacity=1, stroke=ORANGE).encode(
        y=alt.Y("corrected_qty:Q"), tooltip=tooltips(view),
        fill=alt.Fill("correction:N", title="History corrected", legend=alt.Legend(symbolStrokeColor=ORANGE, symbolType="circle"),
                      scale=alt.Scale(domain=["accepted", "proposed"], range=[ORANGE, "#ffffff"])),
    )  # fmt: skip
    happened = base.transform_filter("datum.events != ''")
    triangles = happened.mark_point(shape="triangle-up", filled=True, size=60, opacity=1, yOffset=-5).encode(
        y=alt.Y("ground:Q"), tooltip=tooltips(view), color=alt.ColorValue("#8a6d00"))
    layers = [band, line, shift, circles, triangles, *([names] if is_single else [])]
    return multiples(alt.layer(*layers), view, 120)


@drawn
def decomposition(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Trend under demand, and below it what season, promotions, events and chance add, all on one scale of time."""
    whole = view.drop_duplicates("period")
    x = alt.X("period:T", axis=time_axis(view["period"]))
    distinct = next(colour for colour in hues_of(len(SERIES))[1:] if colour != GREY)
    scale = alt.Scale(domain=["demand", "forecast", "trend"], range=[GREY, current().brand_colour, distinct])
    name = alt.Color("line:N", legend=None, scale=scale)
    lines = alt.Chart(_component_lines(view, whole)).encode(x=x)
    ends = alt.Chart(line_ends(_component_lines(view, whole).query("line != 'demand'"), "line", "period", "quantity"))
    top = lines.mark_line().encode(y=alt.Y("quantity:Q", axis=amount_axis("Units")), color=name) + ends.mark_text(
        align="left", dx=6, fontWeight=600
    ).encode(x=x, y=alt.Y("place:Q"), text=alt.Text("line:N"), color=name)
    moved = view[view["component"] != "Trend"]
    seen = moved[moved.groupby("component")["part_qty"].transform(lambda part: part.abs().max()) > _SEEN * whole["demand_qty"].max()]
    domain = [min(seen["part_qty"].min(), 0), max(seen["part_qty"].max(), 0)]
    parts = seen["component"].unique().tolist()
    panels = [_component_bars(seen[seen["component"] == part], part, domain, part == parts[-1]) for part in parts]
    return alt.vconcat(top.properties(width=page_width() - 70, height=190), *panels, spacing=6).resolve_scale(x="shared")


def _component_lines(view: pd.DataFrame, whole: pd.DataFrame) -> pd.DataFrame:
    """Demand, forecast and trend below each other; the forecast starts where demand ends."""
    past, ahead = whole[~whole["is_forecast"]], whole[whole["is_forecast"]]
    joined = pd.concat([past.tail(1), ahead])
    trend = view[view["component"] == "Trend"]
    parts = ((past, "demand_qty", "demand"), (joined, "demand_qty", "forecast"), (trend, "part_qty", "trend"))
    return pd.concat([rows[["period", column]].rename(columns={column: "quantity"}).assign(line=line) for rows, column, line in parts])


_SEEN = 0.005  # of the largest demand: what is less does not show on the scale of the others


def _component_bars(rows: pd.DataFrame, part: str, domain: list[float], is_last: bool) -> alt.Chart:
    """What one part adds and takes; all such panels share their scale, the last one names the months."""
    x = alt.X("period:T", axis=time_axis(rows["period"]) if is_last else alt.Axis(title=None, labels=False, ticks=False))
    named: Any = {"titleAngle": 0, "titleAlign": "right", "titleAnchor": "middle", "titleFontWeight": 600}
    axis = alt.Axis(title=textwrap.wrap(part, 12), labelExpr=AMOUNT_LABEL, tickCount=3, **named)
    y = alt.Y("part_qty:Q", axis=axis, scale=alt.Scale(domain=domain))
    colour = alt.condition("datum.part_qty < 0", alt.value(ORANGE), alt.value(BLUE))
    opacity = alt.condition("datum.is_forecast", alt.value(0.55), alt.value(1.0))
    bars = alt.Chart(rows).mark_bar(width=8).encode(x=x, y=y, color=colour, opacity=opacity, tooltip=tooltips(rows))
    return bars.properties(width=page_width() - 70, height=70)


@drawn
def error_leaderboard(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Back-test error by model, the best on top in the company's colour."""
    shown = view.assign(place=["best" if i == 0 else "other" for i in range(len(view))])
    labels = [
        f"{views.percent(w)}, bias {views.signed(views.percent(b))}" for w, b in zip(view["wape_ratio"], view["bias_ratio"], strict=True)
    ]
    colour = alt.Color("place:N", legend=None, scale=alt.Scale(domain=["best", "other"], range=[current().brand_colour, GREY]))
    return ranked_bars(shown, "model", "wape_ratio", alt.Axis(title="WAPE, %", format=".0%", tickCount=6), labels, colour)


@drawn
def streams(view: pd.DataFrame) -> alt.TopLevelMixin:
    """One line per stream, named at its end; the consensus thick."""
    names = ["consensus", *sorted(set(view["stream"]) - {"consensus"})]
    colours = hues_of(len(names))
    colour = alt.Color("stream:N", legend=None, scale=alt.Scale(domain=names, range=colours))
    is_cut = view["demand_qty"].min() > 0.5 * view["demand_qty"].max()
    axis = amount_axis("Units (axis does not start at 0)" if is_cut else "Units")
    y = alt.Y("demand_qty:Q", axis=axis, scale=alt.Scale(zero=not is_cut))
    x = alt.X("period:T", axis=time_axis(view["period"], 2))
    width = thick_where("is_agreed", 4.5, 1.8)
    shown = view.assign(is_agreed=view["stream"] == "consensus")
    lines = alt.Chart(shown).mark_line(opacity=0.85).encode(x=x, y=y, color=colour, size=width, tooltip=tooltips(view))
    ends = alt.Chart(line_ends(view, "stream", "period", "demand_qty", is_cut))
    labels = ends.mark_text(align="left", dx=6, fontWeight=600).encode(x=x, y=alt.Y("place:Q"), text=alt.Text("stream:N"), color=colour)
    return (lines + labels).properties(width=page_width() - 90, height=HEIGHT)


@drawn
def stream_weights(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Weight of each stream, with its past error and bias."""
    labels = [
        f"{views.percent(r.weight_ratio, 0)}  (error {views.percent(r.wape_ratio, 0)}, bias {views.signed(views.percent(r.bias_ratio, 0))})"
        for r in view.itertuples()
    ]
    return ranked_bars(
        view,
        "stream",
        "weight_ratio",
        alt.Axis(title="Weight in the consensus, %", format=".0%", tickCount=6),
        labels,
        alt.ColorValue(current().brand_colour),
    )


@drawn
def value_added(view: pd.DataFrame) -> alt.TopLevelMixin:
    """The staircase of errors: each stair with its gain over the one before."""
    gains = view["gain_over_previous_ratio"]
    shown = view.assign(
        side=["same" if pd.isna(g) or abs(g) < 5e-5 else "better" if g > 0 else "worse" for g in gains],
        error_text=[views.percent(e) for e in view["wape_ratio"]],
        gain_text=["" if pd.isna(g) else f"{'−' if g > 0 else '+'}{abs(g) * 100:.1f} pts" for g in gains],
    )
    base = alt.Chart(shown).encode(
        x=alt.X("stair:N", sort=shown["stair"].tolist(), axis=band_axis()),
        y=alt.Y(
            "wape_ratio:Q",
            axis=alt.Axis(title="WAPE, %", format=".0%", tickCount=5),
            scale=alt.Scale(domainMax=1.15 * view["wape_ratio"].max()),
        ),
    )
    colour = alt.Color(
        "side:N", title="Against the stair before", scale=alt.Scale(domain=["better", "worse", "same"], range=[BLUE, ORANGE, GREY])
    )
    bars = base.mark_bar(width=alt.RelativeBandSize(0.62)).encode(color=colour, tooltip=tooltips(view))
    numbers = base.mark_text(dy=-20, fontWeight=600).encode(text=alt.Text("error_text:N")) + base.mark_text(dy=-7, fontSize=10.5).encode(
        text=alt.Text("gain_text:N")
    )
    return (bars + numbers).properties(width=page_width(), height=HEIGHT)


@drawn
def bias_heat_map(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Bias of streams and their authors by family or region, orange where plans were too high."""
    shown = view.assign(bias_text=[views.signed(views.percent(b, 0)) for b in view["bias_ratio"]])
    return heat_map(shown, "who", "member", None, diverging("bias_ratio", -0.25, 0.0, 0.25, True), "bias_text")


@drawn
def demand_vs_budget(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Demand as bars, budget as a step over each."""
    shown = view.assign(
        side=["below" if g < 0 else "above" for g in view["gap_amt"]], gap_text=[views.signed(views.short(g)) for g in view["gap_amt"]]
    )
    base = alt.Chart(shown).encode(x=alt.X("period_label:N", sort=period_order(view), axis=band_axis()))
    colour = alt.Color(
        "side:N",
        title="Unconstrained demand is",
        scale=alt.Scale(domain=["above", "below"], range=[BLUE, ORANGE]),
        legend=alt.Legend(labelExpr="datum.label + ' budget (the line)'"),
    )
    bars = base.mark_bar(width=alt.RelativeBandSize(0.66)).encode(
        y=alt.Y("demand_amt:Q", axis=amount_axis(in_money("Revenue"))), color=colour, tooltip=tooltips(view)
    )
    width = few_wide(len(view), page_width())
    budget = base.mark_tick(thickness=3, size=0.8 * width / len(view), color="currentColor").encode(y=alt.Y("budget_amt:Q"))
    text = (
        base.mark_text(dy=-9, fontSize=10.5)
        .encode(y=alt.Y("top:Q"), text=alt.Text("gap_text:N"))
        .transform_calculate(top="max(datum.demand_amt, datum.budget_amt)")
    )
    return (bars + budget + text).properties(width=width, height=HEIGHT)


@drawn
def driver_effects(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Best estimates with their ranges, one panel per kind of effect; a tick where people stated something else."""
    colour = fixed("basis", {"estimated from history": current().brand_colour, "as stated": GREY, "assumed": "#e69f00"}, view["basis"],
                    "The figure is")
    panels = [_effect_panel(rows, kind, colour) for kind, rows in view.groupby("effect", sort=False)]
    return alt.vconcat(*panels, spacing=14).resolve_scale(color="shared")


def _effect_panel(rows: pd.DataFrame, kind: str, colour: alt.Color) -> alt.LayerChart:
    is_elasticity = rows["measure"].iloc[0] == "elasticity"
    axis = alt.Axis(title=None, tickCount=6, format=".1f" if is_elasticity else ".0%")
    low, high = rows["low_ratio"].min(), rows[["high_ratio", "stated_ratio"]].max().max()
    scale = alt.Scale(domain=[min(low, 0.0), max(high, 0.0)], nice=True)
    base = alt.Chart(rows, title=alt.Title(kind, fontSize=12.5, offset=4)).encode(
        y=alt.Y("member:N", sort=None, title=None, axis=alt.Axis(labelLimit=200, minExtent=200))
    )
    span = base.mark_rule(strokeWidth=2.5, opacity=0.6).encode(
        x=alt.X("low_ratio:Q", axis=axis, scale=scale), x2=alt.X2("high_ratio:Q"), color=colour)
    point = base.mark_point(filled=True, size=80, opacity=1).encode(x=alt.X("effect_ratio:Q"), color=colour, tooltip=tooltips(rows))
    stated = base.transform_filter("isValid(datum.stated_ratio)").mark_tick(thickness=2.5, size=15, color="currentColor")
    zero = alt.Chart(rows.head(1)).mark_rule(opacity=0.4).encode(x=alt.XDatum(0))
    return (zero + span + point + stated.encode(x=alt.X("stated_ratio:Q"))).properties(width=page_width() - 230, height=alt.Step(21))


@drawn
def promotion_cases(view: pd.DataFrame) -> alt.TopLevelMixin:
    """What each promotion ahead brings or costs, with its uplift and the one it would need."""
    labels = [
        f"{views.signed(views.short(net))}  (uplift {views.percent(uplift, 0)}, "
        + ("no uplift pays)" if pd.isna(even) else f"pays from {views.percent(even, 0)})")
        for net, uplift, even in zip(view["net_amt"], view["uplift_ratio"], view["break_even_ratio"], strict=True)
    ]
    colour = alt.condition("datum.net_amt < 0", alt.value(ORANGE), alt.value(BLUE))
    return ranked_bars(view, "promotion", "net_amt", amount_axis(in_money("Net of the promotion")), labels, colour)


@drawn
def price_cases(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Change of margin at a lower and a higher price by family, with the range of the elasticity as a line."""
    changes = view["change"].drop_duplicates().tolist()
    colour = alt.Color("change:N", title=None, scale=alt.Scale(domain=changes, range=["#e69f00", brand_apart_from("#e69f00")]))
    base = alt.Chart(view).encode(
        y=alt.Y("family:N", sort=None, title=None, axis=alt.Axis(labelLimit=200)), yOffset=alt.YOffset("change:N", sort=changes)
    )
    bars = base.mark_bar().encode(
        x=alt.X("margin_change_amt:Q", axis=amount_axis(in_money("Change of margin"))), color=colour, tooltip=tooltips(view))
    span = base.mark_rule(strokeWidth=1.5, opacity=0.6).encode(x=alt.X("margin_change_low_amt:Q"), x2=alt.X2("margin_change_high_amt:Q"))
    return (bars + span).properties(width=page_width() - 160, height=alt.Step(13))


@drawn
def pipeline(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Open deals by close period: what the plan counts below, what would come on top above."""
    parts = {"counted in the plan": current().brand_colour, "on top if won": PALE_BLUE, "not counted here": GREY}
    seen = view[view["value_amt"] > 0]
    order = "indexof(['counted in the plan', 'on top if won', 'not counted here'], datum.part)"
    return (
        alt.Chart(seen)
        .transform_calculate(place=order)
        .mark_bar(width=alt.RelativeBandSize(0.6))
        .encode(
            x=alt.X("period_label:N", sort=period_order(view), axis=band_axis()),
            y=alt.Y("value_amt:Q", axis=amount_axis(in_money("Value of open deals"))),
            color=fixed("part", parts, seen["part"]),
            order=alt.Order("place:Q"),
            tooltip=tooltips(seen),
        )
        .properties(width=page_width(), height=200)
    )


@drawn
def demand_gap(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Unconstrained demand less budget by family and period: the number in money, the colour by share."""
    shown = view.assign(gap_text=[views.signed(views.short(g)) for g in view["gap_amt"]])
    return heat_map(shown, "member", "period_label", period_order(view), diverging("gap_ratio", -0.25, 0.0, 0.25, False), "gap_text")


@drawn
def risks_opportunities(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Expected money of each: to the left what takes demand below the plan, to the right what lifts it."""
    sides = {"expected_risk_amt": "risk", "expected_opportunity_amt": "opportunity"}
    both = view.melt([c for c in view if c not in sides], list(sides), "side", "value_amt")
    rows = both.assign(side=both["side"].map(sides))
    labels = [f"{views.short(risk)} … {views.signed(views.short(chance))}" for risk, chance in
              zip(view["expected_risk_amt"], view["expected_opportunity_amt"], strict=True)]
    y = alt.Y("what:N", sort=None, title=None, axis=name_axis())
    bars = alt.Chart(rows).mark_bar(height=alt.RelativeBandSize(0.68)).encode(
        y=y, x=alt.X("value_amt:Q", axis=amount_axis(in_money("Expected money"))), tooltip=tooltips(rows),
        color=fixed("side", {"risk": ORANGE, "opportunity": BLUE}, rows["side"]))
    shown = view.assign(bar_label=labels)
    place = alt.X("expected_opportunity_amt:Q")
    numbers = alt.Chart(shown).mark_text(align="left", dx=5).encode(y=y, x=place, text=alt.Text("bar_label:N"))
    return (bars + numbers).properties(width=room(view["what"], labels), height=alt.Step(24))
