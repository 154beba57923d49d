-- Warehouse balance on the last day of each period, for sold items that are no component (see stock_on_hand.sql).
with shift as (
    select 153 + date_diff('day', date '2011-05-31', cast(min(OrderDate) as date)) as days from SalesOrderHeader
), daily as (
    select p.ProductID, cast(f.MovementDate as date) + (select days from shift)::integer as day, sum(f.UnitsBalance) as quantity
    from FactProductInventory f
    join DimProduct k on k.ProductKey = f.ProductKey
    join Product p on p.ProductNumber = k.ProductAlternateKey
    where cast(p.FinishedGoodsFlag as boolean) and p.SellStartDate < :as_of + 1
      and p.ProductID not in (select ComponentID from BillOfMaterials where ProductAssemblyID is not null)
    group by all
)
select ProductID as item_id, 'plant' as location_id, period_of(day) as period, quantity as closing_qty
from daily
where day <= :as_of and period_of(day) <> period_of(day + 1) and day >= (select cast(min(OrderDate) as date) from SalesOrderHeader)
