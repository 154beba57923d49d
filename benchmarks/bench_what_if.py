"""What-if: a lever pulled on the loaded plan, part by part, beside raw highspy for the same change, in one run.

`python benchmarks/bench_what_if.py [--size M] [--workspace DIR] [--repeats 3]`

Size M (200 products × 4 plants × 8 markets × 18 months) is loaded twice: as `WhatIf`, and as bare arrays in a HiGHS object of its own
whose changed rows and columns are known beforehand. Both start every change from the same solved plan. Then the demo company (of the
workspace given, or planned first into a temporary one), lever by lever, with the views a screen shows. Milliseconds of processor time.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import highspy
import numpy as np
from company import SETTINGS, SIZES, company

from sop_workbench import views
from sop_workbench.cli import main as sop
from sop_workbench.scenario import Lever
from sop_workbench.store import open_workspace
from sop_workbench.supply import warm
from sop_workbench.supply.solve import Arrays, open_solver
from sop_workbench.what_if import Outcome, WhatIf

REPEATS = 3  # --repeats; the quickest counts
warm.clock = time.process_time  # parts are told in processor time, as everything here


def lever(**options) -> Lever:
    """One lever."""
    return Lever.model_validate(options)


def timed(act: Callable) -> tuple[float, object]:
    """Milliseconds of processor time, and what came of it."""
    begun = time.process_time()
    made = act()
    return 1000 * (time.process_time() - begun), made


# ------------------------------------------------------------------ size M beside raw highspy
def raw_loaded(arrays: Arrays) -> highspy.Highs:
    """The arrays in HiGHS, solved cold."""
    solver = open_solver(arrays, SETTINGS)
    solver.setOptionValue("solver", "ipm")
    solver.run()
    solver.setOptionValue("solver", "simplex")
    return solver


def raw_change(solver: highspy.Highs, change: Callable[[highspy.Highs], None]) -> dict[str, float]:
    """Move, solve, and read all quantities and prices."""
    update, _ = timed(lambda: change(solver))
    solve, _ = timed(solver.run)
    read, _ = timed(lambda: (np.asarray(solver.getSolution().col_value), np.asarray(solver.getSolution().row_dual)))
    return {"update": update, "solve": solve, "read": read, "objective": solver.getInfo().objective_function_value}


def chosen(keys: list[tuple], positions: np.ndarray, wanted: Callable[[tuple], bool]) -> np.ndarray:
    """Positions of the keys wanted."""
    return positions[[n for n, key in enumerate(keys) if wanted(key)]].astype(np.int32)


def changes_at(arrays: Arrays, instance) -> dict[str, tuple[Lever, Callable[[highspy.Highs], None]]]:
    """Each change as a lever and as the raw rows and columns it moves."""
    hours, bought, asked = arrays.rows["capacity_limit"], arrays.columns["purchase_qty"], arrays.rows["market_balance"]
    floor, material = arrays.rows["contract_floor"], bought.keys[0][0]
    line = chosen(hours.keys, hours.positions, lambda key: key == ("P1-L1", 5))
    orders = chosen(bought.keys, bought.positions, lambda key: key[0] == material)
    market = np.concatenate([chosen(block.keys, block.positions, lambda key: key[1] == "K01") for block in (asked, floor)])
    lower, upper = 1.15 * arrays.row_lower[market], arrays.row_upper[market]
    upper = np.where(np.isfinite(upper), 1.15 * upper, upper)
    paid = float((instance.demand["price_amt"] * instance.demand["demand_qty"])[instance.demand["market_id"] == "K01"].sum())
    month = f"{instance.periods[5]:%Y-%m}"

    def fewer_hours(solver: highspy.Highs) -> None:
        solver.changeRowsBounds(len(line), line, arrays.row_lower[line], 0.8 * arrays.row_upper[line])

    def dearer(solver: highspy.Highs) -> None:
        solver.changeColsCost(len(orders), orders, 1.1 * arrays.cost[orders])

    def more_demand(solver: highspy.Highs) -> None:
        solver.changeRowsBounds(len(market), market, lower, upper)
        solver.changeObjectiveOffset(arrays.offset + 0.15 * paid)

    return {
        "one resource-month −20 %": (
            lever(
                table="capacity",
                column="regular_hours",
                operation="multiply",
                value=0.8,
                where={"resource_id": "P1-L1"},
                from_period=month,
                to_period=month,
            ),
            fewer_hours,
        ),
        "one material's cost +10 %": (
            lever(table="supplier_item", column="unit_cost_amt", operation="multiply", value=1.1, where={"item_id": material}),
            dearer,
        ),
        "one market's demand +15 %": (
            lever(table="consensus_demand", column="demand_qty", operation="multiply", value=1.15, where={"market_id": "K01"}),
            more_demand,
        ),
    }


def put_back(solver: highspy.Highs, arrays: Arrays, basis: highspy.HighsBasis) -> None:
    """Everything as at first."""
    rows, columns = np.arange(len(arrays.row_lower), dtype=np.int32), np.arange(len(arrays.cost), dtype=np.int32)
    solver.changeRowsBounds(len(rows), rows, arrays.row_lower, arrays.row_upper)
    solver.changeColsCost(len(columns), columns, arrays.cost)
    solver.changeObjectiveOffset(arrays.offset)
    solver.setBasis(basis)
    solver.run()


def by_size(size: str) -> None:
    """Measure a generated company."""
    inputs, demand, target, periods = company(*SIZES[size])
    load, what_if = timed(lambda: WhatIf(inputs, demand, target, SETTINGS, periods, SETTINGS.calendar))
    arrays, instance = what_if.plan.arrays, what_if.plan.instance
    rows, columns = arrays.matrix.shape
    print(f"## Size {size}: {rows:,} rows × {columns:,} columns; loaded and solved cold in {load / 1000:,.1f} s\n")
    raw_load, solver = timed(lambda: raw_loaded(arrays))
    print(f"The same arrays in raw highspy, cold: {raw_load / 1000:,.1f} s\n")
    basis = solver.getBasis()
    print("| change | raw: update · solve · read = total | ours: levers · update · solve · read = total "
          "| finding its rows, once | beyond the solve | × raw | profit agrees |", flush=True)
    print("|---|---|---|---|---|---|---|")
    for name, (pulled, change) in changes_at(arrays, instance).items():
        found, _ = timed(lambda pulled=pulled: what_if._values([pulled]))  # which rows a kind of lever moves: once, then kept
        ours = best(lambda pulled=pulled: ours_change(what_if, pulled))
        raw = []
        for _ in range(REPEATS):
            raw.append(raw_change(solver, change))
            put_back(solver, arrays, basis)
        theirs = min(raw, key=lambda row: row["update"] + row["solve"] + row["read"])
        total, raw_total = sum(ours[part] for part in PARTS), sum(theirs[part] for part in PARTS[1:])
        agrees = abs(ours["objective"] - theirs["objective"]) <= 1e-6 * abs(theirs["objective"])
        print(
            f"| {name} | {theirs['update']:.1f} · {theirs['solve']:.0f} · {theirs['read']:.0f} = {raw_total:.0f} | "
            f"{ours['levers']:.0f} · {ours['update']:.0f} · {ours['solve']:.0f} · {ours['read']:.0f} = {total:.0f} ({ours['way']}) | "
            f"{found:.0f} ms | {total - ours['solve']:.0f} ms | {total / raw_total:.2f} | {'yes' if agrees else 'NO'} |",
            flush=True,
        )


PARTS = ("levers", "update", "solve", "read")


def ours_change(what_if: WhatIf, pulled: Lever) -> dict[str, float]:
    """Pull, then let go (not counted)."""
    whole, outcome = timed(lambda: what_if.pull([pulled]))
    parts = {part: 1000 * outcome.seconds[part] for part in PARTS}
    what_if.plan.with_values({})
    what_if.reset()
    return {**parts, "whole": whole, "objective": outcome.objective_amt, "way": outcome.way}


def best(act: Callable[[], dict]) -> dict:
    """The quickest of several."""
    return min((act() for _ in range(REPEATS)), key=lambda row: sum(row[part] for part in PARTS))


# ------------------------------------------------------------------ the demo company, as a screen shows it
DEMO = (
    lever(table="consensus_demand", column="demand_qty", operation="multiply", value=1.15, where={"region": "North"}),
    lever(table="consensus_demand", column="demand_qty", operation="multiply", value=0.9, where={"family": "Gas Grills"}),
    lever(table="capacity", column="regular_hours", operation="multiply", value=0.8, where={"resource_id": "ASMG1"}),
    lever(
        table="capacity",
        column="regular_hours",
        operation="multiply",
        value=1.2,
        where={"resource_id": "BURN2"},
        from_period="2027-03",
        to_period="2027-05",
    ),
    lever(table="price", column="price_amt", operation="multiply", value=1.04, where={"family": "Gas Grills"}),
    lever(table="supplier_item", column="unit_cost_amt", operation="multiply", value=1.1),
    lever(table="supplier_item", column="max_qty", operation="multiply", value=1.25, where={"item_id": "C-123"}),
    lever(table="production", column="variable_cost_amt", operation="multiply", value=1.1),
    lever(table="lane", column="freight_cost_amt", operation="multiply", value=1.2),
    lever(table="inventory_target", column="safety_stock_qty", operation="multiply", value=0.8),
)


def shown(outcome: Outcome, what_if: WhatIf) -> list:
    """The views of a screen."""
    return [
        views.what_if_measures(outcome.measures),
        views.what_if_volume(outcome.volume),
        views.what_if_limits(outcome.limits),
        views.what_if_load(outcome.hours, what_if.tables["resource"]),
    ]


def demo(workspace: Path) -> None:
    """Measure the demo company."""
    opened = open_workspace(workspace)
    cycle = opened.cycle(opened.settings.newest_cycle)
    demand, target = cycle.read("consensus_demand"), cycle.read("inventory_target")
    load, what_if = timed(lambda: WhatIf(cycle.inputs(), demand, target, cycle.settings, cycle.periods, cycle.calendar))
    rows, columns = what_if.plan.arrays.matrix.shape
    print(f"\n## Demo company: {rows:,} rows × {columns:,} columns, loaded in {load / 1000:.1f} s\n")
    print("| lever | how | levers · update · solve · read · views | slider to tables, ms |\n|---|---|---|---|")
    wholes = []
    for pulled in DEMO:
        seen = []
        for _ in range(REPEATS):
            whole, outcome = timed(lambda pulled=pulled: what_if.pull([pulled]))
            view, _ = timed(lambda outcome=outcome: shown(outcome, what_if))
            seen.append((whole + view, view, outcome))
            what_if.plan.with_values({})  # not counted: the solver back at the plan without levers, from which every pull is measured
            what_if.reset()
        whole, view, outcome = min(seen, key=lambda row: row[0])
        wholes.append(statistics.median(row[0] for row in seen))
        spent = " · ".join(f"{1000 * outcome.seconds[part]:.0f}" for part in PARTS)
        print(f"| {pulled.words} | {outcome.way} | {spent} · {view:.0f} | {whole:.0f} |")
    print(f"\nMedian over the levers, each the median of {REPEATS}: {statistics.median(wholes):.0f} ms")


def planned_workspace(folder: Path) -> Path:
    """A workspace of the demo company, planned up to its supply review."""
    for command in (["new", str(folder), "--demo"], ["run", "--workspace", str(folder), "--to", "supply_review"]):
        sop(command, standalone_mode=False)
    return folder


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--size", choices=[*SIZES, "none"], default="M")
    options.add_argument("--workspace", type=Path)
    options.add_argument("--repeats", type=int, default=REPEATS)
    asked = options.parse_args()
    globals()["REPEATS"] = asked.repeats
    if asked.size != "none":
        by_size(asked.size)
    with tempfile.TemporaryDirectory() as folder:
        demo(asked.workspace or planned_workspace(Path(folder) / "demo"))


if __name__ == "__main__":
    main()
