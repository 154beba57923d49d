"""Charts, tables and cards: each draws the view of its own name and computes nothing.

One look for all: text in the colour of the page (so light, dark and print work), blue for what is fine and
orange for what is not, the company's colour for the plan itself, numbers in k and M with the currency.
`use(settings)` sets currency, colour and the way charts are stored in a notebook: as Vega-Lite 5, which
JupyterLab draws without a network, and as a picture for every other reader.
"""

from __future__ import annotations

import base64
import colorsys
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ParamSpec

import pandas as pd
import vl_convert

# jsonschema, with which altair checks its charts, would build a grammar of web addresses for it: 1.3 s of every start, never used.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
import altair as alt  # noqa: E402

from sop_workbench import views  # noqa: E402
from sop_workbench.settings import Settings  # noqa: E402

BLUE, ORANGE, AMBER, GREY = "#0072b2", "#d55e00", "#b36b00", "#7f8790"
PALE_BLUE, PALE_GREY, PALE_ORANGE, INK = "#5aa9d6", "#f4f4f2", "#ee8a3c", "#141414"
_width, HEIGHT = 740, 260  # fits a laptop's JupyterLab with its file list open
_AXIS_ROOM = 98  # what axis labels, their title and padding take beside the bars
VEGA_LITE_MIME = "application/vnd.vegalite.v5+json"
VEGA_LITE_VERSION = "6.4"
_VEGA_LITE_5 = "https://vega.github.io/schema/vega-lite/v5.json"
_FONT = "Arial, Helvetica, 'Liberation Sans', sans-serif"  # equal widths, so that labels fit wherever the drawing is shown
_CONTRAST_LUMINANCE = 0.18  # seen 4 : 1 and better against white and against near-black
NOTE_CHARACTERS = 112
SERIES = (BLUE, ORANGE, "#009e73", "#cc79a7", GREY, "#b38f00", "#56b4e9", "#8c5a2b")
CHIP_COLOURS = {
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
ICONS = {"blocks": "■", "warns": "▲", "info": "●", "better": "▲", "worse": "▼", "same": "=", "held": "✓", "missed": "✗", "not scored": "–"}


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
More = ParamSpec("More")
_style = Style()


def current() -> Style:
    """The look in use."""
    return _style


def page_width() -> int:
    """How wide a chart is drawn: a cell of JupyterLab, or the place that `at_width` names."""
    return _width


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
    return current().currency


@contextmanager
def at_width(width: int) -> Iterator[None]:
    """Draw for a place of this many pixels instead of a cell of JupyterLab."""
    global _width
    before = _width
    _width = max(width - _AXIS_ROOM, 200)
    try:
        yield
    finally:
        _width = before


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
    apart = abs(hue(one) - hue(other))
    return min(apart, 1 - apart) < 0.06


def brand_apart_from(other: str) -> str:
    """The company's colour, or blue where it would be taken for another colour of the chart."""
    return BLUE if are_alike(current().brand_colour, other) else current().brand_colour


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
                "view": {"stroke": None, "continuousWidth": page_width(), "continuousHeight": HEIGHT, "discreteWidth": page_width()},
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
                "range": {"category": list(SERIES)},
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


def in_currency(text: str) -> str:
    """A text of a view with the company's currency in the place of its sign."""
    return text.replace(views.MONEY, current().currency)


def worded(view: pd.DataFrame) -> pd.DataFrame:
    """The view with its currency sign replaced, and `label` beside `period` in time order."""
    worded = view.copy()
    for column in worded.select_dtypes("object"):
        worded[column] = [in_currency(v) if isinstance(v, str) else v for v in worded[column]]
    if "period" in worded:
        worded["period_label"] = views.period_labels(worded["period"])
    return worded


def hue(colour: str) -> float:
    """The hue of a colour, 0 to 1."""
    return colorsys.rgb_to_hls(*(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)))[0]
