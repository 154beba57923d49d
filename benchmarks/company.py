"""An invented company of any size as standard input tables, for measuring: the same seed gives the same company.

`company(*SIZES["M"])` has 200 products in 4 plants, 8 markets and 18 months, with three lines a plant, bills of material of
three to six materials, two suppliers for each and limits on everything: every kind of number a planner moves is there and binds
somewhere.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from sop_workbench import tables
from sop_workbench.settings import Settings

SIZES = {  # products, plants, markets, months
    "XS": (6, 2, 3, 6),
    "S": (20, 2, 4, 12),
    "M": (200, 4, 8, 18),
    "L": (1000, 6, 12, 24),
}
SETTINGS = Settings(company="Measured", supply={"time_limit_seconds": 3600})
FIRST = "2027-01-01"
LINES = 3


def company(
    products: int, plants: int, markets: int, months: int, seed: int = 7
) -> tuple[dict[str, pd.DataFrame], pd.DataFrame, pd.DataFrame, pd.DatetimeIndex]:
    """One company.

    Returns
    -------
    (dict of DataFrame, DataFrame, DataFrame, DatetimeIndex)
        Every input table (those it does not need are empty), consensus_demand, inventory_target, the periods.
    """
    draw = np.random.default_rng(seed)
    periods = pd.date_range(FIRST, periods=months, freq="MS")
    items = np.array([f"F{n:05d}" for n in range(products)], dtype=object)
    places = np.array([f"P{n}" for n in range(1, plants + 1)], dtype=object)
    customers = np.array([f"K{n:02d}" for n in range(1, markets + 1)], dtype=object)
    materials = np.array([f"M{n:04d}" for n in range(max(4, products // 4))], dtype=object)
    price = draw.uniform(40, 160, products).round(2)

    made = _eligible(draw, products, plants, 0.6)
    sold = _eligible(draw, products, markets, 0.7)
    demand = _demand(draw, items, customers, sold, price, periods)
    monthly = demand.groupby("item_id")["demand_qty"].sum().reindex(items).to_numpy() / months
    share = (monthly / made.sum(axis=1))[:, None] * made  # what each plant would make of each product
    routing, hours = _routing(draw, items, places, made, share)
    bom = _bom(draw, items, materials)
    usage = bom.merge(pd.DataFrame(share, columns=places).assign(parent_item_id=items), on="parent_item_id", validate="m:1")
    usage = usage[list(places)].mul(usage["quantity_per"], axis=0).groupby(usage["component_item_id"]).sum().reindex(materials).fillna(0.0)
    need = usage.stack().rename_axis(["item_id", "location_id"]).rename("need_qty").reset_index().query("need_qty > 0")

    made_at = _pairs(made, items, places, ["item_id", "location_id"])
    made_price, made_share = price[np.nonzero(made)[0]], share[made]
    unit_cost = (made_price * draw.uniform(0.10, 0.20, len(made_at))).round(3)
    given = {
        "item": pd.concat(
            [
                pd.DataFrame(
                    {
                        "item_id": items,
                        "item_name": items,
                        "item_type": "finished",
                        "family": [f"Family {n % 12}" for n in range(products)],
                        "standard_cost_amt": (0.45 * price).round(2),
                        "storage_qty": draw.uniform(0.5, 2, products).round(3),
                    }
                ),
                pd.DataFrame({"item_id": materials, "item_name": materials, "item_type": "material", "standard_cost_amt": 4.0}),
            ]
        ),
        "market": pd.DataFrame(
            {
                "market_id": customers,
                "market_name": customers,
                "region": np.resize(["North", "South", "East"], markets),
                "channel": "Retail",
                "priority": draw.integers(1, 4, markets),
                "min_fill_ratio": np.where(np.arange(markets) % 4 == 0, 0.6, 0.0),
            }
        ),
        "location": pd.DataFrame(
            {
                "location_id": places,
                "location_name": places,
                "location_type": "plant",
                "storage_limit_qty": (share.sum(axis=0) * 2.5).round(),
            }
        ),
        "resource": pd.DataFrame(
            {
                "resource_id": hours.index,
                "location_id": [name[:2] for name in hours.index],
                "regular_cost_amt_per_hour": 30.0,
                "overtime_cost_amt_per_hour": 60.0,
            }
        ),
        "capacity": _capacity(draw, hours, periods),
        "production": made_at.assign(
            variable_cost_amt=unit_cost,
            subcontract_cost_amt=(made_price * draw.uniform(0.6, 0.75, len(made_at))).round(3),
            subcontract_limit_qty=(0.2 * made_share).round(1),
            lead_time_days=0,
            backlog_cost_amt=1.0,
        ),
        "routing": routing,
        "bill_of_material": bom,
        "supplier_item": _suppliers(draw, need),
        "lane": _lanes(draw, places, customers),
        "price": _pairs(sold, items, customers, ["item_id", "market_id"]).assign(valid_from="2026-01-01", price_amt=_prices(demand)),
        "stock_on_hand": pd.concat(
            [
                made_at.assign(on_hand_qty=(0.5 * made_share).round(1)),
                need[["item_id", "location_id"]].assign(on_hand_qty=(1.5 * need["need_qty"]).round(1)),
            ]
        ).assign(as_of_date="2026-12-31"),
    }
    inputs = {name: tables.validate(name, given[name]) if name in given else tables.table(name).empty() for name in tables.names("input")}
    return inputs, tables.validate("consensus_demand", demand), _targets(made_at, 0.35 * made_share, periods), periods


def _eligible(draw: np.random.Generator, rows: int, columns: int, chance: float) -> np.ndarray:
    """Yes or no for every pair; at least one yes in each row."""
    chosen = draw.random((rows, columns)) < chance
    chosen[np.arange(rows), draw.integers(0, columns, rows)] = True
    return chosen


def _pairs(chosen: np.ndarray, rows: np.ndarray, columns: np.ndarray, names: list[str]) -> pd.DataFrame:
    row, column = np.nonzero(chosen)
    return pd.DataFrame({names[0]: rows[row], names[1]: columns[column]})


def _demand(
    draw: np.random.Generator, items: np.ndarray, customers: np.ndarray, sold: np.ndarray, price: np.ndarray, periods: pd.DatetimeIndex
) -> pd.DataFrame:
    """A season for each market and noise around a level for each product in it."""
    months = len(periods)
    pairs = _pairs(sold, items, customers, ["item_id", "market_id"])
    row, column = np.nonzero(sold)
    level = draw.lognormal(5, 0.8, len(pairs))
    season = 1 + 0.3 * np.sin(2 * np.pi * (np.arange(months) + draw.integers(0, 12, len(customers))[column][:, None]) / 12)
    quantity = (level[:, None] * season * draw.uniform(0.85, 1.15, (len(pairs), months))).round(1)
    asked = (price[row] * draw.uniform(0.9, 1.1, len(pairs))).round(2)
    frame = pairs.loc[pairs.index.repeat(months)].reset_index(drop=True)
    frame = frame.assign(period=np.tile(periods, len(pairs)), demand_qty=quantity.ravel(), price_amt=np.repeat(asked, months))
    return frame.assign(
        low_qty=0.8 * frame["demand_qty"], high_qty=1.2 * frame["demand_qty"], revenue_amt=frame["demand_qty"] * frame["price_amt"]
    )


def _prices(demand: pd.DataFrame) -> np.ndarray:
    return demand.drop_duplicates(["item_id", "market_id"])["price_amt"].to_numpy()


def _routing(
    draw: np.random.Generator, items: np.ndarray, places: np.ndarray, made: np.ndarray, share: np.ndarray
) -> tuple[pd.DataFrame, pd.Series]:
    """Each product takes hours on one or two of a plant's lines; the hours all of them ask of each line."""
    per_unit = np.zeros((len(items), LINES))
    for low, high in ((0.05, 0.15), (0.02, 0.10)):
        per_unit[np.arange(len(items)), draw.integers(0, LINES, len(items))] += draw.uniform(low, high, len(items))
    item, place, line = np.nonzero(made[:, :, None] & (per_unit > 0)[:, None, :])
    names = np.array([[f"{place}-L{n + 1}" for n in range(LINES)] for place in places], dtype=object)
    routing = pd.DataFrame(
        {
            "item_id": items[item],
            "location_id": places[place],
            "resource_id": names[place, line],
            "hours_per_unit": per_unit[item, line].round(4),
        }
    )
    load = pd.Series(share[item, place] * per_unit[item, line]).groupby(routing["resource_id"]).sum()
    return routing, load.reindex(names.ravel()).fillna(1.0)


