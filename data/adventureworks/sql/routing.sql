-- Hours are booked per work order whatever its quantity: they are hours of a lot, and the usual lot (production.sql) says how many
-- units share them. Orders begun in the year before the as-of date. 90 made items were never routed: they use no hours.
with operation as (
    select r.WorkOrderID, r.ProductID, r.LocationID, sum(r.ActualResourceHrs) as hours
    from WorkOrderRouting r
    join Product p on p.ProductID = r.ProductID and p.SellStartDate < :as_of + 1
    where r.ActualStartDate < :as_of + 1 and r.ActualStartDate > :as_of - interval 12 month
    group by r.WorkOrderID, r.ProductID, r.LocationID
)
select ProductID as item_id,
       'plant' as location_id,
       LocationID as resource_id,
       0.0 as hours_per_unit,
       avg(hours) as hours_per_lot
from operation
group by ProductID, LocationID
