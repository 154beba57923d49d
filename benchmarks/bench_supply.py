"""The supply plan stated and solved: ours beside the same linear program as raw arrays, in linopy and through Pyomo's usual way.

`python benchmarks/bench_supply.py [--sizes S,M,L] [--ways raw,ours,linopy,appsi] [--no-solve] [--time-limit SECONDS] [--solver NAME]`

Every way runs in a process of its own and starts from the same sparse frames (`supply_instance`), whose time stands in its own
column. Times are processor seconds; "ranges" is how far the dearest prices hold, which the peers do not tell. Peak memory is what
the process needed above the loaded frames. Where the time limit (seconds by the clock) ends a solve, its row says how far it came.
`--solver` takes one of HiGHS's (ipx, pdlp, simplex) instead of the workbench's choice by size. linopy comes with
`pip install -e .[bench]`; without it its row says so.
"""

from __future__ import annotations

import argparse
import json
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import highspy
import numpy as np
import pandas as pd
import psutil
from company import SETTINGS, SIZES, company

from sop_workbench import tables
from sop_workbench.supply import plan
from sop_workbench.supply.compile import compile_arrays
from sop_workbench.supply.explain import binding_limits
from sop_workbench.supply.instance import supply_instance
from sop_workbench.supply.model import build_model
from sop_workbench.supply.readback import Reader
from sop_workbench.supply.solve import collection_paused, concluded, open_solver, read_solution, run_cold, solver_options

WAYS = ("raw", "ours", "linopy", "appsi")
CHOSEN_SOLVER: list[str] = []  # instead of the workbench's choice


class Stages:
    """Processor seconds by stage, and the peak of memory above the start."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.ended = ""
        self._start = psutil.Process().memory_info().rss
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak counts from here

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Take the time of one stage."""
        start = time.process_time()
        yield
        self.seconds[name] = time.process_time() - start
        print(f"{name} {self.seconds[name]:.2f}", file=sys.stderr, flush=True)  # what was reached stays known if a later stage fails

    def solve(self, solver: Any) -> bool:
        """Solve cold; whether it ended with an optimum in time."""
        with self.stage("solve"):
            if CHOSEN_SOLVER:
                solver.setOptionValue("solver", CHOSEN_SOLVER[0])
                solver.run()
            else:
                run_cold(solver)
        info = solver.getInfo()
        self.ended = (f"{solver.modelStatusToString(solver.getModelStatus())}; {info.ipm_iteration_count:,} interior point, "
                      f"{info.crossover_iteration_count:,} crossover, {info.simplex_iteration_count:,} simplex, "
                      f"{info.pdlp_iteration_count:,} first-order steps").lower()
        return solver.getModelStatus() == highspy.HighsModelStatus.kOptimal

    def peak_mb(self) -> float:
        """Most memory above the start."""
        status = Path("/proc/self/status").read_text(encoding="ascii")
        peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
        return (peak * 1024 - self._start) / 1e6


# ------------------------------------------------------------------ the ways; each returns objective and size
def raw(instance: Any, settings: Any, stages: Stages, with_solve: bool) -> tuple[float, tuple]:
    """Arrays by hand."""
    from supply_peers import raw_arrays, raw_tables
    with stages.stage("build"):
        arrays = raw_arrays(instance, settings)
    with stages.stage("translate"):
        solver = open_solver(arrays, settings)
    if with_solve and stages.solve(solver):
        with stages.stage("read back"):
            raw_tables(instance, arrays, np.asarray(solver.getSolution().col_value))
    return solver.getInfo().objective_function_value, (*arrays.matrix.shape, arrays.matrix.nnz)


def ours(instance: Any, settings: Any, stages: Stages, with_solve: bool) -> tuple[float, tuple]:
    """The workbench."""
    with collection_paused():
        with stages.stage("build"):
            model = build_model(instance, settings)
        with stages.stage("translate"):
            arrays = compile_arrays(model)
            solver = open_solver(arrays, settings)
    solution = None
    if with_solve and stages.solve(solver):
        solution = read_solution(solver, arrays, concluded(solver, arrays, settings))
        source = plan.Source(Reader(instance, arrays, solution), _without_ranges(settings), tables.table("market").empty())
        with stages.stage("read back"):  # every result table, validated, with the price of every limit in a sentence
            plan.read_result(source)
        with stages.stage("ranges"):  # how far the dearest prices hold, by solving on
            binding_limits(source.read, settings)
    return solution.objective_amt if solution else 0.0, (*arrays.matrix.shape, arrays.matrix.nnz)


def _without_ranges(settings: Any) -> Any:
    return settings.model_copy(update={"supply": settings.supply.model_copy(update={"explained_limits": 0})})


