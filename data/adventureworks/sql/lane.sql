-- Everything ships from the plant; freight is charged to the customer (SalesOrderHeader.Freight) and so is no cost.
select 'plant' as from_location_id, t.Name || '|' || c.channel as to_id
from SalesTerritory t
cross join (values ('online'), ('reseller')) as c(channel)
