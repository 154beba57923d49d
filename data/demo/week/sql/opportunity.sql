-- The pipeline as it stood (see the monthly mapping), closing in the week that holds the middle of the month.
select opportunity_id, item_id, family, market_id, period_of(close_period + 14) as close_period, volume_qty, probability_ratio,
       case when closed_date is null then stage else 'open' end as stage, is_in_run_rate
from opportunity
where known_date <= cast(:as_of as date)
  and (closed_date is null or closed_date > cast(:as_of as date))
