-- Hours of a month over its weekdays.
with day as (
    select cast(unnest(generate_series(date '2025-10-01', last_day(cast(:horizon_end as date) + 6), interval 1 day)) as date) as d
), piece as (
    select cast(date_trunc('month', d) as date) as month, period_of(d) as week, count(*) filter (isodow(d) <= 5) as days from day group by all
), part as (
    select *, days / sum(days) over (partition by month) as share from piece
)
select c.resource_id,
       p.week as period,
       sum(c.regular_hours * p.share) as regular_hours,
       sum(c.overtime_hours * p.share) as overtime_hours,
       sum(c.demonstrated_hours * p.share) as demonstrated_hours
from capacity c join part p on p.month = c.period
where p.week >= date '2025-10-06' and p.week <= :horizon_end
group by all