def _capacity(draw: np.random.Generator, hours: pd.Series, periods: pd.DatetimeIndex) -> pd.DataFrame:
    """About the hours of mean demand: short in season, free outside it."""
    given = hours.to_numpy()[:, None] * draw.uniform(0.88, 1.08, (len(hours), len(periods)))
    return pd.DataFrame(
        {
            "resource_id": np.repeat(hours.index, len(periods)),
            "period": np.tile(periods, len(hours)),
            "regular_hours": given.ravel().round(2),
            "overtime_hours": (0.15 * given).ravel().round(2),
        }
    )


def _bom(draw: np.random.Generator, items: np.ndarray, materials: np.ndarray) -> pd.DataFrame:
    count = draw.integers(3, 7, len(items))
    chosen = [draw.choice(len(materials), min(n, len(materials)), replace=False) for n in count]
    return pd.DataFrame(
        {
            "parent_item_id": np.repeat(items, [len(parts) for parts in chosen]),
            "component_item_id": materials[np.concatenate(chosen)],
            "quantity_per": draw.uniform(0.1, 2, sum(map(len, chosen))).round(3),
        }
    )


def _suppliers(draw: np.random.Generator, need: pd.DataFrame) -> pd.DataFrame:
    """A cheap supplier a month away that is a little too small, and a dear one at once."""
    cost = draw.uniform(1, 8, len(need)).round(3)
    place = need[["item_id", "location_id"]].reset_index(drop=True)
    cheap = place.assign(
        supplier_id="S1", unit_cost_amt=cost, lead_time_days=30, max_qty=(1.05 * need["need_qty"].to_numpy() + 10).round(1)
    )
    dear = place.assign(
        supplier_id="S2", unit_cost_amt=(1.3 * cost).round(3), lead_time_days=0, max_qty=(0.2 * need["need_qty"].to_numpy() + 5).round(1)
    )
    return pd.concat([cheap, dear], ignore_index=True)


def _lanes(draw: np.random.Generator, places: np.ndarray, customers: np.ndarray) -> pd.DataFrame:
    """Every plant serves every market; a quarter of the ways take a month."""
    lane = _pairs(np.ones((len(places), len(customers)), dtype=bool), places, customers, ["from_location_id", "to_id"])
    return lane.assign(
        freight_cost_amt=draw.uniform(0.5, 6, len(lane)).round(3), lead_time_days=np.where(draw.random(len(lane)) < 0.25, 30, 0)
    )


def _targets(made_at: pd.DataFrame, safety: np.ndarray, periods: pd.DatetimeIndex) -> pd.DataFrame:
    quantity = np.repeat(safety.round(2), len(periods))
    frame = made_at.loc[made_at.index.repeat(len(periods))].reset_index(drop=True).assign(period=np.tile(periods, len(made_at)))
    return tables.validate(
        "inventory_target",
        frame.assign(
            safety_stock_qty=quantity,
            target_qty=1.5 * quantity,
            service_level_ratio=0.95,
            lead_time_days=0.0,
            error_qty=quantity / 1.645,
            method="given",
        ),
    )
