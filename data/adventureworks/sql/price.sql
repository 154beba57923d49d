-- Net realised price of an item in a market: money / units of the last twelve months, of all time where it did not sell in them.
with sold as (
    select d.ProductID, t.Name || '|' || case when cast(h.OnlineOrderFlag as boolean) then 'online' else 'reseller' end as market_id,
           d.OrderQty, d.LineTotal, h.OrderDate > :as_of - interval 12 month as is_recent
    from SalesOrderHeader h
    join SalesOrderDetail d on d.SalesOrderID = h.SalesOrderID
    join SalesTerritory t on t.TerritoryID = h.TerritoryID
    where h.OrderDate < :as_of + 1
)
select ProductID as item_id,
       market_id,
       (select cast(min(OrderDate) as date) from SalesOrderHeader) as valid_from,
       coalesce(sum(LineTotal) filter (is_recent) / sum(OrderQty) filter (is_recent), sum(LineTotal) / sum(OrderQty)) as price_amt
from sold
group by ProductID, market_id
