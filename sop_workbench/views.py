"""Display-ready tables: what a planner or the board sees, made from the tables of a cycle.

A view only selects, adds up and words what the reviews computed; a ratio is formed after adding up.
Each view is a frame whose `attrs` carry three texts: `title` (what is seen), `note` (how to read it,
with the formula) and `empty` (what to say when there is no row). Columns keep the suffixes of the
tables, so a screen knows how to write them. `¤` stands for the reporting currency.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from babel import Locale
from babel.dates import format_date

from sop_workbench import finance, tables
from sop_workbench.errors import DataError
from sop_workbench.periods import Calendar

MONEY = "¤"
NO_FAMILY = "(no family)"
OTHER = "Others"
LARGEST_FAMILY = "(largest family)"
ACTUAL = "actual"
UNITS = {"_qty": "units", "_amt": MONEY, "_ratio": "%", "_hours": "h", "_days": "days", "_months": "months", "_date": "date"}
_ACRONYMS = {
    "abc": "ABC",
    "cogs": "COGS",
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
_MONEY_UNITS = ("reporting currency", MONEY)
_PROMISES = ("contract floor", "strategic share")
STATUS_WORDS = {"green": "on target", "amber": "watch", "red": "act", "none": "not judged"}
STATUS_ICONS = {"green": "●", "amber": "▲", "red": "■", "none": "–"}
SEVERITIES = ("blocks", "warns", "info")
LIFECYCLES = ("launch", "mature", "phase_out", "ended")

_COST_LINES = {
    "purchase_cost_amt": "Purchases",
    "production_cost_amt": "Variable production",
    "labour_cost_amt": "Labour, regular hours",
    "overtime_cost_amt": "Overtime",
    "hiring_cost_amt": "Hiring and layoff",
    "setup_cost_amt": "Set-ups",
    "subcontract_cost_amt": "Subcontracting",
    "freight_cost_amt": "Freight",
    "holding_cost_amt": "Holding stock",
    "backlog_cost_amt": "Lateness",
}
_GRID_LINES = {
    "sales_plan_qty": "Sales plan",
    "sales_actual_qty": "Sales actual",
    "sales_difference_qty": "Sales difference",
    "sales_cumulative_qty": "Sales difference, cumulative",
    "production_plan_qty": "Production plan",
    "production_actual_qty": "Production actual",
    "production_difference_qty": "Production difference",
    "production_cumulative_qty": "Production difference, cumulative",
    "inventory_plan_qty": "Stock plan",
    "inventory_actual_qty": "Stock actual",
    "inventory_difference_qty": "Stock difference",
}
_PAST_FACTS = ("sales_history", "production_history", "stock_history", "stock_on_hand", "ledger")
_LOWER_IS_BETTER = ("lost revenue", "inventory", "inventory days", "peak load", "overtime")
_MODEL_WORDS = {"auto ets": "AutoETS", "ces": "CES", "theta": "Theta", "prophet": "Prophet"}
BOARD_KPIS = ("budget_gap", "gross_margin", "fill_rate", "days_of_inventory", "utilisation", "wape")
_ROUNDING = 1e-6
_locale = Locale("en")
_UNSEEN = 2e-4


# ------------------------------------------------------------------ words
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
    if unit in _MONEY_UNITS:
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


def _view(frame: pd.DataFrame, title: str, note: str = "", empty: str = "Nothing to show.") -> pd.DataFrame:
    shown = frame.reset_index(drop=True)
    shown.attrs = {"title": title if len(shown) else "", "note": note, "empty": empty}
    return shown


def _needs(frame: pd.DataFrame, name: str) -> None:
    """Refuse a frame without the columns its table declares.

    Raises
    ------
    DataError
        Naming table and columns.
    """
    missing = [c for c in tables.table(name).columns if c not in frame.columns]
    if missing:
        remedy = f"give the view the table {name} as its review wrote it"
        raise DataError(tables.issue_frame([tables.finding("missing_column", "blocks", name, "", len(frame), ", ".join(missing), remedy)]))


def _plural(count: int, word: str, words: str = "") -> str:
    return f"{count:,} {word if count == 1 else words or word + 's'}"


def _ratio(part: float, whole: float) -> float:
    """Part over whole; nothing where there is no whole."""
    return float(part) / float(whole) if whole else float("nan")


def _with_item(frame: pd.DataFrame, item: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """The frame with columns of the item beside it; an item without a family shows as such."""
    _needs(item, "item")
    kept = frame.drop(columns=[c for c in columns if c in frame.columns])
    joined = kept.merge(item[["item_id", *columns]], on="item_id", how="left", validate="many_to_one")
    return joined.assign(family=joined["family"].fillna(NO_FAMILY)) if "family" in columns else joined


def _item_names(item: pd.DataFrame) -> pd.Series:
    """Name by item number, for labels."""
    _needs(item, "item")
    return item.set_index("item_id")["item_name"]


def _largest(frame: pd.DataFrame, by: str, weight: str, top: int) -> pd.DataFrame:
    """The frame with all but the `top` heaviest members of `by` renamed to `Others`."""
    heaviest = frame.groupby(by)[weight].sum().abs().nlargest(top).index
    return frame.assign(**{by: frame[by].where(frame[by].isin(heaviest), OTHER)})


def _first_periods(frame: pd.DataFrame, count: int | None) -> pd.DataFrame:
    """Rows of the first `count` periods."""
    if count is None or frame.empty:
        return frame
    return frame[frame["period"].isin(np.sort(frame["period"].unique())[:count])]


# ------------------------------------------------------------------ 0 data gathering
def issue_scorecard(issue: pd.DataFrame) -> pd.DataFrame:
    """Findings and rows concerned, by table and severity."""
    _needs(issue, "issue")
    scores = issue.groupby(["table", "severity"], as_index=False).agg(finding_count=("rule", "size"), row_count=("count", "sum"))
    counts = issue["severity"].value_counts()
    words = ", ".join(f"{counts[s]:,} {w}" for s, w in zip(SEVERITIES, ("block", "warn", "inform"), strict=True) if s in counts)
    title = f"{_plural(len(issue), 'finding')} in {_plural(issue['table'].nunique(), 'table')}: {words}"
    return _view(
        scores,
        title,
        "One finding is one rule broken in one table. A finding that blocks stops the cycle.",
        "No finding: every table passed every rule.",
    )


def issue_list(issue: pd.DataFrame) -> pd.DataFrame:
    """Findings, worst and largest first, each with its remedy."""
    _needs(issue, "issue")
    order = issue["severity"].map({s: rank for rank, s in enumerate(SEVERITIES)})
    rows = issue.assign(order=order, finding=issue["rule"].str.replace("_", " ")).sort_values(
        ["order", "count", "table", "rule"], ascending=[True, False, True, True], kind="stable"
    )
    rows = rows.rename(columns={"count": "row_count", "keys": "where", "value": "found"})
    return _view(
        rows[["severity", "table", "finding", "row_count", "where", "found", "remedy"]],
        "Findings, worst first",
        empty="No finding: every table passed every rule.",
    )


def feed_status(inputs: dict[str, pd.DataFrame], as_of: pd.Timestamp, calendar: Calendar) -> pd.DataFrame:
    """Rows of every input table, its newest date, and which feeds are late."""
    declared = tables.all_tables()
    rows = [
        _feed_row(declared[name], frame, calendar.period_of(as_of), calendar)
        for name, frame in inputs.items()
        if name in declared and declared[name].group == "input"
    ]
    feeds = pd.DataFrame(rows, columns=["table", "meaning", "row_count", "newest_date", "state"])
    late = feeds["state"].str.contains("late").sum()
    title = f"{_plural(int(late), 'feed is', 'feeds are')} late" if late else "Every feed reaches the last closed period"
    return _view(
        feeds, title, f"Facts must reach the period of {as_of:%d %b %Y}, the last day this cycle knows.", "No input table was read."
    )


def _feed_row(declared: tables.Table, frame: pd.DataFrame, closed: pd.Timestamp, calendar: Calendar) -> dict:
    column = next((c for c in ("period", "as_of_date") if c in frame.columns), None)
    newest = frame[column].max() if column and len(frame) else pd.NaT
    behind = calendar.distance(calendar.period_of(newest), closed) if pd.notna(newest) and declared.name in _PAST_FACTS else 0
    state = f"late by {_plural(behind, calendar.bucket)}" if behind > 0 else "read" if len(frame) else _absent_words(declared)
    return {
        "table": declared.name,
        "meaning": declared.meaning.replace("`", ""),
        "row_count": len(frame),
        "newest_date": newest,
        "state": state,
    }


def _absent_words(declared: tables.Table) -> str:
    return "not used here" if declared.is_optional else "no rows"


def history_corrections(
    sales_history: pd.DataFrame, history_correction: pd.DataFrame, item: pd.DataFrame, top: int = 6, periods: int = 36
) -> pd.DataFrame:
    """History of the most corrected items, as booked and as suggested."""
    _needs(history_correction, "history_correction")
    _needs(sales_history, "sales_history")
    change = (history_correction["suggested_qty"] - history_correction["raw_qty"]).abs()
    chosen = change.groupby(history_correction["item_id"]).sum().nlargest(top).index
    past = sales_history[sales_history["item_id"].isin(chosen)].groupby(["item_id", "period"], as_index=False)["ordered_qty"].sum()
    past = past[past["period"] > past["period"].max() - pd.DateOffset(months=periods)] if len(past) else past
    moved = history_correction[history_correction["item_id"].isin(chosen)].assign(change_qty=change)
    moved = moved.groupby(["item_id", "period"], as_index=False).agg(
        change_qty=("change_qty", "sum"), kind=("kind", "first"), raw_qty=("raw_qty", "sum"), suggested_qty=("suggested_qty", "sum")
    )
    shown = past.merge(moved, on=["item_id", "period"], how="outer", validate="one_to_one")
    shown["ordered_qty"] = shown["ordered_qty"].fillna(shown["raw_qty"])  # a corrected period may have no row of history
    shown["corrected_qty"] = shown["ordered_qty"] + shown["suggested_qty"] - shown["raw_qty"]
    shown["member"] = shown["item_id"].map(_item_names(item)).fillna(shown["item_id"])
    title = f"{_plural(len(history_correction), 'correction')} proposed in {_plural(history_correction['item_id'].nunique(), 'item')}"
    return _view(
        shown[["member", "item_id", "period", "ordered_qty", "corrected_qty", "kind"]],
        title,
        "Line: ordered quantity as booked, all markets. Points: the quantity suggested instead. Nothing changes until a planner accepts.",
        "No correction is proposed: history shows no stock-out, outlier or gap.",
    )


def correction_list(history_correction: pd.DataFrame, item: pd.DataFrame) -> pd.DataFrame:
    """Proposed corrections, largest first, with their evidence."""
    _needs(history_correction, "history_correction")
    rows = history_correction.assign(
        change_qty=history_correction["suggested_qty"] - history_correction["raw_qty"],
        item_name=history_correction["item_id"].map(_item_names(item)),
    )
    rows = rows.assign(size=rows["change_qty"].abs()).sort_values(
        ["size", "item_id", "market_id", "period"], ascending=[False, True, True, True]
    )
    columns = ["item_name", "item_id", "market_id", "period", "kind", "raw_qty", "suggested_qty", "change_qty", "evidence", "status"]
    return _view(rows[columns], "Proposed corrections, largest first", empty="No correction is proposed.")


def correction_case(
    sales_history: pd.DataFrame, history_correction: pd.DataFrame, item: pd.DataFrame, chosen: int | None = None, periods: int = 36
) -> pd.DataFrame:
    """History of one item and market before and after its corrections, with the one chosen marked.

    Parameters
    ----------
    sales_history, history_correction, item : DataFrame
        Tables.
    chosen : int, optional
        Index of a row of `history_correction`; the largest change when left out.
    periods : int
        Past periods shown, at least as many as reach the chosen one.
    """
    _needs(history_correction, "history_correction")
    if history_correction.empty:
        return _view(pd.DataFrame({"period": pd.to_datetime([])}), "", empty="No correction is proposed.")
    size = (history_correction["suggested_qty"] - history_correction["raw_qty"]).abs()
    case = history_correction.loc[size.idxmax() if chosen is None else chosen]
    key = ["item_id", "market_id"]
    booked, moved = (frame[(frame[key] == case[key]).all(axis=1)] for frame in (sales_history, history_correction))
    rows = booked[["period", "ordered_qty"]].merge(
        moved[["period", "kind", "raw_qty", "suggested_qty", "status"]], on="period", how="outer", validate="one_to_one"
    )
    rows["ordered_qty"] = rows["ordered_qty"].fillna(rows["raw_qty"])  # a corrected period may have no row of history
    rows["corrected_qty"] = rows["suggested_qty"].where(rows["status"] != "rejected").fillna(rows["ordered_qty"])
    start = min(case["period"] - pd.DateOffset(months=6), rows["period"].max() - pd.DateOffset(months=periods - 1))
    rows = rows[rows["period"] >= start].sort_values("period")
    rows["mark"] = np.where(rows["period"] == case["period"], "chosen", np.where(rows["kind"].notna(), "proposed", ""))
    name = _item_names(item).get(case["item_id"], case["item_id"])
    period = period_labels(pd.Series([case["period"]])).iloc[0]
    return _view(
        rows[["period", "ordered_qty", "corrected_qty", "kind", "mark"]],
        f"{name}, {case['market_id']}, {period}: {short(case['raw_qty'])} booked, {short(case['suggested_qty'])} suggested",
        "Grey: as booked. Coloured and dashed: with the corrections that are not rejected. The large point is the one chosen.",
        "This item and market have no history.",
    )


# ------------------------------------------------------------------ 1 product review
def abc_xyz(item_class: pd.DataFrame) -> pd.DataFrame:
    """Items and revenue in each of the nine ABC–XYZ cells."""
    _needs(item_class, "item_class")
    cells = item_class.groupby(["abc", "xyz"], as_index=False).agg(item_count=("item_id", "size"), revenue_amt=("revenue_amt", "sum"))
    cells["revenue_ratio"] = cells["revenue_amt"] / item_class["revenue_amt"].sum()
    a_items = (item_class["abc"] == "A").sum()
    share = _ratio(item_class.loc[item_class["abc"] == "A", "revenue_amt"].sum(), item_class["revenue_amt"].sum())
    title = f"{_plural(int(a_items), 'A item')} of {len(item_class):,} bring {percent(share, 0)} of revenue"
    return _view(
        cells,
        title,
        "ABC: cumulative revenue 80 / 95 %. XYZ: coefficient of variation of deseasonalised demand up to 0.5 / 1.0.",
        "No item was classified: there is no sales history.",
    )


def portfolio(item_class: pd.DataFrame) -> pd.DataFrame:
    """Volume, revenue and margin of the last twelve months by family and stage of life."""
    _needs(item_class, "item_class")
    known = item_class.assign(family=item_class["family"].fillna(NO_FAMILY))
    bubbles = known.groupby(["family", "lifecycle"], as_index=False).agg(
        item_count=("item_id", "size"),
        demand_qty=("demand_qty", "sum"),
        revenue_amt=("revenue_amt", "sum"),
        margin_amt=("margin_amt", "sum"),
    )
    bubbles = bubbles[bubbles["revenue_amt"] > 0]
    bubbles["margin_ratio"] = bubbles["margin_amt"] / bubbles["revenue_amt"]
    negative = bubbles[bubbles["margin_amt"] < 0]
    title = (
        f"{_plural(len(negative), 'group sells', 'groups sell')} below cost"
        if len(negative)
        else f"Gross margin {percent(_ratio(bubbles['margin_amt'].sum(), bubbles['revenue_amt'].sum()))} over all families"
    )
    return _view(
        bubbles,
        title,
        "Gross margin = (revenue − cost of goods sold) / revenue, last twelve months. A bubble's size is its revenue.",
        "No item had revenue in the last twelve months.",
    )


def tail(portfolio: pd.DataFrame) -> pd.DataFrame:
    """Items that bring next to no revenue, with the money they hold; ended ones are told under excess stock."""
    _needs(portfolio, "portfolio")
    mine = portfolio[portfolio["is_tail"] & (portfolio["lifecycle"] == "mature")]
    rows = mine.sort_values(["stock_amt", "item_id"], ascending=[False, True])
    title = f"{_plural(len(rows), 'mature item brings', 'mature items bring')} the last 1 % of revenue and "
    title += f"{'holds' if len(rows) == 1 else 'hold'} {short(rows['stock_amt'].sum(), MONEY)} of stock"
    columns = ["item_name", "item_id", "family", "xyz", "demand_qty", "revenue_amt", "margin_ratio", "stock_amt"]
    return _view(rows[columns], title, "Tail: beyond 99 % of cumulative revenue.", "No mature item lies in the tail.")


def tail_curve(portfolio: pd.DataFrame) -> pd.DataFrame:
    """Cumulative revenue by rank of item, with where the tail begins and what it holds."""
    _needs(portfolio, "portfolio")
    rows = portfolio.sort_values("rank")
    tail_rows = rows[rows["is_tail"]]
    title = (
        f"{_plural(len(tail_rows), 'item brings', 'items bring')} the last 1 % of revenue and "
        f"{'holds' if len(tail_rows) == 1 else 'hold'} {short(tail_rows['stock_amt'].sum(), MONEY)} of stock"
    )
    return _view(
        rows.assign(part=np.where(rows["is_tail"], "tail", "core"))[
            ["item_id", "item_name", "family", "rank", "part", "revenue_amt", "cumulative_revenue_ratio", "stock_amt"]
        ],
        title if len(tail_rows) else "No item lies in the tail",
        "Items by rank of revenue of the last twelve months; line: their cumulative share; bars: the money their stock holds. "
        "Tail: beyond 99 % of cumulative revenue, ended items included.",
        "No item was sold in the last twelve months.",
    )


def lifecycle_events(item: pd.DataFrame, as_of: pd.Timestamp, months_back: int = 12, months_ahead: int = 24) -> pd.DataFrame:
    """Launches and phase-outs around the cycle, by date."""
    _needs(item, "item")
    kinds = (("launch", "launch_date", "like_item_id"), ("phase-out", "phase_out_date", "successor_item_id"))
    rows = pd.concat([item.assign(event=event, date=item[date], partner=item[partner]) for event, date, partner in kinds])
    near = rows[rows["date"].between(as_of - pd.DateOffset(months=months_back), as_of + pd.DateOffset(months=months_ahead))]
    near = near.sort_values(["date", "item_id"]).rename(columns={"date": "day_date", "partner": "like_item_or_successor"})
    launches, endings = ((near["event"] == kind).sum() for kind in ("launch", "phase-out"))
    title = f"{_plural(launches, 'launch', 'launches')} and {_plural(endings, 'phase-out')}"
    return _view(
        near[["day_date", "event", "item_id", "item_name", "family", "like_item_or_successor"]],
        f"{title} from {months_back} months back to {months_ahead} ahead",
        empty="No launch or phase-out in the window.",
    )


def launch_fan(launch_forecast: pd.DataFrame, sales_history: pd.DataFrame, item: pd.DataFrame, top: int = 6) -> pd.DataFrame:
    """History and launch curve of the items too young for a model."""
    _needs(launch_forecast, "launch_forecast")
    chosen = launch_forecast.groupby("item_id")["forecast_qty"].sum().nlargest(top).index
    young = item.assign(member=item["item_name"])
    fan = _fan(
        sales_history[sales_history["item_id"].isin(chosen)], launch_forecast[launch_forecast["item_id"].isin(chosen)], young, "member", 24
    )
    title = f"Launch curve of {_plural(launch_forecast['item_id'].nunique(), 'young item')}"
    return _view(
        fan,
        title,
        "Line: history, then the like-item's curve scaled to the item. Band: range of the curve.",
        "No item is young enough to need a launch curve.",
    )


def launch_curves(launch_curve: pd.DataFrame, item: pd.DataFrame, top: int = 6) -> pd.DataFrame:
    """What every estimator expects of the young items, beside each other; the one that is used is marked."""
    _needs(launch_curve, "launch_curve")
    used = launch_curve[launch_curve["is_used"]]
    chosen = used.groupby("item_id")["forecast_qty"].sum().nlargest(top).index
    rows = launch_curve[launch_curve["item_id"].isin(chosen)].sort_values(["item_id", "estimator", "period"])
    counts = used.drop_duplicates("item_id")["estimator"].value_counts()
    title = "Used: " + ", ".join(f"{name} for {_plural(n, 'item')}" for name, n in counts.items())
    return _view(
        rows.assign(member=rows["item_id"].map(_item_names(item)).fillna(rows["item_id"]))[
            ["member", "item_id", "estimator", "period", "forecast_qty", "is_used"]
        ],
        title,
        "Units over all markets. The thick line is the one the forecast takes; the others show how far a different method would lie.",
        "No item is young enough to need a launch curve.",
    )


def launch_estimates(launch_curve: pd.DataFrame, item: pd.DataFrame) -> pd.DataFrame:
    """Every estimator of every young item: what it expects over the horizon and on what it rests."""
    _needs(launch_curve, "launch_curve")
    rows = launch_curve.groupby(["item_id", "estimator"], as_index=False).agg(
        is_used=("is_used", "first"), horizon_qty=("forecast_qty", "sum"), market_potential_qty=("market_qty", "first"),
        innovation=("innovation_ratio", "first"), imitation=("imitation_ratio", "first"), evidence=("evidence", "first"))
    rows = rows.sort_values(["item_id", "is_used", "estimator"], ascending=[True, False, True])
    rows["item_name"] = rows["item_id"].map(_item_names(item)).fillna(rows["item_id"])
    for column in ("innovation", "imitation"):
        rows[f"{column}_text"] = [f"{v:.3f}" if pd.notna(v) else "–" for v in rows[column]]
    ends = rows.groupby("item_id")["horizon_qty"].agg(["min", "max"])
    apart = (ends["max"] / ends["min"].where(ends["min"] > 0)).max()
    title = f"The estimators of an item lie up to a factor of {apart:.1f} apart" if apart > 1.05 else "The estimators agree"
    columns = ["item_name", "estimator", "is_used", "horizon_qty", "market_potential_qty", "innovation_text", "imitation_text", "evidence"]
    return _view(
        rows[columns], title,
        "Bass diffusion: of all who will ever buy (market potential) a share p buys on its own (innovation) and q is drawn by those "
        "who have (imitation), per period.",
        "No item is young enough to need a launch curve.",
    )


def phase_outs(phase_out_plan: pd.DataFrame) -> pd.DataFrame:
    """How each ending item is sold out: run-out, last buy, what is left and who takes over."""
    _needs(phase_out_plan, "phase_out_plan")
    rows = phase_out_plan.sort_values(["phase_out_date", "item_id"])
    columns = ["item_name", "item_id", "phase_out_date", "successor_item_id", "on_hand_qty", "remaining_demand_qty", "run_out_date"]
    columns += ["last_buy_qty", "last_buy_date", "left_over_qty", "left_over_amt", "moved_qty"]
    left = rows["left_over_amt"].sum()
    title = f"{_plural(len(rows), 'item is', 'items are')} ending; {short(left, MONEY)} of stock would be left over"
    return _view(rows[columns], title, "Left over = stock − demand until the last day of sale, at standard cost.", "No item is ending.")


def excess(excess_stock: pd.DataFrame) -> pd.DataFrame:
    """Items with more stock than demand will take, most money first."""
    _needs(excess_stock, "excess_stock")
    rows = excess_stock[excess_stock["excess_amt"] > 0].sort_values(["excess_amt", "item_id"], ascending=[False, True])
    title = f"{short(rows['excess_amt'].sum(), MONEY)} of excess stock in {_plural(len(rows), 'item')}"
    return _view(
        rows[
            [
                "item_name",
                "item_id",
                "family",
                "lifecycle",
                "on_hand_qty",
                "forward_demand_qty",
                "excess_qty",
                "excess_amt",
                "cover_months",
                "reason",
            ]
        ],
        title,
        "Excess = stock on hand − demand within the cover limit, at standard cost.",
        "No item has excess stock.",
    )


# ------------------------------------------------------------------ 2 demand review
def _fan(sales_history: pd.DataFrame, forecast: pd.DataFrame, item: pd.DataFrame, level: str, periods: int) -> pd.DataFrame:
    """History and forecast with range by member of a level.

    The range of a group takes an item's errors as moving together over its markets and as
    independent between items: half-width = sqrt(Σ_items (Σ_markets half-width)²).
    """
    quantity = _quantity(forecast)
    history = _at_level(sales_history, item, level).groupby(["member", "period"], as_index=False)["ordered_qty"].sum()
    history = history.rename(columns={"ordered_qty": "demand_qty"}).assign(kind="history")
    history = history[history["period"].isin(np.sort(history["period"].unique())[-periods:])]
    ranged = forecast.assign(
        demand_qty=forecast[quantity], below=forecast[quantity] - forecast["low_qty"], above=forecast["high_qty"] - forecast[quantity]
    )
    by_item = ranged.groupby(["item_id", "period"], as_index=False)[["demand_qty", "below", "above"]].sum()
    by_item[["below", "above"]] = by_item[["below", "above"]] ** 2
    ahead = _at_level(by_item, item, level).groupby(["member", "period"], as_index=False)[["demand_qty", "below", "above"]].sum()
    ahead = ahead.assign(
        kind="forecast",
        low_qty=(ahead["demand_qty"] - ahead["below"] ** 0.5).clip(lower=0),
        high_qty=ahead["demand_qty"] + ahead["above"] ** 0.5,
    )
    fan = pd.concat([history, ahead[["member", "period", "demand_qty", "kind", "low_qty", "high_qty"]]]) if len(history) else ahead
    return fan.reindex(columns=["member", "period", "kind", "demand_qty", "low_qty", "high_qty"]).sort_values(["member", "period"])


def _quantity(forecast: pd.DataFrame) -> str:
    """Name of the quantity of a statistical, launch or consensus forecast."""
    if "forecast_qty" in forecast.columns:
        return "forecast_qty"
    _needs(forecast, "consensus_demand")
    return "demand_qty"


def _at_level(frame: pd.DataFrame, item: pd.DataFrame, level: str) -> pd.DataFrame:
    if level == "total":
        return frame.assign(member="Total")
    if level == "item_id":
        return frame.assign(member=frame["item_id"])
    joined = _with_item(frame, item, level)
    return joined.assign(member=joined[level].fillna(NO_FAMILY))


def forecast_fan(
    sales_history: pd.DataFrame,
    forecast: pd.DataFrame,
    item: pd.DataFrame,
    level: str = "total",
    periods: int = 36,
    top: int = 9,
    forecast_range: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """History and forecast with its range, in total or by family.

    Parameters
    ----------
    sales_history, item : DataFrame
        Input tables.
    forecast : DataFrame
        `statistical_forecast` or `consensus_demand`.
    level : str
        `total` or a column of `item`.
    periods : int
        Past periods shown.
    top : int
        Members shown; the smaller ones are added up as `Others`.
    forecast_range : DataFrame, optional
        `forecast_range`: the band of a total or family is then the one calibrated on its own errors.
    """
    quantity = _quantity(forecast)
    if level not in ("total", "item_id") and len(forecast):
        weights = _with_item(forecast, item, level)
        item = item.merge(
            _largest(weights, level, quantity, top)[["item_id", level]].drop_duplicates("item_id"),
            on="item_id",
            how="left",
            suffixes=("_own", ""),
            validate="one_to_one",
        )
        item[level] = item[level].fillna(item[f"{level}_own"]) if not len(weights) else item[level].fillna(OTHER)
    fan = _fan(sales_history, forecast, item, level, periods)
    band = "Band: range of the forecast at the interval of the settings; items are taken as independent of each other."
    if forecast_range is not None and len(forecast_range):
        fan = _with_own_range(fan, forecast_range, level)
        band = f"Band: range that holds {percent(forecast_range['coverage_ratio'].min(), 0)}, from the sum's own back-test errors."
    return _view(
        fan,
        _fan_title(fan),
        f"Line: history, then forecast. {band}",
        "No forecast was made: there is no sales history.",
    )


def _with_own_range(fan: pd.DataFrame, forecast_range: pd.DataFrame, level: str) -> pd.DataFrame:
    """Bounds in the proportions of the range of the member itself, where it has one."""
    ratio = _range_ratios(forecast_range, level)
    ratio["member"] = ratio["member"].replace({"all": "Total"}) if level == "total" else ratio["member"]
    ranged = fan.merge(ratio, on=["member", "period"], how="left", validate="many_to_one")
    for bound, share in (("low_qty", "low_ratio"), ("high_qty", "high_ratio")):
        own = ranged["demand_qty"] * ranged[share]
        ranged[bound] = ranged[bound].where(own.isna() | (ranged["kind"] == "history"), own)
    return ranged[fan.columns]


def _range_ratios(forecast_range: pd.DataFrame, level: str) -> pd.DataFrame:
    """Bounds over forecast of every member of a level and period, at the narrowest coverage; none where nothing is expected."""
    narrow = forecast_range["coverage_ratio"] == forecast_range["coverage_ratio"].min()
    rows = forecast_range[narrow & (forecast_range["level"] == level) & (forecast_range["forecast_qty"] > 0)]
    share = {f"{bound}_ratio": rows[f"{bound}_qty"] / rows["forecast_qty"] for bound in ("low", "high")}
    return rows[["member", "period"]].assign(**share)


def range_coverage(forecast_coverage: pd.DataFrame) -> pd.DataFrame:
    """How much of the back-test the ranges held, a line for each level: a range that says 80 % should hold about 80 %."""
    _needs(forecast_coverage, "forecast_coverage")
    known = forecast_coverage.sort_values("nominal_ratio")
    names = {nominal: f"{percent(nominal, 0).replace(' %', '')}_%_range_held_ratio" for nominal in known["nominal_ratio"].unique()}
    wide = known.pivot(index="level", columns="nominal_ratio", values="covered_ratio").rename(columns=names)
    rows = wide.assign(error_count=known.groupby("level")["error_count"].max()).sort_values("error_count", ascending=False).reset_index()
    rows.columns.name = None
    title = ""
    if len(rows):
        held = ", ".join(f"the {percent(nominal, 0)} range held {percent(rows[name].iloc[0])}" for nominal, name in names.items())
        title = f"Item by market, {held}" if rows["level"].iloc[0] == "item_id × market_id" else f"{heading(rows['level'].iloc[0])}: {held}"
    return _view(
        rows.assign(level=[" × ".join(heading(part) for part in level.split(" × ")) for level in rows["level"]]),
        title,
        "Held = share of held-out quantities inside the range; each back-test origin is judged by a range made without its errors.",
        "No back-test with two origins was possible: history is too short.",
    )


def _fan_title(fan: pd.DataFrame) -> str:
    totals = fan.groupby(["kind", "period"])["demand_qty"].sum()
    if "forecast" not in totals.index.get_level_values(0) or "history" not in totals.index.get_level_values(0):
        return "Demand, history and forecast"
    ahead, past = totals["forecast"], totals["history"]
    count = min(len(ahead), len(past), 12)
    change = _ratio(ahead.head(count).sum() - past.tail(count).sum(), past.tail(count).sum())
    return f"Next {count} periods: {short(ahead.head(count).sum())} units, {signed(percent(change))} on the last {count}"


def corrections_by_item(history_correction: pd.DataFrame, item: pd.DataFrame) -> pd.DataFrame:
    """Proposed corrections added up over markets: a stock-out empties all of an item's markets at once.

    Parameters
    ----------
    history_correction : DataFrame
        With people's decisions as its status.
    item : DataFrame
        Input table.
    """
    _needs(history_correction, "history_correction")
    change = history_correction["suggested_qty"] - history_correction["raw_qty"]
    # A word nobody said was said of none.
    said = history_correction["status"].str.get_dummies().reindex(columns=["accepted", "rejected"], fill_value=0)
    rows = history_correction.assign(change_qty=change, **said).groupby(["item_id", "period", "kind"], as_index=False)
    rows = rows.agg(
        market_count=("market_id", "nunique"), raw_qty=("raw_qty", "sum"), suggested_qty=("suggested_qty", "sum"),
        change_qty=("change_qty", "sum"), accepted=("accepted", "sum"), rejected=("rejected", "sum"),
    )  # fmt: skip
    rows["status"] = [
        "proposed" if not (yes or no) else f"{yes} accepted, {no} rejected, {count - yes - no} open"
        for yes, no, count in zip(rows["accepted"], rows["rejected"], rows["market_count"], strict=True)
    ]
    rows = rows.assign(item_name=rows["item_id"].map(_item_names(item)), size=rows["change_qty"].abs())
    rows = rows.sort_values(["size", "item_id", "period"], ascending=[False, True, True])
    open_count = int((history_correction["status"] == "proposed").sum())
    title = f"{_plural(open_count, 'correction waits', 'corrections wait')} for a decision" if open_count else "Every correction is decided"
    return _view(
        rows[["item_name", "item_id", "period", "kind", "market_count", "raw_qty", "suggested_qty", "change_qty", "status"]],
        title,
        "Added up over the markets concerned, largest change first. Raw: as booked. Suggested: what trend and season of the other "
        "periods say.",
        "No correction is proposed.",
    )


def demand_story(
    sales_history: pd.DataFrame,
    history_correction: pd.DataFrame,
    consensus_demand: pd.DataFrame,
    event: pd.DataFrame,
    item: pd.DataFrame,
    level: str = "total",
    periods: int = 36,
    forecast_range: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """History as booked, what corrections make of it, the events, and the demand agreed on with its range.

    Parameters
    ----------
    sales_history, history_correction, consensus_demand, event, item : DataFrame
        Tables.
    level : str
        `total` or `family`.
    periods : int
        Past periods shown.
    forecast_range : DataFrame, optional
        As for `forecast_fan`.

    Returns
    -------
    DataFrame
        As `forecast_fan`, and per past period corrected_qty and correction (accepted or proposed), per period the kinds of events that
        touch the member (events).
    """
    _needs(history_correction, "history_correction")
    fan = forecast_fan(sales_history, consensus_demand, item, level, periods, 8, forecast_range)  # 8 and the others: rows of three
    if fan.empty:
        return fan
    member = _members(item, level, fan)
    standing = history_correction[history_correction["status"] != "rejected"]
    standing = standing.assign(member=standing["item_id"].map(member), change_qty=standing["suggested_qty"] - standing["raw_qty"])
    moved = standing.groupby(["member", "period"], as_index=False).agg(
        change_qty=("change_qty", "sum"), open_count=("status", lambda status: (status == "proposed").sum())
    )
    shown = fan.merge(moved, on=["member", "period"], how="left", validate="one_to_one")
    is_corrected = (shown["kind"] == "history") & shown["change_qty"].notna()
    shown["corrected_qty"] = (shown["demand_qty"] + shown["change_qty"]).where(is_corrected)
    shown["correction"] = np.where(is_corrected, np.where(shown["open_count"] > 0, "proposed", "accepted"), "")
    shown["events"] = _event_kinds(shown, event, member)
    return _view(
        shown[["member", "period", "kind", "demand_qty", "low_qty", "high_qty", "corrected_qty", "correction", "events"]],
        fan.attrs["title"],
        "Line: ordered as booked, then agreed on; band: its range. Circles: history with its corrections. Triangles: periods with an event "
        "(promotion, price, holiday, launch, outage) that touches the member.",
        fan.attrs["empty"],
    )


def _members(item: pd.DataFrame, level: str, fan: pd.DataFrame) -> pd.Series:
    """Member of the fan that each item is counted in."""
    if level == "total":
        return pd.Series("Total", index=item["item_id"])
    named = item.set_index("item_id")[level].fillna(NO_FAMILY)
    return named.where(named.isin(fan["member"]), OTHER)


def _event_kinds(shown: pd.DataFrame, event: pd.DataFrame, member: pd.Series) -> pd.Series:
    """Kinds of the events that count, per member and period."""
    families = {name: set(member[member == name].index) for name in shown["member"].unique()}
    kinds = pd.Series("", index=shown.index)
    for row in event[event["status"].isin(("planned", "approved", "done"))].to_dict("records"):
        touched = [name for name, items in families.items() if _touches(row, name, items)]
        at = shown["member"].isin(touched) & shown["period"].between(row["from_period"], row["to_period"])
        named = kinds.str.split(", ").map(lambda said, kind=row["kind"]: kind in said)
        kinds = kinds.where(~at | named, (kinds + ", " + row["kind"]).str.removeprefix(", "))
    return kinds


def _touches(row: dict, member: str, items: set[str]) -> bool:
    if isinstance(row["item_id"], str) and row["item_id"]:
        return row["item_id"] in items
    return member in ("Total", row["family"]) or not (isinstance(row["family"], str) and row["family"])


def event_list(event: pd.DataFrame, item: pd.DataFrame, as_of: pd.Timestamp, months_back: int = 18) -> pd.DataFrame:
    """Promotions, price changes and other events around the cycle, newest first: where, when and how much they say they move."""
    _needs(event, "event")
    near = event[event["to_period"] >= as_of - pd.DateOffset(months=months_back)]
    what = near["item_id"].map(_item_names(item)).fillna(near["item_id"]).fillna("")
    what = what.where(what != "", near["family"]).fillna("").replace("", "everything")
    where = near["market_id"].fillna("").where(near["market_id"].fillna("") != "", near["region"]).fillna("").replace("", "everywhere")
    is_stated = (near["uplift_ratio"] != 0) | (near["pull_forward_ratio"] != 0)
    stated = {name: near[name].where(is_stated) for name in ("uplift_ratio", "pull_forward_ratio")}
    rows = near.assign(what=what, where=where, **stated).sort_values(["from_period", "event_id"], ascending=[False, True])
    ahead = int((rows["from_period"] > as_of).sum())
    return _view(
        rows[["event_id", "kind", "what", "where", "from_period", "to_period", "uplift_ratio", "pull_forward_ratio", "cost_amt", "status"]],
        f"{_plural(ahead, 'event')} ahead, {len(rows) - ahead:,} in the last {months_back} months",
        "Uplift: extra demand as a share of base demand, as stated. Pull-forward: share of each of the next two periods moved into the "
        "event; –: none stated, what it moves is learnt from the past. Ideas and cancelled events move nothing.",
        "No event is on file.",
    )


def decomposition(forecast_component: pd.DataFrame, item: pd.DataFrame, member: str = "", periods: int = 36) -> pd.DataFrame:
    """What demand and its forecast are made of, for the whole company, a family or an item.

    Parameters
    ----------
    forecast_component, item : DataFrame
        Tables.
    member : str
        A family, an item number, or `LARGEST_FAMILY`; empty: everything.
    periods : int
        Past periods shown.

    Raises
    ------
    DataError
        When the member is neither a family nor an item of the forecast.
    """
    _needs(forecast_component, "forecast_component")
    known = _with_item(forecast_component, item, "family")
    if member == LARGEST_FAMILY:
        member = known.groupby("family")["demand_qty"].sum().idxmax() if len(known) else ""
    rows = known if not member else known[(known["family"] == member) | (known["item_id"] == member)]
    if member and rows.empty and len(known):
        remedy = f"name a family ({', '.join(sorted(known['family'].unique())[:6])} …) or an item that is forecast"
        raise DataError(tables.issue_frame([tables.finding("unknown_member", "blocks", "forecast_component", "", 1, member, remedy)]))
    sums = rows.groupby(["period", "is_forecast"], as_index=False)[["demand_qty", *_COMPONENTS]].sum()
    past = np.sort(sums.loc[~sums["is_forecast"], "period"].unique())[-periods:]
    sums = sums[sums["is_forecast"] | sums["period"].isin(past)]
    parts = sums.melt(["period", "is_forecast", "demand_qty"], list(_COMPONENTS), "component", "part_qty")
    parts = parts.assign(component=parts["component"].map(_COMPONENTS))
    name = _item_names(item).get(member, member) or "All items"
    return _view(
        parts,
        f"{name}: {_widest_part(sums)}" if len(sums) else "",
        "Demand = trend + season + promotions + other events + remainder (trend · (1 + season + events) is fitted to each item and market; "
        "parts add up). Ahead: the statistical forecast, before streams and adjustments.",
        "No series was long enough to take apart.",
    )


_COMPONENTS = {
    "trend_qty": "Trend",
    "season_qty": "Season",
    "promotion_qty": "Promotions and prices",
    "event_qty": "Other events",
    "remainder_qty": "Not explained",
}


def _widest_part(sums: pd.DataFrame) -> str:
    """How far the season moves demand, in words."""
    trend = sums["trend_qty"].where(sums["trend_qty"] > 0)
    share = sums["season_qty"] / trend
    low, high = percent(share.min(), 0), percent(share.max(), 0)
    promoted = _ratio(sums.loc[~sums["is_forecast"], "promotion_qty"].abs().sum(), sums.loc[~sums["is_forecast"], "trend_qty"].sum())
    return f"the season moves demand by {signed(low)} to {signed(high)}; promotions by {percent(promoted, 1)} of trend in the past"


def error_leaderboard(forecast_error: pd.DataFrame, level: str | None = None) -> pd.DataFrame:
    """Back-test error of every model, best first, at the level where most models were measured (or the one named)."""
    _needs(forecast_error, "forecast_error")
    whole = forecast_error[forecast_error["member"] == "all"]
    counts = whole["level"].value_counts()
    finest_first = ["item_id × market_id", "item_id", "family", "total"]
    chosen = level or max((name for name in finest_first if name in counts), key=lambda name: counts[name], default="")
    board = whole[whole["level"] == chosen].sort_values(["wape_ratio", "model"])
    board = board.assign(model=board["model"].replace(_MODEL_WORDS))
    best = board.head(1).itertuples()
    title = "".join(f"{r.model[:1].upper()}{r.model[1:]} has the smallest back-test error: WAPE {percent(r.wape_ratio)}" for r in best)
    return _view(
        board[["model", "level", "wape_ratio", "bias_ratio", "actual_qty"]],
        title,
        f"WAPE = Σ|actual − forecast| / Σ actual; bias = Σ(forecast − actual) / Σ actual, + is over-forecast; "
        f"level {chosen}, held-out periods.",
        "No back-test was possible: history is too short.",
    )


def streams(demand_stream: pd.DataFrame, consensus_demand: pd.DataFrame) -> pd.DataFrame:
    """Every stream of the demand plan beside the consensus, by period."""
    _needs(demand_stream, "demand_stream")
    _needs(consensus_demand, "consensus_demand")
    spoken = demand_stream[demand_stream["stream"] != "consensus"]
    agreed = consensus_demand[["item_id", "market_id", "period", "demand_qty"]]
    both = pd.concat([spoken, agreed.assign(stream="consensus")]).groupby(["stream", "period"], as_index=False)["demand_qty"].sum()
    beside = spoken.merge(agreed, on=["item_id", "market_id", "period"], suffixes=("", "_agreed"), validate="many_to_one")
    totals = beside.groupby("stream")[["demand_qty", "demand_qty_agreed"]].sum()
    return _view(
        both,
        _stream_title(totals, agreed["demand_qty"].sum()),
        "Units over all items and markets. A stream covers only what its authors spoke about.",
        "No stream has a figure.",
    )


def _stream_title(totals: pd.DataFrame, agreed: float) -> str:
    """The stream furthest from consensus where both speak; one that covers less than half of demand is left out."""
    broad = totals[totals["demand_qty_agreed"] > 0.5 * agreed]
    if broad.empty:
        return "Streams and consensus"
    gaps = broad["demand_qty"] / broad["demand_qty_agreed"] - 1
    widest = str(gaps.abs().idxmax())
    return f"{heading(widest)} stands furthest from consensus: {signed(percent(gaps[widest]))} where both speak"


def stream_weights(stream_weight: pd.DataFrame) -> pd.DataFrame:
    """How much each stream counts in the consensus, and on what evidence."""
    _needs(stream_weight, "stream_weight")
    rows = stream_weight.sort_values(["weight_ratio", "stream"], ascending=[False, True])
    title = f"{heading(rows['stream'].iloc[0])} counts most: {percent(rows['weight_ratio'].iloc[0], 0)}" if len(rows) else ""
    return _view(
        rows[["stream", "weight_ratio", "wape_ratio", "bias_ratio", "evidence"]],
        title,
        "Weight by inverse past error after removing past bias; bias = Σ(forecast − actual) / Σ actual.",
        "No stream was weighed.",
    )


def value_added(forecast_value_added: pd.DataFrame) -> pd.DataFrame:
    """Error of every stair of the process, from naive to consensus."""
    _needs(forecast_value_added, "forecast_value_added")
    rows = forecast_value_added.sort_values("sequence")
    last = rows.iloc[-1] if len(rows) else None
    title = ""
    if last is not None and pd.notna(last["gain_over_naive_ratio"]):
        verb = "takes" if last["gain_over_naive_ratio"] >= 0 else "adds"
        joint = "off" if last["gain_over_naive_ratio"] >= 0 else "to"
        title = f"The process {verb} {abs(last['gain_over_naive_ratio']) * 100:.1f} points {joint} the naive error"
    return _view(
        rows,
        title or "Forecast value added",
        "Gain = error of the stair before − own error, in points of WAPE; same items, lag and weights at every stair.",
        "No plan was archived yet; value added shows from the second locked cycle on.",
    )


def stream_record(stream_record: pd.DataFrame) -> pd.DataFrame:
    """What each stream and author was worth in total, those that look like gaming first."""
    rows = _records_shown(stream_record, "total")
    flagged = rows[(rows["flag"] != "none") & (rows["author"] != "")].drop_duplicates("author")
    rows = rows.assign(order=(rows["flag"] == "none"), size=rows["bias_ratio"].abs())
    rows = rows.sort_values(["order", "size", "who"], ascending=[True, False, True])
    named = ", ".join(f"{row.author} ({row.flag})" for row in flagged.itertuples())
    columns = ["who", "bias_ratio", "wape_ratio", "tracking_signal", "gain_over_naive_ratio", "actual_qty", "flag", "evidence"]
    return _view(
        rows[columns],
        f"Worth a talk: {named}" if named else "No author is always on one side",
        "Bias = Σ(plan − actual) / Σ actual, + is over-forecast; tracking signal = Σ errors / mean size of an error, by period; gain = "
        "WAPE of naive − own WAPE on the same plans. A flag is a question to the author, not a verdict.",
        "No plan was archived yet; records show from the second locked cycle on.",
    )


def bias_heat_map(stream_record: pd.DataFrame, level: str = "family") -> pd.DataFrame:
    """Bias of every stream and author by family or region.

    Parameters
    ----------
    stream_record : DataFrame
        As the demand review wrote it.
    level : str
        `family` or `region`.
    """
    rows = _records_shown(stream_record, level)
    judged = rows[rows["flag"] != "none"]
    widest = rows.loc[rows["bias_ratio"].abs().idxmax()] if rows["bias_ratio"].notna().any() else None
    title = "" if widest is None else f"{widest['who']} lies furthest off: {signed(percent(widest['bias_ratio'], 0))} in {widest['member']}"
    return _view(
        rows[["who", "member", "bias_ratio", "wape_ratio", "actual_qty", "flag"]],
        title if len(judged) or not title else f"No flag; {title[0].lower()}{title[1:]}",
        "Bias = Σ(plan − actual) / Σ actual over archived plans of periods that are over, all lags; orange is too high, blue too low.",
        "No plan was archived yet; bias shows from the second locked cycle on.",
    )


def _records_shown(stream_record: pd.DataFrame, level: str) -> pd.DataFrame:
    """Records of a level with a label (`who`): streams, and authors where a stream has several."""
    _needs(stream_record, "stream_record")
    authors = stream_record[stream_record["author"] != "all"].groupby("stream")["author"].unique()
    alone = {stream: names[0] for stream, names in authors.items() if len(names) == 1}
    rows = stream_record[stream_record["level"] == level]
    rows = rows[(rows["author"] == "all") | ~rows["stream"].isin(alone)]
    # The only author of a stream stands beside its name.
    author = rows["author"].where(rows["author"] != "all", rows["stream"].map(alone).fillna(""))
    who = rows["stream"].map(heading) + author.map(lambda name: f", {name}" if name else "")
    return rows.assign(author=author, who=who)


def driver_effects(driver_effect: pd.DataFrame, item: pd.DataFrame, top: int = 10) -> pd.DataFrame:
    """What promotions and prices did to demand, with ranges; of the items' elasticities the `top` surest."""
    _needs(driver_effect, "driver_effect")
    kinds = {"uplift": "Promotion: uplift of demand", "pull_forward": "Promotion: taken from the two periods after",
             "cannibalisation": "Promotion: share of the uplift that other items lose", "elasticity": "Price: % of demand per % of price"}
    width = driver_effect["high_ratio"] - driver_effect["low_ratio"]
    is_item = (driver_effect["measure"] == "elasticity") & (driver_effect["member"] != "all")
    is_nothing = (driver_effect["basis"] == "as stated") & (driver_effect["effect_ratio"] == 0)  # neither learned nor said
    kept = driver_effect[(~is_item | is_item.index.isin(width[is_item].nsmallest(top - 1).index)) & ~is_nothing]
    kept = kept.assign(order=kept["measure"].map({name: n for n, name in enumerate(kinds)}), is_all=kept["member"] != "all")
    rows = kept.sort_values(["order", "is_all", "effect_ratio", "member"], ascending=[True, True, False, True])
    names = rows["member"].map(_item_names(item)).fillna(rows["member"].replace("all", "all items"))
    rows = rows.assign(effect=rows["measure"].map(kinds), member=[_with_item_name(name, item) for name in names])
    rows["effect_text"] = [_effect_text(v, m) for v, m in zip(rows["effect_ratio"], rows["measure"], strict=True)]
    ends = zip(rows["low_ratio"], rows["high_ratio"], rows["measure"], strict=True)
    rows["range_text"] = [f"{_effect_text(low, m).removesuffix(' %')} to {_effect_text(high, m)}" for low, high, m in ends]
    rows["stated_ratio"] = rows["stated_ratio"].where(rows["stated_ratio"] != 0)  # no effect written down is nothing stated
    rows["stated_text"] = [_effect_text(v, m) for v, m in zip(rows["stated_ratio"], rows["measure"], strict=True)]
    columns = ["effect", "measure", "member", "effect_ratio", "low_ratio", "high_ratio", "stated_ratio", "effect_text", "range_text",
               "stated_text", "basis", "evidence"]
    return _view(rows[columns], _effects_title(rows),
                 "Point: best estimate with its 95 % range; tick: what was stated. Where history cannot tell, what was stated (promotions) "
                 f"or published (prices) is used.{_price_words(rows)}",
                 "No promotion is on file and no price is known, so nothing can be said of what moves demand.")


