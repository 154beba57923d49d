"""Accuracy on the 1,428 monthly series of the M3 competition, 18 months ahead: every model in one run, one table.

`python benchmarks/bench_m3.py [--sample N] [--all]`: N series evenly taken (200), or all. AutoARIMA and Prophet, the slow
ones, are run on a fixed part of them and compared with Naive2 on that part. Data: `forecast/m3_monthly.parquet` in SOP_DATA.
"""

from __future__ import annotations

import argparse
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from sop_workbench.forecast import candidates
from sop_workbench.forecast.engine import forecast_nodes
from sop_workbench.forecast.nodes import plain_nodes
from sop_workbench.periods import Calendar
from sop_workbench.settings import Forecast, Settings

DATA = Path(os.environ.get("SOP_DATA", Path(__file__).parents[2] / "shared" / "data")) / "forecast" / "m3_monthly.parquet"
AHEAD, SEASON, SLOW_SERIES, RESAMPLES = 18, 12, 300, 2000
FORECAST_PRO_OWA = 0.823
Figures = tuple[np.ndarray, np.ndarray]


def symmetric_error(actual: np.ndarray, forecast: np.ndarray) -> np.ndarray:
    """SMAPE in percent of each series: mean of 200 · |A − F| / (|A| + |F|), 0 where both are 0.

    >>> symmetric_error(np.array([[100.0, 0.0]]), np.array([[300.0, 0.0]])).tolist()
    [50.0]
    """
    size = np.abs(actual) + np.abs(forecast)
    return (200 * np.abs(actual - forecast) / np.where(size > 0, size, 1)).mean(axis=1)


def scaled_error(actual: np.ndarray, forecast: np.ndarray, known: list[np.ndarray]) -> np.ndarray:
    """MASE of each series: mean absolute error over that of the seasonal naive method inside the history.

    >>> scaled_error(np.array([[10.0]]), np.array([[14.0]]), [np.r_[np.zeros(12), np.full(12, 2.0)]]).tolist()
    [2.0]
    """
    scale = np.array([np.abs(series[SEASON:] - series[:-SEASON]).mean() for series in known])
    return np.abs(actual - forecast).mean(axis=1) / np.where(scale > 0, scale, np.nan)


def is_seasonal(series: np.ndarray) -> bool:
    """The competition's test: the autocorrelation at a year lies outside its 90 % band."""
    centred = series - series.mean()
    power = (centred**2).sum()
    if len(series) < 3 * SEASON or power == 0:
        return False
    correlation = np.array([(centred[lag:] * centred[:-lag]).sum() / power for lag in range(1, SEASON + 1)])
    band = 1.645 / np.sqrt(len(series)) * np.sqrt(np.cumsum(np.r_[1, 2 * correlation**2]))
    return bool(abs(correlation[-1]) > band[SEASON - 1])


