"""The pages: the list of dashboards, a dashboard, signing in and out, faults, and the health address."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import time
import traceback
from collections.abc import AsyncIterator
from typing import Any

import nbformat
from jupyter_client.jsonutil import json_default
from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import APIHandler, JupyterHandler
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbconvert.filters import markdown2html
from tornado import web
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError
from voila.execute import VoilaExecutor, strip_code_cell_warnings
from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler

from sop_workbench import __version__, errors
from sop_workbench.errors import SopError
from sop_workbench.serving.guard import LOG, new_reference
from sop_workbench.serving.identity import Throttle, Viewer
from sop_workbench.serving.kernels import PageKernels
from sop_workbench.serving.site import Dashboard, RefusedQueryError, Site, checked_query

_HEALTH_SECONDS = 5.0
_EXPLAINED = frozenset(name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, SopError))
_WORDS = {403: "You may not open this", 404: "There is no such page", 405: "That is not possible here", 429: "Please wait a minute",
          500: "Something went wrong", 503: "All places are taken"}
_MESSAGES = {403: "Ask who runs the dashboards for access.", 404: "The address may be mistyped, or what it names is gone.",
             429: "There were too many wrong passwords.", 500: "It is written to the log, with the reference below."}
WIDGET = "application/vnd.jupyter.widget-view+json"


class SitePage(JupyterHandler):
    """What all pages share: nothing from elsewhere runs in them, faults are told in words, and the browser gets its xsrf cookie."""

    @property
    def site(self) -> Site:
        """What is served."""
        return self.settings["site"]

    @property
    def kernels(self) -> PageKernels:
        """The kernels of the open pages."""
        return self.settings["kernel_manager"]

    @property
    def way_in(self) -> Any:
        """The identity provider; `form_fields` says what its form asks for."""
        return self.settings["identity_provider"]

    @property
    def nonce(self) -> str:
        """What marks this answer's own scripts; text that somebody wrote into a plan cannot know it, so it never runs."""
        if not hasattr(self, "_nonce"):
            self._nonce = secrets.token_urlsafe(16)
        return self._nonce

    @property
    def content_security_policy(self) -> str:
        """Everything from this server only. Vega compiles its expressions (`unsafe-eval`), anywidget loads its module as a blob."""
        return (f"default-src 'none'; script-src 'self' 'nonce-{self.nonce}' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
                "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; worker-src blob:; base-uri 'none'; "
                "form-action 'self'; frame-ancestors 'self'; object-src 'none'")

    async def prepare(self) -> None:  # type: ignore[override]
        """Who is it; and a token leaves the address bar once it has done its work."""
        await super().prepare()
        if self._finished or self.current_user is None or self.request.method != "GET" or "token" not in self.request.query_arguments:
            return
        self.identity_provider.set_login_cookie(self, self.current_user)
        kept = "&".join(part for part in self.request.query.split("&") if not part.startswith("token="))
        self.redirect(self.request.path + (f"?{kept}" if kept else ""))

    def get_login_url(self) -> str:
        """Where to sign in; where that is the proxy's business, the request is refused."""
        if not self.way_in.form_fields and not hasattr(self.way_in, "hub_auth"):
            raise HTTPError(403, "nobody has signed in at the proxy")
        return super().get_login_url()

    def show(self, template: str, **values: Any) -> None:
        """Answer with a template."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Cache-Control", "no-store")
        self.finish(self.settings["voila_jinja2_env"].get_template(template).render(**self.common(), **values))

    def common(self) -> dict[str, Any]:
        """What every template may use."""
        settings = self.site.settings()
        viewer = self.current_user
        return {"base_url": self.base_url, "nonce": self.nonce, "company": settings.company, "brand": settings.brand_colour,
                "viewer": viewer.username if viewer else "", "role": self.site.role(viewer.username, viewer.groups) if viewer else "",
                "can_sign_out": bool(self.way_in.form_fields), "xsrf": self.xsrf_form_html(), "version": __version__}

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Say what happened in words, with a reference into the log where it is a fault; never a traceback."""
        cause = kwargs.get("exc_info", (None, None))[1]
        reference = ""
        if status_code >= 500 and status_code != 503:
            reference = new_reference()
            LOG.error("reference %s: %s %s", reference, self.request.method, self.request.path, exc_info=kwargs.get("exc_info"))
        told = cause.words if isinstance(cause, ToldError) else _MESSAGES.get(status_code, "")
        if self.request.path.startswith(f"{self.base_url}api/"):
            self.set_header("Content-Type", "application/json")
            self.finish(json.dumps({"message": told or _WORDS.get(status_code, "refused"), "reference": reference}))
            return
        heading = _WORDS.get(status_code, "This cannot be opened")
        try:
            self.show("message.html.j2", heading=heading, message=told, reference=reference)
        except SopError:  # the settings themselves cannot be read
            self.finish(f"<!doctype html><title>{heading}</title><h1>{heading}</h1><p>{reference}")


