"""How a number, a column and a period are written on a screen."""

from __future__ import annotations

import re

import pandas as pd
from babel import Locale
from babel.dates import format_date

MONEY = "¤"
NO_FAMILY = "(no family)"
OTHER = "Others"
UNITS = {"_qty": "units", "_amt": MONEY, "_ratio": "%", "_hours": "h", "_days": "days", "_months": "months", "_date": "date"}
_ACRONYMS = {
    "abc": "ABC",
    "cogs": "COGS",
    "ebit": "EBIT",
    "gmroi": "GMROI",
    "id": "ID",
    "kpi": "KPI",
    "mase": "MASE",
    "otif": "OTIF",
    "wape": "WAPE",
    "xyz": "XYZ",
}
_HEADERS = {
    "by": "Who",
    "is_in_plan": "In plan",
    "is_used": "Used",
    "item_id": "Item",
    "location_id": "Location",
    "market_id": "Market",
    "plan_cycle_id": "Plan of cycle",
    "resource_id": "Resource",
    "successor_item_id": "Successor",
    "supplier_id": "Supplier",
}
MONEY_UNITS = ("reporting currency", MONEY)
ROUNDING = 1e-6
UNSEEN = 2e-4
_locale = Locale("en")
_ENGLISH_NUMBER = re.compile(r"(?<![\w.,/])(?<!\w-)(\d{1,3}(,\d{3})+(\.\d+)?|\d+\.\d+)(?![.,]\d|/)(?=(k|M|bn|x)?(\W|$))")


def short(value: float, unit: str = "") -> str:
    """A number as people say it: three figures and k, M or bn.

    Examples
    --------
    >>> short(1_234_567, "¤"), short(-950), short(12_400), short(0.254), short(3_000_000_000)
    ('1.23M ¤', '-950', '12.4k', '0.25', '3bn')
    """
    if pd.isna(value):
        return "–"
    scale, letter = next(((s, name) for s, name in ((1e9, "bn"), (1e6, "M"), (1e3, "k")) if abs(value) >= s * 0.9995), (1.0, ""))
    scaled = value / scale
    digits = 0 if abs(scaled) >= 99.95 else 1 if abs(scaled) >= 9.995 else 2
    written = f"{scaled:,.{digits}f}"
    written = written.rstrip("0").rstrip(".") if "." in written else written
    written = "0" if written == "-0" else written
    return f"{_localised(written)}{letter} {unit}".rstrip()


def use_locale(name: str) -> None:
    """Write numbers, months and days on every screen as a locale does (`en`, `de`, `pt_BR` …).

    Examples
    --------
    >>> use_locale("de")
    >>> short(1_234_567, "EUR"), number(1234.5, 1), percent(0.5), period_labels(pd.Series(pd.to_datetime(["2026-10-01"]))).tolist()
    ('1,23M EUR', '1.234,5', '50,0 %', ['Okt. 26'])
    >>> use_locale("en")
    """
    global _locale
    _locale = Locale.parse(name, sep="-" if "-" in name else "_")


def locale() -> Locale:
    """The locale that numbers are written by, as `use_locale` set it."""
    return _locale


def _localised(text: str) -> str:
    """A number written the English way (`1,234.5`) with the separators of the locale."""
    symbols = _locale.number_symbols["latn"]
    return text.translate({ord(","): symbols["group"], ord("."): symbols["decimal"]})


def sentence(words: object) -> object:
    """A sentence of the planning maths, which writes numbers the English way, with its numbers as the locale writes them.

    Names, numbers of items and dates stay; what is no text comes back as it is.

    Examples
    --------
    >>> use_locale("de")
    >>> sentence("Line 2 in 2026-05: one hour more is worth 1,412.50 up to 37.5 hours, then CO-103 is the limit.")
    'Line 2 in 2026-05: one hour more is worth 1.412,50 up to 37,5 hours, then CO-103 is the limit.'
    >>> use_locale("en")
    """
    return _ENGLISH_NUMBER.sub(lambda found: _localised(found[0]), words) if isinstance(words, str) else words


def number(value: float, digits: int = 0) -> str:
    """A number in full, with separators.

    Examples
    --------
    >>> number(1234567.8), number(0.25, 2), number(float("nan")), number(-0.2)
    ('1,234,568', '0.25', '–', '0')
    """
    if pd.isna(value):
        return "–"
    return _localised(f"{value if abs(value) >= 0.5 * 10**-digits else 0.0:,.{digits}f}")


def day(date: pd.Timestamp) -> str:
    """A day as people write it.

    Examples
    --------
    >>> day(pd.Timestamp("2026-10-06"))
    '06 Oct 2026'
    """
    return "–" if pd.isna(date) else format_date(date, "dd MMM yyyy", locale=_locale)


def percent(ratio: float, digits: int = 1) -> str:
    """A ratio in per cent.

    Examples
    --------
    >>> percent(0.9731), percent(float("nan"))
    ('97.3 %', '–')
    """
    return "–" if pd.isna(ratio) else f"{number(ratio * 100, digits)} %"


def signed(text: str) -> str:
    """A number text with its sign always shown.

    Examples
    --------
    >>> signed("4 %"), signed("-4 %"), signed("0")
    ('+4 %', '-4 %', '0')
    """
    return text if text.startswith(("-", "–")) or text.strip(" %0.,") == "" else f"+{text}"


def in_unit(value: float, unit: str) -> str:
    """A value written by its unit: ratios in per cent, money and quantities short.

    Examples
    --------
    >>> in_unit(0.95, "ratio"), in_unit(1_250_000, "reporting currency"), in_unit(34.2, "days")
    ('95.0 %', '1.25M ¤', '34.2 days')
    """
    if unit in ("ratio", "%"):
        return percent(value)
    if unit in MONEY_UNITS:
        return short(value, MONEY)
    return short(value, "" if pd.isna(value) else unit)


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
    for suffix in (*UNITS, "_text"):
        stem = stem.removesuffix(suffix)
    words = [_ACRONYMS.get(w, w) for w in stem.split("_")]
    return " ".join([words[0] if words[0] in _ACRONYMS.values() else words[0][:1].upper() + words[0][1:], *words[1:]])


def period_labels(periods: pd.Series) -> pd.Series:
    """Periods as axis labels: `Oct 26` for months, `W41 26` for weeks.

    Examples
    --------
    >>> period_labels(pd.Series(pd.to_datetime(["2026-10-01", "2026-11-01"]))).tolist()
    ['Oct 26', 'Nov 26']
    """
    dates = pd.to_datetime(periods)
    if (dates.dt.day == 1).all():
        words = {date: format_date(date, "MMM yy", locale=_locale) for date in dates.dropna().unique()}
        return dates.map(words).astype(object)
    iso = dates.dt.isocalendar()
    return "W" + iso["week"].astype(str).str.zfill(2) + " " + (iso["year"] % 100).astype(str).str.zfill(2)


def some(names: list[str], top: int = 4) -> str:
    """The first names, and how many more there are.

    Examples
    --------
    >>> some(["North", "South", "East"], 2)
    'North, South and 1 more'
    """
    more = len(names) - top
    return ", ".join(names[:top]) + (f" and {more:,} more" if more > 0 else "")


def plural(count: int, word: str, words: str = "") -> str:
    """A number with its noun.

    Examples
    --------
    >>> plural(1, "item"), plural(1200, "item"), plural(2, "family", "families")
    ('1 item', '1,200 items', '2 families')
    """
    return f"{count:,} {word if count == 1 else words or word + 's'}"
