-- What making one unit costs beyond components and hours, so that components + hours + this = standard cost:
-- parts without standard cost (76 of the bill of material) are contained in the standard cost of what they go into.
-- Yield is what work orders of the last year put into stock. DaysToManufacture is 0 to 4 days.
with recursive bom as (
    select ProductAssemblyID as parent, ComponentID as part, PerAssemblyQty as quantity
    from BillOfMaterials
    where ProductAssemblyID is not null and StartDate < :as_of + 1 and (EndDate is null or EndDate >= :as_of + 1)
), cost as (
    select ProductID, max_by(StandardCost, StartDate) as amount
    from ProductCostHistory where StartDate < :as_of + 1 group by ProductID
), offer as (
    select ProductID, 0.01 * min(StandardPrice) as amount from ProductVendor group by ProductID
), labour as (
    select ProductID, sum(hours / units * rate) as amount
    from (select r.ProductID, r.LocationID, sum(r.ActualResourceHrs) as hours, sum(w.OrderQty) as units, any_value(l.CostRate) as rate
          from WorkOrderRouting r join WorkOrder w on w.WorkOrderID = r.WorkOrderID join Location l on l.LocationID = r.LocationID
          where r.ActualEndDate < :as_of + 1 and r.ActualStartDate > :as_of - interval 12 month
          group by r.ProductID, r.LocationID)
    group by ProductID
), need as (
    select parent as item, part, cast(quantity as double) as quantity from bom
    union all
    select n.item, b.part, n.quantity * b.quantity
    from need n join bom b on b.parent = n.part
    where not exists (select 1 from cost k where k.ProductID = n.part and k.amount > 0)
), inside as (
    select n.item, sum(n.quantity * coalesce(nullif(k.amount, 0), o.amount, l.amount, 0)) as amount
    from need n
    left join cost k on k.ProductID = n.part
    left join offer o on o.ProductID = n.part
    left join labour l on l.ProductID = n.part
    group by n.item
), yield as (
    select ProductID, sum(StockedQty) / sum(OrderQty) as ratio
    from WorkOrder where EndDate < :as_of + 1 and EndDate > :as_of - interval 12 month group by ProductID
)
select p.ProductID as item_id,
       'plant' as location_id,
       greatest(coalesce(k.amount, 0) - coalesce(i.amount, 0) - coalesce(l.amount, 0), 0) as variable_cost_amt,
       coalesce(y.ratio, 1) as yield_ratio,
       p.DaysToManufacture as lead_time_days
from Product p
left join cost k on k.ProductID = p.ProductID
left join inside i on i.item = p.ProductID
left join labour l on l.ProductID = p.ProductID
left join yield y on y.ProductID = p.ProductID
where cast(p.MakeFlag as boolean) and p.SellStartDate < :as_of + 1
