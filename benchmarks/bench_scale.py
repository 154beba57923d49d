"""Time and memory of the statistical forecast as the number of series grows.

`python benchmarks/bench_scale.py [count ...] [--effort quick standard]` runs 1,000, 5,000 and 20,000 synthetic series
(item × market, 48 months, 18 ahead), each in a fresh process.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time

import numpy as np
import pandas as pd

from sop_workbench.forecast import statistical_forecast
from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings

MARKETS, MONTHS, AHEAD = 10, 48, 18


def history(series: int) -> pd.DataFrame:
    """Sales with trend, season and noise; a tenth of the series is intermittent."""
    rng = np.random.default_rng(1)
    periods = pd.date_range("2022-01-01", periods=MONTHS, freq="MS")
    season = 1 + 0.3 * np.sin(2 * np.pi * (np.arange(MONTHS)[None] / 12 + rng.random((series, 1))))
    level = rng.lognormal(4, 1, (series, 1)) * (1 + rng.normal(0, 0.005, (series, 1)) * np.arange(MONTHS))
    quantity = np.maximum(level * season * rng.lognormal(0, 0.2, (series, MONTHS)), 0).round()
    quantity[rng.random((series, MONTHS)) < (rng.random((series, 1)) < 0.1) * 0.7] = 0
    number = np.repeat(np.arange(series), MONTHS)
    return pd.DataFrame({
        "item_id": np.char.mod("I%05d", number // MARKETS).astype(object),
        "market_id": np.char.mod("M%02d", number % MARKETS).astype(object),
        "period": np.tile(periods, series), "ordered_qty": quantity.ravel(),
    })  # fmt: skip


def measure(series: int, effort: str) -> str:
    """One line of the table, measured in this process."""
    table = history(series)
    periods = pd.date_range("2026-01-01", periods=AHEAD, freq="MS")
    settings = Settings.model_validate({"company": "Any", "forecast": {"effort": effort}})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    wall, processor = time.perf_counter(), time.process_time()
    made, _ = statistical_forecast(table, periods, settings, Calendar("month"))
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if len(made) != series * AHEAD:
        raise SystemExit(f"{len(made):,} rows made, {series * AHEAD:,} expected")
    return (
        f"| {effort} | {series:,} | {wall:.1f} | {processor:.1f} | {1000 * processor / series:.1f} | {peak:,.0f} | {peak - before:,.0f} |"
    )


def main() -> None:
    """Measure and print; with --one, a single case in this process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("counts", nargs="*", type=int, default=[1000, 5000, 20000], help="numbers of series")
    parser.add_argument("--effort", nargs="+", default=["quick", "standard"])
    parser.add_argument("--one", action="store_true", help="only the first of each, in this process")
    options = parser.parse_args()
    if options.one:
        print(measure(options.counts[0], options.effort[0]))
        return
    print("| effort | series | seconds | processor seconds | processor ms a series | peak MB | of it for the forecast |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for effort in options.effort:
        for count in options.counts:
            subprocess.run([sys.executable, __file__, str(count), "--effort", effort, "--one"], check=True)


if __name__ == "__main__":
    main()
