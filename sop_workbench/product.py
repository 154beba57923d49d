"""Product review: what kind of item each is, launches, phase-outs, excess stock, the portfolio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy.optimize import least_squares

from sop_workbench import tables
from sop_workbench.errors import SopError
from sop_workbench.forecast.models import ENDED, route
from sop_workbench.forecast.panel import KEYS, demand_panel, like_for_like, pooled
from sop_workbench.forecast.structure import deseasonalised, repeats_yearly
from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings

ABC_LIMITS = (0.80, 0.95)
XYZ_LIMITS = (0.5, 1.0)
INTERVAL_LIMIT, SIZE_LIMIT = 1.32, 0.49
YOUNG_PERIODS = 6
_CLASSES = np.array(["A", "B", "C"], dtype=object)
_VARIATIONS = np.array(["X", "Y", "Z"], dtype=object)


# ------------------------------------------------------------------ classes


def classify_items(
    item: pd.DataFrame, sales_history: pd.DataFrame, price: pd.DataFrame, settings: Settings, as_of: pd.Timestamp, calendar: Calendar
) -> pd.DataFrame:
    """Say of every finished item how much it brings, how steady it sells and where it is in its life.

    ABC by cumulative revenue of the last year (A up to 80 %, B up to 95 %; the item that crosses a limit
    still belongs to the better class); XYZ by the coefficient of variation of demand without its season
    (.5, 1.0); pattern by mean interval between demands (1.32) and squared variation of their size (.49,
    Syntetos, Boylan & Croston 2005); stage of life from dates, and from sales where dates are empty.

    Parameters
    ----------
    item, sales_history, price : DataFrame
        Input tables; a price values sales without invoiced money.
    as_of : Timestamp
        Last day known.

    Returns
    -------
    DataFrame
        `item_class`, one row per finished item, sorted by item.
    """
    last = calendar.period_of(as_of)
    finished = item[item["item_type"] == "finished"].sort_values("item_id").reset_index(drop=True)
    known = sales_history[(sales_history["period"] <= last) & sales_history["item_id"].isin(finished["item_id"])]
    demand = _item_demand(finished, known, last, calendar)
    money = _year_money(finished, known, price, last, calendar)
    frame = pd.DataFrame(
        {
            "item_id": finished["item_id"],
            "family": finished["family"],
            "abc": abc_class(money["revenue_amt"]),
            "xyz": "Z",
            "demand_pattern": "none",
            "lifecycle": _lifecycle(finished, demand, as_of, calendar),
            **money,
        }
    )
    frame["variation_ratio"], frame["demand_interval"], size_variation = _variability(demand, calendar)
    known_variation = frame["variation_ratio"].notna()
    frame.loc[known_variation, "xyz"] = _VARIATIONS[np.searchsorted(XYZ_LIMITS, frame.loc[known_variation, "variation_ratio"])]
    frame["demand_pattern"] = demand_pattern(frame["demand_interval"], size_variation)
    return tables.validate("item_class", frame[list(tables.table("item_class").columns)])


def abc_class(value: pd.Series) -> pd.Series:
    """A, B or C by cumulative value, largest first; nothing sold is C.

    Examples
    --------
    >>> abc_class(pd.Series([700.0, 150.0, 100.0, 50.0, 0.0])).tolist()
    ['A', 'A', 'B', 'C', 'C']
    """
    worth = value.clip(lower=0)
    ranked = worth.sort_values(ascending=False, kind="stable")
    total = ranked.sum()
    if total <= 0:
        return pd.Series("C", index=value.index, dtype=object)
    before = (ranked.cumsum() - ranked) / total
    classes = pd.Series(_CLASSES[np.searchsorted(ABC_LIMITS, before + 1e-12, side="left")], index=ranked.index)
    return classes.where(ranked > 0, "C").reindex(value.index)


def demand_pattern(interval: pd.Series, size_variation: pd.Series) -> pd.Series:
    """Smooth, erratic, intermittent or lumpy by demand interval and squared variation of size; none without demand.

    Examples
    --------
    >>> demand_pattern(pd.Series([1.0, 1.0, 2.0, 2.0, np.nan]), pd.Series([0.1, 0.6, 0.1, 0.6, np.nan])).tolist()
    ['smooth', 'erratic', 'intermittent', 'lumpy', 'none']
    """
    rare, uneven = interval > INTERVAL_LIMIT, size_variation > SIZE_LIMIT
    words = np.select([interval.isna(), rare & uneven, rare, uneven], ["none", "lumpy", "intermittent", "erratic"], "smooth")
    return pd.Series(words, index=interval.index, dtype=object)


def _item_demand(finished: pd.DataFrame, known: pd.DataFrame, last: pd.Timestamp, calendar: Calendar) -> np.ndarray:
    """Items × periods in the order of `finished`; NaN before the first sale and for items never sold."""
    panel = demand_panel(known, last, calendar)
    if panel.keys.empty:
        return np.full((len(finished), 1), np.nan)
    number = pd.Index(finished["item_id"]).get_indexer(panel.keys["item_id"])
    total = pooled(panel.demand, number)
    missing = np.full((len(finished) - len(total), total.shape[1]), np.nan)
    return np.vstack([total, missing])


def _year_money(
    finished: pd.DataFrame, known: pd.DataFrame, price: pd.DataFrame, last: pd.Timestamp, calendar: Calendar
) -> dict[str, pd.Series]:
    """Revenue, margin and volume of the last year by item; nothing sold is zero money."""
    year = known[known["period"] > calendar.add(last, -calendar.buckets_per_year)]
    mean_price = price.groupby("item_id")["price_amt"].mean()
    invoiced = year["net_sales_amt"].fillna(year["ordered_qty"] * year["item_id"].map(mean_price))
    revenue, volume = (
        series.groupby(year["item_id"]).sum().reindex(finished["item_id"], fill_value=0.0).reset_index(drop=True)
        for series in (invoiced, year["ordered_qty"])
    )
    return {"revenue_amt": revenue, "margin_amt": revenue - volume * finished["standard_cost_amt"], "demand_qty": volume}


def _lifecycle(finished: pd.DataFrame, demand: np.ndarray, as_of: pd.Timestamp, calendar: Calendar) -> np.ndarray:
    """Ended, phase-out, launch or mature; dates first, sales where dates are empty."""
    age = (~np.isnan(demand)).sum(axis=1)
    by_sales_ended = (route(demand) == ENDED) & (age > 0)
    launched = finished["launch_date"].fillna(pd.Timestamp.min)
    year = calendar.buckets_per_year
    a_year_ago = calendar.first_day(calendar.add(calendar.period_of(as_of), -year))
    # An item that is on file from the first period on may be much older than the history; its date decides.
    is_young = np.where(finished["launch_date"].notna(), launched > a_year_ago, (age < year) & (age < demand.shape[1]) & (age > 0))
    ended = (finished["phase_out_date"] <= as_of) | by_sales_ended
    never = (age == 0) & ~is_young
    return np.select([ended | never, finished["phase_out_date"] > as_of, is_young], ["ended", "phase_out", "launch"], "mature")


def _variability(demand: np.ndarray, calendar: Calendar) -> tuple[np.ndarray, np.ndarray, pd.Series]:
    """Variation of demand without season, mean interval between demands, squared variation of demand size."""
    steady = deseasonalised(demand, calendar.buckets_per_year)
    sold = np.nan_to_num(demand) > 0
    length, count = (~np.isnan(demand)).sum(axis=1), sold.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        variation = _deviation(steady, ~np.isnan(steady)) / (np.nansum(steady, axis=1) / length)
        interval = np.where(count > 0, length / count, np.nan)
        size = np.where(sold, demand, 0).sum(axis=1) / count
        size_variation = (_deviation(demand, sold) / size) ** 2
    return np.where(length > 1, variation, np.nan), interval, pd.Series(size_variation)


def _deviation(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    count = valid.sum(axis=1)
    held = np.where(valid, values, 0.0)
    mean = held.sum(axis=1) / np.maximum(count, 1)
    return np.sqrt(np.where(valid, (held - mean[:, None]) ** 2, 0).sum(axis=1) / np.maximum(count - 1, 1))


# ------------------------------------------------------------------ launches


def launch_forecast(
    item: pd.DataFrame, sales_history: pd.DataFrame, periods: pd.DatetimeIndex, calendar: Calendar, coverage: float = 0.8
) -> pd.DataFrame:
    """Forecast items too young for a model by the launch curve of the item they are like.

    forecast(age) = scale · curve(age); the curve is what the like item sold at each age, without season,
    and its last half year beyond; scale = (mean own sales / mean of the curve so far)^(n / (n + k)) after n periods, k = 1
    with a like item and ¼ without; whole periods since the launch date of an
    item that never sold count as none sold. Without a like item the curve is the mean of all launches of the family, else of the company.
    Markets share by own sales so far and by the sales of the item copied. Where nothing like it was ever launched, Bass diffusion
    takes over once three periods are sold. `estimator` names what was used; `launch_curves` shows the others beside it. In the
    plan the curve hands over to the statistical forecast: it weighs 1 − n / 3 after n periods of sales (`weight_ratio`).

    Parameters
    ----------
    item, sales_history : DataFrame
        Input tables; history up to the period before `periods[0]` is read.
    periods : DatetimeIndex
        Periods to forecast.
    coverage : float
        Share of past launches that the range would have held.

    Returns
    -------
    DataFrame
        `launch_forecast` of finished items with fewer than six periods of sales that are on sale, or are launched, inside
        the horizon.
    """
    last = calendar.add(periods[0], -1)
    known = sales_history[sales_history["period"] <= last]
    launches = _Launches.read(item, known, last, calendar)
    parts = [launches.forecast(row, periods, coverage) for row in _young_items(item, launches, periods, calendar)]
    parts = [part for part in parts if len(part)]
    if not parts:
        return tables.table("launch_forecast").empty()
    return tables.validate("launch_forecast", pd.concat(parts, ignore_index=True).sort_values([*KEYS, "period"]).reset_index(drop=True))


# How many periods of own sales the level of the curve is worth: a like item is named by somebody who knows, a family's mean
# launch says little about one item. Sales below 5 % of the curve say no more than that.
_LIKE_PERIODS, _FAMILY_PERIODS = 1.0, 0.25
_LEAST_SHARE = 0.05
_PRIOR_PERIODS = 3
_HAND_OVER_PERIODS = 3
_LEAST_LAUNCHES = 5
_WIDE_RANGE = (0.5, 1.6)
_MOST_LAUNCHES = 20


def launch_curves(item: pd.DataFrame, sales_history: pd.DataFrame, periods: pd.DatetimeIndex, calendar: Calendar) -> pd.DataFrame:
    """What every estimator expects of a young item, beside each other: the profile of its like and Bass diffusion.

    Bass diffusion is fitted by least squares on sales, penalised for leaving what earlier launches were like (p, q and market;
    median of the family's, else the company's; else the published yearly averages p .03, q .38), as if that were three periods of data.

    Parameters
    ----------
    item, sales_history, periods, calendar
        As for `launch_forecast`.

    Returns
    -------
    DataFrame
        `launch_curve`; `is_used` marks what `launch_forecast` took.
    """
    last = calendar.add(periods[0], -1)
    launches = _Launches.read(item, sales_history[sales_history["period"] <= last], last, calendar)
    parts = []
    for row in _young_items(item, launches, periods, calendar):
        for place, estimate in enumerate(launches.estimates(row, periods)):
            model = estimate.model
            parts.append(pd.DataFrame({
                "item_id": row["item_id"], "estimator": estimate.estimator, "period": periods, "forecast_qty": estimate.quantity,
                "is_used": place == 0, "innovation_ratio": np.nan if model is None else model.innovation,
                "imitation_ratio": np.nan if model is None else model.imitation,
                "market_qty": np.nan if model is None else model.market_qty, "evidence": estimate.words,
            }))  # fmt: skip
    if not parts:
        return tables.table("launch_curve").empty()
    return tables.validate("launch_curve", pd.concat(parts, ignore_index=True))


@dataclass(frozen=True)
class _LaunchEstimate:
    """A young item's forecast by one estimator: total of its markets per period, and how it came about."""

    estimator: str
    quantity: np.ndarray
    words: str
    like: str | None
    model: BassModel | None


