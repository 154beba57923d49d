"""Scenarios and samples of the demo company: side by side against one after another, and the plan for all samples.

`python benchmarks/bench_scenarios.py [--scenarios 100] [--samples 30] [--workspace DIR]`. A cycle of the demo company is planned first, in
a folder of its own that is thrown away, or taken from the workspace named. Wall time for the scenarios (what else runs disturbs it: the
load of the machine is printed beside it), processor time for the samples.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

os.environ.setdefault("OMP_NUM_THREADS", "1")

from sop_workbench import reviews, risk, scenario
from sop_workbench.cli import main as sop
from sop_workbench.store import Cycle, open_workspace
from sop_workbench.supply.instance import supply_instance
from sop_workbench.supply.plan import compiled_plan


def made_scenarios(count: int) -> list[scenario.Scenario]:
    """Demand of one market after another 1 to 20 % higher or lower."""
    markets = ["N-RET", "N-ONL", "W-RET", "S-RET", "E-RET"]
    levers = [{"table": "consensus_demand", "column": "demand_qty", "operation": "multiply", "value": 0.8 + 0.4 * n / count,
               "where": {"market_id": markets[n % len(markets)]}} for n in range(count)]
    return [scenario.Scenario.model_validate({"scenario": f"s{n:03d}", "levers": [lever]}) for n, lever in enumerate(levers)]


def planned(workspace: Path) -> Cycle:
    """The demo company's cycle, planned to its supply review."""
    sop(["new", str(workspace), "--demo"], standalone_mode=False)
    cycle = open_workspace(workspace).cycle("2026-10")
    for review in (reviews.data_gathering_review, reviews.product_review, reviews.demand_review, reviews.supply_review):
        review(cycle)
    return cycle


@contextmanager
def processors() -> Iterator[list[float]]:
    """Processor seconds of this process (first) and of each worker, looked up five times a second, longest first."""
    used: dict[int, float] = {}
    told: list[float] = []
    ended, begun = threading.Event(), time.process_time()

    def look() -> None:
        while not ended.wait(0.2):
            for worker in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):
                    used[worker.pid] = sum(worker.cpu_times()[:2])

    watch = threading.Thread(target=look)
    watch.start()
    yield told
    ended.set()
    watch.join()
    told += [time.process_time() - begun, *sorted(used.values(), reverse=True)]


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenarios", type=int, default=100)
    parser.add_argument("--samples", type=int, default=30)
    parser.add_argument("--workspace", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cycle = open_workspace(options.workspace).cycle("2026-10") if options.workspace else planned(Path(folder) / "demo")
        inputs, demand, target = cycle.inputs(), cycle.read("consensus_demand"), cycle.read("inventory_target")
    situation = (inputs, demand, target)
    print("| way | scenarios | seconds | a scenario | processor seconds, each process | load of the machine |\n|---|---|---|---|---|---|")
    seconds = {}
    for workers, words in ((1, "one after another"), (2, "two processes")):
        settings = cycle.settings.model_copy(update={"compute": cycle.settings.compute.model_copy(update={"workers": workers})})
        start = time.perf_counter()
        with processors() as told:
            scenario.evaluate_all(made_scenarios(options.scenarios), *situation, settings, cycle.periods, cycle.calendar)
        seconds[workers] = time.perf_counter() - start
        each = seconds[workers] / options.scenarios
        busy = " + ".join(f"{part:.1f}" for part in told if part >= 0.05)
        print(f"| {words} | {options.scenarios} | {seconds[workers]:.1f} | {each:.2f} | {busy} | {os.getloadavg()[0]:.1f} |", flush=True)
    print(f"\nside by side is {seconds[1] / seconds[2]:.2f} times as fast\n")
    settings = cycle.settings.model_copy(update={"risk": cycle.settings.risk.model_copy(update={"samples": options.samples})})
    instance = supply_instance(*situation, settings, cycle.periods, cycle.calendar)
    arrays = compiled_plan(instance, settings)
    start = time.process_time()
    found = risk.try_samples(instance, arrays, inputs, demand, settings, cycle.calendar)
    taken = time.process_time() - start
    print("\n".join(found["risk_value"]["sentence"]))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    size = f"{arrays.matrix.shape[0]:,} rows and {arrays.columns_count:,} columns each"
    print(f"{options.samples} samples, {size}: {taken:.1f} processor seconds, peak {peak:,.0f} MB")


if __name__ == "__main__":
    main()
