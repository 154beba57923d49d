select WorkOrderID as order_id, ProductID as item_id, OrderQty as ordered_qty, StartDate as start_date from WorkOrder
