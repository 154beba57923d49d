"""Charts, tables and cards: each draws the view of its own name and computes nothing.

One look for all: text in the colour of the page (so light, dark and print work), blue for what is fine and
orange for what is not, the company's colour for the plan itself, numbers in k and M with the currency.
`use(settings)` sets currency, colour and the way charts are stored in a notebook: as Vega-Lite 5, which
JupyterLab draws without a network, and as SVG for every other reader.
"""

from __future__ import annotations

import colorsys
import html
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec

import altair as alt
import pandas as pd
import vl_convert

from sop_workbench import views
from sop_workbench.settings import Settings

BLUE, ORANGE, AMBER, GREY = "#0072b2", "#d55e00", "#b36b00", "#7f8790"
PALE_BLUE, PALE_GREY, PALE_ORANGE, INK = "#5aa9d6", "#f4f4f2", "#ee8a3c", "#141414"
WIDTH, HEIGHT = 880, 270
VEGA_LITE_MIME = "application/vnd.vegalite.v5+json"

_VEGA_LITE_VERSION = "6.4"
_VEGA_LITE_5 = "https://vega.github.io/schema/vega-lite/v5.json"
_FONT = "system-ui, 'Segoe UI', Helvetica, Arial, sans-serif"
_CONTRAST_LUMINANCE = 0.18  # seen 4 : 1 and better against white and against near-black
_NOTE_CHARACTERS = 150
_SERIES = (BLUE, ORANGE, "#009e73", "#cc79a7", GREY, "#b38f00", "#56b4e9", "#8c5a2b")
_CHIP_COLOURS = {
    "on target": "#1b7f4b", "watch": "#9a5b00", "act": "#b3261e", "not judged": "#666c73", "blocks": "#b3261e", "warns": "#9a5b00",
    "info": "#3a6ea5", "better": "#1b6ea5", "worse": "#b3261e", "same": "#666c73", "late": "#b3261e",
}
_ICONS = {"blocks": "■", "warns": "▲", "info": "●", "better": "▲", "worse": "▼", "same": "="}
_ACRONYMS = {"wape": "WAPE", "abc": "ABC", "xyz": "XYZ", "kpi": "KPI", "cogs": "COGS", "id": "ID", "mase": "MASE", "otif": "OTIF",
             "gmroi": "GMROI"}
_HEADERS = {"item_id": "Item", "market_id": "Market", "resource_id": "Resource", "supplier_id": "Supplier", "location_id": "Location",
            "by": "Who", "why": "Why", "plan_cycle_id": "Plan of cycle"}
_SUFFIX_UNITS = {"_qty": "units", "_amt": views.MONEY, "_ratio": "%", "_hours": "h", "_days": "days", "_months": "months"}


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
    """Set the company's currency and colour for all charts, and store charts so that they open offline."""
    global _style
    _style = Style(settings.currency, readable(settings.brand_colour))
    alt.theme.register("sop", enable=True)(_theme)
    alt.renderers.register("sop", _mime_bundle)
    alt.renderers.enable("sop")
    alt.data_transformers.disable_max_rows()


