-- Active suppliers. Agreed prices are per carton, case, can … with no factor and add up to 14.5 times standard cost, so the price per
-- base unit is the planned cost of the item (see _part_cost.sql), scaled between its suppliers by their agreed prices.
-- MaxOrderQty is a limit of one order, not of a month. LastReceiptCost may be later than the as-of date and is not read.
select v.ProductID as item_id,
       v.BusinessEntityID as supplier_id,
       'plant' as location_id,
       c.planned_cost * v.StandardPrice / min(v.StandardPrice) over (partition by v.ProductID) as unit_cost_amt,
       v.AverageLeadTime as lead_time_days,
       v.MinOrderQty as min_order_qty,
       trim(v.UnitMeasureCode) as purchase_unit
from ProductVendor v
join Vendor s on s.BusinessEntityID = v.BusinessEntityID and cast(s.ActiveFlag as boolean)
join Product p on p.ProductID = v.ProductID and p.SellStartDate < :as_of + 1
join _part_cost c on c.ProductID = v.ProductID
