-- The last count on or before the as-of date.
SELECT * FROM stock_on_hand
WHERE as_of_date = (SELECT max(as_of_date) FROM stock_on_hand WHERE as_of_date <= CAST(:as_of AS DATE))
