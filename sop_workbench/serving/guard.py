"""What a browser may say to a kernel and hear from it: widgets, and nothing else.

A dashboard's browser moves sliders and presses buttons; that is comm messages. It never runs code, so nobody's may: not a
viewer's and not a planner's, because a page is the same for both and a stolen session would be worth as much as a shell. Who
wants to run code has JupyterLab. What passes is written anew from what was understood, so no second reading of the same bytes
can mean something else. What the kernel answers passes without sources, tracebacks and warnings.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Mapping
from typing import Any

from jupyter_server.services.kernels.connection.base import deserialize_binary_message, deserialize_msg_from_ws_v1
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection

from sop_workbench.errors import SopError

LOG = logging.getLogger("sop.dashboards")
_MOST_PARTS = 64
_HEADER, _PARENT, _METADATA, _CONTENT = range(4)
# The widgets' manager asks for the state of all widgets over this one; a comm of kind jupyter.widget would make new widgets in
# the kernel, of any registered class and with any values, which only the page's own code may do.
OPENED_BY_BROWSER = ("jupyter.widget.control",)
_FIELDS: dict[str, tuple[str, ...]] = {
    "kernel_info_request": (),
    "comm_info_request": ("target_name",),
    "comm_open": ("comm_id", "target_name", "data"),
    "comm_msg": ("comm_id", "data"),
    "comm_close": ("comm_id", "data"),
}
HEARD_BY_BROWSER = frozenset({
    "status", "kernel_info_reply", "comm_info_reply", "comm_open", "comm_msg", "comm_close", "display_data", "update_display_data",
    "execute_result", "clear_output", "stream", "error", "shutdown_reply",
})


class RefusedMessageError(SopError):
    """A browser said to a kernel what no dashboard says."""


def admitted(channel: str | None, message: Mapping[str, Any]) -> dict[str, Any]:
    """The message as it may go on to the kernel, made of its known parts only.

    Parameters
    ----------
    channel : str or None
        What the browser named; None counts as shell.
    message : mapping
        `header`, `parent_header`, `metadata`, `content` as the browser sent them.

    Raises
    ------
    RefusedMessageError
        When the kind of message, its channel, its target or its form is not one that widgets need.

    Examples
    --------
    >>> admitted("shell", {"header": {"msg_type": "execute_request", "msg_id": "1"}, "content": {"code": "1"}})
    Traceback (most recent call last):
    ...
    sop_workbench.serving.guard.RefusedMessageError: execute_request is closed to browsers
    >>> moved = {"header": {"msg_type": "comm_msg", "msg_id": "1"}, "content": {"comm_id": "s", "data": {"x": 1}, "code": "1"}}
    >>> admitted("shell", moved)["content"]
    {'comm_id': 's', 'data': {'x': 1}}
    """
    header, content = message.get("header"), message.get("content")
    if not isinstance(header, Mapping) or not isinstance(content, Mapping):
        raise RefusedMessageError("a message without header or content")
    kind = header.get("msg_type")
    if not isinstance(kind, str) or kind not in _FIELDS:
        raise RefusedMessageError(f"{str(kind)[:40]} is closed to browsers")
    if channel not in (None, "shell") and not (channel == "control" and kind == "kernel_info_request"):
        raise RefusedMessageError(f"{kind} on the channel {str(channel)[:20]}")
    if kind == "comm_open" and content.get("target_name") not in OPENED_BY_BROWSER:
        raise RefusedMessageError(f"a comm to {str(content.get('target_name'))[:40]} is opened by the page, not by a browser")
    kept = {name: content[name] for name in _FIELDS[kind] if name in content}
    said = {name: header[name] for name in ("msg_id", "session", "date", "version") if isinstance(header.get(name), str)}
    parent, described = message.get("parent_header"), message.get("metadata")
    version = described.get("version") if isinstance(described, Mapping) else None  # of the widgets' protocol, asked for at comm_open
    return {"header": {**said, "msg_type": kind, "username": "viewer"}, "parent_header": parent if isinstance(parent, Mapping) else {},
            "metadata": {"version": version} if isinstance(version, str) else {}, "content": kept}


def disclosed(kind: str, content: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a browser hears of a kernel's message: None where nothing, an error as a reference into the log.

    Examples
    --------
    >>> disclosed("execute_input", {"code": "secret = 1"}) is None
    True
    >>> disclosed("stream", {"name": "stderr", "text": "/srv/plan.py:3: Warning"}) is None
    True
    """
    if kind not in HEARD_BY_BROWSER or (kind == "stream" and content.get("name") == "stderr"):
        return None
    if kind == "error":
        reference = new_reference()
        LOG.error("reference %s: %s", reference, "\n".join(content.get("traceback", [])))
        return {"ename": "Error", "evalue": f"Something went wrong (reference {reference})", "traceback": []}
    return dict(content)


