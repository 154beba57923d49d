"""The approved plan against what happened: deviations, waterfall, family grid, causes, alerts, KPIs of the past.

A plan is scored only in periods that are over. Lag is the number of periods between the first period of the
cycle that locked the plan and the period planned: lag 0 is the cycle's own first period.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pandas as pd

from sop_workbench import kpi
from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings
from sop_workbench.tables import table, validate

ACTUAL = "actual"
PRODUCTION = "production"
_WHOLE_STREAMS = ("consensus", "constrained", PRODUCTION)
_PLAN_KEY = ["lock_cycle_id", "stream", "item_id", "market_id", "period"]
_ROW_KEY = ["item_id", "market_id", "period"]
_NO_FAMILY = "no family"
# So many plans tell how good planning is now, of months or of weeks: a year of weekly plans would tell of another time.
_TRAILING_PERIODS = 12
_BIAS_PERIODS = 6
_PAST_IN_GRID = 3
_MATERIAL_SHARE = 0.005
_CONTROL_PERIODS = 4
_CONTROL_FACTOR = 2.66


# ------------------------------------------------------------------ plan against actual
def plan_deviation(plan_archive: pd.DataFrame, inputs: Mapping[str, pd.DataFrame], as_of: pd.Timestamp, calendar: Calendar) -> pd.DataFrame:
    """Put every archived plan of a period that is over beside what happened.

    deviation = actual − plan, in base units. The actual of stream `production` is production_history (its market is the
    plant), of `constrained` the quantity shipped (ordered where shipping is not known), of every other stream the quantity
    ordered; no row of history in a period that has history means nothing was ordered.

    Consensus, constrained and production plan everything, so an actual they did not name is scored against a plan of zero;
    a stream that speaks for some items only (sales, marketing, …) is scored where it spoke. Production is scored for the
    kinds of items (finished, component) that production_history records.

    Parameters
    ----------
    plan_archive : DataFrame
        Columns lock_cycle_id, stream, item_id, market_id, period, plan_qty.
    inputs : mapping of DataFrame
        item, sales_history, production_history.
    as_of : Timestamp
        Last day known; the period it ends in is over only when it is the period's last day.
    calendar : Calendar
        The company's calendar.

    Returns
    -------
    DataFrame
        The `plan_deviation` table.
    """
    open_period = calendar.period_of(pd.Timestamp(as_of) + pd.Timedelta(days=1))
    plans = _recorded(plan_archive, inputs)
    parts = [
        _scored(plans[plans["stream"] == stream], _actual(stream, inputs, open_period), calendar)
        for stream in sorted(plans["stream"].unique())
    ]
    filled = [part for part in parts if len(part)]
    if not filled:
        return table("plan_deviation").empty()
    rows = pd.concat(filled, ignore_index=True).rename(columns={"lock_cycle_id": "plan_cycle_id"})
    rows["family"] = rows["item_id"].map(inputs["item"].set_index("item_id")["family"])
    rows["deviation_qty"] = rows["actual_qty"] - rows["plan_qty"]
    key = ["plan_cycle_id", "stream", "item_id", "market_id", "period"]
    return validate("plan_deviation", rows.sort_values(key, ignore_index=True))


def _recorded(plan_archive: pd.DataFrame, inputs: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Plans without production of kinds of items (components, for one) whose production the history never records."""
    kinds = inputs["item"].set_index("item_id")["item_type"]
    known = inputs["production_history"]["item_id"].map(kinds).unique()
    return plan_archive[(plan_archive["stream"] != PRODUCTION) | plan_archive["item_id"].map(kinds).isin(known)]


def _actual(stream: str, inputs: Mapping[str, pd.DataFrame], open_period: pd.Timestamp) -> pd.DataFrame:
    """What a stream is scored against: item_id, market_id (plant for production), period, actual_qty."""
    if stream == PRODUCTION:
        actual = inputs["production_history"].rename(columns={"location_id": "market_id", "produced_qty": "actual_qty"})
    else:
        sales = inputs["sales_history"]
        shipped = sales["shipped_qty"].fillna(sales["ordered_qty"])  # not known of shipping: taken as ordered, never as nothing
        actual = sales.assign(actual_qty=shipped if stream == "constrained" else sales["ordered_qty"])
    return actual.loc[(actual["period"] < open_period) & actual["actual_qty"].notna(), [*_ROW_KEY, "actual_qty"]]


