-- The pipeline as it stood: known by the as-of date, neither won nor lost by then. Where it ended is not known yet.
SELECT opportunity_id, item_id, family, market_id, close_period, volume_qty, probability_ratio,
       CASE WHEN closed_date IS NULL THEN stage ELSE 'open' END AS stage, is_in_run_rate
FROM opportunity
WHERE known_date <= CAST(:as_of AS DATE)
  AND (closed_date IS NULL OR closed_date > CAST(:as_of AS DATE))
