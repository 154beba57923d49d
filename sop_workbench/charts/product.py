"""Charts of the product review."""

from __future__ import annotations

import altair as alt
import pandas as pd

from sop_workbench import views
from sop_workbench.charts.drawing import (
    amount_axis,
    drawn,
    fixed,
    hues_of,
    in_money,
    multiples,
    ranked_bars,
    shorts,
    thick_where,
    time_axis,
    tooltips,
)
from sop_workbench.charts.look import BLUE, GREY, INK, ORANGE, PALE_BLUE, PALE_GREY, brand_apart_from, current, page_width


@drawn
def abc_xyz(view: pd.DataFrame) -> alt.TopLevelMixin:
    """The nine cells with items and revenue."""
    shown = view.assign(
        item_text=[f"{n:,} item{'' if n == 1 else 's'}" for n in view["item_count"]],
        money_text=[
            f"{views.short(m, current().currency)} · {views.percent(r, 0)}"
            for m, r in zip(view["revenue_amt"], view["revenue_ratio"], strict=True)
        ],
    )
    base = alt.Chart(shown).encode(
        x=alt.X(
            "xyz:N",
            sort=["X", "Y", "Z"],
            axis=alt.Axis(title="X steady · Y variable · Z erratic", labelAngle=0, orient="top", labelFontSize=14),
        ),
        y=alt.Y("abc:N", sort=["A", "B", "C"], axis=alt.Axis(title=None, labelFontSize=14)),
    )
    cells = base.mark_rect(stroke="white").encode(
        color=alt.Color("revenue_ratio:Q", scale=alt.Scale(range=[PALE_GREY, PALE_BLUE], interpolate="rgb"), legend=None),
        tooltip=tooltips(view),
    )
    items = base.mark_text(color=INK, fontSize=14, fontWeight=600, dy=-9).encode(text=alt.Text("item_text:N"))
    money = base.mark_text(color=INK, dy=10).encode(text=alt.Text("money_text:N"))
    return (cells + items + money).properties(width=600, height=210)


@drawn
def portfolio(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Margin against volume; a bubble is a family in one stage of life, as large as its revenue."""
    colours = {"launch": "#009e73", "mature": BLUE, "phase_out": "#e69f00", "ended": ORANGE}
    is_large = view["revenue_amt"] > 0.03 * view["revenue_amt"].sum()
    base = alt.Chart(view.assign(label=view["family"].where(is_large, ""))).encode(
        x=alt.X("demand_qty:Q", axis=amount_axis("Volume of the last twelve months, units"), scale=alt.Scale(nice=True, padding=30)),
        y=alt.Y("margin_ratio:Q", axis=alt.Axis(title="Gross margin, %", format=".0%"), scale=alt.Scale(zero=False, padding=30)),
    )
    bubbles = base.mark_circle(opacity=0.65, stroke="white").encode(
        size=alt.Size("revenue_amt:Q", scale=alt.Scale(range=[60, 2200]), legend=None),
        color=fixed("lifecycle", colours, view["lifecycle"], "Stage of life", alt.Legend(labelExpr="replace(datum.label, '_', '-')")),
        tooltip=tooltips(view),
    )
    zero = alt.Chart(view.head(1)).mark_rule(opacity=0.5).encode(y=alt.YDatum(0)) if (view["margin_ratio"] < 0).any() else None
    above = alt.expr("-sqrt(scale('size', datum.revenue_amt)) / 2 - 8")
    names = base.mark_text(dy=above, fontSize=11).encode(text=alt.Text("label:N"))
    return alt.layer(*[layer for layer in (zero, bubbles, names) if layer is not None]).properties(width=page_width(), height=340)


@drawn
def tail_curve(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Cumulative revenue by rank over the money in stock, the tail in orange."""
    hues = [brand_apart_from(ORANGE), ORANGE]
    colour = alt.Color("part:N", title="Item belongs to", scale=alt.Scale(domain=["core", "tail"], range=hues))
    x = alt.X("rank:Q", axis=alt.Axis(title="Item by rank of revenue", tickMinStep=1, format="d"), scale=alt.Scale(nice=False, padding=8))
    base = alt.Chart(view).encode(x=x, tooltip=tooltips(view))
    width = max(1.5, min(14.0, 0.7 * page_width() / len(view)))
    revenue = base.mark_line(color=GREY, strokeWidth=1.5).encode(
        y=alt.Y(
            "cumulative_revenue_ratio:Q",
            axis=alt.Axis(title="Revenue, cumulative", format=".0%", tickCount=4),
            scale=alt.Scale(domain=[0, 1]),
        )
    ) + base.mark_circle(size=28, opacity=1).encode(y=alt.Y("cumulative_revenue_ratio:Q"), color=colour)
    stock = base.mark_bar(width=width).encode(y=alt.Y("stock_amt:Q", axis=amount_axis(in_money("Stock"))), color=colour)
    sized = revenue.properties(width=page_width() - 40, height=170), stock.properties(width=page_width() - 40, height=90)
    return alt.vconcat(*sized, spacing=8).resolve_scale(x="shared")


@drawn
def launch_curves(view: pd.DataFrame) -> alt.TopLevelMixin:
    """One line per estimator, the one that is used thick; a small chart per item."""
    order = [*view.loc[view["is_used"], "estimator"].unique(), *view.loc[~view["is_used"], "estimator"].unique()]
    names = list(dict.fromkeys(order))
    colour = alt.Color("estimator:N", title=None, scale=alt.Scale(domain=names, range=hues_of(len(names))), legend=alt.Legend(labelLimit=0))
    width = thick_where("is_used", 4, 1.6)
    lines = (
        alt.Chart(view)
        .mark_line(opacity=0.9)
        .encode(
            x=alt.X("period:T", axis=time_axis(view["period"], 3 if view["member"].nunique() == 1 else 6)),
            y=alt.Y("forecast_qty:Q", axis=amount_axis("Units")),
            color=colour, size=width, tooltip=tooltips(view),
        )
    )  # fmt: skip
    return multiples(alt.layer(lines), view, 120)


@drawn
def excess(view: pd.DataFrame, top: int = 12) -> alt.TopLevelMixin:
    """The items with most money in excess stock."""
    shown = view.head(top).assign(item=view["item_name"].fillna("") + " (" + view["item_id"] + ")")
    labels = shorts(shown["excess_amt"])
    return ranked_bars(shown, "item", "excess_amt", amount_axis(in_money("Excess stock")), labels, alt.ColorValue(ORANGE))
