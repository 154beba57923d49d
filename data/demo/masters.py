"""Master data that follows from the structure: costs rolled up the bill of material, prices, capacity, suppliers, lanes."""

from __future__ import annotations

import company
import history
import numpy as np
import pandas as pd
from company import CAPACITY_MONTHS, FAMILY, HISTORY_MONTHS, MONTHS

SAFETY_MONTHS = 0.35
PRICE_RISE = 0.025  # every January
TIGHT_SUPPLY = {"C-123": 0.88}  # monthly limit as a share of the mean need of the coming year
SECOND_SOURCE = {"C-122": "SUP-15", "C-123": "SUP-15", "M-206": "SUP-15", "M-131": "SUP-16"}
SECOND_SOURCE_SURCHARGE = 0.22
PURCHASE_UNITS = {"M-108": ("BAR", 6.0)}  # steel tube comes in bars of 6 m; sop.yaml holds the factor


def part_quantities(bom: pd.DataFrame) -> pd.DataFrame:
    """Units of every part in one unit of every made item, all levels and scrap included (parent × part)."""
    valid = bom[bom["valid_to"].isna()]
    names = pd.Index(sorted(set(valid["parent_item_id"]) | set(valid["component_item_id"])))
    direct = np.zeros((len(names), len(names)))
    quantity = valid["quantity_per"] / (1 - valid["scrap_ratio"])
    direct[names.get_indexer(valid["parent_item_id"]), names.get_indexer(valid["component_item_id"])] = quantity
    return pd.DataFrame(np.linalg.inv(np.eye(len(names)) - direct) - np.eye(len(names)), index=names, columns=names)


def standard_costs(bom: pd.DataFrame, routing: pd.DataFrame, rng: np.random.Generator) -> pd.Series:
    """Standard cost of every item: bought price, or parts + hours × rate + variable cost; books lag a little behind."""
    total = part_quantities(bom)
    bought = company.bought_items().set_index("item_id")["unit_cost_amt"]
    added = _value_added(routing, bought.index).reindex(total.index).fillna(bought)  # a bought part adds its price
    rolled = total.to_numpy() @ added.to_numpy() + added.to_numpy()
    lag = np.where(total.index.isin(bought.index), 1.0, rng.normal(1.0, 0.008, len(total)))
    return pd.Series((rolled * lag).round(2), index=total.index)


def item(standard_cost: pd.Series) -> pd.DataFrame:
    """Rows of `item`."""
    finished = company.finished_specifications()
    family = finished["code"].map(FAMILY.get)
    finished = finished[["item_id", "item_name"]].assign(
        item_type="finished", family=[f.name for f in family], category=[f.category for f in family], brand="Varnholt", base_unit="EA",
        storage_qty=[f.storage_qty for f in family], make_or_buy="make")
    life = pd.DataFrame.from_dict(company.LIFECYCLE, orient="index",
                                  columns=["launch_date", "phase_out_date", "successor_item_id", "like_item_id"])
    finished = finished.merge(life.rename_axis("item_id").reset_index(), on="item_id", how="left", validate="one_to_one")
    finished["launch_date"] = finished["launch_date"].fillna("2019-03-01")  # sold since before the history
    made = company.made_components().assign(item_type="component", base_unit="EA", storage_qty=0.004, make_or_buy="make")
    bought = company.bought_items()[["item_id", "item_name", "base_unit"]].assign(storage_qty=0.0005, make_or_buy="buy")
    bought["item_type"] = np.where(bought["item_id"].str.startswith("C-"), "component", "material")
    every = pd.concat([finished, made, bought], ignore_index=True)
    every["standard_cost_amt"] = every["item_id"].map(standard_cost)
    columns = ["item_id", "item_name", "item_type", "family", "category", "brand", "base_unit", "standard_cost_amt", "storage_qty",
               "launch_date", "phase_out_date", "successor_item_id", "like_item_id", "make_or_buy"]
    return every[columns]


def price(series: pd.DataFrame, standard_cost: pd.Series, rng: np.random.Generator) -> pd.DataFrame:
    """Rows of `price`: a list a year, each January 2.5 % up; next year's list is known since September."""
    items = company.finished_specifications()["item_id"]
    margin = pd.Series([FAMILY[i[:2]].margin for i in items], index=items) + rng.uniform(-0.03, 0.03, len(items))
    rows = series[["item_id", "market_id", "region", "channel"]].copy()
    list_price = rows["item_id"].map(standard_cost) / (1 - rows["item_id"].map(margin))
    rows["now"] = list_price * rows["channel"].map(company.CHANNEL_PRICE) * rows["region"].map(company.REGION_PRICE)
    years = [("2021-10-01", -5, "2021-09-15"), *[(f"{y}-01-01", y - 2026, f"{y - 1}-09-15") for y in range(2022, 2028)]]
    lists = [rows.assign(valid_from=pd.Timestamp(start), price_amt=(rows["now"] * (1 + PRICE_RISE) ** n).round(2), known_date=known)
             for start, n, known in years]
    prices = pd.concat(lists)[["item_id", "market_id", "valid_from", "price_amt", "known_date"]]
    prices["valid_from"] = prices["valid_from"].astype("datetime64[ns]")
    ended = prices["item_id"].map(lambda i: (company.LIFECYCLE.get(i) or (None, None))[1])
    return prices[ended.isna() | (prices["valid_from"] <= pd.to_datetime(ended))]


