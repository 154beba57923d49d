"""Dashboards over HTTP: who gets in, what a page is told, what a browser may say, and that nothing stays behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from serving import PASSWORD, PEOPLE, Served, dashboards, running, small_workspace
from tornado.httpclient import HTTPClientError
from web_viewer import WebPage, WebViewer, run

from sop_workbench.serving.identity import add_user
from sop_workbench.store import open_workspace

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="counts processes in /proc")
CLOSED = [
    "api", "api/kernels", "api/kernels/", "api/sessions", "api/contents", "api/contents/sop.yaml", "api/terminals", "api/kernelspecs",
    "api/me", "api/config/x", "api/nbconvert", "terminals/websocket/1", "terminals/1", "files/sop.yaml", "view/sop.yaml", "tree", "lab",
    "edit/sop.yaml", "nbconvert/html/dashboards/probe.ipynb", "notebooks/dashboards/probe.ipynb", "static/../sop.yaml", "metrics",
    "voila/files/sop.yaml", "voila/files/dashboards/probe.ipynb", "voila/render/dashboards/probe.ipynb", "voila/render/probe.ipynb",
    "voila/tree", "voila/api/contents", "voila/api/contents/sop.yaml", "voila/query/x", "voila/execution/x", "voila/api/themes/x",
    "voila/templates/lab/static/index.css", "voila/templates/../../sop.yaml", "probe.ipynb", "../probe", "%2e%2e/probe", "probe/",
    "probe%00", "dashboards/probe", "sop.yaml", "passwords.yaml", "dashboards.log", "store/", "executive_review/../../sop.yaml", "..",
    "voila/static/0.5.13/../../../../etc/passwd", "voila/static/0.5.13/%2e%2e/%2e%2e/conf.json", "voila/static/../conf.json",
    "voila/labextensions/@jupyter-widgets/jupyterlab-manager/package.json", "voila/labextensions/@pyviz/x/static/y.js",
    "voila/labextensions/anywidget/static/../package.json", "voila/labextensions/anywidget/static/%2e%2e/package.json",
]
TRICKS = [
    "cycle=../../x", "cycle=..%2F..%2Fx", "cycle=%2e%2e", "cycle=2027-01%2F..%2F..", "cycle=/etc/passwd", "cycle=2027-01%00",
    "cycle=2099-01",
    "cycle=2027-01&cycle=2099-01", "scenario=../base", "scenario=base%2Fx", "scenario=a%5Cb", "scenario=base;x", "family=..%2F..%2Fetc",
    "family=%252e%252e", "family=a%0Ab", "workspace=/tmp/../other", "cycle=2027-01&notebook=../../other.ipynb", "a" * 3000, "%2e%2e=1",
    "family=" + "x" * 500, "family=%ff%00",
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server under a path prefix whose people have passwords."""
    workspace = small_workspace(tmp_path_factory.mktemp("serving") / "w")
    for name in [*PEOPLE, "stranger"]:
        add_user(workspace, name, PASSWORD)
    with dashboards(workspace, users=str(workspace / "passwords.yaml")) as one:
        yield one


def told(page: WebPage, name: str) -> str:
    """What the probe shows of a variable."""
    return page.html.split(f"<p data-name='{name}'>")[1].split("</p>")[0]


async def signed_in(served: Served, name: str) -> WebViewer:
    viewer = WebViewer(served.base)
    answer = await viewer.sign_in(name=name, password=PASSWORD)
    assert (answer.code, answer.headers["Location"]) == (302, "/plan/")
    return viewer


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 15.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if await holds():
            return True
        await asyncio.sleep(0.1)
    return False


