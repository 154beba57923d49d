-- Cost of making one unit beyond its components and hours, such that components + hours + this = standard cost (see _part_cost.sql).
-- Yield is what work orders of the last year put into stock. DaysToManufacture is 0 to 4 days.
with yield as (
    select ProductID, sum(StockedQty) / sum(OrderQty) as ratio
    from WorkOrder where cast(EndDate as timestamp) < :as_of + 1 and cast(EndDate as timestamp) > :as_of - interval 12 month group by ProductID
)
select p.ProductID as item_id,
       'plant' as location_id,
       case when c.standard_cost is null then 0
            else greatest(c.planned_cost - coalesce(c.parts_cost, 0) - coalesce(c.labour_cost, 0), 0) end as variable_cost_amt,
       coalesce(y.ratio, 1) as yield_ratio,
       p.DaysToManufacture as lead_time_days,
       c.usual_lot_qty
from Product p
join _part_cost c on c.ProductID = p.ProductID
left join yield y on y.ProductID = p.ProductID
where cast(p.MakeFlag as boolean) and p.SellStartDate < :as_of + 1
