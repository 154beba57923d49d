"""What charts share: axes, heat maps, bars, labels, tooltips."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Concatenate

import altair as alt
import pandas as pd

from sop_workbench import views
from sop_workbench.charts.cards import note
from sop_workbench.charts.look import (
    GREY,
    HEIGHT,
    INK,
    NOTE_CHARACTERS,
    PALE_BLUE,
    PALE_GREY,
    PALE_ORANGE,
    SERIES,
    More,
    Shown,
    current,
    hue,
    in_currency,
    page_width,
    worded,
)

_NARROW = 520  # a phone, or a narrow column: everything of a ranked bar has to fit


def drawn(draw: Callable[Concatenate[pd.DataFrame, More], alt.TopLevelMixin]) -> Callable[Concatenate[pd.DataFrame, More], Shown]:
    """Give a chart its view's title and note, or say why there is nothing to draw."""

    @wraps(draw)
    def titled(view: pd.DataFrame, *options: More.args, **named: More.kwargs) -> Shown:
        if view.empty:
            return note(view)
        texts = {name: in_currency(str(view.attrs.get(name, ""))) for name in ("title", "note")}
        title = alt.Title(_lines(texts["title"], 72) or "", subtitle=_lines(texts["note"], NOTE_CHARACTERS))
        return draw(worded(view), *options, **named).properties(title=title)

    return titled


def _lines(text: str, width: int) -> list[str]:
    """The text in lines; a number is not parted from its per cent."""
    return [line.replace("\u00a0", " ") for line in textwrap.wrap(text.replace(" %", "\u00a0%"), width)]


def period_order(view: pd.DataFrame) -> list[str]:
    """Labels of the periods in the order of time."""
    return view.sort_values("period", kind="stable")["period_label"].drop_duplicates().tolist()


def in_money(title: str) -> str:
    """An axis title with the currency."""
    return f"{title}, {current().currency}"


AMOUNT_LABEL = "datum.value != 0 && abs(datum.value) < 1 ? '' : replace(format(datum.value, '~s'), 'G', 'bn')"


def amount_axis(title: str | None, **options: Any) -> alt.Axis:
    """Numbers in k, M and bn."""
    return alt.Axis(title=title, labelExpr=AMOUNT_LABEL, tickCount=5, **options)


def ratio_axis(title: str, values: pd.Series) -> alt.Axis:
    """Per cent with as many decimals as tell the ticks apart."""
    span = float(values.max() - values.min())
    return alt.Axis(title=title, format=".0%" if span > 0.05 else ".1%" if span > 0.005 else ".2%", tickCount=5)


def time_axis(periods: pd.Series, months: int = 3) -> alt.Axis:
    """Month names, the year under each January; weeks by their number, the year under the first and where it changes.

    `months` stand between the names: wide charts have a name each 2 or 3, small ones each 6; of weeks as many as fit.
    """
    if not (periods.dt.day == 1).all():
        return _week_axis(periods, 4 if months > 3 else 12)
    label = "[timeFormat(datum.value, '%b'), month(datum.value) == 0 ? timeFormat(datum.value, '%Y') : '']"
    return alt.Axis(title=None, labelExpr=label, tickCount=alt.TimeIntervalStep(interval="month", step=months), labelOverlap=True)


