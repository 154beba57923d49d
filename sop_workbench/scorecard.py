"""KPIs of the past by level and period: accuracy, gain over the statistics and service, for any level, lag and month.

Sums are formed to the level first, ratios last: errors that cancel out inside a member are none there. What is measured for the
whole company and its families in the newest period stands in `execution.past_kpis`; here stands every other level and the months before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from sop_workbench import kpi
from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings
from sop_workbench.tables import table

LEVELS = ("total", "family", "region", "market_id", "item_id")
_MONTHLY = ("total", "family", "region", "market_id")
_TRAILING = 12  # so many plans tell how good planning is now, of months or of weeks
_CELL = ["item_id", "market_id", "period"]
_COLUMNS = ["kpi", "level", "member", "period", "value", "note"]


def accuracy(
    deviation: pd.DataFrame, inputs: Mapping[str, pd.DataFrame], level: str, calendar: Calendar, lag: int | None = None,
    stream: str = "consensus", periods: int = _TRAILING,
) -> pd.DataFrame:
    """WAPE and bias of a stream by member of a level and month, MASE and forecast value added over the months together.

    WAPE = Σ|A−F| / ΣA and bias = Σ(F−A) / ΣA over the items and markets inside the member;
    MASE = MAE of the member's sums / MAE of last season's value in its history before the first month scored;
    FVA = WAPE(statistical) − WAPE(stream), over the items, markets and months that both planned at that lag.

    Parameters
    ----------
    deviation : DataFrame
        `plan_deviation`.
    inputs : mapping of DataFrame
        market and sales_history.
    level : str
        total, or a column of plan_deviation or market (family, region, channel, market_id, item_id, plan_cycle_id).
    calendar : Calendar
        What a season is.
    lag : int, optional
        Periods planned ahead; the shortest archived of each month when left out.
    stream : str
        Stream judged.
    periods : int
        Newest months judged.

    Returns
    -------
    DataFrame
        Measures for `kpi.kpi_table`; MASE and FVA stand at the newest month.
    """
    rows = _placed(deviation, inputs["market"], level)
    mine = _at_lag(rows[rows["stream"] == stream], lag, periods)
    if mine.empty:
        return pd.DataFrame(columns=_COLUMNS)
    newest, words = mine["period"].max(), f"{stream}, lag {lag if lag is not None else mine['lag'].min()}"
    found = [(name, level, member, period, measure(part["actual_qty"], part["plan_qty"]), f"{words}, item × market")
             for (member, period), part in mine.groupby(["member", "period"]) for name, measure in (("wape", kpi.wape), ("bias", kpi.bias))]
    history = _history(inputs, level)
    basis = _at_lag(rows[rows["stream"] == "statistical"], lag, periods)
    for member, part in mine.groupby("member"):
        count = f"{words}, {part['period'].nunique()} periods"
        gain = _value_added(part, basis[basis["member"] == member])
        found += [("mase", level, member, newest, _mase(part, history.get(member), calendar), count),
                  ("forecast_value_added", level, member, newest, gain, f"{count}, over the statistics")]
    return pd.DataFrame(found, columns=_COLUMNS)


def service(sales_history: pd.DataFrame, inputs: Mapping[str, pd.DataFrame], level: str, until: pd.Timestamp, calendar: Calendar,
            periods: int = _TRAILING) -> pd.DataFrame:
    """Fill rate and OTIF by member of a level and month, from rows whose quantity or orders on time are known, for `kpi.kpi_table`."""
    recent = sales_history[sales_history["period"].between(calendar.add(until, 1 - periods), until)]
    named = recent.assign(family=recent["item_id"].map(inputs["item"].set_index("item_id")["family"]))
    rows = _placed(named, inputs["market"], level)
    found = [(name, level, member, period, measure(part[met], part[asked]), "")
             for name, measure, met, asked in (("fill_rate", kpi.fill_rate, "on_time_qty", "ordered_qty"),
                                               ("otif", kpi.otif, "complete_order_count", "order_count"))
             for (member, period), part in rows.dropna(subset=[met, asked]).groupby(["member", "period"])]
    return pd.DataFrame(found, columns=_COLUMNS)


def level_kpis(
    deviation: pd.DataFrame, inputs: Mapping[str, pd.DataFrame], settings: Settings, period: pd.Timestamp, calendar: Calendar,
    levels: Iterable[str] = LEVELS,
) -> pd.DataFrame:
    """KPIs of accuracy and service by level and month: what `execution.past_kpis` does not hold already.

    Items stand at the newest month only. A member without actual demand has no row.

    Returns
    -------
    DataFrame
        The `kpi` table.
    """
    past = deviation[deviation["period"] <= period]
    parts = []
    for level in levels:
        measured = (accuracy(past, inputs, level, calendar), service(inputs["sales_history"], inputs, level, period, calendar))
        parts += [rows if level in _MONTHLY else rows[rows["period"] == period] for rows in measured]
    filled = [part for part in parts if len(part)]
    if not filled:
        return table("kpi").empty()
    rows = pd.concat(filled, ignore_index=True)
    is_held = (rows["kpi"].isin(["wape", "bias"]) & rows["level"].isin(["total", "family"])) | (
        rows["kpi"].isin(["fill_rate", "otif"]) & (rows["level"] == "total"))
    held = (rows["period"] == period) & is_held
    return kpi.kpi_table(rows[~held & rows["value"].notna()], settings)


def _placed(rows: pd.DataFrame, market: pd.DataFrame, level: str) -> pd.DataFrame:
    """Rows with the member of the level they belong to; rows without one (production has plants, no regions) are left out."""
    if level == "total":
        return rows.assign(member="all")
    member = rows[level] if level in rows.columns else rows["market_id"].map(market.set_index("market_id")[level])
    return rows.assign(member=member).dropna(subset=["member"])


def _at_lag(rows: pd.DataFrame, lag: int | None, periods: int) -> pd.DataFrame:
    """Rows of the newest periods at a lag, or at each period's shortest."""
    recent = rows[rows["period"].isin(sorted(rows["period"].unique())[-periods:])]
    return recent[recent["lag"] == (recent.groupby("period")["lag"].transform("min") if lag is None else lag)]


