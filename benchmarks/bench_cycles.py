"""Cycles in a row, run, locked, verified and computed again; waterfall and family grid held against the archive cell by cell.

    python benchmarks/bench_cycles.py                            three cycles of the demo company
    python benchmarks/bench_cycles.py adventureworks             five cycles of AdventureWorks (SOP_DATA names the extract's folder)
    … --into DIR --effort quick --samples 2 --cycles 2014-01     in a folder that is kept and taken up again; smaller; only some
    … --reviews                                                  the reviews alone, without the notebooks' charts

A line per cycle: processor seconds of the run and of the rerun, what `sop verify` finds, result tables that come out equal, cells of the
waterfall and of the family grid that equal the locked plans. What is expected of the cells is summed up here from the locked cycles
themselves, not by the functions that made the views.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import yaml

from sop_workbench import execution, report, reviews, tables
from sop_workbench.chain import NOTEBOOKS, Chain, lock_cycle, run_chain, verify_cycle, write_outputs
from sop_workbench.rerun import rerun_cycle
from sop_workbench.store import Cycle, Workspace, open_workspace

ROOT = Path(__file__).parents[1]
CYCLES = {"demo": ("2026-08", "2026-09", "2026-10"),
          "adventureworks": ("2014-01", "2014-02", "2014-03", "2014-04", "2014-05")}
OUTPUTS = {"report.html": report.write_html, "plan.xlsx": report.write_workbook}
_EQUAL = 1e-9


@dataclass(frozen=True)
class Cells:
    """How many cells were held against the archive and how many equal it."""

    compared: int
    equal: int

    def __add__(self, other: Cells) -> Cells:
        """Cells of two views together."""
        return Cells(self.compared + other.compared, self.equal + other.equal)

    def __str__(self) -> str:
        """Equal of compared."""
        return f"{self.equal:,} of {self.compared:,}"


def new_workspace(folder: Path, company: str, **changed: dict) -> Workspace:
    """A workspace of a company that comes with the workbench, with some settings changed (section by section)."""
    from sop_workbench.cli import main

    if not (folder / "sop.yaml").exists():
        main(["new", str(folder), f"--{company}"], standalone_mode=False)
        settings = yaml.safe_load((folder / "sop.yaml").read_text(encoding="utf-8"))
        for section, given in changed.items():
            settings[section] = {**settings.get(section, {}), **given} if isinstance(given, dict) else given
        (folder / "sop.yaml").write_text(yaml.safe_dump(settings, allow_unicode=True), encoding="utf-8")
    return open_workspace(folder)


def without_charts(workspace: Workspace) -> None:
    """Give the workspace notebooks of its own: parameters and review as they are, what only shows left out (two fifths of the time)."""
    folder = workspace.folder / "notebooks"
    folder.mkdir(exist_ok=True)
    for path in sorted(NOTEBOOKS.glob("[0-9]*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        named = re.search(r"tables = reviews\.\w+\(cycle\)", "\n".join(cell.source for cell in code))
        code[1].source = f"from sop_workbench import reviews, store\ncycle = store.open_workspace(workspace).cycle(cycle_id)\n{named[0]}"
        notebook.cells = code[:2]
        nbformat.write(notebook, folder / path.name)


def run_and_lock(workspace: Workspace, cycle_id: str) -> Chain:
    """Run a cycle to its end and lock it; one that is locked stays as it is."""
    chain = Chain(workspace, workspace.cycle(cycle_id))
    if not chain.cycle.is_locked:
        run_chain(chain)
        lock_cycle(chain, by="A. Director", why="agreed in the executive meeting")
        if not (workspace.folder / "notebooks").is_dir():
            write_outputs(chain, OUTPUTS)
    return chain


def result_tables(cycle: Cycle) -> int:
    """How many result tables the cycle holds, scenarios apart."""
    return sum(cycle.has(name, scenario) for name in tables.names("result") for scenario in {"base", *cycle.scenarios(name)})


# ------------------------------------------------------------------ cells against the archive


def waterfall_cells(shown: pd.DataFrame, workspace: Workspace, until: str, latest: Cycle | None = None) -> Cells:
    """Hold every cell of a waterfall against the plans locked before a cycle, the imported archive, and the history.

    Parameters
    ----------
    shown : DataFrame
        `plan_waterfall`.
    until : str
        The cycle whose waterfall it is.
    latest : Cycle, optional
        The cycle whose history and imported archive it rests on; that cycle itself when left out.
    """
    locked = [name for name in workspace.store.locked_cycles() if name < until]
    latest = latest or workspace.cycle(until)
    read = (("demand_stream", "demand_qty", None), ("consensus_demand", "demand_qty", "consensus"),
            ("unmet_demand", "served_qty", "constrained"))
    parts = [_by_period(past, *what).assign(plan_cycle_id=past.id) for past in map(workspace.cycle, locked) for what in read]
    imported = latest.read("plan_archive")
    imported = imported[~imported["lock_cycle_id"].isin(locked) & (imported["lock_cycle_id"] < until)]
    imported = imported[imported["stream"] != "production"]
    parts.append(imported.rename(columns={"lock_cycle_id": "plan_cycle_id"}))
    wanted = pd.concat(parts).groupby(["stream", "plan_cycle_id", "period"])["plan_qty"].sum()
    ordered = latest.read("sales_history").groupby("period")["ordered_qty"].sum()
    over = {(stream, "actual", period): ordered[period] for stream, _, period in wanted.index if period in ordered.index}
    wanted = pd.concat([wanted, pd.Series(over)]).rename_axis(wanted.index.names) if over else wanted
    return _compare(shown.set_index(["stream", "plan_cycle_id", "period"])[["plan_qty"]], wanted.to_frame("plan_qty"))


def _by_period(past: Cycle, table: str, column: str, stream: str | None) -> pd.DataFrame:
    rows = past.read(table)
    rows = rows if stream is None else rows.assign(stream=stream)
    return rows.rename(columns={column: "plan_qty"})[["stream", "period", "plan_qty"]]


def grid_cells(shown: pd.DataFrame, workspace: Workspace, cycle: Cycle) -> Cells:
    """Hold every cell of a family grid against the locked plan it shows and the actuals of the cycle whose grid it is.

    Opening stock and actual stock are taken as shown and held against each other: planned stock = opening + made − sold so far, and
    the stock difference = cumulative production − cumulative sales difference + what is unexplained.
    """
    if shown.empty:
        return Cells(0, 0)
    item = cycle.read("item")
    family = item[item["item_type"] == "finished"].set_index("item_id")["family"].fillna("no family")
    sales, made = _planned(workspace, cycle, shown["plan_cycle_id"].iloc[0])
    history = cycle.read("sales_history")
    shipped = history.assign(qty=history["shipped_qty"].fillna(history["ordered_qty"]))
    produced = cycle.read("production_history").rename(columns={"produced_qty": "qty"})
    grid = shown.set_index(["family", "period"]).sort_index()
    wanted = pd.DataFrame({"sales_plan_qty": _of(sales, family, grid), "production_plan_qty": _of(made, family, grid)})
    over = grid.index.get_level_values("period").isin(cycle.read("plan_deviation")["period"])
    for word, rows in (("sales", shipped), ("production", produced)):
        wanted[f"{word}_actual_qty"] = _of(rows, family, grid).where(over)
        wanted[f"{word}_difference_qty"] = wanted[f"{word}_actual_qty"] - wanted[f"{word}_plan_qty"]
        wanted[f"{word}_cumulative_qty"] = wanted[f"{word}_difference_qty"].groupby("family").cumsum()
    built = (wanted["production_plan_qty"] - wanted["sales_plan_qty"]).groupby("family").cumsum()
    opening = (grid["inventory_plan_qty"] - built).groupby("family").transform("first")
    wanted["inventory_plan_qty"] = opening + built
    wanted["inventory_difference_qty"] = wanted["production_cumulative_qty"] - wanted["sales_cumulative_qty"] + grid["unexplained_qty"]
    wanted["inventory_actual_qty"] = wanted["inventory_plan_qty"] + wanted["inventory_difference_qty"]
    return _compare(grid[list(wanted)], wanted)


def _planned(workspace: Workspace, cycle: Cycle, lock: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Served demand and production of a locked plan: as the store holds it, else as the sources' archive does."""
    if lock in workspace.store.locked_cycles():
        past = workspace.cycle(lock)
        return (past.read("unmet_demand").rename(columns={"served_qty": "qty"}),
                past.read("inventory_projection").rename(columns={"produced_qty": "qty"}))
    archive = cycle.read("plan_archive").rename(columns={"plan_qty": "qty"})
    archive = archive[archive["lock_cycle_id"] == lock]
    stream = "constrained" if (archive["stream"] == "constrained").any() else "consensus"
    return archive[archive["stream"] == stream], archive[archive["stream"] == "production"]


