"""Charts of the pre-S&OP: scenarios, frontiers, losses, samples."""

from __future__ import annotations

import altair as alt
import pandas as pd

from sop_workbench import views
from sop_workbench.charts.cards import TABLE_STYLE, chip_html, framed, heading_cell, note, row_html, safe
from sop_workbench.charts.drawing import AMOUNT_LABEL, amount_axis, drawn, end_labels, in_money, ranked_bars, ratio_axis, tooltips
from sop_workbench.charts.look import BLUE, GREY, HEIGHT, ORANGE, Html, page_width


@drawn
def scenario_deltas(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Change against base, one small chart per money measure."""
    shown = view.assign(measure=view["measure"].map(views.heading), delta_text=[views.signed(views.short(d)) for d in view["delta"]])
    axis = alt.Axis(title=in_money("Change"), labelExpr=AMOUNT_LABEL, tickCount=3, grid=True, labelOverlap=True, labelSeparation=8)
    x = alt.X("delta:Q", axis=axis, scale=alt.Scale(padding=45))
    base = alt.Chart(shown).encode(y=alt.Y("scenario:N", title=None, sort=None, axis=alt.Axis(labelLimit=170)), x=x)
    colour = alt.Color("verdict:N", title="Against base", scale=alt.Scale(domain=["better", "worse", "same"], range=[BLUE, ORANGE, GREY]))
    bars = base.mark_bar(height=alt.RelativeBandSize(0.6)).encode(color=colour, tooltip=tooltips(view))
    order = shown.sort_values("sequence", kind="stable")["measure"].drop_duplicates().tolist()
    columns = 4 if page_width() > 1000 else 3 if page_width() > 500 else 1
    width = 200 if 500 < page_width() <= 760 else max(160.0, (page_width() - 110) / columns - 20)
    layers = alt.layer(bars, end_labels(base, "delta", "delta_text")).properties(width=width, height=alt.Step(22))
    return layers.facet(facet=alt.Facet("measure:N", title=None, sort=order), columns=columns).resolve_scale(x="independent")


def scenario_table(view: pd.DataFrame) -> Html:
    """Measures down, scenarios across: value, change with icon and word, and what each scenario changes."""
    if view.empty:
        return note(view)
    names = ["base", *(n for n in view["scenario"].drop_duplicates() if n != "base")]
    cells = {(row["scenario"], row["measure"]): row for row in view.to_dict("records")}
    measures = view.sort_values("sequence", kind="stable")["measure"].drop_duplicates()
    head = "".join(heading_cell(name, "", name != "Measure") for name in ("Measure", *names))
    sides = [False, *(True for _ in names)]
    rows = "".join(row_html([safe(views.heading(m)), *(_scenario_cell(cells.get((n, m))) for n in names)], sides, False) for m in measures)
    levers = view.drop_duplicates("scenario").set_index("scenario")["levers"]
    changes = "".join(f"<li><b>{safe(name)}</b>: {safe(levers[name])}</li>" for name in names if name != "base")
    return framed(view, f'<table style="{TABLE_STYLE}"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table><ul>{changes}</ul>')


def _scenario_cell(row: dict | None) -> str:
    if row is None:
        return "–"
    if not row["is_feasible"]:
        return "no feasible plan"
    is_plain = row["scenario"] == "base" or row["verdict"] == "same"
    change = "" if is_plain else f"<br><small>{chip_html(row['verdict'])} {safe(row['delta_text'])}</small>"
    return f"{safe(row['value_text'])}{change}"


@drawn
def service_frontier(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Profit by service, and lost sales by stock; the plan's own point stands beside the line. Base is grey beside a what-if."""
    fills = view.loc[view["frontier"] == "service and profit", "fill_ratio"]
    service = alt.X("fill_ratio:Q", axis=ratio_axis("Fill rate", fills), scale=alt.Scale(zero=False, padding=12))
    stock = alt.X("inventory_amt:Q", axis=amount_axis(in_money("Inventory, mean")), scale=alt.Scale(zero=False, padding=12))
    sides = {"service and profit": (service, "profit_amt", "Profit"), "stock and service": (stock, "lost_revenue_amt", "Sales lost")}
    cases = view["case"].unique().tolist()
    hues = [GREY, BLUE][-len(cases):]
    colour = alt.Color("case:N", title=None, legend=alt.Legend(symbolType="stroke") if len(cases) > 1 else None,
                       scale=alt.Scale(domain=cases, range=hues))
    parts = []
    for name, (x, column, words) in sides.items():
        y = alt.Y(f"{column}:Q", axis=amount_axis(in_money(words)), scale=alt.Scale(zero=False))
        base = alt.Chart(view[view["frontier"] == name], title=alt.Title(views.heading(name), anchor="start")).encode(x=x, y=y)
        line = base.transform_filter("!datum.is_plan").mark_line(point=True).encode(color=colour)
        here = base.transform_filter("datum.is_plan")
        plan = here.mark_point(size=120, filled=True, color=ORANGE)
        label = here.mark_text(align="left", dx=9, dy=-9, fontWeight=600).encode(text=alt.Text("plan_text:N"))
        parts.append((line + plan + label).encode(tooltip=tooltips(view)).properties(width=(page_width() - 190) / 2, height=HEIGHT))
    return alt.hconcat(*parts)


@drawn
def vulnerability(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Profit lost by each failure, with the service that is left."""
    labels = [f"{views.short(lost)} · service {views.percent(fill)}" for lost, fill in
              zip(view["lost_profit_amt"], view["fill_ratio"], strict=True)]
    return ranked_bars(view, "name", "lost_profit_amt", amount_axis(in_money("Profit lost")), labels, alt.ColorValue(ORANGE))


@drawn
def sample_outcomes(view: pd.DataFrame) -> alt.TopLevelMixin:
    """One point a sample: service across, profit up; rings around points where both plans come to the same."""
    names = view["plan"].drop_duplicates().tolist()
    base = alt.Chart(view).encode(
        x=alt.X("fill_ratio:Q", axis=ratio_axis("Fill rate", view["fill_ratio"]), scale=alt.Scale(zero=False, padding=15)),
        y=alt.Y("profit_amt:Q", axis=amount_axis(in_money("Profit")), scale=alt.Scale(zero=False)),
        color=alt.Color("plan:N", title=None, scale=alt.Scale(domain=names, range=[BLUE, ORANGE])),
        tooltip=tooltips(view),
    )
    points = base.transform_filter(alt.datum.plan == names[0]).mark_point(filled=True, size=45, opacity=0.8)
    rings = base.transform_filter(alt.datum.plan != names[0]).mark_point(filled=False, size=130, opacity=0.8)
    return (points + rings).properties(width=page_width(), height=HEIGHT)