def _week_axis(periods: pd.Series, most: int) -> alt.Axis:
    weeks = pd.DatetimeIndex(periods.dropna().unique()).sort_values()
    step = -(-len(weeks) // most)
    named = [alt.DateTime(year=week.year, month=week.month, date=week.day) for week in weeks[::step]]
    is_new = f"datum.index == 0 || +timeFormat(datum.value, '%V') <= {step}"
    label = f"['W' + timeFormat(datum.value, '%V'), {is_new} ? timeFormat(datum.value, '%G') : '']"
    return alt.Axis(title=None, labelExpr=label, values=named)


def thick_where(column: str, thick: float, thin: float) -> alt.Size:
    """Lines thick where a column is true. A line's strokeWidth would give way to the one all lines have by default; its size does not."""
    return alt.Size(f"{column}:N", scale=alt.Scale(domain=[True, False], range=[thick, thin]), legend=None)


def few_wide(count: int, width: float) -> float:
    """The width of a chart of `count` columns: one or two do not fill the page."""
    return min(width, 130.0 * count)


def band_axis(**options: Any) -> alt.Axis:
    """Names under bars, one word a line, never turned."""
    return alt.Axis(title=None, labelAngle=0, labelExpr="split(datum.label, ' ')", **options)


def _heading_axis(names: pd.Series) -> alt.Axis:
    """Names under the cells of a heat map: one word a line where words fit the cells, else turned."""
    seen = names.drop_duplicates().astype(str)
    longest = seen.str.split(" ").map(lambda words: max(map(len, words))).max()
    if longest * 6.5 > (page_width() - 160) / len(seen):
        return alt.Axis(title=None, labelAngle=-50, labelLimit=150, labelOverlap=len(seen) > 40)
    return band_axis(labelOverlap=len(seen) > 26)


def hues_of(count: int) -> list[str]:
    """The company's colour and as many others as needed, none of them easily mistaken for it."""
    brand = hue(current().brand_colour)
    others = [c for c in SERIES if c == GREY or min((hue(c) - brand) % 1, (brand - hue(c)) % 1) > 0.06]
    return [current().brand_colour, *others, *SERIES][:count]


def shorts(values: pd.Series) -> list[str]:
    """Amounts in k and M."""
    return [views.short(v) for v in values]


def ranked_bars(view: pd.DataFrame, name: str, measure: str, axis: alt.Axis, labels: list[str], colour: Any) -> alt.LayerChart:
    """Horizontal bars in the order of the view; each number stands to the right of its bar, of zero where the bar goes left.

    There it never meets the names, however long it is.
    """
    x = alt.X(f"{measure}:Q", axis=axis)
    shown = view.assign(bar_label=labels, label_at=view[measure].clip(lower=0))
    base = alt.Chart(shown).encode(y=alt.Y(f"{name}:N", sort=None, title=None, axis=name_axis()))
    bars = base.mark_bar(height=alt.RelativeBandSize(0.68)).encode(x=x, color=colour, tooltip=tooltips(view))
    numbers = base.mark_text(align="left", dx=5).encode(x=alt.X("label_at:Q"), text=alt.Text("bar_label:N"))
    return (bars + numbers).properties(width=room(view[name], labels), height=alt.Step(24))


def name_axis() -> alt.Axis:
    """Names to the left of bars; on a narrow page they are cut, so that bars and numbers stay in sight."""
    return alt.Axis(labelLimit=_name_limit())


def _name_limit() -> float:
    return min(290.0, 0.55 * page_width())


def room(names: pd.Series, labels: Sequence[str]) -> float:
    """Width that names to the left and numbers to the right leave for the bars."""
    taken = min(_name_limit(), 6.2 * names.astype(str).str.len().max()) + 6.2 * max(map(len, labels))
    if page_width() < _NARROW:
        return max(70.0, page_width() - taken - 20)
    return min(page_width() - 190.0, max(220.0, page_width() + 60 - taken))


def end_labels(base: alt.Chart, measure: str, text: str) -> alt.Chart:
    """Numbers to the right of bars that go up, to the left of bars that go down."""
    side, shift = (alt.expr(f"datum['{measure}'] < 0 ? {a} : {b}") for a, b in (("'right'", "'left'"), (-5, 5)))
    return base.mark_text(align=side, dx=shift).encode(text=alt.Text(f"{text}:N"))


def _apart(values: pd.Series, span: float) -> pd.Series:
    """The values moved up as little as needed to stand a twentieth of the span apart, so that labels do not overlap."""
    ordered, gap = values.sort_values(kind="stable"), 0.055 * span
    placed: list[float] = []
    for value in ordered:
        placed.append(max(value, placed[-1] + gap) if placed else value)
    return pd.Series(placed, index=ordered.index).reindex(values.index)


def line_ends(view: pd.DataFrame, name: str, x: str, y: str, is_cut: bool = False) -> pd.DataFrame:
    """The last point of every line, with a place for its name beside it."""
    ends = view[view.groupby(name)[x].transform("max") == view[x]].drop_duplicates(name)
    return ends.assign(place=_apart(ends[y], view[y].max() - (view[y].min() if is_cut else 0.0)))


def tooltips(view: pd.DataFrame) -> list[alt.Tooltip]:
    """What a mark tells when it is pointed at: every column of the view."""
    return [
        alt.Tooltip(f"{c}:Q", title=views.heading(c), format=",.3~f")
        if pd.api.types.is_numeric_dtype(view[c])
        else alt.Tooltip(f"{c}:N", title=views.heading(c))
        for c in view.columns
        if c not in ("period", "sentence")
    ]


def heat_map(
    view: pd.DataFrame, row: str, column: str, columns: list[str] | None, colour: alt.Color, text: str, place: str = ""
) -> alt.LayerChart:
    """Coloured cells with their numbers; the rows keep the order of the view, or stand by their number in the column `place`."""
    order = alt.EncodingSortField(place, op="min") if place else None
    base = alt.Chart(view).encode(
        x=alt.X(f"{column}:N", sort=columns, axis=_heading_axis(view[column])),
        y=alt.Y(f"{row}:N", sort=order, title=None, axis=alt.Axis(labelLimit=200)),
    )
    tooltip = tooltips(view.drop(columns=place or []))
    cells = base.mark_rect(stroke="white", strokeOpacity=0.5).encode(color=colour, tooltip=tooltip)
    is_roomy = view[column].nunique() <= 26
    numbers = base.mark_text(fontSize=10.5 if view[column].nunique() <= 13 else 9.5).encode(
        text=alt.Text(f"{text}:N"), color=_ink_on(colour)
    )
    width = few_wide(view[column].nunique(), page_width() - 160)
    return (cells + numbers if is_roomy else cells).properties(width=width, height=alt.Step(26))


def _ink_on(colour: alt.Color) -> Any:
    """Dark text on coloured cells; on a cell without colour, which shows the page, the page's own."""
    field = str(colour["shorthand"]).partition(":")[0]
    return alt.condition(f"isValid(datum['{field}'])", alt.value(INK), alt.value("currentColor"))


def diverging(field: str, low: float, middle: float, high: float, is_high_bad: bool) -> alt.Color:
    """Colour from fine to not over a middle."""
    ends = (PALE_BLUE, PALE_ORANGE) if is_high_bad else (PALE_ORANGE, PALE_BLUE)
    scale = alt.Scale(domain=[low, middle, high], range=[ends[0], PALE_GREY, ends[1]], clamp=True, interpolate="rgb")
    return alt.Color(f"{field}:Q", scale=scale, legend=None)


def fixed(field: str, colours: dict[str, str], present: pd.Series, title: str | None = None, legend: Any = alt.Undefined) -> alt.Color:
    """Colours by name, only for the names that occur."""
    kept = {name: colour for name, colour in colours.items() if name in set(present)}
    return alt.Color(f"{field}:N", title=title, scale=alt.Scale(domain=list(kept), range=list(kept.values())), legend=legend)


_GAP = 70  # between small charts: room for the numbers and the title of an axis


def multiples(layers: alt.LayerChart | alt.FacetChart, view: pd.DataFrame, height: int) -> alt.TopLevelMixin:
    """One chart, or small ones side by side, each on its own scale."""
    members = view["member"].drop_duplicates()
    if len(members) == 1:
        return layers.properties(width=page_width(), height=HEIGHT)
    columns = 2 if len(members) == 4 else min(3, len(members))
    sized = layers.properties(width=(page_width() - _GAP * (columns - 1)) // columns, height=height)
    return (
        sized.facet(facet=alt.Facet("member:N", title=None, sort=members.tolist()), columns=columns)
        .properties(bounds="flush", spacing={"row": 75, "column": _GAP})
        .resolve_scale(y="independent")
    )
