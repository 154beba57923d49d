-- Orders opened by the as-of date and not closed then. When an order was closed later is not known yet.
SELECT order_id, item_id, location_id, kind, due_date, open_qty, supplier_id
FROM open_supply
WHERE opened_date <= CAST(:as_of AS DATE)
  AND (closed_date IS NULL OR closed_date > CAST(:as_of AS DATE))
