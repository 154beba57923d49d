-- What a supplier can deliver in a month, a week.
select * replace (max_qty * 12 / 52 as max_qty) from supplier_item
