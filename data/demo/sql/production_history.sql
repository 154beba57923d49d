-- What was made in the periods that are over on the as-of date.
SELECT * FROM production_history
WHERE period <= CAST(:as_of AS DATE)