@dataclass(frozen=True)
class _Launches:
    """Sales of every item by age, without season, and who is whose neighbour."""

    item: pd.DataFrame
    demand: dict[str, np.ndarray]
    started: dict[str, pd.Timestamp]
    is_seen: dict[str, bool]
    market_share: pd.DataFrame
    season: dict[str, np.ndarray]
    calendar: Calendar

    @classmethod
    def read(cls, item: pd.DataFrame, known: pd.DataFrame, last: pd.Timestamp, calendar: Calendar) -> _Launches:
        """Sales per item from its first period on; a launch is seen when it lies inside the history."""
        panel = demand_panel(known, last, calendar)
        number, names = pd.factorize(panel.keys["item_id"], sort=True)
        total = pooled(panel.demand, number) if len(names) else np.zeros((0, 0))
        family = item.set_index("item_id")["family"].reindex(names)
        group = pd.factorize(family.where(family.notna(), ""), sort=True)[0]
        with_season = season_factors(like_for_like(total, group), panel.periods, calendar)
        demand, started, is_seen = {}, {}, {}
        launched = item.dropna(subset=["launch_date"]).set_index("item_id")["launch_date"].to_dict()
        for row, name in enumerate(names):
            first = int((~np.isnan(total[row])).argmax())
            factor = with_season[group[row]][[_season_slot(p, calendar) for p in panel.periods[first:]]]
            demand[name], started[name] = total[row, first:] / factor, panel.periods[first]
            # An old item that is ordered now and then may sell late for the first time: its date says that it is no launch.
            is_seen[name] = first > 0 and not launched.get(name, panel.periods[first]) < panel.periods[0]
        season = {label: with_season[group[row]] for row, label in enumerate(family.where(family.notna(), ""))}
        year = known[known["period"] > calendar.add(last, -calendar.buckets_per_year)]
        share = year.groupby(KEYS, as_index=False)["ordered_qty"].sum()
        return cls(item.set_index("item_id"), demand, started, is_seen, share, season, calendar)

    def forecast(self, row: dict, periods: pd.DatetimeIndex, coverage: float) -> pd.DataFrame:
        """Rows of `launch_forecast` for one young item; none when nothing like it was ever sold."""
        name = row["item_id"]
        chosen = next(iter(self.estimates(row, periods)), None)
        like = chosen.like if chosen is not None else None
        share = self._shares(name, like, row)
        if chosen is None or share.empty:
            return tables.table("launch_forecast").empty()
        quantity = chosen.quantity
        low, high = self._range(coverage)
        frame = share.assign(key=1).merge(pd.DataFrame({"period": periods, "total": quantity, "key": 1}), on="key", validate="many_to_many")
        frame["forecast_qty"] = frame["total"] * frame["share"]
        frame["low_qty"], frame["high_qty"] = frame["forecast_qty"] * low, frame["forecast_qty"] * high
        frame["method"], frame["estimator"] = chosen.words, chosen.estimator
        # After three periods the statistical forecast, which knows season and market, is the better one.
        frame["weight_ratio"] = max(1 - len(self.demand.get(name, ())) / _HAND_OVER_PERIODS, 0.0)
        return frame.assign(item_id=name, like_item_id=like)[list(tables.table("launch_forecast").columns)]

    def estimates(self, row: dict, periods: pd.DatetimeIndex) -> list[_LaunchEstimate]:
        """Forecasts of a young item over all markets, best founded first: launch profile, Bass diffusion."""
        made = [self._by_profile(row, periods), self._by_bass(row, periods)]
        return [estimate for estimate in made if estimate is not None]

    def _by_profile(self, row: dict, periods: pd.DatetimeIndex) -> _LaunchEstimate | None:
        curve, words, like = self._curve(row, len(periods))
        if curve is None:
            return None
        own = self.demand[row["item_id"]] if row["item_id"] in self.demand else self._unsold(row, periods)
        scale = _own_scale(own, curve, _LIKE_PERIODS if like else _FAMILY_PERIODS)
        words = f"{words}, scaled by {scale:.2f} from {_counted(len(own), 'period')} of own sales"
        estimator = "like-item profile" if like else "mean launch profile"
        return _LaunchEstimate(estimator, self._ahead(row, periods, scale * curve), words, like, None)

    def _unsold(self, row: dict, periods: pd.DatetimeIndex) -> np.ndarray:
        """No sales in the whole periods since the launch date: what was launched and does not sell is no launch to come."""
        return np.zeros(max(self.calendar.distance(self.calendar.period_of(row["launch_date"]), periods[0]) - 1, 0))

    def _by_bass(self, row: dict, periods: pd.DatetimeIndex) -> _LaunchEstimate | None:
        """Bass diffusion held near what earlier launches were like, by own sales so far."""
        own = self.demand.get(row["item_id"], np.zeros(0))
        prior = self._bass_prior(row)
        if prior is None and (len(own) < _PRIOR_PERIODS or own.sum() <= 0):
            return None
        if prior is None:
            year = self.calendar.buckets_per_year
            # Published averages are yearly; the market is then the one in which they would give own sales so far.
            p, q = _PUBLISHED.innovation / year, _PUBLISHED.imitation / year
            prior = BassModel(p, q, float(own.sum() / bass_cumulative(p, q, 1.0, len(own))), _PUBLISHED.estimator)
        model = fit_bass(own, "sales", prior, _PRIOR_PERIODS) if own.sum() > 0 else prior
        ages = [max(self._age(row, period), 0) for period in periods]
        curve = bass_curve(model.innovation, model.imitation, model.market_qty, max(ages) + 1)
        words = (
            f"p {model.innovation:.4f}, q {model.imitation:.3f} a {self.calendar.bucket}, market {model.market_qty:,.0f}; "
            f"prior: {prior.estimator}; {_counted(len(own), 'period')} of own sales"
        )
        named = f"Bass, penalised {model.estimator}" if own.sum() > 0 else "Bass, prior alone"
        return _LaunchEstimate(named, self._ahead(row, periods, curve), words, None, model)

    def _bass_prior(self, row: dict) -> BassModel | None:
        """Mean (of logs) of the diffusions fitted to earlier launches of the family, else of the company."""
        family = self.item["family"]
        for words, members in (("family", family.index[family == row["family"]]), ("company", family.index)):
            grown = [m for m in members if self.is_seen.get(m, False) and m != row["item_id"] and len(self.demand[m]) >= 2 * YOUNG_PERIODS
                     and self.demand[m].sum() > 0]  # fmt: skip
            if grown:
                fits = [fit_bass(self.demand[m]) for m in sorted(grown)[-_MOST_LAUNCHES:]]
                p, q, market = np.exp(np.median(np.log([(f.innovation, f.imitation, f.market_qty) for f in fits]), axis=0))
                seen = _counted(len(fits), "earlier launch", "es")
                return BassModel(float(p), float(q), float(market), f"median of {seen} of the {words}")
        return None

    def _ahead(self, row: dict, periods: pd.DatetimeIndex, curve: np.ndarray) -> np.ndarray:
        """A curve by age at the periods planned, with the season of the family; nothing before the launch."""
        age = np.array([self._age(row, period) for period in periods])
        return np.where(age >= 0, curve[np.clip(age, 0, len(curve) - 1)], 0) * self.season_of(row["family"], periods)

    def _age(self, row: dict, period: pd.Timestamp) -> int:
        """Periods since the launch: first sale, else launch date."""
        start = self.started.get(row["item_id"])
        if start is None:
            start = self.calendar.period_of(row["launch_date"])
        return self.calendar.distance(start, period)

    def _curve(self, row: dict, ahead: int) -> tuple[np.ndarray | None, str, str | None]:
        """Sales by age of the like item, else the mean launch of the family, else of all items."""
        like = row["like_item_id"]
        if isinstance(like, str) and len(self.demand.get(like, ())):
            if self.is_seen[like]:
                return _extended(self.demand[like], ahead + YOUNG_PERIODS), f"launch curve of {like}", like
            level = self.demand[like][-self.calendar.buckets_per_year :].mean()
            ramp, launches = self._ramp(ahead + YOUNG_PERIODS)
            seen = _counted(launches, "launch", "es")
            return level * ramp, f"level of {like} (its launch lies before the history) on the mean ramp of {seen}", like
        family = self.item["family"]
        for words, members in (
            ("mean launch curve of the family", family.index[family == row["family"]]),
            ("mean launch curve of all items", family.index),
        ):
            curves = [
                _extended(self.demand[m], ahead + YOUNG_PERIODS)
                for m in members
                if self.is_seen.get(m, False) and m != row["item_id"] and len(self.demand[m]) >= YOUNG_PERIODS
            ]
            if curves:
                return np.mean(curves, axis=0), f"{words} ({_counted(len(curves), 'launch', 'es')})", None
        return None, "", None

    def _ramp(self, length: int) -> tuple[np.ndarray, int]:
        """Mean course of the launches seen, each as a share of its own level after a year; 1 where none was seen."""
        grown = [
            _extended(curve, length) / curve[-YOUNG_PERIODS:].mean()
            for name, curve in self.demand.items()
            if self.is_seen[name] and len(curve) >= 2 * YOUNG_PERIODS and curve[-YOUNG_PERIODS:].sum() > 0
        ]
        if not grown:
            return np.ones(length), 0
        course = np.mean(
            [np.r_[curve[: 2 * YOUNG_PERIODS], np.ones(max(length - 2 * YOUNG_PERIODS, 0))][:length] for curve in grown], axis=0
        )
        return course, len(grown)

    def _shares(self, name: str, like: str | None, row: dict) -> pd.DataFrame:
        """market_id, share: own sales and those of the item copied (else the family) count alike."""
        family = self.item.index[self.item["family"] == row["family"]]
        sold = self.market_share
        parts = []
        for members in ([name], [like] if like else list(family)):
            part = sold[sold["item_id"].isin(members)].groupby("market_id")["ordered_qty"].sum().clip(lower=0)
            if part.sum() > 0:
                parts.append(part / part.sum())
        if not parts:
            return pd.DataFrame(columns=["market_id", "share"])
        # A market that one of the two never sold to takes no share from it.
        share = pd.concat(parts, axis=1).fillna(0.0).mean(axis=1)
        return share.rename("share").rename_axis("market_id").reset_index()

    def season_of(self, family: object, periods: pd.DatetimeIndex) -> np.ndarray:
        """Season factor of a family at each period; 1 where it has none."""
        factor = self.season.get(family if isinstance(family, str) else "", np.ones(self.calendar.buckets_per_year + 1))
        return factor[[_season_slot(p, self.calendar) for p in periods]]

    def _range(self, coverage: float) -> tuple[float, float]:
        """How far past launches strayed from the mean launch after their first periods, as ratios."""
        seen = [d for name, d in self.demand.items() if self.is_seen[name] and len(d) >= 2 * YOUNG_PERIODS and d.sum() > 0]
        if len(seen) < _LEAST_LAUNCHES:
            return _WIDE_RANGE
        growth = np.array([d[YOUNG_PERIODS : 2 * YOUNG_PERIODS].sum() / max(d[:YOUNG_PERIODS].sum(), 1e-9) for d in seen])
        ratio = growth / max(np.median(growth), 1e-9)
        low, high = np.quantile(ratio, [(1 - coverage) / 2, (1 + coverage) / 2])
        return min(float(low), 1.0), max(float(high), 1.0)


