"""What serving rests on, piece by piece: sign-in files, who is trusted, what passes to a kernel, which pages there are, the hub."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from serving import PASSWORD, small_workspace
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler
from web_viewer import WebViewer, run

from sop_workbench import cli, roles
from sop_workbench.errors import SettingsError
from sop_workbench.serving import guard, identity, server, site
from sop_workbench.serving.server import Serving, as_hub_says, identity_of
from sop_workbench.settings import load_settings


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return small_workspace(tmp_path / "w")


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JUPYTERHUB_API_TOKEN", "JUPYTERHUB_SERVICE_PREFIX", "JUPYTERHUB_SERVICE_URL", "SOP_DASHBOARDS_TOKEN"):
        monkeypatch.delenv(name, raising=False)


# ------------------------------------------------------------------ the person at work


def test_the_viewer_goes_before_the_hubs_and_the_systems_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_USER", "ann")
    monkeypatch.setenv("JUPYTERHUB_GROUPS", "planning")
    assert (roles.current_user(), roles.current_groups()) == ("ann", {"planning"})
    monkeypatch.setenv("SOP_VIEWER", "vic")
    monkeypatch.setenv("SOP_VIEWER_GROUPS", "")
    assert (roles.current_user(), roles.current_groups()) == ("vic", set()), "the hub's groups are another person's"
    monkeypatch.setenv("SOP_VIEWER_GROUPS", "board, staff")
    assert roles.current_groups() == {"board", "staff"}


# ------------------------------------------------------------------ passwords


def test_users_are_added_with_a_hash_a_role_and_closed_rights(tmp_path: Path) -> None:
    folder = small_workspace(tmp_path / "w", users={}, groups={})
    content = yaml.safe_load((folder / "sop.yaml").read_text())
    (folder / "sop.yaml").write_text(yaml.safe_dump({k: v for k, v in content.items() if k not in ("users", "groups")}))
    command = ["users", "add", "helga", "--workspace", str(folder), "--role", "approver", "--password", PASSWORD]
    done = CliRunner().invoke(cli.main, command)
    assert done.exit_code == 0, done.output
    file = folder / "passwords.yaml"
    assert file.stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in file.read_text()
    assert identity.read_passwords(file)["helga"].startswith("argon2:$argon2id$")
    assert load_settings(folder).users == {"helga": "approver"}
    identity.add_user(folder, "vic", PASSWORD, "viewer")
    assert set(identity.read_passwords(file)) == {"helga", "vic"}
    assert load_settings(folder).users == {"helga": "approver", "vic": "viewer"}


@pytest.mark.parametrize(
    ("name", "password", "role", "says"),
    [("vic", "short", None, "at least 8"), (" vic", PASSWORD, None, "cannot be a user's name"), ("*", PASSWORD, None, "cannot be"),
     ("a,b", PASSWORD, None, "no comma"), ("vic", PASSWORD, "viewer", "stand under users in")],
)
def test_a_user_that_cannot_be_is_refused_and_nothing_written(workspace: Path, name: str, password: str, role, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        identity.add_user(workspace, name, password, role)
    assert not (workspace / "passwords.yaml").exists()


@pytest.mark.parametrize("content", ["- a", "vic: plain text", "vic: 5", "{", "1: argon2:x"])
def test_a_file_of_passwords_that_is_none_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "passwords.yaml"
    file.write_text(content)
    with pytest.raises(SettingsError, match=r"passwords\.yaml"):
        identity.read_passwords(file)


# ------------------------------------------------------------------ ways in


def test_two_ways_in_and_a_header_believed_from_anywhere_are_refused(workspace: Path) -> None:
    with pytest.raises(SettingsError, match="two ways"):
        identity_of(Serving(workspace, users=workspace / "passwords.yaml", trust_header="X-User"))
    with pytest.raises(SettingsError, match="--trust-address"):
        identity_of(Serving(workspace, ip="0.0.0.0", trust_header="X-User"))
    with pytest.raises(SettingsError, match="neither an address nor a network"):
        identity_of(Serving(workspace, ip="0.0.0.0", trust_header="X-User", trust_addresses=("proxy",)))
    with pytest.raises(SettingsError, match="cannot be read"):
        identity_of(Serving(workspace, users=workspace / "missing.yaml"))


def test_a_link_is_its_starters_on_this_machine_and_a_guests_on_a_network(workspace: Path) -> None:
    here, there = (identity_of(Serving(workspace, ip=ip))() for ip in ("127.0.0.1", "0.0.0.0"))
    assert (here.person, there.person) == (identity.starter(), "guest")
    assert len(here.token) >= 32
    assert here.token != there.token


def test_passwords_of_the_workspace_are_used_without_being_named(workspace: Path) -> None:
    identity.add_user(workspace, "vic", PASSWORD)
    assert isinstance(identity_of(Serving(workspace))(), identity.PasswordIdentity)
    assert isinstance(identity_of(Serving(workspace, token="told"))(), identity.TokenIdentity)


@contextmanager
def answering(workspace: Path, **options) -> Iterator[str]:
    """The server's pages in this process, without kernels."""
    served = server.DashboardServer(Serving(workspace, fork=False, **options), lambda _: None)
    served.initialize([])
    served.connection_dir = str(workspace)
    server.PageKernels.warm_up, warm_up = (lambda self: None), server.PageKernels.warm_up
    try:
        settings = served.init_settings()
    finally:
        server.PageKernels.warm_up = warm_up
    application = Application(**settings)
    application.add_handlers(".*$", served.init_handlers())
    socket, port = bind_unused_port()
    http = HTTPServer(application)
    http.add_socket(socket)
    try:
        yield f"http://127.0.0.1:{port}{served.base_url}"
    finally:
        http.stop()
        served.kernel_manager._scratch.cleanup()