def readable(colour: str) -> str:
    """The colour made as light or dark as needed to be seen on white and on black alike.

    Examples
    --------
    >>> readable("#0b5394"), readable("#ffee00")
    ('#0e6cc0', '#857d00')
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
    return vl_convert.vegalite_to_svg(spec, vl_version=_VEGA_LITE_VERSION)


def _mime_bundle(spec: dict, **_: Any) -> tuple[dict, dict]:
    drawable = {**spec, "$schema": _VEGA_LITE_5}
    bundle = {VEGA_LITE_MIME: drawable, "image/svg+xml": svg(spec), "text/plain": _title_text(spec)}
    return bundle, {VEGA_LITE_MIME: {"embed_options": {"renderer": "svg", "actions": False}}}


def _title_text(spec: dict) -> str:
    title = spec.get("title", "")
    text = title.get("text", "") if isinstance(title, dict) else title
    return " ".join(text) if isinstance(text, list) else str(text) or "chart"


def _theme() -> alt.theme.ThemeConfig:
    ink = {"labelColor": "currentColor", "titleColor": "currentColor"}
    return alt.theme.ThemeConfig({"config": {
        "background": "transparent",
        "font": _FONT,
        "view": {"stroke": None, "continuousWidth": WIDTH, "continuousHeight": HEIGHT, "discreteWidth": WIDTH},
        "title": {"anchor": "start", "color": "currentColor", "subtitleColor": "currentColor", "fontSize": 16, "fontWeight": 600,
                  "subtitleFontSize": 11.5, "subtitlePadding": 5, "offset": 12, "frame": "group"},
        "axis": {**ink, "domainColor": "currentColor", "tickColor": "currentColor", "gridColor": "currentColor", "gridOpacity": 0.14,
                 "domainOpacity": 0.45, "tickOpacity": 0.45, "labelFontSize": 11.5, "titleFontSize": 11.5, "titleFontWeight": "normal",
                 "labelLimit": 220},
        "axisX": {"grid": False}, "axisBand": {"ticks": False},
        "legend": {**ink, "orient": "top", "titleFontSize": 11.5, "labelFontSize": 11.5, "symbolStrokeWidth": 2, "labelLimit": 260},
        "header": {**ink, "labelFontSize": 12.5, "labelFontWeight": 600, "title": None},
        "text": {"color": "currentColor", "fontSize": 11.5}, "rule": {"color": "currentColor"},
        "line": {"strokeWidth": 2.4}, "range": {"category": list(_SERIES)},
    }})


# ------------------------------------------------------------------ shared drawing
def _drawn(draw: Callable[Concatenate[pd.DataFrame, _More], alt.TopLevelMixin]) -> Callable[Concatenate[pd.DataFrame, _More], Shown]:
    """Give a chart its view's title and note, or say why there is nothing to draw."""

    @wraps(draw)
    def titled(view: pd.DataFrame, *options: _More.args, **named: _More.kwargs) -> Shown:
        if view.empty:
            return note(view)
        texts = {name: _in_currency(str(view.attrs.get(name, ""))) for name in ("title", "note")}
        title = alt.Title(textwrap.wrap(texts["title"], 110) or "", subtitle=textwrap.wrap(texts["note"], _NOTE_CHARACTERS))
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


def _amount_axis(title: str | None, **options: Any) -> alt.Axis:
    """Numbers in k, M and bn."""
    return alt.Axis(title=title, labelExpr="replace(format(datum.value, '~s'), 'G', 'bn')", tickCount=5, **options)


def _time_axis(months: int = 3) -> alt.Axis:
    """Month names, the year under each January."""
    label = "[timeFormat(datum.value, '%b'), month(datum.value) == 0 ? timeFormat(datum.value, '%Y') : '']"
    return alt.Axis(title=None, labelExpr=label, tickCount=alt.TimeIntervalStep(interval="month", step=months), labelOverlap=True)


def _band_axis(**options: Any) -> alt.Axis:
    """Names under bars, one word a line, never turned."""
    return alt.Axis(title=None, labelAngle=0, labelExpr="split(datum.label, ' ')", **options)


def _shorts(values: pd.Series) -> list[str]:
    return [views.short(v) for v in values]


def _ranked_bars(view: pd.DataFrame, name: str, measure: str, axis: alt.Axis, labels: list[str], colour: Any) -> alt.LayerChart:
    """Horizontal bars in the order of the view, each with its number."""
    shown = view.assign(bar_label=labels)
    base = alt.Chart(shown).encode(y=alt.Y(f"{name}:N", sort=None, title=None, axis=alt.Axis(labelLimit=260)),
                                   x=alt.X(f"{measure}:Q", axis=axis))
    bars = base.mark_bar(height=alt.RelativeBandSize(0.68)).encode(color=colour, tooltip=_tooltips(view))
    text = base.mark_text(align="left", dx=5).encode(text="bar_label:N", x=alt.X(f"{measure}:Q", axis=axis))
    return (bars + text).properties(width=WIDTH - 220, height=alt.Step(24))


def _tooltips(view: pd.DataFrame) -> list[alt.Tooltip]:
    return [alt.Tooltip(f"{c}:Q", title=heading(c), format=",.3~f") if pd.api.types.is_numeric_dtype(view[c])
            else alt.Tooltip(f"{c}:N", title=heading(c)) for c in view.columns if c not in ("period", "sentence")]


