"""What a varied plan comes to, straight from the values of its columns: profit, service, stock, without building its tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sop_workbench.supply.compile import Arrays
from sop_workbench.supply.instance import PLACE, SALE, Instance


@dataclass(frozen=True)
class Measured:
    """A plan in a handful of figures.

    Attributes
    ----------
    profit_amt : float
        Revenue less all costs, penalties left out.
    fill_ratio : float
        Served demand / demand; 1 where there is none.
    lost_revenue_amt : float
        Demand lost, or late at the end, at its price.
    inventory_amt : float
        Stock at its value, mean over the periods.
    """

    profit_amt: float
    fill_ratio: float
    lost_revenue_amt: float
    inventory_amt: float


@dataclass(frozen=True)
class Measures:
    """Weights by column, made once for one model.

    Attributes
    ----------
    unserved : ndarray
        1 for every column of demand lost, or late at the end of the horizon.
    price : ndarray
        Their prices.
    penalty : ndarray
        What the objective takes off beside the money: profit less objective.
    stock : ndarray
        Value of closing stock / number of periods.
    demand_qty : float
        Planned demand of the horizon, late orders included.
    """

    unserved: np.ndarray
    price: np.ndarray
    penalty: np.ndarray
    stock: np.ndarray
    demand_qty: float

    def of(self, value: np.ndarray, objective_amt: float, demand_qty: float | None = None) -> Measured:
        """The figures of one solve; `demand_qty` where its demand is another than the plan's."""
        demanded = self.demand_qty if demand_qty is None else demand_qty
        return Measured(
            profit_amt=objective_amt + float(self.penalty @ value),
            fill_ratio=1 - float(self.unserved @ value) / demanded if demanded > 0 else 1.0,
            lost_revenue_amt=float(self.price @ value),
            inventory_amt=float(self.stock @ value),
        )


def measures(instance: Instance, arrays: Arrays) -> Measures:
    """Weights of the figures of one model."""
    unserved, price, stock = (np.zeros(arrays.columns_count) for _ in range(3))
    prices = instance.demand.set_index([*SALE, "t"])["price_amt"].to_dict()
    last = len(instance.periods) - 1
    for name in ("lost_qty", "backlog_qty"):
        block = arrays.columns[name]
        for key, column in zip(block.keys, block.positions.tolist(), strict=True):
            # An order that is late earlier is served later: only what waits at the end goes without.
            if name == "lost_qty" or key[2] == last:
                unserved[column], price[column] = 1.0, prices[key]
    profit = arrays.terms["profit_amt"]
    penalty = np.bincount(profit.columns, profit.coefficients, minlength=arrays.columns_count) - arrays.cost
    closing = arrays.columns["closing_qty"]
    worth = instance.stocked.set_index(PLACE)["value_amt"].to_dict()
    stock[closing.positions] = [worth[key[:2]] / len(instance.periods) for key in closing.keys]
    demanded = float((instance.demand["demand_qty"] + instance.demand["opening_backlog_qty"]).sum())
    return Measures(unserved, price, penalty, stock, demanded)