def _history(inputs: Mapping[str, pd.DataFrame], level: str) -> dict[str, pd.Series]:
    """Orders of every member by period."""
    sales = inputs["sales_history"]
    named = sales.assign(family=sales["item_id"].map(inputs["item"].set_index("item_id")["family"]))
    sums = _placed(named, inputs["market"], level).groupby(["member", "period"])["ordered_qty"].sum()
    return {member: part.droplevel("member") for member, part in sums.groupby("member")}


def _mase(part: pd.DataFrame, history: pd.Series | None, calendar: Calendar) -> float:
    """MASE of a member's sums; its history ends before the first month scored."""
    if history is None:
        return float("nan")
    sums = part.groupby("period")[["actual_qty", "plan_qty"]].sum()
    before = history[history.index < sums.index.min()]
    if before.empty:
        return float("nan")
    # A period without an order sold nothing.
    whole = before.reindex(pd.date_range(before.index.min(), before.index.max(), freq=calendar.frequency)).fillna(0.0)
    return kpi.mase(sums["actual_qty"], sums["plan_qty"], whole, calendar.buckets_per_year)


def _value_added(part: pd.DataFrame, basis: pd.DataFrame) -> float:
    """Error of the statistics less that of the stream, over what both planned."""
    both = part.merge(basis[[*_CELL, "lag", "plan_qty"]], on=[*_CELL, "lag"], how="inner", validate="1:1", suffixes=("", "_before"))
    if both.empty:
        return float("nan")
    return kpi.forecast_value_added(kpi.wape(both["actual_qty"], both["plan_qty_before"]), kpi.wape(both["actual_qty"], both["plan_qty"]))
