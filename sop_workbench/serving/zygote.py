"""A process that has imported everything and forks a kernel from itself in milliseconds (Linux).

A forked kernel shares the libraries' memory with its siblings and starts with clean state, because the parent has only imported.
The parent stays without threads, opens no sockets of its own and talks to the server over one inherited socket, so nobody else
can ask it for a process. A second inherited pipe is the lifeline: its writing end is in the server alone, so when the server
ends, however it ends, every kernel reads the end of the pipe and ends too.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import random
import signal
import socket
import sys
import threading
from typing import Any

# What a kernel itself needs; the modules that the dashboards import come with the call.
KERNEL_MODULES = (
    "ipykernel.kernelapp", "ipykernel.ipkernel", "ipykernel.comm", "ipykernel.debugger", "comm", "ipywidgets", "anywidget",
    "IPython.core.interactiveshell", "IPython.core.completer", "IPython.core.completerlib", "IPython.core.debugger", "IPython.core.logger",
    "IPython.core.oinspect", "IPython.extensions.storemagic", "matplotlib_inline.backend_inline", "zmq.eventloop.zmqstream",
    "tornado.platform.asyncio", "tornado.queues",
    "pyarrow.dataset", "pyarrow.parquet", "pyarrow.pandas_compat", "deltalake.fs",  # Delta Lake imports them at the first read
)
_MESSAGE_BYTES = 1 << 20


def serve(control: socket.socket, lifeline: int, modules: list[str]) -> None:
    """Import, say so, and answer every request for a kernel with a process, until the server hangs up."""
    gc.disable()  # what it freed would leave holes in shared pages, and a kernel that fills a hole copies the page
    sys.modules["debugpy"] = None  # type: ignore[assignment]  # kernels of pages are not debugged; it would take each of them 20 MB
    faults = _import(modules)
    _warm()
    gc.freeze()  # the collector of a kernel would else write to every page and so end the sharing
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies: the server watches its kernels itself
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control.sendall(json.dumps({"faults": faults, "threads": len(os.listdir("/proc/self/task"))}).encode())
    while request := control.recv(_MESSAGE_BYTES):
        pid = os.fork()
        if pid == 0:
            control.close()
            _become_kernel(json.loads(request), lifeline)
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
    """Do once what every page would do first: read the declaration of all tables, check a table, describe a chart."""
    import altair
    import pandas as pd

    from sop_workbench import tables

    for name in tables.all_tables():
        tables.table(name).empty()
    tables.validate("price", tables.table("price").empty())
    rows = pd.DataFrame({"name": ["a"], "value": [1.0]})
    marks = altair.Chart(rows).mark_bar().encode(x="name:N", y="value:Q", tooltip=["name"])
    altair.layer(marks, marks.mark_text().encode(text="value:Q")).to_dict()


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
        _run_kernel(request["argv"])
        status = 0
    except SystemExit as ending:
        status = ending.code if isinstance(ending.code, int) else 1
    finally:
        os._exit(status)  # never back into the loop of the parent


def _run_kernel(arguments: list[str]) -> None:
    from ipykernel.kernelapp import IPKernelApp

    kernel = IPKernelApp.instance()
    kernel.initialize(arguments)
    # Importing ipywidgets registers its comms with the kernel that is there; when it was imported there was none.
    import ipywidgets

    ipywidgets.register_comm_target()
    kernel.start()


def _end_with_server(lifeline: int) -> None:
    os.read(lifeline, 1)
    os._exit(1)


def _reseed() -> None:
    """A fork inherits the random state of its parent; two viewers must not draw the same ids."""
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()


def main() -> None:
    """Start from the command line: descriptor of the socket, descriptor of the lifeline, modules."""
    control, lifeline, *modules = sys.argv[1:]
    serve(socket.socket(fileno=int(control)), int(lifeline), modules)


if __name__ == "__main__":
    main()
