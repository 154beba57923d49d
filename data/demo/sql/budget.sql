-- Budgets approved by the as-of date.
SELECT family, region, period, volume_qty, revenue_amt, margin_amt
FROM budget
WHERE known_date <= CAST(:as_of AS DATE)
