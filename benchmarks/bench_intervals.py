"""How much of the held-out periods the 80 % and the 95 % range held: M3, the invented company and AdventureWorks, by level.

`python benchmarks/bench_intervals.py [--sample N] [--only m3 demo adventureworks weeks redrawn] [--cycles …] [--each] [--draws N]`:
All 1,428 series of M3, or N taken evenly, as of the competition's last known month and 9 and 18 months before. The company is
planned as of thirteen days a month apart, twelve later months held out each time; AdventureWorks as of sixteen days, five later months.
"weeks" is the company's weekly light version as of fourteen days four weeks apart, thirteen later weeks (its errors are by calendar week).
Launches and phase-outs are planned by date: an item is judged until its sale has ended, a sum by what is on sale.
All days are pooled (`--each` prints every one besides), with the lowest and the highest day and the standard error by calendar months:
what a month brings, it brings to all series and to every day that holds it out. "redrawn" is the invented company drawn anew with N
other seeds (8): the same plans and promotions under other demand, five days each; its error, its lowest and its highest are by draw.
M3 and AdventureWorks need SOP_DATA.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import numpy as np
import pandas as pd
from bench_m3 import AHEAD, DATA, read_series

from sop_workbench.cli import main as sop
from sop_workbench.forecast.engine import WIDE_COVERAGE, NodeForecast, forecast_nodes
from sop_workbench.forecast.events import announced, event_effects
from sop_workbench.forecast.nodes import Nodes, hierarchy_nodes, plain_nodes
from sop_workbench.forecast.panel import KEYS, Panel, demand_panel
from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings, load_settings
from sop_workbench.sources import load_inputs

ROOT = Path(__file__).parents[1] / "data"
EXTRACT = Path(os.environ.get("SOP_DATA", Path(__file__).parents[2] / "shared" / "data")).resolve()
COVERAGES = (0.8, WIDE_COVERAGE)
COMPANIES = {
    # First and last cycle, the cycle that knows what happened, months held out.
    "demo": ("2024-10", "2025-10", "2026-10", 12),
    "adventureworks": ("2012-10", "2014-01", "2014-06", 5),
}
REDRAWN_CYCLES = ["2024-10", "2025-01", "2025-04", "2025-07", "2025-10"]
# First and last as-of day of the weekly version, the cycle that knows what happened, weeks held out.
WEEKS = ("2025-06-30", "2026-06-29", "2026-W40", 13)
MONTHS_BACK, LEAST_KNOWN = (0, 9, 18), 48
LEVELS = ("item_id × market_id", "item_id", "item_id × channel", "family", "family × region", "market_id", "region", "channel", "total")


# Where less of what a sum was forecast from is still on sale, its range says nothing of the rest.
LEAST_ON_SALE = 0.5


def held_out(panel: Panel, nodes: Nodes, later: pd.DataFrame, periods: pd.DatetimeIndex) -> np.ndarray:
    """What each item × market ordered in the held-out periods, leaves × periods; no row is no order."""
    inside = later[later["period"].isin(periods)]
    row = pd.MultiIndex.from_frame(panel.keys[KEYS]).get_indexer(pd.MultiIndex.from_frame(inside[KEYS]))
    leaf = np.zeros((nodes.leaves, len(periods)))
    # Items launched later have no series yet: no range was given for them.
    np.add.at(leaf, (row[row >= 0], periods.get_indexer(pd.DatetimeIndex(inside["period"]))[row >= 0]), inside["ordered_qty"][row >= 0])
    return leaf


def while_on_sale(nodes: Nodes, leaf: np.ndarray, forecast: np.ndarray, ended: np.ndarray) -> np.ndarray:
    """What happened to every node as far as its range is judged by it, nodes × periods; NaN where it is not.

    As in the back-test: launches and phase-outs are planned by date. A leaf counts until its sale has ended (`ended`, leaves ×
    periods); in a sum, what has ended is taken as forecast, as long as half of what it was forecast from is on sale.
    """
    expected = np.nan_to_num(forecast[: nodes.leaves, : leaf.shape[1]])
    whole, gone = nodes.summing @ expected, nodes.summing @ np.where(ended, expected, 0)
    sums = nodes.summing @ np.where(ended, expected, leaf)
    return np.vstack([np.where(ended, np.nan, leaf), np.where(whole - gone >= LEAST_ON_SALE * whole, sums, np.nan)])


# By level: the periods held out on one day, and whether each range held them, coverages × series × periods; NaN where not judged.
Held = dict[str, list[tuple[pd.DatetimeIndex, np.ndarray]]]


def keep(held: Held, made: NodeForecast, actual: np.ndarray, periods: pd.DatetimeIndex, rows_of: dict[str, np.ndarray]) -> None:
    """Note what the ranges of one day held, over series that are not known to have ended."""
    months = actual.shape[1]
    bounds = [made.bounds(coverage) for coverage in COVERAGES]
    inside = np.stack([(actual >= low[:, :months]) & (actual <= high[:, :months]) for low, high in bounds])
    inside = np.where(np.isnan(actual), np.nan, inside)
    for level, rows in rows_of.items():
        held.setdefault(level, []).append((periods, inside[:, rows[made.group[rows] >= 0]]))


def print_each(name: str, held: Held) -> None:
    """One line per level for the newest day."""
    for level, days in held.items():
        inside = days[-1][1]
        if np.isnan(inside).all():
            continue
        shares = " | ".join(f"{share:.1%}" for share in np.nanmean(inside, axis=(1, 2)))
        print(f"| {name} | 1 | {level} | {(~np.isnan(inside[0])).sum():,} | {shares} |", flush=True)


def print_pooled(name: str, held: Held) -> None:
    """One line per level over all days: months held out, share held ± its standard error by calendar month (lowest and highest day)."""
    for level, days in held.items():
        month = pd.DatetimeIndex(np.concatenate([periods.to_numpy() for periods, _ in days]))
        cases = pd.Series(np.concatenate([(~np.isnan(part[0])).sum(axis=0) for _, part in days])).groupby(month).sum().to_numpy()
        words = []
        for place in range(len(COVERAGES)):
            hits = pd.Series(np.concatenate([np.nansum(part[place], axis=0) for _, part in days])).groupby(month).sum().to_numpy()
            share = hits.sum() / cases.sum()
            error = np.sqrt(((hits - share * cases) ** 2).sum() * len(cases) / (len(cases) - 1)) / cases.sum()
            by_day = [np.nanmean(part[place]) for _, part in days if not np.isnan(part[place]).all()]
            words.append(f"{share:.1%} ± {100 * error:.1f} ({100 * min(by_day):.0f}–{100 * max(by_day):.0f})")
        print(f"| {name} | {len(days)} | {level} | {cases.sum():,} | " + " | ".join(words) + " |", flush=True)


def competition(count: int | None, each: bool = False) -> None:
    """Ranges on M3: series that have nothing to do with each other."""
    if not DATA.exists():
        print(f"| M3 | {DATA} is absent: set SOP_DATA | | | | |")
        return
    held: Held = {}
    for back in MONTHS_BACK:
        whole = [np.r_[known, later] for known, later in zip(*read_series(count), strict=True)]
        whole = [series[: len(series) - back] for series in whole if len(series) - back - AHEAD >= LEAST_KNOWN]
        length = max(map(len, whole)) - AHEAD
        demand = np.vstack([np.r_[np.full(length + AHEAD - len(series), np.nan), series] for series in whole])
        dates = pd.date_range("2000-01-01", periods=length + AHEAD, freq="MS")
        nodes = plain_nodes(demand[:, :length], np.zeros((len(whole), length + AHEAD, 2)))
        made = forecast_nodes(nodes, dates[:length], dates[length:], Settings(company="M3"), Calendar("month"))
        keep(held, made, demand[:, length:], dates[length:], {"series": np.arange(len(whole))})
        if each:
            print_each(f"M3, {back} months before", held)
    print_pooled("M3", held)


def company(name: str, chosen: list[str] | None = None, each: bool = False) -> None:
    """Ranges of a company at every level and as-of date."""
    if name == "adventureworks" and not (EXTRACT / name).is_dir():
        print(f"| {name} | no extract in {EXTRACT}: set SOP_DATA | | | | |")
        return
    os.environ["SOP_DATA"] = str(EXTRACT)
    first, last, newest, months = COMPANIES[name]
    cycles = chosen or [f"{day:%Y-%m}" for day in pd.date_range(first, last, freq="MS")]
    print_pooled(name, planned(ROOT / name, cycles, newest, months, name if each else ""))


def planned(folder: Path, cycles: list[str], newest: str, months: int, label: str = "") -> Held:
    """What the ranges of a company's cycles held; every cycle is printed under a label."""
    settings = load_settings(folder)
    latest = load_inputs(settings, folder, settings.calendar.as_of(newest))[0]
    last_sale = pd.to_datetime(latest["item"].set_index("item_id")["phase_out_date"])
    held: Held = {}
    for cycle in cycles:
        inputs, _ = load_inputs(settings, folder, settings.calendar.as_of(cycle))
        periods = settings.calendar.horizon(cycle, settings.horizon)
        panel = demand_panel(inputs["sales_history"], settings.calendar.add(periods[0], -1), settings.calendar)
        touched = (panel.keys, panel.periods.append(periods), inputs["event"], inputs["item"], inputs["market"])
        known = announced(*touched, settings.calendar)
        nodes = hierarchy_nodes(panel, event_effects(*touched), inputs["item"], inputs["market"], known)
        made = forecast_nodes(nodes, panel.periods, periods, settings, settings.calendar)
        # A level may repeat another where a company has but one of something.
        rows_of = {level: np.unique(nodes.members[level]["node"].to_numpy()) for level in LEVELS}
        ahead = periods[:months]
        ended = panel.keys["item_id"].map(last_sale).to_numpy()[:, None] < ahead.to_numpy()
        actual = while_on_sale(nodes, held_out(panel, nodes, latest["sales_history"], ahead), made.forecast, ended)
        keep(held, made, actual, ahead, rows_of)
        if label:
            print_each(f"{label}, {cycle}", held)
    return held