def season_factors(demand: np.ndarray, periods: pd.DatetimeIndex, calendar: Calendar) -> np.ndarray:
    """Factor of each season slot (month or week of the year) per series; 1 everywhere without a season that repeats."""
    steady = deseasonalised(demand, calendar.buckets_per_year, periods)
    factors = np.ones((len(demand), calendar.buckets_per_year + 1))
    is_seasonal = repeats_yearly(demand, calendar.buckets_per_year)
    slots = np.array([_season_slot(period, calendar) for period in periods], dtype=int)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = demand / steady
    for slot in np.unique(slots):
        known = np.where(np.isfinite(ratio[:, slots == slot]), ratio[:, slots == slot], np.nan)
        has = is_seasonal & ~np.isnan(known).all(axis=1)
        factors[has, slot] = np.nanmean(known[has], axis=1)
    return factors


def _season_slot(period: pd.Timestamp, calendar: Calendar) -> int:
    return period.month - 1 if calendar.bucket == "month" else min(period.isocalendar().week, 53) - 1


def _counted(count: int, noun: str, more: str = "s") -> str:
    return f"{count} {noun}{'' if count == 1 else more}"


def _own_scale(own: np.ndarray, curve: np.ndarray, prior_periods: float) -> float:
    """Level of a launch over its curve: own sales so far, and 1 as if it were `prior_periods` of further sales, in logs.

    Levels of launches differ by factors, not by units: a mean in units would hold an item that sells five times its curve
    near the curve for half a year.
    """
    known = len(own)
    least = _LEAST_SHARE * curve.mean()
    if not known or least <= 0:
        return 1.0
    ratio = (own.mean() + least) / (curve[:known].mean() + least)
    return float(ratio ** (known / (known + prior_periods)))


