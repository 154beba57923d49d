"""A process that has imported everything and forks a kernel from itself in milliseconds (Linux).

A forked kernel shares the libraries' memory with its siblings and starts with clean state, because the parent has only imported.
The parent stays without threads, opens no sockets of its own and talks to the server over one inherited socket, so nobody else
can ask it for a process. A second inherited pipe is the lifeline: its writing end is in the server alone, so when the server
ends, however it ends, every kernel reads the end of the pipe and ends too.

It also holds the plan of the newest cycle's what-if (`pages.loaded`), because a loaded plan is half of a page's memory and most of the
wait for the first slider. The store is read in a child: the threads that Delta Lake reads with do not survive a fork.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pickle
import random
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from sop_workbench.errors import SopError

# What a kernel itself needs; the modules that the dashboards import come with the call.
KERNEL_MODULES = (
    "ipykernel.kernelapp", "ipykernel.ipkernel", "ipykernel.comm", "ipykernel.debugger", "comm", "ipywidgets", "anywidget",
    "IPython.core.interactiveshell", "IPython.core.completer", "IPython.core.completerlib", "IPython.core.debugger", "IPython.core.logger",
    "IPython.core.oinspect", "IPython.extensions.storemagic", "matplotlib_inline.backend_inline", "zmq.eventloop.zmqstream",
    "tornado.platform.asyncio", "tornado.queues",
    "pyarrow.dataset", "pyarrow.parquet", "pyarrow.pandas_compat", "deltalake.fs",  # Delta Lake imports them at the first read
)
_MESSAGE_BYTES = 1 << 20


def serve(control: socket.socket, lifeline: int, workspace: str, modules: list[str]) -> None:
    """Import, load the plan, say so, and answer every request for a kernel with a process, until the server hangs up."""
    gc.disable()  # what it freed would leave holes in shared pages, and a kernel that fills a hole copies the page
    sys.modules["debugpy"] = None  # type: ignore[assignment]  # kernels of pages are not debugged; it would take each of them 20 MB
    faults = _import(modules)
    _warm()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies: the server watches its kernels itself
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    holder = _Holder(workspace)
    held = holder.renew()
    gc.freeze()  # the collector of a kernel would else write to every page and so end the sharing
    control.sendall(json.dumps({"faults": faults, "threads": len(os.listdir("/proc/self/task")), "plan": held}).encode())
    while message := control.recv(_MESSAGE_BYTES):
        request = json.loads(message)
        if "renew" in request:
            control.sendall(holder.renew().encode())
            continue
        pid = os.fork()
        if pid == 0:
            control.close()
            _become_kernel(request, lifeline)
        watched = os.pidfd_open(pid)
        socket.send_fds(control, [str(pid).encode()], [watched])
        os.close(watched)


def _import(modules: list[str]) -> list[str]:
    """Import what kernels need; what cannot be imported is reported, and missed again by the page that wants it."""
    faults = []
    for name in [*KERNEL_MODULES, *modules]:
        try:
            importlib.import_module(name)
        except Exception as fault:  # one broken page must not take the others with it
            faults.append(f"{name}: {type(fault).__name__} {fault}")
    return faults


def _warm() -> None:
    """Do once what every page would do first: read the declaration of all tables, check a table, describe a chart, write a month."""
    import altair
    import pandas as pd

    from sop_workbench import tables, views, widgets

    for name in tables.all_tables():
        tables.table(name).empty()
    tables.validate("price", tables.table("price").empty())
    rows = pd.DataFrame({"name": ["a"], "value": [1.0]})
    marks = altair.Chart(rows).mark_bar().encode(x=altair.X("name:N"), y=altair.Y("value:Q"), tooltip=[altair.Tooltip("name:N")])
    altair.layer(marks, marks.mark_text().encode(text=altair.Text("value:Q"))).to_dict()
    views.period_labels(pd.Series(pd.to_datetime(["2026-10-01"])))  # the rules of all languages: 10 MB
    widgets.library_text()  # bundles and keeps it where nobody has yet


class _Holder:
    """Keeps the plan of the workspace's newest cycle loaded."""

    def __init__(self, workspace: str) -> None:
        self._workspace, self._stand = workspace, ""

    def renew(self) -> str:
        """Load the plan anew if the store holds another one by now; says what is held, or why nothing is."""
        from sop_workbench.pages import loaded

        stand, situation, words = self._looked_up()
        if situation is None and stand == self._stand:
            return words
        gc.unfreeze()
        loaded.let_go()
        gc.collect()
        self._stand = stand
        if situation is not None:
            try:
                loaded.hold(stand, situation)
            except SopError as fault:  # the page that is opened says it in full
                loaded.let_go()
                words = f"none: {str(fault).splitlines()[0]}"
        gc.collect()
        gc.freeze()
        return words

    def _looked_up(self) -> tuple[str, Any, str]:
        """What the plan is made of, the tables where they differ from those held, and words; found out by a child."""
        reading, writing = os.pipe()
        if os.fork() == 0:
            os.close(reading)
            try:
                with os.fdopen(writing, "wb") as out:
                    pickle.dump(self._looked(), out, protocol=pickle.HIGHEST_PROTOCOL)
            finally:
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as said:
            try:
                return pickle.load(said)  # from our own child, over a pipe nobody else has
            except (EOFError, pickle.UnpicklingError):
                return self._stand, None, "none: the process that reads the tables ended"

    def _looked(self) -> tuple[str, Any, str]:
        from sop_workbench import reviews
        from sop_workbench.pages import loaded
        from sop_workbench.store import open_workspace

        try:
            cycle = open_workspace(self._workspace).cycle("")
            stand = loaded.stand_of(cycle)
            return stand, None if stand == self._stand else reviews.what_if_situation(cycle), f"cycle {cycle.id}"
        except SopError as fault:
            return "", None, f"none: {str(fault).splitlines()[0]}"
        except Exception as fault:  # the server runs without a plan held; the page that is opened meets the fault and says it
            return "", None, f"none: {type(fault).__name__} {fault}"


