select TransactionID as movement_id,
       case trim(TransactionType) when 'S' then 'sale' when 'P' then 'purchase' when 'W' then 'production' end as kind,
       ProductID as item_id,
       ReferenceOrderID as order_id,
       TransactionDate as movement_date,
       Quantity as moved_qty
from (select * from TransactionHistory union all by name select * from TransactionHistoryArchive)
