select h.PurchaseOrderID as order_id,
       d.PurchaseOrderDetailID as line_id,
       h.VendorID as supplier_id,
       d.ProductID as item_id,
       case h.Status when 1 then 'pending' when 2 then 'approved' when 3 then 'rejected' when 4 then 'complete' end as status,
       h.OrderDate as order_date,
       d.DueDate as due_date,
       d.OrderQty as ordered_qty,
       d.ReceivedQty as received_qty,
       d.StockedQty as stocked_qty,
       d.UnitPrice as price_amt,
       d.ModifiedDate as changed_date
from PurchaseOrderHeader h
join PurchaseOrderDetail d on d.PurchaseOrderID = h.PurchaseOrderID
