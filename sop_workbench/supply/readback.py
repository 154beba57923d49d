"""From the solution to the result tables: quantities as solved, money by the definitions of `costs`."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sop_workbench import tables
from sop_workbench.supply.instance import PLACE, SALE, Instance
from sop_workbench.supply.solve import Arrays, Solution

ORDER = ["item_id", "supplier_id", "location_id"]
TRANSFER = ["item_id", "from_location_id", "to_id"]
DELIVERY = ["item_id", "from_location_id", "market_id"]
WORK = ["resource_id", "t"]


class Reader:
    """Reads variables and prices of one solution by their names."""

    def __init__(self, instance: Instance, arrays: Arrays, solution: Solution) -> None:
        self.instance, self.arrays, self.solution = instance, arrays, solution

    def value(self, name: str, key: list[str]) -> pd.Series:
        """Values of a variable by its index."""
        return self.solution.values(self.arrays.columns.get(name), key)

    def price(self, family: str, key: list[str]) -> pd.Series:
        """Prices of a constraint family by its index."""
        return self.solution.prices(self.arrays.rows.get(family), key)

    def values_of(self, name: str, frame: pd.DataFrame, key: list[str]) -> np.ndarray:
        """A variable at every row of a frame; what the model never had is exactly nothing."""
        return _at_positions(self.solution.value, self.arrays.columns[name].position(frame, key))

    def prices_of(self, family: str, frame: pd.DataFrame, key: list[str]) -> np.ndarray:
        """The price of a constraint family at every row of a frame."""
        return _at_positions(self.solution.row_price, self.arrays.rows[family].position(frame, key))

    def decided(self, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What is decided and more than nothing: row of its frame in the instance, period, quantity."""
        block = self.arrays.columns[name]
        quantity = self.solution.value[block.positions]
        entity, period = block.members.rows()
        chosen = quantity > 0
        return entity[chosen], period[chosen], quantity[chosen]

    def put(self, frame: pd.DataFrame, column: str, series: pd.Series) -> pd.DataFrame:
        """A column of a frame from a series by the names of its index; what the model never had is exactly nothing."""
        found = frame.merge(series.rename(column).reset_index(), on=list(series.index.names), how="left", validate="1:1")
        found[column] = found[column].fillna(0.0)
        return found

    def dated(self, frame: pd.DataFrame, name: str) -> pd.DataFrame:
        """The result table: `t` as period, declared columns only, sorted by key."""
        declared = tables.table(name)
        frame = frame.assign(period=self.instance.periods[frame["t"].to_numpy(dtype=int)])
        return tables.validate(name, frame[list(declared.columns)].sort_values(list(declared.key)).reset_index(drop=True))


def _at_positions(numbers: np.ndarray, position: np.ndarray) -> np.ndarray:
    return np.where(position >= 0, numbers[position], 0.0) if len(numbers) else np.zeros(len(position))


def supply_plan(read: Reader) -> pd.DataFrame:
    """What each plant makes and has made, with its money."""
    made = read.instance.made
    frame = read.instance.each_period(made[[*PLACE, "variable_cost_amt", "setup_cost_amt", "subcontract_cost_amt"]])
    frame = frame.rename(columns={"setup_cost_amt": "lot_price", "subcontract_cost_amt": "subcontract_price"})
    for column, variable in (("production_qty", "production_qty"), ("subcontract_qty", "subcontract_qty"), ("lots", "lot_count")):
        frame[column] = read.values_of(variable, frame, [*PLACE, "t"])
    frame["production_cost_amt"] = frame["variable_cost_amt"] * frame["production_qty"]
    frame["setup_cost_amt"] = frame["lot_price"] * frame["lots"]
    # Where no price is given nothing can be subcontracted.
    frame["subcontract_cost_amt"] = frame["subcontract_price"].fillna(0.0) * frame["subcontract_qty"]
    return read.dated(frame, "supply_plan")