def _extended(curve: np.ndarray, length: int) -> np.ndarray:
    """A curve carried on by the mean of its last half year."""
    tail = curve[-YOUNG_PERIODS:].mean()
    return np.r_[curve, np.full(max(length - len(curve), 0), tail)][:length]


def _young_items(item: pd.DataFrame, launches: _Launches, periods: pd.DatetimeIndex, calendar: Calendar) -> list[dict]:
    end = calendar.first_day(calendar.add(periods[-1], 1))
    rows = item[(item["item_type"] == "finished") & ~(item["phase_out_date"] < calendar.first_day(periods[0]))].sort_values("item_id")
    young = []
    for row in rows.to_dict("records"):
        age = len(launches.demand.get(row["item_id"], ()))
        is_coming = pd.notna(row["launch_date"]) and row["launch_date"] < end
        # An item that never sold is a launch only when its date says so, and not long ago.
        is_fresh = is_coming and calendar.distance(calendar.period_of(row["launch_date"]), periods[0]) <= YOUNG_PERIODS
        if (0 < age < YOUNG_PERIODS and launches.is_seen[row["item_id"]]) or (age == 0 and is_fresh):
            young.append(row)
    return young


# ------------------------------------------------------------------ Bass diffusion


@dataclass(frozen=True)
class BassModel:
    """A fitted Bass diffusion: innovation p, imitation q, market m, and how it was estimated."""

    innovation: float
    imitation: float
    market_qty: float
    estimator: str


