-- Month-end stock of the periods that are over on the as-of date.
SELECT * FROM stock_history
WHERE period <= CAST(:as_of AS DATE)
