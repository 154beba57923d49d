"""Demand shaping: what promotions and prices did to demand, and what planned ones cost and bring.

Effects are learned from history where it can tell, and taken as stated (promotions) or assumed (prices) where it cannot;
every row of `driver_effect` says which.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from sop_workbench import tables
from sop_workbench.demand import price_in_period, promotion_case, without_promotion
from sop_workbench.forecast.drivers import DriverModel, DriverNames, fit_drivers
from sop_workbench.forecast.events import EFFECT_SD, PULL_FORWARD_PERIODS, event_effects
from sop_workbench.forecast.panel import KEYS, Panel, demand_panel, like_for_like
from sop_workbench.periods import Calendar

ESTIMATED, STATED, ASSUMED = "estimated from history", "as stated", "assumed"
PRICE, ELASTICITY = "price", "elasticity"
SCOPE = ["item_id", "family", "market_id", "region"]
SHAPING_KINDS = ("promotion", "price")
_CELL = [*KEYS, "period"]
_CONFIDENCE = 0.95

# ------------------------------------------------------------------ scope of an event


def scope_of(row: Mapping[str, Any]) -> dict[str, str]:
    """What an event speaks for: the item, else the family; the market, else the region; nothing means all.

    Examples
    --------
    >>> scope_of({"item_id": None, "family": "Coolers", "market_id": "", "region": "South"})
    {'family': 'Coolers', 'region': 'South'}
    """
    product = [c for c in ("item_id", "family") if isinstance(row.get(c), str) and row[c]][:1]
    place = [c for c in ("market_id", "region") if isinstance(row.get(c), str) and row[c]][:1]
    return {column: row[column] for column in product + place}


def scope_name(scope: Mapping[str, str]) -> str:
    """A scope in words, the `member` of its rows in `driver_effect`.

    Examples
    --------
    >>> scope_name({"family": "Coolers", "region": "South"}), scope_name({"item_id": "CO-103"})
    ('Coolers · South', 'CO-103 · all markets')
    """
    product = next((scope[c] for c in ("item_id", "family") if c in scope), "all items")
    return f"{product} · {next((scope[c] for c in ('market_id', 'region') if c in scope), 'all markets')}"


def _inside(places: pd.DataFrame, scope: Mapping[str, str]) -> np.ndarray:
    """Rows of places (item_id, family, market_id, region) that lie in a scope."""
    inside = np.ones(len(places), dtype=bool)
    for column, value in scope.items():
        inside &= (places[column] == value).to_numpy()
    return inside


def _places(rows: pd.DataFrame, item: pd.DataFrame, market: pd.DataFrame) -> pd.DataFrame:
    """Rows with the family of their item and the region of their market."""
    named = rows.merge(item[["item_id", "family"]], on="item_id", how="left", validate="many_to_one")
    return named.merge(market[["market_id", "region"]], on="market_id", how="left", validate="many_to_one")


# ------------------------------------------------------------------ what promotions did

_EVENT_SD, _AFTER_SD, _CANNIBAL_SD = 0.5, 0.2, 0.3
_SLOPE_SD, _BEND_SD, _SEASON_SD, _RELATIVE_SEASON_SD, _LEVEL_SD = 1.0, 0.3, 0.5, 0.1, 10.0
_STEPS, _LEAST_VARIANCE, _TAIL, _LEAST_SEASON_SD = 30, 1e-6, 3.0, 0.005
_WEEK_PLACES = 13
_LEAST_PERIODS = 12  # points to fit by, of months or of weeks
_CONTROL_RATIO = 0.2
# History tells when it leaves less than half of the doubt there was before looking (a share for cannibalisation: ± one half).
_TOLD = 0.5


def learn_event_effects(
    sales_history: pd.DataFrame, event: pd.DataFrame, item: pd.DataFrame, market: pd.DataFrame, last: pd.Timestamp, calendar: Calendar
) -> pd.DataFrame:
    """What promotions did to the demand of what they were for: uplift, demand pulled forward, other items of the family that lost.

    For the promotions of one scope together, on the demand Y of the scope (like for like, so that a new item is no uplift),
    less that of the same products in markets without the promotion where there are any:

        log Y(t) = level + trend(t) + season(t) + a · running(t) + d · after(t) + other events + ε

    pull-forward = 1 − exp(d): what the two periods after lose; uplift = exp(a) − 1 − pull-forward · (their base / base in the
    promotion). Priors are wide (a: ± .5, d: ± .2, around what was stated); errors may have a heavy tail, so one odd period
    does not decide. Cannibalisation is the same on the other items of the family in the same markets, as a share of the uplift
    in units. Where history leaves more than half of the prior's doubt, the row repeats what was stated, and says so.

    Parameters
    ----------
    sales_history, event, item, market : DataFrame
        Input tables (history with accepted corrections).
    last : Timestamp
        Last period known.

    Returns
    -------
    DataFrame
        `driver_effect`: one row for uplift, pull-forward and (promotions of one item) cannibalisation of each scope; ranges at 95 %.
    """
    shaping = event[event["kind"].isin(SHAPING_KINDS) & (event["status"] != "cancelled")]
    panel = demand_panel(sales_history, last, calendar)
    rows: list[dict] = []
    for scope, events in _by_scope(shaping):
        study = _Study.of(panel, scope, events, event, item, market)
        rows += study.effects(calendar)
    if not rows:
        return tables.table("driver_effect").empty()
    return tables.validate("driver_effect", pd.DataFrame(rows).sort_values(["driver", "level", "member", "measure"], ignore_index=True))


def _by_scope(event: pd.DataFrame) -> list[tuple[dict[str, str], pd.DataFrame]]:
    """Events of the same scope together, in a fixed order."""
    names = [scope_name(scope_of(row)) for row in event.to_dict("records")]
    groups = event.assign(scope=names).groupby("scope", sort=True)
    return [(scope_of(rows.iloc[0].to_dict()), rows.sort_values("from_period").drop(columns="scope")) for _, rows in groups]


class _Study:
    """The promotions of one scope before the demand they moved."""

    def __init__(self, panel: Panel, scope: dict[str, str], events: pd.DataFrame, places: pd.DataFrame, other: np.ndarray) -> None:
        self.panel, self.scope, self.events, self.places = panel, scope, events, places
        self.touched = _inside(places, scope)
        self.other = other
        periods = panel.periods
        self.running, self.after = np.zeros(len(periods)), np.zeros(len(periods))
        for start, end in zip(events["from_period"], events["to_period"], strict=True):
            self.running[(periods >= start) & (periods <= end)] = 1.0
            self.after[np.flatnonzero(periods > end)[:PULL_FORWARD_PERIODS]] = 1.0
        self.after[self.running > 0] = 0.0
        self.past = events[events["from_period"] <= periods[-1]] if len(periods) else events.head(0)
        stated = self.past if len(self.past) else events
        self.uplift, self.pulled = float(stated["uplift_ratio"].mean()), float(stated["pull_forward_ratio"].mean())
        self.silence = "no promotion of it has run yet"

    @classmethod
    def of(
        cls, panel: Panel, scope: dict[str, str], events: pd.DataFrame, every: pd.DataFrame, item: pd.DataFrame, market: pd.DataFrame
    ) -> _Study:
        """With the effect that all other events are stated to have on each series."""
        places = _places(panel.keys[KEYS], item, market)
        effects = event_effects(panel.keys, panel.periods, every[~every["event_id"].isin(events["event_id"])], item, market)
        return cls(panel, scope, events, places, effects[..., 0])

    def effects(self, calendar: Calendar) -> list[dict]:
        """Rows of `driver_effect`."""
        product = "item_id" if "item_id" in self.scope else "family"
        same = {product: self.scope[product]} if product in self.scope else {}
        control = _inside(self.places, same) & ~self.touched
        fitted = self._fit(
            self.touched,
            control,
            np.log1p([self.uplift + self.pulled * self._ratio(), -min(self.pulled, 0.9)]),
            np.array([_EVENT_SD, _AFTER_SD]),
            calendar,
        )
        rows = [self._uplift(fitted), self._pull_forward(fitted)]
        if "item_id" in self.scope:
            rows.append(self._cannibalisation(rows[0], calendar))
        return rows

    def _ratio(self) -> float:
        """Periods after the promotions per period in them (all of them count, seen or not)."""
        return PULL_FORWARD_PERIODS * len(self.events) / max(float(self._length()), 1.0)

    def _length(self) -> int:
        return int(self.running.sum()) or len(self.events)

    def _fit(self, touched: np.ndarray, control: np.ndarray, mean: np.ndarray, sd: np.ndarray, calendar: Calendar) -> dict[str, Any] | None:
        """Coefficients of running and after with covariance and prior; None where there is nothing to learn from."""
        demand = self.panel.demand
        if not touched.any() or not self.running.any():
            return None
        index = _index(demand, touched)
        rest = _index(demand, control) if control.any() else np.full_like(index, np.nan)
        paired = (index > 0) & (rest > 0)
        has_control = paired.sum() >= _LEAST_PERIODS and np.nanmean(rest[paired]) > _CONTROL_RATIO * np.nanmean(index[paired])
        known = paired if has_control else index > 0
        if known.sum() < _LEAST_PERIODS or not self.running[known].any():
            return None
        if not has_control and _is_always_promoted(self.panel.periods, self.running, known, calendar):
            self.silence = f"it ran in the same {calendar.bucket}s of every year, so history cannot tell it from the season"
            return None
        values = np.log(index[known]) - (np.log(rest[known]) if has_control else 0.0)
        weight = np.nan_to_num(demand[touched]).sum(axis=1)
        other = weight @ self.other[touched] / max(weight.sum(), 1e-9)
        design, prior_mean, prior_sd = _design(self.panel.periods, self.running, self.after, other, has_control, calendar)
        prior_mean[:2], prior_sd[:2] = mean, sd
        found, covariance = _posterior(values, design[known], prior_mean, prior_sd, _season_places(calendar))
        count = int((self.running * known).sum())
        words = f"{len(self.past)} past promotion{'' if len(self.past) == 1 else 's'}, {count} of {int(known.sum())} periods"
        words += ", against the same products in other markets" if has_control else ", against trend and season of the same demand"
        base = np.exp(design @ found - design[:, 0] * found[0] - design[:, 1] * found[1])
        return {"value": found[:2], "covariance": covariance[:2, :2], "sd": sd, "words": words, "base": base, "index": index}

    def _uplift(self, fitted: dict[str, Any] | None) -> dict:
        if fitted is None or np.sqrt(fitted["covariance"][0, 0]) > _TOLD * fitted["sd"][0]:
            return self._as_stated("uplift", self.uplift, fitted)
        grown, kept = np.exp(fitted["value"])
        # Relative bases: what trend and season alone would give after and in the promotion.
        share = fitted["base"][self.after > 0].sum() / fitted["base"][self.running > 0].sum()
        slope = np.array([grown, share * kept])
        middle = grown - 1 - share * (1 - kept)
        width = norm.ppf(0.5 + _CONFIDENCE / 2) * np.sqrt(slope @ fitted["covariance"] @ slope)
        return self._row("uplift", middle, middle - width, middle + width, fitted["words"], ESTIMATED, self.uplift)

    def _pull_forward(self, fitted: dict[str, Any] | None) -> dict:
        if fitted is None or np.sqrt(fitted["covariance"][1, 1]) > _TOLD * fitted["sd"][1] or not self.after.any():
            return self._as_stated("pull_forward", self.pulled, fitted)
        middle, width = fitted["value"][1], norm.ppf(0.5 + _CONFIDENCE / 2) * np.sqrt(fitted["covariance"][1, 1])
        low, best, high = (-np.expm1(value) for value in (middle + width, middle, middle - width))
        return self._row("pull_forward", best, low, high, fitted["words"], ESTIMATED, self.pulled)

    def _cannibalisation(self, uplift: dict, calendar: Calendar) -> dict:
        """Demand that other items of the family lost in the promotions, as a share of the uplift in units."""
        events = self.past if len(self.past) else self.events
        stated = float(events["cannibalisation_ratio"].mean())
        family = self.places.loc[self.places["item_id"] == self.scope["item_id"], "family"]
        others = {c: v for c, v in self.scope.items() if c != "item_id"} | ({"family": family.iloc[0]} if len(family) else {})
        victims = _inside(self.places, others) & ~self.touched if len(family) else np.zeros(len(self.places), dtype=bool)
        fitted = self._fit(victims, np.zeros_like(victims), np.zeros(2), np.array([_CANNIBAL_SD, _AFTER_SD]), calendar)
        gained = uplift["effect_ratio"]
        if fitted is None or gained <= 0:
            return self._as_stated("cannibalisation", stated, fitted)
        own = np.exp(np.nanmean(np.log(np.maximum(_index(self.panel.demand, self.touched)[self.running > 0], 1e-9)))) / (1 + gained)
        theirs = np.nanmean(fitted["index"][self.running > 0])
        scale = theirs / max(own * gained, 1e-9)
        change, width = fitted["value"][0], norm.ppf(0.5 + _CONFIDENCE / 2) * np.sqrt(fitted["covariance"][0, 0])
        low, best, high = (-np.expm1(value) * scale for value in (change + width, change, change - width))
        if high - low > 2 * _TOLD:
            words = f"{fitted['words']}: their change of {np.expm1(change):+.0%} (± {width:.0%}) is too uncertain to share out"
            return self._as_stated("cannibalisation", stated, {**fitted, "words": words})
        return self._row("cannibalisation", best, low, high, fitted["words"], ESTIMATED, stated)

    def _as_stated(self, measure: str, stated: float, fitted: dict[str, Any] | None) -> dict:
        """What was stated, with the doubt that stated effects deserve in general."""
        width = norm.ppf(0.5 + _CONFIDENCE / 2) * EFFECT_SD[0] * abs(stated)
        why = self.silence if fitted is None else f"history cannot tell: {fitted['words']}"
        words = why if stated else f"{why}; no effect is stated"
        return self._row(measure, stated, stated - width, stated + width, words, STATED, stated)

    def _row(self, measure: str, middle: float, low: float, high: float, words: str, basis: str, stated: float) -> dict:
        return {
            "driver": "promotion", "level": "scope", "member": scope_name(self.scope), "measure": measure, "effect_ratio": middle,
            "low_ratio": low, "high_ratio": high, "basis": basis, "stated_ratio": stated, "evidence": words,
        }  # fmt: skip


def _index(demand: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Like-for-like demand of some series together; NaN before they began."""
    return like_for_like(demand[rows], np.zeros(int(rows.sum()), dtype=int))[0]


