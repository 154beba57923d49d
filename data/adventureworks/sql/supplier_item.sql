-- Active suppliers. Agreed prices are per carton, case, can … with no factor and add up to 14.5 times standard cost, so the price per
-- base unit is the planned cost of the item (see production.sql), scaled between its suppliers by their agreed prices.
-- MaxOrderQty is a limit of one order, not of a month. LastReceiptCost may be later than the as-of date and is not read.
with recursive bom as (
    select ProductAssemblyID as parent, ComponentID as part, PerAssemblyQty as quantity
    from BillOfMaterials
    where ProductAssemblyID is not null and StartDate < :as_of + 1 and (EndDate is null or cast(EndDate as timestamp) >= :as_of + 1)
), cost as (
    select ProductID, max_by(StandardCost, StartDate) as amount
    from ProductCostHistory where StartDate < :as_of + 1 group by ProductID having max_by(StandardCost, StartDate) > 0
), run as (  -- every routed order of the last twelve months; its operations take the same hours whatever its quantity
    select r.WorkOrderID, r.ProductID, any_value(w.OrderQty) as units, min(r.ActualStartDate) as begun,
           sum(r.ActualResourceHrs * l.CostRate) as amount
    from WorkOrderRouting r join WorkOrder w on w.WorkOrderID = r.WorkOrderID join Location l on l.LocationID = r.LocationID
    where r.ActualStartDate < :as_of + 1 and r.ActualStartDate > :as_of - interval 12 month
    group by r.WorkOrderID, r.ProductID
), lot as (  -- the usual lot: mean order of the last three months, of the last twelve where none was begun in them
    select ProductID, avg(amount) as amount,
           coalesce(avg(units) filter (begun > :as_of - interval 3 month), avg(units)) as usual_lot_qty
    from run group by ProductID
), labour as (
    select ProductID, amount / usual_lot_qty as amount from lot
), worth as (  -- standard cost; 1 % of the agreed price of a part without; the hours alone of a made part without
    select p.ProductID, coalesce(k.amount, o.amount, l.amount, 0) as amount
    from Product p
    left join cost k on k.ProductID = p.ProductID
    left join (select ProductID, 0.01 * min(StandardPrice) as amount from ProductVendor group by ProductID) o on o.ProductID = p.ProductID
    left join labour l on l.ProductID = p.ProductID
), need as (  -- what one unit holds, looking through parts that have no standard cost of their own
    select parent as item, part, cast(quantity as double) as quantity from bom
    union all
    select n.item, b.part, n.quantity * b.quantity
    from need n join bom b on b.parent = n.part where n.part not in (select ProductID from cost)
), inside as (
    select n.item, sum(n.quantity * w.amount) as amount from need n join worth w on w.ProductID = n.part group by n.item
), ratio as (  -- how far the parts fit into the standard cost of what holds them
    select i.item, least(1, greatest(k.amount - coalesce(l.amount, 0), 0) / i.amount) as fit
    from inside i join cost k on k.ProductID = i.item left join labour l on l.ProductID = i.item where i.amount > 0
), path as (
    select b.part, coalesce(r.fit, 1) as fit from bom b left join ratio r on r.item = b.parent
    union
    select b.part, p.fit * coalesce(r.fit, 1) from path p join bom b on b.parent = p.part left join ratio r on r.item = p.part
), planned as (
    select w.ProductID, w.amount * coalesce(f.fit, 1) as amount
    from worth w left join (select part, min(fit) as fit from path group by part) f on f.part = w.ProductID
)
select v.ProductID as item_id,
       v.BusinessEntityID as supplier_id,
       'plant' as location_id,
       c.amount * v.StandardPrice / min(v.StandardPrice) over (partition by v.ProductID) as unit_cost_amt,
       v.AverageLeadTime as lead_time_days,
       v.MinOrderQty as min_order_qty,
       trim(v.UnitMeasureCode) as purchase_unit
from ProductVendor v
join Vendor s on s.BusinessEntityID = v.BusinessEntityID and cast(s.ActiveFlag as boolean)
join Product p on p.ProductID = v.ProductID and p.SellStartDate < :as_of + 1
join planned c on c.ProductID = v.ProductID