def _with_item_name(member: str, item: pd.DataFrame) -> str:
    """The scope of a promotion (`CO-103 · all markets`) with the item's name in place of its number."""
    product, dot, place = member.partition(" · ")
    name = _item_names(item).get(product, product)
    return f"{name}{dot}{place}" if place != "all markets" else str(name)


def _effect_text(value: float, measure: str) -> str:
    if pd.isna(value):
        return "–"
    return f"{value:.2f}" if measure == "elasticity" else percent(value, 0)


def _price_words(rows: pd.DataFrame) -> str:
    """On what the elasticity of all items rests."""
    prices = rows.loc[rows["measure"] == "elasticity", "evidence"]
    return f" Price: {prices.iloc[0]}." if len(prices) else ""


def _effects_title(rows: pd.DataFrame) -> str:
    """Whether promotions did what people said, else what a price does."""
    told = rows[(rows["measure"] == "uplift") & (rows["basis"] == "estimated from history")]
    if len(told):
        is_off = (told["stated_ratio"] < told["low_ratio"]) | (told["stated_ratio"] > told["high_ratio"])
        if is_off.any():
            worst = told.loc[(told["effect_ratio"] - told["stated_ratio"]).abs().where(is_off).idxmax()]
            said = percent(worst["stated_ratio"], 0)
            return f"Promotions of {worst['member']} brought {percent(worst['effect_ratio'], 0)}; {said} was stated"
        if told["stated_ratio"].notna().any():
            return f"History bears out what was stated of the promotions of {_plural(len(told), 'product')}"
        sure = told[told["low_ratio"] > 0]
        return f"Of the promotions of {_plural(len(told), 'product')}, those of {len(sure):,} surely lifted demand; nothing was stated"
    prices = rows[rows["measure"] == "elasticity"]
    return f"One per cent dearer is {abs(prices['effect_ratio'].iloc[0]):.1f} % less demand" if len(prices) else "What promotions move"


