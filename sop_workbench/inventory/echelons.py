r"""Safety stock along a chain of stages, by guaranteed service.

Every stage promises to deliver within its service time :math:`S_k`, waits for its suppliers :math:`SI_k = \max_j S_j` and takes
:math:`T_k` itself; its safety stock bridges the rest:

.. math:: \min \sum_k h_k \, z_k \, \sigma_k \sqrt{SI_k + T_k - S_k} \quad \text{with} \quad SI_k + T_k - S_k \ge 0,\; SI_k \ge S_j

Trees are solved exactly by dynamic programming (Graves and Willems 2000). Any other network without a loop is solved exactly for
whole times by HiGHS: the net time of a stage is one of 0 … M, a yes/no for each, so that the root is a number in a list and
nothing is approximated.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from sop_workbench.structure import levels, loops_between

_STAGE = ("stage_time", "holding_cost_amt", "deviation_qty", "factor", "inbound_time", "service_limit")


def guaranteed_service(stages: pd.DataFrame, arcs: pd.DataFrame) -> pd.DataFrame:
    """Where along the chain safety stock is cheapest, and what every stage promises.

    Parameters
    ----------
    stages : DataFrame
        stage_id, stage_time (whole time units), holding_cost_amt (per unit in stock), deviation_qty (standard deviation of the stage's
        own external demand in one time unit; 0 or empty for none), and, where they differ from 1, 0 and none: factor (z),
        inbound_time (of suppliers outside), service_limit (latest promise to customers; empty for a stage without).
    arcs : DataFrame
        from_id, to_id and, where it differs from 1, usage_qty (units of the first in one of the second).

    Returns
    -------
    DataFrame
        `stages` with inbound_time, service_time, net_time, total_deviation_qty (demand through the stage), safety_stock_qty, cost_amt.

    Raises
    ------
    ValueError
        Negative or fractional times, an unknown stage in an arc, a loop (named), a promise no stage can keep.

    References
    ----------
    Graves and Willems (2000), Manufacturing & Service Operations Management 2; Snyder and Shen, section 6.3.

    Examples
    --------
    >>> stages = pd.DataFrame({"stage_id": ["1", "3", "2", "4"], "stage_time": [2, 1, 1, 1], "holding_cost_amt": [1, 2, 3, 3],
    ...                        "deviation_qty": [0, 0, 1, 1], "inbound_time": [1, 0, 0, 0], "service_limit": [np.nan, np.nan, 0, 1]})
    >>> arcs = pd.DataFrame({"from_id": ["1", "3", "3"], "to_id": ["3", "2", "4"]})
    >>> found = guaranteed_service(stages, arcs)
    >>> dict(zip(found["stage_id"], found["service_time"].tolist(), strict=True)), round(float(found["cost_amt"].sum()), 9)
    ({'1': 0, '3': 0, '2': 0, '4': 1}, 8.277916868)
    """
    chain = _Chain(stages, arcs)
    service, inbound = _on_tree(chain) if chain.is_tree else _on_network(chain)
    net = inbound + chain.time - service
    safety = chain.factor * chain.deviation * np.sqrt(net)
    return stages.assign(
        inbound_time=inbound,
        service_time=service,
        net_time=net,
        total_deviation_qty=chain.deviation,
        safety_stock_qty=safety,
        cost_amt=chain.cost * np.sqrt(net),
    )


def placement_costs(stages: pd.DataFrame, arcs: pd.DataFrame, service_time: np.ndarray) -> np.ndarray:
    """Cost of every stage for promises that are given: what any other placement would cost.

    Parameters
    ----------
    stages, arcs : DataFrame
        As for `guaranteed_service`.
    service_time : ndarray
        Promise of every stage, in the order of `stages`; one later than the stage needs counts as what it needs.

    Returns
    -------
    ndarray
        h z σ √net by stage; infinite where a promise to customers is later than its limit.
    """
    chain = _Chain(stages, arcs)
    service, net = np.zeros(len(chain.time)), np.zeros(len(chain.time))
    for stage in chain.order:
        waits = max([chain.inbound[stage], *(service[supplier] for supplier in chain.suppliers[stage])])
        service[stage] = min(service_time[stage], waits + chain.time[stage])
        net[stage] = waits + chain.time[stage] - service[stage]
    return np.where(service <= chain.limit, chain.cost * np.sqrt(net), np.inf)


class _Chain:
    """Stages and arcs as arrays, checked."""

    def __init__(self, stages: pd.DataFrame, arcs: pd.DataFrame) -> None:
        named = stages.reindex(columns=["stage_id", *_STAGE]).reset_index(drop=True)
        # What is not stated: z 1, suppliers outside deliver at once, no demand of its own, no promise to customers.
        named = named.astype(dict.fromkeys(_STAGE, float)).fillna(
            {"factor": 1.0, "inbound_time": 0.0, "deviation_qty": 0.0, "service_limit": np.inf}
        )
        self.names = named["stage_id"].astype(str).to_numpy(dtype=object)
        _refuse_times(named)
        self.start, self.end = (_positions(self.names, arcs[column]) for column in ("from_id", "to_id"))
        loops = loops_between(self.names, self.start, self.end)
        if loops:
            raise ValueError(f"stages feed themselves: {'; '.join(loops)}; remove one of these arcs")
        count = len(named)
        self.suppliers = [self.start[self.end == stage] for stage in range(count)]
        self.customers = [self.end[self.start == stage] for stage in range(count)]
        self.order = np.argsort(levels(count, self.start, self.end), kind="stable")
        self.time = named["stage_time"].to_numpy(dtype=int)
        self.inbound, self.factor = named["inbound_time"].to_numpy(dtype=int), named["factor"].to_numpy()
        self.limit = named["service_limit"].to_numpy()
        self.deviation = self._through(named["deviation_qty"].to_numpy(), arcs)
        self.cost = named["holding_cost_amt"].to_numpy() * self.factor * self.deviation
        self.longest = self._longest()

    def _through(self, own: np.ndarray, arcs: pd.DataFrame) -> np.ndarray:
        """Standard deviation of the demand through every stage: that of all customers it ends with, taken as independent."""
        usage = arcs["usage_qty"].to_numpy(dtype=float) if "usage_qty" in arcs else np.ones(len(arcs))
        ends = np.diag(own)  # stage × ending stage
        for stage in self.order[::-1]:
            for arc in np.flatnonzero(self.start == stage):
                ends[stage] += usage[arc] * ends[self.end[arc]]
        return np.sqrt(np.square(ends).sum(axis=1))

    def _longest(self) -> np.ndarray:
        """Longest time a stage can need: its own after that of its slowest supplier."""
        longest = np.zeros(len(self.time), dtype=int)
        for stage in self.order:
            longest[stage] = self.time[stage] + max([self.inbound[stage], *longest[self.suppliers[stage]]])
        return longest

    @property
    def is_tree(self) -> bool:
        """True when no two ways lead from one stage to another, directions left aside."""
        group = np.arange(len(self.time))
        for start, end in zip(self.start, self.end, strict=True):
            if group[start] == group[end]:
                return False
            group[group == group[end]] = group[start]
        return True


def _refuse_times(named: pd.DataFrame) -> None:
    for column in ("stage_time", "inbound_time"):
        values = named[column]
        wrong = named[~((values >= 0) & (values == values.round()))]
        if len(wrong):
            raise ValueError(
                f"{column} of {', '.join(wrong['stage_id'].astype(str))} must be a whole number of 0 or more, "
                f"got {', '.join(f'{value:g}' for value in wrong[column])}"
            )
    for column in ("holding_cost_amt", "deviation_qty", "factor", "service_limit"):
        wrong = named[~(named[column] >= 0)]
        if len(wrong):
            raise ValueError(f"{column} of {', '.join(wrong['stage_id'].astype(str))} must be 0 or more")
    twice = named.loc[named["stage_id"].duplicated(), "stage_id"].astype(str)
    if len(twice):
        raise ValueError(f"stage {', '.join(twice)} stands twice")


def _positions(names: np.ndarray, wanted: pd.Series) -> np.ndarray:
    found = pd.Index(names).get_indexer(wanted.astype(str))
    if (found < 0).any():
        raise ValueError(f"arcs name stages that do not exist: {', '.join(sorted(set(wanted.astype(str)[found < 0])))}")
    return found


# ------------------------------------------------------------------ trees
def _on_tree(chain: _Chain) -> tuple[np.ndarray, np.ndarray]:
    """Service and inbound times of a forest: from the leaves to each root, and back.

    A leaf tells its one remaining neighbour what its own cost is by promise (to a customer) or by waiting time (to a supplier).
    """
    order, towards = _leaves_first(chain)
    told: dict[int, np.ndarray] = {}
    choice: dict[int, np.ndarray] = {}
    service, inbound = np.zeros(len(order), dtype=int), np.zeros(len(order), dtype=int)
    for stage in order:
        cost = _cost_by_times(chain, stage, towards, told)
        neighbour = towards[stage]
        if neighbour < 0:
            service[stage], inbound[stage] = np.unravel_index(np.argmin(cost), cost.shape)
        else:
            axis = 1 if neighbour in chain.customers[stage] else 0
            choice[stage], told[stage] = cost.argmin(axis=axis), cost.min(axis=axis)
    for stage in order[::-1]:
        neighbour = towards[stage]
        if neighbour < 0:
            continue
        if neighbour in chain.customers[stage]:
            service[stage] = np.argmin(told[stage][: inbound[neighbour] + 1])
            inbound[stage] = choice[stage][service[stage]]
        else:
            least = service[neighbour]
            inbound[stage] = least + np.argmin(told[stage][least:])
            service[stage] = choice[stage][inbound[stage]]
    return service, inbound


def _leaves_first(chain: _Chain) -> tuple[list[int], list[int]]:
    """Stages so that each has at most one neighbour behind it, and that neighbour (−1 for the last of a tree)."""
    neighbours = [{int(n) for n in [*chain.suppliers[k], *chain.customers[k]]} for k in range(len(chain.time))]
    ready = [k for k, known in enumerate(neighbours) if len(known) <= 1]
    order, towards = [], [-1] * len(neighbours)
    done = [False] * len(neighbours)
    while ready:
        stage = ready.pop(0)
        if done[stage]:
            continue
        done[stage] = True
        order.append(stage)
        for neighbour in neighbours[stage]:
            towards[stage] = neighbour
            neighbours[neighbour].discard(stage)
            if len(neighbours[neighbour]) <= 1:
                ready.append(neighbour)
    return order, towards


def _cost_by_times(chain: _Chain, stage: int, towards: list[int], told: dict[int, np.ndarray]) -> np.ndarray:
    """Least cost of a stage and of those before it, by its promise (row) and its waiting time (column)."""
    promise, waiting = np.arange(chain.longest[stage] + 1)[:, None], np.arange(chain.longest[stage] - chain.time[stage] + 1)
    net = waiting + chain.time[stage] - promise
    cost = np.where(net >= 0, chain.cost[stage] * np.sqrt(np.maximum(net, 0)), np.inf)
    cost = np.where((promise > chain.limit[stage]) | (waiting < chain.inbound[stage]), np.inf, cost)
    for supplier in chain.suppliers[stage]:
        if towards[supplier] == stage:
            by_promise = np.minimum.accumulate(told[supplier])  # a supplier may promise earlier than it is waited for
            cost = cost + by_promise[np.minimum(waiting, len(by_promise) - 1)]
    for customer in chain.customers[stage]:
        if towards[customer] == stage:
            by_waiting = np.minimum.accumulate(told[customer][::-1])[::-1]  # a customer may wait longer than it has to
            cost = cost + by_waiting[np.minimum(promise, len(by_waiting) - 1)]
    return cost


# ------------------------------------------------------------------ networks that are no trees
def _on_network(chain: _Chain) -> tuple[np.ndarray, np.ndarray]:
    """Service and inbound times of any network without loops, by mixed-integer programming."""
    from scipy.optimize import Bounds, LinearConstraint, milp  # a tenth of a second that only such networks pay

    count = len(chain.time)
    sizes = chain.longest + 1
    first = 2 * count + np.concatenate([[0], np.cumsum(sizes)])
    variables = int(first[-1])
    cost, upper = np.zeros(variables), np.ones(variables)
    upper[:count] = np.minimum(chain.longest, chain.limit)
    upper[count : 2 * count] = chain.longest - chain.time
    lower = np.zeros(variables)
    lower[count : 2 * count] = chain.inbound
    rows, low, high = [], [], []

    def row(entries: dict[int, float], least: float, most: float) -> None:
        line = np.zeros(variables)
        line[list(entries)] = list(entries.values())
        rows.append(line)
        low.append(least)
        high.append(most)

    for stage in range(count):
        times = range(int(first[stage]), int(first[stage + 1]))
        cost[times] = chain.cost[stage] * np.sqrt(np.arange(sizes[stage]))
        row(dict.fromkeys(times, 1.0), 1, 1)
        net = {column: -float(number) for number, column in enumerate(times)}
        row({**net, count + stage: 1.0, stage: -1.0}, -chain.time[stage], -chain.time[stage])
    for start, end in zip(chain.start, chain.end, strict=True):
        row({count + int(end): 1.0, int(start): -1.0}, 0, np.inf)
    found = milp(
        cost,
        constraints=LinearConstraint(np.array(rows), low, high),
        bounds=Bounds(lower, upper),
        integrality=np.ones(variables),
        options={"mip_rel_gap": 1e-9},
    )
    if found.x is None:
        raise ValueError(f"no promise can be kept along these stages: {found.message}")
    times = np.round(found.x[: 2 * count]).astype(int)
    return times[:count], times[count:]