class ToldError(HTTPError):
    """A refusal whose words are for the viewer."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(status)
        self.words = words


class LandingPage(SitePage):
    """The dashboards and the cycles they can show."""

    @web.authenticated
    async def get(self) -> None:
        """List them."""
        cycles = await _in_thread(self.site.cycles)
        self.show("landing.html.j2", dashboards=self.site.dashboards().values(), cycles=cycles)


class DashboardPage(SitePage):
    """One dashboard: its notebook run in a kernel of its own, sent as it gets ready."""

    _kernel_id: str | None = None

    @web.authenticated
    async def get(self, name: str) -> None:
        """Run the notebook for this viewer and query."""
        dashboard = self.site.dashboards().get(name)
        if dashboard is None:
            raise HTTPError(404)
        try:
            checked_query(self.request.query, await _in_thread(self.site.cycles))
        except RefusedQueryError as refusal:
            LOG.warning("refused %s: %s", self.current_user.username, refusal)
            raise ToldError(400, f"{refusal}.") from refusal
        if len(self.kernels.owners) >= self.site.page_limit:
            raise ToldError(503, "Too many pages are open. Please close one, or try again in a minute.")
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Cache-Control", "no-store")
        try:
            await self._send(dashboard)
        except StreamClosedError:
            LOG.info("%s closed %s before it was ready", self.current_user.username, name)
            await self._end()

    async def _send(self, dashboard: Dashboard) -> None:
        """The page in pieces: its head at once, so that the browser loads its scripts while the kernel computes."""
        template = self.settings["page_template"]
        values = {**self.common(), "dashboard": dashboard, "page": self.page_config(), "scripts": self.settings["early_scripts"],
                  "start": self._start, "cells": self._cells, "notebook": self.site.notebook(dashboard)}
        async for piece in template.generate_async(**values):
            self.write(piece)
            if "<!--flush-->" in piece:
                await self.flush()
        await self.finish()

    def page_config(self) -> dict[str, Any]:
        """What Voilà's script needs to know."""
        return self.settings["page_config"]

    async def _start(self) -> str:
        """Start the page's kernel; its number, nothing when it does not start."""
        try:
            return await self._start_kernel()
        except Exception:  # the head of the page is out already: the rest has to say it
            self._release()
            self._not_started = traceback.format_exc()
            return ""

    async def _start_kernel(self) -> str:
        viewer, site = self.current_user, self.site
        told = {"SOP_VIEWER": viewer.username, "SOP_VIEWER_GROUPS": ",".join(viewer.groups), "SOP_WORKSPACE": str(site.workspace),
                "SOP_BASE_URL": self.base_url, "QUERY_STRING": self.request.query, "SCRIPT_NAME": self.request.path,
                "SERVER_SOFTWARE": "voila"}
        await self.settings["page_slots"].acquire()
        self._has_slot = True
        self._kernel_id, is_pooled = await self.kernels.start_page(viewer.username, told, site.workspace)
        self._to_set = told if is_pooled else {}
        return self._kernel_id

    async def _cells(self, notebook: nbformat.NotebookNode) -> AsyncIterator[dict[str, Any]]:
        """Run the cells one after the other; the first fault ends the page with words."""
        if self._kernel_id is None:
            yield self._fault("not started", "", self._not_started)
            return
        kernel = self.kernels.get_kernel(self._kernel_id)
        executor = VoilaExecutor(notebook, km=kernel, show_tracebacks=False, timeout=self.settings["cell_seconds"])
        try:
            executor.kc = await executor.async_start_new_kernel_client()
            if self._to_set:
                setting = f"import os\nos.environ.update({self._to_set!r})\nos.chdir({str(self.site.workspace)!r})"
                await ensure_async(executor.kc.execute(setting, silent=True, store_history=False))
            for number, cell in enumerate(notebook.cells):
                shown, is_last = await self._run(executor, cell, number)
                yield shown
                if is_last:
                    break
            self.kernels.step_back(self._kernel_id)
        finally:
            self._release()
            if executor.kc is not None:
                await ensure_async(executor.kc.stop_channels())

    async def _run(self, executor: VoilaExecutor, cell: nbformat.NotebookNode, number: int) -> tuple[dict[str, Any], bool]:
        if cell.cell_type == "markdown":
            return {"kind": "markdown", "html": markdown2html(cell.source)}, False
        if cell.cell_type != "code":
            return {"kind": "nothing"}, False
        try:
            await executor.async_execute_cell(cell, number, store_history=False)
        except CellExecutionError as fault:
            return self._fault(fault.ename, fault.evalue, str(fault)), True
        except (TimeoutError, DeadKernelError, RuntimeError) as fault:
            return self._fault(type(fault).__name__, "it took too long, or its process ended", repr(fault)), True
        strip_code_cell_warnings(cell)
        return {"kind": "outputs", "outputs": [_shown(output) for output in cell.outputs if output.output_type != "error"]}, False

    def _fault(self, name: str, words: str, details: str) -> dict[str, Any]:
        """What a viewer is told: an explained error in its own words, any other as a reference into the log."""
        reference = new_reference()
        LOG.error("reference %s: %s of %s: %s", reference, self.request.uri, self.current_user.username, details)
        explained = words.replace(str(self.site.workspace), "the workspace") if name in _EXPLAINED else ""
        return {"kind": "fault", "reference": reference, "message": explained}

    def _release(self) -> None:
        if getattr(self, "_has_slot", False):
            self._has_slot = False
            self.settings["page_slots"].release()

    async def _end(self) -> None:
        self._release()
        if self._kernel_id is not None:
            await self.kernels.end_page(self._kernel_id)

    def on_connection_close(self) -> None:
        """The browser went away before the page was there: so does the kernel."""
        super().on_connection_close()
        asyncio.ensure_future(self._end())


