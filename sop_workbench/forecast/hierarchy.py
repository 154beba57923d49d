"""From one level of the plan to another: spread down, add up, reconcile; totals are conserved."""

from __future__ import annotations

import numpy as np
import pandas as pd


def spread(total: float, base: np.ndarray) -> np.ndarray:
    """Spread a total over members by their share of a base; equal shares where the base is all zero."""
    raise NotImplementedError


def reconcile(base: np.ndarray, constraints: np.ndarray, target: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Move forecasts least, by their variance, until they add up; locked values (zero variance) stay."""
    raise NotImplementedError
