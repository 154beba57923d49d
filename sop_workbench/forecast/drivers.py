"""Demand with known drivers: price, rival price, deals and features, pooled over the markets of an item and over items.

Each series s of item i follows

    log y(s,t) = level(s,t) + Σ_k x_k(s,t) β_k(s) + season(s,t) + ε,   ε ~ N(0, σ(s))
    β(s) ~ N(β(i), D),   β(i) ~ N(β, Ω)

so that a series with little evidence leans on its item and an item on the company (empirical Bayes: D and Ω
are estimated from the data, by EM). Items sell in many markets under the same weather and the same leaflet;
what markets share in a period is no independent evidence, so the evidence of an item is divided by the
design effect 1 + (markets − 1) · intraclass correlation. The level is an exponentially weighted mean of what the drivers leave
over. The exponent of a forecast in logs is the median, and rare weeks that sell many times as much are what the mean lies above
it for. So the way back is learned (Duan 1983, with a gamma regression in place of his mean):

    E y = exp(median) · exp(a(i) + Σ_u x_u c_u),

from the exponents of past errors, item by item (leaning on all items) and more where an uplift runs. Errors are cross-fitted: the
drivers' coefficients are learned without the block of periods in which the error is taken, as errors of periods a model was fitted to
are too small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.stats import norm

from sop_workbench.errors import SopError
from sop_workbench.forecast.panel import KEYS
from sop_workbench.forecast.structure import yearly_terms

SEASON_ORDER = 1
_LEVEL_MEMORY = 0.9
_ITERATIONS = 30
_LEAST_VARIANCE = 1e-6
_NOISE, _NOISE_WEIGHT = 0.05, 5
_LEAST_OBSERVATIONS = 3
_FOLDS = 5
_RETURN_ITEM_WEIGHT, _RETURN_RIDGE, _RETURN_STEPS, _RETURN_TOLERANCE = 4.0, 1e-3, 50, 1e-8
EFFECT_COLUMNS = ["driver", "level", "member", "measure", "effect_ratio", "low_ratio", "high_ratio", "basis", "stated_ratio",
                  "evidence"]


@dataclass(frozen=True)
class DriverNames:
    """Which columns of a table drive demand, and how.

    Attributes
    ----------
    elastic : sequence of str
        Taken in logs, so the coefficient is an elasticity: prices of one's own and of rivals; above 0.
    uplift : sequence of str
        Taken as they are (0/1 or a share): deal, feature, display.
    joint : sequence of (uplift, elastic)
        Pairs whose elasticity differs while the uplift runs: a price cut works harder in the leaflet.
    """

    elastic: Sequence[str]
    uplift: Sequence[str] = ()
    joint: Sequence[tuple[str, str]] = ()

    @property
    def columns(self) -> list[str]:
        """Columns a table must have."""
        return [*self.elastic, *self.uplift]

    @property
    def labels(self) -> list[str]:
        """Name of every coefficient."""
        return [*self.columns, *(f"{price} during {uplift}" for uplift, price in self.joint)]


@dataclass(frozen=True)
class DriverModel:
    """What was learned; every array is in the order of `keys` (series) or `items`.

    Attributes
    ----------
    keys : DataFrame
        item_id and market_id of each series.
    items : Index
        Items; `item` holds each series' place in it.
    series, series_variance : ndarray, series × coefficients
        Coefficients of drivers, then of season, and their variance.
    members, member_variance : ndarray, items × coefficients
    overall, overall_variance : ndarray, coefficients
    level : ndarray, series
        Log of demand at average drivers, at the end of history.
    centre : ndarray, series × coefficients
        Average drivers.
    noise : ndarray, items
        Variance of the log of demand around its forecast.
    tail : ndarray, 101
        Quantiles 0 … 100 % of the size of past errors in standard deviations of their item.
    lift : ndarray, items
        Log of mean over median demand where no uplift runs.
    uplift_lift : ndarray, uplifts
        What a whole unit of each uplift adds to it.
    observed : ndarray, series
        Periods with demand known.
    typical : DataFrame, items × elastic drivers
        Log of the usual value, from which joint effects are measured.
    """

    names: DriverNames
    keys: pd.DataFrame
    items: pd.Index
    item: np.ndarray
    series: np.ndarray
    series_variance: np.ndarray
    members: np.ndarray
    member_variance: np.ndarray
    overall: np.ndarray
    overall_variance: np.ndarray
    level: np.ndarray
    centre: np.ndarray
    noise: np.ndarray
    tail: np.ndarray
    lift: np.ndarray
    uplift_lift: np.ndarray
    observed: np.ndarray
    typical: pd.DataFrame


@dataclass(frozen=True)
class _Evidence:
    """What the data of every series say, before anything is pooled: Σ x xᵀ, Σ x y, Σ y² around the series' mean."""

    gram: np.ndarray
    moment: np.ndarray
    square: np.ndarray
    count: np.ndarray
    item: np.ndarray
    design_effect: np.ndarray