def naive2(series: np.ndarray) -> np.ndarray:
    """The last value, seasonally adjusted by classical multiplicative decomposition where the series is seasonal.

    >>> naive2(np.array([3.0, 5.0])).tolist() == [5.0] * 18
    True
    """
    if not is_seasonal(series):
        return np.full(AHEAD, series[-1])
    kernel = np.r_[0.5, np.ones(SEASON - 1), 0.5] / SEASON
    trend = np.full(len(series), np.nan)
    trend[SEASON // 2 : -(SEASON // 2)] = np.convolve(series, kernel, "valid")
    factor = np.array([np.nanmean((series / trend)[month::SEASON]) for month in range(SEASON)])
    factor = np.resize(factor / factor.mean(), len(series) + AHEAD)
    return series[-1] / factor[len(series) - 1] * factor[len(series) :]


def auto_arima(series: np.ndarray, ahead: int, season_length: int) -> np.ndarray:
    """AutoARIMA of statsforecast."""
    from statsforecast.models import AutoARIMA

    return np.maximum(AutoARIMA(season_length=season_length).forecast(y=series, h=ahead)["mean"], 0)


def default_prophet(series: np.ndarray, dates: pd.DatetimeIndex, ahead: pd.DatetimeIndex) -> np.ndarray:
    """Prophet as it comes."""
    logging.getLogger("cmdstanpy").disabled = True
    from prophet import Prophet

    model = Prophet(uncertainty_samples=0).fit(pd.DataFrame({"ds": dates, "y": series}))
    return model.predict(pd.DataFrame({"ds": ahead}))["yhat"].to_numpy()


def read_series(count: int | None) -> tuple[list[np.ndarray], np.ndarray]:
    """History of each series, and its 18 held-out months."""
    frame = pd.read_parquet(DATA).sort_values(["unique_id", "ds"])
    names = np.array(sorted(frame["unique_id"].unique()))
    chosen = names if count is None else names[even_places(len(names), count)]
    groups = dict(list(frame.groupby("unique_id")))
    known = [groups[name].loc[~groups[name]["test"], "y"].to_numpy() for name in chosen]
    return known, np.vstack([groups[name].loc[groups[name]["test"], "y"].to_numpy() for name in chosen])


def even_places(length: int, count: int) -> np.ndarray:
    """Places of `count` members taken evenly."""
    return np.unique(np.linspace(0, length - 1, min(count, length)).round().astype(int))


def timed(call: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    """What a call gives, and its processor seconds."""
    start = time.process_time()
    return call(), time.process_time() - start


def our_forecast(known: list[np.ndarray], effort: str, coverage: float = 0.8) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Forecast, lower and upper bound of the engine; every series ends in the same month, as it would in a company."""
    length = max(map(len, known))
    demand = np.vstack([np.r_[np.full(length - len(series), np.nan), series] for series in known])
    dates = pd.date_range("2000-01-01", periods=length + AHEAD, freq="MS")
    settings = Settings(company="M3", forecast=Forecast(effort=effort, interval_ratio=coverage))
    nodes = plain_nodes(demand, np.zeros((len(known), length + AHEAD, 2)))
    made = forecast_nodes(nodes, dates[:length], dates[length:], settings, Calendar("month"))
    return made.forecast, made.low, made.high


def owa(figures: Figures, base: Figures) -> float:
    """Mean of sMAPE and MASE, each relative to Naive2's."""
    return float(np.mean([np.nanmean(mine) / np.nanmean(theirs) for mine, theirs in zip(figures, base, strict=True)]))


def difference_interval(mine: Figures, base: Figures, other: Figures | float) -> tuple[float, float]:
    """95 % bootstrap interval, series drawn anew, of the OWA of `mine` less that of another model or a published figure."""
    rng = np.random.default_rng(7)
    drawn = []
    for _ in range(RESAMPLES):
        rows = rng.integers(0, len(mine[0]), len(mine[0]))
        part = [tuple(values[rows] for values in figures) for figures in (mine, base)]
        against = other if isinstance(other, float) else owa(tuple(values[rows] for values in other), part[1])
        drawn.append(owa(*part) - against)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def each(model: candidates.Candidate, known: list[np.ndarray]) -> np.ndarray:
    """A candidate on every series."""
    return np.vstack([model(series, AHEAD, SEASON) for series in known])


def each_dated(model: Callable[..., np.ndarray], known: list[np.ndarray]) -> np.ndarray:
    """A candidate that reads dates, on every series."""
    dates = [pd.date_range("2000-01-01", periods=len(series) + AHEAD, freq="MS") for series in known]
    return np.vstack([model(series, when[:-AHEAD], when[-AHEAD:]) for series, when in zip(known, dates, strict=True)])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, default=200, help="series taken evenly")
    parser.add_argument("--all", action="store_true", help="all 1,428 series")
    parser.add_argument("--without", nargs="*", default=[], help="names of rows to leave out, such as AutoETS")
    options = parser.parse_args()
    known, actual = read_series(None if options.all else options.sample)
    slow = even_places(len(known), SLOW_SERIES)
    every = np.arange(len(known))
    candidates.theta(known[0], AHEAD, SEASON)  # imports are not counted
    rows = {
        "Naive2": (every, lambda part: np.vstack([naive2(series) for series in part])),
        "Theta": (every, lambda part: each(candidates.theta, part)),
        "quick": (every, lambda part: our_forecast(part, "quick")[0]),
        "standard": (every, lambda part: our_forecast(part, "standard")[0]),
        "full": (every, lambda part: our_forecast(part, "full")[0]),
        "Prophet, default": (slow, lambda part: each_dated(default_prophet, part)),
        "Prophet, tuned": (slow, lambda part: each_dated(candidates.prophet, part)),
        "AutoARIMA": (slow, lambda part: each(auto_arima, part)),
        "AutoETS": (every, lambda part: each(candidates.exponential_smoothing, part)),
    }
    figures: dict[str, Figures] = {}
    print("| model | series | sMAPE | MASE | OWA | CPU ms a series |\n|---|---|---|---|---|---|")
    for name, (chosen, model) in rows.items():
        if name in options.without:
            continue
        made, seconds = timed(lambda model=model, chosen=chosen: model([known[row] for row in chosen]))
        part = [known[row] for row in chosen]
        figures[name] = symmetric_error(actual[chosen], made), scaled_error(actual[chosen], made, part)
        base = tuple(values[chosen] for values in figures["Naive2"])
        smape, mase = (np.nanmean(values) for values in figures[name])
        print(
            f"| {name} | {len(chosen)} | {smape:.2f} | {mase:.3f} | {owa(figures[name], base):.3f} | {1000 * seconds / len(chosen):.1f} |",
            flush=True,
        )
    print(f"| ForecastPro, published | 1428 | | | {FORECAST_PRO_OWA} | |\n")
    for effort in ("standard", "full"):
        for name, other in {"ForecastPro's published figure": FORECAST_PRO_OWA, "Theta": figures["Theta"]}.items():
            if effort in figures:
                low, high = difference_interval(figures[effort], figures["Naive2"], other)
                print(f"OWA of {effort} less {name}: 95 % bootstrap interval {low:+.3f} … {high:+.3f}")
    for coverage in (0.8, 0.95):
        _, low_bound, high_bound = our_forecast(known, "standard", coverage)
        print(f"{coverage:.0%} range of standard holds {((actual >= low_bound) & (actual <= high_bound)).mean():.1%}", flush=True)


if __name__ == "__main__":
    main()
