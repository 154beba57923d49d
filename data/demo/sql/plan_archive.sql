-- Plans of cycles that were locked by the as-of date (cycle names sort like their months).
SELECT * FROM plan_archive
WHERE CAST(lock_cycle_id || '-01' AS DATE) <= CAST(:as_of AS DATE)
