"""Risk: futures drawn from the forecast's own errors and from supply events, and what the plan comes to in them.

Demand of a row is drawn from a normal distribution with two halves, as wide as its range says on each side; errors of one family
in one period have a share in common, estimated from past demand, and carry over from period to period.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import norm

from sop_workbench import tables
from sop_workbench.errors import DataError
from sop_workbench.periods import Calendar
from sop_workbench.settings import Risk, Settings, SupplyEvent
from sop_workbench.supply.compile import Arrays
from sop_workbench.supply.explain import money_words
from sop_workbench.supply.frontier import frontiers
from sop_workbench.supply.instance import SALE, Instance, supply_instance
from sop_workbench.supply.plan import compiled_plan
from sop_workbench.supply.recourse import Commitment, Future, Outcome, Recourse, Sample, best_commitment, cvar, mean_sample
from sop_workbench.supply.vary import VariedPlan
from sop_workbench.supply.vulnerability import vulnerability

PLAN, STOCHASTIC = "plan", "plan for all samples"
_MEASURES = {"profit_amt": "profit", "fill_ratio": "fill rate", "inventory_amt": "inventory", "lost_revenue_amt": "lost revenue"}
_HIGHER_IS_BETTER = ("profit_amt", "fill_ratio")
_LEAST_SERIES, _MOST_SHARED = 3, 0.9
_QUANTILES = {"p10": 0.1, "p50": 0.5, "p90": 0.9}


def stress(
    inputs: dict[str, pd.DataFrame], consensus_demand: pd.DataFrame, inventory_target: pd.DataFrame, settings: Settings,
    periods: pd.DatetimeIndex, calendar: Calendar,
) -> dict[str, pd.DataFrame]:
    """How the plan stands up: what service costs, which loss hurts most, and what it comes to in samples of the future.

    The model is stated once; every answer is that model with moved limits, solved on from the last one.

    Parameters
    ----------
    inputs, consensus_demand, inventory_target, settings, periods, calendar
        As for `plan_supply`.

    Returns
    -------
    dict of DataFrame
        service_frontier, vulnerability, sample_outcome, plan_risk, risk_value; the last three are empty when `risk.samples` is 0.
    """
    instance = supply_instance(inputs, consensus_demand, inventory_target, settings, periods, calendar)
    arrays = compiled_plan(instance, settings)
    solved = VariedPlan(arrays, settings)
    if arrays.columns_count:
        solved.solve()
    return {
        "service_frontier": frontiers(instance, arrays, settings, like=solved),
        "vulnerability": vulnerability(instance, arrays, settings, settings.risk.loss_buckets, like=solved),
        **try_samples(instance, arrays, inputs, consensus_demand, settings, calendar, like=solved),
    }


def shared_error_ratio(sales_history: pd.DataFrame, item: pd.DataFrame, calendar: Calendar, years: int = 3) -> float:
    """How much of the items' ups and downs a family has in common: 0 none, 1 all.

    The mean correlation between items of a family, of what each item's log growth over a year departs from its own mean:
    ρ = (n · Var(mean) − 1) / (n − 1) for n standardised series, weighed by n, between 0 and .9.

    Parameters
    ----------
    sales_history, item : DataFrame
        Input tables.
    calendar : Calendar
        Periods of a year.
    years : int
        How far back.
    """
    sold = sales_history.groupby(["item_id", "period"])["ordered_qty"].sum().unstack("period")
    year = calendar.buckets_per_year
    recent = np.log(sold.where(sold > 0)).iloc[:, -(years * year):]
    growth = (recent - recent.shift(year, axis=1)).dropna(axis=1, how="all").dropna()
    if growth.shape[1] < year or growth.empty:
        return 0.0
    spread = growth.std(axis=1, ddof=0)
    standard = growth.sub(growth.mean(axis=1), axis=0).div(spread.where(spread > 0), axis=0).dropna()
    family = item.set_index("item_id")["family"].reindex(standard.index)
    groups = [rows for _, rows in standard.groupby(family) if len(rows) >= _LEAST_SERIES]
    if not groups:
        return 0.0
    shared = [(len(rows) * rows.mean().var(ddof=0) - 1) / (len(rows) - 1) for rows in groups]
    return float(np.clip(np.average(shared, weights=[len(rows) for rows in groups]), 0.0, _MOST_SHARED))


def draw_samples(
    instance: Instance, consensus_demand: pd.DataFrame, item: pd.DataFrame, arrays: Arrays, settings: Settings, shared: float
) -> list[Sample]:
    """Equally likely futures of demand, hours and supplies; the same seed draws the same ones.

    D = max(0, d + z · half-width), where the half-width is (high − d) / q above and (d − low) / q below, q the normal quantile of the
    forecast's interval; z(t) = φ z(t−1) + √(1−φ²) ε(t), ε = √ρ · family + √(1−ρ) · own.

    Parameters
    ----------
    instance : Instance
        Its rows of demand and capacity are what the factors belong to.
    consensus_demand : DataFrame
        demand_qty with low_qty and high_qty.
    item : DataFrame
        Gives the family.
    settings : Settings
        `risk`, `forecast.interval_ratio`, `compute.seed`.
    shared : float
        ρ.

    Raises
    ------
    DataError
        When a supply event names a resource or supplier that the plan does not know.
    """
    rule, rng = settings.risk, np.random.default_rng(settings.compute.seed)
    refuse_unknown_events(instance, rule)
    width = _half_widths(instance, consensus_demand, settings.forecast.interval_ratio)
    family = pd.factorize(instance.demand["item_id"].map(item.set_index("item_id")["family"]).fillna(""))[0]
    series = pd.factorize(pd.MultiIndex.from_frame(instance.demand[SALE]))[0]
    periods = instance.demand["t"].to_numpy()
    samples = []
    for _ in range(rule.samples):
        error = np.sqrt(shared) * _wandering(rng, family.max() + 1, len(instance.periods), rule.persistence_ratio)[family, periods]
        error += np.sqrt(1 - shared) * _wandering(rng, series.max() + 1, len(instance.periods), rule.persistence_ratio)[series, periods]
        ratio = np.maximum(1 + np.where(error > 0, width[1], width[0]) * error, 0.0)
        samples.append(Sample(ratio, *_supply_left(instance, arrays, rule, rng)))
    return samples


def refuse_unknown_events(instance: Instance, rule: Risk) -> None:
    """Refuse supply events on what the plan does not have.

    Raises
    ------
    DataError
        Every such event at once.
    """
    known = {"resource_id": set(instance.resource["resource_id"]), "supplier_id": set(instance.bought["supplier_id"])}
    found = [
        tables.finding("unknown_in_supply_event", "blocks", "sop.yaml", f"risk.supply_events {event.title}", 1, str(value),
                       f"use a {column} of the plan: {', '.join(sorted(known[column])[:10])}")
        for event in rule.supply_events for column in ("resource_id", "supplier_id")
        if (value := getattr(event, column)) is not None and value not in known[column]
    ]
    if found:
        raise DataError(tables.issue_frame(found))


def try_samples(
    instance: Instance, arrays: Arrays, inputs: dict[str, pd.DataFrame], consensus_demand: pd.DataFrame, settings: Settings,
    calendar: Calendar, like: VariedPlan | None = None,
) -> dict[str, pd.DataFrame]:
    """Try the plan, and the plan that is best for all samples together, against every sample.

    Expected worth of committing as if the mean were sure (EEV), of the plan for all samples (RP), of knowing the future (WS);
    EVPI = WS − RP: what perfect information would bring at most; VSS = RP − EEV: what planning for the spread instead of the
    mean brings; the regret of a sample is what was lost in it for not having known.

    Parameters
    ----------
    instance, arrays : Instance, Arrays
        The situation and its compiled model.
    inputs, consensus_demand
        sales_history and item tell what errors families share; the range of demand tells how large they are.
    settings, calendar
        `risk` section; periods of a year.
    like : VariedPlan, optional
        The same plan, solved already.

    Returns
    -------
    dict of DataFrame
        sample_outcome, plan_risk (mean, P10, P50, P90 and mean of the worst of each measure and plan), risk_value.
    """
    if settings.risk.samples == 0 or arrays.columns_count == 0 or consensus_demand.empty:
        return {name: tables.table(name).empty() for name in ("sample_outcome", "plan_risk", "risk_value")}
    committed = settings.risk.committed_buckets or max(1, settings.frozen_buckets)
    recourse = Recourse(instance, arrays, settings, committed, like)
    shared = shared_error_ratio(inputs["sales_history"], inputs["item"], calendar)
    samples = draw_samples(instance, consensus_demand, inputs["item"], arrays, settings, shared)
    futures = [Future(recourse, sample) for sample in samples]
    mean = Future(recourse, mean_sample(samples)).outcome(None).used
    best = best_commitment(recourse, futures, mean, settings.risk.cvar_weight_ratio, settings.risk.cvar_ratio)
    tried = {PLAN: best.of_plan, STOCHASTIC: best.outcomes}
    outcome = _sample_outcomes(tried, best.known)
    return {"sample_outcome": outcome, "plan_risk": _plan_risk(outcome, settings),
            "risk_value": _risk_value(tried, best, settings, committed, shared)}


def _half_widths(instance: Instance, consensus_demand: pd.DataFrame, coverage: float) -> tuple[np.ndarray, np.ndarray]:
    """Usual error below and above, as a share of demand, for every row of the instance's demand; 0 where nothing is planned."""
    rows = instance.demand[[*SALE, "t"]].assign(period=instance.periods[instance.demand["t"]])
    stated = rows.merge(consensus_demand[[*SALE, "period", "demand_qty", "low_qty", "high_qty"]], on=[*SALE, "period"], how="left",
                        validate="1:1")
    planned = stated["demand_qty"].where(stated["demand_qty"] > 0)
    quantile = norm.ppf((1 + coverage) / 2)
    below, above = (stated["demand_qty"] - stated["low_qty"]) / planned, (stated["high_qty"] - stated["demand_qty"]) / planned
    # Planned zero, or a row that is there only because late orders wait: nothing to err about.
    low, high = ((side / quantile).clip(lower=0).fillna(0.0).to_numpy() for side in (below, above))
    return low, high


