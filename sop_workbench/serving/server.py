"""`sop dashboards`: Voilà, serving the dashboards and nothing else."""

from __future__ import annotations

import ipaddress
import logging
import os
import re
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jinja2
import voila
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_core.utils import run_sync
from jupyter_server.auth.authorizer import AllowAllAuthorizer
from jupyter_server.auth.identity import IdentityProvider
from jupyter_server.base.handlers import FileFindHandler
from tornado.ioloop import IOLoop
from voila.app import Voila
from voila.static_file_handler import MultiStaticFileHandler
from voila.utils import get_page_config, get_voila_labextensions_path

from sop_workbench.errors import SettingsError
from sop_workbench.serving import pages
from sop_workbench.serving.guard import LOG, GuardedConnection
from sop_workbench.serving.identity import (
    PASSWORDS_FILE,
    HeaderIdentity,
    PasswordIdentity,
    Throttle,
    TokenIdentity,
    read_passwords,
    starter,
)
from sop_workbench.serving.kernels import CAN_FORK, PageKernels
from sop_workbench.serving.site import DASHBOARDS, Site

TEMPLATES = DASHBOARDS / "template"
_LOG_BYTES, _LOGS_KEPT = 5_000_000, 3
_MESSAGE_BYTES = 2_000_000
_KERNEL_ID = r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
_LOOPBACK = ("127.0.0.0/8", "::1")


@dataclass(frozen=True)
class Serving:
    """How the server is reached and how viewers sign in.

    Exactly one way to sign in: `users` (a file of passwords), `trust_header` (a proxy names the user), the environment of
    JupyterHub, else a token (`token`, or one that is made). `patience` is how many seconds a page's kernel waits for its browser
    to come back (`grace_seconds` of `voila.json` when left out).
    """

    workspace: Path
    ip: str = "127.0.0.1"
    port: int = 8866
    base_url: str = "/"
    users: Path | None = None
    token: str = ""
    trust_header: str = ""
    groups_header: str = ""
    trust_addresses: tuple[str, ...] = ()
    log_file: Path | None = None
    folders: tuple[Path, ...] = ()
    fork: bool = CAN_FORK
    patience: float | None = None

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.ip).is_loopback
        except ValueError:
            return self.ip == "localhost"


def identity_of(serving: Serving) -> Callable[..., IdentityProvider]:
    """The one way in that was asked for, as something that makes its identity provider.

    Raises
    ------
    SettingsError
        When two ways are asked for at once, or a header would be believed from anywhere.
    """
    if serving.users and serving.trust_header:
        raise SettingsError("--users and --trust-header are two ways to sign in; give one of them")
    if serving.trust_header:
        return _header_identity(serving)
    if serving.users is None and not serving.token and os.environ.get("JUPYTERHUB_API_TOKEN"):
        return _hub_identity()
    users = serving.users or (serving.workspace / PASSWORDS_FILE)
    if serving.users is not None or (users.exists() and not serving.token):
        read_passwords(users)
        return lambda **given: PasswordIdentity(file=users, token="", **given)
    token = serving.token or os.environ.get("SOP_DASHBOARDS_TOKEN") or secrets.token_urlsafe(24)
    # Only on the starter's own machine is a link his alone; on a network it may have been passed on to anybody.
    person = starter() if serving.is_local else "guest"
    return lambda **given: TokenIdentity(token=token, person=person, **given)


def _header_identity(serving: Serving) -> Callable[..., IdentityProvider]:
    if not serving.is_local and not serving.trust_addresses:
        raise SettingsError(f"--trust-header on {serving.ip} would believe anybody on the network; say which address the proxy has "
                            "(--trust-address), or listen on 127.0.0.1")
    for address in serving.trust_addresses:
        try:
            ipaddress.ip_network(address, strict=False)
        except ValueError as fault:
            raise SettingsError(f"--trust-address {address} is neither an address nor a network") from fault
    return lambda **given: HeaderIdentity(user_header=serving.trust_header, groups_header=serving.groups_header, token=serving.token,
                                          trusted=serving.trust_addresses or _LOOPBACK, **given)


def _hub_identity() -> Callable[..., IdentityProvider]:
    try:
        from sop_workbench.serving.hub import HubIdentity
    except ImportError as fault:
        raise SettingsError("JupyterHub starts this server, but the package jupyterhub is missing: "
                            "pip install 'sop-workbench[hub]'") from fault
    return HubIdentity