def resource_plan(read: Reader) -> pd.DataFrame:
    """Hours, people and the worth of one more hour, for every resource."""
    instance = read.instance
    lines = instance.capacity[[*WORK, "regular_hours", "overtime_hours"]].merge(instance.resource, on="resource_id", validate="m:1")
    plan = pd.concat([frame for frame in (_line_hours(read, lines), _crew_hours(read)) if len(frame)], ignore_index=True) \
        if len(lines) or len(instance.crew) else lines.reindex(columns=[*tables.table("resource_plan").columns, "t"])
    return read.dated(plan, "resource_plan")


def _worked(read: Reader, frame: pd.DataFrame) -> pd.DataFrame:
    frame = frame.assign(regular_used=read.values_of("regular_used_hours", frame, WORK),
                         overtime_used_hours=read.values_of("overtime_used_hours", frame, WORK))
    frame["used_hours"] = frame["regular_used"] + frame["overtime_used_hours"]
    frame["overtime_cost_amt"] = frame["overtime_cost_amt_per_hour"] * frame["overtime_used_hours"]
    return frame


def _line_hours(read: Reader, lines: pd.DataFrame) -> pd.DataFrame:
    frame = _worked(read, lines)
    frame["hour_price_amt"] = read.prices_of("capacity_limit", frame, WORK)
    frame["labour_cost_amt"] = frame["regular_cost_amt_per_hour"] * frame["regular_used"]
    return frame.assign(hiring_cost_amt=0.0, worker_count=np.nan, hired_count=np.nan, laid_off_count=np.nan)


def _crew_hours(read: Reader) -> pd.DataFrame:
    frame = _worked(read, read.instance.each_period(read.instance.crew))
    for column in ("worker_count", "hired_count", "laid_off_count"):
        frame[column] = read.values_of(column, frame, WORK)
    frame["hour_price_amt"] = read.prices_of("crew_hours", frame, WORK)
    frame["regular_hours"] = frame["hours_per_worker"] * frame["worker_count"]
    frame["overtime_hours"] = frame["overtime_hours_per_worker"] * frame["worker_count"]
    frame["labour_cost_amt"] = frame["regular_cost_amt_per_worker"] * frame["worker_count"]
    frame["hiring_cost_amt"] = frame["hire_cost_amt"] * frame["hired_count"] + frame["layoff_cost_amt"] * frame["laid_off_count"]
    return frame


def shipment_plan(read: Reader) -> pd.DataFrame:
    """What leaves on every lane, to locations and to markets."""
    parts = []
    for variable, ways in (("transfer_qty", read.instance.transfer), ("delivery_qty", read.instance.delivery)):
        way, period, quantity = read.decided(variable)
        sent = ways.iloc[way].rename(columns={"market_id": "to_id"})
        parts.append(sent.assign(t=period, shipped_qty=quantity, freight_cost_amt=sent["freight_cost_amt"] * quantity))
    frame = pd.concat([part for part in parts if len(part)] or parts[1:], ignore_index=True)
    return read.dated(frame, "shipment_plan")


def purchase_plan(read: Reader) -> pd.DataFrame:
    """What to order from whom, when, and when it comes."""
    source, period, quantity = read.decided("purchase_qty")
    orders = read.instance.bought.iloc[source]
    orders = orders.assign(t=period, purchase_qty=quantity, purchase_cost_amt=orders["unit_cost_amt"] * quantity,
                           receipt_period=read.instance.periods[(period + orders["lead"]).to_numpy(dtype=int)])
    return read.dated(orders, "purchase_plan")


def unmet_demand(read: Reader) -> pd.DataFrame:
    """Demand of every item, market and period: served, lost or late, with its money."""
    key = [*SALE, "t"]
    frame = read.instance.demand
    frame = frame.assign(**{name: read.values_of(name, frame, key) for name in ("lost_qty", "backlog_qty", "floor_shortfall_qty")})
    # Nothing is late before the horizon but the opening backlog, which is added by itself.
    before = frame.groupby(SALE)["backlog_qty"].shift().fillna(0.0)
    due = frame["demand_qty"] + frame["opening_backlog_qty"]
    frame["served_qty"] = _no_noise(due + before - frame["lost_qty"] - frame["backlog_qty"])
    late_revenue = (frame["price_amt"] * frame["backlog_qty"]).groupby([frame[column] for column in SALE]).shift().fillna(0.0)
    # A late unit brings the price it was ordered at.
    frame["revenue_amt"] = frame["price_amt"] * (due - frame["lost_qty"] - frame["backlog_qty"]) + late_revenue
    frame["lost_revenue_amt"] = frame["price_amt"] * frame["lost_qty"]
    frame["backlog_cost_amt"] = frame["backlog_cost_amt"] * frame["backlog_qty"]
    return read.dated(frame, "unmet_demand")