def _wandering(rng: np.random.Generator, count: int, periods: int, persistence: float) -> np.ndarray:
    """Standard normal errors, series × periods, each carrying over into the next."""
    fresh = rng.standard_normal((count, periods))
    error = fresh.copy()
    for t in range(1, periods):
        error[:, t] = persistence * error[:, t - 1] + np.sqrt(1 - persistence**2) * fresh[:, t]
    return error


def _supply_left(instance: Instance, arrays: Arrays, rule: Risk, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Shares of hours and of supplier orders that events leave, by row of capacity and by order."""
    orders = pd.DataFrame([(key[1], key[-1]) for key in arrays.columns["purchase_qty"].keys], columns=["supplier_id", "t"])
    hours, supply = np.ones(len(instance.capacity)), np.ones(len(orders))
    for event in rule.supply_events:
        is_hit = _hit_periods(event, len(instance.periods), rng)
        column, frame, left = ("resource_id", instance.capacity, hours) if event.resource_id else ("supplier_id", orders, supply)
        touched = (frame[column] == getattr(event, column)).to_numpy() & is_hit[frame["t"].to_numpy(dtype=int)]
        left[touched] *= 1 - event.loss_ratio
    return hours, supply


def _hit_periods(event: SupplyEvent, periods: int, rng: np.random.Generator) -> np.ndarray:
    """Periods in which an event that may start in each is under way."""
    starts = rng.random(periods) < event.probability_ratio
    return np.convolve(starts, np.ones(event.duration_buckets))[:periods] > 0


def _sample_outcomes(tried: dict[str, list[Outcome]], known: list[Outcome]) -> pd.DataFrame:
    """Every measure of every plan in every sample, with the regret."""
    rows = [
        {"plan": plan, "sample": n, **{column: getattr(outcome.measured, column) for column in _MEASURES},
         "regret_amt": max(0.0, best.worth_amt - outcome.worth_amt)}
        for plan, found in tried.items() for n, (outcome, best) in enumerate(zip(found, known, strict=True), start=1)
    ]
    return tables.validate("sample_outcome", pd.DataFrame(rows))


def _plan_risk(outcome: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Mean, quantiles and the mean of the worst of each measure."""
    units = {column: "ratio" if column.endswith("_ratio") else settings.currency for column in _MEASURES}
    rows = []
    for plan, part in outcome.groupby("plan", sort=False):
        for sequence, (column, words) in enumerate(_MEASURES.items(), start=1):
            value = part[column].to_numpy()
            worst = cvar(value, settings.risk.cvar_ratio) if column in _HIGHER_IS_BETTER else -cvar(-value, settings.risk.cvar_ratio)
            quantiles = {f"{name}_value": float(np.quantile(value, level)) for name, level in _QUANTILES.items()}
            rows.append({"plan": plan, "measure": words, "sequence": sequence, "unit": units[column], "mean_value": value.mean(),
                         **quantiles, "worst_mean_value": worst})
    return tables.validate("plan_risk", pd.DataFrame(rows))


def _risk_value(tried: dict[str, list[Outcome]], best: Commitment, settings: Settings, committed: int, shared: float) -> pd.DataFrame:
    """What the spread costs, what planning for it brings, what knowing would be worth; each with its sentence."""
    known = best.known
    answered = {**tried, "known": known, "mean": best.of_start}
    mean = {name: float(np.mean([one.worth_amt for one in found])) for name, found in answered.items()}
    regret = np.array([best_one.worth_amt - one.worth_amt for one, best_one in zip(tried[PLAN], known, strict=True)])
    count, currency = len(known), settings.currency
    span = f"{committed} {settings.bucket}" + ("" if committed == 1 else "s")
    figures = [
        ("plan", mean[PLAN], f"The plan, committed for {span}, is worth {{}} on average over {count} samples"),
        ("mean plan (EEV)", mean["mean"], "Committing as if the mean of the samples were sure is worth {}"),
        ("stochastic plan (RP)", mean[STOCHASTIC],
         f"The plan for all samples is worth {{}}, within {best.gap_ratio:.2%} of the best there is"),
        ("future known (WS)", mean["known"], "Knowing each sample beforehand would be worth {}"),
        ("perfect information (EVPI)", mean["known"] - mean[STOCHASTIC], "Better forecasts and earlier warnings can bring {} at most"),
        ("planning for the spread (VSS)", mean[STOCHASTIC] - mean["mean"], "Planning for the spread instead of the mean brings {}"),
        ("mean regret", float(regret.mean()), "For not knowing the future the plan gives up {} on average"),
        ("largest regret", float(regret.max()), "In the sample that it fits worst the plan gives up {}"),
    ]
    rows = [{"figure": name, "sequence": n, "value_amt": amount, "sentence": words.format(f"{money_words(amount)} {currency}") + "."}
            for n, (name, amount, words) in enumerate(figures, start=1)]
    frame = pd.DataFrame(rows).assign(sample_count=count, shared_error_ratio=shared)
    return tables.validate("risk_value", frame)
