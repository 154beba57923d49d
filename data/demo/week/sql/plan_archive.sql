-- The approved monthly plan in force on each Monday of the last eight weeks, over the days of its months, thirteen weeks ahead: what a
-- weekly round is held against until weekly plans are locked.
with day as (
    select cast(unnest(generate_series(date_trunc('month', cast(:as_of as date) - 70), last_day(cast(:horizon_end as date) + 6),
                                       interval 1 day)) as date) as d
), piece as (
    select cast(date_trunc('month', d) as date) as month, period_of(d) as week, count(*) as days from day group by all
), part as (
    select *, days / sum(days) over (partition by month) as share from piece
), lock as (
    select w.week, max(a.lock_cycle_id) as lock_cycle_id
    from (select distinct week from piece where week <= :as_of and week > cast(:as_of as date) - 56) w
    join (select distinct lock_cycle_id from plan_archive) a on cast(a.lock_cycle_id || '-01' as date) <= w.week
    group by all
)
select strftime(l.week, '%G-W%V') as lock_cycle_id, a.stream, a.item_id, a.market_id, p.week as period,
       sum(a.plan_qty * p.share) as plan_qty
from lock l
join plan_archive a on a.lock_cycle_id = l.lock_cycle_id
join part p on p.month = a.period and p.week >= l.week and p.week < l.week + 91
group by all