def as_hub_says(serving: Serving) -> Serving:
    """Address, port and prefix as JupyterHub's environment names them, where there is one."""
    prefix, url = os.environ.get("JUPYTERHUB_SERVICE_PREFIX"), os.environ.get("JUPYTERHUB_SERVICE_URL")
    if not os.environ.get("JUPYTERHUB_API_TOKEN") or not prefix:
        return serving
    parts = urlsplit(url or "")
    return replace(serving, base_url=prefix, ip=parts.hostname or serving.ip, port=parts.port or serving.port)


class DashboardServer(Voila):
    """Voilà with its own pages: only what is listed in `init_handlers` exists."""

    def __init__(self, serving: Serving, announce: Callable[[str], None], **traits: Any) -> None:
        super().__init__(log_level=logging.WARNING, **traits)
        self.serving, self.announce = serving, announce
        self.config_file_paths = [str(DASHBOARDS)]  # never the working folder or the person's own: both may loosen what is closed here
        self.root_dir = str(serving.workspace)
        self.ip, self.port = serving.ip, serving.port
        self.base_url = f"/{serving.base_url.strip('/')}/".replace("//", "/")
        self.make_identity = identity_of(serving)
        log_file = serving.log_file or serving.workspace / "dashboards.log"
        self.site = Site(serving.workspace, serving.folders, self.base_url, log_file=log_file)

    def init_settings(self) -> dict[str, Any]:
        """Everything that the pages use."""
        self.server_url = self.base_url
        self.kernel_spec_manager = KernelSpecManager(parent=self)
        self.kernel_manager = PageKernels(parent=self, connection_dir=self.connection_dir, kernel_spec_manager=self.kernel_spec_manager,
                                          root_dir=self.root_dir, modules=self.site.modules(), log_file=self.site.log_file,
                                          workspace=self.site.workspace, fork=self.serving.fork)
        if self.serving.patience is not None:
            self.kernel_manager.be_patient(self.serving.patience)
        self.kernel_manager.warm_up()
        self.identity_provider = self.make_identity(parent=self, log=self.log)
        self.authorizer = AllowAllAuthorizer(parent=self, log=self.log, identity_provider=self.identity_provider)
        files = jinja2.FileSystemLoader(str(TEMPLATES))
        environment = jinja2.Environment(loader=files, autoescape=True, trim_blocks=True, lstrip_blocks=True)
        in_pieces = environment.overlay(enable_async=True)
        common = {"base_url": self.base_url, "server_url": self.base_url, "allow_remote_access": True, "server_root_dir": "/"}
        settings = {
            **common, "site": self.site, "kernel_manager": self.kernel_manager, "kernel_spec_manager": self.kernel_spec_manager,
            "voila_jinja2_env": environment, "jinja2_env": environment, "page_template": in_pieces.get_template("dashboard.html.j2"),
            "page_slots": pages.page_slots(), "cell_seconds": self.config.VoilaExecutor.get("timeout", 180), "throttle": Throttle(),
            "cookie_secret": self.cookie_secret, "authorizer": self.authorizer, "identity_provider": self.identity_provider,
            "kernel_websocket_connection_class": GuardedConnection, "login_url": f"{self.base_url}login",
            "xsrf_cookie_kwargs": {"path": self.base_url, "samesite": "Lax"}, "websocket_max_message_size": _MESSAGE_BYTES,
            "headers": {"Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
                        "Permissions-Policy": "camera=(), microphone=(), geolocation=()"},
            "default_handler_class": pages.NoSuchPage, "log_function": _log_request, self.name: self,
        }
        settings["page_config"] = self._page_config(settings)
        settings["early_scripts"] = self._early_scripts(settings["page_config"])
        return settings

    def init_handlers(self) -> list[tuple]:
        """The addresses that there are."""
        base, extensions = self.base_url, "|".join(re.escape(name) for name in self.voila_configuration.extension_allowlist)
        own = r"(" + "|".join(map(re.escape, self.site.dashboards())) + r")" if self.site.dashboards() else r"(?!)()"
        provided = [(f"{base.rstrip('/')}{address}", *rest) for address, *rest in self.identity_provider.get_handlers()]
        static = rf"{base}voila/static/{re.escape(voila.__version__)}/([\w.-]+)"
        return [
            (base, pages.LandingPage),
            (rf"{base}health", pages.HealthPage),
            *provided,
            (rf"{base}login", pages.SignInPage),
            (rf"{base}logout", pages.SignOutPage),
            (rf"{base}{own}", pages.DashboardPage),
            (rf"{base}api/kernels/{_KERNEL_ID}", pages.PageKernelHandler),
            (rf"{base}api/kernels/{_KERNEL_ID}/channels", pages.PageSocket),
            (rf"{base}voila/api/shutdown/{_KERNEL_ID}", pages.ClosedPage),
            (static, LastingFile, {"paths": self.static_paths}),
            (rf"{base}voila/labextensions/((?:{extensions})/static/[\w.-]+)", LibraryFile, {"path": self.labextensions_path}),
        ]

    def _page_config(self, settings: dict[str, Any]) -> dict[str, Any]:
        """What Voilà's script is told; addresses carry the version, so that a browser may keep the files."""
        found = get_page_config(base_url=self.base_url, settings={**settings, "mathjax_config": None, "mathjax_url": None}, log=self.log,
                                voila_configuration=self.voila_configuration)
        return {**found, "fullStaticUrl": f"{self.base_url}voila/static/{voila.__version__}", "jupyterLabTheme": "light", "token": ""}

    def _early_scripts(self, page: dict[str, Any]) -> list[str]:
        """The files that Voilà's script will ask for one after the other; the page names them at once."""
        folders = [Path(folder) for folder in self.static_paths]
        found = next((path for folder in folders if (path := folder / "voila.js").exists()), None)
        start = re.search(r"Promise\.all\(\[((?:\w\.e\(\d+\),?)+)\]\)", found.read_text(encoding="utf-8")) if found else None
        names = [f"{number}.voila.js" for number in re.findall(r"\d+", start[1])] if start else []
        return [f"{page['fullStaticUrl']}/{name}" for name in names if any((folder / name).exists() for folder in folders)]

    @property
    def labextensions_path(self) -> list[str]:
        """Where the front ends of the widgets are."""
        return get_voila_labextensions_path()

    def start(self) -> None:
        """Listen until stopped; says where, once somebody can come."""
        IOLoop.current().add_callback(lambda: self.announce(invitation(self)))
        super().start()

    def stop(self) -> None:
        """End every kernel and leave nothing in the temporary folder."""
        run_sync(self.kernel_manager.close)()
        shutil.rmtree(self.connection_dir, ignore_errors=True)


