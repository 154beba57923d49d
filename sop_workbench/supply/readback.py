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


def supply_plan(read: Reader) -> pd.DataFrame:
    """What each plant makes and has made, with its money."""
    made = read.instance.made
    frame = read.instance.each_period(made[[*PLACE, "variable_cost_amt", "setup_cost_amt", "subcontract_cost_amt"]])
    frame = frame.rename(columns={"setup_cost_amt": "lot_price", "subcontract_cost_amt": "subcontract_price"})
    for column, variable in (("production_qty", "production_qty"), ("subcontract_qty", "subcontract_qty"), ("lots", "lot_count")):
        frame = read.put(frame, column, read.value(variable, [*PLACE, "t"]))
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
    frame = read.put(frame, "regular_used", read.value("regular_used_hours", WORK))
    frame = read.put(frame, "overtime_used_hours", read.value("overtime_used_hours", WORK))
    frame["used_hours"] = frame["regular_used"] + frame["overtime_used_hours"]
    frame["overtime_cost_amt"] = frame["overtime_cost_amt_per_hour"] * frame["overtime_used_hours"]
    return frame


def _line_hours(read: Reader, lines: pd.DataFrame) -> pd.DataFrame:
    frame = read.put(_worked(read, lines), "hour_price_amt", read.price("capacity_limit", WORK))
    frame["labour_cost_amt"] = frame["regular_cost_amt_per_hour"] * frame["regular_used"]
    return frame.assign(hiring_cost_amt=0.0, worker_count=np.nan, hired_count=np.nan, laid_off_count=np.nan)


def _crew_hours(read: Reader) -> pd.DataFrame:
    frame = _worked(read, read.instance.each_period(read.instance.crew))
    for column in ("worker_count", "hired_count", "laid_off_count"):
        frame = read.put(frame, column, read.value(column, WORK))
    frame = read.put(frame, "hour_price_amt", read.price("crew_hours", WORK))
    frame["regular_hours"] = frame["hours_per_worker"] * frame["worker_count"]
    frame["overtime_hours"] = frame["overtime_hours_per_worker"] * frame["worker_count"]
    frame["labour_cost_amt"] = frame["regular_cost_amt_per_worker"] * frame["worker_count"]
    frame["hiring_cost_amt"] = frame["hire_cost_amt"] * frame["hired_count"] + frame["layoff_cost_amt"] * frame["laid_off_count"]
    return frame


def shipment_plan(read: Reader) -> pd.DataFrame:
    """What leaves on every lane, to locations and to markets."""
    transfer = read.instance.each_period(read.instance.transfer, "lead")
    delivery = read.instance.each_period(read.instance.delivery, "lead").rename(columns={"market_id": "to_id"})
    sent = read.put(transfer, "shipped_qty", read.value("transfer_qty", [*TRANSFER, "t"]))
    served = read.put(delivery, "shipped_qty", read.value("delivery_qty", [*TRANSFER, "t"]))
    frame = pd.concat([part for part in (sent, served) if len(part)], ignore_index=True) if len(sent) or len(served) else served
    frame = frame[frame["shipped_qty"] > 0]
    return read.dated(frame.assign(freight_cost_amt=frame["freight_cost_amt"] * frame["shipped_qty"]), "shipment_plan")


def purchase_plan(read: Reader) -> pd.DataFrame:
    """What to order from whom, when, and when it comes."""
    orders = read.put(read.instance.each_period(read.instance.bought, "lead"), "purchase_qty", read.value("purchase_qty", [*ORDER, "t"]))
    orders = orders[orders["purchase_qty"] > 0]
    orders = orders.assign(receipt_period=read.instance.periods[(orders["t"] + orders["lead"]).to_numpy(dtype=int)],
                           purchase_cost_amt=orders["unit_cost_amt"] * orders["purchase_qty"])
    return read.dated(orders, "purchase_plan")


def unmet_demand(read: Reader) -> pd.DataFrame:
    """Demand of every item, market and period: served, lost or late, with its money."""
    key = [*SALE, "t"]
    frame = read.instance.demand
    for column, variable in (("lost_qty", "lost_qty"), ("backlog_qty", "backlog_qty"), ("floor_shortfall_qty", "floor_shortfall_qty")):
        frame = read.put(frame, column, read.value(variable, key))
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
    place = [*PLACE, "t"]
    instance = read.instance
    frame = instance.each_period(instance.stocked)
    frame = read.put(frame, "closing_qty", read.value("closing_qty", place))
    frame["opening_qty"] = frame.groupby(PLACE)["closing_qty"].shift().fillna(frame["opening_qty"])
    for column, movement in _movements(read).items():
        frame = read.put(frame, column, movement)
    frame["value_amt"] = frame["value_amt"] * frame["closing_qty"]
    frame["holding_cost_amt"] = frame["holding_cost_amt"] * frame["closing_qty"]
    frame = frame.merge(instance.target[[*place, "safety_stock_qty", "target_qty"]], on=place, how="left", validate="1:1")
    return read.dated(frame, "inventory_projection")


def _movements(read: Reader) -> dict[str, pd.Series]:
    """Each column of the stock balance by item, location and period of arrival or departure."""
    place = [*PLACE, "t"]
    instance = read.instance
    made = read.instance.each_period(instance.made, "lead")
    made = read.put(made, "qty", read.value("production_qty", place))
    bought = read.put(instance.each_period(instance.bought, "lead"), "qty", read.value("purchase_qty", [*ORDER, "t"]))
    sent = read.put(instance.each_period(instance.transfer, "lead"), "qty", read.value("transfer_qty", [*TRANSFER, "t"]))
    served = read.put(instance.each_period(instance.delivery, "lead"), "qty", read.value("delivery_qty", [*DELIVERY, "t"]))
    leaving = {"from_location_id": "location_id"}
    return {
        "produced_qty": _summed(made.assign(t=made["t"] + made["lead"], qty=made["qty"] * made["yield_ratio"]), place),
        "subcontracted_qty": read.value("subcontract_qty", place),
        "purchased_qty": _summed(bought.assign(t=bought["t"] + bought["lead"]), place),
        "scheduled_qty": instance.scheduled.set_index(place)["scheduled_qty"],
        "transfer_in_qty": _summed(sent.assign(t=sent["t"] + sent["lead"]).rename(columns={"to_id": "location_id"}), place),
        "transfer_out_qty": _summed(sent.rename(columns=leaving), place),
        "shipped_qty": _summed(served.rename(columns=leaving), place),
        "consumed_qty": read.value("consumed_qty", place),
        "safety_shortfall_qty": read.value("safety_shortfall_qty", place),
        "expired_qty": read.value("expired_qty", place),
        "unit_worth_amt": read.price("stock_balance", place),
    }


def _summed(frame: pd.DataFrame, key: list[str]) -> pd.Series:
    return frame.groupby(key)["qty"].sum()


def _no_noise(quantity: pd.Series) -> pd.Series:
    """Differences of solved quantities carry the solver's tolerance; a quantity below a billionth is none."""
    return quantity.mask(quantity.abs() < 1e-9, 0.0)