def _shown(output: nbformat.NotebookNode) -> dict[str, Any]:
    """An output for the template: a widget and what only Voilà's script can draw as data, HTML and text as they are."""
    if output.output_type == "stream":
        return {"kind": "text", "text": output.text}
    found = output.get("data", {})
    if WIDGET in found:
        return {"kind": "drawn", "model": {**output, "trusted": True}, "placeholder": found.get("text/html", "")}
    for mime, kind in (("text/html", "html"), ("image/svg+xml", "html"), ("text/markdown", "markdown")):
        if mime in found:
            text = found[mime]
            return {"kind": "html", "html": markdown2html(text) if kind == "markdown" else text}
    return {"kind": "drawn", "model": {**output, "trusted": True}, "placeholder": ""}


class PageKernelHandler(APIHandler):
    """State and end of a kernel, for the viewer whose page it serves."""

    @property
    def kernels(self) -> PageKernels:
        """The kernels of the open pages."""
        return self.settings["kernel_manager"]

    @web.authenticated
    async def get(self, kernel_id: str) -> None:
        """Whether it still runs."""
        self.kernels.require_owner(kernel_id, self.current_user.username)
        self.finish(json.dumps(self.kernels.kernel_model(kernel_id), default=json_default))

    @web.authenticated
    async def delete(self, kernel_id: str) -> None:
        """End it."""
        self.kernels.require_owner(kernel_id, self.current_user.username)
        await self.kernels.end_page(kernel_id)
        self.set_status(204)


