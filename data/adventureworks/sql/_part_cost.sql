-- What a product costs, for production.sql and supplier_item.sql: its own standard cost, what it is planned at, and of that its
-- parts and its hours. The standard costs of a bike's parts add up to 1.5 times its own: they are prices of spare parts. So a part is
-- planned at its standard cost times the smallest share that fits into any product that holds it.
-- Orders become smaller, and hours are booked per order: a usual lot is the mean order of the last three months.
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
), held as (
    select n.item, sum(n.quantity * p.amount) as amount from need n join planned p on p.ProductID = n.part group by n.item
)
select p.ProductID, k.amount as standard_cost, v.amount as planned_cost, h.amount as parts_cost, l.amount as labour_cost, u.usual_lot_qty
from Product p
join planned v on v.ProductID = p.ProductID
left join cost k on k.ProductID = p.ProductID
left join held h on h.item = p.ProductID
left join labour l on l.ProductID = p.ProductID
left join lot u on u.ProductID = p.ProductID