def _of(rows: pd.DataFrame, family: pd.Series, grid: pd.DataFrame) -> pd.Series:
    """Quantity by family and period; plans and history are whole, so nothing is none."""
    sums = rows.assign(family=rows["item_id"].map(family)).groupby(["family", "period"])["qty"].sum()
    return sums.reindex(grid.index, fill_value=0.0)


def _compare(shown: pd.DataFrame, wanted: pd.DataFrame) -> Cells:
    """Cells of rows that only one of the two has differ, empty or not."""
    everything = shown.index.union(wanted.index)
    known = everything.isin(shown.index) & everything.isin(wanted.index)
    a, b = (frame.reindex(everything).to_numpy(dtype=float) for frame in (shown, wanted))
    is_equal = np.isclose(a, b, rtol=_EQUAL, atol=1e-6, equal_nan=True) & known[:, None]
    return Cells(is_equal.size, int(is_equal.sum()))


def views_of_locked_plans(workspace: Workspace) -> tuple[Cells, Cells]:
    """Waterfall of the cycle after the last, and a family grid of every locked plan with what is known of it by the last cycle."""
    locked = [workspace.cycle(name) for name in workspace.store.locked_cycles()]
    last = locked[-1]
    following = last.calendar.cycle_id(last.calendar.add(last.period, 1))
    archive = reviews.past_plans(workspace.cycle(following), last.read("plan_archive"))
    waterfall = waterfall_cells(execution.waterfall(archive, last.read("sales_history")), workspace, following, last)
    grid = Cells(0, 0)
    for past in locked:
        shown = execution.family_grid(last.read("plan_deviation"), archive, last.inputs(), last.calendar, past.id)
        grid += grid_cells(shown, workspace, last)
    return waterfall, grid