def all_ended(pids: set[int], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while running(pids) and time.monotonic() < end:
        time.sleep(0.05)
    return not running(pids)


async def open_pages(viewer: WebViewer) -> int:
    return json.loads((await viewer.ask("health")).body)["kernels"]


# ------------------------------------------------------------------ who gets in


def test_without_sign_in_there_is_a_form_and_the_health_address(served: Served) -> None:
    async def look() -> None:
        nobody = WebViewer(served.base)
        for path in ("", "probe", "probe?cycle=2027-01"):
            answer = await nobody.ask(path)
            assert answer.code == 302
            assert answer.headers["Location"].startswith("/plan/login?next=")
        for path in ("api/kernels/" + "0" * 8 + "-0000-0000-0000-" + "0" * 12,):
            assert (await nobody.ask(path)).code in (302, 403)
        form = (await nobody.ask("login")).body.decode()
        assert "Small &lt;&amp;&gt; Co" in form
        assert 'autocomplete="current-password"' in form
        health = await nobody.ask("health")
        assert set(json.loads(health.body)) == {"ok", "version", "workspace", "kernels"}
        assert str(served.workspace) not in health.body.decode()
        assert "Small" not in health.body.decode()

    run(look())


def test_a_password_lets_in_and_a_wrong_one_does_not_say_what_is_wrong(served: Served) -> None:
    async def try_all() -> None:
        await signed_in(served, "vic")
        answers = [await WebViewer(served.base).sign_in(name=name, password="guess it") for name in ("vic", "nobody at all")]
        assert [answer.code for answer in answers] == [401, 401]
        assert answers[0].body.decode().count("That does not fit") == answers[1].body.decode().count("That does not fit") == 1
        unforged = await WebViewer(served.base).ask("login", "POST", f"name=vic&password={PASSWORD.replace(' ', '+')}")
        assert unforged.code == 403, "a form of another site has no xsrf token"
        viewer = WebViewer(served.base)
        await viewer.ask("login")
        viewer.cookies["username-127-0-0-1"] = "forged"
        assert (await viewer.ask("probe")).code == 302

    run(try_all())


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example/plan/", "/other/", "/plan\\..\\x", "javascript:alert(1)"])
def test_signing_in_never_leads_to_another_site(served: Served, elsewhere: str) -> None:
    async def follow() -> str:
        viewer = await signed_in(served, "vic")
        from urllib.parse import quote

        return (await viewer.ask(f"login?next={quote(elsewhere)}")).headers["Location"]

    assert run(follow()) == "/plan/"


def test_the_landing_page_lists_dashboards_with_cycles_and_role(served: Served) -> None:
    async def look() -> str:
        return (await (await signed_in(served, "vic")).ask("")).body.decode()

    page = run(look())
    assert 'href="/plan/probe?cycle=2027-01"' in page
    assert "vic (viewer)" in page
    assert "A page for tests of serving" in page


def test_headers_close_the_page_to_other_sites(served: Served) -> None:
    async def look() -> tuple:
        viewer = await signed_in(served, "vic")
        first, second = await viewer.ask(""), await viewer.ask("")
        return first.headers, second.headers, await viewer.sign_in(name="vic", password=PASSWORD)

    first, second, login = run(look())
    policy = first["Content-Security-Policy"]
    for rule in ("default-src 'none'", "connect-src 'self'", "frame-ancestors 'self'", "form-action 'self'", "base-uri 'none'"):
        assert rule in policy
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]
    assert policy != second["Content-Security-Policy"], "a nonce is used once"
    assert (first["X-Content-Type-Options"], first["Referrer-Policy"], first["Cache-Control"]) == ("nosniff", "same-origin", "no-store")
    (cookie,) = [line for line in login.headers.get_list("Set-Cookie") if line.startswith("username-")]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Path=/plan/" in cookie


# ------------------------------------------------------------------ a page


def test_a_page_is_told_who_looks_at_what_and_answers_its_slider(served: Served) -> None:
    async def use() -> None:
        viewer = await signed_in(served, "vic")
        page = await viewer.open("probe", "cycle=2027-01&scenario=base&SOP_VIEWER=helga")
        assert told(page, "user") == told(page, "SOP_VIEWER") == "vic"
        assert told(page, "SOP_VIEWER_GROUPS") == ""
        assert told(page, "QUERY_STRING") == "cycle=2027-01&scenario=base&SOP_VIEWER=helga"
        assert told(page, "SOP_WORKSPACE") == str(served.workspace)
        assert told(page, "SOP_BASE_URL") == "/plan/"
        assert told(page, "secret") == "none"
        await page.set(page.model("IntSliderModel"), value=21)
        assert page.states[page.model("LabelModel", value="doubled 42")]
        assert "IntSlider(" not in page.html.split("<body")[1].split("application/vnd.voila")[0]
        assert "observe" not in page.html, "sources stay on the server"
        assert (await page.close()).code == 204

    run(use())


