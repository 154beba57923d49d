"""Charts, tables and cards: each draws the view of its own name and computes nothing.

One look for all: text in the colour of the page (so light, dark and print work), blue for what is fine and
orange for what is not, the company's colour for the plan itself, numbers in k and M with the currency.
`use(settings)` sets currency, colour and the way charts are stored in a notebook: as Vega-Lite 5, which
JupyterLab draws without a network, and as a picture for every other reader.
"""

from __future__ import annotations

import base64
import colorsys
import html
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec

import pandas as pd
import vl_convert

# jsonschema, with which altair checks its charts, would build a grammar of web addresses for it: 1.3 s of every start, never used.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
import altair as alt  # noqa: E402

from sop_workbench import views  # noqa: E402
from sop_workbench.settings import Settings  # noqa: E402

BLUE, ORANGE, AMBER, GREY = "#0072b2", "#d55e00", "#b36b00", "#7f8790"
PALE_BLUE, PALE_GREY, PALE_ORANGE, INK = "#5aa9d6", "#f4f4f2", "#ee8a3c", "#141414"
WIDTH, HEIGHT = 740, 260  # fits a laptop's JupyterLab with its file list open
_AXIS_ROOM = 98  # what axis labels, their title and padding take beside the bars
VEGA_LITE_MIME = "application/vnd.vegalite.v5+json"

VEGA_LITE_VERSION = "6.4"
_VEGA_LITE_5 = "https://vega.github.io/schema/vega-lite/v5.json"
_FONT = "Arial, Helvetica, 'Liberation Sans', sans-serif"  # equal widths, so that labels fit wherever the drawing is shown
_CONTRAST_LUMINANCE = 0.18  # seen 4 : 1 and better against white and against near-black
_NOTE_CHARACTERS = 112
_SERIES = (BLUE, ORANGE, "#009e73", "#cc79a7", GREY, "#b38f00", "#56b4e9", "#8c5a2b")
_CHIP_COLOURS = {
    "on target": "#1b7f4b",
    "watch": "#9a5b00",
    "act": "#b3261e",
    "not judged": "#666c73",
    "blocks": "#b3261e",
    "warns": "#9a5b00",
    "info": "#3a6ea5",
    "better": "#1b6ea5",
    "worse": "#b3261e",
    "same": "#666c73",
    "late": "#b3261e",
    "missed": "#b3261e",
    "held": "#1b7f4b",
    "unjudged": "#666c73",
    "not scored": "#666c73",
    "open": "#3a6ea5",
    "done": "#1b7f4b",
    "closed": "#1b7f4b",
    "answered": "#1b7f4b",
    "no action": "#9a5b00",
    "cancelled": "#666c73",
    "reached": "#1b7f4b",
    "not yet": "#9a5b00",
    "met, but not those before": "#3a6ea5",
    "change request": "#b3261e",
    "fix it this week": "#3a6ea5",
    "too late": "#b3261e",
}
_ICONS = {"blocks": "■", "warns": "▲", "info": "●", "better": "▲", "worse": "▼", "same": "=", "held": "✓", "missed": "✗", "not scored": "–"}


@dataclass(frozen=True)
class Style:
    """What a company sets: its currency and its colour."""

    currency: str = "EUR"
    brand_colour: str = BLUE


class Html(str):
    """A piece of HTML that a notebook shows."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return str(self)


Shown = alt.TopLevelMixin | Html
_More = ParamSpec("_More")
_style = Style()


def use(settings: Settings) -> None:
    """Set the company's currency, colour and locale for all charts, and store charts so that they open offline."""
    global _style
    _style = Style(settings.currency, readable(settings.brand_colour))
    views.use_locale(settings.locale)
    alt.theme.register("sop", enable=True)(_theme)
    alt.renderers.register("sop", _mime_bundle)
    alt.renderers.enable("sop")
    alt.data_transformers.disable_max_rows()


def currency() -> str:
    """The company's currency, as `use` set it."""
    return _style.currency


def in_currency(text: str) -> str:
    """A text of a view with the company's currency in the place of its sign."""
    return _in_currency(text)


def chip(words: str) -> Html:
    """A status or verdict as icon and word on its colour."""
    return Html(_chip(words))


@contextmanager
def at_width(width: int) -> Iterator[None]:
    """Draw for a place of this many pixels instead of a cell of JupyterLab."""
    global WIDTH
    before = WIDTH
    WIDTH = max(width - _AXIS_ROOM, 200)
    try:
        yield
    finally:
        WIDTH = before


@contextmanager
def unchecked() -> Iterator[None]:
    """Draw without comparing every part of a chart with the grammar of Vega-Lite: what the tests have done need not be done for a viewer.

    It takes a fifth of a drawing's time, and reading the grammar makes a forked kernel copy 10 MB of shared memory.
    """
    with alt.utils.schemapi.debug_mode(False):
        yield


def readable(colour: str) -> str:
    """The colour made as light or dark as needed to be seen on white and on black alike.

    Examples
    --------
    >>> readable("#0b5394"), readable("#ffee00")
    ('#1077d4', '#807800')
    """
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    hue, _, saturation = colorsys.rgb_to_hls(red, green, blue)
    low, high = 0.0, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        if luminance(*colorsys.hls_to_rgb(hue, middle, saturation)) < _CONTRAST_LUMINANCE:
            low = middle
        else:
            high = middle
    return "#" + "".join(f"{round(part * 255):02x}" for part in colorsys.hls_to_rgb(hue, low, saturation))


def are_alike(one: str, other: str) -> bool:
    """Tell whether two colours are of nearly the same hue, so that lines in them are taken for each other.

    Examples
    --------
    >>> are_alike("#bb5f00", "#e0a458"), are_alike("#2b8467", "#e0a458")
    (True, False)
    """
    apart = abs(_hue(one) - _hue(other))
    return min(apart, 1 - apart) < 0.06


def luminance(red: float, green: float, blue: float) -> float:
    """Relative luminance of a colour with parts from 0 to 1, as the web's contrast rule (WCAG) defines it.

    Examples
    --------
    >>> round(luminance(1, 1, 1), 3), luminance(0, 0, 0)
    (1.0, 0.0)
    """
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (red, green, blue)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def svg(spec: dict) -> str:
    """A chart's specification drawn as SVG."""
    return vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE_VERSION)


def _mime_bundle(spec: dict, **_: Any) -> tuple[dict, dict]:
    drawable = {**spec, "$schema": _VEGA_LITE_5}
    # The picture is for readers that cannot draw; without one JupyterLab would add its own and ask to save the notebook.
    opaque = {**spec, "config": {**spec.get("config", {}), "background": "white"}}
    picture = vl_convert.vegalite_to_png(opaque, vl_version=VEGA_LITE_VERSION)
    bundle = {VEGA_LITE_MIME: drawable, "image/png": base64.b64encode(picture).decode(), "text/plain": title_text(spec)}
    return bundle, {VEGA_LITE_MIME: {"embed_options": {"renderer": "svg", "actions": False}}}


def title_text(spec: dict) -> str:
    """The title of a chart's specification, for those who cannot see it."""
    title = spec.get("title", "")
    text = title.get("text", "") if isinstance(title, dict) else title
    return " ".join(text) if isinstance(text, list) else str(text) or "chart"


def _theme() -> alt.theme.ThemeConfig:
    ink: Any = {"labelColor": "currentColor", "titleColor": "currentColor"}
    return alt.theme.ThemeConfig(
        {
            "config": {
                "background": "transparent",
                **_vega_locale(),  # type: ignore[typeddict-item]
                "font": _FONT,
                "padding": {"left": 4, "right": 24, "top": 4, "bottom": 4},
                "view": {"stroke": None, "continuousWidth": WIDTH, "continuousHeight": HEIGHT, "discreteWidth": WIDTH},
                "title": {
                    "anchor": "start",
                    "color": "currentColor",
                    "subtitleColor": "currentColor",
                    "fontSize": 16,
                    "fontWeight": 600,
                    "subtitleFontSize": 11.5,
                    "subtitlePadding": 5,
                    "offset": 12,
                    "frame": "bounds",  # from the left edge, so that long names do not push it out of the cell
                },
                "axis": {
                    **ink,
                    "domainColor": "currentColor",
                    "tickColor": "currentColor",
                    "gridColor": "currentColor",
                    "gridOpacity": 0.14,
                    "domainOpacity": 0.45,
                    "tickOpacity": 0.45,
                    "labelFontSize": 11.5,
                    "titleFontSize": 11.5,
                    "titleFontWeight": "normal",
                    "titlePadding": 10,
                    "labelLimit": 220,
                },
                "axisX": {"grid": False},
                "axisBand": {"ticks": False},
                "legend": {
                    **ink,
                    "orient": "top",
                    "titleFontSize": 11.5,
                    "labelFontSize": 11.5,
                    "symbolStrokeWidth": 2,
                    "labelLimit": 260,
                    "symbolOpacity": 1,
                    "columnPadding": 24,
                },
                "header": {**ink, "labelFontSize": 12.5, "labelFontWeight": 600, "title": None},
                "text": {"color": "currentColor", "fontSize": 11.5},
                "rule": {"color": "currentColor"},
                "line": {"strokeWidth": 2.4},
                "range": {"category": list(_SERIES)},
            }
        }
    )


def _vega_locale() -> dict[str, Any]:
    """How the locale writes numbers and days, in the words of the drawing library; nothing for English, which it knows."""
    used = views.locale()
    if used.language == "en":
        return {}
    symbols = used.number_symbols["latn"]
    months, days = used.months["format"], used.days["format"]
    return {"locale": {
        "number": {"decimal": symbols["decimal"], "thousands": symbols["group"], "grouping": [3], "currency": ["", ""]},
        "time": {
            "dateTime": "%d %b %Y, %H:%M", "date": "%d %b %Y", "time": "%H:%M", "periods": ["AM", "PM"],
            "days": [days["wide"][i] for i in (6, 0, 1, 2, 3, 4, 5)], "shortDays": [days["abbreviated"][i] for i in (6, 0, 1, 2, 3, 4, 5)],
            "months": list(months["wide"].values()), "shortMonths": list(months["abbreviated"].values()),
        },
    }}


# ------------------------------------------------------------------ shared drawing
def _drawn(draw: Callable[Concatenate[pd.DataFrame, _More], alt.TopLevelMixin]) -> Callable[Concatenate[pd.DataFrame, _More], Shown]:
    """Give a chart its view's title and note, or say why there is nothing to draw."""

    @wraps(draw)
    def titled(view: pd.DataFrame, *options: _More.args, **named: _More.kwargs) -> Shown:
        if view.empty:
            return note(view)
        texts = {name: _in_currency(str(view.attrs.get(name, ""))) for name in ("title", "note")}
        title = alt.Title(textwrap.wrap(texts["title"], 72) or "", subtitle=textwrap.wrap(texts["note"], _NOTE_CHARACTERS))
        return draw(_worded(view), *options, **named).properties(title=title)

    return titled