def new_reference() -> str:
    """A short name for a fault, shown to the viewer and written to the log.

    Examples
    --------
    >>> len(new_reference())
    8
    """
    return secrets.token_hex(4)


def _require_few_parts(raw: bytes, *, is_v1: bool) -> None:
    """The number of parts comes first and is believed by the parsers: a large one would take all memory."""
    count = int.from_bytes(raw[:8], "little") if is_v1 else int.from_bytes(raw[:4], "big", signed=True)
    if not 1 <= count <= _MOST_PARTS:
        raise RefusedMessageError(f"a message of {count} parts")


class GuardedConnection(ZMQChannelsWebsocketConnection):
    """The line between a browser and a kernel, with both directions filtered."""

    def handle_incoming_message(self, incoming_msg: Any) -> None:
        """Pass on what is admitted; log and drop the rest."""
        if not self.channels:
            return
        try:
            channel, message, buffers = self._read(incoming_msg)
            passed = admitted(channel, message)
        except RefusedMessageError as refusal:
            self.log.warning("refused %s: %s", getattr(self.websocket_handler.current_user, "username", "?"), refusal)
            return
        except Exception as fault:  # whatever a stranger's bytes do to the parsers of three libraries, the server goes on
            self.log.warning("refused a message that cannot be read (%s)", type(fault).__name__)
            return
        stream = self.channels["shell" if channel is None else channel]
        self.session.send(stream, passed, buffers=buffers)

    def _read(self, raw: Any) -> tuple[str | None, dict[str, Any], list[Any]]:
        if isinstance(raw, bytes):
            _require_few_parts(raw, is_v1=self.subprotocol == "v1.kernel.websocket.jupyter.org")
        if self.subprotocol == "v1.kernel.websocket.jupyter.org":
            channel, parts = deserialize_msg_from_ws_v1(raw)
            names = ("header", "parent_header", "metadata", "content")
            message = {name: json.loads(bytes(part)) for name, part in zip(names, parts[:4], strict=True)}
            return channel, message, list(parts[4:])
        message = deserialize_binary_message(raw) if isinstance(raw, bytes) else json.loads(raw)
        return message.get("channel"), message, list(message.get("buffers") or [])

    def handle_outgoing_message(self, stream: Any, outgoing_msg: list[Any]) -> None:
        """Pass on what a browser may hear."""
        _, parts = self.session.feed_identities(outgoing_msg)
        kind = self.session.unpack(parts[1 + _HEADER])["msg_type"]
        if kind in ("stream", "error") or kind not in HEARD_BY_BROWSER:
            content = disclosed(kind, self.session.unpack(parts[1 + _CONTENT]))
            if content is None:
                return
            outgoing_msg = self._written_anew(parts, content)
        super().handle_outgoing_message(stream, outgoing_msg)

    def _written_anew(self, parts: list[Any], content: dict[str, Any]) -> list[Any]:
        message = [self.session.unpack(parts[1 + number]) for number in (_HEADER, _PARENT, _METADATA)]
        body = dict(zip(("header", "parent_header", "metadata"), message, strict=True))
        return self.session.serialize({**body, "content": content})
