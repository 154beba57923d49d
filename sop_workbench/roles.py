"""Who may do what: viewers read, planners write, approvers also approve, lock and unlock.

A person is who signed in at the dashboard (`SOP_VIEWER`), else who JupyterHub says is signed in (`JUPYTERHUB_USER`), else the
user of the operating system. The role stands under
`users` (by name) or `groups` (of the operating system, or named in `JUPYTERHUB_GROUPS`) in `sop.yaml` or `users.yaml`. Where
neither is given, everybody may do everything. Roles keep honest people from mistakes; who must be kept out is kept out by
the rights on the store's folder or bucket.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Collection, Mapping
from typing import Literal

from sop_workbench.errors import RoleError

Role = Literal["viewer", "planner", "approver"]
ORDER: tuple[Role, ...] = ("viewer", "planner", "approver")
ANYBODY = "*"
WORKBENCH = "workbench"  # signs what it computes itself from actuals, whoever runs it
_MAY = {"viewer": "read", "planner": "read and write", "approver": "read, write and approve"}


def current_user() -> str:
    """Name of the person at work: the dashboard's viewer, else JupyterHub's user, else the operating system's."""
    if _viewer():
        return _viewer()
    hub = os.environ.get("JUPYTERHUB_USER", "").strip()
    if hub:
        return hub
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "unknown"  # a container without a user database


def current_groups() -> set[str]:
    """Groups of the person at work: those of the dashboard's viewer, else of JupyterHub's user, else the operating system's.

    JupyterHub hands over no groups by itself: `JUPYTERHUB_GROUPS` is set by its administrator (`c.Spawner.environment`), names
    separated by commas.
    """
    if _viewer():
        return _names("SOP_VIEWER_GROUPS")
    if os.environ.get("JUPYTERHUB_USER", "").strip():
        return _names("JUPYTERHUB_GROUPS")
    try:
        import grp
    except ImportError:  # Windows has no such groups
        return set()
    return {group for number in os.getgroups() for group in _group_name(grp, number)}


def _viewer() -> str:
    """Who signed in at the dashboard, as its server told the kernel of the page.

    That can be believed for one reason: viewers cannot run code. The server alone starts these kernels, sets the variable, runs
    the notebook's own cells and lets a browser send nothing but what its widgets say (`serving.guard`). Whoever can run code in a
    process can set any name in it, here as with `JUPYTERHUB_USER`.
    """
    return os.environ.get("SOP_VIEWER", "").strip()


def _names(variable: str) -> set[str]:
    return {name.strip() for name in os.environ.get(variable, "").split(",") if name.strip()}


def _group_name(grp: object, number: int) -> list[str]:
    try:
        return [grp.getgrgid(number).gr_name]  # type: ignore[attr-defined]
    except KeyError:  # a number without a name
        return []


def role_of(user: str, user_groups: Collection[str], users: Mapping[str, Role], groups: Mapping[str, Role]) -> Role:
    """Role of a person: by name, else the highest of the groups, else that of `*`, else viewer; approver where nobody is listed.

    Examples
    --------
    >>> role_of("ann", [], {}, {}), role_of("ann", [], {"ann": "planner"}, {}), role_of("bob", [], {"ann": "planner"}, {})
    ('approver', 'planner', 'viewer')
    >>> role_of("bob", ["staff", "board"], {"*": "viewer"}, {"staff": "planner", "board": "approver"})
    'approver'
    """
    if not users and not groups:
        return "approver"
    if user in users and user != ANYBODY:
        return users[user]
    found = [groups[name] for name in user_groups if name in groups]
    return max(found, key=ORDER.index) if found else users.get(ANYBODY, "viewer")


def may(needed: Role, users: Mapping[str, Role], groups: Mapping[str, Role]) -> bool:
    """Tell whether the person at work holds a role, or a higher one."""
    return ORDER.index(role_of(current_user(), current_groups(), users, groups)) >= ORDER.index(needed)


def require(needed: Role, doing: str, users: Mapping[str, Role], groups: Mapping[str, Role], by: str | None = None) -> None:
    """Refuse what the person at work may not do, or signs with another person's name.

    Raises
    ------
    RoleError
        Naming the person, the role held and the role it takes.
    """
    if not users and not groups:
        return
    user = current_user()
    held = role_of(user, current_groups(), users, groups)
    if ORDER.index(held) < ORDER.index(needed):
        raise RoleError(f"{user} is a {held} (may {_MAY[held]}) and may not {doing}; it takes a{'n' if needed == 'approver' else ''} "
                        f"{needed}. Roles stand under users and groups in sop.yaml or users.yaml")
    if by is not None and by.strip() and by.strip() != user:
        raise RoleError(f"{user} may not {doing} in the name of {by.strip()}; sign as {user}")