def codes(workspace: Path, *headers: dict, **options) -> list[int]:
    async def ask() -> list[int]:
        with answering(workspace, **options) as base:
            return [(await WebViewer(base).ask("", headers=one)).code for one in headers]

    return run(ask())


def test_a_header_counts_only_from_the_proxy_only_once_and_only_where_asked_for(workspace: Path) -> None:
    named = {"X-Forwarded-User": "helga"}
    assert codes(workspace, {}, named, {"X-Forwarded-User": ""}, trust_header="X-Forwarded-User") == [403, 200, 403]
    assert codes(workspace, named, {"Remote-User": "helga"}, token="told") == [302, 302], "trust is off"
    elsewhere = {"trust_header": "X-Forwarded-User", "trust_addresses": ("10.1.2.3",)}
    assert codes(workspace, named, {**named, "X-Forwarded-For": "10.1.2.3"}, {**named, "X-Real-IP": "10.1.2.3"}, **elsewhere) == [403] * 3
    secret = {"trust_header": "X-Forwarded-User", "token": "between us"}
    tokens = [{**named, "X-Proxy-Token": said} for said in ("guess", "between us")]
    assert codes(workspace, named, *tokens, **secret) == [403, 403, 200]


def test_a_header_given_twice_names_nobody(workspace: Path) -> None:
    async def ask() -> bytes:
        with answering(workspace, trust_header="X-Forwarded-User") as base:
            reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(base).port)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-User: vic\r\nX-Forwarded-User: helga\r\nConnection: close\r\n\r\n")
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
            return answer

    assert run(ask()).startswith(b"HTTP/1.1 403")


def test_a_token_comes_by_link_header_or_form_and_leaves_the_address(workspace: Path) -> None:
    async def ask() -> None:
        with answering(workspace, token="told to you", base_url="plan") as base:
            assert base.endswith("/plan/")
            link = WebViewer(base)
            moved = await link.ask("?cycle=2027-01&token=told+to+you")
            assert (moved.code, moved.headers["Location"]) == (302, "/plan/?cycle=2027-01")
            assert (await link.ask("")).code == 200
            assert (await WebViewer(base).ask("", headers={"Authorization": "token told to you"})).code == 200
            form = WebViewer(base)
            assert (await form.sign_in(token="told to you")).code == 302
            assert (await form.ask("")).code == 200
            for wrong in ("", "told", "told to you ", "TOLD TO YOU"):
                assert (await WebViewer(base).ask(f"?token={wrong.replace(' ', '+')}")).code == 302
                assert (await WebViewer(base).ask("")).headers["Location"].startswith("/plan/login")

    run(ask())


