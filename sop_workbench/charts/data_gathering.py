"""Charts of the data gathering: findings, corrections of the history."""

from __future__ import annotations

import altair as alt
import pandas as pd

from sop_workbench.charts.drawing import amount_axis, drawn, fixed, multiples, time_axis, tooltips
from sop_workbench.charts.look import GREY, INK, ORANGE, PALE_BLUE, current, page_width


@drawn
def issue_scorecard(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Findings by table, coloured by severity."""
    colours = {"blocks": ORANGE, "warns": "#e69f00", "info": PALE_BLUE}
    base = alt.Chart(view).encode(
        y=alt.Y("table:N", sort="-x", title=None), x=alt.X("finding_count:Q", stack="zero", axis=amount_axis("Findings", tickMinStep=1))
    )
    bars = base.mark_bar(height=alt.RelativeBandSize(0.68)).encode(
        color=fixed("severity", colours, view["severity"]), order=alt.Order("severity:N"), tooltip=tooltips(view)
    )
    numbers = base.mark_text(color=INK, dx=-8).encode(
        text=alt.Text("finding_count:Q"), order=alt.Order("severity:N"), detail=alt.Detail("severity:N")
    )
    return (bars + numbers).properties(width=page_width() - 190, height=alt.Step(24))


@drawn
def history_corrections(view: pd.DataFrame) -> alt.TopLevelMixin:
    """History as a line, suggested values as points, one small chart per item."""
    base = alt.Chart(view).encode(x=alt.X("period:T", axis=time_axis(view["period"], 6)))
    line = base.mark_line(color=GREY, strokeWidth=1.6).encode(y=alt.Y("ordered_qty:Q", axis=amount_axis("Units")))
    shift = base.mark_rule(color=ORANGE, strokeDash=[2, 2]).encode(y=alt.Y("ordered_qty:Q"), y2=alt.Y2("corrected_qty:Q"))
    point = base.mark_point(filled=True, size=55, opacity=1, color=ORANGE).encode(
        y=alt.Y("corrected_qty:Q"),
        shape=alt.Shape("kind:N", title="Suggested because of", legend=alt.Legend(symbolFillColor=ORANGE)),
        tooltip=tooltips(view),
    )
    has_point = alt.FieldGTEPredicate(field="corrected_qty", gte=-1e30)
    return multiples(alt.layer(line, shift.transform_filter(has_point), point.transform_filter(has_point)), view, 120)


@drawn
def correction_case(view: pd.DataFrame) -> alt.TopLevelMixin:
    """One series before and after its corrections."""
    base = alt.Chart(view).encode(x=alt.X("period:T", axis=time_axis(view["period"], 6)))
    before = base.mark_line(color=GREY, strokeWidth=1.8).encode(y=alt.Y("ordered_qty:Q", axis=amount_axis("Units")))
    after = base.mark_line(color=current().brand_colour, strokeDash=[4, 3], strokeWidth=1.8).encode(y=alt.Y("corrected_qty:Q"))
    size = alt.Size("mark:N", legend=None, scale=alt.Scale(domain=["chosen", "proposed"], range=[170, 45]))
    points = base.transform_filter("datum.mark != ''")
    booked = points.mark_point(filled=True, opacity=1, color=GREY).encode(y=alt.Y("ordered_qty:Q"), size=size, tooltip=tooltips(view))
    suggested = points.mark_point(filled=True, opacity=1, color=ORANGE).encode(
        y=alt.Y("corrected_qty:Q"), size=size, tooltip=tooltips(view)
    )
    return alt.layer(before, after, booked, suggested).properties(width=page_width(), height=190)
