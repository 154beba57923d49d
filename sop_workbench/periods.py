"""Planning buckets: which period a date falls in, what was known when, and lead times in buckets.

A period is named by its first calendar day (`2026-10-01`, or the Monday of a week). A company whose
periods end early or late shifts the calendar: with `shift_days=4` the period 2014-01 runs from
28 December to 27 January, and the cycle 2014-01 is planned with what was known on 27 December.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np
import pandas as pd

from sop_workbench.errors import SettingsError

Bucket = Literal["month", "week"]

_DAYS_PER_BUCKET = {"month": 365.25 / 12, "week": 7.0}
_OFFSET = {"month": pd.DateOffset(months=1), "week": pd.DateOffset(weeks=1)}
_FREQUENCY = {"month": "MS", "week": "W-MON"}
BUCKETS_PER_YEAR = {"month": 12, "week": 52}


@dataclass(frozen=True)
class Calendar:
    """The planning calendar of a company: bucket length and how many days its periods run ahead.

    Examples
    --------
    >>> calendar = Calendar("month", shift_days=4)
    >>> calendar.as_of("2014-01").date()
    datetime.date(2013, 12, 27)
    >>> str(calendar.period_of(pd.Timestamp("2013-12-28")).date())
    '2014-01-01'
    """

    bucket: Bucket = "month"
    shift_days: int = 0

    @property
    def buckets_per_year(self) -> int:
        """12 or 52: the season length in periods."""
        return BUCKETS_PER_YEAR[self.bucket]

    @property
    def frequency(self) -> str:
        """The pandas frequency of period starts (`MS` or `W-MON`)."""
        return _FREQUENCY[self.bucket]

    def period_of(self, date: pd.Timestamp) -> pd.Timestamp:
        """First day of the period that holds `date`."""
        return self.periods_of(pd.Series([date])).iloc[0]

    def periods_of(self, dates: pd.Series) -> pd.Series:
        """First day of the period of each date (shape as given, datetime64[ns])."""
        shifted = pd.to_datetime(dates) + pd.Timedelta(days=self.shift_days)
        code = "M" if self.bucket == "month" else "W-SUN"
        return shifted.dt.to_period(code).dt.start_time.astype("datetime64[ns]")

    def first_day(self, period: pd.Timestamp) -> pd.Timestamp:
        """The calendar day on which a period really begins."""
        return pd.Timestamp(period) - pd.Timedelta(days=self.shift_days)

    def add(self, period: pd.Timestamp, buckets: int) -> pd.Timestamp:
        """The period `buckets` later (earlier when negative)."""
        return pd.Timestamp(period) + _OFFSET[self.bucket] * buckets

    def distance(self, start: pd.Timestamp, end: pd.Timestamp) -> int:
        """Number of buckets from period `start` to period `end`."""
        if self.bucket == "week":
            return (pd.Timestamp(end) - pd.Timestamp(start)).days // 7
        start, end = pd.Timestamp(start), pd.Timestamp(end)
        return (end.year - start.year) * 12 + end.month - start.month

    def cycle_period(self, cycle_id: str) -> pd.Timestamp:
        """First planned period of a cycle: `2026-10` → 2026-10-01, `2026-W41` → Monday of ISO week 41.

        Raises
        ------
        SettingsError
            When the name does not fit the company's bucket.
        """
        form = r"(\d{4})-(\d{2})" if self.bucket == "month" else r"(\d{4})-W(\d{2})"
        match = re.fullmatch(form, cycle_id)
        try:
            if match is None:
                raise ValueError(cycle_id)
            year, number = int(match[1]), int(match[2])
            if self.bucket == "month":
                return pd.Timestamp(year, number, 1)
            return pd.Timestamp.fromisocalendar(year, number, 1)
        except ValueError:
            example = "2026-10" if self.bucket == "month" else "2026-W41"
            raise SettingsError(
                f"cycle {cycle_id!r} is not a {self.bucket}; write it like {example}"
            ) from None

    def cycle_id(self, period: pd.Timestamp) -> str:
        """Name of the cycle that plans from `period` on."""
        period = pd.Timestamp(period)
        if self.bucket == "month":
            return f"{period:%Y-%m}"
        year, week, _ = period.isocalendar()
        return f"{year}-W{week:02d}"

    def current_cycle(self, today: pd.Timestamp) -> str:
        """Name of the cycle whose first period holds a day: what a timer runs.

        Examples
        --------
        >>> Calendar("month").current_cycle(pd.Timestamp("2026-10-06 06:00")), Calendar("week").current_cycle(pd.Timestamp("2026-10-06"))
        ('2026-10', '2026-W41')
        """
        return self.cycle_id(self.period_of(pd.Timestamp(today).normalize()))

    def as_of(self, cycle_id: str) -> pd.Timestamp:
        """Last day whose facts the cycle may know: the day before its first period begins."""
        return self.first_day(self.cycle_period(cycle_id)) - pd.Timedelta(days=1)

    def horizon(self, cycle_id: str, buckets: int) -> pd.DatetimeIndex:
        """The `buckets` periods a cycle plans."""
        return pd.date_range(self.cycle_period(cycle_id), periods=buckets, freq=self.frequency)

    def lead_time_buckets(self, days: pd.Series) -> pd.Series:
        """Lead times in whole buckets, rounded to the nearest, halves up (the one rounding rule).

        Examples
        --------
        >>> Calendar("month").lead_time_buckets(pd.Series([0, 14, 16, 45, 60])).tolist()
        [0, 0, 1, 1, 2]
        """
        return ((days / _DAYS_PER_BUCKET[self.bucket]) + 0.5).floordiv(1).astype("int64")


# ------------------------------------------------------------------ working days


def days_off(holidays: Sequence[date | str], years: Iterable[int]) -> list[date]:
    """Days of some years on which nobody works, beside Saturday and Sunday.

    Parameters
    ----------
    holidays : sequence of date or str
        Dates, countries (`DE`) and parts of countries (`DE-BY`), as the `holidays` library names them.
    years : iterable of int
        Years that the holidays of countries are wanted for; dates are taken as they are.

    Raises
    ------
    SettingsError
        When a country or part is not known.

    Examples
    --------
    >>> days_off(["DE", date(2026, 12, 24)], [2026])[:2]
    [datetime.date(2026, 1, 1), datetime.date(2026, 4, 3)]
    """
    wanted = list(years)
    found = {day for given in holidays for day in ([given] if isinstance(given, date) else _days_of_country(given, wanted))}
    return sorted(found)


def _days_of_country(code: str, years: list[int]) -> Iterable[date]:
    import holidays  # only where a country is named

    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", code):  # a date in quotes
        return [date.fromisoformat(code)]
    country, _, part = code.partition("-")
    try:
        return list(holidays.country_holidays(country, subdiv=part or None, years=years))
    except NotImplementedError:
        raise SettingsError(f"no public holidays are known for {code!r}; write a country such as DE, a part of one such as DE-BY, or dates "
                            "such as 2026-12-24") from None


def due_day(first_day: pd.Timestamp, working_day: int, holidays: Sequence[date | str] = ()) -> pd.Timestamp:
    """The working day (Monday to Friday, no holiday) by which something is due, counted from the first day of the cycle.

    Examples
    --------
    >>> str(due_day(pd.Timestamp("2026-10-01"), 4).date()), str(due_day(pd.Timestamp("2026-04-01"), 4, ["DE"]).date())
    ('2026-10-06', '2026-04-08')
    """
    off = days_off(holidays, range(first_day.year, first_day.year + 2))
    return pd.Timestamp(np.busday_offset(np.datetime64(first_day.date()), working_day - 1, roll="forward", holidays=off))


def working_days_late(due: pd.Timestamp, today: pd.Timestamp, holidays: Sequence[date | str] = ()) -> int:
    """Working days from the due day to today; 0 up to the due day.

    Examples
    --------
    >>> working_days_late(pd.Timestamp("2026-10-09"), pd.Timestamp("2026-10-12 08:00"))
    1
    >>> working_days_late(pd.Timestamp("2026-04-02"), pd.Timestamp("2026-04-07"), ["DE"])  # Easter lies between
    1
    """
    off = days_off(holidays, range(due.year, today.year + 1))
    return max(0, int(np.busday_count(due.date(), today.date(), holidays=off)))
