-- Lists published by the as-of date; next year's list may be among them.
SELECT item_id, market_id, valid_from, price_amt
FROM price
WHERE known_date <= CAST(:as_of AS DATE)