def linopy(instance: Any, settings: Any, stages: Stages, with_solve: bool) -> tuple[float, tuple]:
    """linopy, handed over in memory."""
    import warnings

    from supply_peers import Numbers, linopy_model
    warnings.simplefilter("ignore")
    with stages.stage("build"):
        model = linopy_model(instance, settings)
    with stages.stage("translate"):
        solver = model.to_highspy() if hasattr(model, "to_highspy") else __import__("linopy").io.to_highspy(model)
    for option, value in solver_options(settings).items():
        solver.setOptionValue(option, value)
    if with_solve and stages.solve(solver):
        with stages.stage("read back"):
            value = pd.Series(np.asarray(solver.getSolution().col_value))
            labels = model.matrices.vlabels
            for name in model.variables:
                pd.Series(value.to_numpy(), index=labels).reindex(model.variables[name].labels.values.ravel())
    d = Numbers(instance, settings)
    earned = float((d.price * d.demand).sum())
    return earned - solver.getInfo().objective_function_value, (solver.getNumRow(), solver.getNumCol(), solver.getNumNz())


def appsi(instance: Any, settings: Any, stages: Stages, with_solve: bool) -> tuple[float, tuple]:
    """The same rules, every constraint made by Pyomo, handed over by its usual interface."""
    from pyomo.contrib.appsi.solvers import Highs
    with stages.stage("build"):
        model = build_model(instance, settings, in_bulk=False)
    solver = Highs()
    solver.highs_options = solver_options(settings)
    with stages.stage("translate"):
        solver.set_instance(model)
    inner = solver._solver_model
    objective = 0.0
    if with_solve:
        inner.setOptionValue("output_flag", False)
        for option, value in solver_options(settings).items():
            inner.setOptionValue(option, value)
        stages.solve(inner)
        objective = inner.getInfo().objective_function_value
        with stages.stage("read back"):
            solver._sol = inner.getSolution()
            for variable, value in zip(solver._pyomo_var_to_solver_var_map, solver._sol.col_value, strict=True):
                solver._vars[variable][0].set_value(value, skip_validation=True)
    return objective, (inner.getNumRow(), inner.getNumCol(), inner.getNumNz())


# ------------------------------------------------------------------ one process per way
def measure(way: str, folder: Path, with_solve: bool, time_limit: float) -> dict[str, Any]:
    """One way in this process."""
    settings = SETTINGS.model_copy(update={"supply": SETTINGS.supply.model_copy(update={"time_limit_seconds": time_limit})})
    inputs, demand, target, periods = pickle.loads((folder / "company.pkl").read_bytes())
    start = time.process_time()
    instance = supply_instance(inputs, demand, target, settings, periods, settings.calendar)
    seconds = time.process_time() - start
    del inputs, demand, target
    stages = Stages()
    run: Callable[..., tuple[float, tuple]] = globals()[way]
    try:
        objective, size = run(instance, settings, stages, with_solve)
    except ImportError as fault:
        return {"missing": str(fault)}
    return {"sets": seconds, **stages.seconds, "peak": stages.peak_mb(), "objective": objective, "size": size, "ended": stages.ended}


def show(size: str, found: dict[str, dict[str, Any]]) -> None:
    """The table of one size."""
    rows, columns, entries = next(result["size"] for result in found.values() if "size" in result)
    print(f"\n{size}: {rows:,} rows, {columns:,} columns, {entries:,} entries\n")
    print("| way | frames | build | translate | build + translate | × raw | solve | read back | ranges | peak MB | × raw | objective |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    base = found.get("raw", {})
    for way, result in found.items():
        if "missing" in result:
            print(f"| {way} | not measured: {result['missing']} |")
            continue
        stated = result["build"] + result["translate"]
        times = f"{stated / (base['build'] + base['translate']):.1f}" if base else ""
        memory = f"{result['peak'] / base['peak']:.1f}" if base else ""
        solved = [f"{result[name]:.2f}" if name in result else "–" for name in ("solve", "read back", "ranges")]
        print(f"| {way} | {result['sets']:.2f} | {result['build']:.3f} | {result['translate']:.3f} | {stated:.3f} | {times} | {solved[0]} "
              f"| {solved[1]} | {solved[2]} | {result['peak']:,.0f} | {memory} | {result['objective']:,.2f} |", flush=True)
    for way, result in found.items():
        if result.get("ended"):
            print(f"\n{way}: {result['ended']}", flush=True)
    objectives = [result["objective"] for result in found.values() if "optimal;" in result.get("ended", "")]
    if len(objectives) > 1:
        print(f"\nlargest relative difference of the objectives: {np.ptp(objectives) / abs(objectives[0]):.1e}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="S,M")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--no-solve", action="store_true")
    parser.add_argument("--time-limit", type=float, default=3600.0)
    parser.add_argument("--solver", choices=["ipx", "pdlp", "simplex"])
    parser.add_argument("--one", nargs=2, metavar=("WAY", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    CHOSEN_SOLVER.extend([options.solver] if options.solver else [])
    if options.one:
        print(json.dumps(measure(options.one[0], Path(options.one[1]), not options.no_solve, options.time_limit)))
        return
    for size in options.sizes.split(","):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "company.pkl").write_bytes(pickle.dumps(company(*SIZES[size])))
            found = {}
            for way in options.ways.split(","):
                command = [sys.executable, __file__, "--one", way, folder, "--time-limit", str(options.time_limit)]
                command += [*(["--no-solve"] if options.no_solve else []), *(["--solver", options.solver] if options.solver else [])]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                found[way] = json.loads(done.stdout.splitlines()[-1])
                print(size, way, found[way], file=sys.stderr, flush=True)
            show(size, found)


if __name__ == "__main__":
    main()
