-- Made items that are sold and are no component: the warehouse's balance of the as-of date. Its calendar runs 153 days before the
-- orders'; Microsoft's own files move the orders (first on 2011-05-31) further, the warehouse not. Below zero counts as none.
-- Components: the warehouse never books their use, and the only stock count is later. Bought ones start with two months' use and
-- sale of the last three months (assumption), made ones with nothing beyond open work orders.
-- Bought items that are sold: the receipts of 29 were never booked in full, yet every order shipped within days, so they start with
-- the greater of the balance and two months' sale (assumption).
with shift as (
    select 153 + date_diff('day', date '2011-05-31', cast(min(OrderDate) as date)) as days from SalesOrderHeader
), bom as (
    select ProductAssemblyID as parent, ComponentID as part, PerAssemblyQty as quantity
    from BillOfMaterials
    where ProductAssemblyID is not null and StartDate < :as_of + 1 and (EndDate is null or cast(EndDate as timestamp) >= :as_of + 1)
), warehouse as (
    select p.ProductID, greatest(sum(f.UnitsBalance), 0) as quantity
    from FactProductInventory f
    join DimProduct k on k.ProductKey = f.ProductKey
    join Product p on p.ProductNumber = k.ProductAlternateKey
    where cast(f.MovementDate as date) = :as_of - (select days from shift)::integer and cast(p.FinishedGoodsFlag as boolean)
      and p.SellStartDate < :as_of + 1 and p.ProductID not in (select part from bom)
    group by p.ProductID
), used as (
    select b.part as ProductID, w.OrderQty * b.quantity as quantity
    from WorkOrder w join bom b on b.parent = w.ProductID
    where w.StartDate < :as_of + 1 and w.StartDate > :as_of - interval 3 month
    union all
    select d.ProductID, d.OrderQty
    from SalesOrderHeader h join SalesOrderDetail d on d.SalesOrderID = h.SalesOrderID
    where h.OrderDate < :as_of + 1 and h.OrderDate > :as_of - interval 3 month
), assumed as (
    select u.ProductID, ceil(2 * sum(u.quantity) / 3.0) as quantity
    from used u join Product p on p.ProductID = u.ProductID and not cast(p.MakeFlag as boolean) and p.SellStartDate < :as_of + 1
    group by u.ProductID
)
select ProductID as item_id, 'plant' as location_id, max(quantity) as on_hand_qty, :as_of as as_of_date
from (select * from warehouse union all select * from assumed)
group by ProductID