class PageSocket(VoilaKernelWebsocketHandler):
    """The line between a page and its kernel; see :mod:`sop_workbench.serving.guard`."""

    async def pre_get(self) -> None:
        """Only for the viewer whose page it is, and from a page of this site; asked here, before an older line is given up for it."""
        if not self.check_origin():
            raise HTTPError(403)
        self.kernel_manager.require_owner(self.kernel_id, self.current_user.username)
        await super().pre_get()


class ClosedPage(SitePage):
    """What the browser calls while it closes or reloads a page."""

    @web.authenticated
    async def post(self, kernel_id: str) -> None:
        """End the page's kernel."""
        self.kernels.require_owner(kernel_id, self.current_user.username)
        await self.kernels.end_page(kernel_id)
        self.set_status(204)


class SignInPage(SitePage):
    """The form to sign in with."""

    @allow_unauthenticated
    async def get(self) -> None:
        """Show it."""
        if self.current_user is not None:
            self.redirect(self._next())
        elif not self.way_in.form_fields:
            raise ToldError(403, "People sign in at the proxy in front of this server.")
        else:
            self.show("sign_in.html.j2", fields=self.way_in.form_fields, next=self._next(), fault="")

    @allow_unauthenticated
    async def post(self) -> None:
        """Let the viewer in, or say that name and password do not fit; who guesses waits."""
        throttle: Throttle = self.settings["throttle"]
        keys = (f"name {self.get_body_argument('name', '')[:80]}", f"address {self.request.remote_ip}")
        if throttle.is_closed(*keys):
            raise HTTPError(429)
        viewer = await _in_thread(self.identity_provider.process_login_form, self)
        if viewer is None:
            throttle.failed(*keys)
            LOG.warning("sign-in failed from %s", self.request.remote_ip)
            self.set_status(401)
            self.show("sign_in.html.j2", fields=self.way_in.form_fields, next=self._next(), fault="That does not fit.")
            return
        LOG.info("%s signed in", viewer.username)
        self.identity_provider.set_login_cookie(self, viewer)
        self.redirect(self._next())

    def _next(self) -> str:
        """Where to go afterwards: a page of this site, whatever the address says."""
        wanted = self.get_argument("next", self.base_url)
        is_own = wanted.startswith(self.base_url) and not wanted.startswith("//") and "\\" not in wanted and wanted.isprintable()
        return wanted if is_own else self.base_url


class SignOutPage(SitePage):
    """Forget who was signed in."""

    @web.authenticated
    async def post(self) -> None:
        """Sign out; the open pages of a viewer with a name of his own end."""
        viewer: Viewer = self.current_user
        if "name" in self.way_in.form_fields:  # who shares a token shares a name, and does not close others' pages
            for kernel_id in [one for one, owner in self.kernels.owners.items() if owner == viewer.username]:
                await self.kernels.end_page(kernel_id)
        self.identity_provider.clear_login_cookie(self)
        self.redirect(self.base_url)


class HealthPage(SitePage):
    """For a monitor: is the server up, can it read its workspace, how many pages are open."""

    _known: tuple[float, dict[str, object]] = (float("-inf"), {})

    @allow_unauthenticated
    async def get(self) -> None:
        """Answer without sign-in and without saying whose workspace it is; asks the store every few seconds at most."""
        cls = type(self)
        if time.monotonic() - cls._known[0] > _HEALTH_SECONDS:
            cls._known = (time.monotonic(), await _in_thread(self.site.health))
        found = cls._known[1]
        self.set_status(200 if found["ok"] else 503)
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps({**found, "kernels": len(self.kernels.owners)}))


class NoSuchPage(SitePage):
    """Everything that is not a page of this site, whoever asks."""

    @allow_unauthenticated
    async def get(self, *_: str) -> None:
        """Say so."""
        raise HTTPError(404)

    post = put = delete = patch = head = options = get


async def _in_thread(function: Any, *arguments: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(None, function, *arguments)


def page_slots() -> asyncio.Semaphore:
    """How many notebooks run at once: some for each processor, so that the first viewers of a crowd are served first."""
    return asyncio.Semaphore(2 * (os.cpu_count() or 1))
