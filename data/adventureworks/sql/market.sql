-- A market is a territory × channel. Territories are the regions of the resellers' sales teams; the web shop is one region of its own.
-- Resellers buy bikes near or below standard cost, so a profit plan would drop them. All of their orders were shipped in full, seven or
-- eight days later: what they order is a contract floor (assumption, see README).
select t.Name || '|' || c.channel as market_id,
       t.Name || ' ' || c.channel as market_name,
       case when c.channel = 'online' then 'Online' else t.Name end as region,
       c.channel,
       t."Group" as segment,
       c.priority,
       c.min_fill_ratio,
       c.is_strategic
from SalesTerritory t
cross join (values ('online', 1, 0.0, false), ('reseller', 2, 1.0, true)) as c(channel, priority, min_fill_ratio, is_strategic)
