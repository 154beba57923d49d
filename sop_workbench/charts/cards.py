"""Tables, KPI cards, chips and words as HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import pandas as pd

from sop_workbench import views
from sop_workbench.charts.look import CHIP_COLOURS, GREY, ICONS, Html, current, in_currency, worded


def chip(words: str) -> Html:
    """A status or verdict as icon and word on its colour."""
    return Html(chip_html(words))


# Styles stand at each element: JupyterLab takes style sheets out of notebooks that are not trusted.
TABLE_STYLE = "border-collapse:collapse;font-variant-numeric:tabular-nums"
_CELL = "padding:3px 9px;vertical-align:top;border-bottom:1px solid #8884"
_CARD = "text-align:left;vertical-align:top;padding:10px 14px;border:1px solid #8888"
_CHIP = "color:#ffffff;border-radius:3px;padding:1px 7px;white-space:nowrap"
_CAPTIONS = {"title": "font-size:16px;font-weight:600;margin:6px 0", "note": "font-size:12px;margin:4px 0"}


def note(view: pd.DataFrame) -> Html:
    """A friendly line in place of what cannot be shown, with the reason."""
    reason = safe(view.attrs.get("empty") or "Nothing to show.")
    return Html(f'<p class="sop-note" style="padding:8px 12px;border-left:4px solid {GREY}">{reason}</p>')


def headline(view: pd.DataFrame) -> Html:
    """The decision in words: question, recommendation and money."""
    if view.empty:
        return note(view)
    row = view.iloc[0]
    advice = safe(row["recommendation"]).rstrip(". ") + "."
    more = f" {int(row['more'])} more below." if row["more"] > 0 else ""
    return Html(
        f'<div class="sop-headline" style="border-left:8px solid {current().brand_colour};padding:6px 16px">'
        f'<p style="font-size:20px;font-weight:600;margin:4px 0">{safe(row["question"])}</p>'
        f'<p style="font-size:15px;margin:4px 0"><b>Recommended:</b> {advice} '
        f"<b>{safe(views.short(row['money_amt'], views.MONEY))}</b> at stake.{more}</p></div>"
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
        f'<div style="font-size:13px;white-space:nowrap">{safe(row["kpi_name"])}</div>'
        f'<div style="font-size:23px;font-weight:600;white-space:nowrap">{safe(row["value_text"])}</div>'
        f'<div style="font-size:12px">{chip_html(row["status_text"])}</div>'
        f'<div style="font-size:12px">{safe(target)} · {safe(row["about"])}</div>'
        f'<div class="sop-formula" style="font-size:11px">{safe(row["formula"])}</div></td>'
    )


def table(view: pd.DataFrame, limit: int = 20) -> Html:
    """A clean table: units under the headings, numbers to the right with separators, the rest of the rows counted."""
    if view.empty:
        return note(view)
    is_kept = pd.Series(range(len(view)), index=view.index) < limit
    is_kept |= view.iloc[:, 0].isin(view.attrs.get("bold", ()))  # a total is shown, however many rows it is the total of
    shown = worded(view[is_kept]).drop(columns="period_label", errors="ignore")
    is_right = {c: _is_right(view[c]) for c in shown.columns}
    bold = shown.iloc[:, 0].isin(view.attrs.get("bold", ()))
    written = zip(*(_unbroken(_written(shown[c], c), shown[c], c) for c in shown.columns), strict=True)
    head = "".join(heading_cell(views.heading(c), _unit(c), right) for c, right in is_right.items())
    rows = "".join(row_html(cells, list(is_right.values()), strong) for cells, strong in zip(written, bold, strict=True))
    rest = len(view) - len(shown)
    more = f'<p class="sop-more">… {rest:,} more</p>' if rest else ""
    return framed(view, f'<table style="{TABLE_STYLE}"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}')


_SHORT = 15  # characters: "over-optimism", "-12 to 106 %"


def _unbroken(cells: list[str], values: pd.Series, column: str) -> list[str]:
    """Item numbers, periods, dates and columns of short words stay on one line."""
    is_text = not pd.api.types.is_numeric_dtype(values)
    if column.endswith(("_id", "period")) or pd.api.types.is_datetime64_any_dtype(values) or (
        is_text and values.astype(str).str.len().max() <= _SHORT
    ):
        return [f'<span style="white-space:nowrap">{cell}</span>' for cell in cells]
    return cells


def framed(view: pd.DataFrame, body: str) -> Html:
    """A table between its title and its note."""
    above, below = (
        f'<p class="sop-{name}" style="{style}">{safe(view.attrs[name])}</p>' if view.attrs.get(name) else ""
        for name, style in _CAPTIONS.items()
    )
    return Html(f'<div class="sop-table" style="overflow-x:auto">{above}{body}{below}</div>')


def heading_cell(name: str, unit: str, is_right: bool) -> str:
    """A cell of a table's head, its unit below."""
    under = f'<br><small style="font-weight:400">{safe(unit)}</small>' if unit else ""
    side = "right" if is_right else "left"
    style = f"text-align:{side};vertical-align:bottom;padding:3px 9px;border-bottom:2px solid {current().brand_colour}"
    return f'<th scope="col" style="{style}">{safe(name)}{under}</th>'


def _unit(column: str) -> str:
    return next((unit for suffix, unit in views.UNITS.items() if column.endswith(suffix)), "")


def row_html(cells: Sequence[str], is_right: Sequence[bool], is_bold: bool) -> str:
    """A row of a table."""
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
        return [chip_html(v) if v in CHIP_COLOURS or _chip_word(v) in CHIP_COLOURS else safe(v) for v in values]
    return _numbers(values, column)


def _numbers(values: pd.Series, column: str) -> list[str]:
    """Numbers of a column, all with the same decimals."""
    if column.endswith("_ratio"):
        return [views.number(v * 100, 1) for v in values]
    is_small = values.abs().max() < 10 and not (values.dropna() % 1 == 0).all()
    digits = 1 if is_small or column.endswith(("_months", "_days")) else 0
    return [views.number(v, digits) for v in values]


def chip_html(text: str) -> str:
    """A status or verdict as icon and word on its colour."""
    words = f"{ICONS.get(text, '')} {text}".strip()
    return f'<span style="background-color:{_chip_colour(text)};{_CHIP}">{safe(words)}</span>'


def _chip_word(text: Any) -> str:
    """The word behind an icon: `▲ watch` → watch; `late by 2 months` → late."""
    words = str(text).split(" ", 1)
    return "late" if str(text).startswith("late by ") else words[1] if len(words) == 2 and words[0] in views.STATUS_ICONS.values() else ""


def status_colour(text: str) -> str:
    """Colour of a status told in words, as `● on target` or `late by 2 days`; white is readable on it."""
    return _chip_colour(text)


def _chip_colour(text: str) -> str:
    return CHIP_COLOURS.get(text) or CHIP_COLOURS.get(_chip_word(text), CHIP_COLOURS["not judged"])


def safe(value: Any) -> str:
    """A value as text that no page takes for markup; – for none."""
    return (
        "–" if value is None or value is pd.NaT or (isinstance(value, float) and pd.isna(value)) else html.escape(in_currency(str(value)))
    )
