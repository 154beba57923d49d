-- All amounts of the extract are in US dollars, also where an order names an exchange rate.
select h.SalesOrderID as order_id,
       d.SalesOrderDetailID as line_id,
       h.OrderDate as order_date,
       d.ProductID as item_id,
       h.CustomerID as customer_id,
       t.Name as region,
       case when cast(h.OnlineOrderFlag as boolean) then 'online' else 'reseller' end as channel,
       h.SalesPersonID as sales_person_id,
       'USD' as currency,
       h.CurrencyRateID as exchange_rate_id,
       d.SpecialOfferID as offer_id,
       d.OrderQty as ordered_qty,
       d.UnitPriceDiscount as discount_ratio,
       d.LineTotal as net_sales_amt
from SalesOrderHeader h
join SalesOrderDetail d on d.SalesOrderID = h.SalesOrderID
join SalesTerritory t on t.TerritoryID = h.TerritoryID
