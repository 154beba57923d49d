"""A bill of material of 100,000 lines exploded over 52 weeks, beside two peers in the same run.

`python benchmarks/bench_bom.py` prints processor seconds and the largest difference between the results. Peers: a loop over the
items in topological order (the standard library's sorter, one numpy row of 52 weeks per item), and DuckDB's recursive query.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from graphlib import TopologicalSorter

import duckdb
import numpy as np
import pandas as pd

from sop_workbench import materials
from sop_workbench.periods import Calendar

EDGES, LEVELS, PER_LEVEL, WEEKS = 100_000, 11, 2_000, 52


def structure() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Ten levels of parents, 2,000 items each, and weekly demand of the items on top."""
    draw = np.random.default_rng(7)
    parent = np.repeat(np.arange((LEVELS - 1) * PER_LEVEL), EDGES // ((LEVELS - 1) * PER_LEVEL))
    component = (parent // PER_LEVEL + 1) * PER_LEVEL + draw.integers(0, PER_LEVEL, len(parent))
    names = np.array([f"I{n:05d}" for n in range(LEVELS * PER_LEVEL)], dtype=object)
    bom = pd.DataFrame({"parent_item_id": names[parent], "component_item_id": names[component]}).drop_duplicates()
    bom = bom.assign(
        quantity_per=draw.uniform(0.05, 0.4, len(bom)), scrap_ratio=0.01, valid_from=pd.Timestamp("2020-01-01"), valid_to=pd.NaT
    )
    bom["valid_to"] = bom["valid_to"].astype("datetime64[ns]")
    weeks = pd.date_range("2026-01-05", periods=WEEKS, freq="W-MON")
    demand = pd.DataFrame({"item_id": names[:PER_LEVEL]}).merge(pd.DataFrame({"period": weeks}), how="cross")
    return bom, demand.assign(demand_qty=draw.uniform(1, 20, len(demand)))


def ours(bom: pd.DataFrame, demand: pd.DataFrame) -> pd.Series:
    """`materials.explode`, loops refused and validity looked up by the calendar."""
    found = materials.explode(bom, demand, Calendar("week"))
    return found.set_index(["item_id", "period"])["demand_qty"]


def topological_loop(bom: pd.DataFrame, demand: pd.DataFrame) -> pd.Series:
    """Item by item, parents first."""
    wide = demand.pivot(index="item_id", columns="period", values="demand_qty")
    gross = {item: row for item, row in zip(wide.index, wide.to_numpy(), strict=True)}
    children: dict[str, list[tuple[str, float]]] = {}
    sorter: TopologicalSorter[str] = TopologicalSorter()
    usage = bom["quantity_per"] / (1 - bom["scrap_ratio"])
    for parent, component, quantity in zip(bom["parent_item_id"], bom["component_item_id"], usage, strict=True):
        children.setdefault(parent, []).append((component, quantity))
        sorter.add(component, parent)
    for item in sorter.static_order():
        row = gross.get(item)
        if row is not None:
            for component, quantity in children.get(item, ()):
                gross[component] = gross[component] + quantity * row if component in gross else quantity * row
    long = pd.DataFrame.from_dict(gross, orient="index", columns=wide.columns).rename_axis("item_id").stack()
    return long[long != 0]


def recursive_query(bom: pd.DataFrame, demand: pd.DataFrame) -> pd.Series:
    """DuckDB: one round per level, added up at every level so that ways do not multiply."""
    with duckdb.connect() as database:
        database.execute("SET threads = 1")
        database.register("bom", bom)
        database.register("demand", demand)
        database.execute("CREATE TABLE level AS SELECT item_id, period, demand_qty AS qty FROM demand")
        database.execute("CREATE TABLE gross AS SELECT * FROM level")
        while database.execute("SELECT count(*) FROM level").fetchone()[0]:
            database.execute("""CREATE OR REPLACE TABLE level AS
                SELECT b.component_item_id AS item_id, l.period, sum(l.qty * b.quantity_per / (1 - b.scrap_ratio)) AS qty
                FROM level l JOIN bom b ON b.parent_item_id = l.item_id GROUP BY ALL""")
            database.execute("INSERT INTO gross SELECT * FROM level")
        found = database.execute("SELECT item_id, period, sum(qty) AS demand_qty FROM gross GROUP BY ALL").df()
    return found.set_index(["item_id", "period"])["demand_qty"]


def measured(
    way: Callable[[pd.DataFrame, pd.DataFrame], pd.Series], bom: pd.DataFrame, demand: pd.DataFrame, times: int
) -> tuple[float, pd.Series]:
    """Least processor seconds of several runs, and the result."""
    seconds = []
    for _ in range(times):
        begun = time.process_time()
        found = way(bom, demand)
        seconds.append(time.process_time() - begun)
    return min(seconds), found


def main() -> None:
    """Measure and print."""
    bom, demand = structure()
    print(f"{len(bom):,} lines, {LEVELS * PER_LEVEL:,} items on {LEVELS} levels × {WEEKS} weeks\n")
    print("| way | processor seconds | × ours | rows | largest relative difference |\n|---|---|---|---|---|")
    least, base = measured(ours, bom, demand, 3)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"| explode (ours) | {least:.2f} | 1 | {len(base):,} | |")
    for name, way in (("loop in topological order", topological_loop), ("DuckDB, a query per level", recursive_query)):
        seconds, found = measured(way, bom, demand, 1)
        gap = (found.reindex(base.index) / base - 1).abs().max()
        print(f"| {name} | {seconds:.2f} | {seconds / least:.1f} | {len(found):,} | {gap:.1e} |")
    print(f"\nPeak memory after ours: {memory:,.0f} MB")


if __name__ == "__main__":
    main()