# Averages over many published studies, a year (Sultan, Farley & Lehmann 1990); the market is the product's own.
_PUBLISHED = BassModel(0.03, 0.38, float("nan"), "published averages p .03, q .38 a year")


def bass_curve(innovation: float, imitation: float, market_qty: float, periods: int) -> np.ndarray:
    """Units adopted in each period 1 … `periods` by Bass diffusion.

    N(t) = m · (1 − e^−(p+q)t) / (1 + q/p · e^−(p+q)t), sales(t) = N(t) − N(t−1) (Bass 1969).

    Examples
    --------
    >>> bass_curve(0.03, 0.38, 100_000, 3).round().tolist()
    [3576.0, 4930.0, 6544.0]
    """
    return np.diff(bass_cumulative(innovation, imitation, market_qty, np.arange(periods + 1)))


def bass_cumulative(innovation: float, imitation: float, market_qty: float, time: np.ndarray | float) -> np.ndarray:
    """Units adopted up to a time (in periods since launch).

    Raises
    ------
    SopError
        When innovation or market is not above 0, or imitation is below 0.
    """
    if innovation <= 0 or imitation < 0 or market_qty <= 0:
        raise SopError(f"Bass diffusion needs p > 0, q ≥ 0, m > 0; got p={innovation}, q={imitation}, m={market_qty}")
    decay = np.exp(-(innovation + imitation) * np.asarray(time, dtype=float))
    return market_qty * (1 - decay) / (1 + imitation / innovation * decay)


