select SpecialOfferID as offer_id, Description as offer_name, DiscountPct as discount_ratio, MinQty as min_qty, MaxQty as max_qty,
       StartDate as from_date, EndDate as to_date
from SpecialOffer