def test_two_pages_share_nothing(served: Served) -> None:
    async def use() -> None:
        viewer, other = await signed_in(served, "vic"), await signed_in(served, "ann")
        pages = [await viewer.open("probe"), await viewer.open("probe"), await other.open("probe")]
        assert len({page.kernel_id for page in pages}) == 3
        await pages[0].set(pages[0].model("IntSliderModel"), value=7)
        await pages[1].set(pages[1].model("IntSliderModel"), value=8)
        assert pages[0].states[pages[0].model("IntSliderModel")]["value"] == 7
        assert not set(pages[0].states) & set(pages[1].states), "two forks do not draw the same ids"
        assert [told(page, "user") for page in pages] == ["vic", "vic", "ann"]
        for page in pages:
            await page.close()

    run(use())


def test_a_closed_tab_leaves_no_kernel_even_when_it_could_not_say_goodbye(served: Served) -> None:
    async def use() -> None:
        viewer = await signed_in(served, "vic")
        before = served.family()
        polite, cut = await viewer.open("probe"), await viewer.open("probe")
        never = (await viewer.ask("probe")).code
        assert never == 200
        assert await open_pages(viewer) == 3
        await polite.close()
        assert await open_pages(viewer) == 2
        cut.line.close()

        async def is_empty() -> bool:
            return await open_pages(viewer) == 0

        assert await until(is_empty)

        async def is_alone() -> bool:
            return not running(served.family() - before)

        assert await until(is_alone)

    run(use())


def test_a_reader_who_leaves_while_the_page_is_made_leaves_no_kernel(served: Served) -> None:
    async def use() -> None:
        viewer = await signed_in(served, "vic")
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        cookies = "; ".join(f"{name}={value}" for name, value in viewer.cookies.items())
        writer.write(f"GET /plan/probe HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nCookie: {cookies}\r\n\r\n".encode())
        await writer.drain()
        await reader.read(200)
        writer.close()

        async def is_empty() -> bool:
            return await open_pages(viewer) == 0

        assert await until(is_empty)

    run(use())


def test_a_fault_is_told_in_words_and_logged_with_its_reference(served: Served) -> None:
    async def use() -> None:
        viewer = await signed_in(served, "vic")
        page = (await viewer.ask("broken")).body.decode()
        assert "before" in page
        assert "after" not in page.split("</head>")[1].split("site-ended")[0]
        assert "could not be finished" in page
        for leak in ("Traceback", "ValueError", "secret folder", "site-packages", "a warning with a path", str(served.workspace)):
            assert leak not in page, leak
        reference = page.split('site-reference">')[1].split("<")[0]
        assert f"reference {reference}" in served.log
        assert "the secret folder is" in served.log
        explained = (await viewer.ask("explained")).body.decode()
        assert "supply_plan" in explained
        assert str(served.workspace) not in explained

    run(use())


def test_a_fault_in_a_button_shows_no_traceback(served: Served) -> None:
    async def use() -> None:
        page = await (await signed_in(served, "vic")).open("probe")
        await page.press(page.model("ButtonModel", description="Fail"))
        heard = json.dumps(page.heard, default=str)
        assert "ZeroDivisionError" not in heard
        assert "execute_input" not in heard
        await page.set(page.model("IntSliderModel"), value=3)
        assert page.model("LabelModel", value="doubled 6")
        await page.close()

    run(use())


# ------------------------------------------------------------------ what is closed


@pytest.mark.parametrize("who", ["vic", "helga"])
def test_nothing_but_the_dashboards_is_served(served: Served, who: str) -> None:
    async def knock() -> dict[str, int]:
        viewer = await signed_in(served, who)
        return {path: (await viewer.ask(path)).code for path in CLOSED}

    answers = run(knock())
    assert {path: code for path, code in answers.items() if code != 404} == {}


def test_no_kernel_session_terminal_or_file_can_be_made(served: Served) -> None:
    async def knock() -> list[int]:
        viewer = await signed_in(served, "helga")

        async def is_empty() -> bool:
            return await open_pages(viewer) == 0

        assert await until(is_empty), "pages of the tests before have ended"
        body = json.dumps({"name": "python3", "path": "x.ipynb", "type": "notebook"})
        sent = {"X-XSRFToken": viewer.cookies["_xsrf"], "Content-Type": "application/json"}
        paths = ["api/kernels", "api/sessions", "api/contents", "api/contents/x.py", "api/terminals", "probe", "", "health"]
        answers = [(await viewer.ask(path, method, body, sent)).code for path in paths for method in ("POST", "PUT", "PATCH", "DELETE")]
        assert await open_pages(viewer) == 0
        return answers

    assert set(run(knock())) <= {404, 405}


