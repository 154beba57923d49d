-- What a month made, over its days.
with day as (
    select cast(unnest(generate_series(date '2023-10-02', last_day(cast(:as_of as date)), interval 1 day)) as date) as d
), piece as (
    select cast(date_trunc('month', d) as date) as month, period_of(d) as week, count(*) as days from day group by all
), placed as (
    select m.item_id, m.location_id, p.week, m.produced_qty,
           sum(p.days) over so_far / sum(p.days) over whole as upto, (sum(p.days) over so_far - p.days) / sum(p.days) over whole as before
    from production_history m join piece p on p.month = m.period
    window whole as (partition by m.item_id, m.location_id, m.period),
           so_far as (partition by m.item_id, m.location_id, m.period order by p.week)
)
select item_id, location_id, week as period, sum(round(produced_qty * upto) - round(produced_qty * before)) as produced_qty
from placed
where week <= :as_of
group by all