def _scored(plan: pd.DataFrame, actual: pd.DataFrame, calendar: Calendar) -> pd.DataFrame:
    """Plan rows of one stream beside their actuals, with lag; rows planned for periods without history are left out."""
    plan = plan[plan["period"].isin(actual["period"])]
    lags = plan[["lock_cycle_id", "stream", "period"]].drop_duplicates()
    pairs = zip(lags["lock_cycle_id"], lags["period"], strict=True)
    lags["lag"] = [calendar.distance(calendar.cycle_period(lock), period) for lock, period in pairs]
    lags = lags[lags["lag"] >= 0]
    is_whole = plan["stream"].isin(_WHOLE_STREAMS).all()
    happened = lags.drop(columns="lag").merge(actual, on="period", how="inner", validate="m:m")
    rows = plan[[*_PLAN_KEY, "plan_qty"]].merge(happened, on=_PLAN_KEY, how="outer" if is_whole else "left", validate="1:1")
    rows = rows.merge(lags, on=["lock_cycle_id", "stream", "period"], how="inner", validate="m:1")
    # History has rows of this period but none of this item: nothing happened. A whole plan without a row: nothing was planned.
    return rows.fillna({"actual_qty": 0.0, "plan_qty": 0.0})


def waterfall(plan_archive: pd.DataFrame, sales_history: pd.DataFrame) -> pd.DataFrame:
    """Successive plans of the same periods as they stood when locked, and what was ordered below.

    Parameters
    ----------
    plan_archive, sales_history : DataFrame
        Archived plans (any streams) and history up to the cycle.

    Returns
    -------
    DataFrame
        The `plan_waterfall` table: total quantity per stream, lock cycle and period; `plan_cycle_id` is `actual` in the
        rows of what happened. Every cell equals the sum of the archived rows.
    """
    demand = plan_archive[plan_archive["stream"] != PRODUCTION]
    key = ["stream", "plan_cycle_id", "period"]
    plans = demand.rename(columns={"lock_cycle_id": "plan_cycle_id"}).groupby(key, as_index=False)["plan_qty"].sum()
    ordered = sales_history.groupby("period", as_index=False)["ordered_qty"].sum().rename(columns={"ordered_qty": "plan_qty"})
    planned = plans[["stream", "period"]].drop_duplicates()
    actual = planned.merge(ordered, on="period", how="inner", validate="m:1").assign(plan_cycle_id=ACTUAL)
    rows = pd.concat([plans, actual], ignore_index=True) if len(actual) else plans
    return validate("plan_waterfall", rows.sort_values(key, ignore_index=True))


_CELL_LEVEL = "item_id × market_id"
_LEVELS = {_CELL_LEVEL: ["item_id", "market_id"], "item_id": ["item_id"], "family": ["family"], "region": ["region"], "total": []}


def error_by_lag(deviation: pd.DataFrame, market: pd.DataFrame | None = None) -> pd.DataFrame:
    """WAPE and bias of every stream by how far ahead it was planned, at item × market, item, family, region and in total.

    WAPE = Σ|plan − actual| / Σ actual and bias = Σ(plan − actual) / Σ actual, over the members and periods of one lag; plans and actuals
    are added up to the level first, so that errors of a member's parts that cancel out are none there.

    Parameters
    ----------
    deviation : DataFrame
        `plan_deviation`.
    market : DataFrame, optional
        Gives the region of a market; without it there are no rows for regions. Production has plants, no regions.

    Examples
    --------
    >>> rows = pd.DataFrame({"stream": "sales", "lag": 0, "plan_cycle_id": "2026-09", "item_id": ["A", "B"], "market_id": "N",
    ...                      "family": "F", "period": pd.Timestamp("2026-09-01"), "plan_qty": [110.0, 90.0], "actual_qty": 100.0})
    >>> error_by_lag(rows)[["level", "wape_ratio", "bias_ratio"]].to_dict("split")["data"]
    [['item_id × market_id', 0.1, 0.0], ['item_id', 0.1, 0.0], ['family', 0.0, 0.0], ['total', 0.0, 0.0]]
    """
    if deviation.empty:
        return table("plan_error_by_lag").empty()
    region = {} if market is None else market.set_index("market_id")["region"].to_dict()
    named = deviation.assign(family=deviation["family"].fillna(_NO_FAMILY), region=deviation["market_id"].map(region))
    parts = [_errors_at(level, named if level != "region" else named[named["region"].notna()], keys) for level, keys in _LEVELS.items()]
    return validate("plan_error_by_lag", pd.concat([part for part in parts if len(part)], ignore_index=True))