@pytest.mark.parametrize("query", TRICKS)
def test_path_tricks_in_the_query_are_refused_before_a_kernel_starts(served: Served, query: str) -> None:
    async def ask() -> tuple[int, str, int]:
        viewer = await signed_in(served, "vic")
        before = await open_pages(viewer)
        answer = await viewer.ask(f"probe?{query}")
        return answer.code, answer.body.decode(), await open_pages(viewer) - before

    code, body, started = run(ask())
    assert (code, started) == (400, 0)
    assert "cannot be opened" in body
    assert str(served.workspace) not in body


def test_code_does_not_run_whatever_the_browser_sends(served: Served, tmp_path: Path) -> None:
    victim = tmp_path / "ran"
    code = f"open({str(victim)!r}, 'w').close()"
    execute = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False, "stop_on_error": True}
    said = [
        ("execute_request", execute, "shell"), ("execute_request", execute, "control"), ("execute_request", execute, None),
        ("execute_request", execute, "stdin"), ("execute_request", execute, "iopub"), ("Execute_Request", execute, "shell"),
        ("complete_request", {"code": "op", "cursor_pos": 2}, "shell"), ("inspect_request", {"code": "open", "cursor_pos": 4}, "shell"),
        ("history_request", {"hist_access_type": "tail", "n": 9}, "shell"), ("is_complete_request", {"code": code}, "shell"),
        ("debug_request", {"type": "request", "command": "evaluate", "arguments": {"expression": code}}, "control"),
        ("input_reply", {"value": code}, "stdin"), ("interrupt_request", {}, "control"),
        ("shutdown_request", {"restart": False}, "control"),
        ("create_subshell_request", {}, "control"), ("usage_request", {}, "control"),
        ("comm_open", {"comm_id": "x", "target_name": "jupyter.widget", "data": {"state": {"_model_name": "ButtonModel"}}}, "shell"),
        ("comm_open", {"comm_id": "y", "target_name": "os", "target_module": "os", "data": {}}, "shell"),
    ]

    async def try_all() -> None:
        for who in ("vic", "ann", "helga"):
            page = await (await signed_in(served, who)).open("probe")
            for kind, content, channel in said:
                await page.send(kind, content, channel)
            twice = json.dumps({"header": {"msg_type": "comm_msg", "msg_id": "1"}, "content": execute, "channel": "shell"})
            await page.line.write_message(twice.replace('"msg_type": "comm_msg"', '"msg_type": "comm_msg", "msg_type": "execute_request"'))
            for broken in ("", "[]", "{}", '{"header": 1}', b"\x00", b"\xff" * 64, b"\x7f\xff\xff\xff"):
                await page.line.write_message(broken, binary=isinstance(broken, bytes))
            await page.set(page.model("IntSliderModel"), value=5)
            answers = {message["header"]["msg_type"] for message in page.heard}
            assert answers <= {"status", "comm_msg", "comm_open", "kernel_info_reply", "comm_info_reply", "iopub_welcome"}
            assert page.model("LabelModel", value="doubled 10"), "the page is still alive"
            await page.close()

    run(try_all())
    assert not victim.exists()
    assert "execute_request is closed to browsers" in served.log


def test_the_newer_wire_format_is_guarded_alike(served: Served, tmp_path: Path) -> None:
    from jupyter_server.services.kernels.connection.base import serialize_msg_to_ws_v1

    victim = tmp_path / "ran"

    async def try_it() -> None:
        viewer = await signed_in(served, "helga")
        page = await viewer.open("probe")
        page.session = "v1"
        line = await page.dial(subprotocols=["v1.kernel.websocket.jupyter.org"])
        assert line.selected_subprotocol == "v1.kernel.websocket.jupyter.org"

        def packed(kind: str, content: dict, channel: str) -> bytes:
            header = {"msg_type": kind, "msg_id": kind, "session": "v1", "username": "", "version": "5.3"}
            parts = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
            return serialize_msg_to_ws_v1(parts, channel, lambda part: json.dumps(part).encode())

        for channel in ("shell", "control"):
            execute = {"code": f"open({str(victim)!r}, 'w')", "silent": True}
            await line.write_message(packed("execute_request", execute, channel), binary=True)
        for bomb in (b"\xff" * 8, (2**40).to_bytes(8, "little") + b"x", b"\x00" * 8):
            await line.write_message(bomb, binary=True)
        slider = page.model("IntSliderModel")
        moved = {"comm_id": slider, "data": {"method": "update", "state": {"value": 4}, "buffer_paths": []}}
        await line.write_message(packed("comm_msg", moved, "shell"), binary=True)
        while not any(held.get("value") == "doubled 8" for held in page.states.values()):
            await page.listen(10)
        line.close()
        await page.close()

    run(try_it())
    assert not victim.exists()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # tornado's client forgets the socket of a refused handshake
