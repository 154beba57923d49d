"""Accuracy of the demand plan on the AdventureWorks extract: five months that the plan did not know, by as-of date.

`python benchmarks/bench_adventureworks.py [--cycles 2013-10 2014-01] [--effort standard] [--parts]` prints WAPE and bias of the naive
method (mean of the last three periods), of the statistical forecast alone and of the plan with launches and phase-outs, at
item and item × territory; with `--parts` also what the forecast is worth without the hierarchy. Data: `adventureworks` in SOP_DATA.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import pandas as pd

from sop_workbench import demand, product
from sop_workbench.forecast.engine import forecast_nodes
from sop_workbench.forecast.events import event_effects
from sop_workbench.forecast.nodes import hierarchy_nodes
from sop_workbench.forecast.panel import demand_panel
from sop_workbench.settings import Settings, load_settings
from sop_workbench.sources import load_inputs

FOLDER = Path(__file__).parents[1] / "data" / "adventureworks"
EXTRACT = Path(os.environ.get("SOP_DATA", Path(__file__).parents[2] / "shared" / "data")).resolve()
CYCLES, NEWEST, MONTHS = ("2013-07", "2013-10", "2013-11", "2014-01"), "2014-06", 5
CELL = ["item_id", "market_id", "period"]
LEVELS = {"item": ["item_id"], "item × territory": ["item_id", "territory"]}


def scored(plan: pd.DataFrame, actual: pd.DataFrame, periods: pd.DatetimeIndex, keys: list[str]) -> tuple[float, float]:
    """WAPE and bias of `plan_qty` by keys and period; what only one of the two has counts as none in the other."""
    both = plan[plan["period"].isin(periods)].merge(actual[actual["period"].isin(periods)], on=CELL, how="outer", validate="one_to_one")
    both[["plan_qty", "ordered_qty"]] = both[["plan_qty", "ordered_qty"]].fillna(0.0)
    both["territory"] = both["market_id"].str.split("|").str[0]
    sums = both.groupby([*keys, "period"])[["plan_qty", "ordered_qty"]].sum()
    error = sums["plan_qty"] - sums["ordered_qty"]
    return float(error.abs().sum() / sums["ordered_qty"].sum()), float(error.sum() / sums["ordered_qty"].sum())


def naive_plan(history: pd.DataFrame, periods: pd.DatetimeIndex) -> pd.DataFrame:
    """Mean of the last three periods, carried forward; a period without a row counts as none ordered."""
    recent = history[history["period"].isin(history["period"].drop_duplicates().nlargest(3))]
    mean = recent.groupby(["item_id", "market_id"])["ordered_qty"].sum().clip(lower=0).div(3).rename("plan_qty").reset_index()
    return mean.merge(pd.DataFrame({"period": periods}), how="cross")


def forecast_by_place(inputs: dict[str, pd.DataFrame], settings: Settings, periods: pd.DatetimeIndex, item: pd.DataFrame,
                      market: pd.DataFrame | None) -> pd.DataFrame:
    """The statistical forecast of item × market, without the leaderboard, which takes its time."""
    calendar = settings.calendar
    panel = demand_panel(inputs["sales_history"], calendar.add(periods[0], -1), calendar)
    effects = event_effects(panel.keys, panel.periods.append(periods), inputs["event"], item, market)
    made = forecast_nodes(hierarchy_nodes(panel, effects, item, market), panel.periods, periods, settings, calendar)
    places = panel.keys.merge(pd.DataFrame({"period": periods}), how="cross")
    return places.assign(forecast_qty=made.forecast[: len(panel.keys)].ravel())


def plans(inputs: dict[str, pd.DataFrame], settings: Settings, periods: pd.DatetimeIndex, *, with_parts: bool) -> dict[str, pd.DataFrame]:
    """Naive, statistical and whole plan, and the statistical forecast that knows of no family, channel or region."""
    history, item = inputs["sales_history"], inputs["item"]
    forecast = forecast_by_place(inputs, settings, periods, item, inputs["market"])
    launch = product.launch_forecast(item, history, periods, settings.calendar)
    whole = demand.base_demand(forecast, launch, item, settings.calendar)
    made = {
        "naive": naive_plan(history, periods),
        "statistical": forecast.rename(columns={"forecast_qty": "plan_qty"}),
        f"plan: with launches ({launch['item_id'].nunique()} young items) and successors": whole.rename(columns={"base_qty": "plan_qty"}),
    }
    if with_parts:
        alone = forecast_by_place(inputs, settings, periods, item.assign(family="all"), None)
        made["statistical, without families, channels and regions"] = alone.rename(columns={"forecast_qty": "plan_qty"})
    return made


def main() -> None:
    """Print the table of every cycle."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cycles", nargs="*", default=list(CYCLES))
    parser.add_argument("--effort", default="standard", choices=["quick", "standard", "full"])
    parser.add_argument("--parts", action="store_true", help="also without families, channels and regions")
    options = parser.parse_args()
    if not (EXTRACT / "adventureworks").is_dir():
        print(f"no AdventureWorks extract in {EXTRACT}; name its folder in SOP_DATA")
        return
    os.environ["SOP_DATA"] = str(EXTRACT)
    settings = load_settings(FOLDER)
    settings = settings.model_copy(update={"forecast": settings.forecast.model_copy(update={"effort": options.effort})})
    actual = load_inputs(settings, FOLDER, settings.calendar.as_of(NEWEST))[0]["sales_history"][[*CELL, "ordered_qty"]]
    print("| known until | plan | " + " | ".join(f"{level}: WAPE (bias)" for level in LEVELS) + " |\n|---|---|" + "---|" * len(LEVELS))
    for cycle in options.cycles:
        inputs, _ = load_inputs(settings, FOLDER, settings.calendar.as_of(cycle))
        periods = settings.calendar.horizon(cycle, settings.horizon)
        begun = time.process_time()
        for name, plan in plans(inputs, settings, periods, with_parts=options.parts).items():
            figures = [scored(plan[[*CELL, "plan_qty"]], actual, periods[:MONTHS], keys) for keys in LEVELS.values()]
            words = " | ".join(f"{wape:.3f} ({bias:+.3f})" for wape, bias in figures)
            print(f"| {settings.calendar.as_of(cycle):%Y-%m-%d} | {name} | {words} |", flush=True)
        print(f"| | {time.process_time() - begun:.0f} processor seconds | |" + " |" * (len(LEVELS) - 1), flush=True)


if __name__ == "__main__":
    main()