@dataclass(frozen=True)
class _Pooled:
    """Coefficients at the three levels with their variances."""

    series: np.ndarray
    series_cov: np.ndarray
    members: np.ndarray
    member_cov: np.ndarray
    overall: np.ndarray
    overall_cov: np.ndarray


def driver_forecast(
    history: pd.DataFrame, plan: pd.DataFrame, names: DriverNames, quantity: str = "ordered_qty", interval: float = 0.8
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Forecast demand under planned prices and promotions, and show what each driver does.

    Parameters
    ----------
    history : DataFrame
        item_id, market_id, period, the quantity, and the drivers. Rows without a quantity are gaps.
    plan : DataFrame
        item_id, market_id, period and the drivers as planned. Series that were never sold are left out.
    names : DriverNames
        Which columns drive demand.
    interval : float
        Share of outcomes meant to lie between low and high.

    Returns
    -------
    forecast : DataFrame
        item_id, market_id, period, forecast_qty (expected demand), low_qty, high_qty, model.
    driver_effect : DataFrame
        See `driver_effects`.

    Raises
    ------
    SopError
        When a driver is missing, empty or (in logs) not above 0, or no series has three periods.
    """
    ahead = max(int(plan["period"].nunique()), 1)
    model = fit_drivers(history, names, quantity, ahead)
    return apply_drivers(model, plan, interval), driver_effects(model)


def fit_drivers(history: pd.DataFrame, names: DriverNames, quantity: str = "ordered_qty", ahead: int = 1) -> DriverModel:
    """Learn the drivers of every series with pooling over markets and items.

    A period without demand is read as half the series' smallest sale, as zero has no logarithm.

    Parameters
    ----------
    history : DataFrame
        item_id, market_id, period, the quantity, and the drivers.
    ahead : int
        Periods the forecast will reach; noise is measured half as far ahead.

    Raises
    ------
    SopError
        When a driver is missing, empty or (in logs) not above 0, or no series has three periods.
    """
    known = _long_enough(history[history[quantity].notna()], quantity)
    _check(known, names, "history")
    keys = known[KEYS].drop_duplicates().sort_values(KEYS).reset_index(drop=True)
    items = pd.Index(sorted(keys["item_id"].unique()))
    item = items.get_indexer(keys["item_id"])
    typical = np.log(known.groupby("item_id")[list(names.elastic)].median())
    demand, features = _matrices(known, keys, names, quantity, typical)
    evidence, middle, centre = _evidence(demand, features, item)
    pooled = _pool(evidence)
    leftover = demand - _effect(features, centre, pooled.series)
    evidence = replace(evidence, design_effect=_design_effect(leftover - middle[:, None], item, len(items)))
    pooled = _pool(evidence)
    level = _level_path(demand - _effect(features, centre, pooled.series))[:, -1]
    error = _past_errors(_cross_fitted(demand, features, centre, evidence), max(ahead // 2, 1))
    noise = _noise(error, leftover, item, len(items))
    lift, uplift_lift = _mean_over_median(error, _uplifts(features, names), item, len(items), noise)
    return DriverModel(
        names, keys, items, item, pooled.series, _diagonal(pooled.series_cov), pooled.members, _diagonal(pooled.member_cov),
        pooled.overall, np.diag(pooled.overall_cov).copy(), level, centre, noise, _tail(error, noise, item), lift, uplift_lift,
        evidence.count, typical,
    )  # fmt: skip


def apply_drivers(model: DriverModel, plan: pd.DataFrame, interval: float = 0.8) -> pd.DataFrame:
    """Expected demand under planned drivers, with its range.

    Parameters
    ----------
    plan : DataFrame
        item_id, market_id, period and the drivers as planned. Series the model does not know are left out.
    interval : float
        Share of outcomes meant to lie between low and high.

    Returns
    -------
    DataFrame
        item_id, market_id, period, forecast_qty, low_qty, high_qty, model.

    Raises
    ------
    SopError
        When a driver is missing, empty or (in logs) not above 0.
    """
    row = pd.MultiIndex.from_frame(model.keys).get_indexer(pd.MultiIndex.from_frame(plan[KEYS]))
    known, row = plan[row >= 0].reset_index(drop=True), row[row >= 0]
    _check(known, model.names, "plan")
    features = _features(known, model.names, model.typical)
    median = model.level[row] + ((features - model.centre[row]) * model.series[row]).sum(axis=1)
    width = np.interp(interval, np.linspace(0, 1, len(model.tail)), model.tail) * np.sqrt(model.noise[model.item[row]])
    mean = median + model.lift[model.item[row]] + _uplifts(features, model.names) @ model.uplift_lift
    made = known[[*KEYS, "period"]].assign(
        forecast_qty=np.exp(mean), low_qty=np.exp(median - width), high_qty=np.exp(median + width), model="drivers"
    )
    return made.sort_values([*KEYS, "period"]).reset_index(drop=True)


def driver_effects(model: DriverModel, confidence: float = 0.95) -> pd.DataFrame:
    """What each driver does to demand: overall, by item, by item and market.

    Parameters
    ----------
    confidence : float
        Of the range low to high.

    Returns
    -------
    DataFrame
        `driver_effect`: driver, level (all, item_id, item_id × market_id), member, measure (elasticity: % of demand per % of
        the driver; uplift: share of demand added by one whole unit of the driver), effect_ratio, low_ratio, high_ratio, evidence.
    """
    pairs = model.keys["item_id"] + " · " + model.keys["market_id"]
    periods = pd.Series(model.observed)
    by_item = periods.groupby(model.item)
    words = [f"{count} periods" for count in model.observed]
    item_words = [f"{n} markets, {total} periods" for n, total in zip(by_item.size(), by_item.sum(), strict=True)]
    all_words = [f"{len(model.items)} items, {len(pairs)} series, {int(model.observed.sum())} periods"]
    parts = [
        _effect_rows(model.names, "all", ["all"], model.overall[None], model.overall_variance[None], all_words, confidence),
        _effect_rows(model.names, "item_id", list(model.items), model.members, model.member_variance, item_words, confidence),
        _effect_rows(model.names, "item_id × market_id", list(pairs), model.series, model.series_variance, words, confidence),
    ]
    return pd.concat(parts, ignore_index=True)[EFFECT_COLUMNS]


def _effect_rows(
    names: DriverNames, level: str, members: list[str], value: np.ndarray, variance: np.ndarray, words: list[str], confidence: float
) -> pd.DataFrame:
    width = norm.ppf(0.5 + confidence / 2) * np.sqrt(variance)
    rows = []
    for number, label in enumerate(names.labels):
        low, middle, high = (value[:, number] + side * width[:, number] for side in (-1, 0, 1))
        is_share = label in names.uplift
        low, middle, high = (np.expm1(part) if is_share else part for part in (low, middle, high))
        measure = "uplift" if is_share else "elasticity"
        rows.append(pd.DataFrame({"driver": label, "level": level, "member": members, "measure": measure, "effect_ratio": middle,
                                  "low_ratio": low, "high_ratio": high, "basis": "estimated from history", "stated_ratio": np.nan,
                                  "evidence": words}))  # fmt: skip
    return pd.concat(rows, ignore_index=True)


# ------------------------------------------------------------------ matrices


def _long_enough(known: pd.DataFrame, quantity: str) -> pd.DataFrame:
    groups = known.groupby(KEYS)[quantity]
    kept = known[(groups.transform("size") >= _LEAST_OBSERVATIONS) & (groups.transform("max") > 0)]
    if kept.empty:
        raise SopError(f"no series has {_LEAST_OBSERVATIONS} periods of known demand; drivers cannot be learned from it")
    return kept


def _check(table: pd.DataFrame, names: DriverNames, where: str) -> None:
    absent = [name for name in names.columns if name not in table.columns]
    if absent:
        raise SopError(f"the {where} has no column {', '.join(absent)}; add the driver or leave it out of the model")
    for name in names.columns:
        values = table[name].to_numpy(dtype=float)
        wrong = ~np.isfinite(values) | ((values <= 0) if name in names.elastic else False)
        if wrong.any():
            row = table.iloc[int(wrong.argmax())]
            raise SopError(
                f"{where}: {name} is {row[name]} at item_id={row['item_id']}, market_id={row['market_id']}, "
                f"period={row['period']:%Y-%m-%d} ({int(wrong.sum()):,} rows); "
                + ("a driver in logs must be above 0" if name in names.elastic else "state 0 where the driver was off")
            )


def _features(table: pd.DataFrame, names: DriverNames, typical: pd.DataFrame) -> np.ndarray:
    """Rows × (drivers, season terms)."""
    value = {name: np.log(table[name].to_numpy(dtype=float)) for name in names.elastic}
    value |= {name: table[name].to_numpy(dtype=float) for name in names.uplift}
    # Measured from the item's usual price, so that the uplift of a feature is the one at that price.
    usual = {price: typical[price].reindex(table["item_id"]).to_numpy() for _, price in names.joint}
    columns = [value[name] for name in names.columns]
    columns += [value[uplift] * (value[price] - usual[price]) for uplift, price in names.joint]
    return np.column_stack([*columns, yearly_terms(pd.DatetimeIndex(table["period"]), SEASON_ORDER)])


def _matrices(
    known: pd.DataFrame, keys: pd.DataFrame, names: DriverNames, quantity: str, typical: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray]:
    """Log demand, series × periods (NaN: gap), and features, series × periods × coefficients."""
    periods = pd.DatetimeIndex(sorted(known["period"].unique()))
    row = pd.MultiIndex.from_frame(keys).get_indexer(pd.MultiIndex.from_frame(known[KEYS]))
    column = periods.get_indexer(pd.DatetimeIndex(known["period"]))
    values = known[quantity].to_numpy(dtype=float)
    least = np.full(len(keys), np.inf)
    np.minimum.at(least, row, np.where(values > 0, values, np.inf))
    demand = np.full((len(keys), len(periods)), np.nan)
    demand[row, column] = np.log(np.maximum(values, least[row] / 2))
    features = _features(known, names, typical)
    cube = np.zeros((*demand.shape, features.shape[1]))
    cube[row, column] = features
    return demand, cube


def _evidence(demand: np.ndarray, features: np.ndarray, item: np.ndarray) -> tuple[_Evidence, np.ndarray, np.ndarray]:
    """Sums around each series' mean, the mean of its log demand, and of its features."""
    seen = ~np.isnan(demand)
    count = seen.sum(axis=1)
    middle = np.nansum(demand, axis=1) / count
    centre = (features * seen[:, :, None]).sum(axis=1) / count[:, None]
    y = np.where(seen, demand - middle[:, None], 0)
    x = (features - centre[:, None]) * seen[:, :, None]
    gram = x.transpose(0, 2, 1) @ x
    moment = np.einsum("stk,st->sk", x, y)
    return _Evidence(gram, moment, (y**2).sum(axis=1), count, item, np.ones(int(item.max()) + 1)), middle, centre


def _effect(features: np.ndarray, centre: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    return np.einsum("stk,sk->st", features, coefficients) - (centre * coefficients).sum(axis=1)[:, None]


# ------------------------------------------------------------------ pooling


def _pool(evidence: _Evidence) -> _Pooled:
    """EM: coefficients given the variances, then the variances that make them most likely."""
    size = evidence.moment.shape[1]
    noise = np.maximum(evidence.square / evidence.count, _LEAST_VARIANCE)
    between_markets, between_items = np.full(size, 0.5), np.full(size, 1.0)
    for _ in range(_ITERATIONS):
        pooled = _coefficients(evidence, noise, between_markets, between_items)
        apart = (pooled.series - pooled.members[evidence.item]) ** 2 + _diagonal(pooled.series_cov)
        between_markets = apart.mean(axis=0) + _LEAST_VARIANCE
        between_items = ((pooled.members - pooled.overall) ** 2 + _diagonal(pooled.member_cov)).mean(axis=0) + _LEAST_VARIANCE
        b = pooled.series
        error = evidence.square - 2 * (b * evidence.moment).sum(axis=1) + np.einsum("sk,skl,sl->s", b, evidence.gram, b)
        error = np.maximum(error, 0) + np.einsum("skl,slk->s", evidence.gram, pooled.series_cov)
        noise = (error + _NOISE * _NOISE_WEIGHT) / (evidence.count + _NOISE_WEIGHT)
    return pooled


def _coefficients(evidence: _Evidence, noise: np.ndarray, between_markets: np.ndarray, between_items: np.ndarray) -> _Pooled:
    """Posterior means from the top down; each level is seen through the variance of the level below."""
    precision, moment = evidence.gram / noise[:, None, None], evidence.moment / noise[:, None]
    series_cov, seen, told = _marginal(precision, moment, between_markets)
    count, size = len(evidence.design_effect), moment.shape[1]
    item_precision, item_moment = np.zeros((count, size, size)), np.zeros((count, size))
    np.add.at(item_precision, evidence.item, seen / evidence.design_effect[evidence.item][:, None, None])
    np.add.at(item_moment, evidence.item, told / evidence.design_effect[evidence.item][:, None])
    member_cov, seen, told = _marginal(item_precision, item_moment, between_items)
    overall_cov = np.linalg.inv(seen.sum(axis=0) + np.eye(size) * _LEAST_VARIANCE)
    overall = overall_cov @ told.sum(axis=0)
    members = np.einsum("ikl,il->ik", member_cov, item_moment + overall / between_items)
    series = np.einsum("skl,sl->sk", series_cov, moment + members[evidence.item] / between_markets)
    return _Pooled(series, series_cov, members, member_cov, overall, overall_cov)


def _marginal(precision: np.ndarray, moment: np.ndarray, between: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Posterior covariance of each unit, and its precision and moment about the mean of its group.

    With A the unit's precision and V = (A + D⁻¹)⁻¹, the group's mean is seen with precision A − A V A, which equals
    (A⁻¹ + D)⁻¹ and needs no inverse of A: a driver that never moved in a unit tells nothing.
    """
    covariance = np.linalg.inv(precision + np.diag(1 / between))
    weight = precision @ covariance
    return covariance, precision - weight @ precision, moment - np.einsum("skl,sl->sk", weight, moment)


def _design_effect(leftover: np.ndarray, item: np.ndarray, count: int) -> np.ndarray:
    """1 + (markets − 1) · intraclass correlation of what is left over in the same period, per item; at least 1."""
    result = np.ones(count)
    for number in range(count):
        part = leftover[item == number]
        seen = ~np.isnan(part)
        values, markets = np.where(seen, part, 0), seen.sum(axis=0)
        several = markets > 1
        if not several.any():
            continue
        pairs = (values.sum(axis=0) ** 2 - (values**2).sum(axis=0))[several].sum() / (markets * (markets - 1))[several].sum()
        alike = pairs / max((values**2).sum() / seen.sum(), _LEAST_VARIANCE)
        result[number] = max(1 + (markets[several].mean() - 1) * alike, 1)
    return result


def _diagonal(covariance: np.ndarray) -> np.ndarray:
    return np.einsum("skk->sk", covariance).copy()


# ------------------------------------------------------------------ level, and the way back from logs


def _level_path(leftover: np.ndarray) -> np.ndarray:
    """Exponentially weighted mean of what the drivers leave over, known at the end of each period; series × periods."""
    seen = ~np.isnan(leftover)
    value, total, weight = np.where(seen, leftover, 0), np.zeros(len(leftover)), np.zeros(len(leftover))
    path = np.full(leftover.shape, np.nan)
    for period in range(leftover.shape[1]):
        total = total * _LEVEL_MEMORY + value[:, period]
        weight = weight * _LEVEL_MEMORY + seen[:, period]
        path[:, period] = np.where(weight > 0, total / np.where(weight > 0, weight, 1), np.nan)
    return path


def _past_errors(leftover: np.ndarray, ahead: int) -> np.ndarray:
    """Log of demand over what was expected of it `ahead` periods before; NaN where either is not known."""
    error = np.full(leftover.shape, np.nan)
    error[:, ahead:] = leftover[:, ahead:] - _level_path(leftover)[:, :-ahead]
    return error


def _cross_fitted(demand: np.ndarray, features: np.ndarray, centre: np.ndarray, evidence: _Evidence) -> np.ndarray:
    """What drivers leave over in each block of periods when their coefficients are learned from the other blocks.

    A series known in one block only cannot do without it and keeps it.
    """
    blocks = np.array_split(np.arange(demand.shape[1]), min(_FOLDS, demand.shape[1]))
    leftover = np.full(demand.shape, np.nan)
    for block in blocks:
        others = demand.copy()
        others[:, block] = np.nan
        kept = (~np.isnan(others)).sum(axis=1) >= _LEAST_OBSERVATIONS - 1
        others = np.where(kept[:, None], others, demand)
        fold, _, _ = _evidence(others, features * ~np.isnan(others)[:, :, None], evidence.item)
        pooled = _pool(replace(fold, design_effect=evidence.design_effect))
        leftover[:, block] = (demand - _effect(features, centre, pooled.series))[:, block]
    return leftover


def _noise(error: np.ndarray, leftover: np.ndarray, item: np.ndarray, count: int) -> np.ndarray:
    """Mean square per item; an item too short to be held against its own past takes the mean of all."""
    known = ~np.isnan(error)
    square, number = np.zeros(count), np.zeros(count)
    np.add.at(square, item, (np.where(known, error, 0) ** 2).sum(axis=1))
    np.add.at(number, item, known.sum(axis=1))
    usual = square.sum() / number.sum() if number.any() else float(np.nanvar(leftover))
    return np.where(number > 0, square / np.maximum(number, 1), usual)


def _tail(error: np.ndarray, noise: np.ndarray, item: np.ndarray) -> np.ndarray:
    """Quantiles of the size of standardised errors; those of the normal distribution where no past error is known."""
    share = np.linspace(0, 1, 101)
    size = np.abs(error / np.sqrt(noise)[item][:, None])
    known = size[~np.isnan(size)]
    return np.quantile(known, share) if len(known) else norm.ppf(0.5 + np.minimum(share, 0.9999) / 2)


def _uplifts(features: np.ndarray, names: DriverNames) -> np.ndarray:
    """Of the features (last axis) those that are uplifts."""
    return features[..., len(names.elastic) : len(names.columns)]


def _mean_over_median(
    error: np.ndarray, uplift: np.ndarray, item: np.ndarray, count: int, noise: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Log of mean over median demand per item, and what each uplift adds: a gamma regression of exp(error) on both.

    An item counts against all items by its periods, all items as four times the mean number of periods of one. Without any
    past error the log-normal's σ²/2 stands in.
    """
    row, period = np.nonzero(~np.isnan(error))
    if len(row) == 0:
        return noise / 2, np.zeros(uplift.shape[2])
    ratio, of, driver = np.exp(error[row, period]), item[row], uplift[row, period]
    design = np.column_stack([np.ones(len(ratio)), driver])
    ridge = len(ratio) * np.diag([_LEAST_VARIANCE, *np.full(driver.shape[1], _RETURN_RIDGE)])
    number = np.bincount(of, minlength=count)
    prior = _RETURN_ITEM_WEIGHT * number.mean()
    common, own = np.zeros(design.shape[1]), np.zeros(count)
    common[0] = np.log(ratio.mean())
    for _ in range(_RETURN_STEPS):
        step = np.linalg.solve(design.T @ design + ridge, design.T @ (ratio / np.exp(design @ common + own[of]) - 1) - ridge @ common)
        common = common + step
        excess = np.bincount(of, ratio / np.exp(design @ common + own[of]) - 1, minlength=count)
        own = own + (excess - prior * own) / (number + prior)
        if np.abs(step).max() < _RETURN_TOLERANCE:
            break
    return common[0] + own, common[1:]
