-- One site: the fourteen places of Location are its work centres (10 to 60) and racks.
select 'plant' as location_id, 'Plant and finished goods store' as location_name, 'plant' as location_type
