-- Resellers: the quarterly targets of the sales people set by the as-of date, over the weeks that begin in the quarter, spread over family
-- and territory by reseller revenue of the twelve months before the as-of date. The web shop has no target and so no budget.
with target as (
    select cast(date_trunc('month', cast(QuotaDate as date) + 4) as date) as quarter, sum(SalesQuota) as amount
    from SalesPersonQuotaHistory where QuotaDate < :as_of + 1 group by 1
), day as (
    select t.quarter, t.amount, cast(unnest(generate_series(t.quarter, t.quarter + interval 3 month - interval 1 day, interval 1 day)) as date) as d
    from target t
), week as (
    select period_of(d) as period, sum(amount / days) as amount
    from (select *, count(*) over (partition by quarter) as days from day)
    group by 1
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
select r.family, r.region, w.period, w.amount * r.amount / (select sum(amount) from reseller) as revenue_amt
from week w cross join reseller r
where w.period > :as_of and w.period <= :horizon_end
