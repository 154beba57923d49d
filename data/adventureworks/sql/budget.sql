-- Resellers: the quarterly targets of the sales people set by the as-of date, a third to each month, spread over family and
-- territory by reseller revenue of the twelve months before the as-of date. The web shop has no target and so no budget.
with target as (
    select period_of(cast(QuotaDate as date)) as quarter, sum(SalesQuota) as amount
    from SalesPersonQuotaHistory where QuotaDate < :as_of + 1 group by 1
), month as (
    select cast(t.quarter + to_months(m.month::integer) as date) as period, t.amount / 3 as amount
    from target t cross join (values (0), (1), (2)) as m(month)
), reseller as (
    select s.Name as family, t.Name as region, sum(d.LineTotal) as amount
    from SalesOrderHeader h
    join SalesOrderDetail d on d.SalesOrderID = h.SalesOrderID
    join SalesTerritory t on t.TerritoryID = h.TerritoryID
    join Product p on p.ProductID = d.ProductID
    join ProductSubcategory s on s.ProductSubcategoryID = p.ProductSubcategoryID
    where not cast(h.OnlineOrderFlag as boolean)
      and cast(h.OrderDate as date) > :as_of - interval 12 month and h.OrderDate < :as_of + 1
    group by all
)
select r.family, r.region, m.period, m.amount * r.amount / (select sum(amount) from reseller) as revenue_amt
from month m cross join reseller r