def _in_currency(text: str) -> str:
    return text.replace(views.MONEY, _style.currency)


def _worded(view: pd.DataFrame) -> pd.DataFrame:
    """The view with its currency sign replaced, and `label` beside `period` in time order."""
    worded = view.copy()
    for column in worded.select_dtypes("object"):
        worded[column] = [_in_currency(v) if isinstance(v, str) else v for v in worded[column]]
    if "period" in worded:
        worded["period_label"] = views.period_labels(worded["period"])
    return worded


def _period_order(view: pd.DataFrame) -> list[str]:
    return view.sort_values("period", kind="stable")["period_label"].drop_duplicates().tolist()


def _money(title: str) -> str:
    return f"{title}, {_style.currency}"


_AMOUNT_LABEL = "datum.value != 0 && abs(datum.value) < 1 ? '' : replace(format(datum.value, '~s'), 'G', 'bn')"


def _amount_axis(title: str | None, **options: Any) -> alt.Axis:
    """Numbers in k, M and bn."""
    return alt.Axis(title=title, labelExpr=_AMOUNT_LABEL, tickCount=5, **options)


def _ratio_axis(title: str, values: pd.Series) -> alt.Axis:
    """Per cent with as many decimals as tell the ticks apart."""
    span = float(values.max() - values.min())
    return alt.Axis(title=title, format=".0%" if span > 0.05 else ".1%" if span > 0.005 else ".2%", tickCount=5)


def _time_axis(months: int = 3) -> alt.Axis:
    """Month names, the year under each January."""
    label = "[timeFormat(datum.value, '%b'), month(datum.value) == 0 ? timeFormat(datum.value, '%Y') : '']"
    return alt.Axis(title=None, labelExpr=label, tickCount=alt.TimeIntervalStep(interval="month", step=months), labelOverlap=True)


def _band_axis(**options: Any) -> alt.Axis:
    """Names under bars, one word a line, never turned."""
    return alt.Axis(title=None, labelAngle=0, labelExpr="split(datum.label, ' ')", **options)


def _heading_axis(names: pd.Series) -> alt.Axis:
    """Names under the cells of a heat map: one word a line where words fit the cells, else turned."""
    seen = names.drop_duplicates().astype(str)
    longest = seen.str.split(" ").map(lambda words: max(map(len, words))).max()
    if longest * 6.5 > (WIDTH - 160) / len(seen):
        return alt.Axis(title=None, labelAngle=-50, labelLimit=150, labelOverlap=len(seen) > 40)
    return _band_axis(labelOverlap=len(seen) > 26)


def _series(count: int) -> list[str]:
    """The company's colour and as many others as needed, none of them easily mistaken for it."""
    brand = _hue(_style.brand_colour)
    others = [c for c in _SERIES if c == GREY or min((_hue(c) - brand) % 1, (brand - _hue(c)) % 1) > 0.06]
    return [_style.brand_colour, *others, *_SERIES][:count]


def _hue(colour: str) -> float:
    return colorsys.rgb_to_hls(*(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)))[0]


def _shorts(values: pd.Series) -> list[str]:
    return [views.short(v) for v in values]


def _ranked_bars(view: pd.DataFrame, name: str, measure: str, axis: alt.Axis, labels: list[str], colour: Any) -> alt.LayerChart:
    """Horizontal bars in the order of the view; each number stands to the right of its bar, of zero where the bar goes left.

    There it never meets the names, however long it is.
    """
    x = alt.X(f"{measure}:Q", axis=axis)
    shown = view.assign(bar_label=labels, label_at=view[measure].clip(lower=0))
    base = alt.Chart(shown).encode(y=alt.Y(f"{name}:N", sort=None, title=None, axis=alt.Axis(labelLimit=290)))
    bars = base.mark_bar(height=alt.RelativeBandSize(0.68)).encode(x=x, color=colour, tooltip=_tooltips(view))
    numbers = base.mark_text(align="left", dx=5).encode(x="label_at:Q", text="bar_label:N")
    return (bars + numbers).properties(width=_room(view[name], labels), height=alt.Step(24))


def _room(names: pd.Series, labels: Sequence[str]) -> float:
    """Width that names to the left and numbers to the right leave for the bars of a cell in JupyterLab."""
    taken = min(290.0, 6.2 * names.astype(str).str.len().max()) + 6.2 * max(map(len, labels))
    return min(WIDTH - 190.0, max(220.0, WIDTH + 60 - taken))


def _end_labels(base: alt.Chart, measure: str, text: str) -> alt.Chart:
    """Numbers to the right of bars that go up, to the left of bars that go down."""
    side, shift = (alt.expr(f"datum['{measure}'] < 0 ? {a} : {b}") for a, b in (("'right'", "'left'"), (-5, 5)))
    return base.mark_text(align=side, dx=shift).encode(text=f"{text}:N")


def _apart(values: pd.Series, span: float) -> pd.Series:
    """The values moved up as little as needed to stand a twentieth of the span apart, so that labels do not overlap."""
    ordered, gap = values.sort_values(kind="stable"), 0.055 * span
    placed: list[float] = []
    for value in ordered:
        placed.append(max(value, placed[-1] + gap) if placed else value)
    return pd.Series(placed, index=ordered.index).reindex(values.index)


def _line_ends(view: pd.DataFrame, name: str, x: str, y: str, is_cut: bool = False) -> pd.DataFrame:
    """The last point of every line, with a place for its name beside it."""
    ends = view[view.groupby(name)[x].transform("max") == view[x]].drop_duplicates(name)
    return ends.assign(place=_apart(ends[y], view[y].max() - (view[y].min() if is_cut else 0.0)))


def _tooltips(view: pd.DataFrame) -> list[alt.Tooltip]:
    return [
        alt.Tooltip(f"{c}:Q", title=views.heading(c), format=",.3~f")
        if pd.api.types.is_numeric_dtype(view[c])
        else alt.Tooltip(f"{c}:N", title=views.heading(c))
        for c in view.columns
        if c not in ("period", "sentence")
    ]


def _heat_map(
    view: pd.DataFrame, row: str, column: str, columns: list[str] | None, colour: alt.Color, text: str, place: str = ""
) -> alt.LayerChart:
    """Coloured cells with their numbers; the rows keep the order of the view, or stand by their number in the column `place`."""
    order = alt.EncodingSortField(place, op="min") if place else None
    base = alt.Chart(view).encode(
        x=alt.X(f"{column}:N", sort=columns, axis=_heading_axis(view[column])),
        y=alt.Y(f"{row}:N", sort=order, title=None, axis=alt.Axis(labelLimit=200)),
    )
    tooltip = _tooltips(view.drop(columns=place or []))
    cells = base.mark_rect(stroke="white", strokeOpacity=0.5).encode(color=colour, tooltip=tooltip)
    is_roomy = view[column].nunique() <= 26
    numbers = base.mark_text(fontSize=10.5 if view[column].nunique() <= 13 else 9.5).encode(text=f"{text}:N", color=_ink_on(colour))
    return (cells + numbers if is_roomy else cells).properties(width=WIDTH - 160, height=alt.Step(26))


def _ink_on(colour: alt.Color) -> Any:
    """Dark text on coloured cells; on a cell without colour, which shows the page, the page's own."""
    field = str(colour["shorthand"]).partition(":")[0]
    return alt.condition(f"isValid(datum['{field}'])", alt.value(INK), alt.value("currentColor"))


def _diverging(field: str, low: float, middle: float, high: float, is_high_bad: bool) -> alt.Color:
    ends = (PALE_BLUE, PALE_ORANGE) if is_high_bad else (PALE_ORANGE, PALE_BLUE)
    scale = alt.Scale(domain=[low, middle, high], range=[ends[0], PALE_GREY, ends[1]], clamp=True, interpolate="rgb")
    return alt.Color(f"{field}:Q", scale=scale, legend=None)


def _fixed(field: str, colours: dict[str, str], present: pd.Series, title: str | None = None, legend: Any = alt.Undefined) -> alt.Color:
    """Colours by name, only for the names that occur."""
    kept = {name: colour for name, colour in colours.items() if name in set(present)}
    return alt.Color(f"{field}:N", title=title, scale=alt.Scale(domain=list(kept), range=list(kept.values())), legend=legend)


# ------------------------------------------------------------------ tables, cards, words
# Styles stand at each element: JupyterLab takes style sheets out of notebooks that are not trusted.
_TABLE = "border-collapse:collapse;font-variant-numeric:tabular-nums"
_CELL = "padding:3px 9px;vertical-align:top;border-bottom:1px solid #8884"
_CARD = "text-align:left;vertical-align:top;padding:10px 14px;border:1px solid #8888"
_CHIP = "color:#ffffff;border-radius:3px;padding:1px 7px;white-space:nowrap"
_CAPTIONS = {"title": "font-size:16px;font-weight:600;margin:6px 0", "note": "font-size:12px;margin:4px 0"}


def note(view: pd.DataFrame) -> Html:
    """A friendly line in place of what cannot be shown, with the reason."""
    reason = _text(view.attrs.get("empty") or "Nothing to show.")
    return Html(f'<p class="sop-note" style="padding:8px 12px;border-left:4px solid {GREY}">{reason}</p>')


def headline(view: pd.DataFrame) -> Html:
    """The decision in words: question, recommendation and money."""
    if view.empty:
        return note(view)
    row = view.iloc[0]
    advice = _text(row["recommendation"]).rstrip(". ") + "."
    more = f" {int(row['more'])} more below." if row["more"] > 0 else ""
    return Html(
        f'<div class="sop-headline" style="border-left:8px solid {_style.brand_colour};padding:6px 16px">'
        f'<p style="font-size:20px;font-weight:600;margin:4px 0">{_text(row["question"])}</p>'
        f'<p style="font-size:15px;margin:4px 0"><b>Recommended:</b> {advice} '
        f"<b>{_text(views.short(row['money_amt'], views.MONEY))}</b> at stake.{more}</p></div>"
    )


def cards(view: pd.DataFrame) -> Html:
    """KPI cards: value, status in icon, word and colour, target, formula."""
    if view.empty:
        return note(view)
    cells = "".join(_card(row) for row in view.to_dict("records"))
    style = "border-collapse:separate;border-spacing:8px"
    return Html(f'<table class="sop-cards" role="presentation" style="{style}"><tbody><tr>{cells}</tr></tbody></table>')