def usage(demand: history.Demand, bom: pd.DataFrame, routing: pd.DataFrame) -> pd.DataFrame:
    """Units of every item needed in every month for the demand expected (item × month), finished items included."""
    items, row_of = history.items_of(demand.series)
    finished = pd.DataFrame(history.add_by_item(demand.expected, row_of, len(items)), index=items, columns=MONTHS)
    total = part_quantities(bom)
    parts = total.loc[items].T @ finished
    return parts.add(finished.reindex(parts.index, fill_value=0.0))


def capacity(need: pd.DataFrame, routing: pd.DataFrame) -> pd.DataFrame:
    """Rows of `capacity`: crews sized to the year before the newest cycle, working longer days in their season.

    Hours a day = load a day ÷ mean load aimed for × (1 + flexibility × (season − 1)), in steps of two hours.
    """
    steps = routing[routing["location_id"] == routing.groupby("item_id")["location_id"].transform("first")]
    rows = []
    for crew in company.RESOURCES.itertuples():
        mine = steps[steps["resource_id"] == crew.resource_id]
        load = (need.loc[mine["item_id"]].to_numpy() * mine["hours_per_unit"].to_numpy()[:, None]).sum(axis=0)
        year = slice(HISTORY_MONTHS - 12, HISTORY_MONTHS)
        load_per_day = load[year] / company.working_days(crew.location_id, MONTHS)[year]
        season = pd.Series(load_per_day / load_per_day.mean(), index=MONTHS[year].month)
        longer = 1 + crew.flexibility * (season.loc[CAPACITY_MONTHS.month].to_numpy() - 1)
        hours_per_day = np.ceil(load_per_day.mean() / crew.mean_load * longer * _crew_size(crew.resource_id) / 2) * 2
        regular = hours_per_day * company.working_days(crew.location_id, CAPACITY_MONTHS)
        rows.append(pd.DataFrame({"resource_id": crew.resource_id, "period": CAPACITY_MONTHS, "regular_hours": regular,
                                  "overtime_hours": np.floor(regular * crew.overtime_share),
                                  "demonstrated_hours": np.round(regular * 0.95)}))
    return pd.concat(rows)


def resource() -> pd.DataFrame:
    """Rows of `resource`: overtime costs half as much again."""
    rows = company.RESOURCES[["resource_id", "resource_name", "location_id", "regular_cost_amt_per_hour"]]
    return rows.assign(overtime_cost_amt_per_hour=rows["regular_cost_amt_per_hour"] * 1.5)


def production(routing: pd.DataFrame, standard_cost: pd.Series) -> pd.DataFrame:
    """Rows of `production`: one per item and plant of its routing."""
    rows = routing[["item_id", "location_id"]].drop_duplicates().reset_index(drop=True)
    is_finished = ~rows["item_id"].str.startswith("C-")
    rows["variable_cost_amt"] = rows["item_id"].map(_variable_cost)
    rows["yield_ratio"] = np.where(rows["item_id"].str.startswith("C-30"), 0.97, 1.0)
    rows["lead_time_days"] = np.where(is_finished, 5, np.where(rows["item_id"].str.startswith("C-30"), 10, 3))
    rows["min_lot_qty"] = np.where(is_finished, 20, 50)
    rows["setup_cost_amt"] = np.where(is_finished, 90.0, 60.0)
    outside = rows["item_id"].isin(company.SUBCONTRACTED)
    rows["subcontract_cost_amt"] = (rows["item_id"].map(standard_cost) * 1.25).round(2).where(outside)
    rows["subcontract_limit_qty"] = pd.Series(25.0, index=rows.index).where(outside)
    rows["backlog_cost_amt"] = (rows["item_id"].map(standard_cost) * 0.05).round(2).where(is_finished)
    return rows