def driver_effect_list(driver_effect: pd.DataFrame, item: pd.DataFrame) -> pd.DataFrame:
    """The effects of promotions in figures, one line for what each was for, with what the figures rest on."""
    shown = driver_effects(driver_effect, item)
    columns = {"uplift": "uplift_text", "pull_forward": "taken_from_after_text", "cannibalisation": "lost_by_others_text"}
    promoted = shown[shown["measure"].isin(columns)]
    wide = promoted.pivot(index="member", columns="measure", values="effect_text").reindex(columns=list(columns)).fillna("–")
    rows = promoted[promoted["measure"] == "uplift"].merge(wide, left_on="member", right_index=True, validate="one_to_one")
    rows = rows.drop(columns="effect_text").rename(columns=columns)
    return _view(rows[["member", "uplift_text", "range_text", "stated_text", "taken_from_after_text", "lost_by_others_text", "basis",
                       "evidence"]].rename(columns={"member": "promotions_of"}),
                 "Promotions in figures", "Uplift with its range beside what was stated; taken from after: share that each of the two "
                 "periods after loses.", "No promotion is on file.")


def promotion_cases(promotion_case: pd.DataFrame, item: pd.DataFrame) -> pd.DataFrame:
    """What every promotion ahead costs and brings, best first."""
    _needs(promotion_case, "promotion_case")
    rows = promotion_case.sort_values(["net_amt", "event_id"], ascending=[False, True])
    told = zip(rows["scope"], period_labels(rows["from_period"]), rows["status"], strict=True)
    rows = rows.assign(promotion=[f"{_with_item_name(scope, item)}, {label} ({status})" for scope, label, status in told])
    losing = rows[rows["net_amt"] < 0]
    title = (f"{len(losing)} of {_plural(len(rows), 'promotion')} ahead {'loses' if len(losing) == 1 else 'lose'} money: "
             f"{short(losing['net_amt'].sum(), MONEY)}") if len(losing) else (
        f"The {_plural(len(rows), 'promotion')} ahead {'brings' if len(rows) == 1 else 'bring'} {short(rows['net_amt'].sum(), MONEY)}")
    columns = ["promotion", "uplift_qty", "uplift_ratio", "break_even_ratio", "pulled_forward_qty", "margin_gained_amt",
               "discount_given_amt", "cannibalised_amt", "cost_amt", "net_amt", "basis"]
    return _view(rows[columns], title,
                 "Net = margin of the extra volume − discount on all that is sold − margin other items lose − cost of the event. "
                 "Break-even: the uplift at which nothing is won or lost; – where no uplift pays.",
                 "No promotion is planned inside the horizon.")


