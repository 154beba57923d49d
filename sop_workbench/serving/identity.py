"""Who looks at a dashboard: the holder of a token, a user with a password, the user a proxy or JupyterHub names.

One identity provider for each way. All of them give a :class:`Viewer`, whose name and groups the page's kernel is told; the store
then allows or refuses by role, as it does for the command line.
"""

from __future__ import annotations

import getpass
import hashlib
import hmac
import ipaddress
import json
import os
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from jupyter_server.auth.identity import IdentityProvider, User
from jupyter_server.auth.security import passwd, passwd_check
from tornado import web
from traitlets import Any as AnyTrait
from traitlets import Unicode

from sop_workbench.errors import SettingsError
from sop_workbench.roles import ORDER, Role
from sop_workbench.settings import SETTINGS_FILE, USERS_FILE, load_settings

PASSWORDS_FILE = "passwords.yaml"
GUEST = "guest"
_SIGNED_IN_DAYS = 1.0
_MIN_PASSWORD = 8
_FAILURES, _FAILURE_SECONDS = 5, 60.0


@dataclass
class Viewer(User):
    """A person in front of a page, with the groups that may give a role."""

    groups: tuple[str, ...] = ()


class ViewerIdentity(IdentityProvider):
    """What all ways of signing in share: a signed cookie for a day, bound to where the name came from."""

    #: Whether there is a form to sign in with.
    form_fields: tuple[str, ...] = ()

    @property
    def auth_enabled(self) -> bool:
        """Nobody is let in unnamed."""
        return True

    @property
    def login_available(self) -> bool:
        """The server has its own pages to sign in and out."""
        return False

    @property
    def logout_available(self) -> bool:
        """See `login_available`."""
        return False

    async def get_user(self, handler: web.RequestHandler) -> Viewer | None:
        """The viewer of a request, None where nobody has signed in."""
        known = getattr(handler, "_jupyter_current_user", None)
        return known or self.named_by_request(handler) or self.named_by_cookie(handler)

    def named_by_request(self, handler: web.RequestHandler) -> Viewer | None:
        """The viewer that the request itself proves; None where it proves nobody."""
        return None

    def named_by_cookie(self, handler: web.RequestHandler) -> Viewer | None:
        """The viewer that signed in before, as long as what he signed in with still holds."""
        raw = handler.get_secure_cookie(self.get_cookie_name(handler), max_age_days=_SIGNED_IN_DAYS)
        if not raw:
            return None
        said = json.loads(raw)
        stamp = self.stamp(said["name"])
        if stamp is None or not hmac.compare_digest(stamp, said["stamp"]):
            return None
        return Viewer(said["name"], groups=tuple(said["groups"]))

    def stamp(self, name: str) -> str | None:
        """What a cookie of this person is bound to, so that it ends with the password or token; None where he may not come in."""
        return None

    def set_login_cookie(self, handler: web.RequestHandler, user: User) -> None:
        """Remember a viewer that has just signed in."""
        said = json.dumps({"name": user.username, "groups": list(getattr(user, "groups", ())), "stamp": self.stamp(user.username)})
        is_https = "https" in (handler.request.protocol, handler.request.headers.get("X-Forwarded-Proto", "").split(",")[0].strip())
        handler.set_secure_cookie(self.get_cookie_name(handler), said, expires_days=_SIGNED_IN_DAYS, httponly=True, samesite="Lax",
                                  secure=is_https, path=handler.settings["base_url"])

    def process_login_form(self, handler: web.RequestHandler) -> Viewer | None:
        """The viewer whom a filled-in form proves."""
        return None


class TokenIdentity(ViewerIdentity):
    """Whoever has the link comes in, all under one name.

    On the machine of the person who started the server that is this person; on a network nobody knows who a link was passed to,
    so it is `guest`, with the role that guest has.
    """

    person = Unicode(GUEST)
    form_fields = ("token",)

    def named_by_request(self, handler: web.RequestHandler) -> Viewer | None:
        """By `?token=` or the header `Authorization: token …`."""
        given = self.get_token(handler)
        return Viewer(self.person) if given and self._fits(given) else None

    def stamp(self, name: str) -> str | None:
        """Hash of the token."""
        return _digest(self.token) if name == self.person else None

    def process_login_form(self, handler: web.RequestHandler) -> Viewer | None:
        """By the field token."""
        return Viewer(self.person) if self._fits(handler.get_body_argument("token", "")) else None

    def _fits(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.token.encode())


class PasswordIdentity(ViewerIdentity):
    """Users of a file with hashed passwords; see :func:`add_user`."""

    file = AnyTrait()
    form_fields = ("name", "password")

    def stamp(self, name: str) -> str | None:
        """Hash of the password's hash: a changed password or a user taken out ends what was signed in with it."""
        stored = read_passwords(self.file).get(name)
        return None if stored is None else _digest(stored)

    def process_login_form(self, handler: web.RequestHandler) -> Viewer | None:
        """By the fields name and password. An unknown name costs as much time as a wrong password."""
        name, password = handler.get_body_argument("name", "").strip(), handler.get_body_argument("password", "", strip=False)
        stored = read_passwords(self.file).get(name)
        fits = passwd_check(stored or _nobody(), password)
        return Viewer(name) if stored is not None and fits else None


