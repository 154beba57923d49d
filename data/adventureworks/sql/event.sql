-- Promotions begun by the as-of date, one row per item; the standing price and volume discounts are no events.
select cast(o.SpecialOfferID as varchar) || '-' || cast(x.ProductID as varchar) as event_id,
       'promotion' as kind,
       x.ProductID as item_id,
       period_of(cast(o.StartDate as date)) as from_period,
       period_of(cast(o.EndDate as date)) as to_period,
       case when o.EndDate < :as_of + 1 then 'done' else 'approved' end as status
from SpecialOffer o
join SpecialOfferProduct x on x.SpecialOfferID = o.SpecialOfferID
join Product p on p.ProductID = x.ProductID and p.SellStartDate < :as_of + 1
where o.StartDate < :as_of + 1 and o.Type not in ('No Discount', 'Volume Discount')