def _card(row: dict) -> str:
    target = f"target {row['target_text']}" if row["target_text"] != "–" else "no target"
    return (
        f'<td style="{_CARD};border-left:7px solid {_chip_colour(row["status_text"])}">'
        f'<div style="font-size:13px;white-space:nowrap">{_text(row["kpi_name"])}</div>'
        f'<div style="font-size:23px;font-weight:600;white-space:nowrap">{_text(row["value_text"])}</div>'
        f'<div style="font-size:12px">{_chip(row["status_text"])}</div>'
        f'<div style="font-size:12px">{_text(target)} · {_text(row["about"])}</div>'
        f'<div class="sop-formula" style="font-size:11px">{_text(row["formula"])}</div></td>'
    )


def table(view: pd.DataFrame, limit: int = 20) -> Html:
    """A clean table: units under the headings, numbers to the right with separators, the rest of the rows counted."""
    if view.empty:
        return note(view)
    is_kept = pd.Series(range(len(view)), index=view.index) < limit
    is_kept |= view.iloc[:, 0].isin(view.attrs.get("bold", ()))  # a total is shown, however many rows it is the total of
    shown = _worded(view[is_kept]).drop(columns="period_label", errors="ignore")
    is_right = {c: _is_right(view[c]) for c in shown.columns}
    bold = shown.iloc[:, 0].isin(view.attrs.get("bold", ()))
    written = zip(*(_unbroken(_written(shown[c], c), shown[c], c) for c in shown.columns), strict=True)
    head = "".join(_heading_cell(views.heading(c), _unit(c), right) for c, right in is_right.items())
    rows = "".join(_row(cells, list(is_right.values()), strong) for cells, strong in zip(written, bold, strict=True))
    rest = len(view) - len(shown)
    more = f'<p class="sop-more">… {rest:,} more</p>' if rest else ""
    return _framed(view, f'<table style="{_TABLE}"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}')


def _unbroken(cells: list[str], values: pd.Series, column: str) -> list[str]:
    """Item numbers, periods and dates stay on one line."""
    if column.endswith(("_id", "period")) or pd.api.types.is_datetime64_any_dtype(values):
        return [f'<span style="white-space:nowrap">{cell}</span>' for cell in cells]
    return cells


def _framed(view: pd.DataFrame, body: str) -> Html:
    """A table between its title and its note."""
    above, below = (
        f'<p class="sop-{name}" style="{style}">{_text(view.attrs[name])}</p>' if view.attrs.get(name) else ""
        for name, style in _CAPTIONS.items()
    )
    return Html(f'<div class="sop-table" style="overflow-x:auto">{above}{body}{below}</div>')


def _heading_cell(name: str, unit: str, is_right: bool) -> str:
    under = f'<br><small style="font-weight:400">{_text(unit)}</small>' if unit else ""
    side = "right" if is_right else "left"
    style = f"text-align:{side};vertical-align:bottom;padding:3px 9px;border-bottom:2px solid {_style.brand_colour}"
    return f'<th scope="col" style="{style}">{_text(name)}{under}</th>'


def _unit(column: str) -> str:
    return next((unit for suffix, unit in views.UNITS.items() if column.endswith(suffix)), "")


def _row(cells: Sequence[str], is_right: Sequence[bool], is_bold: bool) -> str:
    weight = "font-weight:700;" if is_bold else ""
    sides = ("right" if right else "left" for right in is_right)
    body = "".join(f'<td style="{weight}text-align:{side};{_CELL}">{cell}</td>' for cell, side in zip(cells, sides, strict=True))
    return f"<tr>{body}</tr>"


