"""Random stage trees and networks, and what stockpyl says about the trees.

`python tests/oracles.py` (with `pip install --no-deps stockpyl networkx jsonpickle tabulate`) writes `guaranteed_service.json`
again: stockpyl's own requirements pull in an old sphinx that slows every start of Python, so it is never installed here.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

ANSWERS = Path(__file__).parent / "guaranteed_service.json"
SEEDS = range(30)


def random_stages(seed: int, is_tree: bool = True) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Stages and arcs of a random chain: up to 9 stages; ends have demand and a limit on their promise."""
    draw = np.random.default_rng(seed)
    count = int(draw.integers(2, 10 if is_tree else 7))
    arcs = []
    for stage in range(1, count):
        other = int(draw.integers(0, stage))
        arcs.append((other, stage) if draw.random() < 0.6 else (stage, other))
    if not is_tree:
        # Further arcs from lower to higher stages; those of the tree are turned the same way, so that no loop comes about.
        arcs = [(min(a, b), max(a, b)) for a, b in arcs]
        arcs += [(a, b) for a in range(count) for b in range(a + 1, count) if draw.random() < 0.3]
        arcs = sorted(set(arcs))
    has_customer = {start for start, _ in arcs}
    has_supplier = {end for _, end in arcs}
    stages = [
        {
            "stage_id": str(n),
            "stage_time": int(draw.integers(0, 5)),
            "holding_cost_amt": round(float(draw.uniform(1, 9)), 2),
            "deviation_qty": round(float(draw.uniform(1, 5)), 2) if n not in has_customer else 0.0,
            "inbound_time": int(draw.integers(0, 3)) if n not in has_supplier else 0,
            "service_limit": int(draw.integers(0, 3)) if n not in has_customer else np.nan,
        }
        for n in range(count)
    ]
    return pd.DataFrame(stages), pd.DataFrame([(str(a), str(b)) for a, b in arcs], columns=["from_id", "to_id"])


def oracle_cost(stages: pd.DataFrame, arcs: pd.DataFrame) -> float:
    """Cost of the optimum by stockpyl's tree algorithm, with z = 1."""
    from stockpyl.gsm_tree import optimize_committed_service_times, preprocess_tree
    from stockpyl.supply_chain_network import SupplyChainNetwork
    from stockpyl.supply_chain_node import SupplyChainNode

    network = SupplyChainNetwork()
    nodes = {}
    for row in stages.itertuples():
        node = SupplyChainNode(int(row.stage_id), processing_time=int(row.stage_time), local_holding_cost=float(row.holding_cost_amt))
        if row.deviation_qty > 0:
            node.demand_source.type, node.demand_source.mean, node.demand_source.standard_deviation = "N", 0, float(row.deviation_qty)
        node.demand_bound_constant = 1
        node.external_inbound_cst = int(row.inbound_time)
        if not np.isnan(row.service_limit):
            node.external_outbound_cst = int(row.service_limit)
        nodes[row.stage_id] = node
        network.add_node(node)
    for row in arcs.itertuples():
        network.add_edge(int(row.from_id), int(row.to_id))
    return float(optimize_committed_service_times(tree=preprocess_tree(network))[1])


def main() -> None:
    """Ask stockpyl and write its answers."""
    answers = {str(seed): oracle_cost(*random_stages(seed)) for seed in SEEDS}
    ANSWERS.write_text(json.dumps(answers, indent=1) + "\n")


if __name__ == "__main__":
    main()
