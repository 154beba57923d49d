"""Stock targets: forecast error at the planning lag, lead time and its spread, review period, and the service promised."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sop_workbench import tables
from sop_workbench.errors import DataError
from sop_workbench.inventory.theory import cycle_service, fill_rate, safety_stock, safety_stock_for_fill
from sop_workbench.lanes import lanes_for, reachable_places
from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings

_PLACE = ["item_id", "location_id"]
_ROW = [*_PLACE, "period"]
_DAYS_PER_YEAR = 365.25
# A normal error of standard deviation σ has mean absolute size σ·√(2/π).
_DEVIATION_PER_ABSOLUTE_ERROR = float(np.sqrt(np.pi / 2))
# The mix of models that the statistical forecast uses, as `forecast_error` names it.
_PLANNED_MODEL = "ensemble"
_PLANNED_STREAM = "consensus"
# The back-test counts as much as this many locked plans of the item itself, of months or of weeks.
_BACK_TEST_PERIODS = 12
_BY_CYCLE = "z √((L + review) σ² + μ² σ_L²)"
_BY_FILL = "fill rate by the loss function"
_BY_ERP = "safety stock of the ERP"
_LAG_ERROR = ["item_id", "lag", "error_ratio", "periods"]


def inventory_targets(
    demand: pd.DataFrame,
    requirement: pd.DataFrame,
    forecast_error: pd.DataFrame,
    item_class: pd.DataFrame,
    inputs: dict[str, pd.DataFrame],
    settings: Settings,
    calendar: Calendar,
    *,
    lag_error: pd.DataFrame | None = None,
    review_buckets: float = 1.0,
) -> pd.DataFrame:
    r"""Safety stock and target of every item where it serves markets, and of every component where it is used.

    .. math::
        SS = \max\left(z \sqrt{(L + R)\,\sigma^2 + \mu^2 \sigma_L^2},\; SS_{fill}\right), \qquad target = SS + \tfrac{1}{2} R \mu

    :math:`SS_{fill}` is the least stock with :math:`\beta(SS) \ge` the fill rate promised, where one is (`safety_stock_for_fill`, lots of
    the larger of the smallest order and the demand of a review period). Both measures of service that the stock gives are stated:
    they differ, and one does not stand for the other.

    Sold items stand at the location with the cheapest lane to each market; what that location serves is pooled. σ is the error
    at the planning lag, the lead time of the place: the item's error in locked plans at that lag (`lag_error`), mixed with its
    back-test (√(π/2) · WAPE, times how much larger errors are at that lag than over all lags), which counts as much as a year of
    locked plans. Market errors are taken as independent, so that a location with a share of the demand has the root of that
    share of the error. Errors of parents go down to components through the bill of material, squared. Components stand
    where their parents are made (equally split where several plants make them); one with a safety stock in the ERP keeps that.

    Parameters
    ----------
    demand : DataFrame
        `consensus_demand`.
    requirement : DataFrame
        Result of `materials.explode(bill_of_material, demand, calendar)`: dependent demand.
    forecast_error, item_class : DataFrame
        Result tables; either may be empty.
    inputs : dict of str to DataFrame
        `item`, `lane`, `production`, `supplier_item`, `bill_of_material`, `service_target`.
    settings : Settings
        `tolerances.service_level_ratio` holds where no target is given for the item or its ABC class.
    calendar : Calendar
        The planning calendar.
    lag_error : DataFrame, optional
        Result of `error_at_lags`; without it the back-test alone speaks, for all lags alike.
    review_buckets : float
        R, periods between two decisions to replenish.

    Returns
    -------
    DataFrame
        The `inventory_target` table.

    Raises
    ------
    DataError
        When a service of 100 % or more is promised: no finite stock gives it.
    """
    _refuse_certainty(inputs["service_target"], settings)
    places = _every_period(pd.concat([_sold_at(demand, inputs), _used_at(requirement, inputs)]))
    places = places.merge(_replenishment(places[_PLACE].drop_duplicates(), inputs), on=_PLACE, how="left", validate="m:1")
    places["lag"] = calendar.lead_time_buckets(places["lead_time_days"])
    error = _item_errors(demand, requirement, forecast_error, lag_error, inputs["bill_of_material"], places["lag"].unique())
    places = places.merge(error, on=["item_id", "period", "lag"], how="left", validate="m:1")
    share = places["demand_qty"] / places.groupby(["item_id", "period"])["demand_qty"].transform("sum")
    # No demand in a period means no error in it.
    places["error_qty"] = (places["error_qty"] * np.sqrt(share)).fillna(0.0)
    places = _promised(places, item_class, inputs["service_target"], settings)
    places = _with_stock(places, inputs["item"], review_buckets, _DAYS_PER_YEAR / calendar.buckets_per_year)
    places["target_qty"] = places["safety_stock_qty"] + review_buckets * places["demand_qty"] / 2
    declared = tables.table("inventory_target")
    return tables.validate("inventory_target", places[list(declared.columns)].sort_values(list(declared.key)).reset_index(drop=True))


def error_at_lags(
    plan_archive: pd.DataFrame, sales_history: pd.DataFrame, calendar: Calendar, stream: str = _PLANNED_STREAM
) -> pd.DataFrame:
    r"""How wrong locked plans were, by item and by how many periods ahead they were made.

    .. math:: r_{i,\ell} = \sqrt{\tfrac{1}{n} \sum (A - F)^2} \; / \; \bar A, \qquad
              r_{all,\ell} = \sqrt{\pi / 2} \; \sum |A - F| \, / \, \sum A

    Parameters
    ----------
    plan_archive : DataFrame
        Archived plans; markets are added up. Lag 0 is the first period of the cycle that locked the plan.
    sales_history : DataFrame
        What was ordered; a period without any row has not happened yet.
    calendar : Calendar
        Counts the periods between.
    stream : str
        Whose plan.

    Returns
    -------
    DataFrame
        item_id (`all` for all items), lag (−1 for all lags), error_ratio, periods (number of comparisons).

    Examples
    --------
    >>> months = pd.to_datetime(["2026-01-01", "2026-02-01"])
    >>> plans = pd.DataFrame({"lock_cycle_id": "2026-01", "stream": "consensus", "item_id": "A", "market_id": "K", "period": months,
    ...                       "plan_qty": [90.0, 120.0]})
    >>> sales = pd.DataFrame({"item_id": "A", "market_id": "K", "period": months, "ordered_qty": [100.0, 100.0]})
    >>> error_at_lags(plans, sales, Calendar("month")).query("item_id == 'A'")[["lag", "error_ratio", "periods"]].to_numpy().tolist()
    [[0.0, 0.1, 1.0], [1.0, 0.2, 1.0]]
    """
    key = ["lock_cycle_id", "item_id", "period"]
    plans = plan_archive[(plan_archive["stream"] == stream) & plan_archive["period"].isin(sales_history["period"])]
    plans = plans.groupby(key, as_index=False)["plan_qty"].sum()
    if plans.empty:
        return pd.DataFrame(columns=_LAG_ERROR)
    ordered = sales_history.groupby(["item_id", "period"], as_index=False)["ordered_qty"].sum()
    rows = plans.merge(ordered, on=["item_id", "period"], how="left", validate="m:1")
    rows["actual_qty"] = rows["ordered_qty"].fillna(0.0)  # the period has happened: nothing of the item was ordered
    locks = rows[["lock_cycle_id", "period"]].drop_duplicates()
    pairs = zip(locks["lock_cycle_id"], locks["period"], strict=True)
    locks["lag"] = [calendar.distance(calendar.cycle_period(lock), period) for lock, period in pairs]
    rows = rows.merge(locks, on=["lock_cycle_id", "period"], validate="m:1").query("lag >= 0")
    rows = rows.assign(gap=(rows["actual_qty"] - rows["plan_qty"]).abs(), squared=np.square(rows["actual_qty"] - rows["plan_qty"]))
    own = rows.groupby(["item_id", "lag"], as_index=False).agg(
        squared=("squared", "mean"), actual=("actual_qty", "mean"), periods=("period", "size")
    )
    own["error_ratio"] = np.sqrt(own["squared"]) / own["actual"].where(own["actual"] > 0)
    pooled = (
        pd.concat([rows, rows.assign(lag=-1)])
        .groupby("lag", as_index=False)
        .agg(gap=("gap", "sum"), actual=("actual_qty", "sum"), periods=("period", "size"))
    )
    pooled["error_ratio"] = _DEVIATION_PER_ABSOLUTE_ERROR * pooled["gap"] / pooled["actual"].where(pooled["actual"] > 0)
    found = pd.concat([own[_LAG_ERROR], pooled.assign(item_id="all")[_LAG_ERROR]], ignore_index=True)
    return found.dropna().sort_values(["item_id", "lag"], ignore_index=True)


def _refuse_certainty(service_target: pd.DataFrame, settings: Settings) -> None:
    """Refuse every promise of certainty, all at once."""
    found = []
    for column in ("service_level_ratio", "fill_ratio"):
        rows = service_target[service_target[column] >= 1]
        if len(rows):
            found.append(
                tables.finding(
                    "service_of_everything",
                    "blocks",
                    "service_target",
                    tables.key_text(rows, ["item_or_class"]),
                    len(rows),
                    ", ".join(f"{value:g}" for value in rows[column].head(5)),
                    f"enter a {column} below 1; no finite stock gives certainty",
                )
            )
    if settings.tolerances.service_level_ratio >= 1:
        found.append(
            tables.finding(
                "service_of_everything",
                "blocks",
                "sop.yaml",
                "tolerances.service_level_ratio",
                1,
                f"{settings.tolerances.service_level_ratio:g}",
                "set it below 1; no finite stock gives certainty",
            )
        )
    if found:
        raise DataError(tables.issue_frame(found))


def _item_errors(
    demand: pd.DataFrame,
    requirement: pd.DataFrame,
    forecast_error: pd.DataFrame,
    lag_error: pd.DataFrame | None,
    bom: pd.DataFrame,
    lags: np.ndarray,
) -> pd.DataFrame:
    """Standard deviation of the error of each item, period and lag: own demand's, and what parents' errors bring down."""
    sold = demand.groupby(["item_id", "period"], as_index=False)["demand_qty"].sum().merge(pd.DataFrame({"lag": lags}), how="cross")
    ratio = _error_ratio(sold, forecast_error, lag_error)
    level = sold.assign(variance=np.square(ratio * sold["demand_qty"]))[["item_id", "period", "lag", "variance"]]
    usage = (
        bom.assign(usage_qty=bom["quantity_per"] / (1.0 - bom["scrap_ratio"]))
        .groupby(["parent_item_id", "component_item_id"], as_index=False)["usage_qty"]
        .max()
    )
    found = [level]
    for _ in range(requirement["item_id"].nunique()):
        level = level.merge(usage, left_on="item_id", right_on="parent_item_id", validate="m:m")
        if level.empty:
            break
        level = level.assign(variance=level["variance"] * np.square(level["usage_qty"]), item_id=level["component_item_id"])
        level = level.groupby(["item_id", "period", "lag"], as_index=False)["variance"].sum()
        found.append(level)
    total = pd.concat(found).groupby(["item_id", "period", "lag"], as_index=False)["variance"].sum()
    return total.assign(error_qty=np.sqrt(total["variance"])).drop(columns="variance")


def _error_ratio(sold: pd.DataFrame, forecast_error: pd.DataFrame, lag_error: pd.DataFrame | None) -> pd.Series:
    """Error of one period over its demand, by item and lag: the back-test at that lag, mixed with the item's locked plans."""
    back_test = _DEVIATION_PER_ABSOLUTE_ERROR * _wape_by_item(forecast_error, sold["item_id"])
    if lag_error is None or lag_error.empty:
        return back_test.fillna(0.0)  # nothing is known about the error, and no safety stock is claimed for it
    pooled = lag_error[lag_error["item_id"] == "all"].set_index("lag")["error_ratio"]
    by_lag = pooled[pooled.index >= 0].sort_index()
    # A lag beyond the longest ever planned is taken as that one.
    known = sold["lag"].clip(upper=by_lag.index.max())
    at_lag = known.map(by_lag.reindex(range(int(by_lag.index.max()) + 1)).ffill().bfill())
    prior = (back_test * at_lag / pooled[-1] if pooled[-1] > 0 else back_test).fillna(at_lag)
    own = lag_error.rename(columns={"error_ratio": "own_ratio"})
    own = sold[["item_id"]].assign(lag=known).merge(own, on=["item_id", "lag"], how="left", validate="m:1")
    count = own["periods"].fillna(0.0).to_numpy(dtype=float)  # no locked plan of it says nothing
    squared = count * np.square(own["own_ratio"].fillna(0.0).to_numpy(dtype=float)) + _BACK_TEST_PERIODS * np.square(
        prior.to_numpy(dtype=float)
    )
    return pd.Series(np.sqrt(squared / (count + _BACK_TEST_PERIODS)), index=sold.index)


