"""The approved plan against what happened: deviations, waterfall, family grid, causes, alerts, KPIs of the past."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from sop_workbench.periods import Calendar
from sop_workbench.settings import Settings


def plan_deviation(plan_archive: pd.DataFrame, inputs: Mapping[str, pd.DataFrame], as_of: pd.Timestamp, calendar: Calendar) -> pd.DataFrame:
    """Every archived plan beside its actual, with lag; returns `plan_deviation`.

    `plan_archive` has the columns of the input table of that name (lock_cycle_id, stream, item_id, market_id, period, plan_qty);
    rows of cycles locked in the workbench are appended to it by the caller.
    """
    raise NotImplementedError


def waterfall(plan_archive: pd.DataFrame, actual: pd.DataFrame, stream: str = "consensus") -> pd.DataFrame:
    """Locked plans by lock cycle (rows) and target period (columns), actuals in the last row."""
    raise NotImplementedError


def error_by_lag(deviation: pd.DataFrame) -> pd.DataFrame:
    """WAPE and bias of every stream by lag: stream, lag, wape_ratio, bias_ratio, actual_qty."""
    raise NotImplementedError


def family_grid(deviation: pd.DataFrame, plan_archive: pd.DataFrame, inputs: Mapping[str, pd.DataFrame], calendar: Calendar) -> pd.DataFrame:
    """Sales, production and inventory per family and period: plan, actual, difference, cumulative."""
    raise NotImplementedError


def root_cause(deviation: pd.DataFrame, price: pd.DataFrame, explained_ratio: float = 0.8) -> pd.DataFrame:
    """The families and items behind a revenue deviation; returns `root_cause`."""
    raise NotImplementedError


def alerts(deviation: pd.DataFrame, results: Mapping[str, pd.DataFrame], settings: Settings, calendar: Calendar) -> pd.DataFrame:
    """What lies outside tolerance, past and ahead, in words; returns `alert`.

    `results` holds the tables of the newest plan where present: inventory_projection, resource_plan, unmet_demand.
    """
    raise NotImplementedError


def past_kpis(
    deviation: pd.DataFrame, inputs: Mapping[str, pd.DataFrame], settings: Settings, period: pd.Timestamp, calendar: Calendar
) -> pd.DataFrame:
    """KPIs of the period just ended: accuracy by lag, fill, on time, adherence, turns; returns `kpi`."""
    raise NotImplementedError