# ------------------------------------------------------------------ JupyterHub


def test_the_hubs_environment_says_address_port_path_and_way_in(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("jupyterhub")
    assert as_hub_says(Serving(workspace)) == Serving(workspace)
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "from the hub")
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/services/planning/")
    monkeypatch.setenv("JUPYTERHUB_SERVICE_URL", "http://127.0.0.1:8877")
    told = as_hub_says(Serving(workspace))
    assert (told.ip, told.port, told.base_url) == ("127.0.0.1", 8877, "/services/planning/")
    from sop_workbench.serving.hub import HubIdentity

    assert identity_of(told) is HubIdentity


class _Hub(RequestHandler):
    """As much of a hub as signing in takes: gives a token for a code, tells whose a token is."""

    people = {"code-helga": ("helga", ["board"], ["access:services!service=planning"]), "code-eve": ("eve", [], [])}

    def get(self, what: str) -> None:
        token = self.request.headers.get("Authorization", "").partition(" ")[2]
        if what == "user" and token in self.people:
            name, groups, scopes = self.people[token]
            self.finish({"kind": "user", "name": name, "groups": groups, "scopes": scopes, "admin": False, "session_id": "s"})
        else:
            self.set_status(404)

    def post(self, what: str) -> None:
        if what != "oauth2/token" or self.get_body_argument("client_secret", "from the hub") != "from the hub":
            self.set_status(403)
            return
        self.finish({"access_token": self.get_body_argument("code"), "token_type": "Bearer"})


def test_a_viewer_signs_in_at_the_hub_and_one_the_hub_keeps_out_stays_out(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("jupyterhub")

    async def sign_in(base: str, code: str) -> tuple[WebViewer, int, str]:
        viewer = WebViewer(base)
        sent = await viewer.ask("")
        asked = parse_qs(urlsplit(sent.headers["Location"]).query)
        assert sent.code == 302
        assert urlsplit(sent.headers["Location"]).path == "/hub/api/oauth2/authorize"
        assert asked["client_id"] == ["service-planning"]
        back = await viewer.ask(f"oauth_callback?code={code}&state={asked['state'][0]}")
        assert back.code == 302
        answer = await viewer.ask("")
        return viewer, answer.code, answer.body.decode()

    async def try_it() -> None:
        socket, port = bind_unused_port()
        hub = HTTPServer(Application([(r"/hub/api/(.*)", _Hub)]))
        hub.add_socket(socket)
        environment = {
            "JUPYTERHUB_API_TOKEN": "from the hub", "JUPYTERHUB_API_URL": f"http://127.0.0.1:{port}/hub/api", "JUPYTERHUB_BASE_URL": "/",
            "JUPYTERHUB_SERVICE_PREFIX": "/services/planning/", "JUPYTERHUB_SERVICE_NAME": "planning", "JUPYTERHUB_HOST": "",
            "JUPYTERHUB_CLIENT_ID": "service-planning", "JUPYTERHUB_OAUTH_CALLBACK_URL": "/services/planning/oauth_callback",
            "JUPYTERHUB_OAUTH_ACCESS_SCOPES": json.dumps(["access:services!service=planning"]),
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with answering(workspace, base_url="/services/planning/") as base:
            _, code, page = await sign_in(base, "code-helga")
            assert code == 200
            assert "helga (approver)" in page
            _, code, page = await sign_in(base, "code-eve")
            assert code == 403
            forged = WebViewer(base, {"X-Forwarded-User": "helga"})
            assert (await forged.ask("")).code == 302
            forged.cookies["service-planning"] = base64.b64encode(b"code-helga").decode()
            assert (await forged.ask("")).code == 302
        hub.stop()

    run(try_it())


# ------------------------------------------------------------------ what passes to a kernel


@pytest.mark.parametrize("kind", ["execute_request", "complete_request", "input_reply", "shutdown_request", "", None, 5, [], {}])
def test_only_what_widgets_say_is_admitted(kind: object) -> None:
    with pytest.raises(guard.RefusedMessageError):
        guard.admitted("shell", {"header": {"msg_type": kind, "msg_id": "1"}, "content": {"code": "1"}})


def test_what_is_admitted_is_made_of_known_parts() -> None:
    header = {"msg_type": "comm_open", "msg_id": "1", "session": "s", "username": "root", "extra": 1}
    content = {"comm_id": "c", "target_name": "jupyter.widget.control", "target_module": "os", "data": {"a": 1}}
    passed = guard.admitted(None, {"header": header, "metadata": {"version": "1.0.0", "x": 1}, "content": content, "parent_header": []})
    assert passed == {
        "header": {"msg_type": "comm_open", "msg_id": "1", "session": "s", "username": "viewer"}, "parent_header": {},
        "metadata": {"version": "1.0.0"}, "content": {"comm_id": "c", "target_name": "jupyter.widget.control", "data": {"a": 1}},
    }
    for channel in ("control", "stdin", "iopub", "hb", ""):
        with pytest.raises(guard.RefusedMessageError, match="on the channel"):
            guard.admitted(channel, {"header": {**header, "msg_type": "comm_msg"}, "content": {"comm_id": "c", "data": {}}})


_PARTS = st.sampled_from(["header", "content", "metadata"])
_NAMES = st.sampled_from(["header", "content", "msg_type", "code", "data", "comm_id"]) | st.text(max_size=5)
_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["comm_msg", "comm_open", "execute_request"]) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4),
)


