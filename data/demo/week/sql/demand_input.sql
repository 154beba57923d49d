-- The last round of inputs handed in, the quantity of a month over its days; a week whose first days lie in a month that nobody was
-- asked about any more counts as a whole week of the month that was.
with day as (
    select cast(unnest(generate_series(date_trunc('month', cast(:as_of as date) - 70), last_day(cast(:horizon_end as date) + 6),
                                       interval 1 day)) as date) as d
), piece as (
    select cast(date_trunc('month', d) as date) as month, period_of(d) as week, count(*) as days from day group by all
), part as (
    select *, days / sum(days) over (partition by month) as share from piece
)
select i.source, i.author, i.item_id, i.family, i.market_id, i.region, p.week as period, sum(i.input_qty * p.share) * 7 / sum(p.days) as input_qty,
       any_value(i.reason) as reason
from demand_input i join part p on p.month = i.period
where i.known_date = (select max(known_date) from demand_input where known_date <= cast(:as_of as date))
  and p.week > :as_of and p.week <= :horizon_end
group by all