def _wape_by_item(forecast_error: pd.DataFrame, items: pd.Series) -> pd.Series:
    """WAPE of the planned mix (else of the best model) for each item; for one without its own, that of all items summed."""
    at_item = forecast_error[forecast_error["level"] == "item_id"]
    at_item = at_item.assign(rank=(at_item["model"] != _PLANNED_MODEL).astype(int)).sort_values(["member", "rank", "wape_ratio"])
    own = at_item.drop_duplicates("member").set_index("member")["wape_ratio"]
    return items.map(own).astype(float).fillna(own.get("all", np.nan))


def _sold_at(demand: pd.DataFrame, inputs: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Demand at the location that serves each market most cheaply, of those the item can reach."""
    sources = pd.concat([inputs["production"][_PLACE], inputs["supplier_item"][_PLACE]])
    held = reachable_places(sources, inputs["lane"]).rename(columns={"location_id": "from_location_id"})
    asked = demand[["item_id", "market_id"]].drop_duplicates().rename(columns={"market_id": "to_id"})
    ways = lanes_for(inputs["lane"], asked).merge(held, on=["item_id", "from_location_id"], validate="m:1")
    ways = ways.sort_values(["item_id", "to_id", "freight_cost_amt", "from_location_id"]).drop_duplicates(["item_id", "to_id"])
    served = ways.rename(columns={"from_location_id": "location_id", "to_id": "market_id"})[[*_PLACE, "market_id"]]
    rows = demand.merge(served, on=["item_id", "market_id"], validate="m:1")
    return rows[[*_PLACE, "period", "demand_qty"]]


def _used_at(requirement: pd.DataFrame, inputs: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Dependent demand at the plants that make the parents, equally split where there are several."""
    parents = inputs["production"][_PLACE].rename(columns={"item_id": "parent_item_id"})
    used = inputs["bill_of_material"][["parent_item_id", "component_item_id"]].merge(parents, on="parent_item_id", validate="m:m")
    used = used.rename(columns={"component_item_id": "item_id"})[_PLACE].drop_duplicates()
    used["plants"] = used.groupby("item_id")["location_id"].transform("size")
    rows = requirement[requirement["dependent_qty"] > 0].merge(used, on="item_id", validate="m:m")
    return rows.assign(demand_qty=rows["dependent_qty"] / rows["plants"])[[*_PLACE, "period", "demand_qty"]]


def _every_period(places: pd.DataFrame) -> pd.DataFrame:
    """A row for every place in every period; a period without a row has no demand."""
    wide = places.groupby([*_PLACE, "period"])["demand_qty"].sum().unstack("period").fillna(0.0)
    return wide.melt(ignore_index=False, value_name="demand_qty").reset_index().sort_values([*_PLACE, "period"], ignore_index=True)


def _replenishment(places: pd.DataFrame, inputs: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Lead time, its spread and the smallest order over the quickest way to replenish each place; one with none waits for nothing."""
    columns = [*_PLACE, "lead_time_days", "lead_time_deviation_days", "smallest_qty"]
    over_lanes = lanes_for(inputs["lane"], places.rename(columns={"location_id": "to_id"})).rename(columns={"to_id": "location_id"})
    sources = [
        inputs["production"].assign(smallest_qty=inputs["production"]["min_lot_qty"]),
        inputs["supplier_item"].assign(smallest_qty=inputs["supplier_item"]["min_order_qty"]),
        over_lanes.assign(lead_time_deviation_days=0.0, smallest_qty=0.0),
    ]
    ways = pd.concat([source[columns] for source in sources if len(source)] or [places.reindex(columns=columns).iloc[:0]])
    quickest = ways.sort_values(columns).drop_duplicates(_PLACE)
    found = places.merge(quickest, on=_PLACE, how="left", validate="1:1")
    return found.fillna({"lead_time_days": 0.0, "lead_time_deviation_days": 0.0, "smallest_qty": 0.0})


def _promised(places: pd.DataFrame, item_class: pd.DataFrame, service_target: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Service promised for the item, else for its ABC class, else (cycle service alone) the tolerance of the settings."""
    promised = service_target.set_index("item_or_class")
    abc = places["item_id"].map(item_class.set_index("item_id")["abc"])
    service, fill = (
        places["item_id"].map(promised[column]).fillna(abc.map(promised[column])).astype(float)
        for column in ("service_level_ratio", "fill_ratio")
    )
    return places.assign(service_level_ratio=service.fillna(settings.tolerances.service_level_ratio), fill_target_ratio=fill)


def _with_stock(places: pd.DataFrame, item: pd.DataFrame, review_buckets: float, days: float) -> pd.DataFrame:
    """The larger of the stocks that the two promises ask for, and both measures of the service it gives."""
    covered, spread = places["lead_time_days"] / days + review_buckets, places["lead_time_deviation_days"] / days
    by_cycle = safety_stock(places["service_level_ratio"], places["error_qty"], covered, places["demand_qty"], spread)
    deviation = np.sqrt(covered * np.square(places["error_qty"]) + np.square(places["demand_qty"] * spread)).to_numpy()
    lot = np.maximum(review_buckets * places["demand_qty"], places["smallest_qty"])
    asked = (places["fill_target_ratio"].notna() & (lot > 0)).to_numpy()
    by_fill = np.zeros(len(places))
    if asked.any():
        by_fill[asked] = safety_stock_for_fill(places["fill_target_ratio"].to_numpy()[asked], deviation[asked], lot.to_numpy()[asked])
    places = places.assign(
        safety_stock_qty=np.maximum(by_cycle, by_fill),
        method=np.where(by_fill > by_cycle + 1e-9, _BY_FILL, _BY_CYCLE),
        deviation_qty=deviation,
        lot_qty=lot,
    )
    places = _with_erp_stock(places, item)
    # Where nothing is demanded nothing can run out.
    lots = places["lot_qty"].where(places["lot_qty"] > 0, 1.0)
    filled = np.where(places["lot_qty"] > 0, fill_rate(places["safety_stock_qty"], deviation, lots), 1.0)
    return places.assign(expected_service_ratio=cycle_service(places["safety_stock_qty"], deviation), expected_fill_ratio=filled)


def _with_erp_stock(places: pd.DataFrame, item: pd.DataFrame) -> pd.DataFrame:
    """Parts whose safety stock the ERP keeps have that, shared among their places by demand."""
    parts = item[item["item_type"] != "finished"].set_index("item_id")["reorder_safety_stock_qty"]
    erp = places["item_id"].map(parts)
    total = places.groupby(["item_id", "period"])["demand_qty"].transform("sum")
    equal = 1.0 / places.groupby(["item_id", "period"])["location_id"].transform("size")
    share = (places["demand_qty"] / total.where(total > 0)).fillna(equal)
    return places.assign(
        safety_stock_qty=places["safety_stock_qty"].where(erp.isna(), erp * share), method=places["method"].where(erp.isna(), _BY_ERP)
    )