class LastingFile(MultiStaticFileHandler):
    """A file of Voilà under an address that changes with its version."""

    def set_extra_headers(self, path: str) -> None:
        """A browser may keep it."""
        self.set_header("Cache-Control", "public, max-age=31536000, immutable")
        self.set_header("X-Content-Type-Options", "nosniff")


class LibraryFile(FileFindHandler):
    """A file of a widget library; its hash is in its name or it is asked for again."""

    def set_extra_headers(self, path: str) -> None:
        """A browser may keep what carries a hash."""
        is_hashed = re.search(r"\.[0-9a-f]{16,}\.js$", path)
        self.set_header("Cache-Control", "public, max-age=31536000, immutable" if is_hashed else "no-cache")
        self.set_header("X-Content-Type-Options", "nosniff")


def _log_request(handler: Any) -> None:
    """One line a request, without its query: a token or a person's filter belongs into no log."""
    status, request = handler.get_status(), handler.request
    if status >= 400:
        LOG.warning("%d %s %s from %s", status, request.method, request.path, request.remote_ip)


def open_log(file: Path, *loggers: logging.Logger) -> None:
    """Everything that viewers are not told goes here, with references; readable for the server's owner only."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.close(descriptor)
    handler = RotatingFileHandler(file, maxBytes=_LOG_BYTES, backupCount=_LOGS_KEPT, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
    LOG.setLevel(logging.INFO)
    logging.getLogger("tornado").setLevel(logging.WARNING)


def invitation(server: DashboardServer) -> str:
    """Where to go, with the token where that is the way in."""
    host = f"[{server.ip}]" if ":" in server.ip else server.ip
    token = f"?token={server.identity_provider.token}" if isinstance(server.identity_provider, TokenIdentity) else ""
    return f"http://{host}:{server.port}{server.base_url}{token}"


def serve(serving: Serving, say: Callable[[str], None]) -> None:
    """Serve until stopped (Ctrl-C or SIGTERM)."""
    serving = as_hub_says(serving)
    server = DashboardServer(serving, lambda address: say(f"dashboards of {company}: {address}"))
    open_log(server.site.log_file, LOG, server.log, logging.getLogger("tornado"))
    server.initialize([])
    settings = server.site.settings()
    company = settings.company
    if not serving.is_local and not settings.users and not settings.groups:
        say("warning: sop.yaml names no users, so everybody who signs in may approve; see docs/serving.md")
    server.start()
