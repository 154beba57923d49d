-- Months that are closed on the as-of date.
SELECT * FROM ledger
WHERE period <= CAST(:as_of AS DATE)