def test_another_viewers_kernel_is_not_there(served: Served) -> None:
    async def try_it() -> None:
        owner, other = await signed_in(served, "helga"), await signed_in(served, "vic")
        page = await owner.open("probe")
        sent = {"X-XSRFToken": other.cookies["_xsrf"]}
        address = f"api/kernels/{page.kernel_id}"
        assert (await owner.ask(address)).code == 200
        assert (await other.ask(address, headers={"Referer": other.base})).code == 404
        assert (await other.ask(address, "DELETE", headers=sent)).code == 404
        assert (await other.ask(f"voila/api/shutdown/{page.kernel_id}", "POST", "", sent)).code == 404
        own = await other.open("probe")
        with pytest.raises(HTTPClientError, match="404"):
            await own.dial(page.kernel_id)
        stolen = WebViewer(served.base)
        with pytest.raises(HTTPClientError, match="403"):
            await WebPage(stolen, page.html, 0.0).dial()
        with pytest.raises(HTTPClientError, match="403"):
            await page.dial(headers={"Origin": "https://evil.example"})
        await page.set(page.model("IntSliderModel"), value=1)
        await own.close()
        await page.close()

    run(try_it())


def test_a_forged_approval_is_refused_and_an_approvers_is_written_in_his_name(served: Served) -> None:
    async def press(who: str, signed: str, **headers: str) -> str:
        viewer = await signed_in(served, who)
        viewer.headers = headers
        page = await viewer.open("probe", "cycle=2027-01")
        button, name = page.model("ButtonModel", description="Approve"), page.model("TextModel")
        await page.set(button, disabled=False)
        await page.set(name, value=signed)
        await page.press(button)
        (result,) = [held["value"] for held in page.states.values() if str(held.get("value", "")).startswith(("refused", "recorded"))]
        await page.close()
        return result

    async def try_all() -> None:
        assert "vic is a viewer" in await press("vic", "vic")
        assert "vic is a viewer" in await press("vic", "helga")
        assert "vic is a viewer" in await press("vic", "helga", **{"X-Forwarded-User": "helga", "X-Forwarded-Groups": "board"})
        assert "stranger is a viewer" in await press("stranger", "helga")
        assert "ann is a planner" in await press("ann", "ann")
        assert "sign as helga" in await press("helga", "somebody else")
        assert cycle.records("decision").empty
        assert await press("helga", "helga") == "recorded by helga"

    cycle = open_workspace(served.workspace).cycle("2027-01")
    run(try_all())
    decisions = cycle.records("decision")
    assert (list(decisions["by"]), list(decisions["choice"])) == (["helga"], ["yes"])
    assert set(cycle.store.history("decision")["user"]) == {"helga"}


def test_a_changed_password_ends_the_sessions_that_rest_on_it(served: Served) -> None:
    async def try_it() -> None:
        viewer = await signed_in(served, "stranger")
        assert (await viewer.ask("")).code == 200
        add_user(served.workspace, "stranger", "quite another one")
        assert (await viewer.ask("")).code == 302
        add_user(served.workspace, "stranger", PASSWORD)

    run(try_it())


def test_signing_out_ends_ones_pages(served: Served) -> None:
    async def try_it() -> None:
        viewer, other = await signed_in(served, "vic"), await signed_in(served, "ann")
        await viewer.open("probe")
        kept = await other.open("probe")
        assert (await viewer.ask("logout", "POST", f"_xsrf={viewer.cookies['_xsrf']}")).code == 302
        assert await open_pages(other) == 1
        assert (await viewer.ask("probe")).code == 302
        await kept.close()

    run(try_it())


def test_the_log_is_private_and_names_no_secret(served: Served) -> None:
    assert (served.workspace / "dashboards.log").stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in served.log
    assert "not for pages" not in served.log


