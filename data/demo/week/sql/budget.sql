-- The budget of a month over its days.
with day as (
    select cast(unnest(generate_series(date_trunc('month', cast(:as_of as date) - 70), last_day(cast(:horizon_end as date) + 6),
                                       interval 1 day)) as date) as d
), piece as (
    select cast(date_trunc('month', d) as date) as month, period_of(d) as week, count(*) as days from day group by all
), part as (
    select *, days / sum(days) over (partition by month) as share from piece
)
select b.family, b.region, p.week as period, sum(b.volume_qty * p.share) as volume_qty, sum(b.revenue_amt * p.share) as revenue_amt,
       sum(b.margin_amt * p.share) as margin_amt
from budget b join part p on p.month = b.period
where b.known_date <= cast(:as_of as date) and p.week > :as_of and p.week <= :horizon_end
group by all
