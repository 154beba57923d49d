-- Happenings planned by the as-of date; those that are over then are done, and their cost is booked.
SELECT event_id, kind, item_id, family, market_id, region, from_period, to_period, uplift_ratio, pull_forward_ratio, cost_amt,
       CASE WHEN to_period <= CAST(:as_of AS DATE) THEN actual_cost_amt END AS actual_cost_amt, resource_id,
       CASE WHEN to_period > CAST(:as_of AS DATE) THEN 'approved' ELSE 'done' END AS status, known_date
FROM event
WHERE known_date <= CAST(:as_of AS DATE)