# last: it shuts this address out for a minute
def test_who_guesses_passwords_has_to_wait(served: Served) -> None:
    async def guess() -> list[int]:
        viewer = WebViewer(served.base)
        answers = [(await viewer.sign_in(name="vic", password=f"guess {number}")).code for number in range(6)]
        return [*answers, (await viewer.sign_in(name="vic", password=PASSWORD)).code]

    answers = run(guess())
    assert set(answers[:-2]) <= {401, 429}
    assert answers[-2:] == [429, 429], "not even with the right one"


# ------------------------------------------------------------------ other ways in, and the end


def test_the_header_of_a_trusted_proxy_names_the_viewer_and_the_groups(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path / "w")

    async def try_it(served: Served) -> None:
        proxied = WebViewer(served.base, {"X-Forwarded-User": "olga", "X-Forwarded-Groups": "staff, board"})
        page = await proxied.open("probe")
        assert (told(page, "user"), told(page, "SOP_VIEWER_GROUPS")) == ("olga", "staff,board")
        button = page.model("ButtonModel", description="Approve")
        await page.press(button)
        assert page.model("LabelModel", value="recorded by olga"), "by the group's role"
        await page.close()
        assert (await WebViewer(served.base).ask("")).code == 403
        assert (await WebViewer(served.base, {"X-Forwarded-User": " "}).ask("")).code == 403
        assert (await WebViewer(served.base).ask("login")).code == 403

    with dashboards(workspace, trust_header="X-Forwarded-User", groups_header="X-Forwarded-Groups") as served:
        run(try_it(served))
        family = served.family()
    assert all_ended(family), "a stopped server leaves no process"


def test_a_killed_server_takes_its_kernels_along(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path / "w", users={}, groups={})
    with dashboards(workspace, "/", token="a token for tests") as served:

        async def open_one() -> None:
            viewer = WebViewer(served.base)
            answer = await viewer.ask("?token=a+token+for+tests")
            assert (answer.code, answer.headers["Location"]) == (302, "/"), "the token leaves the address bar"
            assert "a token" not in json.dumps(viewer.cookies)
            page = await viewer.open("probe")
            assert told(page, "user") == os.environ.get("USER", told(page, "user"))

        run(open_one())
        family = served.family()
        assert len(family) == 3
        os.kill(served.process.pid, signal.SIGKILL)
        assert all_ended(family - {served.process.pid})


@pytest.mark.slow
def test_where_nothing_forks_kernels_come_preheated(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path / "w")

    async def try_it(served: Served) -> None:
        viewer = WebViewer(served.base, {"X-Forwarded-User": "vic"})
        page = await viewer.open("probe", "cycle=2027-01")
        assert (told(page, "user"), told(page, "QUERY_STRING")) == ("vic", "cycle=2027-01")
        assert told(page, "SOP_WORKSPACE") == str(served.workspace)
        await page.set(page.model("IntSliderModel"), value=21)
        assert page.model("LabelModel", value="doubled 42")
        assert await open_pages(viewer) == 1
        await page.close()

    with dashboards(workspace, trust_header="X-Forwarded-User", fork="no") as served:
        run(try_it(served))
        family = served.family()
    assert all_ended(family)


def test_a_dead_forking_process_is_started_again(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path / "w")

    async def open_probe(served: Served) -> str:
        page = await WebViewer(served.base, {"X-Forwarded-User": "vic"}).open("probe")
        await page.close()
        return told(page, "user")

    with dashboards(workspace, trust_header="X-Forwarded-User") as served:
        (forking,) = served.family() - {served.process.pid}
        assert run(open_probe(served)) == "vic"
        os.kill(forking, signal.SIGKILL)
        assert run(open_probe(served)) == "vic"


def test_a_kernel_that_dies_is_not_started_again_and_its_page_is_over(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path / "w")

    async def die(served: Served) -> None:
        viewer = WebViewer(served.base, {"X-Forwarded-User": "vic"})
        before = served.family()
        pages = [await viewer.open("probe") for _ in range(3)]
        for died in (dying := served.family() - before):
            os.kill(died, signal.SIGKILL)
        started: set[int] = set()

        async def are_over() -> bool:
            started.update(served.family() - before - dying)
            return {(await viewer.ask(f"api/kernels/{page.kernel_id}")).code for page in pages} == {404}

        assert await until(are_over)
        assert started == set(), "a kernel of its own would answer nothing that this page asked"

    with dashboards(workspace, trust_header="X-Forwarded-User", patience="60") as served:
        run(die(served))