def inventory_projection(read: Reader) -> pd.DataFrame:
    """Every movement of every item at every place; opening + in − out = closing."""
    instance = read.instance
    place, horizon = [*PLACE, "t"], len(instance.periods)
    frame = instance.each_period(instance.stocked)
    closing = read.values_of("closing_qty", frame, place)
    before = np.column_stack([instance.stocked["opening_qty"], closing.reshape(-1, horizon)[:, :-1]])
    frame = frame.assign(closing_qty=closing, opening_qty=before.ravel(), **_movements(read, frame))
    for column in ("safety_shortfall_qty", "expired_qty", "consumed_qty"):
        frame[column] = read.values_of(column, frame, place)
    frame["unit_worth_amt"] = read.prices_of("stock_balance", frame, place)
    frame["value_amt"] = frame["value_amt"] * frame["closing_qty"]
    frame["holding_cost_amt"] = frame["holding_cost_amt"] * frame["closing_qty"]
    frame = frame.merge(instance.target[[*place, "safety_stock_qty", "target_qty"]], on=place, how="left", validate="1:1")
    return read.dated(frame, "inventory_projection")


def _movements(read: Reader, frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """Each flow of the stock balance, in the rows of the frame: by item, location and period of arrival or departure."""
    instance = read.instance
    made, bought, transfer = instance.made, instance.bought, instance.transfer
    scheduled = np.zeros(len(frame))
    scheduled[read.arrays.columns["closing_qty"].members.position(_codes(read, instance.scheduled, [*PLACE, "t"]))[:, 0]] = \
        instance.scheduled["scheduled_qty"]
    return {
        "produced_qty": _moved(read, "production_qty", made, "location_id", made["lead"], made["yield_ratio"]),
        "subcontracted_qty": read.values_of("subcontract_qty", frame, [*PLACE, "t"]),
        "purchased_qty": _moved(read, "purchase_qty", bought, "location_id", bought["lead"]),
        "scheduled_qty": scheduled,
        "transfer_in_qty": _moved(read, "transfer_qty", transfer, "to_id", transfer["lead"]),
        "transfer_out_qty": _moved(read, "transfer_qty", transfer, "from_location_id"),
        "shipped_qty": _moved(read, "delivery_qty", instance.delivery, "from_location_id"),
    }


def _codes(read: Reader, frame: pd.DataFrame, key: list[str]) -> list[np.ndarray]:
    vocabulary = read.arrays.columns["closing_qty"].members.vocabulary
    return [vocabulary.encode(frame[column], add=False)[:, None] for column in key]


def _moved(read: Reader, variable: str, ways: pd.DataFrame, location: str, lead: pd.Series | None = None,
           ratio: pd.Series | None = None) -> np.ndarray:
    """What moves in or out by item, location and period, in the order of the stock."""
    stock = read.arrays.columns["closing_qty"].members
    way, period, quantity = read.decided(variable)
    place = stock.entity(_codes(read, ways, ["item_id", location]))[:, 0]
    if lead is not None:
        period = period + lead.to_numpy()[way]
    if ratio is not None:
        quantity = quantity * ratio.to_numpy()[way]
    return np.bincount(place[way] * len(read.instance.periods) + period, weights=quantity, minlength=len(stock))


def _no_noise(quantity: pd.Series) -> pd.Series:
    """Differences of solved quantities carry the solver's tolerance; a quantity below a billionth is none."""
    return quantity.mask(quantity.abs() < 1e-9, 0.0)
