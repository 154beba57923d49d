-- Orders by the period of the order date. Shipments are known only where every order of the row shipped by the as-of date.
select d.ProductID as item_id,
       t.Name || '|' || case when cast(h.OnlineOrderFlag as boolean) then 'online' else 'reseller' end as market_id,
       period_of(cast(h.OrderDate as date)) as period,
       sum(d.OrderQty) as ordered_qty,
       case when max(h.ShipDate) < :as_of + 1 then sum(d.OrderQty) end as shipped_qty,
       case when max(h.ShipDate) < :as_of + 1 then coalesce(sum(d.OrderQty) filter (h.ShipDate <= h.DueDate), 0) end as on_time_qty,
       count(*) as order_count,
       case when max(h.ShipDate) < :as_of + 1 then count(*) filter (h.ShipDate <= h.DueDate) end as complete_order_count,
       sum(d.LineTotal) as net_sales_amt
from SalesOrderHeader h
join SalesOrderDetail d on d.SalesOrderID = h.SalesOrderID
join SalesTerritory t on t.TerritoryID = h.TerritoryID
join Product p on p.ProductID = d.ProductID and p.SellStartDate < :as_of + 1
where h.OrderDate < :as_of + 1
group by all