def _errors_at(level: str, rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Error and bias by stream and lag of plans and actuals added up to a level."""
    group = ["stream", "lag"]
    sums = rows.groupby([*group, "plan_cycle_id", *keys, "period"], as_index=False)[["plan_qty", "actual_qty"]].sum()
    made = [
        {"stream": stream, "level": level, "lag": lag, "wape_ratio": kpi.wape(part["actual_qty"], part["plan_qty"]),
         "bias_ratio": kpi.bias(part["actual_qty"], part["plan_qty"]), "actual_qty": part["actual_qty"].sum()}
        for (stream, lag), part in sums.groupby(group)
    ]
    return pd.DataFrame(made)


# ------------------------------------------------------------------ family grid
def family_grid(
    deviation: pd.DataFrame, plan_archive: pd.DataFrame, inputs: Mapping[str, pd.DataFrame], calendar: Calendar,
    plan_cycle_id: str | None = None,
) -> pd.DataFrame:
    """Sales, production and inventory per family and period: one locked plan, actuals, differences, cumulative.

    planned stock = opening stock + cumulative production plan − cumulative sales plan;
    stock difference = cumulative production difference − cumulative sales difference + unexplained.

    Finished items only. Unexplained is what counts, scrap and purchases of finished goods did to the stock; it is zero
    where the actual stock follows from production and shipments.

    Parameters
    ----------
    deviation : DataFrame
        `plan_deviation`; tells which periods are over.
    plan_archive, inputs : DataFrame, mapping of DataFrame
        Archived plans; item, sales_history, production_history, stock_history, stock_on_hand.
    calendar : Calendar
        The company's calendar.
    plan_cycle_id : str, optional
        The plan shown; left out, the oldest one locked within the last three periods that are over.

    Returns
    -------
    DataFrame
        The `family_grid` table; empty when no locked plan has both sales and production.
    """
    chosen = plan_cycle_id or _grid_cycle(deviation, plan_archive, calendar)
    if chosen is None:
        return table("family_grid").empty()
    plan = plan_archive[plan_archive["lock_cycle_id"] == chosen]
    start = calendar.cycle_period(chosen)
    families = _finished_families(inputs["item"])
    sales_stream = "constrained" if (plan["stream"] == "constrained").any() else "consensus"
    index = _grid_index(plan, families, start)
    grid = pd.DataFrame(index=index)
    over = index.get_level_values("period").isin(deviation["period"])
    for word, stream in {"sales": sales_stream, "production": PRODUCTION}.items():
        # The plan is whole and the period over: a family without a row had nothing planned, nothing sold, nothing made.
        grid[f"{word}_plan_qty"] = _by_family(plan[plan["stream"] == stream], "plan_qty", families).reindex(index, fill_value=0.0)
        actual = _by_family(_actual(stream, inputs, pd.Timestamp.max), "actual_qty", families).reindex(index, fill_value=0.0)
        grid[f"{word}_actual_qty"] = actual.where(over)
        grid[f"{word}_difference_qty"] = grid[f"{word}_actual_qty"] - grid[f"{word}_plan_qty"]
        grid[f"{word}_cumulative_qty"] = grid.groupby("family")[f"{word}_difference_qty"].cumsum()
    stock = _by_family(inputs["stock_history"], "closing_qty", families)
    on_hand = inputs["stock_on_hand"].groupby(inputs["stock_on_hand"]["item_id"].map(families))["on_hand_qty"].sum()
    grid = _grid_stock(grid, stock, on_hand, calendar.add(start, -1))
    return validate("family_grid", grid.reset_index().assign(plan_cycle_id=chosen))


def _grid_cycle(deviation: pd.DataFrame, plan_archive: pd.DataFrame, calendar: Calendar) -> str | None:
    """The oldest plan of the last periods that are over which has both sales and production."""
    if deviation.empty:
        return None
    earliest = calendar.add(deviation["period"].max(), 1 - _PAST_IN_GRID)
    streams = plan_archive.groupby("lock_cycle_id")["stream"].agg(set)
    usable = [lock for lock, has in streams.items() if PRODUCTION in has and has & {"consensus", "constrained"}]
    recent = sorted(lock for lock in usable if calendar.cycle_period(lock) >= earliest)
    return recent[0] if recent else max(usable, default=None)


def _finished_families(item: pd.DataFrame) -> pd.Series:
    finished = item[item["item_type"] == "finished"]
    return finished.set_index("item_id")["family"].fillna(_NO_FAMILY)


def _grid_index(plan: pd.DataFrame, families: pd.Series, start: pd.Timestamp) -> pd.MultiIndex:
    shown = sorted(plan["item_id"].map(families).dropna().unique())
    periods = sorted(plan.loc[plan["period"] >= start, "period"].unique())
    return pd.MultiIndex.from_product([shown, pd.DatetimeIndex(periods)], names=["family", "period"])


def _by_family(rows: pd.DataFrame, column: str, families: pd.Series) -> pd.Series:
    named = rows.assign(family=rows["item_id"].map(families)).dropna(subset=["family"])
    return named.groupby(["family", "period"])[column].sum()


def _grid_stock(grid: pd.DataFrame, stock: pd.Series, on_hand: pd.Series, before: pd.Timestamp) -> pd.DataFrame:
    """Planned and actual stock; without a stock history the actual leads to the stock on hand now."""
    family = grid.index.get_level_values("family")
    flow_plan = (grid["production_plan_qty"] - grid["sales_plan_qty"]).groupby("family").cumsum()
    flow_actual = (grid["production_actual_qty"] - grid["sales_actual_qty"]).groupby("family").cumsum()
    # A family without a row in a count had no stock.
    if before in stock.index.get_level_values("period"):
        opening = pd.Series([stock.get((name, before), 0.0) for name in family], index=grid.index)
    else:
        now = pd.Series([on_hand.get(name, 0.0) for name in family], index=grid.index)
        opening = now - flow_actual.groupby("family").transform("last")
    grid["inventory_plan_qty"] = opening + flow_plan
    counted = stock.reindex(grid.index)
    grid["inventory_actual_qty"] = counted.where(flow_actual.notna()).fillna(opening + flow_actual)
    grid["inventory_difference_qty"] = grid["inventory_actual_qty"] - grid["inventory_plan_qty"]
    grid["unexplained_qty"] = grid["inventory_actual_qty"] - (opening + flow_actual)
    explained = grid["production_cumulative_qty"] - grid["sales_cumulative_qty"] + grid["unexplained_qty"]
    if not np.allclose(explained, grid["inventory_difference_qty"], rtol=1e-9, atol=1e-6, equal_nan=True):
        raise ArithmeticError("family grid: stock difference is not cumulative production less cumulative sales difference")
    return grid


# ------------------------------------------------------------------ causes
def root_cause(deviation: pd.DataFrame, price: pd.DataFrame, explained_ratio: float = 0.8, stream: str = "consensus") -> pd.DataFrame:
    """Say which families and items make the revenue deviation of the last period that is over.

    deviation in money = (actual − plan) × the newest price of item and market (the item's mean price where a market has
    none; items without any price are not valued). Families are listed whole, items until `explained_ratio` of the absolute
    deviation is named, the rest as `other items`; each level sums to the total.

    Parameters
    ----------
    deviation : DataFrame
        `plan_deviation`; the plan with the shortest lag is taken.
    price : DataFrame
        Input table price.
    explained_ratio : float
        Share of the absolute deviation to be named item by item.
    stream : str
        Plan looked at.

    Returns
    -------
    DataFrame
        The `root_cause` table, by level and size.
    """
    rows = _latest(deviation, stream)
    if rows.empty:
        return table("root_cause").empty()
    rows = rows.assign(amount=rows["deviation_qty"] * _newest_price(rows, price), family=rows["family"].fillna(_NO_FAMILY))
    rows = rows.dropna(subset=["amount"])
    by_family = rows.groupby("family")["amount"].sum()
    by_item = _named_until(rows.groupby("item_id")["amount"].sum(), explained_ratio)
    levels = {"total": pd.Series({"all": rows["amount"].sum()}), "family": by_family, "item_id": by_item}
    parts = [_cause_rows(level, amounts) for level, amounts in levels.items()]
    return validate("root_cause", pd.concat(parts, ignore_index=True).assign(measure="revenue"))


def _newest_price(rows: pd.DataFrame, price: pd.DataFrame) -> pd.Series:
    valid = price[price["valid_from"] <= rows["period"].max()].sort_values("valid_from")
    newest = valid.drop_duplicates(["item_id", "market_id"], keep="last")
    own = rows[["item_id", "market_id"]].merge(newest, on=["item_id", "market_id"], how="left", validate="m:1")["price_amt"]
    mean = rows["item_id"].map(newest.groupby("item_id")["price_amt"].mean())
    return pd.Series(own.to_numpy(), index=rows.index).fillna(mean)


def _named_until(amounts: pd.Series, explained_ratio: float) -> pd.Series:
    """The largest amounts until the share is reached, the rest in one row, so that the sum stays."""
    ordered = amounts.sort_index().sort_values(key=lambda v: -v.abs(), kind="stable")
    covered = ordered.abs().cumsum() - ordered.abs()
    is_named = covered < explained_ratio * ordered.abs().sum()
    named, rest = ordered[is_named], ordered[~is_named]
    return pd.concat([named, pd.Series({"other items": rest.sum()})]) if len(rest) else named


def _cause_rows(level: str, amounts: pd.Series) -> pd.DataFrame:
    ordered = amounts.sort_values(key=lambda v: -v.abs(), kind="stable")
    whole = ordered.abs().sum()
    shares = ordered.abs() / whole if whole else ordered.abs()
    members = ordered.index.astype(str)
    return pd.DataFrame({"level": level, "member": members, "deviation_amt": ordered.to_numpy(), "share_ratio": shares.to_numpy()})


def _latest(deviation: pd.DataFrame, stream: str, periods_back: int = 0) -> pd.DataFrame:
    """Rows of a stream in the last period that is over (or one further back), planned at the shortest lag."""
    rows = deviation[deviation["stream"] == stream]
    periods = sorted(rows["period"].unique())
    if len(periods) <= periods_back:
        return rows.iloc[0:0]
    return _shortest_lag(rows[rows["period"] == periods[-1 - periods_back]])


def _shortest_lag(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["lag"] == rows.groupby("period")["lag"].transform("min")]


# ------------------------------------------------------------------ alerts
def alerts(deviation: pd.DataFrame, results: Mapping[str, pd.DataFrame], settings: Settings, calendar: Calendar) -> pd.DataFrame:
    """Say what lies outside tolerance, past and ahead, each in one sentence.

    Past: a family off plan in the last period, its plan biased over the last six. Ahead: a resource above the utilisation
    limit, an item whose stock runs out, a market below the service level. A family off plan twice in the same direction
    asks for a change request to the next cycle; one that misses by less than half a per cent of all units is left alone.

    Parameters
    ----------
    deviation : DataFrame
        `plan_deviation`.
    results : mapping of DataFrame
        Tables of the newest plan, each optional: inventory_projection, resource_plan, unmet_demand.
    settings : Settings
        Its tolerances.
    calendar : Calendar
        Names periods.

    Returns
    -------
    DataFrame
        The `alert` table, sorted by its key.
    """
    rules: dict[str, Callable[[pd.DataFrame, Settings, Calendar], Iterable[dict]]] = {
        "resource_plan": _full_resources, "inventory_projection": _empty_stocks, "unmet_demand": _poor_service}
    found = [*_off_plan(deviation, settings, calendar), *_biased(deviation, settings), *_out_of_control(deviation, calendar)]
    for name, rule in rules.items():
        if name in results and len(results[name]):
            found += rule(results[name], settings, calendar)
    if not found:
        return table("alert").empty()
    key = ["alert", "level", "member", "period"]
    return validate("alert", pd.DataFrame(found).sort_values(key, ignore_index=True))


def families_off_plan(deviation: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Families whose consensus was missed by more than the tolerance in the last period that is over.

    Returns
    -------
    DataFrame
        family, period, plan_qty, actual_qty, ratio (actual / plan − 1), periods_outside (in a row outside the same way, this one
        included), is_again (the period before too).
    """
    limit = settings.tolerances.plan_deviation_ratio
    now = _family_deviation(_latest(deviation, "consensus"))
    found = now.assign(periods_outside=_periods_outside(deviation, now["ratio"], limit))
    found["is_again"] = found["periods_outside"] > 1
    return found[now["is_material"] & (now["ratio"].abs() > limit)].rename_axis("family").reset_index()


def _periods_outside(deviation: pd.DataFrame, now: pd.Series, limit: float) -> pd.Series:
    """How many periods in a row each family was off plan on the side of the newest one, which counts."""
    count, is_still, back = pd.Series(1, index=now.index), pd.Series(True, index=now.index), 1
    while is_still.any():
        before = _latest(deviation, "consensus", back)
        if before.empty:
            break
        earlier = _family_deviation(before)["ratio"].reindex(now.index)
        is_still &= (earlier.abs() > limit) & (earlier * now > 0)
        count, back = count + is_still, back + 1
    return count


def _off_plan(deviation: pd.DataFrame, settings: Settings, calendar: Calendar) -> list[dict]:
    limit, found = settings.tolerances.plan_deviation_ratio, []
    for row in families_off_plan(deviation, settings).itertuples():
        side = "above" if row.ratio > 0 else "below"
        action = "; outside tolerance twice running: raise a change request to the next cycle" if row.is_again else ""
        sentence = (f"{row.family} sold {abs(row.ratio):.0%} {side} plan in {calendar.cycle_id(row.period)} "
                    f"({row.actual_qty:,.0f} against {row.plan_qty:,.0f} units){action}.")
        found.append(_alert("sales off plan", "family", str(row.family), row.period, row.ratio, limit, sentence))
    return found


def _family_deviation(rows: pd.DataFrame) -> pd.DataFrame:
    sums = rows.assign(family=rows["family"].fillna(_NO_FAMILY)).groupby("family").agg(
        plan_qty=("plan_qty", "sum"), actual_qty=("actual_qty", "sum"), period=("period", "max"))
    sums["ratio"] = (sums["actual_qty"] - sums["plan_qty"]) / sums["plan_qty"].where(sums["plan_qty"] != 0)
    sums["is_material"] = (sums["actual_qty"] - sums["plan_qty"]).abs() >= _MATERIAL_SHARE * sums["plan_qty"].sum()
    return sums


def _biased(deviation: pd.DataFrame, settings: Settings) -> list[dict]:
    limit = settings.tolerances.forecast_bias_ratio
    rows = _trailing(deviation, "consensus", _BIAS_PERIODS)
    material = _MATERIAL_SHARE * rows["plan_qty"].sum()
    found = []
    for family, part in rows.assign(family=rows["family"].fillna(_NO_FAMILY)).groupby("family"):
        bias = kpi.bias(part["actual_qty"], part["plan_qty"])
        if abs(bias) > limit and abs(part["deviation_qty"].sum()) >= material:
            side, count = ("over" if bias > 0 else "under"), _periods(part["period"].nunique())
            sentence = f"{family} was planned {abs(bias):.0%} {side} actual demand over the last {count} (tolerance {limit:.0%})."
            found.append(_alert("biased plan", "family", family, part["period"].max(), bias, limit, sentence))
    return found


def _out_of_control(deviation: pd.DataFrame, calendar: Calendar) -> list[dict]:
    """Families whose newest deviation lies outside the control limits of their earlier ones.

    Limits of an individuals chart: mean ± 2.66 × mean moving range (Shewhart; 3 / d₂ with d₂ = 1.128), over at least four earlier
    periods; a chart of fewer says nothing.
    """
    rows = _shortest_lag(deviation[deviation["stream"] == "consensus"])
    sums = rows.assign(family=rows["family"].fillna(_NO_FAMILY)).groupby(["family", "period"])[["plan_qty", "actual_qty"]].sum()
    ratio = ((sums["actual_qty"] - sums["plan_qty"]) / sums["plan_qty"].where(sums["plan_qty"] != 0)).dropna()
    material = _MATERIAL_SHARE * sums.groupby("period")["plan_qty"].sum()
    found = []
    for family, series in ratio.groupby("family"):
        values, period = series.to_numpy(), series.index[-1][1]
        earlier = values[:-1]
        if len(earlier) < _CONTROL_PERIODS or abs(sums.loc[(family, period)].diff().iloc[-1]) < material[period]:
            continue
        middle, width = earlier.mean(), _CONTROL_FACTOR * np.abs(np.diff(earlier)).mean()
        if abs(values[-1] - middle) > width:
            sentence = (f"{family} deviated {values[-1]:+.0%} from plan in {calendar.cycle_id(period)}, outside its control limits "
                        f"{middle - width:+.0%} to {middle + width:+.0%}: something changed.")
            found.append(_alert("outside control limits", "family", str(family), period, values[-1], width, sentence))
    return found


def _full_resources(resource_plan: pd.DataFrame, settings: Settings, calendar: Calendar) -> list[dict]:
    limit = settings.tolerances.utilisation_ratio
    rows = resource_plan[resource_plan["regular_hours"] > 0]
    rows = rows.assign(ratio=rows["used_hours"] / rows["regular_hours"])
    rows = rows[rows["ratio"] > limit]
    found = []
    for resource, part in rows.groupby("resource_id"):
        worst = part.loc[part["ratio"].idxmax()]
        sentence = (f"{resource} is loaded above {limit:.0%} of its regular hours in {_periods(len(part))}, most in "
                    f"{calendar.cycle_id(worst['period'])} ({worst['ratio']:.0%}, {worst['overtime_used_hours']:,.0f} h overtime).")
        found.append(_alert("resource full", "resource_id", resource, worst["period"], worst["ratio"], limit, sentence))
    return found


def _empty_stocks(inventory_projection: pd.DataFrame, settings: Settings, calendar: Calendar) -> list[dict]:
    sums = inventory_projection.groupby(["item_id", "period"], as_index=False)[["closing_qty", "safety_stock_qty"]].sum()
    # The end of the horizon says nothing: a plan has no reason to leave stock for demand it does not know.
    ahead = sums[sums["period"] < sums["period"].max()]
    empty = ahead[(ahead["safety_stock_qty"] > 0) & (ahead["closing_qty"] <= 1e-6)]
    found = []
    for item, part in empty.groupby("item_id"):
        first = part.iloc[0]
        sentence = (f"{item} has no stock left at the end of {_periods(len(part))}, first in {calendar.cycle_id(first['period'])}; "
                    f"{first['safety_stock_qty']:,.0f} units of safety stock are wanted.")
        found.append(_alert("stock runs out", "item_id", item, first["period"], first["closing_qty"], first["safety_stock_qty"], sentence))
    return found


def _poor_service(unmet_demand: pd.DataFrame, settings: Settings, calendar: Calendar) -> list[dict]:
    limit = settings.tolerances.service_level_ratio
    found = []
    for market, part in unmet_demand.groupby("market_id"):
        fill = kpi.fill_rate(part["served_qty"], part["demand_qty"])
        if fill < limit:
            worst = part.groupby("period")["lost_revenue_amt"].sum().idxmax()
            sentence = (f"{market} is served {fill:.1%} of its demand over the horizon (target {limit:.0%}); "
                        f"{part['lost_revenue_amt'].sum():,.0f} of revenue is lost, most in {calendar.cycle_id(worst)}.")
            found.append(_alert("service below target", "market_id", market, worst, fill, limit, sentence))
    return found


def _periods(count: int) -> str:
    return f"{count} period" + ("" if count == 1 else "s")


def _alert(alert: str, level: str, member: str, period: pd.Timestamp, value: float, tolerance: float, sentence: str) -> dict:
    return {"alert": alert, "level": level, "member": member, "period": period, "value": value, "tolerance": tolerance,
            "sentence": sentence}


# ------------------------------------------------------------------ KPIs of the past
def past_kpis(
    deviation: pd.DataFrame, inputs: Mapping[str, pd.DataFrame], settings: Settings, period: pd.Timestamp, calendar: Calendar
) -> pd.DataFrame:
    """KPIs of the period just ended: accuracy in total, by family and lag, fill, adherence, margin, turns.

    Accuracy is that of the consensus at the shortest lag archived; by lag, and for the tracking signal, over the last
    twelve periods that are over. Turns look backward: COGS of the last year / its average stock.

    Returns
    -------
    DataFrame
        The `kpi` table; what cannot be measured is empty with its reason.
    """
    rows = [*_accuracy(deviation, period), *_service(inputs["sales_history"], period), *_adherence(deviation, period),
            *_money(inputs, period, calendar)]
    return kpi.kpi_table(pd.DataFrame(rows, columns=["kpi", "level", "member", "value", "note"]).assign(period=period), settings)


def _accuracy(deviation: pd.DataFrame, period: pd.Timestamp) -> list[tuple]:
    consensus = deviation[(deviation["stream"] == "consensus") & (deviation["period"] <= period)]
    now = _shortest_lag(consensus[consensus["period"] == period])
    note = f"consensus, lag {now['lag'].min()}, item × market" if len(now) else "no locked plan for the period"
    groups = {("total", "all"): now, **{("family", f): part for f, part in now.groupby("family")}}
    rows = []
    for (level, member), part in groups.items():
        rows += [("wape", level, member, kpi.wape(part["actual_qty"], part["plan_qty"]), note),
                 ("bias", level, member, kpi.bias(part["actual_qty"], part["plan_qty"]), note)]
    recent = _trailing(consensus, "consensus", _TRAILING_PERIODS, shortest=False)
    for lag, part in recent.groupby("lag"):
        words = f"{part['period'].nunique()} periods"
        rows += [("wape", "lag", str(lag), kpi.wape(part["actual_qty"], part["plan_qty"]), words),
                 ("bias", "lag", str(lag), kpi.bias(part["actual_qty"], part["plan_qty"]), words)]
    totals = _shortest_lag(recent).groupby("period")[["actual_qty", "plan_qty"]].sum()
    signal = kpi.tracking_signal(totals["actual_qty"], totals["plan_qty"])
    return [*rows, ("tracking_signal", "total", "all", signal, f"{len(totals)} periods")]


def _trailing(deviation: pd.DataFrame, stream: str, periods: int, shortest: bool = True) -> pd.DataFrame:
    rows = deviation[deviation["stream"] == stream]
    recent = rows[rows["period"].isin(sorted(rows["period"].unique())[-periods:])]
    return _shortest_lag(recent) if shortest else recent


def _service(sales_history: pd.DataFrame, period: pd.Timestamp) -> list[tuple]:
    now = sales_history[sales_history["period"] == period]
    timed, counted = now.dropna(subset=["on_time_qty"]), now.dropna(subset=["order_count", "complete_order_count"])
    notes = ["" if len(rows) == len(now) else f"{len(now) - len(rows)} rows without {what} left out"
             for rows, what in ((timed, "on-time quantity"), (counted, "orders counted"))]
    return [("fill_rate", "total", "all", kpi.fill_rate(timed["on_time_qty"], timed["ordered_qty"]), notes[0]),
            ("otif", "total", "all", kpi.otif(counted["complete_order_count"], counted["order_count"]), notes[1]),
            ("cycle_service_level", "total", "all", kpi.cycle_service_level(now["is_stockout"]), "one cycle per item, market and period")]


def _adherence(deviation: pd.DataFrame, period: pd.Timestamp) -> list[tuple]:
    made = _shortest_lag(deviation[(deviation["stream"] == PRODUCTION) & (deviation["period"] == period)])
    items = made.groupby(["family", "item_id"], dropna=False)[["actual_qty", "plan_qty"]].sum().reset_index()
    rows = [("production_adherence", "total", "all", kpi.production_adherence(items["actual_qty"], items["plan_qty"]), "")]
    return rows + [("production_adherence", "family", family, kpi.production_adherence(part["actual_qty"], part["plan_qty"]), "")
                   for family, part in items.groupby("family")]


def _money(inputs: Mapping[str, pd.DataFrame], period: pd.Timestamp, calendar: Calendar) -> list[tuple]:
    cost = inputs["item"].set_index("item_id")["standard_cost_amt"]
    start = calendar.add(period, 1 - calendar.buckets_per_year)
    sales = inputs["sales_history"]
    sales = sales[sales["period"].between(start, period)]
    cogs = (sales["shipped_qty"].fillna(sales["ordered_qty"]) * sales["item_id"].map(cost)).groupby(sales["period"]).sum()
    revenue = sales.groupby("period")["net_sales_amt"].sum(min_count=1)
    stock = inputs["stock_history"]
    stock = stock[stock["period"].between(start, period)]
    value = (stock["closing_qty"] * stock["item_id"].map(cost)).groupby(stock["period"]).sum()
    year = cogs.mean() * calendar.buckets_per_year if len(cogs) else np.nan
    inventory = value.mean() if len(value) else np.nan
    note = f"backward, {len(cogs)} periods of COGS, {len(value)} of stock"
    margin = kpi.gross_margin(revenue.get(period, np.nan), cogs.get(period, np.nan))
    return [("gross_margin", "total", "all", margin, "the period, at standard cost"),
            ("inventory_turns", "total", "all", kpi.inventory_turns(year, inventory), note),
            ("days_of_inventory", "total", "all", kpi.days_of_inventory(year, inventory), note),
            ("gmroi", "total", "all", kpi.gmroi(revenue.mean() * calendar.buckets_per_year - year, inventory), note),
            *_balances(inputs["ledger"], period, revenue, year, inventory, calendar)]


def _balances(ledger: pd.DataFrame, period: pd.Timestamp, revenue: pd.Series, cogs_per_year: float, inventory: float,
              calendar: Calendar) -> list[tuple]:
    """Days of sales and payables, cash-to-cash and working capital from the ledger's balances of the last year."""
    start = calendar.add(period, 1 - calendar.buckets_per_year)
    booked = ledger[ledger["period"].between(start, period)].pivot(index="period", columns="account", values="amount_amt")
    mean, last = booked.mean(), booked.loc[period] if period in booked.index else pd.Series(dtype=float)
    days_sales = kpi.days_of_sales(revenue.mean() * calendar.buckets_per_year, mean.get("receivables", np.nan))
    days_payables = kpi.days_of_payables(cogs_per_year, mean.get("payables", np.nan))
    days_inventory = kpi.days_of_inventory(cogs_per_year, inventory)
    capital = kpi.working_capital(*(last.get(account, np.nan) for account in ("inventory", "receivables", "payables")))
    note = f"backward, balances of {len(booked)} periods of the ledger"
    return [("days_of_sales", "total", "all", days_sales, note), ("days_of_payables", "total", "all", days_payables, note),
            ("cash_to_cash", "total", "all", kpi.cash_to_cash(days_inventory, days_sales, days_payables), note),
            ("working_capital", "total", "all", capital, "the ledger's balances at the end of the period")]


def stability_measures(
    now: pd.DataFrame, archive: pd.DataFrame, item: pd.DataFrame, settings: Settings, period: pd.Timestamp, calendar: Calendar
) -> pd.DataFrame:
    """How nervous the plan is: what moved inside the fence since the plan locked last, as measures for `kpi_table`.

    Σ|plan now − plan last cycle| / Σ plan now, over items, places and the first `supply.plan_fence_buckets` periods of the cycle that
    both plan. Production, consensus and constrained demand each; in total production, for which the fence is kept (consensus where
    no production was archived). Kinds of items that one of the plans leaves out (an archive without parts) are not compared.

    Parameters
    ----------
    now, archive : DataFrame
        The plan of this cycle and those locked before it, in the shape of `plan_archive`.
    item : DataFrame
        Says of what kind an item is.
    settings : Settings
        Says how long the fence is.
    period : Timestamp
        First planned period of the cycle.
    calendar : Calendar
        The company's calendar.

    Examples
    --------
    >>> made = {"stream": "production", "item_id": "A", "market_id": "P1", "period": pd.Timestamp("2026-10-01")}
    >>> now, last = (pd.DataFrame([{"lock_cycle_id": c, **made, "plan_qty": q}]) for c, q in (("2026-10", 80.0), ("2026-09", 100.0)))
    >>> item = pd.DataFrame({"item_id": ["A"], "item_type": ["finished"]})
    >>> found = stability_measures(now, last, item, Settings(company="Any"), pd.Timestamp("2026-10-01"), Calendar())
    >>> float(found.loc[0, "value"]), found.loc[0, "note"]
    (0.25, 'production of 1 period inside the fence against the plan of 2026-09')
    """
    fence = [calendar.add(period, number) for number in range(settings.supply.plan_fence_buckets)]
    kinds = item.set_index("item_id")["item_type"]
    found = {stream: row for stream in (PRODUCTION, "consensus", "constrained")
             if (row := _moved(now, archive, kinds, stream, fence, calendar)) is not None}
    whole = next(iter(found.values()), (np.nan, "no fence is set" if not fence else "no locked plan of the periods inside the fence"))
    rows = [("total", "all", *whole), *(("stream", stream, *row) for stream, row in found.items())]
    return pd.DataFrame(rows, columns=["level", "member", "value", "note"]).assign(kpi="plan_stability", period=period)


def _moved(
    now: pd.DataFrame, archive: pd.DataFrame, kinds: pd.Series, stream: str, fence: list[pd.Timestamp], calendar: Calendar
) -> tuple[float, str] | None:
    """Share of a stream that moved inside the fence since the last plan that has it, and against which; None where none has."""
    mine, before = (rows[(rows["stream"] == stream) & rows["period"].isin(fence)] for rows in (now, archive))
    if mine.empty or before.empty:
        return None
    last = max(before["lock_cycle_id"].unique(), key=calendar.cycle_period)
    before = before[before["lock_cycle_id"] == last]
    shared = set(mine["period"]) & set(before["period"])
    known = set(mine["item_id"].map(kinds)) & set(before["item_id"].map(kinds))
    sums = [rows[rows["period"].isin(shared) & rows["item_id"].map(kinds).isin(known)].groupby(_ROW_KEY)["plan_qty"].sum()
            for rows in (mine, before)]
    both = pd.concat(sums, axis=1, keys=["now", "before"]).fillna(0.0)  # both plans are whole: no row means nothing planned
    words = f"{stream} of {_periods(len(shared))} inside the fence against the plan of {last}"
    return (kpi.plan_stability(both["now"], both["before"]), words) if shared else None