def price_cases(price_case: pd.DataFrame, top: int = 10) -> pd.DataFrame:
    """Margin at a price a little lower and higher, by family, largest effect first."""
    _needs(price_case, "price_case")
    rows = price_case.assign(change=[f"{signed(percent(c, 0))} price" for c in price_case["price_change_ratio"]])
    largest = rows.groupby("family")["margin_change_amt"].transform(lambda money: money.abs().max())
    rows = rows.assign(largest=largest).sort_values(["largest", "family", "price_change_ratio"], ascending=[False, True, True])
    rows = rows.head(2 * top) if rows["family"].nunique() > top else rows
    best = rows.loc[rows["margin_change_amt"].idxmax()] if len(rows) else None
    title = "" if best is None else f"{best['family']} at {best['change']}: {signed(short(best['margin_change_amt'], MONEY))} of margin"
    if best is not None and (rows["basis"] == "assumed").all():
        title += ", if its customers are like those of published studies"
    columns = ["family", "change", "elasticity_ratio", "basis", "quantity_change_qty", "revenue_change_amt", "margin_change_amt",
               "margin_change_low_amt", "margin_change_high_amt"]
    return _view(rows[columns], title,
                 "Demand × (1 + change of price) ^ elasticity; margin at standard cost over the horizon. Lines: the range of the "
                 "elasticity. Rivals are taken not to answer.",
                 "No family has a price, a cost and demand.")


def price_case_list(price_case: pd.DataFrame) -> pd.DataFrame:
    """The price cases in figures."""
    rows = price_cases(price_case)
    rows = rows.assign(elasticity_text=[f"{e:.2f}" for e in rows["elasticity_ratio"]])
    columns = ["family", "change", "elasticity_text", "basis", "quantity_change_qty", "revenue_change_amt", "margin_change_amt",
               "margin_change_low_amt", "margin_change_high_amt"]
    return _view(rows[columns], "The same in figures", empty=rows.attrs["empty"])


def pipeline(pipeline_line: pd.DataFrame) -> pd.DataFrame:
    """Money of open deals by close period: what the plan counts, what comes on top if won, what is counted elsewhere."""
    _needs(pipeline_line, "pipeline_line")
    # A deal whose item has no price in its period is worth nothing yet.
    whole = (pipeline_line["volume_qty"] * pipeline_line["price_amt"]).fillna(0.0)
    is_counted = pipeline_line["counted_qty"] > 0
    counted = pipeline_line["expected_amt"].fillna(0.0)
    parts = {"counted in the plan": counted, "on top if won": (whole - counted).where(is_counted, 0.0),
             "not counted here": whole.where(~is_counted, 0.0)}
    rows = pd.DataFrame({"period": pipeline_line["close_period"], **parts}).groupby("period", as_index=False).sum()
    rows = rows.melt("period", var_name="part", value_name="value_amt")
    title = f"The plan counts {short(counted.sum(), MONEY)} of {short(whole.sum(), MONEY)} in {_plural(len(pipeline_line), 'open deal')}"
    return _view(rows, title,
                 "By close period, at mean price. Counted = volume × chance. Not counted here: part of the run rate already, or outside "
                 "the horizon; nothing is counted twice.",
                 "No open deal is on file.")


def pipeline_deals(pipeline_line: pd.DataFrame, item: pd.DataFrame, market: pd.DataFrame) -> pd.DataFrame:
    """Every open deal, most counted money first, and why it counts or not."""
    _needs(pipeline_line, "pipeline_line")
    rows = pipeline_line.sort_values(["expected_amt", "close_period", "opportunity_id"], ascending=[False, True, True])
    places = market.set_index("market_id")["market_name"]
    rows = rows.assign(
        product=rows["item_id"].map(_item_names(item)).fillna(rows["item_id"]).fillna(rows["family"]),
        market_name=rows["market_id"].map(places).fillna(rows["market_id"]),
    )
    columns = ["opportunity_id", "product", "market_name", "close_period", "stage", "volume_qty", "probability_ratio", "counted_qty",
               "expected_amt", "reason"]
    return _view(rows[columns], "Deal by deal", empty="No open deal is on file.")


