-- Hours are booked per work order whatever its quantity, so hours per unit = hours / units of the operations
-- that ended in the year before the as-of date. 90 made items were never routed: they use no hours.
select r.ProductID as item_id,
       'plant' as location_id,
       r.LocationID as resource_id,
       sum(r.ActualResourceHrs) / sum(w.OrderQty) as hours_per_unit
from WorkOrderRouting r
join WorkOrder w on w.WorkOrderID = r.WorkOrderID
join Product p on p.ProductID = r.ProductID and p.SellStartDate < :as_of + 1
where r.ActualStartDate < :as_of + 1 and r.ActualStartDate > :as_of - interval 12 month
group by r.ProductID, r.LocationID
