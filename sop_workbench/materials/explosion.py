"""Demand taken down the bill of material: gross requirements, before stock and lead times."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sop_workbench.periods import Calendar
from sop_workbench.structure import bom_versions, refuse_loops, requirements, usage


def explode(bom: pd.DataFrame, demand: pd.DataFrame, calendar: Calendar | None = None) -> pd.DataFrame:
    r"""Demand of every item: its own and what its parents take.

    .. math:: g = d + U g = \sum_{n \ge 0} U^n d,\qquad U_{cp} = \text{quantity\_per}_{pc} / (1 - \text{scrap\_ratio}_{pc})

    Parameters
    ----------
    bom : DataFrame
        `bill_of_material`; a line counts in a period when it is valid on the period's first day.
    demand : DataFrame
        item_id, period, demand_qty (further keys such as market are added up).
    calendar : Calendar, optional
        Says on which day a period really begins; without it, on the day it is named by.

    Returns
    -------
    DataFrame
        item_id, period, independent_qty, dependent_qty, demand_qty (their sum), base units; rows without any demand left out.

    Raises
    ------
    DataError
        When the bill of material has a loop; it is named.

    Notes
    -----
    Gross demand at the time the parent needs it: no stock is netted and no lead time taken off (`plan_materials` does both).

    Examples
    --------
    >>> bom = pd.DataFrame({"parent_item_id": ["bike"], "component_item_id": ["wheel"], "quantity_per": [2.0], "scrap_ratio": [0.0]})
    >>> explode(bom, pd.DataFrame({"item_id": ["bike"], "period": pd.to_datetime(["2026-01-01"]), "demand_qty": [10.0]}))
      item_id     period  independent_qty  dependent_qty  demand_qty
    0    bike 2026-01-01             10.0            0.0        10.0
    1   wheel 2026-01-01              0.0           20.0        20.0
    """
    refuse_loops(bom)
    names = [
        demand["item_id"].to_numpy(dtype=object),
        bom["parent_item_id"].to_numpy(dtype=object),
        bom["component_item_id"].to_numpy(dtype=object),
    ]
    code, found = pd.factorize(np.concatenate(names), sort=True)
    items, periods = pd.Index(found), pd.DatetimeIndex(np.sort(demand["period"].unique()))
    own = np.zeros((len(items), len(periods)))  # no row is no demand
    np.add.at(own, (code[: len(demand)], periods.get_indexer(demand["period"])), demand["demand_qty"].to_numpy(dtype=float))
    gross = requirements(usage(bom, items, periods, calendar), own)
    rows, columns = np.nonzero(gross)
    total, independent = gross[rows, columns], own[rows, columns]
    return pd.DataFrame(
        {
            "item_id": items.to_numpy()[rows],
            "period": periods.to_numpy()[columns],
            "independent_qty": independent,
            "dependent_qty": total - independent,
            "demand_qty": total,
        }
    )


def component_demand(supply_plan: pd.DataFrame, bom: pd.DataFrame, calendar: Calendar) -> pd.DataFrame:
    """What planned production takes of its components, one level down, where and when it starts.

    demand[c, p, t] = Σ_i production[i, p, t] · quantity_per[i, c] / (1 − scrap_ratio[i, c])

    Parameters
    ----------
    supply_plan : DataFrame
        item_id, location_id, period, production_qty (units started).
    bom : DataFrame
        `bill_of_material`; a line counts when it is valid on the first day of the period.
    calendar : Calendar
        Says on which day a period begins.

    Returns
    -------
    DataFrame
        item_id, location_id, period, demand_qty: the demand that drives `plan_materials`.
    """
    started = supply_plan[supply_plan["production_qty"] > 0]
    periods = pd.DatetimeIndex(np.sort(started["period"].unique()))
    parts = []
    for lines, columns in bom_versions(bom, periods, calendar):
        made = started[started["period"].isin(periods[columns])].merge(lines, left_on="item_id", right_on="parent_item_id", validate="m:m")
        parts.append(made.assign(demand_qty=made["production_qty"] * made["quantity_per"] / (1.0 - made["scrap_ratio"])))
    if not parts:
        return pd.DataFrame({"item_id": [], "location_id": [], "period": pd.to_datetime([]), "demand_qty": []})
    taken = pd.concat(parts, ignore_index=True).drop(columns="item_id").rename(columns={"component_item_id": "item_id"})
    return taken.groupby(["item_id", "location_id", "period"], as_index=False)["demand_qty"].sum()