def bass_peak(innovation: float, imitation: float, market_qty: float) -> tuple[float, float]:
    """When adoption peaks (periods after launch) and at which rate (units a period).

    t* = ln(q/p) / (p+q), rate m (p+q)² / (4q); where q ≤ p adoption only falls: the peak is the launch, at rate m·p.

    Examples
    --------
    >>> time, rate = bass_peak(0.03, 0.38, 100_000)
    >>> round(time, 2), round(rate), round(float(bass_cumulative(0.03, 0.38, 1, time)), 4)
    (6.19, 11059, 0.4605)
    """
    bass_cumulative(innovation, imitation, market_qty, 0.0)
    if imitation <= innovation:
        return 0.0, market_qty * innovation
    total = innovation + imitation
    return float(np.log(imitation / innovation) / total), float(market_qty * total**2 / (4 * imitation))


def fit_bass(
    sales: np.ndarray, estimator: Literal["sales", "cumulative"] = "sales", prior: BassModel | None = None, prior_periods: float = 0.0
) -> BassModel:
    """Fit a Bass diffusion by least squares on sales per period or on the cumulative curve.

    minimise Σ ((curve(p, q, m) − seen) / mean seen)² + prior_periods / 3 · Σ (log(p, q, m) − log prior)²

    The two estimators give different parameters on noisy data; the name of the one used goes with the result. A prior
    (such as p .03, q .38 of the published averages) holds p, q and m near it, as if it were that many periods of data, and
    lets one or two periods be fitted.

    Parameters
    ----------
    sales : ndarray
        Units per period since launch, at least three periods, not all zero.
    estimator : {"sales", "cumulative"}
        What the squared errors are taken of.
    prior : BassModel, optional
        Expected parameters.
    prior_periods : float
        Weight of the prior in periods.

    Raises
    ------
    SopError
        When nothing was sold, or there are fewer than three periods and no prior is given.

    Examples
    --------
    >>> model = fit_bass(bass_curve(0.03, 0.38, 100_000, 12))
    >>> round(model.innovation, 4), round(model.imitation, 4), round(model.market_qty), model.estimator
    (0.03, 0.38, 100000, 'least squares on sales')
    """
    sales = np.asarray(sales, dtype=float)
    if (len(sales) < 3 and (prior is None or prior_periods <= 0)) or sales.sum() <= 0:
        raise SopError(
            f"a Bass fit needs three periods with sales, got {len(sales)} periods with {sales.sum():g} sold; copy a like item instead"
        )
    start = prior or BassModel(0.03, 0.38, float(sales.sum()) * 2, "")
    centre = np.log([start.innovation, start.imitation, start.market_qty])
    seen = sales if estimator == "sales" else np.cumsum(sales)
    size = np.abs(seen).mean()

    def error(logs: np.ndarray) -> np.ndarray:
        p, q, m = np.exp(np.clip(logs, -30, 40))
        curve = bass_curve(p, q, m, len(sales)) if estimator == "sales" else bass_cumulative(p, q, m, np.arange(1, len(sales) + 1))
        pull = np.sqrt(prior_periods / 3) * (logs - centre) if prior is not None else np.zeros(0)
        return np.r_[(curve - seen) / size, pull]

    p, q, m = np.exp(least_squares(error, centre, xtol=1e-14, ftol=1e-14, gtol=1e-14, max_nfev=2000).x)
    named = f"least squares on {estimator}" + (" with prior" if prior is not None and prior_periods > 0 else "")
    return BassModel(float(p), float(q), float(m), named)


# ------------------------------------------------------------------ phase-out and stock


def seasonal_run_rate(
    sales_history: pd.DataFrame, item: pd.DataFrame, periods: pd.DatetimeIndex, calendar: Calendar
) -> pd.DataFrame:
    """Demand if the last year repeated itself: its level without season, with the season of the family put back.

    level(item, market) = Σ demand of the last year / Σ season factors of the periods since the first sale in it;
    demand(period) = level · season factor(family, period). The product review judges stock by it, before there is a demand plan: a year
    is long enough for items that sell now and then, and the season keeps what ends in winter from being judged by its summer.

    Parameters
    ----------
    sales_history : DataFrame
        Table `sales_history`, corrected or as booked.
    item : DataFrame
        `item`, for the families.
    periods : DatetimeIndex
        Planned periods.
    calendar : Calendar
        The planning calendar.

    Returns
    -------
    DataFrame
        item_id, market_id, period, demand_qty.

    Examples
    --------
    >>> months = pd.date_range("2022-10-01", periods=48, freq="MS")
    >>> year = [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 60.0, 50.0, 40.0, 30.0, 20.0, 10.0]
    >>> history = pd.DataFrame({"item_id": "A", "market_id": "N", "period": months, "ordered_qty": year * 4})
    >>> item = pd.DataFrame({"item_id": ["A"], "family": ["F"], "launch_date": pd.NaT})
    >>> ahead = seasonal_run_rate(history, item, pd.date_range("2026-10-01", periods=3, freq="MS"), Calendar("month"))
    >>> ahead["demand_qty"].round().tolist()
    [10.0, 20.0, 30.0]
    """
    last = calendar.add(periods[0], -1)
    known = sales_history[sales_history["period"] <= last]
    launches = _Launches.read(item, known, last, calendar)
    panel = demand_panel(known, last, calendar)
    if panel.keys.empty:
        return pd.DataFrame({"item_id": [], "market_id": [], "period": periods[:0], "demand_qty": []})
    number, families = pd.factorize(panel.keys["item_id"].map(item.set_index("item_id")["family"]), use_na_sentinel=False)
    year = panel.periods[-calendar.buckets_per_year :]
    sold = panel.demand[:, -len(year) :]
    season, ahead = (np.stack([launches.season_of(name, dates) for name in families])[number] for dates in (year, periods))
    level = np.nansum(sold, axis=1) / np.where(np.isnan(sold), 0.0, season).sum(axis=1)
    expected = np.maximum(level[:, None] * ahead, 0.0)
    rows = panel.keys[KEYS].loc[panel.keys.index.repeat(len(periods))].reset_index(drop=True)
    made = rows.assign(period=np.tile(periods, len(panel.keys)), demand_qty=expected.ravel())
    return made.sort_values([*KEYS, "period"], ignore_index=True)


