"""A viewer without a browser: signs in, opens a page, follows its widgets over the websocket, moves a slider, closes the page."""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from collections.abc import Coroutine
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

from jupyter_server.services.kernels.connection.base import deserialize_binary_message
from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse
from tornado.websocket import WebSocketClientConnection, websocket_connect

_CONFIG = re.compile(r'<script id="jupyter-config-data" type="application/json">(.*?)</script>', re.S)


_LINES: list[WebSocketClientConnection] = []
_CLIENTS: list[AsyncHTTPClient] = []


def run(doing: Coroutine[Any, Any, Any]) -> Any:
    """Run to the end and hang up on everything that is still open."""

    async def cleanly() -> Any:
        try:
            return await doing
        finally:
            for line in _LINES:
                line.close()
            for _ in range(50):
                if all(line.protocol is None or line.protocol.client_terminated for line in _LINES):
                    break
                await asyncio.sleep(0.02)
            for client in _CLIENTS:
                client.close()
            _LINES.clear()
            _CLIENTS.clear()

    return asyncio.run(cleanly())


class WebViewer:
    """One person's session with a server at `base` (ends with a slash)."""

    def __init__(self, base: str, headers: dict[str, str] | None = None) -> None:
        self.base, self.headers, self.cookies = base, headers or {}, {}
        self.client = AsyncHTTPClient(force_instance=True, max_body_size=50_000_000, max_clients=100)
        _CLIENTS.append(self.client)

    async def ask(self, path: str, method: str = "GET", body: Any = None, headers: dict[str, str] | None = None) -> HTTPResponse:
        """A request with the session's cookies; redirects are not followed, faults not raised."""
        url = path if path.startswith("http") else self.base + path
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent = {**self.headers, **({"Cookie": cookies} if cookies else {}), **(headers or {})}
        request = HTTPRequest(url, method=method, headers=sent, body=body, follow_redirects=False, request_timeout=120,
                              allow_nonstandard_methods=True)
        answer = await self.client.fetch(request, raise_error=False)
        for line in answer.headers.get_list("Set-Cookie"):
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name] = morsel.value
        return answer

    async def sign_in(self, **fields: str) -> HTTPResponse:
        """Fill in the form."""
        await self.ask("login")
        return await self.ask("login", "POST", urlencode({**fields, "_xsrf": self.cookies.get("_xsrf", "")}))

    async def open(self, name: str, query: str = "") -> WebPage:
        """Open a dashboard and follow its widgets until their state has come."""
        begun = time.monotonic()
        answer = await self.ask(f"{name}?{query}" if query else name)
        assert answer.code == 200, (answer.code, answer.body[:2000])
        page = WebPage(self, answer.body.decode(), begun)
        await page.connect()
        return page


class WebPage:
    """An open page and the line to its kernel."""

    def __init__(self, viewer: WebViewer, html: str, begun: float) -> None:
        self.viewer, self.html, self.begun = viewer, html, begun
        self.html_seconds = time.monotonic() - begun
        self.kernel_id = json.loads(_CONFIG.search(html)[1])["kernelId"]
        self.session = uuid.uuid4().hex
        self.states: dict[str, dict[str, Any]] = {}
        self.heard: list[dict[str, Any]] = []
        self.line: WebSocketClientConnection | None = None

    async def connect(self, **others: Any) -> None:
        """Open the line and ask for all widgets, as the browser's script does."""
        self.line = await self.dial()
        await self.say("kernel_info_request", {})
        control = uuid.uuid4().hex
        opened = {"comm_id": control, "target_name": "jupyter.widget.control", "data": {}}
        await self.send("comm_open", opened, metadata={"version": "1.0.0"})
        await self.send("comm_msg", {"comm_id": control, "data": {"method": "request_states"}})
        while not self.states:
            message = await self.listen()
            data = message["content"].get("data", {})
            if message["header"]["msg_type"] == "comm_msg" and data.get("method") == "update_states":
                self.states = {model: one["state"] for model, one in data["states"].items()}
        self.ready_seconds = time.monotonic() - self.begun

    async def dial(self, kernel_id: str = "", headers: dict[str, str] | None = None, **options: Any) -> WebSocketClientConnection:
        """A websocket to a kernel (one's own when not named)."""
        path = f"api/kernels/{kernel_id or self.kernel_id}/channels?session_id={self.session}"
        address = self.viewer.base.replace("http", "ws", 1) + path
        cookies = "; ".join(f"{name}={value}" for name, value in self.viewer.cookies.items())
        sent = {**self.viewer.headers, "Cookie": cookies, **(headers or {})}
        line = await websocket_connect(HTTPRequest(address, headers=sent, request_timeout=60), max_message_size=100_000_000, **options)
        _LINES.append(line)
        return line

    async def send(self, kind: str, content: dict[str, Any], channel: str | None = "shell", **parts: Any) -> str:
        """Send a message and return its id."""
        number = uuid.uuid4().hex
        header = {"msg_id": number, "msg_type": kind, "session": self.session, "username": "", "version": "5.3"}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": channel, **parts}
        await self.line.write_message(json.dumps(message))
        return number

    async def listen(self, seconds: float = 30.0) -> dict[str, Any]:
        """The next message."""
        raw = await asyncio.wait_for(self.line.read_message(), seconds)
        assert raw is not None, "the server hung up"
        message = deserialize_binary_message(raw) if isinstance(raw, bytes) else json.loads(raw)
        self.heard.append(message)
        data = message["content"].get("data", {})
        if message["header"]["msg_type"] == "comm_msg" and data.get("method") in ("update", "echo_update"):
            self.states.setdefault(message["content"]["comm_id"], {}).update(data["state"])
        return message

    async def say(self, kind: str, content: dict[str, Any]) -> None:
        """Send a message and listen until the kernel is done with it."""
        number = await self.send(kind, content)
        while True:
            message = await self.listen()
            is_answer = message["parent_header"].get("msg_id") == number
            if is_answer and message["header"]["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return

    async def set(self, model: str, **state: Any) -> None:
        """What a widget says when it is moved; returns when the kernel has answered."""
        await self.say("comm_msg", {"comm_id": model, "data": {"method": "update", "state": state, "buffer_paths": []}})

    async def press(self, model: str) -> None:
        """Press a button."""
        await self.say("comm_msg", {"comm_id": model, "data": {"method": "custom", "content": {"event": "click"}}})

    def model(self, kind: str, **state: Any) -> str:
        """The widget of a kind (model name) with this state."""
        (found,) = [one for one, held in self.states.items()
                    if held.get("_model_name") == kind and all(held.get(name) == value for name, value in state.items())]
        return found

    async def close(self) -> HTTPResponse:
        """What the browser sends as its tab closes."""
        body = urlencode({"_xsrf": self.viewer.cookies.get("_xsrf", "")})
        answer = await self.viewer.ask(f"voila/api/shutdown/{self.kernel_id}", "POST", body)
        self.line.close()
        return answer