@given(channel=st.sampled_from([None, "shell", "control", "stdin", "x"]), message=st.dictionaries(_PARTS, _ANY))
def test_whatever_is_sent_is_refused_or_one_of_five_kinds(channel: str | None, message: dict) -> None:
    try:
        passed = guard.admitted(channel, message)
    except guard.RefusedMessageError:
        return
    assert passed["header"]["msg_type"] in {"kernel_info_request", "comm_info_request", "comm_open", "comm_msg", "comm_close"}
    assert "code" not in passed["content"]


def test_an_error_is_heard_as_a_reference_and_logged_whole(caplog: pytest.LogCaptureFixture) -> None:
    heard = guard.disclosed("error", {"ename": "KeyError", "evalue": "/srv/secret", "traceback": ["/srv/secret.py line 3"]})
    assert heard["traceback"] == []
    assert "secret" not in json.dumps(heard)
    reference = heard["evalue"].split("reference ")[1].rstrip(")")
    assert f"reference {reference}: /srv/secret.py line 3" in caplog.text


# ------------------------------------------------------------------ the site


def test_a_workspaces_own_dashboard_goes_before_and_others_are_beside(workspace: Path) -> None:
    found = site.Site(workspace).dashboards()
    assert found["probe"].path == workspace / "dashboards" / "probe.ipynb"
    assert found["probe"].title == "Probe"
    assert {path.stem for path in site.DASHBOARDS.glob("*.ipynb")} <= set(found)


def test_what_a_dashboard_imports_is_imported_ahead(workspace: Path) -> None:
    modules = site.Site(workspace, folders=(workspace / "dashboards",)).modules()
    assert {"ipywidgets", "sop_workbench.roles", "sop_workbench.store"} <= set(modules)
    assert "sop_workbench.errors.SopError" not in modules


def test_stored_outputs_are_not_served(workspace: Path) -> None:
    path = workspace / "dashboards" / "probe.ipynb"
    stored = json.loads(path.read_text())
    stored["cells"][1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "old numbers"}]
    path.write_text(json.dumps(stored))
    here = site.Site(workspace)
    assert "old numbers" not in json.dumps(here.notebook(here.dashboards()["probe"]))


def test_health_tells_a_store_that_cannot_be_read_and_not_whose_it_is(workspace: Path) -> None:
    here = site.Site(workspace)
    assert here.health()["ok"] is True
    (workspace / "sop.yaml").write_text("company: [")
    sick = here.health()
    assert (sick["ok"], sick["workspace"]) == (False, "unreadable")
    assert str(workspace) not in json.dumps(sick)


def test_a_query_that_a_page_takes_passes() -> None:
    for query in ("", "cycle=2027-01", "cycle=2027-01&scenario=more+overtime", "scenario=", "family=Grills+%26+smokers%3A+all"):
        site.checked_query(query, ["2027-01"])