def periods_judged(item: pd.DataFrame, periods: pd.DatetimeIndex, settings: Settings, calendar: Calendar) -> pd.DatetimeIndex:
    """The horizon, drawn out where it is shorter than the cover limit of stock or than an item that ends is still sold.

    Examples
    --------
    >>> item = pd.DataFrame({"phase_out_date": [pd.NaT, pd.Timestamp("2027-03-31")]})
    >>> weeks = pd.date_range("2026-09-28", periods=13, freq="W-MON")
    >>> settings = Settings(company="C", currency="EUR", bucket="week", newest_cycle="2026-W40")
    >>> periods_judged(item, weeks, settings, Calendar("week"))[-1]
    Timestamp('2027-03-29 00:00:00')
    """
    cover = calendar.add(periods[0], round(settings.tolerances.excess_cover_months * calendar.buckets_per_year / 12) - 1)
    ends = [calendar.period_of(end) for end in item["phase_out_date"].dropna().unique()]
    return pd.date_range(periods[0], max([periods[-1], cover, *ends]), freq=calendar.frequency)


def phase_out(
    item: pd.DataFrame,
    demand: pd.DataFrame,
    stock_on_hand: pd.DataFrame,
    as_of: pd.Timestamp,
    calendar: Calendar,
    lead_time_days: pd.Series | None = None,
) -> pd.DataFrame:
    """When each ending item runs out, what to buy or make one last time and until when, and what is left over.

    Parameters
    ----------
    item : DataFrame
        `item`; those with a phase-out date after `as_of` are planned.
    demand : DataFrame
        item_id, market_id, period, demand_qty before anything moves to the successor.
    stock_on_hand : DataFrame
        `stock_on_hand`.
    lead_time_days : Series, optional
        Longest lead time by item_id; none: the last-buy date is the phase-out date itself.

    Returns
    -------
    DataFrame
        `phase_out_plan`, sorted by phase-out date.
    """
    ending = item[item["phase_out_date"] > as_of].sort_values(["phase_out_date", "item_id"])
    # An item that is not on the stock list has none.
    stock = stock_on_hand.groupby("item_id")["on_hand_qty"].sum().reindex(ending["item_id"], fill_value=0.0).clip(lower=0)
    lead = pd.Series(0.0, index=ending["item_id"]) if lead_time_days is None else lead_time_days.reindex(ending["item_id"], fill_value=0.0)
    rows = [
        _phase_out_row(row, demand[demand["item_id"] == row["item_id"]], stock[row["item_id"]], lead[row["item_id"]], calendar)
        for row in ending.to_dict("records")
    ]
    frame = pd.DataFrame(rows, columns=list(tables.table("phase_out_plan").columns))
    return tables.validate("phase_out_plan", frame)


def total_lead_times(production: pd.DataFrame, supplier_item: pd.DataFrame, bill_of_material: pd.DataFrame) -> pd.Series:
    """Days from the first order for an item's parts until the item is there: the longest way down the bill of material.

    days(i) = own lead time (making: the plant's; buying: the supplier's; the longest where there are several) + max over parts of days.

    Parameters
    ----------
    production, supplier_item, bill_of_material : DataFrame
        Input tables. An item that is neither made nor bought, or a lead time not known, takes no days.

    Examples
    --------
    >>> made = pd.DataFrame({"item_id": ["BIKE"], "lead_time_days": [5.0]})
    >>> bought = pd.DataFrame({"item_id": ["BELL", "WHEEL"], "lead_time_days": [10.0, 40.0]})
    >>> parts = pd.DataFrame({"parent_item_id": ["BIKE", "BIKE"], "component_item_id": ["BELL", "WHEEL"]})
    >>> total_lead_times(made, bought, parts).to_dict()
    {'BELL': 10.0, 'BIKE': 45.0, 'WHEEL': 40.0}
    """
    own = pd.concat([production[["item_id", "lead_time_days"]], supplier_item[["item_id", "lead_time_days"]]])
    days = own.groupby("item_id")["lead_time_days"].max().fillna(0.0)
    parts = bill_of_material[["parent_item_id", "component_item_id"]].drop_duplicates()
    names = sorted(set(days.index) | set(parts["parent_item_id"]) | set(parts["component_item_id"]))
    # Parts that nobody makes or buys add no time.
    days = days.reindex(names, fill_value=0.0)
    total = days.copy()
    for _ in range(len(names)):
        below = parts["component_item_id"].map(total).groupby(parts["parent_item_id"]).max()
        longer = days.add(below, fill_value=0.0)
        if np.allclose(longer, total):
            break
        total = longer
    return total


def _phase_out_row(row: dict, demand: pd.DataFrame, stock: float, lead_days: float, calendar: Calendar) -> dict:
    end = row["phase_out_date"]
    by_period = demand.groupby("period")["demand_qty"].sum().sort_index()
    until, after = by_period[by_period.index <= end], by_period[by_period.index > end]
    left = max(stock - until.sum(), 0.0)
    return {
        "item_id": row["item_id"],
        "item_name": row["item_name"],
        "family": row["family"],
        "phase_out_date": end,
        "successor_item_id": row["successor_item_id"],
        "on_hand_qty": stock,
        "remaining_demand_qty": until.sum(),
        "run_out_date": _run_out(by_period, stock, calendar),
        "last_buy_qty": max(until.sum() - stock, 0.0),
        "last_buy_date": end - pd.Timedelta(days=float(lead_days)),
        "left_over_qty": left,
        "left_over_amt": left * row["standard_cost_amt"],
        "moved_qty": after.sum() if isinstance(row["successor_item_id"], str) else 0.0,
    }


