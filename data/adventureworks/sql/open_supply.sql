-- Ordered by the as-of date and due after it; status, receipts and end dates after the as-of date are not read.
-- Purchase quantities are in purchase units: taken as base units (no factor is stored).
select 'PO' || cast(h.PurchaseOrderID as varchar) || '-' || cast(d.PurchaseOrderDetailID as varchar) as order_id,
       d.ProductID as item_id,
       'plant' as location_id,
       'purchase' as kind,
       cast(d.DueDate as date) as due_date,
       d.OrderQty as open_qty
from PurchaseOrderHeader h
join PurchaseOrderDetail d on d.PurchaseOrderID = h.PurchaseOrderID
join Product p on p.ProductID = d.ProductID and p.SellStartDate < :as_of + 1
where h.OrderDate < :as_of + 1 and d.DueDate >= :as_of + 1
union all
select 'WO' || cast(w.WorkOrderID as varchar), w.ProductID, 'plant', 'production', cast(w.DueDate as date), w.OrderQty
from WorkOrder w
join Product p on p.ProductID = w.ProductID and p.SellStartDate < :as_of + 1
where w.StartDate < :as_of + 1 and (w.EndDate is null or cast(w.EndDate as timestamp) >= :as_of + 1)
