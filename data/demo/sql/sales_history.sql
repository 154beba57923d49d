-- Orders of the periods that are over on the as-of date.
SELECT * FROM sales_history
WHERE period <= CAST(:as_of AS DATE)
