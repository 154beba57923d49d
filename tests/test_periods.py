"""Planning buckets: the calendar's arithmetic and what a cycle may know."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sop_workbench.errors import SettingsError
from sop_workbench.periods import Calendar

DAYS = st.datetimes(pd.Timestamp("2000-01-01"), pd.Timestamp("2060-01-01"))


def test_a_company_whose_period_ends_on_the_27th():
    calendar = Calendar("month", shift_days=4)
    assert calendar.as_of("2014-01") == pd.Timestamp("2013-12-27")
    assert calendar.period_of(pd.Timestamp("2013-12-27")) == pd.Timestamp("2013-12-01")
    assert calendar.period_of(pd.Timestamp("2013-12-28")) == pd.Timestamp("2014-01-01")


def test_weekly_cycles_are_iso_weeks():
    calendar = Calendar("week")
    assert calendar.cycle_period("2026-W41") == pd.Timestamp("2026-10-05")
    assert calendar.cycle_id(pd.Timestamp("2026-10-05")) == "2026-W41"
    assert list(calendar.horizon("2026-W52", 3)) == list(pd.to_datetime(["2026-12-21", "2026-12-28", "2027-01-04"]))


@pytest.mark.parametrize("name", ["2026", "2026-13", "2026-W41", "26-01", "2026-1", "../../etc"])
def test_a_wrong_cycle_name_says_how_to_write_it(name):
    with pytest.raises(SettingsError, match="write it like 2026-10"):
        Calendar("month").cycle_period(name)


@given(day=DAYS, shift=st.integers(-15, 15), bucket=st.sampled_from(["month", "week"]))
def test_every_day_lies_in_its_period(day, shift, bucket):
    calendar = Calendar(bucket, shift)
    period = calendar.period_of(pd.Timestamp(day))
    assert calendar.first_day(period) <= pd.Timestamp(day) < calendar.first_day(calendar.add(period, 1))
    assert calendar.cycle_period(calendar.cycle_id(period)) == period


@given(day=DAYS, buckets=st.integers(-60, 60), bucket=st.sampled_from(["month", "week"]))
def test_distance_undoes_add(day, buckets, bucket):
    calendar = Calendar(bucket)
    period = calendar.period_of(pd.Timestamp(day))
    assert calendar.distance(period, calendar.add(period, buckets)) == buckets


def test_lead_times_round_to_the_nearest_bucket():
    days = pd.Series([0, 3, 4, 7, 10.5, 14])
    assert Calendar("week").lead_time_buckets(days).tolist() == [0, 0, 1, 1, 2, 2]
    assert Calendar("month").lead_time_buckets(pd.Series([15, 16, 120])).tolist() == [0, 1, 4]
