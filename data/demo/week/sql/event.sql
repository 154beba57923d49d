-- Happenings planned by the as-of date, by the weeks that begin in their months.
select event_id, kind, item_id, family, market_id, region, period_of(from_period + 6) as from_period,
       period_of(last_day(to_period)) as to_period, uplift_ratio, pull_forward_ratio, cost_amt,
       case when last_day(to_period) <= cast(:as_of as date) then actual_cost_amt end as actual_cost_amt, resource_id,
       case when last_day(to_period) > cast(:as_of as date) then 'approved' else 'done' end as status, known_date
from event
where known_date <= cast(:as_of as date)
