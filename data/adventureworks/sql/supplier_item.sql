-- Active suppliers. Price per base unit is the standard cost valid on the as-of date, scaled between the item's suppliers by
-- their agreed prices: agreed prices themselves are per carton, case, can … with no factor, and roll up to 14.5 × standard cost.
-- A part without standard cost gets 1 % of its agreed price, so that no part is free. LastReceiptCost is not read: it may be later.
with cost as (
    select ProductID, max_by(StandardCost, StartDate) as amount
    from ProductCostHistory where StartDate < :as_of + 1 group by ProductID
)
select v.ProductID as item_id,
       v.BusinessEntityID as supplier_id,
       'plant' as location_id,
       case when k.amount > 0 then k.amount * v.StandardPrice / min(v.StandardPrice) over (partition by v.ProductID)
            else 0.01 * v.StandardPrice end as unit_cost_amt,
       v.AverageLeadTime as lead_time_days,
       v.MinOrderQty as min_order_qty,
       trim(v.UnitMeasureCode) as purchase_unit
from ProductVendor v
join Vendor s on s.BusinessEntityID = v.BusinessEntityID and cast(s.ActiveFlag as boolean)
join Product p on p.ProductID = v.ProductID and p.SellStartDate < :as_of + 1
left join cost k on k.ProductID = v.ProductID