@contextmanager
def new_company(*options: str) -> Iterator[Path]:
    """The invented company as `sop new` makes it, in a folder that goes afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        with redirect_stdout(sys.stderr):  # the table stays whole
            sop(["new", folder, "--demo", *options], standalone_mode=False)
        yield Path(folder)


def weeks(chosen: list[str] | None = None, each: bool = False) -> None:
    """Ranges of the invented company in weeks, as `sop new X --demo --bucket week` makes it."""
    first, last, newest, ahead = WEEKS
    cycles = chosen or [f"{day:%G-W%V}" for day in pd.date_range(first, last, freq="4W-MON")]
    with new_company("--bucket", "week") as folder:
        print_pooled("weeks", planned(folder, cycles, newest, ahead, "weeks" if each else ""))


def redrawn(draws: int, each: bool) -> None:
    """Ranges of the invented company under demand drawn anew: one line per level, ± the standard error by draw."""
    sys.path.insert(0, str(ROOT / "demo"))
    from generate import write_extract
    _, _, newest, months = COMPANIES["demo"]
    shares: dict[str, list[np.ndarray]] = {}
    cases: dict[str, int] = {}
    for seed in range(1, draws + 1):
        with new_company() as folder:
            write_extract(folder / "extract", seed)
            held = planned(folder, REDRAWN_CYCLES, newest, months)
        if each:
            print_pooled(f"draw {seed}", held)
        for level, days in held.items():
            inside = np.concatenate([part.reshape(len(COVERAGES), -1) for _, part in days], axis=1)
            shares.setdefault(level, []).append(np.nanmean(inside, axis=1))
            cases[level] = cases.get(level, 0) + (~np.isnan(inside[0])).sum()
    for level, found in shares.items():
        share = np.stack(found)
        error = share.std(axis=0, ddof=1) / np.sqrt(draws)
        words = [f"{share[:, i].mean():.1%} ± {100 * error[i]:.1f} ({100 * share[:, i].min():.0f}–{100 * share[:, i].max():.0f})"
                 for i in range(len(COVERAGES))]
        print(f"| {draws} draws | {draws * len(REDRAWN_CYCLES)} | {level} | {cases[level]:,} | " + " | ".join(words) + " |", flush=True)


def main() -> None:
    """Print the table and the processor time it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, help="series of M3 taken evenly; all by default")
    parser.add_argument("--cycles", nargs="*", help="as-of cycles of the companies; all by default")
    parser.add_argument("--each", action="store_true", help="every day besides all of them")
    sets = ["m3", *COMPANIES, "weeks", "redrawn"]
    parser.add_argument("--only", nargs="*", default=sets, choices=sets)
    parser.add_argument("--draws", type=int, default=8, help="seeds the company is drawn with anew")
    options = parser.parse_args()
    print("| data | days | level | periods held out | 80 % range held (by day) | 95 % range held (by day) |\n|---|---|---|---|---|---|")
    if "m3" in options.only:
        competition(options.sample, options.each)
    for name in COMPANIES:
        if name in options.only:
            company(name, options.cycles, options.each)
    if "weeks" in options.only:
        weeks(options.cycles, options.each)
    if "redrawn" in options.only:
        redrawn(options.draws, options.each)
    print(f"\n{time.process_time():.0f} processor seconds")


if __name__ == "__main__":
    main()