def supplier_item(need: pd.DataFrame, bom: pd.DataFrame, routing: pd.DataFrame) -> pd.DataFrame:
    """Rows of `supplier_item`: every bought part to every plant that uses it, with the supplier's monthly limit."""
    parents = routing[["item_id", "location_id"]].drop_duplicates()
    used = bom[bom["valid_to"].isna()].merge(parents, left_on="parent_item_id", right_on="item_id", validate="many_to_many")
    places = used[["component_item_id", "location_id"]].drop_duplicates().rename(columns={"component_item_id": "item_id"})
    rows = company.bought_items().merge(places, on="item_id", validate="one_to_many")
    coming = need.iloc[:, HISTORY_MONTHS : HISTORY_MONTHS + 12]
    roomy = np.ceil(coming.max(axis=1) * 1.35 / 100) * 100
    rows["max_qty"] = rows["item_id"].map(roomy)
    tight = np.ceil(coming.mean(axis=1) * pd.Series(TIGHT_SUPPLY) / 10) * 10
    rows["max_qty"] = rows["item_id"].map(tight).fillna(rows["max_qty"])  # the others keep the roomy limit
    rows["min_order_qty"] = 0.0
    rows["purchase_unit"] = rows["base_unit"]
    for item_id, (unit, factor) in PURCHASE_UNITS.items():
        mine = rows["item_id"] == item_id
        rows.loc[mine, "purchase_unit"] = unit
        rows.loc[mine, "unit_cost_amt"] = (rows.loc[mine, "unit_cost_amt"] * factor).round(2)
        rows.loc[mine, "max_qty"] = np.ceil(rows.loc[mine, "max_qty"] / factor)
    dear = rows[rows["item_id"].isin(list(SECOND_SOURCE))].copy()
    dear["supplier_id"] = dear["item_id"].map(SECOND_SOURCE)
    dear["unit_cost_amt"] = (dear["unit_cost_amt"] * (1 + SECOND_SOURCE_SURCHARGE)).round(2)
    dear["max_qty"] = np.ceil(dear["max_qty"] * 0.12)
    rows = pd.concat([rows, dear])
    return rows[["item_id", "supplier_id", "location_id", "unit_cost_amt", "lead_time_days", "min_order_qty", "max_qty", "purchase_unit"]]


def lane(series: pd.DataFrame) -> pd.DataFrame:
    """Rows of `lane`: plant to both warehouses, warehouse to market, the West from both, burner tubes between plants."""
    items = company.finished_specifications()[["item_id", "code"]]
    items["plant"] = items["code"].map(lambda code: FAMILY[code].plant)
    places = items["code"].map(lambda code: FAMILY[code].storage_qty)
    inbound = [_lanes(items, items["plant"], warehouse, places * 14 + 0.05, days) for warehouse, days in (("W1", 4), ("W2", 6))]
    served = series.assign(places=series["code"].map(lambda code: FAMILY[code].storage_qty))
    outbound = [_lanes(served, served["warehouse"], served["market_id"], served["places"] * 22 + 0.15, 2)]
    west = served[served["region"] == "West"]
    outbound.append(_lanes(west, "W1", west["market_id"], west["places"] * 31 + 0.20, 4))
    direct = served[(served["market_id"] == "N-PRO") & (served["code"] == "GG")]
    outbound.append(_lanes(direct, "P1", direct["market_id"], direct["places"] * 33 + 0.30, 2))
    pans = items[items["item_id"].isin([step[0] for step in company.SECOND_PLANT_STEPS])]
    inbound += [_lanes(pans, company.SECOND_PLANT, warehouse, pd.Series(0.22, index=pans.index), 6) for warehouse in ("W1", "W2")]
    tubes = pd.DataFrame({"item_id": ["C-107"]})
    inbound.append(_lanes(tubes, "P2", "P1", pd.Series([0.09]), 4))
    return pd.concat([*inbound, *outbound])


def service_target() -> pd.DataFrame:
    """Rows of `service_target`: by class, and one flagship item."""
    return pd.DataFrame([("A", 0.97, 0.98), ("B", 0.95, 0.97), ("C", 0.90, 0.93), ("GG-102", 0.98, 0.99)],
                        columns=["item_or_class", "service_level_ratio", "fill_ratio"])


def _crew_size(resource_id: str) -> np.ndarray:
    """Crew of a resource against its normal one in every month of the capacity table."""
    size = np.ones(len(CAPACITY_MONTHS))
    for begin, share in company.CREW_CHANGES.get(resource_id, ()):
        size[pd.Timestamp(begin) <= CAPACITY_MONTHS] = share
    return size


def _lanes(items: pd.DataFrame, start: pd.Series | str, end: pd.Series | str, freight: pd.Series, days: int) -> pd.DataFrame:
    return pd.DataFrame({"from_location_id": start, "to_id": end, "item_id": items["item_id"], "freight_cost_amt": freight.round(2),
                         "lead_time_days": days})


def _variable_cost(item_id: str) -> float:
    """Energy and consumables of one unit made."""
    if item_id.startswith("C-"):
        return {"C-1": 0.25, "C-2": 0.20, "C-3": 0.45}[item_id[:3]]
    return {"GG": 4.0, "CG": 1.2, "ST": 0.5, "CW": 0.6, "HT": 2.5, "CO": 1.1}[item_id[:2]]


def _value_added(routing: pd.DataFrame, bought: pd.Index) -> pd.Series:
    """Hours × rate + variable cost of every made item at its first plant."""
    rate = company.RESOURCES.set_index("resource_id")["regular_cost_amt_per_hour"]
    first = routing[routing["location_id"] == routing.groupby("item_id")["location_id"].transform("first")]
    hours = (first["hours_per_unit"] * first["resource_id"].map(rate)).groupby(first["item_id"]).sum()
    added = hours + hours.index.map(_variable_cost)
    return added.drop(bought, errors="ignore")