def demand_range(
    consensus_demand: pd.DataFrame, item: pd.DataFrame, budget: pd.DataFrame, forecast_range: pd.DataFrame | None = None,
    market: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Unconstrained demand in money by family: agreed on, low, high, budget, and the gap in each case.

    With `forecast_range`, the range of a family and of the total is the one calibrated on its own errors, which are taken as
    moving together over periods. Without it a family takes an item's errors as moving together over markets and periods and as
    independent between items: half-width = sqrt(Σ_items (Σ_markets, periods half-width × price)²); the total likewise. With `market`,
    demand of regions that no budget speaks of is left out, as in `demand_gap`.
    """
    _needs(consensus_demand, "consensus_demand")
    _needs(budget, "budget")
    shared = consensus_demand[consensus_demand["period"].isin(budget["period"])] if len(budget) else consensus_demand
    regions = set(budget["region"])
    if market is not None and len(budget) and regions <= set(market["region"]):
        shared = shared[shared["market_id"].isin(market.loc[market["region"].isin(regions), "market_id"])]
    price = shared["price_amt"]
    risky = shared.assign(
        below=(shared["demand_qty"] - shared["low_qty"]) * price, above=(shared["high_qty"] - shared["demand_qty"]) * price
    )
    by_item = _with_item(risky.groupby("item_id", as_index=False)[["revenue_amt", "below", "above"]].sum(), item, "family")
    squared = by_item.assign(below=by_item["below"] ** 2, above=by_item["above"] ** 2)
    families = squared.groupby("family")[["revenue_amt", "below", "above"]].sum()
    plan = budget[budget["period"].isin(shared["period"])].groupby("family")["revenue_amt"].sum()
    rows = families.join(plan.rename("budget_amt"), how="outer")
    total = rows.sum(min_count=1).rename("All families")
    rows = pd.concat([rows.sort_values("revenue_amt", ascending=False), total.to_frame().T]) if len(rows) else rows
    if forecast_range is not None and len(forecast_range):
        rows = _own_widths(rows, shared, item, forecast_range)
    return _range_view(rows, shared["period"].nunique())


def _own_widths(rows: pd.DataFrame, shared: pd.DataFrame, item: pd.DataFrame, forecast_range: pd.DataFrame) -> pd.DataFrame:
    """Squared half-widths of families and the total in the proportions of their own ranges, where they have one."""
    money = _with_item(shared, item, "family").groupby(["family", "period"], as_index=False)["revenue_amt"].sum()
    whole = money.groupby("period", as_index=False)["revenue_amt"].sum().assign(family="All families")
    ratios = pd.concat([_range_ratios(forecast_range, "family"), _range_ratios(forecast_range, "total").assign(member="All families")])
    valued = pd.concat([money, whole]).merge(
        ratios.rename(columns={"member": "family"}), on=["family", "period"], how="inner", validate="one_to_one"
    )
    valued["below"] = valued["revenue_amt"] * (1 - valued["low_ratio"])
    valued["above"] = valued["revenue_amt"] * (valued["high_ratio"] - 1)
    own = valued.groupby("family")[["below", "above"]].sum() ** 2
    changed = rows.copy()
    changed.update(own)
    return changed


def _range_view(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """Squared half-widths by family as bounds, with risk, opportunity and gaps."""
    made = pd.DataFrame(
        {
            "family": rows.index,
            "demand_amt": rows["revenue_amt"].to_numpy(),
            "risk_amt": -(rows["below"] ** 0.5).to_numpy(),
            "opportunity_amt": (rows["above"] ** 0.5).to_numpy(),
            "budget_amt": rows["budget_amt"].to_numpy(),
        }
    )
    made["low_amt"] = (made["demand_amt"] + made["risk_amt"]).clip(lower=0)
    made["high_amt"] = made["demand_amt"] + made["opportunity_amt"]
    for name in ("low", "demand", "high"):
        made[f"gap_at_{name}_amt"] = made[f"{name}_amt"] - made["budget_amt"]
    columns = [
        "family",
        "demand_amt",
        "risk_amt",
        "opportunity_amt",
        "low_amt",
        "high_amt",
        "budget_amt",
        "gap_at_low_amt",
        "gap_at_demand_amt",
        "gap_at_high_amt",
    ]
    return _view(
        made[columns],
        _range_title(made.iloc[-1], count) if len(made) else "",
        "Risk and opportunity: half-widths of the range of the forecast at the interval of the settings, times price; an item's errors "
        "move together, items are independent: families do not add up to the total. Periods and regions that the budget covers; "
        "gap = demand − budget.",
        "No demand was agreed on.",
    )


def _range_title(whole: pd.Series, count: int) -> str:
    ends = f"{short(whole['low_amt'], MONEY)} to {short(whole['high_amt'], MONEY)}"
    title = f"Unconstrained demand is worth {ends} over {_plural(count, 'period')}"
    if pd.isna(whole["budget_amt"]):
        return title
    if whole["gap_at_high_amt"] < 0:
        return f"{title}; even the high end misses the budget"
    return f"{title}; the budget lies inside" if whole["gap_at_low_amt"] < 0 else f"{title}; even the low end meets the budget"


def demand_vs_budget(demand_gap: pd.DataFrame) -> pd.DataFrame:
    """Unconstrained demand in money beside the budget, by period, where a budget is stated."""
    _needs(demand_gap, "demand_gap")
    rows = demand_gap.dropna(subset=["budget_amt"]).groupby("period", as_index=False)[["demand_amt", "budget_amt", "gap_amt"]].sum()
    return _view(
        rows,
        _gap_title("Unconstrained demand", rows["gap_amt"].sum(), rows["budget_amt"].sum(), len(rows)),
        "Gap = unconstrained demand at price − budgeted revenue, in the families and regions that have a budget.",
        "No budget covers the periods of this plan.",
    )


def _gap_title(who: str, gap: float, whole: float, count: int) -> str:
    side = "above" if gap >= 0 else "below"
    return f"{who} is {short(abs(gap), MONEY)} ({percent(abs(_ratio(gap, whole)))}) {side} budget over {_plural(count, 'period')}"


def consensus_by_family(consensus_demand: pd.DataFrame, item: pd.DataFrame, periods: int = 6) -> pd.DataFrame:
    """Demand agreed on, by family: units of the first periods, then units and money of the whole horizon."""
    _needs(consensus_demand, "consensus_demand")
    known = _with_item(consensus_demand, item, "family")
    whole = known.groupby("family")[["demand_qty", "revenue_amt"]].sum()
    near = _first_periods(known, periods)
    wide = near.groupby(["family", "period"])["demand_qty"].sum().unstack()
    wide.columns = [f"{label}_qty" for label in period_labels(pd.Series(wide.columns, dtype="datetime64[ns]"))]
    rows = wide.join(whole.rename(columns={"demand_qty": "horizon_qty", "revenue_amt": "horizon_amt"}))
    rows = rows.sort_values("horizon_amt", ascending=False).rename_axis("family").reset_index()
    if len(rows):
        rows = pd.concat([rows, rows.drop(columns="family").sum().to_frame().T.assign(family="All families")], ignore_index=True)
    view = _view(
        rows,
        f"Agreed on: {short(whole['demand_qty'].sum())} units worth {short(whole['revenue_amt'].sum(), MONEY)}",
        f"Horizon: all {known['period'].nunique()} periods. To change cells, open this notebook in JupyterLab and run its first "
        "cells and this one; or edit them in Excel: sop adjust export.",
        "No demand was agreed on.",
    )
    view.attrs["bold"] = ["All families"]
    return view


def override_log(demand_adjustment: pd.DataFrame) -> pd.DataFrame:
    """People's changes to demand: who, when, why and what."""
    _needs(demand_adjustment, "demand_adjustment")
    rows = (
        demand_adjustment.sort_values(["at", "record_id"], ascending=[False, True])
        if "record_id" in demand_adjustment
        else demand_adjustment
    )
    named = rows.assign(
        product=rows["item_id"].where(rows["item_id"] != "", rows["family"]),
        place=rows["market_id"].where(rows["market_id"] != "", rows["region"]),
    )
    named = named.rename(columns={"at": "entry_date", "kind": "change"})
    return _view(
        named[["entry_date", "by", "product", "place", "period", "change", "value", "why"]],
        f"{_plural(len(rows), 'override')} by {_plural(rows['by'].nunique(), 'person', 'people')}",
        empty="Nobody changed the consensus in this cycle.",
    )


def demand_gap(demand_gap: pd.DataFrame, top: int = 12) -> pd.DataFrame:
    """Unconstrained demand less budget by family (by region where the budget names no family) and period."""
    _needs(demand_gap, "demand_gap")
    budgeted = demand_gap.dropna(subset=["budget_amt"])
    level = "family" if budgeted["family"].nunique() != 1 else "region"
    rows = budgeted.groupby([level, "period"], as_index=False)[["demand_amt", "budget_amt", "gap_amt"]].sum()
    rows = rows.rename(columns={level: "member"}).assign(gap_ratio=lambda r: r["gap_amt"] / r["budget_amt"].where(r["budget_amt"] > 0))
    rows = rows.assign(order=rows.groupby("member")["gap_amt"].transform("sum")).sort_values(["order", "member", "period"])
    title = ""
    if len(rows):
        totals = rows.groupby("member")["gap_amt"].sum()
        lowest = totals.idxmin()
        title = (f"{lowest} lies furthest below budget: {short(totals[lowest], MONEY)}" if totals[lowest] < 0
                 else f"No {level} lies below budget")
    count = rows["member"].nunique()
    more = f" The {top} largest of {count} gaps." if count > top else ""
    rows = rows[rows["member"].isin(rows.groupby("member")["gap_amt"].sum().abs().nlargest(top).index)]
    return _view(rows[["member", "period", "demand_amt", "budget_amt", "gap_amt", "gap_ratio"]], title,
                 f"Gap = unconstrained demand − budget, {MONEY}, by {level}; orange: below budget, by share of it.{more}",
                 "No budget covers the periods of this plan.")


def demand_by_region(demand_gap: pd.DataFrame) -> pd.DataFrame:
    """Unconstrained demand with its ends by region, in units and money, beside the budget, over the horizon."""
    _needs(demand_gap, "demand_gap")
    named = demand_gap.rename(columns={f"{end}_{unit}": f"{word}_{unit}" for end, word in (("low", "floor"), ("high", "ceiling"))
                                       for unit in ("qty", "amt")})
    columns = [f"{name}_{unit}" for unit in ("qty", "amt") for name in ("demand", "floor", "ceiling", "budget", "gap")]
    rows = named.groupby("region")[columns].sum(min_count=1).sort_values("demand_amt", ascending=False).rename_axis("region")
    rows = rows.reset_index()
    if len(rows) > 1:
        rows = pd.concat([rows, rows[columns].sum(min_count=1).to_frame().T.assign(region="All regions")], ignore_index=True)
    count = demand_gap["period"].nunique()
    view = _view(rows[["region", *columns]],
                 f"Unconstrained demand: {short(demand_gap['demand_qty'].sum())} units worth "
                 f"{short(demand_gap['demand_amt'].sum(), MONEY)} over {_plural(count, 'period')}",
                 "Floor and ceiling: every item at the low (high) end of its range at once; the likely range stands under risks. "
                 "Gap: where a budget is stated.",
                 "No demand was agreed on.")
    view.attrs["bold"] = ["All regions"]
    return view


_RISK_WORDS = {
    r": demand at the (?:low|high) end of its range$": ": range of demand",
    r"^Deal (?:lost|won): ": "Deal: ",
    r" works as (?:little|much) as it ever may$": ": range of its uplift",
}


def risks_opportunities(risk_opportunity: pd.DataFrame, top: int = 12) -> pd.DataFrame:
    """What could take demand below or above the plan, both sides of a thing on one line, by expected money."""
    rows = risk_register(risk_opportunity)
    sides = risk_opportunity.groupby("kind")["expected_amt"].sum()
    title = (f"Expected: {short(sides.get('risk', 0.0), MONEY)} of risks, {signed(short(sides.get('opportunity', 0.0), MONEY))} "
             "of opportunities beside the plan")
    weighed = rows[(rows["expected_risk_amt"] != 0) | (rows["expected_opportunity_amt"] != 0)]
    more = f" The {top} widest of {len(weighed)}." if len(weighed) > top else ""
    note = f"Expected money = revenue at stake × chance.{more}"
    return _view(weighed.drop(columns="evidence").head(top), title, note, rows.attrs["empty"])


def risk_register(risk_opportunity: pd.DataFrame) -> pd.DataFrame:
    """Every risk and opportunity of demand with its money, chance and evidence; those without a chance last."""
    _needs(risk_opportunity, "risk_opportunity")
    named = risk_opportunity.assign(what=risk_opportunity["title"].replace(_RISK_WORDS, regex=True))
    keys = ["source", "member", "what"]
    sides = [
        named[named["kind"] == kind].rename(
            columns={"money_amt": f"{kind}_amt", "probability_ratio": f"chance_of_{kind}_ratio", "expected_amt": f"expected_{kind}_amt"})
        for kind in ("risk", "opportunity")
    ]
    told = named.drop_duplicates(keys)[[*keys, "evidence"]]
    kept = [side[[*keys, *(c for c in side if c.startswith(("risk_amt", "opportunity_amt", "chance", "expected")))]] for side in sides]
    rows = kept[0].merge(kept[1], on=keys, how="outer", validate="one_to_one").merge(told, on=keys, validate="one_to_one")
    expected = ["expected_risk_amt", "expected_opportunity_amt"]
    rows[expected] = rows[expected].fillna(0.0)
    rows = rows.assign(width=rows[expected].abs().sum(axis=1)).sort_values(["width", "what"], ascending=[False, True])
    columns = ["what", "risk_amt", "chance_of_risk_ratio", "opportunity_amt", "chance_of_opportunity_ratio", *expected, "evidence"]
    return _view(rows[columns], f"{_plural(len(risk_opportunity), 'risk or opportunity', 'risks and opportunities')} on file",
                 "A chance of – : nobody stated one, so nothing is expected of it.",
                 "Nothing is known that could take demand below or above the plan.")


def demand_issues(demand_issue: pd.DataFrame) -> pd.DataFrame:
    """What the demand review had to leave out, and what to do about it."""
    _needs(demand_issue, "demand_issue")
    rows = issue_list(demand_issue)
    return _view(rows, f"{_plural(len(rows), 'input was', 'inputs were')} left out or deserve a look" if len(rows) != 1 else
                 "1 input was left out or deserves a look",
                 "Nothing of this stopped the rest.", "Every input of the demand review could be used.")


# ------------------------------------------------------------------ 3 supply review
def load_heat_map(capacity_load: pd.DataFrame, resource: pd.DataFrame, top: int = 20) -> pd.DataFrame:
    """Rough-cut load of the fullest resources, by period."""
    _needs(capacity_load, "capacity_load")
    names = resource.set_index("resource_id")["resource_name"] if "resource_name" in resource else pd.Series(dtype=object)
    peak = capacity_load.groupby("resource_id")["utilisation_ratio"].max().nlargest(top)
    rows = capacity_load[capacity_load["resource_id"].isin(peak.index)]
    rows = rows.assign(resource=rows["resource_id"].map(names).fillna(rows["resource_id"]), peak_ratio=rows["resource_id"].map(peak))
    rows = rows.sort_values(["peak_ratio", "resource_id", "period"], ascending=[False, True, True])
    over = capacity_load[capacity_load["is_overloaded"].astype(bool)]
    title = (
        f"{_plural(over['resource_id'].nunique(), 'resource is', 'resources are')} overloaded, "
        f"first in {period_labels(over['period'].nsmallest(1)).iloc[0]}"
        if len(over)
        else "No resource is overloaded"
    )
    return _view(
        rows[["resource", "resource_id", "period", "load_hours", "regular_hours", "overtime_hours", "utilisation_ratio", "is_overloaded"]],
        title,
        "Load of unconstrained demand / regular hours, %. Rough-cut, not finite capacity. "
        "▲ marks load above regular hours and overtime together.",
        "No load: no routing connects the demand with a resource.",
    )


def stock_vs_target(
    inventory_projection: pd.DataFrame,
    item: pd.DataFrame,
    level: Literal["total", "family"] = "total",
    item_type: str | None = "finished",
    top: int = 9,
) -> pd.DataFrame:
    """Projected stock beside target and safety stock, at standard cost."""
    _needs(inventory_projection, "inventory_projection")
    valued = _with_item(inventory_projection, item, "family", "item_type", "standard_cost_amt")
    valued = valued if item_type is None else valued[valued["item_type"] == item_type]
    valued = valued.assign(
        member=valued["family"] if level == "family" else "Total",
        target_amt=valued["target_qty"] * valued["standard_cost_amt"],
        safety_stock_amt=valued["safety_stock_qty"] * valued["standard_cost_amt"],
    )
    valued = _largest(valued, "member", "value_amt", top) if len(valued) else valued
    rows = (
        valued.groupby(["member", "period"], as_index=False)[["value_amt", "target_amt", "safety_stock_amt"]]
        .sum()
        .rename(columns={"value_amt": "stock_amt"})
    )
    last = rows[rows["period"] == rows["period"].max()]
    title = f"Stock ends at {short(last['stock_amt'].sum(), MONEY)}, target {short(last['target_amt'].sum(), MONEY)}"
    return _view(
        rows,
        title,
        "Closing stock, target (safety stock + half a review cycle of demand) and safety stock, all at standard cost.",
        "No stock is projected for these items.",
    )


def demand_vs_plan(unmet_demand: pd.DataFrame) -> pd.DataFrame:
    """Demand by period: how much the plan serves, and what is lost or late."""
    _needs(unmet_demand, "unmet_demand")
    rows = unmet_demand.groupby("period", as_index=False)[["demand_qty", "served_qty", "lost_qty", "backlog_qty", "lost_revenue_amt"]].sum()
    share = _ratio(rows["served_qty"].sum(), rows["demand_qty"].sum())
    lost = rows["lost_revenue_amt"].sum()
    title = f"The plan serves {percent(share)} of demand" + (f"; {short(lost, MONEY)} of revenue is lost" if lost > _ROUNDING else "")
    return _view(
        rows,
        title,
        "Served + lost (or late) = unconstrained demand, units. Share served = served / demand.",
        "There is no demand to serve.",
    )


def shortages(unmet_demand: pd.DataFrame, item: pd.DataFrame, market: pd.DataFrame) -> pd.DataFrame:
    """Who loses: unserved demand by family and market, most money first."""
    _needs(unmet_demand, "unmet_demand")
    named = _with_item(unmet_demand, item, "family").merge(
        market[["market_id", "market_name", "priority"]], on="market_id", how="left", validate="many_to_one"
    )
    rows = named.groupby(["family", "market_name", "priority"], as_index=False)[
        ["demand_qty", "served_qty", "lost_qty", "lost_revenue_amt"]
    ].sum()
    rows["served_ratio"] = rows["served_qty"] / rows["demand_qty"].where(rows["demand_qty"] > 0)
    rows = rows[rows["lost_qty"] > _ROUNDING].sort_values(["lost_revenue_amt", "family", "market_name"], ascending=[False, True, True])
    return _view(
        rows[["family", "market_name", "priority", "demand_qty", "lost_qty", "served_ratio", "lost_revenue_amt"]],
        f"{_plural(len(rows), 'family and market', 'families and markets')} with lost demand",
        "Share served = served / demand.",
        "Nobody loses demand in this plan.",
    )


def service(unmet_demand: pd.DataFrame, item: pd.DataFrame, market: pd.DataFrame, top: int = 12) -> pd.DataFrame:
    """Share of demand served by family and market; of many families those served worst."""
    _needs(unmet_demand, "unmet_demand")
    named = _with_item(unmet_demand, item, "family").merge(
        market[["market_id", "market_name"]], on="market_id", how="left", validate="many_to_one"
    )
    rows = named.groupby(["family", "market_name"], as_index=False)[["demand_qty", "served_qty"]].sum()
    rows = rows[rows["demand_qty"] > 0]
    rows["served_ratio"] = rows["served_qty"] / rows["demand_qty"]
    worst = rows.sort_values("served_ratio").head(1)
    title = "".join(f"Lowest service: {r.family} in {r.market_name}, {percent(r.served_ratio)}" for r in worst.itertuples())
    lowest = rows.groupby("family")["served_ratio"].min()
    more = f" The {top} of {len(lowest)} families served worst." if len(lowest) > top else ""
    rows = rows[rows["family"].isin(lowest.nsmallest(top).index)]
    return _view(
        rows, title, f"Served in the period of demand / unconstrained demand, units, whole horizon.{more}", "There is no demand to serve."
    )


def _with_names(members: pd.Series, item: pd.DataFrame) -> list[str]:
    """Members such as `C-123 from SUP-01 to P1` with the item's name before its number."""
    names = _item_names(item)
    heads = [member.partition(" ") for member in members]
    return [f"{names[head]} ({head}){gap}{rest}" if head in names.index else member
            for member, (head, gap, rest) in zip(members, heads, strict=True)]


def bottlenecks(binding_limit: pd.DataFrame, resource: pd.DataFrame, item: pd.DataFrame, top: int = 12) -> pd.DataFrame:
    """The limits that stop the plan, by the worth of easing them."""
    _needs(binding_limit, "binding_limit")
    _needs(resource, "resource")
    stopping = binding_limit[~binding_limit["limit"].isin(_PROMISES)]
    ranked = stopping.sort_values(["price_amt", "period"], ascending=[False, True])
    rows = ranked.groupby(["limit", "member"], as_index=False).agg(
        period_count=("period", "nunique"),
        price_amt=("price_amt", "first"),
        unit=("unit", "first"),
        money_amt=("money_amt", "sum"),
        sentence=("sentence", "first"),
    )
    rows = rows.sort_values(["money_amt", "limit", "member"], ascending=[False, True, True]).head(top)
    names = resource.dropna(subset=["resource_name"]).set_index("resource_id")["resource_name"]
    rows = rows.assign(limit=rows["limit"].map(heading), member=_with_names(rows["member"].map(names).fillna(rows["member"]), item))
    title = f"{rows['limit'].iloc[0]} of {rows['member'].iloc[0]} is the dearest limit" if len(rows) else ""
    return _view(
        rows,
        title,
        "Price = gain of the plan from one more unit of the limit; money = price × limit, summed over the periods it binds. "
        "What contracts cost stands by itself.",
        "No limit stops this plan: all demand is served without one binding.",
    )


def bottleneck_sentences(binding_limit: pd.DataFrame, resource: pd.DataFrame, item: pd.DataFrame, top: int = 10) -> pd.DataFrame:
    """The same limits in words."""
    ranked = bottlenecks(binding_limit, resource, item, top)
    return _view(ranked[["member", "limit", "money_amt", "sentence"]], "The same in words", empty=ranked.attrs["empty"])


def shortage_reasons(shortage_reason: pd.DataFrame, item: pd.DataFrame, market: pd.DataFrame, top: int = 100_000) -> pd.DataFrame:
    """Why items are short, for whom, and what it would take, over all periods; most money first."""
    _needs(shortage_reason, "shortage_reason")
    money = shortage_reason.drop_duplicates(["item_id", "market_id", "period"])["short_amt"].sum()
    rows = shortage_reason.groupby(["item_id", "market_id", "limit", "member", "unit"], as_index=False).agg(
        period_count=("period", "nunique"), short_qty=("short_qty", "sum"), short_amt=("short_amt", "sum"),
        needed_qty=("needed_qty", "sum"), price_amt=("price_amt", "max"))
    rows = rows.sort_values(["short_amt", "item_id", "market_id", "price_amt"], ascending=[False, True, True, False])
    rows["needed_qty"] = rows["needed_qty"].where(rows["unit"] != "")  # nothing would help where it does not pay or cannot come
    names = market.set_index("market_id")["market_name"]
    rows = _with_item(rows, item, "item_name").assign(market_name=rows["market_id"].map(names).fillna(rows["market_id"]).to_numpy())
    rows["member"] = _with_names(rows["member"], item)
    shown = ["item_name", "market_name", "period_count", "short_qty", "short_amt", "limit", "member", "needed_qty", "unit", "price_amt"]
    return _view(
        rows[shown].head(top),
        f"Why {short(money, MONEY)} of demand is not served in time, and what it would take",
        "The cheapest way back from each short market at the plan's prices: how much more of which limit (needed = short × units of the "
        "limit in one), and what one more unit of it is worth at most. No profit: each more unit would lose that much; "
        "better use: what it takes earns that much more elsewhere.",
        "Nothing is short in this plan.",
    )


def allocation(allocation: pd.DataFrame, item: pd.DataFrame, market: pd.DataFrame, top: int = 100_000) -> pd.DataFrame:
    """Who gets what of the items that are short, by rule; most money lost first."""
    _needs(allocation, "allocation")
    names = market.set_index("market_id")["market_name"]
    named = _with_item(allocation, item, "item_name")
    named["market_name"] = named["market_id"].map(names).fillna(named["market_id"])
    rows = named.sort_values(["lost_amt", "item_id", "market_id", "period"], ascending=[False, True, True, True])
    measures = ["demand_qty", "floor_qty", "planned_qty", "allocated_qty", "lost_qty", "lost_amt"]
    return _view(
        rows[["item_name", "market_name", "period", *measures, "rule"]].head(top),
        f"Who gives way: {short(named['lost_amt'].sum(), MONEY)} not served when what is short is shared by rule",
        "Contract floors first, then priority 1, 2 …, inside one by the rule of the settings. Planned: the split of the most "
        "profitable plan, with the same total for each item and period.",
        "Nothing has to be shared: every item is served in full.",
    )


def bottleneck_hours(bottleneck_ranking: pd.DataFrame, resource: pd.DataFrame, item: pd.DataFrame, top: int = 15) -> pd.DataFrame:
    """What each item earns per hour of the dearest bottleneck."""
    _needs(bottleneck_ranking, "bottleneck_ranking")
    dearest = bottleneck_ranking.sort_values(["hour_price_amt", "resource_id"], ascending=[False, True])["resource_id"].head(1)
    rows = _with_item(bottleneck_ranking[bottleneck_ranking["resource_id"].isin(dearest)], item, "item_name").sort_values("rank")
    names = resource.dropna(subset=["resource_name"]).set_index("resource_id")["resource_name"]
    where = "".join(dearest.map(names).fillna(dearest))
    price = rows["hour_price_amt"].max()
    rows = rows.assign(served_ratio=rows["served_qty"] / rows["demand_qty"].where(rows["demand_qty"] > 0))
    shown = rows if len(rows) <= top else pd.concat([rows.head(top // 2 + top % 2), rows.tail(top // 2)])
    return _view(
        shown[["item_name", "rank", "unit_margin_amt", "hours_per_unit", "margin_amt_per_hour", "demand_qty", "served_ratio"]],
        f"An hour of {where} is worth up to {short(price, MONEY)}: items at the end of the list give way first" if len(rows) else "",
        "Margin per hour = (mean price − purchases, variable cost and labour of everything in it) / hours of this resource in one unit. "
        + (f"First and last of {len(rows)} items." if len(rows) > top else ""),
        "No resource is a bottleneck: one more hour is worth nothing anywhere.",
    )


def not_made(not_made: pd.DataFrame, item: pd.DataFrame, top: int = 100_000) -> pd.DataFrame:
    """What no plant makes though it could, and what the first unit would lose."""
    _needs(not_made, "not_made")
    rows = _with_item(not_made, item, "item_name").sort_values(["loss_amt", "item_id", "location_id"])
    return _view(
        rows[["item_name", "location_id", "loss_amt", "period"]].head(top),
        f"{_plural(len(rows), 'item is', 'items are')} not made at a plant that could",
        "Loss by the first unit made, in the period that suits it best, at the plan's prices of hours, components and limits.",
        "Everything that can be made is made, or costs nothing to make.",
    )


def rounding(rounding_check: pd.DataFrame, item: pd.DataFrame, top: int = 100_000) -> pd.DataFrame:
    """Limits that whole quantities break."""
    _needs(rounding_check, "rounding_check")
    rows = rounding_check.assign(over_ratio=rounding_check["over_qty"] / rounding_check["limit_qty"].where(rounding_check["limit_qty"] > 0))
    rows = rows.sort_values(["over_ratio", "over_qty"], ascending=False).assign(member=lambda r: _with_names(r["member"], item))
    return _view(
        rows[["limit", "member", "period", "limit_qty", "rounded_qty", "over_qty", "unit", "over_ratio"]].head(top),
        f"Rounded to whole quantities the plan breaks {_plural(len(rows), 'limit')}",
        "Running totals rounded up to whole units, lots and orders, crews to whole people, against every hard limit. "
        "Over = rounded − limit.",
        "Rounded to whole quantities the plan keeps every limit: it is feasible.",
    )


def floor_cost(contract_floor_cost: pd.DataFrame, market: pd.DataFrame) -> pd.DataFrame:
    """What contract floors give each market, and what they cost."""
    _needs(contract_floor_cost, "contract_floor_cost")
    names = market.set_index("market_id")["market_name"]
    rows = contract_floor_cost.assign(market_name=contract_floor_cost["market_id"].map(names).fillna("Whole plan"))
    rows = rows.sort_values("floor_qty")
    cost = rows["cost_amt"].sum()
    is_free = cost <= _UNSEEN * rows["revenue_amt"].max()
    columns = ["market_name", "floor_qty", "served_qty", "served_without_qty", "revenue_amt", "revenue_without_amt", "price_amt",
               "cost_amt"]
    view = _view(
        rows[columns],
        "Contract floors cost nothing: the best plan keeps them anyway" if is_free
        else f"Contract floors cost {short(cost, MONEY)} of profit",
        "Cost = profit of the best plan without floors − profit of this plan. Price = mean worth of one unit less under contract.",
        "No market has a contract floor.",
    )
    view.attrs["bold"] = ("Whole plan",)
    return view


def purchases(purchase_plan: pd.DataFrame) -> pd.DataFrame:
    """What to order from suppliers, by period of the order."""
    _needs(purchase_plan, "purchase_plan")
    rows = purchase_plan.groupby("period", as_index=False).agg(
        purchase_cost_amt=("purchase_cost_amt", "sum"), item_count=("item_id", "nunique"), supplier_count=("supplier_id", "nunique")
    )
    return _view(
        rows,
        f"{short(rows['purchase_cost_amt'].sum(), MONEY)} to order from {_plural(purchase_plan['supplier_id'].nunique(), 'supplier')}",
        "Quantity × supplier's price, in the period in which the order is placed.",
        "Nothing has to be bought.",
    )


def purchase_list(purchase_plan: pd.DataFrame, item: pd.DataFrame) -> pd.DataFrame:
    """Orders by supplier and item, most money first."""
    _needs(purchase_plan, "purchase_plan")
    rows = purchase_plan.groupby(["supplier_id", "item_id"], as_index=False).agg(
        first_order_period=("period", "min"),
        order_count=("period", "size"),
        purchase_qty=("purchase_qty", "sum"),
        purchase_cost_amt=("purchase_cost_amt", "sum"),
    )
    rows = rows.assign(item_name=rows["item_id"].map(_item_names(item))).sort_values(
        ["purchase_cost_amt", "supplier_id", "item_id"], ascending=[False, True, True]
    )
    return _view(
        rows[["supplier_id", "item_id", "item_name", "first_order_period", "order_count", "purchase_qty", "purchase_cost_amt"]],
        "Purchases by supplier and item, most money first",
        empty="Nothing has to be bought.",
    )


# ------------------------------------------------------------------ 3 supply review: hours, stock money and materials in detail
def capacity_table(capacity_load: pd.DataFrame, resource: pd.DataFrame) -> pd.DataFrame:
    """Load of every resource over the horizon against regular, overtime and demonstrated hours, fullest first."""
    _needs(capacity_load, "capacity_load")
    names = resource.set_index("resource_id")["resource_name"] if "resource_name" in resource else pd.Series(dtype=object)
    known = capacity_load.assign(demonstrated_load_hours=capacity_load["load_hours"].where(capacity_load["demonstrated_hours"].notna()))
    columns = ["load_hours", "regular_hours", "overtime_hours", "demonstrated_hours", "demonstrated_load_hours"]
    rows = known.groupby("resource_id")[columns].sum(min_count=1)
    basis = capacity_load.drop_duplicates("resource_id").set_index("resource_id")["demonstrated_basis"]
    rows = rows.assign(
        resource=names.reindex(rows.index).fillna(pd.Series(rows.index, index=rows.index)),
        utilisation_ratio=rows["load_hours"] / rows["regular_hours"].where(rows["regular_hours"] > 0),
        of_demonstrated_ratio=rows["demonstrated_load_hours"] / rows["demonstrated_hours"].where(rows["demonstrated_hours"] > 0),
        basis=basis,
    ).sort_values("utilisation_ratio", ascending=False)
    shown = ["resource", *columns[:4], "utilisation_ratio", "of_demonstrated_ratio", "basis"]
    above = capacity_load[capacity_load["demonstrated_ratio"] > 1]
    count = above.groupby("resource_id").size().reindex(rows.index).dropna().sort_values(ascending=False, kind="stable")
    title = (
        f"{rows.loc[count.index[0], 'resource']} needs more than it has shown it can do in {_plural(int(count.iloc[0]), 'period')}"
        if len(count)
        else "All load is within what has been shown"
    )
    return _view(
        rows[shown],
        title,
        "Rough-cut over the horizon, not finite capacity. Utilisation = load / regular hours; of demonstrated = load / hours really "
        "achieved (stated, by efficiency, or the best three of the last twelve periods).",
        "No load: no routing connects the demand with a resource.",
    )


def load_by_method(capacity_load: pd.DataFrame, resource: pd.DataFrame, top: int = 4) -> pd.DataFrame:
    """Load of the fullest resources where the demand falls and a lead time earlier, beside what there is."""
    _needs(capacity_load, "capacity_load")
    names = resource.set_index("resource_id")["resource_name"] if "resource_name" in resource else pd.Series(dtype=object)
    fullest = capacity_load.groupby("resource_id")["utilisation_ratio"].max().nlargest(top).index
    rows = capacity_load[capacity_load["resource_id"].isin(fullest)]
    rows = rows.assign(member=rows["resource_id"].map(names).fillna(rows["resource_id"]))
    moved = (rows["load_hours"] - rows["offset_load_hours"]).abs().sum()
    title = "Lead times move load forward" if moved > _ROUNDING else "Lead times are too short to move load to an earlier period"
    return _view(
        rows[["member", "period", "load_hours", "offset_load_hours", "regular_hours", "overtime_hours", "demonstrated_hours"]],
        title,
        "Hours. Bill of capacity: where the demand falls. Resource profile: its lead times earlier, empty where it hangs on demand "
        "beyond the horizon. Rough-cut, not finite capacity.",
        "No load: no routing connects the demand with a resource.",
    )


def buildable(buildable: pd.DataFrame, item: pd.DataFrame, resource: pd.DataFrame, top: int = 12) -> pd.DataFrame:
    """How many can be made and what stops the next one: the demand as a whole first, then the items with least room."""
    _needs(buildable, "buildable")
    names = pd.concat([resource.dropna(subset=["resource_name"]).set_index("resource_id")["resource_name"], _item_names(item)])
    first = buildable.drop_duplicates("item_id")
    first = first.assign(room_ratio=first["buildable_qty"] / first["demand_qty"].where(first["demand_qty"] > 0))
    first = first.assign(is_item=first["item_id"] != "all").sort_values(["is_item", "room_ratio", "item_id"], na_position="last").head(top)
    rows = first.assign(
        made=first["item_id"].map(names).where(first["is_item"], "The demand, as it is mixed"),
        what_stops=[_limit_words(r.limit, r.member, r.limit_qty, names) for r in first.itertuples()],
        then_stops=[_limit_words(r.next_limit, r.next_member, np.nan, names) for r in first.itertuples()],
    )
    whole = rows[~rows["is_item"]]
    title = ""
    if len(whole):
        one = whole.iloc[0]
        until = period_labels(pd.Series([one["until_period"]])).iloc[0]
        stops = _limit_words(one["limit"], one["member"], np.nan, names)
        title = (
            f"{one['buildable_qty']:.2f} times the demand up to {until} could be served; {stops} stops more"
            if pd.notna(one["buildable_qty"])
            else f"Nothing at hand limits the demand up to {until}"
        )
    # The mix is counted in multiples of the demand: only its ratio means something.
    rows[["demand_qty", "buildable_qty", "beyond_qty", "unit_gain_qty"]] = rows[
        ["demand_qty", "buildable_qty", "beyond_qty", "unit_gain_qty"]
    ].where(rows["is_item"])
    return _view(
        rows[["made", "demand_qty", "buildable_qty", "room_ratio", "what_stops", "unit_gain_qty", "beyond_qty", "then_stops"]],
        title,
        "Rough-cut, no schedule: hours with overtime, stock, open orders and what suppliers can bring in time, for this item alone "
        "(first row: all items as demanded, in multiples of the demand). Unit gain = units more for one more hour or unit of the limit.",
        "Nothing is demanded in the periods counted.",
    )


def _limit_words(limit: str, member: str, quantity: float, names: pd.Series) -> str:
    if limit == "none":
        return "nothing"
    name = names.get(member, member)
    name = f"{name} ({member})" if limit == "material" and name != member else name
    unit = "hours" if limit == "capacity" else "units"
    return name if pd.isna(quantity) else f"{name}: {short(quantity)} {unit}"


def inventory_tradeoff(inventory_tradeoff: pd.DataFrame) -> pd.DataFrame:
    """What safety stock money buys: the frontier, and today's targets beside it."""
    _needs(inventory_tradeoff, "inventory_tradeoff")
    words = {"frontier": "best mix", "today": "today's targets", "same_service": "same fill rate", "same_money": "same money"}
    rows = inventory_tradeoff.assign(option=inventory_tradeoff["option"].map(words))
    at = inventory_tradeoff.drop_duplicates("option").set_index("option")
    title = ""
    if "today" in at.index:
        saved = at.loc["today", "safety_stock_amt"] - at.loc["same_service", "safety_stock_amt"]
        title = (
            f"Today's {short(at.loc['today', 'safety_stock_amt'], MONEY)} of stock serve {percent(at.loc['today', 'fill_ratio'], 2)} "
            f"from stock; the best mix does so with {short(saved, MONEY)} less"
        )
    return _view(
        rows[["option", "sequence", "safety_stock_amt", "fill_ratio", "service_level_ratio", "gain_ratio"]],
        title,
        "Finished goods. Fill rate = share of demand served from stock; cycle service = share of replenishment cycles without a "
        "stock-out; both weighted by revenue. They are two things.",
        "No stock money can be weighed: no place has demand, price, worth and forecast error.",
    )


def service_measures(inventory_target: pd.DataFrame, item: pd.DataFrame) -> pd.DataFrame:
    """Both measures of service by family: what is promised and what the safety stock gives."""
    _needs(inventory_target, "inventory_target")
    rows = _with_item(inventory_target, item, "family", "item_type", "standard_cost_amt")
    rows = rows[(rows["item_type"] == "finished") & (rows["demand_qty"] > 0)]
    rows = rows.assign(
            # An item without a standard cost has no weight among the money of the others.
        weight=rows["demand_qty"] * rows["standard_cost_amt"].fillna(0.0), safety_amt=rows["safety_stock_qty"] * rows["standard_cost_amt"]
    )
    measures = ["service_level_ratio", "expected_service_ratio", "fill_target_ratio", "expected_fill_ratio"]
    weighted = (
        rows.assign(**{name: rows[name] * rows["weight"] for name in measures}).groupby("family")[[*measures, "weight"]].sum(min_count=1)
    )
    found = weighted[measures].div(weighted["weight"].where(weighted["weight"] > 0), axis=0)
    found["safety_stock_amt"] = rows.groupby("family")["safety_amt"].sum() / max(1, rows["period"].nunique())
    return _view(
        found.reset_index().sort_values("family"),
        "Cycle service and fill rate, promised and expected",
        "Weighted by demand at standard cost. Promised: cycle service level, fill rate (where one is promised); expected: what the safety "
        "stock gives. The larger of the two stocks is held.",
        "No finished item has a stock target.",
    )


def stock_options(stock_option: pd.DataFrame, item: pd.DataFrame, top: int = 10) -> pd.DataFrame:
    """Where the best mix for the same money holds more or less than today's targets, most money first."""
    _needs(stock_option, "stock_option")
    rows = stock_option.assign(item_name=stock_option["item_id"].map(_item_names(item)))
    rows["move_amt"] = (rows["same_money_qty"] - rows["safety_stock_qty"]) * rows["unit_value_amt"]
    rows = rows.sort_values("move_amt", key=lambda amounts: -amounts.abs()).head(top)
    columns = [
        "item_id",
        "item_name",
        "location_id",
        "safety_stock_qty",
        "same_money_qty",
        "move_amt",
        "fill_ratio",
        "same_money_fill_ratio",
    ]
    return _view(
        rows[columns],
        "Where the same money would serve more",
        "Move = money in safety stock more (or less) than today in the mix with the best fill rate for the same money. "
        "It is the fill rate of all together: an item that earns little may be left with none.",
        "No stock money can be weighed.",
    )


def stock_placement(stock_placement: pd.DataFrame, location: pd.DataFrame) -> pd.DataFrame:
    """Safety stock money by place: best placement along the chain, today's targets, all of it at the end."""
    _needs(stock_placement, "stock_placement")
    names = location.set_index("location_id")["location_name"]
    money = ["safety_stock_amt", "today_amt", "end_only_amt"]
    rows = (
        stock_placement.groupby("location_id")
        .agg(item_count=("item_id", "nunique"), **{name: (name, "sum") for name in money})
        .reset_index()
    )
    rows = rows[rows[money].abs().max(axis=1) > 0]  # a place that holds nothing in any way says nothing
    rows = rows.assign(location=rows["location_id"].map(names).fillna(rows["location_id"]))
    best, today, end = (rows[name].sum() for name in money)
    title = f"{short(best, MONEY)} of safety stock keep the promise along the whole chain; today's targets hold {short(today, MONEY)}"
    return _view(
        rows[["location", "item_count", *money]],
        title,
        "Finished goods. Today's targets cover the last leg and one review, as if the plant delivered at once; "
        "guaranteed service covers plant and lanes, placed where it is cheapest. "
        f"All of it at the end: {short(end, MONEY)}.",
        "No chain of finished goods to place stock along.",
    )


def stock_cover(stock_cover: pd.DataFrame, item: pd.DataFrame, top: int = 12) -> pd.DataFrame:
    """Excess and obsolete stock of all kinds of items, most money first, with how long it lasts."""
    _needs(stock_cover, "stock_cover")
    rows = _with_item(stock_cover, item, "item_name", "item_type")
    rows["too_much_amt"] = rows["excess_amt"] + rows["obsolete_amt"]
    whole, excess, obsolete = (rows[name].sum() for name in ("on_hand_amt", "excess_amt", "obsolete_amt"))
    shown = rows[(rows["excess_qty"] > 0) | (rows["obsolete_qty"] > 0)].sort_values(["too_much_amt", "item_id"], ascending=[False, True])
    columns = [
        "item_id",
        "item_name",
        "item_type",
        "on_hand_qty",
        "on_hand_amt",
        "cover_months",
        "cover_days",
        "excess_amt",
        "obsolete_amt",
    ]
    return _view(
        shown[columns].head(top),
        f"Of {short(whole, MONEY)} in stock {short(excess, MONEY)} is excess and {short(obsolete, MONEY)} has no demand",
        "Excess = beyond the demand (own and of parents) of the cover limit; obsolete = no demand in the horizon. "
        "Cover = stock / mean demand within the limit.",
        "No stock is excess or obsolete.",
    )


def purchase_orders(planned_purchase: pd.DataFrame, item: pd.DataFrame, top: int = 15) -> pd.DataFrame:
    """Orders to place now, in the suppliers' minima and multiples, late ones and most money first."""
    _needs(planned_purchase, "planned_purchase")
    now = _first_periods(planned_purchase, 1)
    rows = now.groupby(["supplier_id", "item_id", "location_id", "period"], as_index=False).agg(
        first_receipt_period=("receipt_period", "min"),
        purchase_qty=("purchase_qty", "sum"),
        purchase_cost_amt=("purchase_cost_amt", "sum"),
        is_late=("is_late", "any"),
    )
    rows = rows.assign(item_name=rows["item_id"].map(_item_names(item)), when=np.where(rows["is_late"], "at once, late", "in time"))
    rows = rows.sort_values(["is_late", "purchase_cost_amt", "supplier_id", "item_id"], ascending=[False, False, True, True])
    title = f"{_plural(len(rows), 'order')} to place now, {short(rows['purchase_cost_amt'].sum(), MONEY)}" + (
        f"; {int(rows['is_late'].sum()):,} of them late already" if rows["is_late"].any() else ""
    )
    return _view(
        rows[
            ["supplier_id", "item_id", "item_name", "location_id", "first_receipt_period", "purchase_qty", "purchase_cost_amt", "when"]
        ].head(top),
        title,
        "Material requirements of the planned production: netted against stock, safety stock and open orders, split among suppliers.",
        "Nothing has to be ordered.",
    )


def material_exceptions(material_plan: pd.DataFrame, item: pd.DataFrame, top: int = 12) -> pd.DataFrame:
    """Items whose requirements cannot be met in time: no source, a supplier's limit, a start that has passed."""
    _needs(material_plan, "material_plan")
    rows = material_plan[(material_plan["late_qty"] > _ROUNDING) | (material_plan["unsupplied_qty"] > _ROUNDING)]
    rows = rows.groupby(["item_id", "location_id", "source"], as_index=False).agg(
        first_period=("period", "min"), late_qty=("late_qty", "sum"), unsupplied_qty=("unsupplied_qty", "sum")
    )
    why = [rows["source"] == "none", rows["unsupplied_qty"] > _ROUNDING]
    rows["why"] = np.select(
        why, ["nothing makes, buys or brings it", "suppliers' limits are too low"], "lead time is longer than the time left"
    )
    rows = rows.assign(item_name=rows["item_id"].map(_item_names(item))).sort_values(
        ["unsupplied_qty", "late_qty", "item_id"], ascending=[False, False, True]
    )
    return _view(
        rows[["item_id", "item_name", "location_id", "first_period", "late_qty", "unsupplied_qty", "why"]].head(top),
        f"{_plural(len(rows), 'component')} cannot all come in time",
        "Late = should have been started before the first period; unsupplied = nothing can bring it.",
        "Every component can come in time.",
    )


# ------------------------------------------------------------------ 4 financial review
def profit_and_loss(financial_projection: pd.DataFrame, periods: int = 12) -> pd.DataFrame:
    """The plan in money: one row per line, one column per period and the total, in thousands."""
    _needs(financial_projection, "financial_projection")
    shown = _first_periods(financial_projection, periods)
    columns = ["demand_amt", "revenue_amt", *_COST_LINES, "profit_amt", "cogs_amt", "gross_margin_amt"]
    sums = shown.groupby("period")[columns].sum()
    words = {
        "demand_amt": "Unconstrained demand at price",
        "revenue_amt": "Revenue",
        **{c: f"− {w}" for c, w in _COST_LINES.items()},
        "profit_amt": "Profit of the plan",
        "cogs_amt": "Cost of goods sold",
        "gross_margin_amt": "Gross margin",
    }
    kept = [c for c in columns if c not in _COST_LINES or sums[c].abs().sum() > _ROUNDING]
    wide = sums[kept].T.set_axis(period_labels(sums.index.to_series()).tolist(), axis=1)
    wide = wide.assign(Total=wide.sum(axis=1)) / 1000
    wide.insert(0, "line", [words[c] for c in kept])
    wide = wide if len(sums) else wide.iloc[:0]
    profit, revenue = (short(sums[c].sum(), MONEY) for c in ("profit_amt", "revenue_amt"))
    title = f"Profit of the next {len(sums)} periods: {profit} on revenue of {revenue}"
    view = _view(
        wide,
        title,
        f"Thousand {MONEY}. Profit of the plan = revenue − all costs above it, as in the optimiser. "
        "Gross margin = revenue − cost of goods sold (served demand × standard cost).",
        "No financial projection: the supply review has not run.",
    )
    view.attrs["bold"] = ["Revenue", "Profit of the plan", "Gross margin"]
    return view


def profit_by_period(financial_projection: pd.DataFrame) -> pd.DataFrame:
    """Revenue, gross margin and profit of the plan by period."""
    _needs(financial_projection, "financial_projection")
    rows = financial_projection.groupby("period", as_index=False)[["revenue_amt", "gross_margin_amt", "profit_amt"]].sum()
    share = percent(_ratio(rows["gross_margin_amt"].sum(), rows["revenue_amt"].sum()))
    return _view(
        rows,
        f"Revenue {short(rows['revenue_amt'].sum(), MONEY)}, gross margin {share} over {len(rows)} periods",
        "Gross margin = revenue − cost of goods sold at standard cost.",
        "No financial projection: the supply review has not run.",
    )


def budget_bridge(budget_gap: pd.DataFrame, top: int = 4) -> pd.DataFrame:
    """From budgeted revenue over unconstrained demand to the plan: what demand and what supply take away or add."""
    _needs(budget_gap, "budget_gap")
    known = budget_gap.dropna(subset=["budget_revenue_amt"])
    empty = "No budget covers the periods of this plan."
    if known.empty:
        return _view(known, "", empty=empty)
    title = _gap_title("The plan", known["gap_amt"].sum(), known["budget_revenue_amt"].sum(), known["period"].nunique())
    view = bridge(_few_steps(finance.budget_bridge(known), top), title)
    view.attrs["note"] = (
        "Demand steps: unconstrained demand − budget by family. Supply steps: plan − unconstrained demand by family. Revenue."
    )
    return view


def revenue_bridge(bars: pd.DataFrame) -> pd.DataFrame:
    """From last year's revenue to the plan's: price, volume, mix, items new and lost."""
    mine = bars[bars["bridge"] == "price–volume–mix"]
    totals = mine.loc[mine["kind"] == "total", "amount_amt"]
    change = signed(short(totals.iloc[-1] - totals.iloc[0], MONEY)) if len(totals) else ""
    view = bridge(mine, f"Revenue {change} against the same periods a year before")
    return view if len(mine) else _view(view, "", empty="There is no year of history to compare the plan with.")


def profit_bridge(bars: pd.DataFrame) -> pd.DataFrame:
    """From the plan's revenue to its profit, one step per cost."""
    mine = bars[bars["bridge"] == "revenue to profit"]
    totals = mine.loc[mine["kind"] == "total", "amount_amt"]
    kept = percent(_ratio(totals.iloc[-1], totals.iloc[0])) if len(totals) else ""
    return bridge(mine, f"Profit is {kept} of revenue")


def _few_steps(bars: pd.DataFrame, top: int) -> pd.DataFrame:
    """The bars with all but the `top` largest steps between two totals added up as `Others`."""
    section = (bars["kind"] == "total").cumsum()
    rank = bars["amount_amt"].abs().where(bars["kind"] == "step").groupby(section).rank(ascending=False, method="first")
    is_small = (bars["kind"] == "step") & (rank > top)
    named = bars.assign(section=section, is_small=is_small, bar=bars["bar"].where(~is_small, OTHER))
    merged = named.groupby(["section", "is_small", "bar"], as_index=False, sort=False).agg(
        {**dict.fromkeys(("bridge", "sequence", "kind", "definition"), "first"), "amount_amt": "sum"}
    )
    return merged.sort_values(["section", "is_small", "sequence"], ignore_index=True)


def bridge(bars: pd.DataFrame, title: str = "") -> pd.DataFrame:
    """A bridge ready to draw: where each bar starts and ends, totals standing on zero."""
    _needs(bars, "bridge")
    is_step = bars["kind"] == "step"
    reached = _running_total(bars["amount_amt"], is_step)
    rows = bars.assign(to_amt=reached, from_amt=(reached - bars["amount_amt"]).where(is_step, 0.0), position=range(len(bars)))
    words = "; ".join(rows.loc[is_step, "definition"].drop_duplicates())
    return _view(
        rows[["position", "bar", "kind", "amount_amt", "from_amt", "to_amt"]], title, f"Steps: {words}.", "There is no bridge to show."
    )


def _running_total(amounts: pd.Series, is_step: pd.Series) -> pd.Series:
    """The height reached after each bar: a total starts anew, a step goes on."""
    section = (~is_step).cumsum()
    return amounts.groupby(section).cumsum()


def inventory_money(financial_projection: pd.DataFrame, top: int = 6) -> pd.DataFrame:
    """Projected stock in money by family and period."""
    _needs(financial_projection, "financial_projection")
    held = financial_projection.groupby("family")["inventory_amt"].sum()
    rows = _largest(financial_projection[financial_projection["family"].isin(held[held > 0].index)], "family", "inventory_amt", top)
    rows = rows.groupby(["family", "period"], as_index=False)["inventory_amt"].sum()
    totals = rows.groupby("period")["inventory_amt"].sum()
    title = f"Stock goes from {short(totals.iloc[0], MONEY)} to {short(totals.iloc[-1], MONEY)}" if len(totals) else ""
    return _view(rows, title, "Closing stock at standard cost.", "No stock is projected.")


def goal_alignment(goal_alignment: pd.DataFrame) -> pd.DataFrame:
    """What must be true to reach each year's goal, largest worth first, in words."""
    _needs(goal_alignment, "goal_alignment")
    rows = goal_alignment.sort_values(["year", "sequence"])
    years = rows.drop_duplicates("year")
    title = "; ".join(f"{year}: {signed(short(gap, MONEY))} against {goal}"
                      for year, gap, goal in zip(years["year"], years["gap_amt"], years["goal"], strict=True))
    shown = rows[["year", "member_name", "needed_qty", "unit", "price_amt", "closes_amt", "left_amt", "sentence"]]
    names = {"member_name": "what_must_give", "needed_qty": "needed_alone", "price_amt": "worth_of_one_more_amt"}
    return _view(shown.rename(columns=names), title, "Closes = worth of one more unit, as far as that price holds; left = gap after it.",
                 "No budget covers the periods of this plan.")


def revenue_sources(revenue_source: pd.DataFrame) -> pd.DataFrame:
    """Revenue of the plan by period: run rate, new products and opportunities apart."""
    _needs(revenue_source, "revenue_source")
    rows = revenue_source.groupby(["period", "source"], as_index=False)["revenue_amt"].sum()
    whole = rows["revenue_amt"].sum()
    apart = rows[rows["source"] != "run rate"].groupby("source")["revenue_amt"].sum()
    parts = ", ".join(f"{source} {percent(_ratio(amount, whole))}" for source, amount in apart.items())
    title = f"Of {short(whole, MONEY)} revenue {parts or 'all is run rate'}" if len(rows) else ""
    return _view(rows, title, "Opportunities = volume × probability × served share; new products by the weight of their launch curve.",
                 "The plan has no revenue.")


def estimate_gap(estimate_gap: pd.DataFrame) -> pd.DataFrame:
    """Plan against the last locked one by family: revenue, gross margin and profit over the periods both cover."""
    _needs(estimate_gap, "estimate_gap")
    measures = ["last_revenue_amt", "revenue_amt", "revenue_gap_amt", "gross_margin_gap_amt", "profit_gap_amt"]
    rows = estimate_gap.groupby("family", as_index=False)[measures].sum()
    rows = rows.sort_values("revenue_gap_amt", key=lambda v: -v.abs(), kind="stable", ignore_index=True)
    last = ", ".join(estimate_gap["last_cycle_id"].unique())
    title = f"Revenue {signed(short(rows['revenue_gap_amt'].sum(), MONEY))} against the last estimate ({last})" if len(rows) else ""
    return _view(rows, title, "Gap = this plan − the last locked plan.", "No cycle was locked before this one: there is no last estimate.")


def last_plan_bridge(bars: pd.DataFrame) -> pd.DataFrame:
    """From the last locked plan's revenue to this one's: price, volume, mix, items new to the plan and gone from it."""
    mine = bars[bars["bridge"] == "last plan to this plan"]
    totals = mine.loc[mine["kind"] == "total", "amount_amt"]
    change = signed(short(totals.iloc[-1] - totals.iloc[0], MONEY)) if len(totals) else ""
    view = bridge(mine, f"Revenue {change} against the last locked plan")
    return view if len(mine) else _view(view, "", empty="No cycle was locked before this one: there is no plan to compare with.")


def gap_heat_map(budget_gap: pd.DataFrame) -> pd.DataFrame:
    """Plan less budget by family and period, in money and as a share of budget."""
    _needs(budget_gap, "budget_gap")
    known = budget_gap.dropna(subset=["budget_revenue_amt"])
    rows = known.groupby(["family", "period"], as_index=False)[["budget_revenue_amt", "gap_amt"]].sum()
    rows["gap_ratio"] = rows["gap_amt"] / rows["budget_revenue_amt"].where(rows["budget_revenue_amt"] != 0)
    return _view(
        rows,
        _gap_title("The plan", rows["gap_amt"].sum(), rows["budget_revenue_amt"].sum(), rows["period"].nunique()) if len(rows) else "",
        "Gap = plan − budget, revenue; the number is the gap in thousands, the colour its share of budget.",
        "No budget covers the periods of this plan.",
    )


def cash(cash_projection: pd.DataFrame) -> pd.DataFrame:
    """Closing cash by period with its low point."""
    _needs(cash_projection, "cash_projection")
    low = cash_projection[cash_projection["is_low_point"].astype(bool)].head(1)
    title = "".join(
        f"Cash is lowest in {label}: {short(amount, MONEY)}"
        for label, amount in zip(period_labels(low["period"]), low["closing_cash_amt"], strict=True)
    )
    basis = "; ".join(cash_projection["basis"].dropna().unique())
    return _view(
        cash_projection[["period", "operating_cash_amt", "closing_cash_amt", "is_low_point"]],
        title,
        f"Closing cash = opening cash + collected from customers − paid. {basis}",
        "No cash projection: the financial review has not run.",
    )


# ------------------------------------------------------------------ 5 pre-S&OP
def scenario_table(scenario_comparison: pd.DataFrame) -> pd.DataFrame:
    """Every measure of every scenario beside base, money first, with a verdict in words."""
    _needs(scenario_comparison, "scenario_comparison")
    rows = scenario_comparison.sort_values(["sequence", "scenario"], ignore_index=True)
    rows["value_text"] = [in_unit(v, u) for v, u in zip(rows["value"], rows["unit"], strict=True)]
    rows["delta_text"] = [_delta_text(v, u) for v, u in zip(rows["delta"], rows["unit"], strict=True)]
    rows["verdict"] = [_verdict(m, v, d) for m, v, d in zip(rows["measure"], rows["value"], rows["delta"], strict=True)]
    rows["levers"] = rows["title"].where(rows["title"] == "", rows["title"] + ": ") + rows["levers"]
    return _view(
        rows[["scenario", "measure", "sequence", "unit", "value", "delta", "value_text", "delta_text", "verdict", "levers", "is_feasible"]],
        _scenario_title(rows),
        "Delta = scenario − base. Every scenario is the same functions run on changed tables.",
        "No scenario was compared.",
    )


def _delta_text(delta: float, unit: str) -> str:
    if unit in ("ratio", "%"):
        return "–" if pd.isna(delta) else signed(f"{delta * 100:.1f} pts")
    return signed(in_unit(delta, unit))


def _verdict(measure: str, value: float, delta: float) -> str:
    """Better, worse, or the same where nobody would see the difference in the figure shown."""
    if pd.isna(delta) or abs(delta) <= _UNSEEN * abs(value) + _ROUNDING:
        return "same"
    return "better" if (delta < 0) == (measure in _LOWER_IS_BETTER) else "worse"


def _scenario_title(rows: pd.DataFrame) -> str:
    money = rows[(rows["scenario"] != "base") & (rows["measure"] == "profit")].dropna(subset=["delta"])
    if money.empty:
        return "Scenarios beside base"
    best = money.loc[money["delta"].idxmax()]
    return (
        f"{best['title'] or best['scenario']}: most profit, {best['delta_text']} against base"
        if best["delta"] > 0
        else "No scenario brings more profit than base"
    )


def scenario_deltas(scenario_comparison: pd.DataFrame) -> pd.DataFrame:
    """Change of every money measure against base, by scenario."""
    table = scenario_table(scenario_comparison)
    rows = table[(table["scenario"] != "base") & table["unit"].isin(_MONEY_UNITS)]
    rows = rows[rows.groupby("measure")["delta"].transform(lambda d: d.abs().max()) > _ROUNDING]
    return _view(rows, table.attrs["title"], table.attrs["note"], "No scenario changes a money measure.")


def service_frontier(service_frontier: pd.DataFrame) -> pd.DataFrame:
    """What service costs and what stock buys, point by point."""
    _needs(service_frontier, "service_frontier")
    rows = service_frontier.sort_values(["frontier", "sequence"], ignore_index=True)
    cost = rows[(rows["frontier"] == "service and profit") & ~rows["is_plan"]]
    title = "What service costs, and what stock buys"
    if len(cost) > 1:
        last, before = cost.iloc[-1], cost.iloc[-2]
        if last["fill_ratio"] > before["fill_ratio"]:
            ends = (percent(row["fill_ratio"], 2).removesuffix(" %") for row in (before, last))
            title = f"Service from {' to '.join(ends)} % costs {short(before['profit_amt'] - last['profit_amt'], MONEY)} of profit"
    note = ("Each point is the best plan of its kind: most profit for the service asked for; best service for the stock allowed. "
            "The plan stands apart because it also keeps its safety stock.")
    return _view(rows, title, note, "No demand to serve.")


def vulnerability(vulnerability: pd.DataFrame, location: pd.DataFrame, market: pd.DataFrame, top: int = 10) -> pd.DataFrame:
    """The losses that hurt most, dearest first, with what remains after the best response."""
    _needs(vulnerability, "vulnerability")
    rows = vulnerability.sort_values(["lost_profit_amt", "kind", "member"], ascending=[False, True, True], ignore_index=True).head(top)
    places = {key: name for frame, kind in ((location, "location"), (market, "market"))
              for key, name in zip(frame[f"{kind}_id"], frame[f"{kind}_name"], strict=True) if isinstance(name, str) and name}
    names = [" → ".join(places.get(end, end) for end in name.split(" → ")) for name in rows["member_name"]]
    told = zip(rows["sentence"], rows["kind"], rows["member_name"], names, strict=True)
    sentences = [sentence.replace(f"{kind} {member}", f"{kind} {name}", 1) for sentence, kind, member, name in told]
    rows = rows.assign(name=names, from_label=period_labels(rows["from_period"]), sentence=sentences)
    title = "".join(f"Without {row.name} in {row.from_label}: {short(row.lost_profit_amt, MONEY)} less profit"
                    for row in rows.head(1).itertuples(index=False))
    span = _plural(int(rows["period_count"].max()) if len(rows) else 1, "period")
    note = f"Each is lost for {span}, where the plan uses most of it, and the plan is made again knowing of it; a surprise costs more."
    return _view(rows[["name", "kind", "from_label", "period_count", "lost_profit_amt", "lost_revenue_amt", "fill_ratio", "sentence"]],
                 title, note, "Nothing can fail: the plan is empty.")


def plan_risk(plan_risk: pd.DataFrame) -> pd.DataFrame:
    """Mean, P10, P50 and P90 of every measure, for the plan and for the plan made for all samples."""
    _needs(plan_risk, "plan_risk")
    rows = plan_risk.sort_values(["sequence", "plan"], ignore_index=True)
    columns = ["mean_value", "p10_value", "p50_value", "p90_value", "worst_mean_value"]
    texts = {column.removesuffix("_value"): [_in_full(v, u) for v, u in zip(rows[column], rows["unit"], strict=True)] for column in columns}
    profit = rows[(rows["plan"] == "plan") & (rows["measure"] == "profit")]
    title = "" if profit.empty else (
        f"Profit lies between {_in_full(profit['p10_value'].iloc[0], '')} and {_in_full(profit['p90_value'].iloc[0], MONEY)} "
        "in eight samples of ten")
    return _view(rows[["plan", "measure"]].assign(**texts), title,
                 "Samples of demand from the forecast's own errors and of supply events; the rest of the plan answers to each. Ranges that "
                 "reach further up than down make the samples' mean demand, and with it profit, higher than the plan's.",
                 "No sample was drawn: risk.samples is 0.")


def _in_full(value: float, unit: str) -> str:
    """Money and quantities with every digit, where short figures would all look alike."""
    return percent(value) if unit == "ratio" else f"{number(value)} {MONEY if unit else ''}".rstrip()


def sample_outcomes(sample_outcome: pd.DataFrame) -> pd.DataFrame:
    """Profit and service of every sample, for the plan and for the plan made for all samples."""
    _needs(sample_outcome, "sample_outcome")
    return _view(sample_outcome[["plan", "sample", "profit_amt", "fill_ratio", "regret_amt"]], "Profit and service, one point a sample",
                 "Regret: worth given up for not having known the sample.", "No sample was drawn: risk.samples is 0.")


def risk_value(risk_value: pd.DataFrame) -> pd.DataFrame:
    """What uncertainty costs and what planning for it brings, in sentences."""
    _needs(risk_value, "risk_value")
    return _view(risk_value.sort_values("sequence", ignore_index=True)[["figure", "value_amt", "sentence"]], "What not knowing costs",
                 "RP, EEV and WS are means over the samples of profit less penalties.", "No sample was drawn: risk.samples is 0.")


def kpi_cards(kpi: pd.DataFrame, plan_from: pd.Timestamp, names: Sequence[str] = BOARD_KPIS) -> pd.DataFrame:
    """The total's KPIs in the order named, each at its newest period, with status in icon and word and the formula.

    Parameters
    ----------
    kpi : DataFrame
        The `kpi` table.
    plan_from : Timestamp
        First planned period: KPIs before it are actual, the others are those of the plan.
    names : sequence of str
        KPIs to show; one that was not computed is left out.
    """
    rows = kpi_list(kpi, plan_from, "total")
    rows = rows[rows["kpi"].isin(names)].sort_values("period", kind="stable").drop_duplicates("kpi", keep="last")
    rows = rows.sort_values("kpi", key=lambda found: found.map({name: place for place, name in enumerate(names)}))
    return _view(rows, "", empty="No KPI was computed for this cycle.")


def kpi_list(kpi: pd.DataFrame, plan_from: pd.Timestamp, level: str) -> pd.DataFrame:
    """The KPIs of a level: value, target, status in words, formula, and whether it is actual or planned."""
    _needs(kpi, "kpi")
    mine = kpi[kpi["level"] == level]
    is_planned = mine["period"] >= plan_from
    rows = mine.assign(
        kpi_name=mine["kpi"].map(heading),
        about=np.where(is_planned, "plan from ", "actual ") + period_labels(mine["period"]),
        value_text=[in_unit(v, u) for v, u in zip(mine["value"], mine["unit"], strict=True)],
        target_text=[in_unit(v, u) for v, u in zip(mine["target"], mine["unit"], strict=True)],
        status_text=mine["status"].map(STATUS_ICONS) + " " + mine["status"].map(STATUS_WORDS),
    )
    outside = int(mine["status"].isin(["red", "amber"]).sum())
    return _view(rows, f"{outside} of {_plural(len(rows), 'KPI')} outside target", empty="No KPI was computed for this cycle.")


def kpi_scorecard(kpi: pd.DataFrame, plan_from: pd.Timestamp, level: str = "total") -> pd.DataFrame:
    """The KPIs of a level as a table to read: value, target, status, reason, formula."""
    rows = kpi_list(kpi, plan_from, level)
    named = {"kpi_name": "kpi", "value_text": "value", "target_text": "target", "status_text": "status"}
    shown = rows[["kpi_name", "member", "about", "value_text", "target_text", "status_text", "reason", "formula"]].rename(columns=named)
    shown = shown.drop(columns="member") if level == "total" else shown
    return _view(shown, rows.attrs["title"], empty=rows.attrs["empty"])


def risks(risk: pd.DataFrame) -> pd.DataFrame:
    """Risks and opportunities beyond the plan, by expected money."""
    _needs(risk, "risk")
    rows = risk.assign(expected_amt=risk["money_amt"] * risk["probability_ratio"]).sort_values("expected_amt", key=lambda v: -v.abs())
    return _view(
        rows[["kind", "title", "money_amt", "probability_ratio", "expected_amt", "owner"]],
        "Risks and opportunities beyond the plan",
        "Expected money = money × probability.",
        "No risk or opportunity is registered.",
    )


# ------------------------------------------------------------------ 6 executive
def decision_line(open_decision: pd.DataFrame) -> pd.DataFrame:
    """The first line of the executive page: the largest decision in words."""
    _needs(open_decision, "open_decision")
    rows = open_decision.sort_values("sequence").head(1)
    more = len(open_decision) - 1
    view = _view(
        rows.assign(more=more)[["question", "recommendation", "money_amt", "more"]],
        "",
        empty="No decision is open: the plan stands inside every tolerance.",
    )
    return view


def decisions(open_decision: pd.DataFrame) -> pd.DataFrame:
    """The decisions this cycle has to take, with options and money."""
    _needs(open_decision, "open_decision")
    rows = open_decision.sort_values("sequence").rename(columns={"level": "who_decides", "sequence": "rank"})
    return _view(
        rows[["rank", "question", "options", "recommendation", "money_amt", "who_decides"]],
        f"{_plural(len(rows), 'decision')} to take",
        empty="No decision is open: the plan stands inside every tolerance.",
    )


def family_numbers(financial_projection: pd.DataFrame, budget_gap: pd.DataFrame) -> pd.DataFrame:
    """One set of numbers by family: budget, demand, plan, margin and stock, with the total.

    Covers the periods that the budget covers (all planned ones where there is no budget), so that the
    gap is that of the bridge.
    """
    _needs(financial_projection, "financial_projection")
    _needs(budget_gap, "budget_gap")
    budgeted = budget_gap.dropna(subset=["budget_revenue_amt"])
    is_shown = financial_projection["period"].isin(budgeted["period"]) if len(budgeted) else financial_projection["period"].notna()
    shown = financial_projection[is_shown]
    rows = shown.groupby("family")[["demand_amt", "revenue_amt", "gross_margin_amt"]].sum()
    rows["inventory_amt"] = shown[shown["period"] == shown["period"].max()].groupby("family")["inventory_amt"].sum()
    rows[["budget_amt", "gap_amt"]] = budgeted.groupby("family")[["budget_revenue_amt", "gap_amt"]].sum(min_count=1)
    rows = _with_total(rows)
    rows["margin_ratio"] = rows["gross_margin_amt"] / rows["revenue_amt"].where(rows["revenue_amt"] != 0)
    columns = ["family", "budget_amt", "demand_amt", "revenue_amt", "gap_amt", "gross_margin_amt", "margin_ratio", "inventory_amt"]
    view = _view(
        rows[columns],
        "The plan by family, " + " to ".join(period_labels(pd.Series([shown["period"].min(), shown["period"].max()])))
        if len(shown)
        else "",
        "Gap = revenue of the plan − budget, in the regions that have a budget. Margin = gross margin / revenue. "
        "Inventory: closing stock of the last period shown.",
        "No financial projection: the supply review has not run.",
    )
    view.attrs["bold"] = ["Total"]
    return view


def _with_total(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows by family with their total below."""
    total = rows.sum(min_count=1).rename("Total").to_frame().T
    return (pd.concat([rows, total]) if len(rows) else rows).rename_axis("family").reset_index()


# ------------------------------------------------------------------ 7 execution and monitoring
def plan_vs_actual(plan_deviation: pd.DataFrame, stream: str = "consensus", lag: int | None = None) -> pd.DataFrame:
    """Plan and actual of a stream by family, at the shortest lag archived (or the one named)."""
    _needs(plan_deviation, "plan_deviation")
    mine = plan_deviation[plan_deviation["stream"] == stream]
    chosen = int(mine["lag"].min()) if lag is None and len(mine) else lag
    mine = mine[mine["lag"] == chosen]
    mine = mine.assign(family=mine["family"].fillna(NO_FAMILY))
    rows = mine.groupby("family", as_index=False)[["plan_qty", "actual_qty"]].sum()
    rows["deviation_qty"] = rows["actual_qty"] - rows["plan_qty"]
    rows["deviation_ratio"] = rows["deviation_qty"] / rows["plan_qty"].where(rows["plan_qty"] != 0)
    whole = percent(_ratio(rows["deviation_qty"].sum(), rows["plan_qty"].sum()))
    return _view(
        rows,
        f"Actual against plan: {signed(whole)} over all families",
        f"Deviation = (actual − plan) / plan, units; stream {stream}, planned {chosen} periods ahead.",
        "No locked plan has an actual yet; the comparison shows from the second cycle on.",
    )


def error_by_lag(plan_error_by_lag: pd.DataFrame, level: str = "item_id × market_id") -> pd.DataFrame:
    """Forecast error of every stream by how far ahead it was planned, at a level (down to item × market, up to the total)."""
    _needs(plan_error_by_lag, "plan_error_by_lag")
    rows = plan_error_by_lag[plan_error_by_lag["level"] == level].dropna(subset=["wape_ratio"]).sort_values(["stream", "lag"])
    nearest = rows[rows["lag"] == rows["lag"].min()].sort_values("wape_ratio")
    title = "".join(
        f"{r.stream.capitalize()} was closest {_plural(r.lag, 'period')} ahead: WAPE {percent(r.wape_ratio)}"
        for r in nearest.head(1).itertuples()
    )
    return _view(
        rows,
        title,
        "WAPE = Σ|actual − plan| / Σ actual; bias = Σ(plan − actual) / Σ actual, + is over-forecast.",
        "No locked plan has an actual yet; errors show from the second cycle on.",
    )


def waterfall(plan_waterfall: pd.DataFrame, stream: str = "consensus", periods: int = 18) -> pd.DataFrame:
    """Successive plans of the same periods: a row per lock, a column per period, what happened below."""
    _needs(plan_waterfall, "plan_waterfall")
    mine = plan_waterfall[plan_waterfall["stream"] == stream]
    happened = mine[mine["plan_cycle_id"] == ACTUAL]
    shown = mine[mine["period"].isin(np.sort(mine.loc[mine["plan_cycle_id"] != ACTUAL, "period"].unique())[:periods])]
    actual = happened.set_index("period")["plan_qty"]
    rows = shown.assign(deviation_ratio=shown["plan_qty"] / shown["period"].map(actual).where(lambda a: a != 0) - 1)
    rows = rows.assign(is_actual=rows["plan_cycle_id"] == ACTUAL).sort_values(["is_actual", "plan_cycle_id", "period"])
    locks = rows.loc[~rows["is_actual"], "plan_cycle_id"].nunique()
    place = rows["period"].rank(method="dense")
    # A lock plans from its own cycle on: its first period is lag 0.
    rows["lag"] = (place - place.groupby(rows["plan_cycle_id"]).transform("min")).where(~rows["is_actual"])
    return _view(
        rows[["plan_cycle_id", "period", "lag", "plan_qty", "deviation_ratio", "is_actual"]],
        f"{_plural(locks, 'locked plan')} of the same periods",
        f"Units, stream {stream}. Each row is a locked plan; the colour is plan / actual − 1 where the actual is known "
        "(orange: planned too much). The small number is the lag: periods planned ahead, the same along a diagonal.",
        "No locked plan is archived yet.",
    )


def family_grid(family_grid_table: pd.DataFrame, family: str | None = None, periods: int = 12) -> pd.DataFrame:
    """The family grid: sales, production and stock, planned and actual; the largest family when none is named.

    Parameters
    ----------
    family_grid_table : DataFrame
        The `family_grid` table.
    family : str, optional
        Family to show.
    periods : int
        Columns shown.
    """
    _needs(family_grid_table, "family_grid")
    if family_grid_table.empty:
        return _view(family_grid_table, "", empty="No locked plan is archived yet; the grid shows from the second cycle on.")
    chosen = family or str(family_grid_table.groupby("family")["sales_plan_qty"].sum().idxmax())
    mine = family_grid_table[family_grid_table["family"] == chosen].sort_values("period")
    past = mine[mine["sales_actual_qty"].notna()].tail(periods // 2)
    shown = pd.concat([past, mine[mine["sales_actual_qty"].isna()].head(periods - len(past))]) if len(past) else mine.head(periods)
    wide = shown.set_index(period_labels(shown["period"]))[list(_GRID_LINES)].T
    wide.insert(0, "line", list(_GRID_LINES.values()))
    view = _view(
        wide,
        f"Family grid: {chosen}",
        "Units. Difference = actual − plan; stock difference = cumulative production − cumulative sales difference "
        "+ what neither explains.",
        f"Family {chosen} has no row.",
    )
    view.attrs["bold"] = ["Sales plan", "Production plan", "Stock plan"]
    return view


def root_causes(root_cause: pd.DataFrame, top: int = 12) -> pd.DataFrame:
    """Where the deviation in money comes from, largest first."""
    _needs(root_cause, "root_cause")
    is_total = root_cause["level"] == "total"
    rows = root_cause[~is_total].sort_values("deviation_amt", key=lambda v: -v.abs(), kind="stable").head(top)
    whole = signed(short(root_cause.loc[is_total, "deviation_amt"].sum(), MONEY)) if is_total.any() else ""
    title = f"{rows['member'].iloc[0]} moved the result most: {signed(short(rows['deviation_amt'].iloc[0], MONEY))}" if len(rows) else ""
    title += f" of {whole}" if title and whole else ""
    return _view(rows, title, "Money of the deviation; in brackets its share of the whole.", "No deviation to explain yet.")


def driver_causes(
    driver_tree: pd.DataFrame, measure: str = "margin", tree: str = "why", period: pd.Timestamp | None = None, top: int = 10
) -> pd.DataFrame:
    """What drove the deviation of a measure from the approved plan, largest first, remainders without a cause last.

    Parameters
    ----------
    driver_tree : DataFrame
        The `driver_tree` table.
    measure : str
        revenue, margin, service, inventory or production.
    tree : str
        `why` (causes) or `what moved` (price, volume, mix, cost).
    period : Timestamp, optional
        Period shown; the newest one when left out.
    top : int
        Bars shown.
    """
    mine, shown = _of_tree(driver_tree, measure, tree, period)
    total = mine.loc[mine["level"] == "total", "deviation_amt"].sum()
    rows = mine[mine["level"] == "cause"].head(top)
    title = ""
    if len(rows):
        label, first = period_labels(pd.Series([shown])).iloc[0], rows.iloc[0]
        title = f"{heading(measure)} in {label} {signed(short(total, MONEY))} against plan; first: {first['driver']}, {first['cause']}"
    view = rows[["sequence", "driver", "cause", "deviation_amt", "share_ratio", "evidence"]].reset_index(drop=True)
    return _view(view, title, "Bars sum to the deviation when all are shown; in brackets the share of all money moved.",
                 f"No {measure} of a locked plan can be compared yet.")


def driver_overview(driver_tree: pd.DataFrame, period: pd.Timestamp | None = None, top: int = 4) -> pd.DataFrame:
    """The largest causes of every measure's deviation in one period, with what each rests on."""
    parts = []
    for measure in driver_tree["measure"].unique():
        mine, _ = _of_tree(driver_tree, str(measure), "why", period)
        parts += [mine[mine["level"] == "total"], mine[mine["level"] == "cause"].head(top)]
    rows = pd.concat(parts, ignore_index=True) if parts else driver_tree
    labels = period_labels(pd.Series(rows["period"].unique()))
    title = f"Why {', '.join(labels)} differed from the approved plan" if len(rows) else ""
    shown = rows[["measure", "driver", "cause", "deviation_amt", "share_ratio", "evidence"]]
    return _view(shown, title, "The row `all` is the deviation of the measure; its causes follow, largest first.",
                 "No locked plan has a period that is over yet.")


def driver_members(driver_tree: pd.DataFrame, measure: str = "margin", period: pd.Timestamp | None = None, top: int = 15) -> pd.DataFrame:
    """The few items and places that hold most of a measure's deviation, with the driver behind each."""
    mine, _ = _of_tree(driver_tree, measure, "why", period)
    items = mine[mine["level"] == "item × place"]
    named = items[items["member"] != "other items"]
    share = named["share_ratio"].sum()
    words = f"{_plural(len(named), 'item and place', 'items and places')} hold {percent(share, 0)} of what moved {measure}"
    shown = named.head(top)[["member", "driver", "cause", "deviation_amt", "share_ratio", "evidence"]]
    title, shown = words if len(named) else "", shown.rename(columns={"member": "item_and_place"})
    return _view(shown, title, "Largest first.", f"No {measure} of a locked plan can be compared yet.")


def _of_tree(driver_tree: pd.DataFrame, measure: str, tree: str, period: pd.Timestamp | None) -> tuple[pd.DataFrame, pd.Timestamp]:
    """One tree of one period in order of rank, and the period: the newest of the measure when none is named."""
    _needs(driver_tree, "driver_tree")
    mine = driver_tree[(driver_tree["measure"] == measure) & (driver_tree["tree"] == tree)]
    shown = mine["period"].max() if period is None else pd.Timestamp(period)
    return mine[mine["period"] == shown].sort_values(["level", "sequence"], ignore_index=True), shown


def alerts(alert: pd.DataFrame, item: pd.DataFrame, market: pd.DataFrame, resource: pd.DataFrame) -> pd.DataFrame:
    """What stands outside tolerance, in words, each thing by the name people use."""
    _needs(alert, "alert")
    names = {
        key: name
        for frame, kind in ((item, "item"), (market, "market"), (resource, "resource"))
        for key, name in zip(frame[f"{kind}_id"], frame[f"{kind}_name"], strict=True)
        if name
    }
    called = alert["member"].map(lambda member: names.get(member, member))
    said = [sentence.replace(member, name, 1) for sentence, member, name in zip(alert["sentence"], alert["member"], called, strict=True)]
    return _view(
        alert.assign(level=alert["level"].map(heading), member=called, sentence=said)[["alert", "level", "member", "period", "sentence"]],
        _plural(len(alert), "alert"),
        empty="Nothing stands outside tolerance.",
    )


# ------------------------------------------------------------------ what if
WHAT_IF_VOLUMES = {
    "served_qty": "Served", "produced_qty": "Good units made", "short_qty": "Lost or late", "stock_amt": "Stock of finished goods",
}  # fmt: skip


def what_if_measures(measures: pd.DataFrame) -> pd.DataFrame:
    """Every measure of the plan beside the plan without levers, with the difference and a verdict in words."""
    rows = measures.assign(
        now_text=[in_unit(v, u) for v, u in zip(measures["value"], measures["unit"], strict=True)],
        base_text=[in_unit(v, u) for v, u in zip(measures["base"], measures["unit"], strict=True)],
        delta_text=[_delta_text(v, u) for v, u in zip(measures["delta"], measures["unit"], strict=True)],
        verdict=[_verdict(m, v, d) for m, v, d in zip(measures["measure"], measures["value"], measures["delta"], strict=True)],
    )
    profit = rows[rows["measure"] == "profit"].iloc[0]
    title = {"same": "Profit as in base", "better": f"Profit {profit['delta_text']} against base",
             "worse": f"Profit {profit['delta_text']} against base"}[profit["verdict"]]
    return _view(rows[["measure", "now_text", "base_text", "delta_text", "verdict"]], title,
                 "Profit = revenue − all costs of the plan. Operating result is before overhead. Peak load = hours used / regular hours.")


def what_if_volume(volume: pd.DataFrame, measure: str = "served_qty", family: str | None = None) -> pd.DataFrame:
    """One quantity by period, of the plan and of base, for a family or all of them; beside what is served or short stands demand."""
    rows = volume if family is None else volume[volume["family"] == family]
    lines = {"base": f"base_{measure}", "what if": measure}
    if measure == "served_qty":
        lines = {"demand": "demand_qty", **lines}
    totals = rows.groupby("period")[list(lines.values())].sum(min_count=1)  # a period base does not have stays empty
    parts = [pd.DataFrame({"period": totals.index, "line": name, "value": totals[column].to_numpy()}) for name, column in lines.items()]
    whole = totals[measure].sum() - totals[f"base_{measure}"].sum()
    unit = MONEY if measure.endswith("_amt") else "units"
    amount, span = (whole / max(len(totals), 1), "on average") if unit == MONEY else (whole, "over the horizon")
    is_unseen = abs(whole) <= _UNSEEN * abs(totals[measure].sum()) + _ROUNDING
    change = "as in base" if is_unseen else f"{signed(in_unit(amount, unit))} {span}"
    rows = pd.concat(parts, ignore_index=True)
    rows = rows.assign(unit=unit, value_text=[in_unit(value, unit) for value in rows["value"]])
    return _view(rows, f"{WHAT_IF_VOLUMES[measure]}, {family or 'all families'}: {change}",
                 empty="No demand is planned: there is nothing to show.")


def what_if_load(hours: pd.DataFrame, resource: pd.DataFrame, top: int = 10) -> pd.DataFrame:
    """Load of the fullest resources by period, with the change against base in points."""
    names = resource.dropna(subset=["resource_name"]).set_index("resource_id")["resource_name"]
    full = hours.groupby("resource_id")[["load_ratio", "base_load_ratio"]].max().max(axis=1).nlargest(top)
    rows = hours[hours["resource_id"].isin(full.index)].assign(resource=hours["resource_id"].map(names).fillna(hours["resource_id"]))
    rows = rows.assign(peak_ratio=rows["resource_id"].map(full), delta_ratio=rows["load_ratio"] - rows["base_load_ratio"])
    rows = rows.sort_values(["peak_ratio", "resource_id", "period"], ascending=[False, True, True])
    # Where base has no load to compare with, nothing is marked.
    marks = ["▲" if d >= 0.005 else "▼" if d <= -0.005 else "" for d in rows["delta_ratio"].fillna(0.0)]
    rows["load_text"] = ["–" if pd.isna(u) else f"{u * 100:.0f}{m}" for u, m in zip(rows["load_ratio"], marks, strict=True)]
    moved = rows[rows["delta_ratio"].abs() >= 0.005]
    changed = _plural(moved["resource_id"].nunique(), "resource")
    title = f"Load changes at {changed}" if len(moved) else "Load of every resource is as in base"
    shown = ["resource", "period", "used_hours", "regular_hours", "load_ratio", "base_load_ratio", "delta_ratio", "hour_price_amt"]
    return _view(rows[[*shown, "load_text"]], title, "Hours used / regular hours, %; ▲ ▼ where the plan without levers used less or more.",
                 "No routing uses a resource.")


def what_if_limits(limits: pd.DataFrame) -> pd.DataFrame:
    """The dearest limits in a sentence each, with the price they had in base."""
    rows = limits.assign(change_amt=limits["delta_amt"]).rename(columns={"base_price_amt": "in_base_amt"})
    shown = ["sentence", "price_amt", "in_base_amt", "change_amt", "limit_qty", "unit"]
    return _view(rows[shown], "What stops the next unit, dearest first",
                 "Price = gain of the plan from one more unit of the limit, in base and now; it holds for a small change.",
                 "No limit stops this plan: all demand is served without one binding.")
def family_outlook(financial_projection: pd.DataFrame, budget_gap: pd.DataFrame, family: str) -> pd.DataFrame:
    """Budget, unconstrained demand, plan, gross margin and closing stock of one family by period, in money.

    Parameters
    ----------
    financial_projection, budget_gap : DataFrame
        Tables of the financial review.
    family : str
        The family shown.

    Returns
    -------
    DataFrame
        period, budget_amt (empty where nothing is budgeted), demand_amt, revenue_amt, gross_margin_amt, inventory_amt; all planned periods.
    """
    _needs(financial_projection, "financial_projection")
    _needs(budget_gap, "budget_gap")
    measures = ["demand_amt", "revenue_amt", "gross_margin_amt", "inventory_amt"]
    rows = financial_projection[financial_projection["family"] == family].groupby("period")[measures].sum()
    mine = budget_gap[budget_gap["family"] == family].dropna(subset=["budget_revenue_amt"])
    rows["budget_amt"] = mine.groupby("period")["budget_revenue_amt"].sum(min_count=1)
    gap, whole = mine["gap_amt"].sum(), mine["budget_revenue_amt"].sum()
    plan = f"{family}: {short(rows['revenue_amt'].sum(), MONEY)} of revenue planned over {_plural(len(rows), 'period')}"
    against = f", {short(abs(gap), MONEY)} ({percent(_ratio(abs(gap), whole))}) {'below' if gap < 0 else 'above'} budget" if whole else ""
    return _view(
        rows.reset_index()[["period", "budget_amt", "demand_amt", "revenue_amt", "gross_margin_amt", "inventory_amt"]],
        plan + against,
        "Demand = unconstrained demand at price; plan = revenue of what is served; gap over the budgeted periods and regions. "
        "Stock: closing stock at standard cost.",
        f"Nothing is planned for {family}.",
    )
