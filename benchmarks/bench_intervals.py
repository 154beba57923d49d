"""How much of the held-out months the 80 % and the 95 % range held: M3, the invented company and AdventureWorks, by level.

`python benchmarks/bench_intervals.py [--sample N] [--all] [--only m3 demo adventureworks]`: N series of M3 taken evenly (357), or
all 1,428. The company is planned with what was known up to a year before its newest cycle, and half a year before that, its later
twelve months held out; AdventureWorks as of 2013-12-27 and two earlier days, five later months. M3 and AdventureWorks need SOP_DATA.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import pandas as pd
from bench_m3 import AHEAD, DATA, read_series

from sop_workbench.forecast.engine import WIDE_COVERAGE, NodeForecast, forecast_nodes
from sop_workbench.forecast.events import event_effects
from sop_workbench.forecast.nodes import Nodes, hierarchy_nodes, plain_nodes
from sop_workbench.forecast.panel import KEYS, Panel, demand_panel
from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings, load_settings
from sop_workbench.sources import load_inputs

ROOT = Path(__file__).parents[1] / "data"
EXTRACT = Path(os.environ.get("SOP_DATA", Path(__file__).parents[2] / "shared" / "data")).resolve()
COVERAGES = (0.8, WIDE_COVERAGE)
COMPANIES = {"demo": (("2025-04", "2025-10"), "2026-10", 12), "adventureworks": (("2013-10", "2013-11", "2014-01"), "2014-06", 5)}
LEVELS = ("item_id × market_id", "item_id", "item_id × channel", "family", "family × region", "market_id", "region", "channel", "total")


def held_out(panel: Panel, nodes: Nodes, later: pd.DataFrame, periods: pd.DatetimeIndex) -> np.ndarray:
    """What was ordered in the held-out periods, nodes × periods; no row is no order."""
    inside = later[later["period"].isin(periods)]
    row = pd.MultiIndex.from_frame(panel.keys[KEYS]).get_indexer(pd.MultiIndex.from_frame(inside[KEYS]))
    leaf = np.zeros((nodes.leaves, len(periods)))
    # Items launched later have no series yet: no range was given for them.
    np.add.at(leaf, (row[row >= 0], periods.get_indexer(pd.DatetimeIndex(inside["period"]))[row >= 0]), inside["ordered_qty"][row >= 0])
    return np.vstack([leaf, nodes.summing @ leaf])


def print_rows(name: str, made: NodeForecast, actual: np.ndarray, rows_of: dict[str, np.ndarray]) -> None:
    """One line per level: the share of held-out months inside each range, over series that are not known to have ended."""
    inside = []
    for coverage in COVERAGES:
        low, high = made.bounds(coverage)
        months = actual.shape[1]
        inside.append((actual >= low[:, :months]) & (actual <= high[:, :months]))
    for level, rows in rows_of.items():
        live = rows[made.group[rows] >= 0]
        shares = " | ".join(f"{part[live].mean():.1%}" for part in inside)
        print(f"| {name} | {level} | {len(live):,} | {len(live) * actual.shape[1]:,} | {shares} |", flush=True)


def competition(count: int | None) -> None:
    """Ranges on M3: series that have nothing to do with each other."""
    if not DATA.exists():
        print(f"| M3 | {DATA} is absent: set SOP_DATA | | | | |")
        return
    known, actual = read_series(count)
    length = max(map(len, known))
    demand = np.vstack([np.r_[np.full(length - len(series), np.nan), series] for series in known])
    dates = pd.date_range("2000-01-01", periods=length + AHEAD, freq="MS")
    nodes = plain_nodes(demand, np.zeros((len(known), length + AHEAD, 2)))
    made = forecast_nodes(nodes, dates[:length], dates[length:], Settings(company="M3"), Calendar("month"))
    print_rows("M3", made, actual, {"series": np.arange(len(known))})


def company(name: str, chosen: list[str] | None = None) -> None:
    """Ranges of a company at every level and as-of date."""
    cycles, newest, months = COMPANIES[name]
    if name == "adventureworks" and not (EXTRACT / name).is_dir():
        print(f"| {name} | no extract in {EXTRACT}: set SOP_DATA | | | | |")
        return
    os.environ["SOP_DATA"] = str(EXTRACT)
    settings = load_settings(ROOT / name)
    later = load_inputs(settings, ROOT / name, settings.calendar.as_of(newest))[0]["sales_history"]
    for cycle in [cycle for cycle in cycles if not chosen or cycle in chosen]:
        inputs, _ = load_inputs(settings, ROOT / name, settings.calendar.as_of(cycle))
        periods = settings.calendar.horizon(cycle, settings.horizon)
        panel = demand_panel(inputs["sales_history"], settings.calendar.add(periods[0], -1), settings.calendar)
        effects = event_effects(panel.keys, panel.periods.append(periods), inputs["event"], inputs["item"], inputs["market"])
        nodes = hierarchy_nodes(panel, effects, inputs["item"], inputs["market"])
        made = forecast_nodes(nodes, panel.periods, periods, settings, settings.calendar)
        rows_of = {level: np.unique(nodes.members[level]["node"].to_numpy()) for level in LEVELS}
        print_rows(f"{name}, {cycle}", made, held_out(panel, nodes, later, periods[:months]), rows_of)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, default=357, help="series of M3 taken evenly")
    parser.add_argument("--all", action="store_true", help="all 1,428 series of M3")
    parser.add_argument("--cycles", nargs="*", help="as-of cycles of the companies; all by default")
    parser.add_argument("--only", nargs="*", default=["m3", *COMPANIES], choices=["m3", *COMPANIES])
    options = parser.parse_args()
    print("| data | level | series | months held out | 80 % range held | 95 % range held |\n|---|---|---|---|---|---|")
    if "m3" in options.only:
        competition(None if options.all else options.sample)
    for name in COMPANIES:
        if name in options.only:
            company(name, options.cycles)


if __name__ == "__main__":
    main()