def _is_right(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _written(values: pd.Series, column: str) -> list[str]:
    """Every value of a column as text, by the column's suffix and type."""
    if column.endswith("period"):
        return list(views.period_labels(values.dropna()).reindex(values.index).fillna("–"))
    if pd.api.types.is_datetime64_any_dtype(values):
        return [views.day(v) for v in values]
    if pd.api.types.is_bool_dtype(values):
        return ["yes" if v else "no" for v in values]
    if not pd.api.types.is_numeric_dtype(values):
        return [_chip(v) if v in _CHIP_COLOURS or _chip_word(v) in _CHIP_COLOURS else _text(v) for v in values]
    return _numbers(values, column)


def _numbers(values: pd.Series, column: str) -> list[str]:
    """Numbers of a column, all with the same decimals."""
    if column.endswith("_ratio"):
        return [views.number(v * 100, 1) for v in values]
    is_small = values.abs().max() < 10 and not (values.dropna() % 1 == 0).all()
    digits = 1 if is_small or column.endswith(("_months", "_days")) else 0
    return [views.number(v, digits) for v in values]


def _chip(text: str) -> str:
    words = f"{_ICONS.get(text, '')} {text}".strip()
    return f'<span style="background-color:{_chip_colour(text)};{_CHIP}">{_text(words)}</span>'


def _chip_word(text: Any) -> str:
    """The word behind an icon: `▲ watch` → watch; `late by 2 months` → late."""
    words = str(text).split(" ", 1)
    return "late" if str(text).startswith("late by ") else words[1] if len(words) == 2 and words[0] in views.STATUS_ICONS.values() else ""


def status_colour(text: str) -> str:
    """Colour of a status told in words, as `● on target` or `late by 2 days`; white is readable on it."""
    return _chip_colour(text)


def _chip_colour(text: str) -> str:
    return _CHIP_COLOURS.get(text) or _CHIP_COLOURS.get(_chip_word(text), _CHIP_COLOURS["not judged"])


def _text(value: Any) -> str:
    return (
        "–" if value is None or value is pd.NaT or (isinstance(value, float) and pd.isna(value)) else html.escape(_in_currency(str(value)))
    )


# ------------------------------------------------------------------ 0 data gathering
@_drawn
def issue_scorecard(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Findings by table, coloured by severity."""
    colours = {"blocks": ORANGE, "warns": "#e69f00", "info": PALE_BLUE}
    base = alt.Chart(view).encode(
        y=alt.Y("table:N", sort="-x", title=None), x=alt.X("finding_count:Q", stack="zero", axis=_amount_axis("Findings", tickMinStep=1))
    )
    bars = base.mark_bar(height=alt.RelativeBandSize(0.68)).encode(
        color=_fixed("severity", colours, view["severity"]), order=alt.Order("severity:N"), tooltip=_tooltips(view)
    )
    numbers = base.mark_text(color=INK, dx=-8).encode(text="finding_count:Q", order=alt.Order("severity:N"), detail="severity:N")
    return (bars + numbers).properties(width=WIDTH - 190, height=alt.Step(24))


@_drawn
def history_corrections(view: pd.DataFrame) -> alt.TopLevelMixin:
    """History as a line, suggested values as points, one small chart per item."""
    base = alt.Chart(view).encode(x=alt.X("period:T", axis=_time_axis(6)))
    line = base.mark_line(color=GREY, strokeWidth=1.6).encode(y=alt.Y("ordered_qty:Q", axis=_amount_axis("Units")))
    shift = base.mark_rule(color=ORANGE, strokeDash=[2, 2]).encode(y="ordered_qty:Q", y2="corrected_qty:Q")
    point = base.mark_point(filled=True, size=55, opacity=1, color=ORANGE).encode(
        y="corrected_qty:Q",
        shape=alt.Shape("kind:N", title="Suggested because of", legend=alt.Legend(symbolFillColor=ORANGE)),
        tooltip=_tooltips(view),
    )
    has_point = alt.FieldGTEPredicate(field="corrected_qty", gte=-1e30)
    return _multiples(alt.layer(line, shift.transform_filter(has_point), point.transform_filter(has_point)), view, 120)


@_drawn
def correction_case(view: pd.DataFrame) -> alt.TopLevelMixin:
    """One series before and after its corrections."""
    base = alt.Chart(view).encode(x=alt.X("period:T", axis=_time_axis(6)))
    before = base.mark_line(color=GREY, strokeWidth=1.8).encode(y=alt.Y("ordered_qty:Q", axis=_amount_axis("Units")))
    after = base.mark_line(color=_style.brand_colour, strokeDash=[4, 3], strokeWidth=1.8).encode(y="corrected_qty:Q")
    size = alt.Size("mark:N", legend=None, scale=alt.Scale(domain=["chosen", "proposed"], range=[170, 45]))
    points = base.transform_filter("datum.mark != ''")
    booked = points.mark_point(filled=True, opacity=1, color=GREY).encode(y="ordered_qty:Q", size=size, tooltip=_tooltips(view))
    suggested = points.mark_point(filled=True, opacity=1, color=ORANGE).encode(y="corrected_qty:Q", size=size, tooltip=_tooltips(view))
    return alt.layer(before, after, booked, suggested).properties(width=WIDTH, height=190)


_GAP = 70  # between small charts: room for the numbers and the title of an axis


def _multiples(layers: alt.LayerChart | alt.FacetChart, view: pd.DataFrame, height: int) -> alt.TopLevelMixin:
    """One chart, or small ones side by side, each on its own scale."""
    members = view["member"].drop_duplicates()
    if len(members) == 1:
        return layers.properties(width=WIDTH, height=HEIGHT)
    columns = 2 if len(members) == 4 else min(3, len(members))
    sized = layers.properties(width=(WIDTH - _GAP * (columns - 1)) // columns, height=height)
    return (
        sized.facet(facet=alt.Facet("member:N", title=None, sort=members.tolist()), columns=columns)
        .properties(bounds="flush", spacing={"row": 75, "column": _GAP})
        .resolve_scale(y="independent")
    )


# ------------------------------------------------------------------ 1 product review
@_drawn
def abc_xyz(view: pd.DataFrame) -> alt.TopLevelMixin:
    """The nine cells with items and revenue."""
    shown = view.assign(
        item_text=[f"{n:,} item{'' if n == 1 else 's'}" for n in view["item_count"]],
        money_text=[
            f"{views.short(m, _style.currency)} · {views.percent(r, 0)}"
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
        tooltip=_tooltips(view),
    )
    items = base.mark_text(color=INK, fontSize=14, fontWeight=600, dy=-9).encode(text="item_text:N")
    money = base.mark_text(color=INK, dy=10).encode(text="money_text:N")
    return (cells + items + money).properties(width=600, height=210)


@_drawn
def portfolio(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Margin against volume; a bubble is a family in one stage of life, as large as its revenue."""
    colours = {"launch": "#009e73", "mature": BLUE, "phase_out": "#e69f00", "ended": ORANGE}
    is_large = view["revenue_amt"] > 0.03 * view["revenue_amt"].sum()
    base = alt.Chart(view.assign(label=view["family"].where(is_large, ""))).encode(
        x=alt.X("demand_qty:Q", axis=_amount_axis("Volume of the last twelve months, units"), scale=alt.Scale(nice=True, padding=30)),
        y=alt.Y("margin_ratio:Q", axis=alt.Axis(title="Gross margin, %", format=".0%"), scale=alt.Scale(zero=False, padding=30)),
    )
    bubbles = base.mark_circle(opacity=0.65, stroke="white").encode(
        size=alt.Size("revenue_amt:Q", scale=alt.Scale(range=[60, 2200]), legend=None),
        color=_fixed("lifecycle", colours, view["lifecycle"], "Stage of life", alt.Legend(labelExpr="replace(datum.label, '_', '-')")),
        tooltip=_tooltips(view),
    )
    zero = alt.Chart(view.head(1)).mark_rule(opacity=0.5).encode(y=alt.datum(0)) if (view["margin_ratio"] < 0).any() else None
    above = alt.expr("-sqrt(scale('size', datum.revenue_amt)) / 2 - 8")
    names = base.mark_text(dy=above, fontSize=11).encode(text="label:N")
    return alt.layer(*[layer for layer in (zero, bubbles, names) if layer is not None]).properties(width=WIDTH, height=340)


@_drawn
def tail_curve(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Cumulative revenue by rank over the money in stock, the tail in orange."""
    colour = alt.Color("part:N", title="Item belongs to", scale=alt.Scale(domain=["core", "tail"], range=[_style.brand_colour, ORANGE]))
    x = alt.X("rank:Q", axis=alt.Axis(title="Item by rank of revenue", tickMinStep=1, format="d"), scale=alt.Scale(nice=False, padding=8))
    base = alt.Chart(view).encode(x=x, tooltip=_tooltips(view))
    width = max(1.5, min(14.0, 0.7 * WIDTH / len(view)))
    revenue = base.mark_line(color=GREY, strokeWidth=1.5).encode(
        y=alt.Y(
            "cumulative_revenue_ratio:Q",
            axis=alt.Axis(title="Revenue, cumulative", format=".0%", tickCount=4),
            scale=alt.Scale(domain=[0, 1]),
        )
    ) + base.mark_circle(size=28, opacity=1).encode(y="cumulative_revenue_ratio:Q", color=colour)
    stock = base.mark_bar(width=width).encode(y=alt.Y("stock_amt:Q", axis=_amount_axis(_money("Stock"))), color=colour)
    sized = revenue.properties(width=WIDTH - 40, height=170), stock.properties(width=WIDTH - 40, height=90)
    return alt.vconcat(*sized, spacing=8).resolve_scale(x="shared")


@_drawn
def launch_curves(view: pd.DataFrame) -> alt.TopLevelMixin:
    """One line per estimator, the one that is used thick; a small chart per item."""
    order = [*view.loc[view["is_used"], "estimator"].unique(), *view.loc[~view["is_used"], "estimator"].unique()]
    names = list(dict.fromkeys(order))
    colour = alt.Color("estimator:N", title=None, scale=alt.Scale(domain=names, range=_series(len(names))))
    width = alt.StrokeWidth("is_used:N", scale=alt.Scale(domain=[True, False], range=[4, 1.6]), legend=None)
    lines = (
        alt.Chart(view)
        .mark_line(opacity=0.9)
        .encode(
            x=alt.X("period:T", axis=_time_axis(3 if view["member"].nunique() == 1 else 6)),
            y=alt.Y("forecast_qty:Q", axis=_amount_axis("Units")),
            color=colour, strokeWidth=width, tooltip=_tooltips(view),
        )
    )  # fmt: skip
    return _multiples(alt.layer(lines), view, 120)


@_drawn
def excess(view: pd.DataFrame, top: int = 12) -> alt.TopLevelMixin:
    """The items with most money in excess stock."""
    shown = view.head(top).assign(item=view["item_name"].fillna("") + " (" + view["item_id"] + ")")
    return _ranked_bars(shown, "item", "excess_amt", _amount_axis(_money("Excess stock")), _shorts(shown["excess_amt"]), alt.value(ORANGE))


# ------------------------------------------------------------------ 2 demand review
@_drawn
def forecast_fan(view: pd.DataFrame) -> alt.TopLevelMixin:
    """History, forecast and its range; small charts when there are several members."""
    is_single = view["member"].nunique() == 1
    is_peak = view.groupby("kind")["demand_qty"].transform("max") == view["demand_qty"]
    shown = view.assign(label=view["kind"].str.capitalize().where(is_peak, ""), top_qty=view["high_qty"].fillna(view["demand_qty"]))
    colour = alt.Color("kind:N", legend=None, scale=alt.Scale(domain=["history", "forecast"], range=[GREY, _style.brand_colour]))
    base = alt.Chart(shown).encode(x=alt.X("period:T", axis=_time_axis(3 if is_single else 6)))
    band = base.mark_area(opacity=0.22, color=_style.brand_colour).encode(y=alt.Y("low_qty:Q", axis=_amount_axis("Units")), y2="high_qty:Q")
    line = base.mark_line().encode(y="demand_qty:Q", color=colour, tooltip=_tooltips(view))
    names = base.mark_text(dy=-9, fontWeight=600).encode(y="top_qty:Q", text="label:N", color=colour)
    layers = [band.transform_filter("datum.kind == 'forecast'"), line, *([names] if is_single else [])]
    return _multiples(alt.layer(*layers), view, 120)


launch_fan = forecast_fan


@_drawn
def demand_story(view: pd.DataFrame) -> alt.TopLevelMixin:
    """The fan with corrections as circles and events as triangles on the time axis."""
    is_single = view["member"].nunique() == 1
    is_peak = view.groupby("kind")["demand_qty"].transform("max") == view["demand_qty"]
    words = {"history": "Ordered", "forecast": "Agreed on"}
    shown = view.assign(label=view["kind"].map(words).where(is_peak, ""), top_qty=view["high_qty"].fillna(view["demand_qty"]), ground=0.0)
    colour = alt.Color("kind:N", legend=None, scale=alt.Scale(domain=["history", "forecast"], range=[GREY, _style.brand_colour]))
    base = alt.Chart(shown).encode(x=alt.X("period:T", axis=_time_axis(3 if is_single else 6)))
    y = alt.Y("demand_qty:Q", axis=_amount_axis("Units"))
    ahead = base.transform_filter("datum.kind == 'forecast'")
    band = ahead.mark_area(opacity=0.22, color=_style.brand_colour).encode(y="low_qty:Q", y2="high_qty:Q")
    line = base.mark_line().encode(y=y, color=colour, tooltip=_tooltips(view))
    names = base.mark_text(dy=-9, fontWeight=600).encode(y="top_qty:Q", text="label:N", color=colour)
    corrected = base.transform_filter("datum.correction != ''")
    shift = corrected.mark_rule(color=ORANGE, opacity=0.7).encode(y="demand_qty:Q", y2="corrected_qty:Q")
    circles = corrected.mark_point(filled=True, size=38, opacity=1, stroke=ORANGE).encode(
        y="corrected_qty:Q", tooltip=_tooltips(view),
        fill=alt.Fill("correction:N", title="History corrected", legend=alt.Legend(symbolStrokeColor=ORANGE, symbolType="circle"),
                      scale=alt.Scale(domain=["accepted", "proposed"], range=[ORANGE, "#ffffff"])),
    )  # fmt: skip
    happened = base.transform_filter("datum.events != ''")
    triangles = happened.mark_point(shape="triangle-up", filled=True, size=60, opacity=1, yOffset=-5).encode(
        y="ground:Q", tooltip=_tooltips(view), color=alt.value("#8a6d00"))
    layers = [band, line, shift, circles, triangles, *([names] if is_single else [])]
    return _multiples(alt.layer(*layers), view, 120)


@_drawn
def decomposition(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Trend under demand, and below it what season, promotions, events and chance add, all on one scale of time."""
    whole = view.drop_duplicates("period")
    x = alt.X("period:T", axis=_time_axis(3))
    distinct = next(colour for colour in _series(len(_SERIES))[1:] if colour != GREY)
    scale = alt.Scale(domain=["demand", "forecast", "trend"], range=[GREY, _style.brand_colour, distinct])
    name = alt.Color("line:N", legend=None, scale=scale)
    lines = alt.Chart(_component_lines(view, whole)).encode(x=x)
    ends = alt.Chart(_line_ends(_component_lines(view, whole).query("line != 'demand'"), "line", "period", "quantity"))
    top = lines.mark_line().encode(y=alt.Y("quantity:Q", axis=_amount_axis("Units")), color=name) + ends.mark_text(
        align="left", dx=6, fontWeight=600
    ).encode(x=x, y="place:Q", text="line:N", color=name)
    moved = view[view["component"] != "Trend"]
    seen = moved[moved.groupby("component")["part_qty"].transform(lambda part: part.abs().max()) > _SEEN * whole["demand_qty"].max()]
    domain = [min(seen["part_qty"].min(), 0), max(seen["part_qty"].max(), 0)]
    parts = seen["component"].unique().tolist()
    panels = [_component_bars(seen[seen["component"] == part], part, domain, part == parts[-1]) for part in parts]
    return alt.vconcat(top.properties(width=WIDTH - 70, height=190), *panels, spacing=6).resolve_scale(x="shared")


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
    x = alt.X("period:T", axis=_time_axis(3) if is_last else alt.Axis(title=None, labels=False, ticks=False))
    named: Any = {"titleAngle": 0, "titleAlign": "right", "titleAnchor": "middle", "titleFontWeight": 600}
    axis = alt.Axis(title=textwrap.wrap(part, 12), labelExpr=_AMOUNT_LABEL, tickCount=3, **named)
    y = alt.Y("part_qty:Q", axis=axis, scale=alt.Scale(domain=domain))
    colour = alt.condition("datum.part_qty < 0", alt.value(ORANGE), alt.value(BLUE))
    opacity = alt.condition("datum.is_forecast", alt.value(0.55), alt.value(1.0))
    bars = alt.Chart(rows).mark_bar(width=8).encode(x=x, y=y, color=colour, opacity=opacity, tooltip=_tooltips(rows))
    return bars.properties(width=WIDTH - 70, height=70)


@_drawn
def error_leaderboard(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Back-test error by model, the best on top in the company's colour."""
    shown = view.assign(place=["best" if i == 0 else "other" for i in range(len(view))])
    labels = [
        f"{views.percent(w)}, bias {views.signed(views.percent(b))}" for w, b in zip(view["wape_ratio"], view["bias_ratio"], strict=True)
    ]
    colour = alt.Color("place:N", legend=None, scale=alt.Scale(domain=["best", "other"], range=[_style.brand_colour, GREY]))
    return _ranked_bars(shown, "model", "wape_ratio", alt.Axis(title="WAPE, %", format=".0%", tickCount=6), labels, colour)


@_drawn
def streams(view: pd.DataFrame) -> alt.TopLevelMixin:
    """One line per stream, named at its end; the consensus thick."""
    names = ["consensus", *sorted(set(view["stream"]) - {"consensus"})]
    colours = _series(len(names))
    colour = alt.Color("stream:N", legend=None, scale=alt.Scale(domain=names, range=colours))
    is_cut = view["demand_qty"].min() > 0.5 * view["demand_qty"].max()
    axis = _amount_axis("Units (axis does not start at 0)" if is_cut else "Units")
    y = alt.Y("demand_qty:Q", axis=axis, scale=alt.Scale(zero=not is_cut))
    x = alt.X("period:T", axis=_time_axis(2))
    width = alt.StrokeWidth("stream:N", scale=alt.Scale(domain=names, range=[4.5, *(1.8 for _ in names[1:])]), legend=None)
    lines = alt.Chart(view).mark_line(opacity=0.85).encode(x=x, y=y, color=colour, strokeWidth=width, tooltip=_tooltips(view))
    ends = alt.Chart(_line_ends(view, "stream", "period", "demand_qty", is_cut))
    labels = ends.mark_text(align="left", dx=6, fontWeight=600).encode(x=x, y="place:Q", text="stream:N", color=colour)
    return (lines + labels).properties(width=WIDTH - 90, height=HEIGHT)


@_drawn
def stream_weights(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Weight of each stream, with its past error and bias."""
    labels = [
        f"{views.percent(r.weight_ratio, 0)}  (error {views.percent(r.wape_ratio, 0)}, bias {views.signed(views.percent(r.bias_ratio, 0))})"
        for r in view.itertuples()
    ]
    return _ranked_bars(
        view,
        "stream",
        "weight_ratio",
        alt.Axis(title="Weight in the consensus, %", format=".0%", tickCount=6),
        labels,
        alt.value(_style.brand_colour),
    )


@_drawn
def value_added(view: pd.DataFrame) -> alt.TopLevelMixin:
    """The staircase of errors: each stair with its gain over the one before."""
    gains = view["gain_over_previous_ratio"]
    shown = view.assign(
        side=["same" if pd.isna(g) or abs(g) < 5e-5 else "better" if g > 0 else "worse" for g in gains],
        error_text=[views.percent(e) for e in view["wape_ratio"]],
        gain_text=["" if pd.isna(g) else f"{'−' if g > 0 else '+'}{abs(g) * 100:.1f} pts" for g in gains],
    )
    base = alt.Chart(shown).encode(
        x=alt.X("stair:N", sort=shown["stair"].tolist(), axis=_band_axis()),
        y=alt.Y(
            "wape_ratio:Q",
            axis=alt.Axis(title="WAPE, %", format=".0%", tickCount=5),
            scale=alt.Scale(domainMax=1.15 * view["wape_ratio"].max()),
        ),
    )
    colour = alt.Color(
        "side:N", title="Against the stair before", scale=alt.Scale(domain=["better", "worse", "same"], range=[BLUE, ORANGE, GREY])
    )
    bars = base.mark_bar(width=alt.RelativeBandSize(0.62)).encode(color=colour, tooltip=_tooltips(view))
    numbers = base.mark_text(dy=-20, fontWeight=600).encode(text="error_text:N") + base.mark_text(dy=-7, fontSize=10.5).encode(
        text="gain_text:N"
    )
    return (bars + numbers).properties(width=WIDTH, height=HEIGHT)


@_drawn
def bias_heat_map(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Bias of streams and their authors by family or region, orange where plans were too high."""
    shown = view.assign(bias_text=[views.signed(views.percent(b, 0)) for b in view["bias_ratio"]])
    return _heat_map(shown, "who", "member", None, _diverging("bias_ratio", -0.25, 0.0, 0.25, True), "bias_text")


@_drawn
def demand_vs_budget(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Demand as bars, budget as a step over each."""
    shown = view.assign(
        side=["below" if g < 0 else "above" for g in view["gap_amt"]], gap_text=[views.signed(views.short(g)) for g in view["gap_amt"]]
    )
    base = alt.Chart(shown).encode(x=alt.X("period_label:N", sort=_period_order(view), axis=_band_axis()))
    colour = alt.Color(
        "side:N",
        title="Unconstrained demand is",
        scale=alt.Scale(domain=["above", "below"], range=[BLUE, ORANGE]),
        legend=alt.Legend(labelExpr="datum.label + ' budget (the line)'"),
    )
    bars = base.mark_bar(width=alt.RelativeBandSize(0.66)).encode(
        y=alt.Y("demand_amt:Q", axis=_amount_axis(_money("Revenue"))), color=colour, tooltip=_tooltips(view)
    )
    budget = base.mark_tick(thickness=3, size=0.8 * WIDTH / len(view), color="currentColor").encode(y="budget_amt:Q")
    text = (
        base.mark_text(dy=-9, fontSize=10.5)
        .encode(y=alt.Y("top:Q"), text="gap_text:N")
        .transform_calculate(top="max(datum.demand_amt, datum.budget_amt)")
    )
    return (bars + budget + text).properties(width=WIDTH, height=HEIGHT)


@_drawn
def driver_effects(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Best estimates with their ranges, one panel per kind of effect; a tick where people stated something else."""
    colour = _fixed("basis", {"estimated from history": _style.brand_colour, "as stated": GREY, "assumed": "#e69f00"}, view["basis"],
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
        x=alt.X("low_ratio:Q", axis=axis, scale=scale), x2="high_ratio:Q", color=colour)
    point = base.mark_point(filled=True, size=80, opacity=1).encode(x="effect_ratio:Q", color=colour, tooltip=_tooltips(rows))
    stated = base.transform_filter("isValid(datum.stated_ratio)").mark_tick(thickness=2.5, size=15, color="currentColor")
    zero = alt.Chart(rows.head(1)).mark_rule(opacity=0.4).encode(x=alt.datum(0))
    return (zero + span + point + stated.encode(x="stated_ratio:Q")).properties(width=WIDTH - 230, height=alt.Step(21))


@_drawn
def promotion_cases(view: pd.DataFrame) -> alt.TopLevelMixin:
    """What each promotion ahead brings or costs, with its uplift and the one it would need."""
    labels = [
        f"{views.signed(views.short(net))}  (uplift {views.percent(uplift, 0)}, "
        + ("no uplift pays)" if pd.isna(even) else f"pays from {views.percent(even, 0)})")
        for net, uplift, even in zip(view["net_amt"], view["uplift_ratio"], view["break_even_ratio"], strict=True)
    ]
    colour = alt.condition("datum.net_amt < 0", alt.value(ORANGE), alt.value(BLUE))
    return _ranked_bars(view, "promotion", "net_amt", _amount_axis(_money("Net of the promotion")), labels, colour)


@_drawn
def price_cases(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Change of margin at a lower and a higher price by family, with the range of the elasticity as a line."""
    changes = view["change"].drop_duplicates().tolist()
    colour = alt.Color("change:N", title=None, scale=alt.Scale(domain=changes, range=["#e69f00", _style.brand_colour]))
    base = alt.Chart(view).encode(
        y=alt.Y("family:N", sort=None, title=None, axis=alt.Axis(labelLimit=200)), yOffset=alt.YOffset("change:N", sort=changes)
    )
    bars = base.mark_bar().encode(
        x=alt.X("margin_change_amt:Q", axis=_amount_axis(_money("Change of margin"))), color=colour, tooltip=_tooltips(view))
    span = base.mark_rule(strokeWidth=1.5, opacity=0.6).encode(x="margin_change_low_amt:Q", x2="margin_change_high_amt:Q")
    return (bars + span).properties(width=WIDTH - 160, height=alt.Step(13))


@_drawn
def pipeline(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Open deals by close period: what the plan counts below, what would come on top above."""
    parts = {"counted in the plan": _style.brand_colour, "on top if won": PALE_BLUE, "not counted here": GREY}
    seen = view[view["value_amt"] > 0]
    order = "indexof(['counted in the plan', 'on top if won', 'not counted here'], datum.part)"
    return (
        alt.Chart(seen)
        .transform_calculate(place=order)
        .mark_bar(width=alt.RelativeBandSize(0.6))
        .encode(
            x=alt.X("period_label:N", sort=_period_order(view), axis=_band_axis()),
            y=alt.Y("value_amt:Q", axis=_amount_axis(_money("Value of open deals"))),
            color=_fixed("part", parts, seen["part"]),
            order=alt.Order("place:Q"),
            tooltip=_tooltips(seen),
        )
        .properties(width=WIDTH, height=200)
    )


@_drawn
def demand_gap(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Unconstrained demand less budget by family and period: the number in money, the colour by share."""
    shown = view.assign(gap_text=[views.signed(views.short(g)) for g in view["gap_amt"]])
    return _heat_map(shown, "member", "period_label", _period_order(view), _diverging("gap_ratio", -0.25, 0.0, 0.25, False), "gap_text")


@_drawn
def risks_opportunities(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Expected money of each: to the left what takes demand below the plan, to the right what lifts it."""
    sides = {"expected_risk_amt": "risk", "expected_opportunity_amt": "opportunity"}
    both = view.melt([c for c in view if c not in sides], list(sides), "side", "value_amt")
    rows = both.assign(side=both["side"].map(sides))
    labels = [f"{views.short(risk)} … {views.signed(views.short(chance))}" for risk, chance in
              zip(view["expected_risk_amt"], view["expected_opportunity_amt"], strict=True)]
    y = alt.Y("what:N", sort=None, title=None, axis=alt.Axis(labelLimit=280))
    bars = alt.Chart(rows).mark_bar(height=alt.RelativeBandSize(0.68)).encode(
        y=y, x=alt.X("value_amt:Q", axis=_amount_axis(_money("Expected money"))), tooltip=_tooltips(rows),
        color=_fixed("side", {"risk": ORANGE, "opportunity": BLUE}, rows["side"]))
    shown = view.assign(bar_label=labels)
    numbers = alt.Chart(shown).mark_text(align="left", dx=5).encode(y=y, x="expected_opportunity_amt:Q", text="bar_label:N")
    return (bars + numbers).properties(width=_room(view["what"], labels), height=alt.Step(24))


# ------------------------------------------------------------------ 3 supply review
@_drawn
def load_heat_map(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Load in per cent of regular hours, blue when free and orange when full; ▲ where overtime does not suffice."""
    marks = ["▲" if over else "" for over in view["is_overloaded"]]
    shown = view.assign(
        load_text=["–" if pd.isna(u) else f"{u * 100:.0f}{m}" for u, m in zip(view["utilisation_ratio"], marks, strict=True)]
    )
    return _heat_map(
        shown, "resource", "period_label", _period_order(view), _diverging("utilisation_ratio", 0.4, 0.9, 1.25, True), "load_text"
    )


@_drawn
def stock_vs_target(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Stock as an area, target as a line, safety stock as a dashed line."""
    base = alt.Chart(view).encode(x=alt.X("period:T", axis=_time_axis(2 if view["member"].nunique() == 1 else 6)))
    money = alt.Y("value:Q", axis=_amount_axis(_money("At standard cost")))
    named = base.transform_fold(["stock_amt", "target_amt", "safety_stock_amt"], as_=["line", "value"])
    colour = alt.Color(
        "line:N",
        title=None,
        scale=alt.Scale(domain=["stock_amt", "target_amt", "safety_stock_amt"], range=[_style.brand_colour, "#e69f00", ORANGE]),
        legend=alt.Legend(labelExpr="{'stock_amt': 'stock', 'target_amt': 'target', 'safety_stock_amt': 'safety stock'}[datum.label]"),
    )
    area = named.transform_filter("datum.line == 'stock_amt'").mark_area(opacity=0.25).encode(y=money, color=colour)
    lines = named.mark_line(strokeWidth=2).encode(
        y=money, color=colour, strokeDash=alt.condition("datum.line == 'stock_amt'", alt.value([1, 0]), alt.value([5, 3]))
    )
    return _multiples(alt.layer(area, lines), view, 120)


@_drawn
def demand_vs_plan(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Demand by period, split into served, lost and late; short months carry their share served."""
    shown = view.assign(late_qty=(view["demand_qty"] - view["served_qty"] - view["lost_qty"]).clip(lower=0))
    shown["share_text"] = [
        f"{s / d * 100:.0f} %" if d > 0 and s / d < 0.995 else "" for s, d in zip(view["served_qty"], view["demand_qty"], strict=True)
    ]
    base = alt.Chart(shown).encode(x=alt.X("period_label:N", sort=_period_order(view), axis=_band_axis(labelOverlap=True)))
    parts = {"served_qty": _style.brand_colour, "late_qty": "#e69f00", "lost_qty": ORANGE}
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
        .encode(y=alt.Y("value:Q", axis=_amount_axis("Units")), color=colour, order=alt.Order("place:Q"))
    )
    text = base.mark_text(dy=-8, fontWeight=600).encode(y="demand_qty:Q", text="share_text:N")
    return (bars + text).properties(width=WIDTH, height=HEIGHT)


@_drawn
def service(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Share of demand served, family by market."""
    shown = view.assign(share_text=[f"{r * 100:.0f}" for r in view["served_ratio"]])
    return _heat_map(shown, "family", "market_name", None, _diverging("served_ratio", 0.7, 0.92, 1.0, False), "share_text")


@_drawn
def bottlenecks(view: pd.DataFrame) -> alt.TopLevelMixin:
    """The limits by the money that easing them is worth."""
    shown = view.assign(name=view["limit"] + ", " + view["member"])
    labels = [
        f"{views.short(m)}  ({views.short(p)} a unit, {n} period{'' if n == 1 else 's'})"
        for m, p, n in zip(view["money_amt"], view["price_amt"], view["period_count"], strict=True)
    ]
    return _ranked_bars(shown, "name", "money_amt", _amount_axis(_money("Price × limit")), labels, alt.value(ORANGE))


@_drawn
def bottleneck_hours(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Items by margin per hour of the bottleneck; what is not served in full stands in the other colour."""
    labels = [
        f"{views.short(m)}" + ("" if share > 0.9995 else f"  ({share * 100:.0f} % served)")
        for m, share in zip(view["margin_amt_per_hour"], view["served_ratio"].fillna(1.0), strict=True)
    ]
    colour = alt.condition("datum.served_ratio < 0.9995", alt.value(ORANGE), alt.value(_style.brand_colour))
    return _ranked_bars(view, "item_name", "margin_amt_per_hour", _amount_axis(_money("Margin per hour")), labels, colour)


@_drawn
def purchases(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Money to order by period."""
    shown = view.assign(money_text=_shorts(view["purchase_cost_amt"]))
    base = alt.Chart(shown).encode(
        x=alt.X("period_label:N", sort=_period_order(view), axis=_band_axis()),
        y=alt.Y("purchase_cost_amt:Q", axis=_amount_axis(_money("Orders placed"))),
    )
    bars = base.mark_bar(width=alt.RelativeBandSize(0.72), color=_style.brand_colour).encode(tooltip=_tooltips(view))
    return (bars + base.mark_text(dy=-7, fontSize=10.5).encode(text="money_text:N")).properties(width=WIDTH, height=220)


@_drawn
def load_by_method(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Load where demand falls as bars, a lead time earlier as a line; regular and demonstrated hours as rules over each period."""
    base = alt.Chart(view).encode(x=alt.X("period:T", axis=_time_axis(2 if view["member"].nunique() == 1 else 6)))
    hours = alt.Y("value:Q", axis=_amount_axis("Hours"))
    words = {
        "load_hours": "bill of capacity",
        "offset_load_hours": "resource profile",
        "regular_hours": "regular hours",
        "demonstrated_hours": "demonstrated",
    }
    colours = _series(len(words))
    named = base.transform_fold(list(words), as_=["line", "value"]).transform_filter("isValid(datum.value)")
    colour = alt.Color(
        "line:N", title=None, scale=alt.Scale(domain=list(words), range=colours), legend=alt.Legend(labelExpr=f"{words}[datum.label]")
    )
    area = named.transform_filter("datum.line == 'load_hours'").mark_area(opacity=0.25).encode(y=hours, color=colour)
    lines = named.mark_line(strokeWidth=2, interpolate="linear").encode(
        y=hours, color=colour, strokeDash=alt.condition("datum.line == 'load_hours'", alt.value([1, 0]), alt.value([5, 3]))
    )
    return _multiples(alt.layer(area, lines), view, 120)


@_drawn
def inventory_tradeoff(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Fill rate against safety stock money around today's: the best mixes as a line, today's targets and the two better as points."""
    curve, points = view[view["option"] == "best mix"], view[view["option"] != "best mix"]
    money = points["safety_stock_amt"]
    near = curve[curve["safety_stock_amt"].between(0.4 * money.min(), 1.8 * money.max())]
    curve = near if len(near) > 2 else curve
    low = float(min(curve["fill_ratio"].min(), points["fill_ratio"].min())) if len(points) else float(curve["fill_ratio"].min())
    x = alt.X("safety_stock_amt:Q", axis=_amount_axis(_money("Safety stock")), scale=alt.Scale(zero=False))
    y = alt.Y("fill_ratio:Q", axis=_ratio_axis("Fill rate", curve["fill_ratio"]), scale=alt.Scale(domain=[low, 1.0]))
    line = alt.Chart(curve).mark_line(strokeWidth=2, color=_style.brand_colour).encode(x=x, y=y, tooltip=_tooltips(view))
    names = list(points["option"])
    colour = alt.Color("option:N", title=None, scale=alt.Scale(domain=names, range=[ORANGE, "#e69f00", GREY][: len(names)]))
    marks = (
        alt.Chart(points)
        .mark_point(size=110, filled=True, opacity=1)
        .encode(x=x, y=y, color=colour, shape=alt.Shape("option:N", title=None, scale=alt.Scale(domain=names)), tooltip=_tooltips(view))
    )
    return (line + marks).properties(width=WIDTH, height=HEIGHT)


@_drawn
def stock_placement(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Safety stock money by place, three ways of placing it side by side."""
    words = {"safety_stock_amt": "guaranteed service", "today_amt": "today's targets", "end_only_amt": "all at the end"}
    colour = alt.Color(
        "way:N",
        title=None,
        scale=alt.Scale(domain=list(words), range=[_style.brand_colour, "#e69f00", GREY]),
        legend=alt.Legend(labelExpr=f"{words}[datum.label]"),
    )
    bars = (
        alt.Chart(view)
        .transform_fold(list(words), as_=["way", "value"])
        .mark_bar()
        .encode(
            y=alt.Y("location:N", sort=None, title=None, axis=alt.Axis(labelLimit=230)),
            yOffset=alt.YOffset("way:N", sort=list(words)),
            x=alt.X("value:Q", axis=_amount_axis(_money("Safety stock"))),
            color=colour,
            tooltip=_tooltips(view),
        )
    )
    return bars.properties(width=WIDTH - 190, height=alt.Step(16))


# ------------------------------------------------------------------ 4 financial review
@_drawn
def profit_by_period(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Revenue as bars, gross margin and profit of the plan as lines named at their end."""
    shown = view.assign(margin_label="", profit_label="", is_last=view["period"] == view["period"].max())
    base = alt.Chart(shown).encode(x=alt.X("period_label:N", sort=_period_order(view), axis=_band_axis()))
    measures = {"revenue_amt": "revenue", "gross_margin_amt": "gross margin", "profit_amt": "profit of the plan"}
    colour = alt.Color(
        "measure:N",
        title=None,
        scale=alt.Scale(domain=list(measures), range=[PALE_BLUE, _style.brand_colour, ORANGE]),
        legend=alt.Legend(labelExpr=f"{measures}[datum.label]"),
    )
    named = base.transform_fold(list(measures), as_=["measure", "value"]).encode(
        y=alt.Y("value:Q", axis=_amount_axis(_style.currency)), color=colour
    )
    bars = named.transform_filter("datum.measure == 'revenue_amt'").mark_bar(width=alt.RelativeBandSize(0.72))
    lines = named.transform_filter("datum.measure != 'revenue_amt'").mark_line(point=True)
    return (bars + lines).properties(width=WIDTH, height=HEIGHT)


@_drawn
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
    base = alt.Chart(shown).encode(x=alt.X("bar:N", sort=shown["bar"].tolist(), axis=_band_axis(labelLimit=110)))
    scale = alt.Scale(domain=[floor, highest + (highest - floor) * 0.08], nice=False)
    colour = alt.Color("side:N", legend=None, scale=alt.Scale(domain=["total", "more", "less"], range=[GREY, BLUE, ORANGE]))
    bars = base.mark_bar(width=alt.RelativeBandSize(0.66)).encode(
        y=alt.Y("from_amt:Q", scale=scale, axis=_amount_axis(_money("Revenue") + cut)), y2="to_amt:Q", color=colour, tooltip=_tooltips(view)
    )
    text = base.mark_text(dy=-8, fontWeight=600).encode(y=alt.Y("top_amt:Q", scale=scale), text="amount_text:N")
    return (bars + text).properties(width=WIDTH, height=HEIGHT)


budget_bridge = bridge


@_drawn
def cash(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Closing cash as a line, its low point marked."""
    shown = view.assign(
        low_text=[
            views.short(c, _style.currency) if low else "" for c, low in zip(view["closing_cash_amt"], view["is_low_point"], strict=True)
        ]
    )
    base = alt.Chart(shown).encode(
        x=alt.X("period:T", axis=_time_axis(2)), y=alt.Y("closing_cash_amt:Q", axis=_amount_axis(_money("Closing cash")))
    )
    line = base.mark_line(color=_style.brand_colour).encode(tooltip=_tooltips(view))
    low = base.transform_filter("datum.is_low_point")
    zero = alt.Chart(view.head(1)).mark_rule(opacity=0.5).encode(y=alt.datum(0))
    return (
        zero
        + line
        + low.mark_point(filled=True, size=90, color=ORANGE)
        + low.mark_text(dy=16, align="left" if view["is_low_point"].head(len(view) // 2).any() else "right", fontWeight=600).encode(
            text="low_text:N"
        )
    ).properties(width=WIDTH, height=220)


@_drawn
def inventory_money(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Stock in money, families stacked, the total above."""
    order = view.groupby("family")["inventory_amt"].sum().sort_values(ascending=False).index.tolist()
    base = alt.Chart(view).encode(x=alt.X("period_label:N", sort=_period_order(view), axis=_band_axis()))
    bars = base.mark_bar(width=alt.RelativeBandSize(0.76)).encode(
        y=alt.Y("inventory_amt:Q", axis=_amount_axis(_money("Closing stock"))),
        tooltip=_tooltips(view),
        color=alt.Color(
            "family:N",
            title=None,
            scale=alt.Scale(domain=order, range=_series(len(order))),
        ),
    )
    totals = view.groupby(["period", "period_label"], as_index=False)["inventory_amt"].sum()
    text = (
        alt.Chart(totals.assign(total_text=_shorts(totals["inventory_amt"])))
        .mark_text(dy=-7, fontSize=10.5, fontWeight=600)
        .encode(x=alt.X("period_label:N", sort=_period_order(view)), y="inventory_amt:Q", text="total_text:N")
    )
    return (bars + text).properties(width=WIDTH, height=HEIGHT)


@_drawn
def gap_heat_map(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Plan less budget, family by period: the number in money, the colour by share."""
    shown = view.assign(gap_text=[views.signed(views.short(g)) for g in view["gap_amt"]])
    return _heat_map(shown, "family", "period_label", _period_order(view), _diverging("gap_ratio", -0.25, 0.0, 0.25, False), "gap_text")


@_drawn
def demand_plan_budget(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Small multiples on one scale: demand as an area, the plan as a line, the budget dashed."""
    base = alt.Chart(view).encode(x=alt.X("period:T", axis=_time_axis(6)))
    lines = {"demand_amt": "#e69f00", "revenue_amt": _style.brand_colour, "budget_amt": GREY}
    words = {"demand_amt": "demand", "revenue_amt": "plan", "budget_amt": "budget"}
    colour = alt.Color("line:N", title=None, scale=alt.Scale(domain=list(lines), range=list(lines.values())),
                       legend=alt.Legend(labelExpr=f"{words}[datum.label]"))
    money = alt.Y("value:Q", axis=_amount_axis(_style.currency))
    named = base.transform_fold(list(lines), as_=["line", "value"]).encode(y=money, color=colour)
    area = named.transform_filter("datum.line == 'demand_amt'").mark_area(opacity=0.3)
    plan = named.transform_filter("datum.line == 'revenue_amt'").mark_line(strokeWidth=2.4)
    budget = named.transform_filter("datum.line == 'budget_amt' && datum.value != null").mark_line(strokeWidth=1.8, strokeDash=[5, 3])
    members = view["member"].drop_duplicates().tolist()
    columns = 3 if WIDTH > 620 else 2 if WIDTH > 380 else 1
    sized = alt.layer(area, budget, plan).properties(width=max(110, (WIDTH - 26 * (columns - 1)) // columns), height=104)
    return sized.facet(facet=alt.Facet("member:N", title=None, sort=members), columns=columns).properties(spacing={"row": 16, "column": 26})


# ------------------------------------------------------------------ 5 pre-S&OP
@_drawn
def scenario_deltas(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Change against base, one small chart per money measure."""
    shown = view.assign(measure=view["measure"].map(views.heading), delta_text=[views.signed(views.short(d)) for d in view["delta"]])
    axis = alt.Axis(title=_money("Change"), labelExpr=_AMOUNT_LABEL, tickCount=3, grid=True, labelOverlap=True, labelSeparation=8)
    x = alt.X("delta:Q", axis=axis, scale=alt.Scale(padding=45))
    base = alt.Chart(shown).encode(y=alt.Y("scenario:N", title=None, sort=None, axis=alt.Axis(labelLimit=170)), x=x)
    colour = alt.Color("verdict:N", title="Against base", scale=alt.Scale(domain=["better", "worse", "same"], range=[BLUE, ORANGE, GREY]))
    bars = base.mark_bar(height=alt.RelativeBandSize(0.6)).encode(color=colour, tooltip=_tooltips(view))
    order = shown.sort_values("sequence", kind="stable")["measure"].drop_duplicates().tolist()
    columns = 4 if WIDTH > 1000 else 3 if WIDTH > 500 else 1
    width = 200 if 500 < WIDTH <= 760 else max(160.0, (WIDTH - 110) / columns - 20)
    layers = alt.layer(bars, _end_labels(base, "delta", "delta_text")).properties(width=width, height=alt.Step(22))
    return layers.facet(facet=alt.Facet("measure:N", title=None, sort=order), columns=columns).resolve_scale(x="independent")


def scenario_table(view: pd.DataFrame) -> Html:
    """Measures down, scenarios across: value, change with icon and word, and what each scenario changes."""
    if view.empty:
        return note(view)
    names = ["base", *(n for n in view["scenario"].drop_duplicates() if n != "base")]
    cells = {(row["scenario"], row["measure"]): row for row in view.to_dict("records")}
    measures = view.sort_values("sequence", kind="stable")["measure"].drop_duplicates()
    head = "".join(_heading_cell(name, "", name != "Measure") for name in ("Measure", *names))
    sides = [False, *(True for _ in names)]
    rows = "".join(_row([_text(views.heading(m)), *(_scenario_cell(cells.get((n, m))) for n in names)], sides, False) for m in measures)
    levers = view.drop_duplicates("scenario").set_index("scenario")["levers"]
    changes = "".join(f"<li><b>{_text(name)}</b>: {_text(levers[name])}</li>" for name in names if name != "base")
    return _framed(view, f'<table style="{_TABLE}"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table><ul>{changes}</ul>')


def _scenario_cell(row: dict | None) -> str:
    if row is None:
        return "–"
    if not row["is_feasible"]:
        return "no feasible plan"
    is_plain = row["scenario"] == "base" or row["verdict"] == "same"
    change = "" if is_plain else f"<br><small>{_chip(row['verdict'])} {_text(row['delta_text'])}</small>"
    return f"{_text(row['value_text'])}{change}"


@_drawn
def service_frontier(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Profit by service, and lost sales by stock; the plan's own point stands beside the line. Base is grey beside a what-if."""
    fills = view.loc[view["frontier"] == "service and profit", "fill_ratio"]
    service = alt.X("fill_ratio:Q", axis=_ratio_axis("Fill rate", fills), scale=alt.Scale(zero=False, padding=12))
    stock = alt.X("inventory_amt:Q", axis=_amount_axis(_money("Inventory, mean")), scale=alt.Scale(zero=False, padding=12))
    sides = {"service and profit": (service, "profit_amt", "Profit"), "stock and service": (stock, "lost_revenue_amt", "Sales lost")}
    cases = view["case"].unique().tolist()
    hues = [GREY, BLUE][-len(cases):]
    colour = alt.Color("case:N", title=None, legend=alt.Legend(symbolType="stroke") if len(cases) > 1 else None,
                       scale=alt.Scale(domain=cases, range=hues))
    parts = []
    for name, (x, column, words) in sides.items():
        y = alt.Y(f"{column}:Q", axis=_amount_axis(_money(words)), scale=alt.Scale(zero=False))
        base = alt.Chart(view[view["frontier"] == name], title=alt.Title(views.heading(name), anchor="start")).encode(x=x, y=y)
        line = base.transform_filter("!datum.is_plan").mark_line(point=True).encode(color=colour)
        here = base.transform_filter("datum.is_plan")
        plan = here.mark_point(size=120, filled=True, color=ORANGE)
        label = here.mark_text(align="left", dx=9, dy=-9, fontWeight=600).encode(text="plan_text:N")
        parts.append((line + plan + label).encode(tooltip=_tooltips(view)).properties(width=(WIDTH - 190) / 2, height=HEIGHT))
    return alt.hconcat(*parts)


@_drawn
def vulnerability(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Profit lost by each failure, with the service that is left."""
    labels = [f"{views.short(lost)} · service {views.percent(fill)}" for lost, fill in
              zip(view["lost_profit_amt"], view["fill_ratio"], strict=True)]
    return _ranked_bars(view, "name", "lost_profit_amt", _amount_axis(_money("Profit lost")), labels, alt.value(ORANGE))


@_drawn
def sample_outcomes(view: pd.DataFrame) -> alt.TopLevelMixin:
    """One point a sample: service across, profit up; rings around points where both plans come to the same."""
    names = view["plan"].drop_duplicates().tolist()
    base = alt.Chart(view).encode(
        x=alt.X("fill_ratio:Q", axis=_ratio_axis("Fill rate", view["fill_ratio"]), scale=alt.Scale(zero=False, padding=15)),
        y=alt.Y("profit_amt:Q", axis=_amount_axis(_money("Profit")), scale=alt.Scale(zero=False)),
        color=alt.Color("plan:N", title=None, scale=alt.Scale(domain=names, range=[BLUE, ORANGE])),
        tooltip=_tooltips(view),
    )
    points = base.transform_filter(alt.datum.plan == names[0]).mark_point(filled=True, size=45, opacity=0.8)
    rings = base.transform_filter(alt.datum.plan != names[0]).mark_point(filled=False, size=130, opacity=0.8)
    return (points + rings).properties(width=WIDTH, height=HEIGHT)


# ------------------------------------------------------------------ 7 execution and monitoring
@_drawn
def plan_vs_actual(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Plan as a line over each actual, with the deviation in per cent."""
    shown = view.assign(
        deviation_text=[views.signed(views.percent(r, 0)) for r in view["deviation_ratio"]],
        side=["below" if d < 0 else "above" for d in view["deviation_qty"]],
    )
    base = alt.Chart(shown).encode(x=alt.X("family:N", sort="-y", axis=_band_axis(labelLimit=110)))
    colour = alt.Color(
        "side:N",
        title="Actual is",
        scale=alt.Scale(domain=["above", "below"], range=[BLUE, ORANGE]),
        legend=alt.Legend(labelExpr="datum.label + ' plan (the line)'"),
    )
    bars = base.mark_bar(width=alt.RelativeBandSize(0.6)).encode(
        y=alt.Y("actual_qty:Q", axis=_amount_axis("Units"), scale=alt.Scale(domainMax=1.1 * view[["actual_qty", "plan_qty"]].max().max())),
        color=colour,
        tooltip=_tooltips(view),
    )
    plan = base.mark_tick(thickness=3, size=0.75 * WIDTH / len(view), color="currentColor").encode(y="plan_qty:Q")
    text = (
        base.transform_calculate(top="max(datum.actual_qty, datum.plan_qty)")
        .mark_text(dy=-9, fontWeight=600)
        .encode(y="top:Q", text="deviation_text:N")
    )
    return (bars + plan + text).properties(width=WIDTH, height=HEIGHT)


@_drawn
def error_by_lag(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Error of each stream by how many periods ahead it was planned, named at its end."""
    x = alt.X("lag:Q", axis=alt.Axis(title="Periods planned ahead", tickMinStep=1, format="d"))
    y = alt.Y("wape_ratio:Q", axis=alt.Axis(title="WAPE, %", format=".0%", tickCount=5))
    colour = alt.Color("stream:N", legend=None, scale=alt.Scale(range=list(_SERIES)))
    lines = alt.Chart(view).mark_line(point=True).encode(x=x, y=y, color=colour, tooltip=_tooltips(view))
    ends = alt.Chart(_line_ends(view, "stream", "lag", "wape_ratio"))
    labels = ends.mark_text(align="left", dx=8, fontWeight=600).encode(x=x, y="place:Q", text="stream:N", color=colour)
    return (lines + labels).properties(width=WIDTH - 90, height=HEIGHT)


_LAGS_FIT = 12  # periods across that leave room for a second, small number in a cell


@_drawn
def waterfall(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Locks down, periods across, what happened in the last row."""
    shown = view.assign(quantity_text=_shorts(view["plan_qty"]), deviation_ratio=view["deviation_ratio"].astype("float64"))
    chart = _heat_map(
        shown, "plan_cycle_id", "period_label", _period_order(view), _diverging("deviation_ratio", -0.3, 0.0, 0.3, True), "quantity_text"
    )
    if view["period"].nunique() > _LAGS_FIT:
        return chart
    ink = alt.condition("isValid(datum.deviation_ratio)", alt.value(INK), alt.value("currentColor"))
    shift = (WIDTH - 160) / view["period"].nunique() / 2 - 3  # into the lower right corner of the cell
    lags = alt.Chart(shown[shown["lag"].notna()]).mark_text(align="right", dx=shift, dy=8, fontSize=8, opacity=0.7).encode(
        color=ink,
        x=alt.X("period_label:N", sort=_period_order(view)), y=alt.Y("plan_cycle_id:N", sort=None), text=alt.Text("lag:Q", format="+d")
    )
    return (chart + lags).properties(width=WIDTH - 160, height=alt.Step(30))


@_drawn
def root_causes(view: pd.DataFrame) -> alt.TopLevelMixin:
    """The largest parts of the deviation, blue for more and orange for less than planned."""
    name = (view["level"].map(views.heading) + " " + view["member"]).where(view["member"] != "other items", "Other items")
    shown = view.assign(name=name, side=["less" if d < 0 else "more" for d in view["deviation_amt"]])
    labels = [
        f"{views.signed(views.short(d))} ({views.percent(s, 0)})" for d, s in zip(view["deviation_amt"], view["share_ratio"], strict=True)
    ]
    colour = alt.Color("side:N", title="Than planned", scale=alt.Scale(domain=["more", "less"], range=[BLUE, ORANGE]))
    return _ranked_bars(shown, "name", "deviation_amt", _amount_axis(_money("Deviation")), labels, colour)


@_drawn
def driver_causes(view: pd.DataFrame) -> alt.TopLevelMixin:
    """What drove a deviation, blue for more and orange for less than planned."""
    name = (view["driver"] + ": " + view["cause"]).where(view["driver"] != view["cause"], view["cause"])
    shown = view.assign(name=name, side=["less" if d < 0 else "more" for d in view["deviation_amt"]])
    labels = [
        f"{views.signed(views.short(d))} ({views.percent(s, 0)})" for d, s in zip(view["deviation_amt"], view["share_ratio"], strict=True)
    ]
    colour = alt.Color("side:N", title="Than planned", scale=alt.Scale(domain=["more", "less"], range=[BLUE, ORANGE]))
    return _ranked_bars(shown, "name", "deviation_amt", _amount_axis(_money("Deviation")), labels, colour)


_KEPT = {"locked in time": BLUE, "locked": BLUE, "under way": GREY, "late": AMBER, "never locked": ORANGE, "skipped": "#b3261e"}


@_drawn
def cadence(view: pd.DataFrame) -> alt.TopLevelMixin:
    """One mark a cycle in its order, coloured by how it was kept and worded below."""
    shown = view.assign(kept=view["state"].where(~view["state"].str.startswith("late"), "late"))
    shown["words"] = shown["state"].str.replace(r"^late by (\d+) working days?$", r"\1 WD late", regex=True)
    x = alt.X("cycle_id:O", sort=list(shown["cycle_id"]), axis=alt.Axis(title=None, labelAngle=0, orient="top"))
    base = alt.Chart(shown).encode(x=x)
    marks = base.mark_square(size=500, opacity=1).encode(
        color=_fixed("kept", _KEPT, shown["kept"]), tooltip=_tooltips(view), y=alt.value(18))
    words = base.mark_text(fontSize=11).encode(text="words:N", y=alt.value(44))
    return (marks + words).properties(width=min(WIDTH, 95 * len(shown)), height=58)


@_drawn
def kpi_by_month(view: pd.DataFrame) -> alt.TopLevelMixin:
    """A KPI by member and period, coloured by its traffic light; the marks say the same without colour."""
    lights = {"green": PALE_BLUE, "amber": "#f2c14e", "red": PALE_ORANGE, "none": "#c9ced3"}
    colour = alt.Color("status:N", legend=None, scale=alt.Scale(domain=list(lights), range=list(lights.values())))
    return _heat_map(view, "member", "period_label", _period_order(view), colour, "value_text")


@_drawn
def load_ahead(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Load of the next weeks in per cent of regular hours, orange when full; ■ where no hour is left."""
    texts = [f"{ratio * 100:.0f}{' ■' if full else ''}" for ratio, full in zip(view["load_ratio"], view["is_at_limit"], strict=True)]
    return _heat_map(view.assign(load_text=texts), "resource", "period_label", _period_order(view),
                     _diverging("load_ratio", 0.4, 0.9, 1.25, True), "load_text")


@_drawn
def revenue_sources(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Revenue by period, run rate at the bottom, new products and opportunities on top."""
    shown = view.assign(label=views.period_labels(view["period"]))
    order = [source for source in ("run rate", "new products", "opportunities") if source in set(view["source"])]
    rank = shown.assign(rank=shown["source"].map({name: n for n, name in enumerate(order)}))
    return alt.Chart(rank).mark_bar().encode(
        x=alt.X("label:O", title=None, sort=list(shown["label"].drop_duplicates()), axis=_band_axis()),
        y=alt.Y("revenue_amt:Q", axis=_amount_axis(_money("Revenue"))),
        color=alt.Color("source:N", title=None, scale=alt.Scale(domain=order, range=_series(len(order)))),
        order="rank:Q", tooltip=_tooltips(view))


# ------------------------------------------------------------------ what if
def what_if_measures(view: pd.DataFrame) -> Html:
    """Measures down; this plan, base and the difference across, with icon and word."""
    head = "".join(_heading_cell(name, "", name != "Measure") for name in ("Measure", "What if", "Base", "Difference"))
    cells = [
        [_text(views.heading(row["measure"])), f"<b>{_text(row['now_text'])}</b>", _text(row["base_text"]),
         "–" if row["verdict"] == "same" else f"{_text(row['delta_text'])} {_chip(row['verdict'])}"]
        for row in view.to_dict("records")
    ]
    rows = "".join(_row(row, [False, True, True, True], False) for row in cells)
    return _framed(view, f'<table style="{_TABLE}"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>')


@_drawn
def what_if_volume(view: pd.DataFrame) -> alt.TopLevelMixin:
    """The plan as a line in the company's colour over base in grey; demand dotted."""
    colours = {"demand": "#b38f00", "base": GREY, "what if": _style.brand_colour}
    dashes = {"demand": [2, 3], "base": [6, 3], "what if": [1, 0]}
    present = [name for name in colours if name in set(view["line"])]
    fields = {"line": "Line", "period_label": "Period", "value_text": "Quantity"}
    line = alt.Chart(view.drop(columns="period")).encode(
        x=alt.X("period_label:N", sort=_period_order(view), axis=_band_axis(labelOverlap=True)),
        y=alt.Y("value:Q", axis=_amount_axis(_money("At standard cost") if (view["unit"] == _style.currency).any() else "Units")),
        color=alt.Color("line:N", title=None, sort=present, legend=alt.Legend(symbolType="stroke", symbolSize=300),
                        scale=alt.Scale(domain=present, range=[colours[name] for name in present])),
        strokeDash=alt.StrokeDash("line:N", title=None, sort=present,
                                  scale=alt.Scale(domain=present, range=[dashes[name] for name in present])),
        tooltip=[alt.Tooltip(f"{name}:N", title=words) for name, words in fields.items()],
    )
    return line.mark_line(strokeWidth=2.6, point=alt.OverlayMarkDef(size=18)).properties(width=WIDTH - 120, height=170)


@_drawn
def what_if_load(view: pd.DataFrame) -> alt.TopLevelMixin:
    """Load in per cent of regular hours, blue when free and orange when full; ▲ ▼ where it differs from base."""
    shown = view.drop(columns="period")
    colour = _diverging("load_ratio", 0.4, 0.9, 1.25, True)
    # By number, not by the order of the rows: Vega keeps the old order of names when rows are exchanged in a drawing.
    cells = _heat_map(shown, "resource", "period_label", _period_order(view), colour, "load_text", place="sequence")
    return cells.properties(width=WIDTH - 230)  # beside the levers


def scene_of(view: pd.DataFrame) -> str:
    """What the drawing of a what-if's view depends on besides its rows: columns, periods, lines, unit.

    Where two views agree in it, one drawing serves both and takes the rows (`rows_of`) of either; else it is drawn anew.
    """
    columns = [f"{name} {pd.api.types.is_numeric_dtype(view[name])}" for name in view]
    named = [f"{name} {'|'.join(view[name].drop_duplicates().astype(str))}" for name in ("period", "line", "unit") if name in view]
    return "; ".join([*columns, *named])


def rows_of(view: pd.DataFrame) -> list[dict]:
    """The rows a chart of this view is drawn from, to put in the place of those of an earlier view of the same scene."""
    shown = _worded(view).drop(columns="period", errors="ignore")
    return shown.astype(object).where(shown.notna(), None).to_dict("records")
