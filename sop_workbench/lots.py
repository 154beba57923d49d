"""Lot rules: how net requirements become lots. Each takes one item or many at once (items × periods), without a loop per item."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

LotRule = Callable[[np.ndarray], np.ndarray]
_Rate = float | np.ndarray
_ROUNDING = 9


def lot_for_lot(net: np.ndarray) -> np.ndarray:
    """Lots that are exactly what each period lacks.

    Examples
    --------
    >>> lot_for_lot(np.array([3.0, 0.0, 5.0]))
    array([3., 0., 5.])
    """
    return np.asarray(net, dtype=float).copy()


def sized_lots(net: np.ndarray, minimum_qty: _Rate = 0.0, multiple_qty: _Rate = 0.0) -> np.ndarray:
    """Lots of a smallest size and in multiples; what a lot brings too much serves the next periods.

    Minimum and multiple of the same size give fixed lots.

    Parameters
    ----------
    net : ndarray, periods or items × periods
        Net requirement, base units.
    minimum_qty, multiple_qty : float or ndarray
        One for all or one per item; 0 means any size.

    Examples
    --------
    >>> sized_lots(np.array([30.0, 50.0, 10.0]), minimum_qty=60, multiple_qty=25)
    array([75., 75.,  0.])
    """
    needs = np.atleast_2d(np.asarray(net, dtype=float))
    lots, spare = np.zeros(needs.shape), np.zeros(len(needs))
    for n in range(needs.shape[1]):
        short = needs[:, n] - spare
        lots[:, n] = order_size(short, minimum_qty, multiple_qty)
        spare += lots[:, n] - needs[:, n]
    return lots.reshape(np.shape(net))


def order_size(short: np.ndarray, minimum_qty: _Rate = 0.0, multiple_qty: _Rate = 0.0) -> np.ndarray:
    """The smallest order that covers what is short: nothing when nothing is short, else at least the minimum, in multiples.

    Examples
    --------
    >>> order_size(np.array([-5.0, 3.0, 61.0]), minimum_qty=60, multiple_qty=25)
    array([ 0., 75., 75.])
    """
    lot = np.maximum(short, minimum_qty)
    multiple = np.broadcast_to(np.asarray(multiple_qty, dtype=float), lot.shape)
    # Rounded first, so that 3.0000000000001 multiples are three.
    count = np.ceil(np.round(lot / np.where(multiple > 0, multiple, 1.0), _ROUNDING))
    return np.where(short > 0, np.where(multiple > 0, count * multiple, lot), 0.0)


def period_lots(net: np.ndarray, periods: _Rate) -> np.ndarray:
    """Period order quantity: a lot brings what the next so many periods lack, counted from the first that lacks something.

    Parameters
    ----------
    net : ndarray, periods or items × periods
        Net requirement, base units.
    periods : int or ndarray of int
        Periods a lot covers; `economic_periods` gives the cheapest number.

    Examples
    --------
    >>> period_lots(np.array([0.0, 20.0, 10.0, 0.0, 5.0]), periods=2)
    array([ 0., 30.,  0.,  0.,  5.])
    """
    needs = np.atleast_2d(np.asarray(net, dtype=float))
    lots, rows = np.zeros(needs.shape), np.arange(len(needs))
    start, left = np.zeros(len(needs), dtype=int), np.zeros(len(needs))
    for n in range(needs.shape[1]):
        opens = (left <= 0) & (needs[:, n] > 0)
        start, left = np.where(opens, n, start), np.where(opens, periods, left)
        lots[rows, start] += needs[:, n]
        left = left - 1
    return lots.reshape(np.shape(net))


def economic_periods(net: np.ndarray, order_cost: _Rate, holding_cost: _Rate) -> np.ndarray:
    r"""Periods that the economic order quantity lasts at the mean requirement, at least one.

    .. math:: n = \max\left(1, \mathrm{round}\left(\sqrt{2 K / (h\, \bar d)}\right)\right)

    Examples
    --------
    >>> economic_periods(np.array([[45.0, 44.0]]), order_cost=132, holding_cost=0.60)
    array([3])
    """
    mean = np.atleast_2d(np.asarray(net, dtype=float)).mean(axis=1)
    _refuse_free(order_cost, holding_cost)
    order, held = np.broadcast_to(np.asarray(order_cost, dtype=float), mean.shape), mean * holding_cost
    # A free order is placed every period; free stock is ordered once for all periods.
    lasts = np.sqrt(2 * order / np.where(held > 0, held, 1.0))
    lasts = np.where(order == 0, 1, np.where(held > 0, lasts, np.shape(net)[-1]))
    return np.maximum(1, np.round(lasts)).astype(int)


def silver_meal(net: np.ndarray, order_cost: _Rate, holding_cost: _Rate) -> np.ndarray:
    """Lots by Silver and Meal: a lot covers periods as long as its cost per period falls.

    Parameters
    ----------
    net : ndarray, periods or items × periods
        Net requirement by period, base units.
    order_cost, holding_cost : float or ndarray
        Money per lot; money per unit held for one period; one for all or one per item.

    References
    ----------
    Silver, E. A. and Meal, H. C. (1973), Production and Inventory Management 14.

    Examples
    --------
    >>> silver_meal(np.array([18.0, 30.0, 42.0, 5.0, 20.0]), order_cost=80, holding_cost=2)
    array([48.,  0., 47.,  0., 20.])
    """
    _refuse_free(order_cost, holding_cost)
    needs = np.atleast_2d(np.asarray(net, dtype=float))
    lots, rows = np.zeros(needs.shape), np.arange(len(needs))
    start, held, last = np.zeros(len(needs), dtype=int), np.zeros(len(needs)), np.full(len(needs), np.inf)
    for n in range(needs.shape[1]):
        grown = held + holding_cost * (n - start) * needs[:, n]
        per_period = (order_cost + grown) / (n - start + 1)
        # A lot opens where the last one is dear enough, where it has nothing in it yet, and always where orders are free.
        opens = (per_period > last) | (lots[rows, start] == 0) | (np.asarray(order_cost) == 0)
        start, held = np.where(opens, n, start), np.where(opens, 0.0, grown)
        last = np.where(opens, order_cost, per_period)
        lots[rows, start] += needs[:, n]
    return lots.reshape(np.shape(net))


def wagner_whitin(demand: np.ndarray, order_cost: _Rate, holding_cost: _Rate) -> np.ndarray:
    r"""Lots of least cost for known demand, by dynamic programming.

    .. math:: f(s) = \min_{e > s} K + h \sum_{i=s}^{e-1} (i - s) d_i + f(e)

    Parameters
    ----------
    demand : ndarray, periods or items × periods
        Units by period.
    order_cost, holding_cost : float or ndarray
        Money per lot; money per unit held for one period; one for all or one per item.

    Returns
    -------
    ndarray
        Lots by period.

    References
    ----------
    Wagner and Whitin (1958), Management Science 5; Snyder and Shen, example 3.9.

    Examples
    --------
    >>> wagner_whitin(np.array([90, 120, 80, 70]), order_cost=500, holding_cost=2)
    array([210.,   0., 150.,   0.])
    """
    _refuse_free(order_cost, holding_cost)
    needs = np.atleast_2d(np.asarray(demand, dtype=float))
    count, horizon = needs.shape
    order, holding = (np.broadcast_to(np.asarray(rate, dtype=float), count)[:, None] for rate in (order_cost, holding_cost))
    best, until = np.zeros((count, horizon + 1)), np.zeros((count, horizon), dtype=int)
    for start in range(horizon - 1, -1, -1):
        rest = needs[:, start:]
        held = holding * np.cumsum(np.arange(horizon - start) * rest, axis=1)
        # A lot that brings nothing is not ordered.
        total = np.where(np.cumsum(rest, axis=1) > 0, order, 0.0) + held + best[:, start + 1 :]
        choice = np.argmin(total, axis=1)
        until[:, start] = start + 1 + choice
        best[:, start] = np.take_along_axis(total, choice[:, None], axis=1)[:, 0]
    return _lots_until(needs, until).reshape(np.shape(demand))


def lot_cost(lots: np.ndarray, demand: np.ndarray, order_cost: float, holding_cost: float) -> float:
    """Cost of lots against known demand: orders placed and stock held at the end of each period.

    Raises
    ------
    ValueError
        When the lots leave demand unserved.

    Examples
    --------
    >>> lot_cost(np.array([210, 0, 150, 0]), np.array([90, 120, 80, 70]), order_cost=500, holding_cost=2)
    1380.0
    """
    stock = np.cumsum(np.asarray(lots, dtype=float) - np.asarray(demand, dtype=float))
    if (stock < -1e-9).any():
        raise ValueError(f"the lots leave demand unserved from period {int(np.argmax(stock < -1e-9)) + 1} on")
    return float(order_cost * np.count_nonzero(lots) + holding_cost * stock.sum())


def _lots_until(needs: np.ndarray, until: np.ndarray) -> np.ndarray:
    """Lots that start where the last one ends and last as long as was chosen."""
    lots, rows = np.zeros(needs.shape), np.arange(len(needs))
    start, end = np.zeros(len(needs), dtype=int), np.zeros(len(needs), dtype=int)
    for n in range(needs.shape[1]):
        start, end = np.where(end == n, n, start), np.where(end == n, until[:, n], end)
        lots[rows, start] += needs[:, n]
    return lots


def _refuse_free(order_cost: _Rate, holding_cost: _Rate) -> None:
    """An order and a unit held may be free, never cheaper than free."""
    for name, rate in (("order_cost", order_cost), ("holding_cost", holding_cost)):
        if not np.all(np.asarray(rate) >= 0):
            raise ValueError(f"{name} must be 0 or more, got {np.min(rate)}")


def hours_at_usual_lots(routing: pd.DataFrame, production: pd.DataFrame) -> pd.DataFrame:
    r"""The routing with the hours of a lot spread over the units of a usual lot, where one is stated.

    .. math:: hours\_per\_unit_{ir} + hours\_per\_lot_{ir} \,/\, usual\_lot\_qty_i

    The bill of capacity of the textbooks: run time and set-up time over lot size. What is spread is no longer an hour per lot.

    Parameters
    ----------
    routing, production : DataFrame
        Input tables.

    Returns
    -------
    DataFrame
        `routing`, same rows; as it is where no usual lot is stated.

    Examples
    --------
    An order takes three hours whatever its size, and is usually for four units:

    >>> routing = pd.DataFrame({"item_id": ["A", "B"], "location_id": "P", "resource_id": "R", "hours_per_unit": [0.1, 0.5],
    ...                         "hours_per_lot": [3.0, 2.0]})
    >>> production = pd.DataFrame({"item_id": ["A", "B"], "location_id": "P", "usual_lot_qty": [4.0, None]})
    >>> hours_at_usual_lots(routing, production)[["hours_per_unit", "hours_per_lot"]].to_numpy().tolist()
    [[0.85, 0.0], [0.5, 2.0]]
    """
    if "usual_lot_qty" not in production or "hours_per_lot" not in routing or not production["usual_lot_qty"].notna().any():
        return routing
    place = ["item_id", "location_id"]
    lot = routing[place].merge(production[[*place, "usual_lot_qty"]], on=place, how="left", validate="m:1")["usual_lot_qty"]
    is_spread = lot.notna().to_numpy()
    spread = np.where(is_spread, routing["hours_per_lot"].to_numpy(dtype=float) / lot.to_numpy(dtype=float), 0.0)
    return routing.assign(hours_per_unit=routing["hours_per_unit"] + spread, hours_per_lot=routing["hours_per_lot"].where(~is_spread, 0.0))