def _design(
    periods: pd.DatetimeIndex, running: np.ndarray, after: np.ndarray, other: np.ndarray, has_control: bool, calendar: Calendar
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns running, after, other events, level, slope, bends at each year, season; with prior mean and deviation."""
    time = np.arange(len(periods)) / calendar.buckets_per_year
    bends = [np.maximum(time - start, 0.0) for start in range(1, int(time[-1]) + 1)]
    season = _season_columns(periods, calendar)
    design = np.column_stack([running, after, other, np.ones(len(periods)), time, *bends, season])
    season_sd = _RELATIVE_SEASON_SD if has_control else _SEASON_SD
    sd = np.r_[_EVENT_SD, _AFTER_SD, _EVENT_SD, _LEVEL_SD, _SLOPE_SD, np.full(len(bends), _BEND_SD), np.full(season.shape[1], season_sd)]
    mean = np.zeros(len(sd))
    mean[2] = 1.0
    return design, mean, sd


def _season_places(calendar: Calendar) -> int:
    return 12 if calendar.bucket == "month" else _WEEK_PLACES


def _season_columns(periods: pd.DatetimeIndex, calendar: Calendar) -> np.ndarray:
    """Periods × places of the season: months, in weeks thirteen places a year and straight lines between them.

    Fifty-two slots of their own would leave each week of a promotion that runs every year to be explained by itself, and all five of
    them in a row having a season is then less believable than any uplift.
    """
    places = _season_places(calendar)
    if calendar.bucket == "month":
        return np.eye(places)[np.asarray(periods.month - 1)]
    place = np.arange(len(periods)) % calendar.buckets_per_year / calendar.buckets_per_year * places
    apart = np.abs(place[:, None] - np.arange(places))
    return np.maximum(1 - np.minimum(apart, places - apart), 0.0)


def _is_always_promoted(periods: pd.DatetimeIndex, running: np.ndarray, known: np.ndarray, calendar: Calendar) -> bool:
    """Tell whether most promoted periods lie in months (weeks) of the year that were never seen without a promotion."""
    place = np.arange(len(periods)) % calendar.buckets_per_year
    free = np.unique(place[known & (running == 0)])
    return bool((~np.isin(place[known & (running > 0)], free)).mean() > 0.5)


def _posterior(y: np.ndarray, design: np.ndarray, mean: np.ndarray, sd: np.ndarray, slots: int) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients b ~ N(mean, sd²) of y = design · b + ε and their covariance; ε weighs 1 / (1 + (ε/3σ)²).

    How far the season slots (the last columns) lie apart is learned from them too: a slot that is always promoted is then
    believed to be like the others, not anything.
    """
    sd, weight, variance = sd.copy(), np.ones(len(y)), max(float(np.var(y)), _LEAST_VARIANCE)
    for _ in range(_STEPS):
        gram = (design * weight[:, None]).T @ design
        covariance = np.linalg.inv(gram / variance + np.diag(1 / sd**2))
        found = covariance @ (design.T @ (weight * y) / variance + mean / sd**2)
        error = y - design @ found
        used = float(np.trace(covariance @ gram)) / variance
        variance = max(float((weight * error**2).sum()) / max(float(weight.sum()) - used, 1.0), _LEAST_VARIANCE)
        weight = 1 / (1 + error**2 / (_TAIL**2 * variance))
        apart = np.sqrt((found[-slots:] ** 2 + np.diag(covariance)[-slots:]).mean())
        sd[-slots:] = np.clip(apart, _LEAST_SEASON_SD, None)
    return found, covariance


# ------------------------------------------------------------------ what prices did

# Mean of 367 published elasticities of single brands (Tellis 1988, Journal of Marketing Research 25), and how far products lie apart.
ASSUMED_ELASTICITY, ASSUMED_SD = -1.76, 1.0
_STEADY_RATIO, _PRICE_MOVED = 0.8, 0.01
_TURNS, _SETTLED = 200, 1e-9
_PRICE = DriverNames(elastic=("price_amt",))


def learn_price_effects(
    sales_history: pd.DataFrame, price: pd.DataFrame, item: pd.DataFrame, last: pd.Timestamp, calendar: Calendar
) -> pd.DataFrame:
    """How demand answers to an item's own price, where its price moved against others; assumed where it never did.

    Demand and price are taken relative to the family in the market (where no price moved against its family: to all items of the
    market), so that growth, season and a general price rise play no part: log(q/q_others) = level + elasticity · log(p/p_others),
    pooled over markets and items (`forecast.drivers`), and leaning on the mean of published elasticities, −1.76 ± 1 (Tellis 1988),
    as far as history leaves room.

    Returns
    -------
    DataFrame
        `driver_effect`, measure elasticity: for all items together and for every item whose price moved; ranges at 95 %.
    """
    rows = _steady_priced(sales_history, price, item, last, calendar)
    relative, others = _relative(rows, "family"), "their family"
    if relative.empty:
        relative, others = _relative(rows.assign(family=""), "family"), "other items (growth of their families may be in it)"
    if relative.empty:
        return _elasticity_frame([_elasticity("all", "all", ASSUMED_ELASTICITY, np.inf, _never_moved(sales_history, last))])
    model = fit_drivers(relative, _PRICE)
    counted = f"{len(model.items)} items in {relative['market_id'].nunique()} markets"
    words = f"{counted} whose price moved against {others}, and published ones (Tellis 1988)"
    whole = _elasticity("all", "all", model.overall[0], model.overall_variance[0], words)
    # Items lean on all items, so they rest on what these rest on.
    items = [{**row, "basis": whole["basis"]} for row in _by_item(model, relative)]
    return _elasticity_frame([whole, *items])


def _never_moved(sales_history: pd.DataFrame, last: pd.Timestamp) -> str:
    count = sales_history.loc[sales_history["period"] <= last, "period"].nunique()
    return f"no price moved against those of other items in {count} periods: mean of published elasticities (Tellis 1988)"


def _by_item(model: DriverModel, relative: pd.DataFrame) -> list[dict]:
    prices = relative.groupby("item_id")["price_amt"]
    span = np.log(prices.max() / prices.min())
    words = {name: f"its price moved by {moved:.0%} against the others" for name, moved in span.items()}
    return [
        _elasticity("item_id", name, model.members[n, 0], model.member_variance[n, 0], words[name]) for n, name in enumerate(model.items)
    ]


def _elasticity(level: str, member: str, found: float, variance: float, words: str) -> dict:
    """Estimate and prior weighed by their precision; which of the two weighs more names the basis."""
    precision = (0.0 if np.isinf(variance) else 1 / variance) + 1 / ASSUMED_SD**2
    middle = ((0.0 if np.isinf(variance) else found / variance) + ASSUMED_ELASTICITY / ASSUMED_SD**2) / precision
    width = norm.ppf(0.5 + _CONFIDENCE / 2) / np.sqrt(precision)
    basis = ESTIMATED if variance < ASSUMED_SD**2 else ASSUMED
    return {
        "driver": "price", "level": level, "member": member, "measure": "elasticity", "effect_ratio": middle, "low_ratio": middle - width,
        "high_ratio": middle + width, "basis": basis, "stated_ratio": np.nan, "evidence": words,
    }  # fmt: skip


def _elasticity_frame(rows: list[dict]) -> pd.DataFrame:
    return tables.validate("driver_effect", pd.DataFrame(rows, columns=list(tables.table("driver_effect").columns)))


def _steady_priced(
    sales_history: pd.DataFrame, price: pd.DataFrame, item: pd.DataFrame, last: pd.Timestamp, calendar: Calendar
) -> pd.DataFrame:
    """Demand and price of series that sold in four of five periods since their first, with their family."""
    known = sales_history[(sales_history["period"] <= last) & (sales_history["ordered_qty"] > 0)]
    periods = pd.DatetimeIndex(np.sort(known["period"].unique()))
    span = known.groupby(KEYS)["period"].agg(["min", "size"])
    life = np.array([calendar.distance(start, periods[-1]) + 1 for start in span["min"]], dtype=float)
    steady = span.index[(span["size"] >= _STEADY_RATIO * life) & (span["size"] >= _LEAST_PERIODS)]
    rows = known[pd.MultiIndex.from_frame(known[KEYS]).isin(steady)][[*_CELL, "ordered_qty"]]
    rows = rows.merge(price_in_period(price, periods), on=_CELL, how="inner", validate="one_to_one")
    rows = rows[rows["price_amt"] > 0].merge(item[["item_id", "family"]], on="item_id", how="left", validate="many_to_one")
    return rows.assign(family=rows["family"].fillna(""))


def _relative(rows: pd.DataFrame, others: str) -> pd.DataFrame:
    """Demand and price over the common course of the others in the market; series whose price moved against them."""
    series = pd.factorize(rows["item_id"] + "\t" + rows["market_id"])[0]
    cell = pd.factorize(rows[others] + "\t" + rows["market_id"] + rows["period"].astype(str))[0]
    made = rows[[*_CELL]].copy()
    for column in ("ordered_qty", "price_amt"):
        made[column] = np.exp(_two_way_residual(np.log(rows[column].to_numpy(dtype=float)), series, cell))
    prices = np.log(made["price_amt"]).groupby([made["item_id"], made["market_id"]])
    return made[(prices.transform("max") - prices.transform("min")) > _PRICE_MOVED]


def _two_way_residual(values: np.ndarray, series: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """What is left of values once each series' own level and each cell's common course are taken out.

    By turns until it stands, which is exact where series begin and end at different times.
    """
    left = values.copy()
    for _ in range(_TURNS if len(values) else 0):
        before = left
        for group in (series, cell):
            mean = np.bincount(group, left) / np.bincount(group)
            left = left - mean[group]
        if np.abs(left - before).max() < _SETTLED:
            break
    return left


# ------------------------------------------------------------------ cases

_OPEN = ("idea", "planned", "approved")
_PRICE_STEPS = (-0.05, 0.05)


def effect_of(driver_effect: pd.DataFrame, measure: str, member: str) -> dict[str, Any] | None:
    """The row of a scope (or, for elasticities, of an item, else of all) with a measure; None when nothing is known."""
    rows = driver_effect[driver_effect["measure"] == measure]
    for name in (member, "all"):
        found = rows[rows["member"] == name]
        if len(found):
            return found.iloc[0].to_dict()
    return None


def promotion_cases(
    consensus_demand: pd.DataFrame, event: pd.DataFrame, driver_effect: pd.DataFrame, item: pd.DataFrame, market: pd.DataFrame
) -> pd.DataFrame:
    """What every promotion that is planned or an idea costs and brings, before it is run.

    Base demand is the consensus, without the promotion's effect where it is planned already; price and unit cost are the means of
    its scope (standard cost). net = extra volume · margin − discount − cost − margin that other items of the family lose. Uplift,
    pull-forward and cannibalisation are those of `driver_effect`, with its basis. Break-even is the uplift at which nothing is lost.

    Parameters
    ----------
    consensus_demand, event, driver_effect, item, market : DataFrame
        Tables of the cycle.

    Returns
    -------
    DataFrame
        `promotion_case`, best first; events outside the horizon or without demand have no row (see `event_findings`).
    """
    rows = _places(consensus_demand, item[["item_id", "family"]], market)
    rows = rows.merge(item[["item_id", "standard_cost_amt"]], on="item_id", how="left", validate="many_to_one")
    cases = [_case(rows, row, driver_effect) for row in _open_events(event).to_dict("records")]
    made = pd.DataFrame([case for case in cases if case is not None], columns=list(tables.table("promotion_case").columns))
    return tables.validate("promotion_case", made.sort_values(["net_amt", "event_id"], ascending=[False, True], ignore_index=True))


def _open_events(event: pd.DataFrame) -> pd.DataFrame:
    return event[event["kind"].isin(SHAPING_KINDS) & event["status"].isin(_OPEN)]


def event_findings(consensus_demand: pd.DataFrame, event: pd.DataFrame, item: pd.DataFrame, market: pd.DataFrame) -> list[dict]:
    """Open promotions that have no case: outside the periods planned, inside one of them, or for nothing planned; told, not stopped at."""
    rows = _places(consensus_demand, item, market)
    periods = pd.DatetimeIndex(np.sort(consensus_demand["period"].unique()))
    found = []
    for row in _open_events(event).to_dict("records"):
        rule, value, remedy = _event_fault(row, rows, periods)
        if rule:
            found.append(tables.finding(rule, "warns", "event", f"event_id={row['event_id']}", 1, value, remedy))
    return found


def _event_fault(row: Mapping[str, Any], rows: pd.DataFrame, periods: pd.DatetimeIndex) -> tuple[str, str, str]:
    """Rule, value and remedy of what keeps an event from having a case; empty where nothing does."""
    span = f"{row['from_period']:%Y-%m-%d} to {row['to_period']:%Y-%m-%d}"
    if periods.empty or row["to_period"] < periods[0] or row["from_period"] > periods[-1]:
        inside = f"move it into {periods[0]:%Y-%m-%d} to {periods[-1]:%Y-%m-%d}, " if len(periods) else ""
        return "event_outside_horizon", span, f"{inside}set its status to done or cancelled, or plan further ahead"
    if not ((periods >= row["from_period"]) & (periods <= row["to_period"])).any():
        return "event_covers_no_period", span, "state the first day of the period it runs in, such as " + f"{periods[0]:%Y-%m-%d}"
    if not _inside(rows, scope_of(row)).any():
        return "event_without_demand", scope_name(scope_of(row)), "name items and markets that are planned"
    return "", "", ""


def _case(rows: pd.DataFrame, row: dict[str, Any], driver_effect: pd.DataFrame) -> dict | None:
    """One row of `promotion_case`; None where the horizon holds nothing of it."""
    scope = scope_of(row)
    own = rows[_inside(rows, scope)]
    demand = own.groupby("period")["demand_qty"].sum().sort_index()
    inside = (demand.index >= row["from_period"]) & (demand.index <= row["to_period"])
    if not inside.any() or demand[inside].sum() <= 0:
        return None
    used, basis, words = _effects_used(row, scope_name(scope), driver_effect)
    base = demand if row["status"] == "idea" else without_promotion(demand, used)
    running = own[own["period"].isin(demand.index[inside])]
    price, cost = _mean_price_and_cost(running)
    discount = price * max(-float(row.get("price_change_ratio", 0.0)), 0.0)
    case = promotion_case(base, used, price, cost, discount)
    lost_qty, lost_amt = _lost_by_others(rows, running, scope, case["uplift_qty"].sum() * used["cannibalisation_ratio"])
    net = case["net_amt"].sum() - lost_amt
    promoted = case[case["uplift_qty"].ne(0) | inside]
    return {
        "event_id": row["event_id"], "kind": row["kind"], "scope": scope_name(scope), "status": row["status"],
        "from_period": row["from_period"], "to_period": row["to_period"], "base_qty": promoted["base_qty"].sum(),
        "uplift_ratio": used["uplift_ratio"], "pull_forward_ratio": used["pull_forward_ratio"],
        "cannibalisation_ratio": used["cannibalisation_ratio"], "basis": basis, "uplift_qty": case["uplift_qty"].sum(),
        "pulled_forward_qty": case["pulled_forward_qty"].clip(lower=0).sum(), "cannibalised_qty": lost_qty,
        "price_amt": price, "unit_cost_amt": cost, "margin_gained_amt": case["margin_gained_amt"].sum(), "cannibalised_amt": lost_amt,
        "discount_given_amt": case["discount_given_amt"].sum(), "cost_amt": case["cost_amt"].sum(), "net_amt": net,
        "break_even_ratio": _break_even(base, used, case, inside, price - cost, discount, lost_amt), "evidence": words,
    }  # fmt: skip


def _effects_used(row: dict[str, Any], member: str, driver_effect: pd.DataFrame) -> tuple[dict[str, Any], str, str]:
    """The event with the effects that history tells, else its own; on what they rest, and the words for it."""
    used, bases, words = dict(row), [], []
    for measure in ("uplift", "pull_forward", "cannibalisation"):
        rows = driver_effect[(driver_effect["measure"] == measure) & (driver_effect["member"] == member)]
        stated = float(row.get(f"{measure}_ratio", 0.0))
        is_told = len(rows) > 0 and rows["basis"].iloc[0] == ESTIMATED
        # A share below nothing is noise around none; the whole demand cannot be pulled forward.
        most = 20.0 if measure == "uplift" else 0.95
        used[f"{measure}_ratio"] = min(max(float(rows["effect_ratio"].iloc[0]), 0.0), most) if is_told else stated
        bases.append(ESTIMATED if is_told else STATED)
        words.append(f"{measure.replace('_', '-')} {'from ' + rows['evidence'].iloc[0] if is_told else 'as stated'}")
    if row["kind"] == "price" and bases[0] == STATED and float(row["uplift_ratio"]) == 0:
        answer = effect_of(driver_effect, "elasticity", str(row.get("item_id") or "all"))
        if answer is not None:
            used["uplift_ratio"] = (1 + float(row.get("price_change_ratio", 0.0))) ** answer["effect_ratio"] - 1
            bases[0], words[0] = answer["basis"], f"elasticity {answer['effect_ratio']:.2f}, {answer['basis']}"
    return used, bases[0], "; ".join(words)


def _mean_price_and_cost(rows: pd.DataFrame) -> tuple[float, float]:
    """Mean price and standard cost of demand; items without a standard cost take the mean share of cost in price."""
    quantity, money = rows["demand_qty"].sum(), (rows["demand_qty"] * rows["price_amt"]).sum()
    costed = rows[rows["standard_cost_amt"].notna()]
    value = (costed["demand_qty"] * costed["price_amt"]).sum()
    share = (costed["demand_qty"] * costed["standard_cost_amt"]).sum() / value if value > 0 else 0.0
    return money / quantity, share * money / quantity


def _lost_by_others(rows: pd.DataFrame, running: pd.DataFrame, scope: Mapping[str, str], quantity: float) -> tuple[float, float]:
    """Units and margin that other items of the family lose."""
    if quantity <= 0:
        return 0.0, 0.0
    elsewhere = {c: v for c, v in scope.items() if c != "item_id"}
    others = rows[_inside(rows, elsewhere) & rows["family"].isin(running["family"]).to_numpy() & ~rows.index.isin(running.index)]
    others = others[others["period"].isin(running["period"]) & ~others["item_id"].isin(running["item_id"])]
    if others["demand_qty"].sum() <= 0:
        return 0.0, 0.0
    price, cost = _mean_price_and_cost(others)
    return quantity, quantity * (price - cost)


def _break_even(
    base: pd.Series, used: Mapping[str, Any], case: pd.DataFrame, inside: np.ndarray, margin: float, discount: float, lost_amt: float
) -> float:
    """Uplift at which the promotion brings as much as it costs; empty where no uplift would.

    B·u·(margin − discount − lost margin a unit of uplift) = discount · (B + pulled forward) + cost.
    """
    extra = case["uplift_qty"].sum()
    lost = lost_amt / extra if extra > 0 else 0.0
    promoted = float(base[inside].sum())
    pulled = float(case.loc[inside, "pulled_forward_qty"].sum())
    gain = promoted * (margin - discount - lost)
    return (discount * (promoted + pulled) + float(case["cost_amt"].sum())) / gain if gain > 0 else np.nan


def price_cases(consensus_demand: pd.DataFrame, driver_effect: pd.DataFrame, item: pd.DataFrame) -> pd.DataFrame:
    """What a price 5 % lower or higher would do to the demand, revenue and margin of every family over the horizon.

    quantity = demand · (1 + change)^elasticity, item by item (the elasticity of the item, else of all); margin at standard cost.
    Low and high are the ends of the elasticity's range.

    Parameters
    ----------
    consensus_demand, driver_effect, item : DataFrame
        Tables of the cycle; elasticities are the rows of driver `price`.

    Returns
    -------
    DataFrame
        `price_case`.
    """
    demand = repriced_demand(consensus_demand, driver_effect, 0.0)
    rows = demand.merge(item[["item_id", "family", "standard_cost_amt"]], on="item_id", how="left", validate="many_to_one")
    rows = rows[rows["standard_cost_amt"].notna() & rows["family"].notna()]
    rows = rows[rows.groupby("family")["demand_qty"].transform("sum") > 0]
    parts = [_price_case(name, part, change) for name, part in rows.groupby("family", sort=True) for change in _PRICE_STEPS]
    made = pd.DataFrame(parts, columns=list(tables.table("price_case").columns))
    return tables.validate("price_case", made)


def repriced_demand(consensus_demand: pd.DataFrame, driver_effect: pd.DataFrame, price_change_ratio: float | pd.Series) -> pd.DataFrame:
    """Consensus at a changed price: demand answers by elasticity, and every row says on what its elasticity rests.

    Parameters
    ----------
    price_change_ratio : float or Series in the order of the consensus
        0.05: five per cent dearer.

    Returns
    -------
    DataFrame
        The consensus with demand_qty, low_qty, high_qty, price_amt and revenue_amt at the changed price, and elasticity_ratio,
        elasticity_low_ratio, elasticity_high_ratio, basis.

    Examples
    --------
    >>> rows = pd.DataFrame({"item_id": ["A"], "market_id": ["N"], "period": pd.to_datetime(["2026-10-01"]), "demand_qty": [100.0],
    ...                      "low_qty": [80.0], "high_qty": [120.0], "price_amt": [10.0], "revenue_amt": [1000.0]})
    >>> effect = pd.DataFrame([{"driver": "price", "level": "all", "member": "all", "measure": "elasticity", "effect_ratio": -2.0,
    ...                         "low_ratio": -3.0, "high_ratio": -1.0, "basis": "assumed"}])
    >>> repriced_demand(rows, effect, 0.25)[["demand_qty", "price_amt", "revenue_amt", "basis"]].to_dict("records")
    [{'demand_qty': 64.0, 'price_amt': 12.5, 'revenue_amt': 800.0, 'basis': 'assumed'}]
    """
    known = driver_effect[(driver_effect["driver"] == "price") & (driver_effect["measure"] == "elasticity")].set_index("member")
    found = known.reindex(consensus_demand["item_id"]).reset_index(drop=True).set_index(consensus_demand.index)
    general = known.loc["all"]
    named = {
        "effect_ratio": "elasticity_ratio", "low_ratio": "elasticity_low_ratio", "high_ratio": "elasticity_high_ratio", "basis": "basis",
    }  # fmt: skip
    made = consensus_demand.assign(**{new: found[old].where(found[old].notna(), general[old]) for old, new in named.items()})
    factor = (1 + price_change_ratio) ** made["elasticity_ratio"].astype(float)
    made[["demand_qty", "low_qty", "high_qty"]] = made[["demand_qty", "low_qty", "high_qty"]].mul(factor, axis=0)
    made["price_amt"] = made["price_amt"] * (1 + price_change_ratio)
    return made.assign(revenue_amt=made["demand_qty"] * made["price_amt"])


def _price_case(family: str, rows: pd.DataFrame, change: float) -> dict:
    price, cost, quantity = rows["price_amt"], rows["standard_cost_amt"], rows["demand_qty"]
    outcome = {}
    for name, column in (("low", "elasticity_low_ratio"), ("", "elasticity_ratio"), ("high", "elasticity_high_ratio")):
        sold = quantity * (1 + change) ** rows[column]
        outcome[name] = (
            (sold - quantity).sum(), (sold * price * (1 + change) - quantity * price).sum(),
            (sold * (price * (1 + change) - cost) - quantity * (price - cost)).sum(),
        )  # fmt: skip
    estimated = float(quantity[rows["basis"] == ESTIMATED].sum() / quantity.sum())
    return {
        "family": family, "price_change_ratio": change, "elasticity_ratio": np.average(rows["elasticity_ratio"], weights=quantity),
        "basis": ESTIMATED if estimated > 0.5 else ASSUMED, "quantity_change_qty": outcome[""][0], "revenue_change_amt": outcome[""][1],
        "margin_change_amt": outcome[""][2], "margin_change_low_amt": min(outcome["low"][2], outcome["high"][2]),
        "margin_change_high_amt": max(outcome["low"][2], outcome["high"][2]), "demand_qty": quantity.sum(),
        "revenue_amt": (quantity * price).sum(),
    }  # fmt: skip
