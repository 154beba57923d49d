"""Inventory: what theory says about lots and safety stock, the targets of a plan, projected stock and cover."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri  # scipy.stats has the same under kinder names, for a second of start-up

from sop_workbench import tables
from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings

_PLACE = ["item_id", "location_id"]
_DAYS_PER_YEAR = 365.25
# A normal error of standard deviation σ has mean absolute size σ·√(2/π).
_DEVIATION_PER_ABSOLUTE_ERROR = float(np.sqrt(np.pi / 2))
# The mix of models that the statistical forecast uses, as `forecast_error` names it.
_PLANNED_MODEL = "ensemble"


# ------------------------------------------------------------------ theory
def eoq(order_cost: float, holding_cost: float, demand: float) -> tuple[float, float]:
    r"""Economic order quantity and its cost per period.

    .. math:: Q = \sqrt{2 K \lambda / h}, \qquad g = \sqrt{2 K \lambda h}

    Parameters
    ----------
    order_cost, holding_cost, demand : float
        K, money per order; h, money per unit and period; λ, units per period.

    References
    ----------
    Snyder and Shen, Fundamentals of Supply Chain Theory, (3.4), (3.5).

    Examples
    --------
    >>> [round(x, 4) for x in eoq(order_cost=8, holding_cost=0.225, demand=1300)]
    [304.0468, 68.4105]
    """
    _need_positive(order_cost=order_cost, holding_cost=holding_cost, demand=demand)
    return float(np.sqrt(2 * order_cost * demand / holding_cost)), float(np.sqrt(2 * order_cost * demand * holding_cost))


def newsvendor(holding_cost: float, shortage_cost: float, mean: float, deviation: float) -> float:
    r"""Stock for one season with normal demand: the critical ratio's quantile.

    .. math:: S = \mu + \sigma \, \Phi^{-1}\!\left(\frac{b}{b + h}\right)

    References
    ----------
    Snyder and Shen, Fundamentals of Supply Chain Theory, section 4.3.

    Examples
    --------
    >>> round(newsvendor(holding_cost=0.18, shortage_cost=0.70, mean=50, deviation=8), 8)
    56.60395593
    """
    _need_positive(holding_cost=holding_cost, shortage_cost=shortage_cost)
    return float(mean + deviation * ndtri(shortage_cost / (shortage_cost + holding_cost)))


def wagner_whitin(demand: np.ndarray, order_cost: float, holding_cost: float) -> np.ndarray:
    r"""Lots of least cost for known demand, by dynamic programming.

    .. math:: f(s) = \min_{e > s} K + h \sum_{i=s}^{e-1} (i - s) d_i + f(e)

    Parameters
    ----------
    demand : ndarray
        Units by period.
    order_cost, holding_cost : float
        Money per lot; money per unit held for one period.

    Returns
    -------
    ndarray
        Lots by period.

    References
    ----------
    Wagner and Whitin (1958), Management Science 5; Snyder and Shen, example 3.9.

    Examples
    --------
    >>> wagner_whitin(np.array([90, 120, 80, 70]), order_cost=500, holding_cost=2)
    array([210.,   0., 150.,   0.])
    """
    demand = np.asarray(demand, dtype=float)
    horizon = len(demand)
    best, until = np.zeros(horizon + 1), np.zeros(horizon, dtype=int)
    for start in range(horizon - 1, -1, -1):
        held = holding_cost * np.cumsum(np.arange(horizon - start) * demand[start:])
        # A lot that brings nothing is not ordered.
        total = np.where(np.cumsum(demand[start:]) > 0, order_cost, 0.0) + held + best[start + 1:]
        until[start] = start + 1 + int(np.argmin(total))
        best[start] = total[until[start] - start - 1]
    lots, start = np.zeros(horizon), 0
    while start < horizon:
        lots[start] = demand[start:until[start]].sum()
        start = until[start]
    return lots


def lot_cost(lots: np.ndarray, demand: np.ndarray, order_cost: float, holding_cost: float) -> float:
    """Cost of lots against known demand: orders placed and stock held at the end of each period.

    Examples
    --------
    >>> lot_cost(np.array([210, 0, 150, 0]), np.array([90, 120, 80, 70]), order_cost=500, holding_cost=2)
    1380.0
    """
    stock = np.cumsum(np.asarray(lots, dtype=float) - np.asarray(demand, dtype=float))
    if (stock < -1e-9).any():
        raise ValueError(f"the lots leave demand unserved from period {int(np.argmax(stock < -1e-9)) + 1} on")
    return float(order_cost * np.count_nonzero(lots) + holding_cost * stock.sum())


def normal_loss(factor: float | np.ndarray) -> float | np.ndarray:
    r"""Expected shortage in standard deviations at a safety factor: the standard normal loss function.

    .. math:: \mathcal{L}(z) = \varphi(z) - z\,(1 - \Phi(z))

    Examples
    --------
    >>> round(float(normal_loss(0.0)), 6), round(float(normal_loss(1.0)), 6)
    (0.398942, 0.083315)
    """
    density = np.exp(-np.square(factor) / 2) / np.sqrt(2 * np.pi)
    return density - factor * ndtr(-np.asarray(factor))


def fill_rate(safety_stock_qty: float, deviation_qty: float, lot_qty: float) -> float:
    r"""Share of demand served from stock, by the loss function. It is not the cycle service level.

    .. math:: \beta = 1 - \sigma_L \left[ \mathcal{L}(k) - \mathcal{L}(k + Q / \sigma_L) \right] / Q, \qquad k = SS / \sigma_L

    Parameters
    ----------
    safety_stock_qty, deviation_qty, lot_qty : float
        Safety stock, standard deviation of demand over the lead time, order quantity, in base units.

    Examples
    --------
    >>> round(fill_rate(safety_stock_qty=500, deviation_qty=707, lot_qty=10_000), 4)
    0.99
    """
    _need_positive(lot_qty=lot_qty)
    if deviation_qty == 0:
        return 1.0
    factor = safety_stock_qty / deviation_qty
    short = deviation_qty * (normal_loss(factor) - normal_loss(factor + lot_qty / deviation_qty))
    return float(1.0 - short / lot_qty)


def safety_stock(service_level: float | np.ndarray, error_qty: float | np.ndarray, periods_covered: float | np.ndarray,
                 demand_qty: float | np.ndarray = 0.0, lead_time_deviation: float | np.ndarray = 0.0) -> float | np.ndarray:
    r"""Stock that covers forecast error and late deliveries for a cycle service level.

    .. math:: SS = z \sqrt{L \sigma^2 + \mu^2 \sigma_L^2}, \qquad z = \Phi^{-1}(\text{service level})

    Parameters
    ----------
    service_level : float or ndarray
        Share of cycles without a stock-out.
    error_qty : float or ndarray
        σ, standard deviation of the forecast error of one period (not the spread of demand), base units.
    periods_covered : float or ndarray
        L, lead time plus review period, in periods.
    demand_qty, lead_time_deviation : float or ndarray
        μ, demand per period; σ_L, standard deviation of the lead time in periods.

    Examples
    --------
    >>> round(float(safety_stock(0.90, 500, 2)), 0)  # Chopra and Meindl, example 12-4
    906.0
    >>> round(float(safety_stock(0.90, 500, 7, demand_qty=2500, lead_time_deviation=7)), 0)  # example 12-6
    22491.0
    """
    variance = periods_covered * np.square(error_qty) + np.square(demand_qty) * np.square(lead_time_deviation)
    return ndtri(service_level) * np.sqrt(variance)


# ------------------------------------------------------------------ projection
def projected_cover(opening: pd.DataFrame, demand: pd.DataFrame, supply: pd.DataFrame) -> pd.DataFrame:
    """Projected stock of each item and for how many future periods it lasts.

    stock[t] = stock[t−1] + supply[t] − demand[t];  cover[t] = number of following periods whose demand stock[t] serves, the last in part

    Parameters
    ----------
    opening : DataFrame
        item_id, opening_qty.
    demand, supply : DataFrame
        item_id, period, demand_qty; item_id, period, supply_qty. Periods of `demand` are projected.

    Returns
    -------
    DataFrame
        item_id, period, demand_qty, supply_qty, stock_qty (negative: short), cover_periods (0 when short; empty when the stock
        outlasts the known demand).

    Examples
    --------
    >>> months = pd.date_range("2026-01-01", periods=3, freq="MS")
    >>> demand = pd.DataFrame({"item_id": "A", "period": months, "demand_qty": [20.0, 20.0, 40.0]})
    >>> supply = pd.DataFrame({"item_id": ["A"], "period": months[2:], "supply_qty": [15.0]})
    >>> cover = projected_cover(pd.DataFrame({"item_id": ["A"], "opening_qty": [50.0]}), demand, supply)
    >>> cover[["stock_qty", "cover_periods"]].to_numpy().tolist()
    [[30.0, 1.25], [10.0, 0.25], [-15.0, 0.0]]
    """
    needed = demand.groupby(["item_id", "period"])["demand_qty"].sum().unstack("period").fillna(0.0)  # no row is no demand
    coming = supply.groupby(["item_id", "period"])["supply_qty"].sum().unstack("period")
    coming = coming.reindex(index=needed.index, columns=needed.columns).fillna(0.0)  # nor supply
    start = opening.groupby("item_id")["opening_qty"].sum().reindex(needed.index).fillna(0.0)
    stock = start.to_numpy(dtype=float)[:, None] + np.cumsum(coming.to_numpy(dtype=float) - needed.to_numpy(dtype=float), axis=1)
    cover = np.array([cover_periods(one_stock, one_demand) for one_stock, one_demand in zip(stock, needed.to_numpy(), strict=True)])
    keys = pd.MultiIndex.from_product([needed.index, needed.columns], names=["item_id", "period"]).to_frame(index=False)
    return keys.assign(demand_qty=needed.to_numpy().ravel(), supply_qty=coming.to_numpy().ravel(), stock_qty=stock.ravel(),
                       cover_periods=cover.ravel())


def cover_periods(stock: np.ndarray, demand: np.ndarray) -> np.ndarray:
    """For how many of the following periods the stock at the end of each period lasts.

    Examples
    --------
    >>> cover_periods(np.array([150.0, 50.0]), np.array([80.0, 100.0])).tolist()
    [nan, nan]
    >>> cover_periods(np.array([50.0, -50.0]), np.array([80.0, 100.0])).tolist()
    [0.5, 0.0]
    """
    stock, demand = np.asarray(stock, dtype=float), np.asarray(demand, dtype=float)
    cover = np.full(len(stock), np.nan)
    total = np.concatenate([[0.0], np.cumsum(demand)])
    for n, quantity in enumerate(stock):
        used = total[n + 1:] - total[n + 1]
        if quantity <= 0:
            cover[n] = 0.0
        elif quantity < used[-1]:
            whole = int(np.searchsorted(used, quantity, side="right")) - 1
            cover[n] = whole + (quantity - used[whole]) / (used[whole + 1] - used[whole])
    return cover


# ------------------------------------------------------------------ targets
def inventory_targets(demand: pd.DataFrame, requirement: pd.DataFrame, forecast_error: pd.DataFrame, item_class: pd.DataFrame,
                      inputs: dict[str, pd.DataFrame], settings: Settings, calendar: Calendar) -> pd.DataFrame:
    """Safety stock and target of every item where it serves markets, and of every component where it is used.

    safety_stock = z · √((L + 1) · σ² + μ² · σ_L²), one period of review added to the lead time L; target = safety stock + ½ μ

    Sold items stand at the location with the cheapest lane to each market; what that location serves is pooled.
    σ is √(π/2) · WAPE · demand: the item's own WAPE in the back-test (else that of all items), market errors taken as
    independent, so that a location with a share of the demand has the root of that share of the error. Errors of parents
    go down to components through the bill of material, squared. Components stand where their parents are made
    (equally split where several plants make them); one with a safety stock in the ERP keeps that.

    Parameters
    ----------
    demand : DataFrame
        `consensus_demand`.
    requirement : DataFrame
        Result of `materials.explode(bill_of_material, demand)`: dependent demand.
    forecast_error, item_class : DataFrame
        Result tables; either may be empty.
    inputs : dict of str to DataFrame
        `item`, `lane`, `production`, `supplier_item`, `bill_of_material`, `service_target`.
    settings : Settings
        `tolerances.service_level_ratio` holds where no target is given for the item or its ABC class.
    calendar : Calendar
        The planning calendar.

    Returns
    -------
    DataFrame
        The `inventory_target` table.
    """
    error = _item_errors(demand, requirement, forecast_error, inputs["bill_of_material"])
    places = _every_period(pd.concat([_sold_at(demand, inputs), _used_at(requirement, inputs)]))
    places = places.merge(error, on=["item_id", "period"], how="left", validate="m:1")
    share = places["demand_qty"] / places.groupby(["item_id", "period"])["demand_qty"].transform("sum")
    # No demand in a period means no error in it.
    places["error_qty"] = (places["error_qty"] * np.sqrt(share)).fillna(0.0)
    places = places.merge(_replenishment(places[_PLACE].drop_duplicates(), inputs), on=_PLACE, how="left", validate="m:1")
    places["service_level_ratio"] = _service_level(places["item_id"], item_class, inputs["service_target"], settings)
    days = _DAYS_PER_YEAR / calendar.buckets_per_year
    places["safety_stock_qty"] = safety_stock(places["service_level_ratio"], places["error_qty"], places["lead_time_days"] / days + 1,
                                              places["demand_qty"], places["lead_time_deviation_days"] / days)
    places["method"] = "z √((L + review) σ² + μ² σ_L²)"
    places = _with_erp_stock(places, inputs["item"])
    places["target_qty"] = places["safety_stock_qty"] + places["demand_qty"] / 2
    declared = tables.table("inventory_target")
    return tables.validate("inventory_target", places[list(declared.columns)].sort_values(list(declared.key)).reset_index(drop=True))


def lanes_for(lane: pd.DataFrame, wanted: pd.DataFrame) -> pd.DataFrame:
    """Every lane over which a wanted item can reach a wanted destination.

    Parameters
    ----------
    lane : DataFrame
        The `lane` table; an empty item_id means every item, and a lane of the item's own goes before it.
    wanted : DataFrame
        item_id, to_id; one row each.

    Returns
    -------
    DataFrame
        `lane` by item, with `lane_item_id` (the item_id of the lane's row).
    """
    own = lane.merge(wanted, on=["item_id", "to_id"], validate="m:1")
    shared = lane.loc[lane["item_id"] == ""].drop(columns="item_id").merge(wanted, on="to_id", validate="m:m")
    parts = [part for part in (own.assign(lane_item_id=own["item_id"]), shared.assign(lane_item_id="")) if len(part)]
    arcs = pd.concat(parts, ignore_index=True) if parts else own.assign(lane_item_id=own["item_id"])
    return arcs.drop_duplicates(["item_id", "from_location_id", "to_id"], keep="first")


def reachable_places(sources: pd.DataFrame, lane: pd.DataFrame) -> pd.DataFrame:
    """Every pair of item and place (location or market) to which something can come from the sources.

    Parameters
    ----------
    sources : DataFrame
        item_id, location_id.
    lane : DataFrame
        The `lane` table.

    Returns
    -------
    DataFrame
        item_id, location_id, the sources included, sorted.
    """
    reached = sources[_PLACE].drop_duplicates()
    shared = lane.loc[lane["item_id"] == "", ["from_location_id", "to_id"]]
    own = lane.loc[lane["item_id"] != "", ["item_id", "from_location_id", "to_id"]]
    while True:
        at = reached.rename(columns={"location_id": "from_location_id"})
        sent = pd.concat([own.merge(at, on=["item_id", "from_location_id"], validate="m:1"),
                          shared.merge(at, on="from_location_id", validate="m:m")])
        grown = pd.concat([reached, sent[["item_id", "to_id"]].rename(columns={"to_id": "location_id"})]).drop_duplicates()
        if len(grown) == len(reached):
            return reached.sort_values(_PLACE).reset_index(drop=True)
        reached = grown


def _item_errors(demand: pd.DataFrame, requirement: pd.DataFrame, forecast_error: pd.DataFrame, bom: pd.DataFrame) -> pd.DataFrame:
    """Standard deviation of the error of each item and period: own demand's, and what parents' errors bring down."""
    sold = demand.groupby(["item_id", "period"], as_index=False)["demand_qty"].sum()
    wape = _wape_by_item(forecast_error, sold["item_id"])
    level = sold.assign(variance=np.square(_DEVIATION_PER_ABSOLUTE_ERROR * wape * sold["demand_qty"]))[["item_id", "period", "variance"]]
    usage = bom.assign(usage_qty=bom["quantity_per"] / (1.0 - bom["scrap_ratio"])).groupby(
        ["parent_item_id", "component_item_id"], as_index=False)["usage_qty"].max()
    found = [level]
    for _ in range(requirement["item_id"].nunique()):
        level = level.merge(usage, left_on="item_id", right_on="parent_item_id", validate="m:m")
        if level.empty:
            break
        level = level.assign(variance=level["variance"] * np.square(level["usage_qty"]), item_id=level["component_item_id"])
        level = level.groupby(["item_id", "period"], as_index=False)["variance"].sum()
        found.append(level)
    total = pd.concat(found).groupby(["item_id", "period"], as_index=False)["variance"].sum()
    return total.assign(error_qty=np.sqrt(total["variance"])).drop(columns="variance")


def _wape_by_item(forecast_error: pd.DataFrame, items: pd.Series) -> pd.Series:
    """WAPE of the planned mix (else of the best model) for each item; for one without its own, that of all items summed."""
    at_item = forecast_error[forecast_error["level"] == "item_id"]
    at_item = at_item.assign(rank=(at_item["model"] != _PLANNED_MODEL).astype(int)).sort_values(["member", "rank", "wape_ratio"])
    own = at_item.drop_duplicates("member").set_index("member")["wape_ratio"]
    # Without any back-test nothing is known about the error, and no safety stock is claimed for it.
    return items.map(own).fillna(own.get("all", 0.0)).fillna(0.0)


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
    """Lead time and its spread over the quickest way to replenish each place; a place with none waits for nothing."""
    columns = [*_PLACE, "lead_time_days", "lead_time_deviation_days"]
    over_lanes = lanes_for(inputs["lane"], places.rename(columns={"location_id": "to_id"})).rename(columns={"to_id": "location_id"})
    sources = [inputs["production"], inputs["supplier_item"], over_lanes.assign(lead_time_deviation_days=0.0)]
    ways = pd.concat([source[columns] for source in sources if len(source)] or [places.reindex(columns=columns).iloc[:0]])
    quickest = ways.sort_values(columns).drop_duplicates(_PLACE)
    found = places.merge(quickest, on=_PLACE, how="left", validate="1:1")
    return found.fillna({"lead_time_days": 0.0, "lead_time_deviation_days": 0.0})


def _service_level(items: pd.Series, item_class: pd.DataFrame, service_target: pd.DataFrame, settings: Settings) -> pd.Series:
    """Service promised for the item, else for its ABC class, else the tolerance of the settings."""
    promised = service_target.set_index("item_or_class")["service_level_ratio"]
    abc = items.map(item_class.set_index("item_id")["abc"])
    return items.map(promised).fillna(abc.map(promised)).fillna(settings.tolerances.service_level_ratio)


def _with_erp_stock(places: pd.DataFrame, item: pd.DataFrame) -> pd.DataFrame:
    """Parts whose safety stock the ERP keeps have that, shared among their places by demand."""
    parts = item[item["item_type"] != "finished"].set_index("item_id")["reorder_safety_stock_qty"]
    erp = places["item_id"].map(parts)
    total = places.groupby(["item_id", "period"])["demand_qty"].transform("sum")
    equal = 1.0 / places.groupby(["item_id", "period"])["location_id"].transform("size")
    share = (places["demand_qty"] / total.where(total > 0)).fillna(equal)
    return places.assign(safety_stock_qty=places["safety_stock_qty"].where(erp.isna(), erp * share),
                         method=places["method"].where(erp.isna(), "safety stock of the ERP"))


def _need_positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if not number > 0:
            raise ValueError(f"{name} must be above 0, got {number}")


# ------------------------------------------------------------------ what stock is worth and costs, for plan and finance alike
def unit_value(item: pd.DataFrame, supplier_item: pd.DataFrame) -> pd.Series:
    """Worth of one unit of every item: its standard cost, else its cheapest purchase price, else empty.

    Parameters
    ----------
    item, supplier_item : DataFrame
        Input tables.

    Returns
    -------
    Series
        Reporting currency per base unit, by item_id.

    Examples
    --------
    >>> import pandas as pd
    >>> item = pd.DataFrame({"item_id": ["A", "B"], "standard_cost_amt": [4.0, None]})
    >>> unit_value(item, pd.DataFrame({"item_id": ["B", "B"], "unit_cost_amt": [2.5, 2.0]})).to_dict()
    {'A': 4.0, 'B': 2.0}
    """
    cheapest = supplier_item.groupby("item_id")["unit_cost_amt"].min()
    standard = item.set_index("item_id")["standard_cost_amt"]
    return standard.fillna(cheapest.reindex(standard.index)).rename("value_amt")


def holding_cost(places: pd.DataFrame, inputs: dict[str, pd.DataFrame], settings: Settings, calendar: Calendar) -> pd.DataFrame:
    """Cost of holding one unit at a place for one period.

    The plant's own holding_cost_amt where given, else unit value × finance.holding_cost_ratio_per_year / periods per year.

    Parameters
    ----------
    places : DataFrame
        Columns item_id, location_id; one row each.
    inputs : dict of DataFrame
        item, supplier_item, production.
    settings, calendar
        The yearly rate and the number of periods in a year.

    Returns
    -------
    DataFrame
        item_id, location_id, value_amt, holding_cost_amt, in the order of `places`. An item that has neither standard cost nor
        purchase price carries no money (the data checks name it), so both are zero.
    """
    value = places["item_id"].map(unit_value(inputs["item"], inputs["supplier_item"])).astype(float).fillna(0.0)
    own = places[["item_id", "location_id"]].merge(
        inputs["production"][["item_id", "location_id", "holding_cost_amt"]], on=["item_id", "location_id"], how="left", validate="1:1")
    rate = settings.finance.holding_cost_ratio_per_year / calendar.buckets_per_year
    return own.assign(value_amt=value.to_numpy(), holding_cost_amt=own["holding_cost_amt"].fillna(rate * value.reset_index(drop=True)))[
        ["item_id", "location_id", "value_amt", "holding_cost_amt"]]
