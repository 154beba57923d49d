-- Stock on the last day of each week: the month's opening stock + made − shipped so far, split over the places as the count of the
-- month's end has it. A month that left nothing behind leaves it in the first place.
with day as (
    select cast(unnest(generate_series(date '2023-10-02', last_day(cast(:as_of as date)), interval 1 day)) as date) as d
), piece as (
    select cast(date_trunc('month', d) as date) as month, period_of(d) as week, count(*) as days from day group by all
), sold as (
    select s.item_id, s.period, p.week, s.ordered_qty, s.market_id, coalesce(s.shipped_qty / nullif(s.ordered_qty, 0), 0) as shipped,
           p.days * (0.7 + 0.6 * (md5_number_lower(s.item_id || s.market_id || p.week) % 1000) / 1000.0) as weight
    from sales_history s join piece p on p.month = s.period
), placed as (
    select *, sum(weight) over so_far / sum(weight) over whole as upto
    from sold
    window whole as (partition by item_id, market_id, period), so_far as (partition by item_id, market_id, period order by week)
), shipped as (
    select item_id, period as month, week, sum(floor(round(ordered_qty * upto) * shipped + 1e-9)) as quantity from placed group by all
), made as (
    select m.item_id, m.period as month, p.week, sum(m.produced_qty) as quantity, any_value(p.upto) as upto
    from production_history m
    join (select *, sum(days) over (partition by month order by week) / sum(days) over (partition by month) as upto from piece) p
      on p.month = m.period
    group by all
), opening as (
    select item_id, cast(period + interval 1 month as date) as month, sum(closing_qty) as quantity from stock_history group by all
), closing as (
    select o.item_id, o.month, p.week,
           greatest(o.quantity + coalesce(round(m.quantity * m.upto), 0) - coalesce(s.quantity, 0), 0) as quantity
    from opening o
    join piece p on p.month = o.month and p.week + 6 <= last_day(o.month)
    left join made m on m.item_id = o.item_id and m.month = o.month and m.week = p.week
    left join shipped s on s.item_id = o.item_id and s.month = o.month and s.week = p.week
), share as (
    select item_id, location_id, period as month, closing_qty / nullif(sum(closing_qty) over (partition by item_id, period), 0) as part
    from stock_history
)
select c.item_id, s.location_id, c.week as period, sum(c.quantity * coalesce(s.part, 0)) as closing_qty
from closing c
join share s on s.item_id = c.item_id and s.month = c.month
where c.week + 6 <= :as_of
group by all
