-- The last round of inputs handed in by the as-of date.
SELECT source, author, item_id, family, market_id, region, period, input_qty, reason
FROM demand_input
WHERE known_date = (SELECT max(known_date) FROM demand_input WHERE known_date <= CAST(:as_of AS DATE))
