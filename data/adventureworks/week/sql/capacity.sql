-- Technicians hired by the as-of date × 8 hours × weekdays of the week, one year back to the horizon's end.
-- Location.Availability (80 to 120) cannot be the hours of a week: ten times as many are booked.
with crew as (
    select cast(regexp_extract(JobTitle, 'WC(\d+)', 1) as integer) as resource_id, count(*) as technicians
    from Employee
    where JobTitle like 'Production Technician - WC%' and HireDate < :as_of + 1
    group by 1
), day as (
    select cast(unnest(generate_series(:as_of - interval 57 week, :horizon_end + interval 2 week, interval 1 day)) as date) as d
), working as (
    select period_of(d) as period, count(*) filter (isodow(d) <= 5) as days, count(*) as all_days
    from day group by 1
), booked as (
    select LocationID as resource_id, period_of(cast(ActualStartDate as date)) as period, sum(ActualResourceHrs) as hours
    from WorkOrderRouting where cast(ActualEndDate as timestamp) < :as_of + 1 and ActualStartDate > :as_of - interval 12 month group by all
), demonstrated as (
    select resource_id, max(hours) as demonstrated_hours from booked group by 1
)
select c.resource_id,
       w.period,
       c.technicians * 8.0 * w.days as regular_hours,
       c.technicians * 0.8 * w.days as overtime_hours,
       d.demonstrated_hours
from crew c
cross join working w
left join demonstrated d on d.resource_id = c.resource_id
where w.all_days = 7 and w.period <= :horizon_end
