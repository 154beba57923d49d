-- Net realised price of an item in a market: money / units of the last twelve months, of all time where it did not sell in them.
-- Before today's list price was valid, the same share of the list price of the time; so history shows when a price changed.
with sold as (
    select d.ProductID, t.Name || '|' || case when cast(h.OnlineOrderFlag as boolean) then 'online' else 'reseller' end as market_id,
           d.OrderQty, d.LineTotal, h.OrderDate > :as_of - interval 12 month as is_recent
    from SalesOrderHeader h
    join SalesOrderDetail d on d.SalesOrderID = h.SalesOrderID
    join SalesTerritory t on t.TerritoryID = h.TerritoryID
    where h.OrderDate < :as_of + 1
),
realised as (
    select ProductID, market_id,
           coalesce(sum(LineTotal) filter (is_recent) / sum(OrderQty) filter (is_recent), sum(LineTotal) / sum(OrderQty)) as price_amt
    from sold
    group by ProductID, market_id
),
listed as (
    select ProductID, cast(StartDate as date) as valid_from, ListPrice,
           row_number() over (partition by ProductID order by StartDate) as place,
           last_value(ListPrice) over (partition by ProductID order by StartDate
                                       rows between unbounded preceding and unbounded following) as newest
    from ProductListPriceHistory
    where StartDate < :as_of + 1
)
select r.ProductID as item_id,
       r.market_id,
       case when coalesce(l.place, 1) = 1 then (select cast(min(OrderDate) as date) from SalesOrderHeader) else l.valid_from end as valid_from,
       r.price_amt * coalesce(l.ListPrice / nullif(l.newest, 0), 1) as price_amt
from realised r
left join listed l on l.ProductID = r.ProductID