# ------------------------------------------------------------------ the command


def processor_seconds(work: Callable[[], object]) -> tuple[object, float]:
    """What a piece of work gives, and the processor time of this process and of those it started."""
    def spent() -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + children.ru_utime + children.ru_stime

    start = spent()
    return work(), spent() - start


def line(workspace: Workspace, cycle_id: str, again: Path) -> str:
    """Everything about one cycle in a line."""
    chain, ran = processor_seconds(lambda: run_and_lock(workspace, cycle_id))
    found = verify_cycle(chain)
    verdict = "as locked" if not found["is_broken"].any() else f"{int(found['is_broken'].sum())} broken"
    differs, reran = processor_seconds(lambda: rerun_cycle(chain, again))
    total = result_tables(chain.cycle)
    unequal = differs[["table", "scenario"]].drop_duplicates()
    for row in differs.head(10).itertuples():
        print(f"    {row.table} ({row.scenario}) {row.keys}: {row.column} {row.before} → {row.after}")
    waterfall = waterfall_cells(chain.cycle.read("plan_waterfall"), workspace, cycle_id)
    grid = grid_cells(chain.cycle.read("family_grid"), workspace, chain.cycle)
    return (f"{cycle_id}  run {ran:5.0f} s  verify: {verdict}  rerun {reran:5.0f} s, equal {total - len(unequal)} of {total} tables  "
            f"waterfall {waterfall} cells  family grid {grid} cells")


def main() -> None:
    """Read the command line and print the lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("company", nargs="?", default="demo", choices=list(CYCLES))
    parser.add_argument("--cycles", nargs="+")
    parser.add_argument("--into", type=Path)
    parser.add_argument("--effort", choices=["quick", "standard", "full"])
    parser.add_argument("--samples", type=int)
    parser.add_argument("--reviews", action="store_true")
    given = parser.parse_args()
    changed = {"forecast": {"effort": given.effort}} if given.effort else {}
    changed |= {"risk": {"samples": given.samples}} if given.samples is not None else {}
    with tempfile.TemporaryDirectory(prefix="sop-cycles-") as scratch:
        workspace = new_workspace(given.into or Path(scratch) / "w", given.company, **changed)
        if given.reviews:
            without_charts(workspace)
        for cycle_id in given.cycles or CYCLES[given.company]:
            again = Path(scratch) / f"again-{cycle_id}"
            print(line(workspace, cycle_id, again), flush=True)
        waterfall, grid = views_of_locked_plans(workspace)
        print(f"all {len(workspace.store.locked_cycles())} locked plans: waterfall {waterfall} cells, family grids {grid} cells")


if __name__ == "__main__":
    if "SOP_DATA" not in os.environ and "adventureworks" in sys.argv:
        os.environ["SOP_DATA"] = str(ROOT.parent / "shared" / "data")
    main()
