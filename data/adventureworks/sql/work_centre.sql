-- Availability carries no unit in the source; hours a week is the most generous sensible reading of 80 to 120.
select LocationID as work_centre_id, Availability as stated_hours from Location
