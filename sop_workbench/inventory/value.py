"""What stock is worth and what holding it costs, for plan and finance alike."""

from __future__ import annotations

import pandas as pd

from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings


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
        inputs["production"][["item_id", "location_id", "holding_cost_amt"]], on=["item_id", "location_id"], how="left", validate="1:1"
    )
    rate = settings.finance.holding_cost_ratio_per_year / calendar.buckets_per_year
    return own.assign(value_amt=value.to_numpy(), holding_cost_amt=own["holding_cost_amt"].fillna(rate * value.reset_index(drop=True)))[
        ["item_id", "location_id", "value_amt", "holding_cost_amt"]
    ]
