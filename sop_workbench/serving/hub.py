"""Who looks at a dashboard where JupyterHub signs people in: a service of the hub, or a server of somebody's own.

The sign-in itself is JupyterHub's (package `jupyterhub`, extra `hub`), configured by the environment that the hub sets.
"""

from __future__ import annotations

from jupyterhub.singleuser.extension import JupyterHubIdentityProvider
from tornado import web

from sop_workbench.serving.identity import Viewer


class HubIdentity(JupyterHubIdentityProvider):
    """The hub's user and groups, if the hub lets him use this server."""

    form_fields = ()

    async def get_user(self, handler: web.RequestHandler) -> Viewer | None:
        """Asks the hub, whose answer is kept for some minutes; None sends the browser there to sign in."""
        found = await super().get_user(handler)
        return None if found is None else Viewer(found.username, groups=tuple(found.hub_user.get("groups") or ()))