class HeaderIdentity(ViewerIdentity):
    """The user whom a reverse proxy that has signed him in names in a header.

    The header counts only from the proxy's own address, and where a token is set only beside it; from anywhere else it is what
    anybody can write into a request. The proxy must overwrite the header on every request.
    """

    user_header = Unicode()
    groups_header = Unicode()
    trusted = AnyTrait(())

    def named_by_request(self, handler: web.RequestHandler) -> Viewer | None:
        """By the header, once, from a trusted address."""
        names = handler.request.headers.get_list(self.user_header)
        if len(names) != 1 or not names[0].strip() or not self._is_proxy(handler):
            return None
        groups = handler.request.headers.get_list(self.groups_header) if self.groups_header else []
        return Viewer(names[0].strip(), groups=tuple(part.strip() for line in groups for part in line.split(",") if part.strip()))

    def _is_proxy(self, handler: web.RequestHandler) -> bool:
        # the address of the socket: with xheaders on, tornado would take the word of X-Forwarded-For for it
        address = getattr(getattr(handler.request.connection, "context", None), "address", None)
        if not isinstance(address, tuple) or not is_trusted(address[0], self.trusted):
            return False
        return not self.token or hmac.compare_digest(handler.request.headers.get("X-Proxy-Token", "").encode(), self.token.encode())


class Throttle:
    """Counts wrong passwords by name and by address, and makes who guesses wait.

    Examples
    --------
    >>> throttle = Throttle()
    >>> [throttle.failed("ann", now=0.0) for _ in range(5)] and throttle.is_closed("ann", now=1.0), throttle.is_closed("ann", now=61.0)
    (True, False)
    """

    def __init__(self) -> None:
        self._failures: dict[str, list[float]] = {}

    def failed(self, *keys: str, now: float | None = None) -> None:
        """Note a failure under each key."""
        moment = time.monotonic() if now is None else now
        self._failures = {key: kept for key, times in self._failures.items() if (kept := _recent(times, moment))}
        for key in keys:
            self._failures.setdefault(key, []).append(moment)

    def is_closed(self, *keys: str, now: float | None = None) -> bool:
        """Tell whether one of the keys has failed too often within a minute."""
        moment = time.monotonic() if now is None else now
        return any(len(_recent(self._failures.get(key, []), moment)) >= _FAILURES for key in keys)


def _recent(times: list[float], moment: float) -> list[float]:
    return [one for one in times if moment - one < _FAILURE_SECONDS]


def add_user(workspace: Path, name: str, password: str, role: Role | None = None, file: Path | None = None) -> Path:
    """Give a person a password for the dashboards, and where one is named a role.

    Passwords are kept hashed (argon2) in `passwords.yaml`, readable for its owner only; the role goes into `users.yaml`, which
    also counts on the command line and in notebooks.

    Raises
    ------
    SettingsError
        When the name or the password cannot be used, or roles stand in `sop.yaml` (a file of people's own making).
    """
    if not name.strip() or name != name.strip() or any(sign in name for sign in ",*\n"):
        raise SettingsError(f"{name!r} cannot be a user's name: no spaces around it, no comma, no *")
    if len(password) < _MIN_PASSWORD:
        raise SettingsError(f"a password needs at least {_MIN_PASSWORD} characters")
    if role is not None:
        _set_role(workspace, name, role)
    file = file or workspace / PASSWORDS_FILE
    _write_private(file, {**(read_passwords(file) if file.exists() else {}), name: passwd(password)})
    return file


def _set_role(workspace: Path, name: str, role: Role) -> None:
    if role not in ORDER:
        raise SettingsError(f"{role} is no role; roles are {', '.join(ORDER)}")
    own = yaml.safe_load((workspace / SETTINGS_FILE).read_text(encoding="utf-8")) or {}
    if "users" in own:
        raise SettingsError(f"roles stand under users in {workspace / SETTINGS_FILE}: write {name}: {role} there, "
                            "then add the user without a role")
    file = workspace / USERS_FILE
    said = (yaml.safe_load(file.read_text(encoding="utf-8")) or {}) if file.exists() else {}
    said["users"] = {**(said.get("users") or {}), name: role}
    file.write_text(yaml.safe_dump(said, sort_keys=True, allow_unicode=True), encoding="utf-8")
    load_settings(workspace)


def read_passwords(file: Path) -> dict[str, str]:
    """Hashed passwords by name.

    Raises
    ------
    SettingsError
        When the file is missing or holds anything but `name: argon2:…` lines.
    """
    try:
        found = yaml.safe_load(Path(file).read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as fault:
        raise SettingsError(f"{file} cannot be read ({type(fault).__name__}); `sop users add NAME` makes it") from fault
    if not isinstance(found, dict) or not all(isinstance(n, str) and str(h).startswith("argon2:") for n, h in found.items()):
        raise SettingsError(f"{file} must hold `name: argon2:…` lines, as `sop users add NAME` writes them")
    return found


def _write_private(file: Path, content: Mapping[str, str]) -> None:
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        yaml.safe_dump(dict(content), out, sort_keys=True, allow_unicode=True)
    partial.replace(file)


_NOBODY: list[str] = []


def _nobody() -> str:
    """A hash that no password fits, made once with the cost of a real one."""
    if not _NOBODY:
        _NOBODY.append(passwd(os.urandom(16).hex()))
    return _NOBODY[0]


def is_trusted(address: str, trusted: Collection[str]) -> bool:
    """Tell whether an address is one of those trusted, or in one of the networks.

    Examples
    --------
    >>> is_trusted("127.0.0.1", ["127.0.0.0/8", "::1"]), is_trusted("10.0.0.9", ["127.0.0.0/8", "10.0.0.8"])
    (True, False)
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    found = getattr(found, "ipv4_mapped", None) or found
    return any(found in ipaddress.ip_network(network, strict=False) for network in trusted)


def starter() -> str:
    """Who started the server."""
    return getpass.getuser()


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()[:32]