def _become_kernel(request: dict[str, Any], lifeline: int) -> None:
    """Turn this fork into the kernel that was asked for; never returns."""
    gc.enable()
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)
    threading.Thread(target=_end_with_server, args=(lifeline,), daemon=True).start()
    _reseed()
    status = 1
    try:
        _run_kernel(request["options"])
        status = 0
    except SystemExit as ending:
        status = ending.code if isinstance(ending.code, int) else 1
    finally:
        os._exit(status)  # never back into the loop of the parent


def _run_kernel(options: dict[str, dict[str, Any]]) -> None:
    from ipykernel.kernelapp import IPKernelApp
    from traitlets.config import Config

    kernel = IPKernelApp.instance(config=Config(options))
    kernel.parse_command_line = lambda argv=None: None  # type: ignore[method-assign]  # it has none; finding that out takes 7 MB
    with _no_list_of_modules():
        kernel.initialize([])
    # Importing ipywidgets registers its comms with the kernel that is there; when it was imported there was none.
    import ipywidgets

    ipywidgets.register_comm_target()
    kernel.start()


@contextmanager
def _no_list_of_modules() -> Iterator[None]:
    """Spare a kernel the lists of all modules that it makes for a debugger and for `%reset`, which pages do not have.

    What is looked at is written to (references are counted), so that its memory becomes the kernel's own: 15 MB for these lists.
    """
    from ipykernel import ipkernel
    from IPython.core import shellapp

    without = SimpleNamespace(**{**vars(sys), "modules": {}})
    shellapp.sys = ipkernel.sys = without  # type: ignore[assignment]
    try:
        yield
    finally:
        shellapp.sys = ipkernel.sys = sys


def _end_with_server(lifeline: int) -> None:
    os.read(lifeline, 1)
    os._exit(1)


def _reseed() -> None:
    """A fork inherits the random state of its parent; two viewers must not draw the same ids."""
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()


def main() -> None:
    """Start from the command line: descriptor of the socket, descriptor of the lifeline, workspace, modules."""
    control, lifeline, workspace, *modules = sys.argv[1:]
    serve(socket.socket(fileno=int(control)), int(lifeline), workspace, modules)


if __name__ == "__main__":
    main()
