"""What every view is made with: titled frames, names beside numbers, the largest members and the rest."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sop_workbench import tables
from sop_workbench.errors import DataError
from sop_workbench.views.words import NO_FAMILY, OTHER, sentence

_SENTENCES = ("sentence", "what", "evidence", "reason", "cause", "remedy", "next_step")  # written by the planning maths


def as_view(frame: pd.DataFrame, title: str, note: str = "", empty: str = "Nothing to show.") -> pd.DataFrame:
    """The frame with its title, its note and what to say when it is empty; sentences bear numbers as the locale writes them."""
    said = () if "title" in frame.attrs else [column for column in _SENTENCES if column in frame]  # those of a view are done
    shown = frame.assign(**{column: frame[column].map(sentence) for column in said}).reset_index(drop=True)
    shown.attrs = {"title": title if len(shown) else "", "note": note, "empty": empty}
    return shown


def needs(frame: pd.DataFrame, name: str) -> None:
    """Refuse a frame without the columns its table declares.

    Raises
    ------
    DataError
        Naming table and columns.
    """
    missing = [c for c in tables.table(name).columns if c not in frame.columns]
    if missing:
        remedy = f"give the view the table {name} as its review wrote it"
        raise DataError(tables.issue_frame([tables.finding("missing_column", "blocks", name, "", len(frame), ", ".join(missing), remedy)]))


def with_columns(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """The frame with columns that nobody filled yet, empty, beside its own."""
    return frame.reindex(columns=[*frame.columns, *(column for column in columns if column not in frame.columns)])


def quotient(part: float, whole: float) -> float:
    """Part over whole; nothing where there is no whole."""
    return float(part) / float(whole) if whole else float("nan")


def with_item(frame: pd.DataFrame, item: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """The frame with columns of the item beside it; an item without a family shows as such."""
    needs(item, "item")
    kept = frame.drop(columns=[c for c in columns if c in frame.columns])
    joined = kept.merge(item[["item_id", *columns]], on="item_id", how="left", validate="many_to_one")
    return joined.assign(family=joined["family"].fillna(NO_FAMILY)) if "family" in columns else joined


def item_names(item: pd.DataFrame) -> pd.Series:
    """Name by item number, for labels."""
    needs(item, "item")
    return item.set_index("item_id")["item_name"]


def with_largest(frame: pd.DataFrame, by: str, weight: str, top: int) -> pd.DataFrame:
    """The frame with all but the `top` heaviest members of `by` renamed to `Others`."""
    heaviest = frame.groupby(by)[weight].sum().abs().nlargest(top).index
    return frame.assign(**{by: frame[by].where(frame[by].isin(heaviest), OTHER)})


def first_periods(frame: pd.DataFrame, count: int | None) -> pd.DataFrame:
    """Rows of the first `count` periods."""
    if count is None or frame.empty:
        return frame
    return frame[frame["period"].isin(np.sort(frame["period"].unique())[:count])]