def _heat_map(view: pd.DataFrame, row: str, column: str, columns: list[str] | None, colour: alt.Color, text: str) -> alt.LayerChart:
    """Coloured cells with their numbers; the rows keep the order of the view."""
    base = alt.Chart(view).encode(x=alt.X(f"{column}:N", sort=columns, axis=alt.Axis(title=None, labelAngle=0, orient="top", labelOverlap=True)),
                                  y=alt.Y(f"{row}:N", sort=None, title=None, axis=alt.Axis(labelLimit=200)))
    cells = base.mark_rect(stroke="white", strokeOpacity=0.5).encode(color=colour, tooltip=_tooltips(view))
    is_roomy = view[column].nunique() <= 26
    numbers = base.mark_text(color=INK, fontSize=10.5).encode(text=f"{text}:N")
    return (cells + numbers if is_roomy else cells).properties(width=WIDTH - 160, height=alt.Step(26))


def _diverging(field: str, low: float, middle: float, high: float, is_high_bad: bool) -> alt.Color:
    ends = (PALE_BLUE, PALE_ORANGE) if is_high_bad else (PALE_ORANGE, PALE_BLUE)
    scale = alt.Scale(domain=[low, middle, high], range=[ends[0], PALE_GREY, ends[1]], clamp=True)
    return alt.Color(f"{field}:Q", scale=scale, legend=None)


def _fixed(field: str, colours: dict[str, str], present: pd.Series, title: str | None = None) -> alt.Color:
    """Colours by name, only for the names that occur."""
    kept = {name: colour for name, colour in colours.items() if name in set(present)}
    return alt.Color(f"{field}:N", title=title, scale=alt.Scale(domain=list(kept), range=list(kept.values())))


# ------------------------------------------------------------------ tables, cards, words
def note(view: pd.DataFrame) -> Html:
    """A friendly line in place of what cannot be shown, with the reason."""
    return Html(f'<p class="sop-note" style="padding:8px 12px;border-left:4px solid {GREY}">{_text(view.attrs.get("empty") or "Nothing to show.")}</p>')


def headline(view: pd.DataFrame) -> Html:
    """The decision in words: question, recommendation and money."""
    if view.empty:
        return note(view)
    row = view.iloc[0]
    more = f" {int(row['more'])} more below." if row["more"] > 0 else ""
    money = _text(views.short(row["money_amt"], views.MONEY))
    return Html(f'<div class="sop-headline" style="border-left:8px solid {_style.brand_colour};padding:6px 16px">'
                f'<p style="font-size:20px;font-weight:600;margin:4px 0">{_text(row["question"])}</p>'
                f'<p style="font-size:15px;margin:4px 0"><b>Recommended:</b> {_text(row["recommendation"])} <b>{money}</b> at stake.{more}</p></div>')


def cards(view: pd.DataFrame) -> Html:
    """KPI cards: value, status in icon, word and colour, target, formula."""
    if view.empty:
        return note(view)
    cells = "".join(_card(row) for row in view.to_dict("records"))
    return Html(f'<table class="sop-cards" role="presentation" style="border-collapse:separate;border-spacing:8px"><tbody><tr>{cells}</tr></tbody></table>')


def _card(row: dict) -> str:
    target = f"target {row['target_text']}" if row["target_text"] != "–" else "no target"
    return (f'<td style="text-align:left;vertical-align:top;padding:10px 14px;border:1px solid #8888;border-left:7px solid {_chip_colour(row["status_text"])}">'
            f'<div style="font-size:13px">{_text(heading(row["kpi"]))}</div><div style="font-size:25px;font-weight:600">{_text(row["value_text"])}</div>'
            f'<div style="font-size:12px">{_chip(row["status_text"])} {_text(target)}</div>'
            f'<div class="sop-formula" style="font-size:11px">{_text(row["formula"])}</div></td>')


def table(view: pd.DataFrame, limit: int = 20) -> Html:
    """A clean table: units under the headings, numbers to the right with separators, the rest of the rows counted."""
    if view.empty:
        return note(view)
    shown = _worded(view.head(limit)).drop(columns="period_label", errors="ignore")
    written = {c: _written(shown[c], c) for c in shown.columns}
    head = "".join(_heading_cell(c, view[c]) for c in shown.columns)
    bold = set(view.attrs.get("bold", ()))
    rows = "".join(_row([written[c][i] for c in shown.columns], [_is_right(shown[c]) for c in shown.columns], shown.iloc[i, 0] in bold)
                   for i in range(len(shown)))
    more = f'<p class="sop-more">… {len(view) - limit:,} more</p>' if len(view) > limit else ""
    return Html(f'<div class="sop-table" style="overflow-x:auto">{_caption(view, "title")}<table style="border-collapse:collapse;font-variant-numeric:tabular-nums">'
                f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}{_caption(view, 'note')}</div>")


