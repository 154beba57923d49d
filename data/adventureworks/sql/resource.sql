-- Work centres with technicians named for them; overtime at one and a half times the rate is an assumption.
select l.LocationID as resource_id,
       l.Name as resource_name,
       'plant' as location_id,
       l.CostRate as regular_cost_amt_per_hour,
       1.5 * l.CostRate as overtime_cost_amt_per_hour
from Location l
where exists (select 1 from Employee e where e.JobTitle = 'Production Technician - WC' || cast(l.LocationID as varchar))
