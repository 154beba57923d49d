"""Write the extract of the invented company Varnholt: the same seed gives the same files, byte for byte.

    python data/demo/generate.py [OUT]

`company.py` says what the company is, `masters.py` what follows from it, `history.py` what happened, `planning.py` what
people knew in each cycle, `defects.py` which defects were planted on purpose. OUT is `data/demo/extract` by default.
"""

from __future__ import annotations

import sys
from pathlib import Path

import company
import defects
import history
import masters
import numpy as np
import pandas as pd
import planning

SEED = 20261001
STOCK_HISTORY_FROM = "2023-10-01"
EXTRACT = Path(__file__).parent / "extract"


def draw_tables(seed: int = SEED) -> dict[str, pd.DataFrame]:
    """Every table of the extract by name, planted defects included."""
    # One stream of random numbers per part: a change in one part leaves the others as they are.
    streams = {name: np.random.default_rng([seed, number]) for number, name in enumerate(
        ["demand", "flow", "cost", "price", "sales", "stock", "orders", "input", "archive"])}
    bom, routing = company.bill_of_material(), company.routing()
    standard_cost = masters.standard_costs(bom, routing, streams["cost"])
    demand = history.draw_demand(streams["demand"])
    flow = history.simulate(demand, streams["flow"])
    price = masters.price(demand.series, standard_cost, streams["price"])
    need = masters.usage(demand, bom, routing)
    capacity = masters.capacity(need, routing)
    supplier_item = masters.supplier_item(need, bom, routing)
    sales = history.sales_history(demand, flow, price, streams["sales"])
    stock_history, production_history = history.stock_and_production(demand, flow, STOCK_HISTORY_FROM)
    archive = planning.plan_archive(demand, flow, routing, capacity, streams["archive"])
    drawn = {
        "item": masters.item(standard_cost), "market": company.MARKETS.drop(columns="share").astype({"is_strategic": int}),
        "location": company.LOCATIONS, "resource": masters.resource(), "capacity": capacity,
        "production": masters.production(routing, standard_cost), "routing": routing, "bill_of_material": bom,
        "supplier_item": supplier_item, "lane": masters.lane(demand.series), "price": price, "service_target": masters.service_target(),
        "sales_history": sales, "production_history": production_history, "stock_history": stock_history,
        "stock_on_hand": planning.stock_on_hand(stock_history, need, _part_places(supplier_item, routing), streams["stock"]),
        "open_supply": planning.open_supply(need, supplier_item, _work_plan(need), streams["orders"]),
        "event": history.event(), "opportunity": planning.opportunity(), "demand_input": planning.demand_input(demand, streams["input"]),
        "plan_archive": archive, "budget": planning.budget(demand, price, standard_cost),
        "ledger": planning.ledger(sales, stock_history, standard_cost),
    }
    return {name: _written_form(frame) for name, frame in defects.plant(drawn).items()}


def write_extract(folder: Path, seed: int = SEED) -> None:
    """Write every table as a CSV file into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in draw_tables(seed).items():
        frame.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n", float_format="%.10g", encoding="utf-8")


def _part_places(supplier_item: pd.DataFrame, routing: pd.DataFrame) -> pd.DataFrame:
    """Where parts lie: bought ones where they are delivered, made ones in their plants; cover is in months of the item's need."""
    made = routing.loc[routing["item_id"].str.startswith("C-"), ["item_id", "location_id"]]
    tubes_used = pd.DataFrame({"item_id": ["C-107"], "location_id": ["P1"]})
    places = pd.concat([supplier_item[["item_id", "location_id"]], made, tubes_used]).drop_duplicates()
    months = np.where(places["item_id"].isin(made["item_id"]), 0.25, 0.8)
    return places.assign(cover=months / places.groupby("item_id")["location_id"].transform("count"))


def _work_plan(need: pd.DataFrame) -> pd.DataFrame:
    """Finished items and months for which work orders are released."""
    finished = company.finished_specifications()
    main = finished[finished["weight"] >= 0.4]
    plan = need.loc[main["item_id"]].rename_axis("item_id").reset_index().melt("item_id", var_name="period", value_name="plan_qty")
    return plan.assign(location_id=plan["item_id"].map(lambda item: company.FAMILY[item[:2]].plant))


def _written_form(frame: pd.DataFrame) -> pd.DataFrame:
    """Days as text and whole numbers without a decimal point."""
    written = frame.copy()
    for column in written:
        if pd.api.types.is_datetime64_any_dtype(written[column]):
            written[column] = written[column].dt.strftime("%Y-%m-%d")
    return written.reset_index(drop=True)


if __name__ == "__main__":
    write_extract(Path(sys.argv[1]) if len(sys.argv) > 1 else EXTRACT)