def _caption(view: pd.DataFrame, name: str) -> str:
    style = {"title": "font-size:16px;font-weight:600;margin:6px 0", "note": "font-size:12px;margin:4px 0"}[name]
    return f'<p class="sop-{name}" style="{style}">{_text(view.attrs[name])}</p>' if view.attrs.get(name) else ""


def heading(column: str) -> str:
    """A column name as people write it, without its unit's suffix.

    Examples
    --------
    >>> heading("net_sales_amt"), heading("wape_ratio"), heading("item_id"), heading("row_count")
    ('Net sales', 'WAPE', 'Item', 'Rows')
    """
    if column in _HEADERS:
        return _HEADERS[column]
    stem = column.removesuffix("_count") + "s" if column.endswith("_count") else column
    for suffix in (*_SUFFIX_UNITS, "_date", "_text"):
        stem = stem.removesuffix(suffix)
    words = [_ACRONYMS.get(w, w) for w in stem.split("_")]
    return " ".join([words[0] if words[0] in _ACRONYMS.values() else words[0][:1].upper() + words[0][1:], *words[1:]])


def _heading_cell(column: str, values: pd.Series) -> str:
    unit = next((u for s, u in _SUFFIX_UNITS.items() if column.endswith(s)), "")
    under = f'<br><small style="font-weight:400">{_text(unit)}</small>' if unit else ""
    side = "right" if _is_right(values) else "left"
    return f'<th scope="col" style="text-align:{side};vertical-align:bottom;padding:3px 9px;border-bottom:2px solid {_style.brand_colour}">{_text(heading(column))}{under}</th>'


def _row(cells: list[str], is_right: list[bool], is_bold: bool) -> str:
    weight = "font-weight:700;" if is_bold else ""
    body = "".join(f'<td style="{weight}text-align:{"right" if right else "left"};padding:3px 9px;border-bottom:1px solid #8884">{cell}</td>'
                   for cell, right in zip(cells, is_right, strict=True))
    return f"<tr>{body}</tr>"


def _is_right(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _written(values: pd.Series, column: str) -> list[str]:
    """Every value of a column as text, by the column's suffix and type."""
    if column.endswith("period"):
        return list(views.period_labels(values.dropna()).reindex(values.index).fillna("–"))
    if pd.api.types.is_datetime64_any_dtype(values):
        return [f"{v:%d %b %Y}" if pd.notna(v) else "–" for v in values]
    if pd.api.types.is_bool_dtype(values):
        return ["yes" if v else "no" for v in values]
    if not pd.api.types.is_numeric_dtype(values):
        return [_chip(v) if v in _CHIP_COLOURS or _chip_word(v) in _CHIP_COLOURS else _text(v) for v in values]
    return [_number(v, column) for v in values]


def _number(value: float, column: str) -> str:
    if pd.isna(value):
        return "–"
    if column.endswith("_ratio"):
        return f"{value * 100:,.1f}"
    digits = 1 if column.endswith(("_months", "_days")) or (abs(value) < 10 and value != round(value)) else 0
    return f"{value:,.{digits}f}".replace("-0", "0") if abs(value) < 0.05 else f"{value:,.{digits}f}"


def _chip(text: str) -> str:
    icon = _ICONS.get(text, "")
    return (f'<span style="background-color:{_chip_colour(text)};color:#ffffff;border-radius:3px;padding:1px 7px;white-space:nowrap">'
            f"{_text(f'{icon} {text}'.strip())}</span>")


def _chip_word(text: Any) -> str:
    """The word behind an icon: `▲ watch` → watch; `late by 2 months` → late."""
    words = str(text).split(" ", 1)
    return "late" if words[0] == "late" else words[1] if len(words) == 2 and words[0] in views.STATUS_ICONS.values() else ""


def _chip_colour(text: str) -> str:
    return _CHIP_COLOURS.get(text) or _CHIP_COLOURS.get(_chip_word(text), GREY)


def _text(value: Any) -> str:
    return "–" if value is None or value is pd.NaT or (isinstance(value, float) and pd.isna(value)) else html.escape(_in_currency(str(value)))
