"""Eight weeks ahead with known prices and promotions: orange juice in 83 stores, with and without drivers, in one run.

`python benchmarks/bench_orange_juice.py` prints WAPE and bias by brand × store over rolling origins, and the elasticities.
The data (Dominick's, Montgomery 1997) are looked for in the folder named by SOP_DATA, else in ../shared/data.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from statsforecast import StatsForecast
from statsforecast.models import AutoETS, DynamicOptimizedTheta, SeasonalNaive

from sop_workbench.forecast.drivers import DriverNames, driver_forecast
from sop_workbench.forecast.panel import KEYS

WITHOUT_ONE_PRICE = "drivers without the uniform price"
WEEKS_AHEAD = 8
# Seven origins, eight weeks apart: each of the last 56 weeks is forecast once.
ORIGINS = 7
START = pd.Timestamp("1989-09-14")
NAMES = DriverNames(
    elastic=("price_amt", "rival_price_amt"), uplift=("feature", "rival_feature", "one_price"), joint=(("feature", "price_amt"),)
)


def orange_juice() -> pd.DataFrame:
    """The table of sales and drivers: item_id (brand), market_id (store), period, ordered_qty, drivers."""
    folder = Path(os.environ.get("SOP_DATA", Path(__file__).parents[2] / "shared" / "data"))
    path = folder / "forecast" / "orange_juice_weekly.parquet"
    if not path.exists():
        sys.exit(f"skipped: {path} is absent; set SOP_DATA to the folder that holds forecast/orange_juice_weekly.parquet")
    raw = pd.read_parquet(path)
    brands = int(raw["brand"].max())
    own = raw["brand"].to_numpy() - 1
    # Rivals count by their sales in the first year, known long before the first origin.
    early = raw[raw["week"] < raw["week"].min() + 52].groupby("brand")["units"].sum()
    weight = np.tile(early.to_numpy(dtype=float), (len(raw), 1))
    weight[np.arange(len(raw)), own] = 0
    weight /= weight.sum(axis=1, keepdims=True)
    prices = np.log(raw[[f"price{number}" for number in range(1, brands + 1)]].to_numpy(dtype=float))
    featured = raw.pivot(index=["store", "week"], columns="brand", values="feat")
    # A brand that a store did not sell in a week was in no leaflet there.
    rival = featured.fillna(0.0).reindex(pd.MultiIndex.from_frame(raw[["store", "week"]])).to_numpy()
    return with_one_price(pd.DataFrame({
        "item_id": raw["brand_name"].astype(object), "market_id": raw["store"].map("{:03d}".format).astype(object),
        "period": START + pd.to_timedelta(7 * raw["week"].astype(int), unit="D"), "ordered_qty": raw["units"].astype(float),
        "price_amt": raw["price"].astype(float), "rival_price_amt": np.exp((prices * weight).sum(axis=1)),
        "deal": raw["deal"].astype(float), "feature": raw["feat"].astype(float), "rival_feature": (rival * weight).sum(axis=1),
    }))  # fmt: skip


def with_one_price(table: pd.DataFrame) -> pd.DataFrame:
    """Adds the share of stores that sell a brand at its most frequent price of the week.

    Stores price by zone; a price that is the same in all of them is that of a special for the whole chain, and planned with it.
    """
    cents = table["price_amt"].round(4)
    stores = table.groupby(["item_id", "period", cents])["market_id"].transform("size")
    place = [table["item_id"], table["period"]]
    return table.assign(one_price=stores.groupby(place).transform("max") / stores.groupby(place).transform("size"))


def without_drivers(past: pd.DataFrame, plan: pd.DataFrame) -> pd.DataFrame:
    """Seasonal naive, AutoETS and Theta on the plan's series and weeks; gaps bridged by the last week known."""
    wide = past.pivot(index="period", columns=KEYS, values="ordered_qty").asfreq("7D").ffill().bfill()
    long = wide.T.reset_index(drop=True).T.melt(ignore_index=False, var_name="unique_id", value_name="y").reset_index(names="ds")
    models = [SeasonalNaive(52), AutoETS(1, model="ZZN"), DynamicOptimizedTheta(1)]
    made = StatsForecast(models, freq="7D", n_jobs=1).forecast(df=long.astype({"y": float}), h=WEEKS_AHEAD)
    made[KEYS] = wide.columns.to_frame(index=False).iloc[made["unique_id"].astype(int)].to_numpy()
    return plan[[*KEYS, "period"]].merge(made.drop(columns="unique_id").rename(columns={"ds": "period"}), how="left", validate="one_to_one")


def score(name: str, forecast: np.ndarray, actual: np.ndarray, seconds: float) -> str:
    """One line of the table."""
    wape, bias = np.abs(forecast - actual).sum() / actual.sum(), (forecast - actual).sum() / actual.sum()
    return f"| {name} | {wape:.1%} | {bias:+.1%} | {seconds:.1f} |"


def main() -> None:
    """Measure and print."""
    table = orange_juice()
    last = table["period"].max()
    seconds = dict.fromkeys(("drivers", "others"), 0.0)
    fewer = DriverNames(NAMES.elastic, [name for name in NAMES.uplift if name != "one_price"], NAMES.joint)
    parts = []
    for number in range(ORIGINS, 0, -1):
        start = last - pd.Timedelta(weeks=WEEKS_AHEAD * number - 1)
        past = table[table["period"] < start]
        plan = table[(table["period"] >= start) & (table["period"] < start + pd.Timedelta(weeks=WEEKS_AHEAD))]
        begun = time.process_time()
        made, effects = driver_forecast(past, plan, NAMES)
        seconds["drivers"] += time.process_time() - begun
        begun = time.process_time()
        others = without_drivers(past, plan)
        seconds["others"] += time.process_time() - begun
        plain, _ = driver_forecast(past, plan, fewer)
        made = made.assign(**{WITHOUT_ONE_PRICE: plain["forecast_qty"]})
        joined = plan[[*KEYS, "period", "ordered_qty"]].merge(made, on=[*KEYS, "period"], validate="one_to_one")
        parts.append(joined.merge(others, on=[*KEYS, "period"], validate="one_to_one").assign(origin=start))
    every = pd.concat(parts, ignore_index=True)
    actual = every["ordered_qty"].to_numpy()
    print(f"{every.groupby(KEYS).ngroups} series, {ORIGINS} origins, {WEEKS_AHEAD} weeks ahead; processor seconds in all\n")
    print("| model | WAPE by brand × store | bias | seconds |\n|---|---|---|---|")
    print(score("drivers, pooled (ours)", every["forecast_qty"].to_numpy(), actual, seconds["drivers"]))
    print(score(WITHOUT_ONE_PRICE, every[WITHOUT_ONE_PRICE].to_numpy(), actual, seconds["drivers"]))
    for name in ("SeasonalNaive", "AutoETS", "DynamicOptimizedTheta"):
        print(score(f"{name}, no drivers", every[name].to_numpy(), actual, seconds["others"] / 3))
    inside = ((every["ordered_qty"] >= every["low_qty"]) & (every["ordered_qty"] <= every["high_qty"])).mean()
    print(f"\n80 % range covers {inside:.1%}")
    for origin, part in every.groupby("origin"):
        values = part["forecast_qty"].to_numpy(), part["ordered_qty"].to_numpy()
        print(score(f"ours from {origin:%Y-%m-%d}", *values, seconds["drivers"] / ORIGINS))
    print(f"\n{effects[effects['level'] != 'item_id × market_id'].round(2).to_string(index=False)}")


if __name__ == "__main__":
    main()