def _run_out(by_period: pd.Series, stock: float, calendar: Calendar) -> pd.Timestamp:
    """Day on which the stock is used up, demand running evenly through a period; empty when it lasts beyond the plan."""
    for period, quantity in by_period.items():
        if quantity > stock:
            start, end = calendar.first_day(period), calendar.first_day(calendar.add(period, 1))
            return (start + (end - start) * (stock / quantity)).normalize()
        stock -= quantity
    return pd.NaT


def excess_stock(
    item: pd.DataFrame, stock_on_hand: pd.DataFrame, demand: pd.DataFrame, item_class: pd.DataFrame, settings: Settings, calendar: Calendar
) -> pd.DataFrame:
    """Stock of finished items beyond the demand of the cover limit, or with no demand at all, in money.

    excess = stock − demand of the next `tolerances.excess_cover_months` months, at standard cost. Nothing is expected of an item after
    its phase-out date, nor of one that ended.

    Parameters
    ----------
    item, stock_on_hand : DataFrame
        Input tables.
    demand : DataFrame
        item_id, market_id, period, demand_qty (`seasonal_run_rate`, or the consensus).
    item_class : DataFrame
        Gives the stage of life.

    Returns
    -------
    DataFrame
        `excess_stock` of items with an excess, dearest first.
    """
    months = settings.tolerances.excess_cover_months
    buckets = int(round(months * calendar.buckets_per_year / 12))
    described = item_class[["item_id", "lifecycle"]].merge(item, on="item_id", validate="one_to_one")
    stock = stock_on_hand.groupby("item_id")["on_hand_qty"].sum()
    inside = demand[demand["period"].isin(np.sort(demand["period"].unique())[:buckets])]
    frame = described[["item_id", "item_name", "family", "lifecycle", "standard_cost_amt", "phase_out_date"]].copy()
    # No stock row is no stock; no demand row is no demand expected.
    frame["on_hand_qty"] = frame["item_id"].map(stock).fillna(0.0)
    inside = inside[~(inside["period"] > pd.to_datetime(inside["item_id"].map(item.set_index("item_id")["phase_out_date"])))]
    forward = frame["item_id"].map(inside.groupby("item_id")["demand_qty"].sum()).fillna(0.0)
    frame["forward_demand_qty"] = forward.where(frame["lifecycle"] != "ended", 0.0)
    frame["excess_qty"] = (frame["on_hand_qty"] - frame["forward_demand_qty"]).clip(lower=0)
    frame["excess_amt"] = frame["excess_qty"] * frame["standard_cost_amt"]
    per_month = frame["forward_demand_qty"] / months
    frame["cover_months"] = (frame["on_hand_qty"] / per_month).where(per_month > 0)
    frame["reason"] = _excess_reason(frame, months)
    frame = frame[(frame["excess_qty"] > 0) & frame["excess_amt"].notna()]
    frame = frame.sort_values(["excess_amt", "item_id"], ascending=[False, True])
    return tables.validate("excess_stock", frame[list(tables.table("excess_stock").columns)].reset_index(drop=True))


def _excess_reason(frame: pd.DataFrame, months: float) -> pd.Series:
    ended = frame["lifecycle"] == "ended"
    date = frame["phase_out_date"].dt.strftime("%Y-%m-%d")
    words = np.select(
        [ended & date.notna(), ended, frame["forward_demand_qty"] <= 0, date.notna()],
        [
            "model ended on " + date.fillna(""),
            "nothing sold for a long time",
            "nothing sold in the last year",
            "more than sells until the phase-out on " + date.fillna(""),
        ],
        f"more than {months:g} months of demand",
    )
    return pd.Series(words, index=frame.index, dtype=object)


def portfolio(item: pd.DataFrame, item_class: pd.DataFrame, stock_on_hand: pd.DataFrame, tail_ratio: float = 0.99) -> pd.DataFrame:
    """Every item by rank of revenue with its margin, share and the money its stock holds; the tail is named.

    Parameters
    ----------
    tail_ratio : float
        Items beyond this share of cumulative revenue are the tail.

    Returns
    -------
    DataFrame
        item_id, item_name, family, lifecycle, abc, xyz, rank, demand_qty, revenue_amt, margin_amt, margin_ratio,
        cumulative_revenue_ratio, stock_amt, is_tail.
    """
    frame = item_class.merge(item[["item_id", "item_name", "standard_cost_amt"]], on="item_id", validate="one_to_one")
    frame = frame.sort_values(["revenue_amt", "item_id"], ascending=[False, True]).reset_index(drop=True)
    frame["rank"] = np.arange(1, len(frame) + 1)
    total = frame["revenue_amt"].sum()
    cumulative = frame["revenue_amt"].cumsum()
    frame["cumulative_revenue_ratio"] = cumulative / total if total > 0 else np.nan
    frame["margin_ratio"] = (frame["margin_amt"] / frame["revenue_amt"]).where(frame["revenue_amt"] > 0)
    stock = stock_on_hand.groupby("item_id")["on_hand_qty"].sum().clip(lower=0)
    # An item without a stock row holds no money.
    frame["stock_amt"] = frame["item_id"].map(stock).fillna(0.0) * frame["standard_cost_amt"]
    frame["is_tail"] = (cumulative - frame["revenue_amt"]) >= tail_ratio * total
    return frame[
        [
            "item_id",
            "item_name",
            "family",
            "lifecycle",
            "abc",
            "xyz",
            "rank",
            "demand_qty",
            "revenue_amt",
            "margin_amt",
            "margin_ratio",
            "cumulative_revenue_ratio",
            "stock_amt",
            "is_tail",
        ]
    ]
