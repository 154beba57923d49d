"""A kernel per open page: forked from a warm process, or taken from a pool of kernels that have imported already.

Every kernel belongs to the viewer whose page started it. It ends when its page closes, when nobody is connected to it for a
while, when its viewer has been idle for long, and in any case with the server.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner
from jupyter_core.utils import ensure_async
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from tornado import web
from tornado.ioloop import IOLoop
from traitlets import Float, Integer

from sop_workbench.errors import SopError
from sop_workbench.serving.guard import LOG

CAN_FORK = sys.platform == "linux" and hasattr(os, "fork")  # macOS has fork, but its frameworks do not survive it
# A viewer's kernel keeps no history on disk, reads nobody's start-up files and needs no second copy of its output.
KERNEL_OPTIONS: dict[str, dict[str, Any]] = {
    "HistoryManager": {"enabled": False}, "IPKernelApp": {"capture_fd_output": False, "log_level": 50},
    "InteractiveShellApp": {"ignore_cwd": True},
}
# What the server knows and a page must not: a kernel runs a planner's notebooks, but prints what it is told to print.
_SECRETS = ("JUPYTERHUB_API_TOKEN", "JPY_API_TOKEN", "JUPYTER_TOKEN", "SOP_DASHBOARDS_TOKEN", "CONFIGPROXY_AUTH_TOKEN")
_ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
                                        "TOKIO_WORKER_THREADS")}  # the last one is Delta Lake's
# The allocators that Arrow and Delta Lake bring would each start a thread; a process that forks must have none but its own.
# The system's allocator is told to keep few pools and to give large pieces back at once: 14 MB for a kernel with a loaded plan.
_FORKING = {
    "ARROW_DEFAULT_MEMORY_POOL": "system", "ARROW_IO_THREADS": "1", "_RJEM_MALLOC_CONF": "background_thread:false",
    "JE_ARROW_MALLOC_CONF": "background_thread:false", "MALLOC_CONF": "background_thread:false",
    "MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072",
}
_THREADS_KNOWN = 2  # its own, and one that DuckDB starts when imported and makes anew where it is used
_START_SECONDS = 120.0
_RENEW_SECONDS = 15.0
_MESSAGE_BYTES = 1 << 20
_STEP_BACK = 5


class ForkServer:
    """The warm process that kernels are forked from; started when first needed, started again when it died."""

    def __init__(self, modules: Sequence[str], log: Path, workspace: Path) -> None:
        self.modules, self.log, self.workspace = list(modules), log, workspace
        self._renewed = 0.0
        self._lock = threading.Lock()
        self._process: subprocess.Popen | None = None

    def start(self) -> dict[str, Any]:
        """Start the process and wait until it has imported; returns what it could not import and its number of threads."""
        theirs, self._control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)[::-1]
        reading, self._lifeline = os.pipe()
        command = [sys.executable, "-P", "-m", "sop_workbench.serving.zygote", str(theirs.fileno()), str(reading),
                   str(self.workspace), *self.modules]
        with self.log.open("a") as log, theirs:
            self._process = subprocess.Popen(command, pass_fds=(theirs.fileno(), reading), stdin=subprocess.DEVNULL, stdout=log,
                                             stderr=log, env={**os.environ, **_ONE_THREAD, **_FORKING}, start_new_session=True)
        os.close(reading)
        self._control.settimeout(_START_SECONDS)
        ready = self._control.recv(_MESSAGE_BYTES)
        self._renewed = time.monotonic()
        if not ready:
            raise SopError(f"the process that kernels are forked from ended while it started; its reason is in {self.log}")
        return json.loads(ready)

    @property
    def pid(self) -> int | None:
        """Process number, None before the start."""
        return self._process.pid if self._process else None

    def fork(self, request: Mapping[str, Any]) -> ForkedProcess:
        """One more kernel process."""
        with self._lock:
            try:
                return self._ask(request)
            except (OSError, ValueError):  # it died: killed for its memory, say
                self.stop()
                self.start()
                return self._ask(request)

    def renew_plan(self) -> str:
        """Have the plan that pages find loaded made anew where the store holds another by now; says what is held.

        Asked at most every few seconds; nothing is said where nothing was asked.
        """
        if time.monotonic() - self._renewed < _RENEW_SECONDS or self._process is None:
            return ""
        with self._lock:
            self._renewed = time.monotonic()
            try:
                self._control.sendall(b'{"renew": true}')
                return self._control.recv(_MESSAGE_BYTES).decode()
            except OSError:  # it died, or does not answer; the next page starts it again
                self.stop()
                return ""

    def _ask(self, request: Mapping[str, Any]) -> ForkedProcess:
        self._control.sendall(json.dumps(request).encode())
        answer, descriptors, *_ = socket.recv_fds(self._control, 64, 1)
        return ForkedProcess(int(answer), descriptors[0])

    def stop(self) -> None:
        """End the process, and with it every kernel."""
        if self._process is None:
            return
        self._control.close()
        with suppress(OSError):
            os.close(self._lifeline)
        self._process.kill()
        self._process.wait()
        self._process = None


class ForkedProcess:
    """A kernel that is another process's child, watched through its descriptor: its number cannot be mistaken for another's."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int, descriptor: int) -> None:
        self.pid, self._descriptor = pid, descriptor
        self.returncode: int | None = None
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)

    def poll(self) -> int | None:
        """None while it runs, 0 afterwards (its real exit status went to its parent)."""
        if self.returncode is None and self._poll.poll(0):
            self.returncode = 0
            os.close(self._descriptor)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.poll() is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("kernel", timeout or 0)
            time.sleep(0.01)
        return 0

    def send_signal(self, number: int) -> None:
        """Signal the process, if it still runs."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


class ForkProvisioner(LocalProvisioner):
    """Makes a kernel by forking instead of starting Python again."""

    server: ForkServer  # set by PageKernels: jupyter_client makes provisioners itself and hands nothing over
    log_file: Path

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Fork a kernel for the connection file in `cmd`."""
        folder = Path(kwargs.get("cwd") or Path.cwd())
        application = {**KERNEL_OPTIONS["IPKernelApp"], "connection_file": cmd[cmd.index("-f") + 1]}
        request: dict[str, Any] = {"options": {**KERNEL_OPTIONS, "IPKernelApp": application}, "env": dict(kwargs["env"]),
                                   "cwd": str(folder), "log": str(self.log_file)}
        process: Any = await asyncio.get_running_loop().run_in_executor(None, self.server.fork, request)
        self.process, self.pid, self.pgid, self.cwd = process, process.pid, process.pid, folder
        return self.connection_info


class PageKernels(AsyncMappingKernelManager):
    """The kernels of all open pages and whose they are."""

    spare_pages = Integer(2, config=True, help="Kernels kept ready where kernels cannot be forked.")
    grace_seconds = Float(20.0, config=True, help="How long a page's kernel waits for its browser to come back.")
    idle_seconds = Float(7200.0, config=True, help="How long an open page may be left alone.")

    def __init__(self, *, modules: Sequence[str], log_file: Path, workspace: Path, fork: bool = CAN_FORK, **traits: Any) -> None:
        super().__init__(**traits)
        self.owners: dict[str, str] = {}
        self._modules, self._log_file = list(modules), log_file
        self._unconnected_since: dict[str, float] = {}
        self._spare: list[asyncio.Task] = []
        self._scratch = tempfile.TemporaryDirectory(prefix="sop-kernels-")
        # A kernel started again knows nothing of its page, which would wait for ever: one that dies stays dead, and its page says so.
        self.config.KernelManager.autorestart = False
        self.cull_idle_timeout, self.cull_interval = 1, 5  # the base class asks cull_kernel_if_idle this often
        self.fork_server = ForkServer(self._modules, log_file, workspace) if fork else None
        if self.fork_server is not None:
            ForkProvisioner.server, ForkProvisioner.log_file = self.fork_server, log_file
            factory = KernelProvisionerFactory.instance(parent=self.parent)
            factory.provisioners["sop-fork"] = EntryPoint("sop-fork", f"{__name__}:ForkProvisioner", factory.GROUP_NAME)
            factory.default_provisioner_name = "sop-fork"

    def warm_up(self) -> None:
        """Get ready before the first viewer comes: start the forking process, or fill the pool."""
        if self.fork_server is not None:
            ready = self.fork_server.start()
            for fault in ready.get("faults", []):
                self.log.warning("could not import ahead: %s", fault)
            LOG.info("plan loaded ahead: %s", ready.get("plan"))
            if ready.get("threads", 1) > _THREADS_KNOWN:
                self.log.warning("the forking process has %s threads; what they hold is lost in its kernels", ready["threads"])
        else:
            IOLoop.current().add_callback(self._fill_pool)

    def be_patient(self, seconds: float) -> None:
        """Wait this long for a browser that went away."""
        self.grace_seconds, self.cull_interval = seconds, max(1, min(5, round(seconds)))

    async def start_page(self, owner: str, environment: Mapping[str, str], folder: Path) -> tuple[str, bool]:
        """A kernel for a page of this viewer; tells also whether the environment still has to be set in it."""
        if self.fork_server is None and self._spare:
            spare = self._spare.pop(0)
            self._fill_pool()
            kernel_id, is_pooled = await spare, True
        else:
            told = self._environment(environment)
            kernel_id, is_pooled = await self.start_kernel(kernel_name="python3", env=told, cwd=str(folder)), False
        self.owners[kernel_id] = owner
        self._unconnected_since[kernel_id] = time.monotonic()
        if self.fork_server is not None:  # for the pages after this one, which does not wait
            asyncio.get_running_loop().run_in_executor(None, self.fork_server.renew_plan)
        return kernel_id, is_pooled

    def _environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """The server's environment without its secrets, with what the page is told."""
        kept = {name: value for name, value in os.environ.items() if name not in _SECRETS}
        return {**kept, **_ONE_THREAD, "IPYTHONDIR": self._scratch.name, **given}

    def _fill_pool(self) -> None:
        while len(self._spare) < self.spare_pages:
            self._spare.append(asyncio.ensure_future(self._preheat()))

    async def _preheat(self) -> str:
        """Start a kernel and have it import what the pages will."""
        words = [f"--{name}.{option}={value}" for name, options in KERNEL_OPTIONS.items() for option, value in options.items()]
        kernel_id = await self.start_kernel(kernel_name="python3", env=self._environment({}), extra_arguments=words)
        client: Any = self.get_kernel(kernel_id).client()
        client.start_channels()
        try:
            await client.wait_for_ready(timeout=_START_SECONDS)
            code = f"for _name in {self._modules!r}:\n    __import__(_name)\ndel _name"
            await client.execute_interactive(code, silent=True, store_history=False, timeout=_START_SECONDS)
        finally:
            client.stop_channels()
        return kernel_id

    def step_back(self, kernel_id: str) -> None:
        """Let pages that are still made go before this one, which stands: in a crowd everybody sees the first figures sooner."""
        process: Any = getattr(self.get_kernel(kernel_id).provisioner, "pid", None)
        with suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, process, os.getpriority(os.PRIO_PROCESS, 0) + _STEP_BACK)

    def require_owner(self, kernel_id: str, viewer: str) -> None:
        """Refuse everybody but the viewer whose page started the kernel.

        Raises
        ------
        tornado.web.HTTPError
            404 both for another's kernel and for one that is not there: who asks learns nothing.
        """
        if kernel_id not in self or self.owners.get(kernel_id) != viewer:
            raise web.HTTPError(404, "no such page")

    async def end_page(self, kernel_id: str) -> None:
        """End a page's kernel, if it still runs, and hang up on its browser."""
        self.owners.pop(kernel_id, None)
        self._unconnected_since.pop(kernel_id, None)
        for connection in list(ZMQChannelsWebsocketConnection._open_sockets):
            if connection.kernel_id == kernel_id:
                connection.websocket_handler.close(4404, "page ended")
        if kernel_id in self:
            with suppress(KeyError, web.HTTPError):
                await ensure_async(self.shutdown_kernel(kernel_id))

    async def cull_kernel_if_idle(self, kernel_id: str) -> None:
        """End the kernel of a page that is gone: dead, nobody connected for `grace_seconds`, or untouched for `idle_seconds`."""
        if kernel_id not in self.owners:
            return  # waits in the pool
        kernel: Any = self.get_kernel(kernel_id)
        now = time.monotonic()
        is_connected = self._kernel_connections.get(kernel_id, 0) > 0
        is_busy = kernel.execution_state == "busy"
        if is_connected or is_busy:
            self._unconnected_since[kernel_id] = now
        idle = (datetime.now(UTC) - kernel.last_activity).total_seconds()
        gone = now - self._unconnected_since.setdefault(kernel_id, now)
        if gone > self.grace_seconds or (idle > self.idle_seconds and not is_busy) or not await ensure_async(kernel.is_alive()):
            self.log.info("page %s ended: nobody there for %.0f s, untouched for %.0f s", kernel_id, gone, idle)
            await self.end_page(kernel_id)

    async def close(self) -> None:
        """End everything."""
        for spare in self._spare:
            spare.cancel()  # one cut off in its start ends by itself: plain kernels watch for the end of their parent
        await asyncio.gather(*self._spare, return_exceptions=True)
        await ensure_async(self.shutdown_all(now=True))
        if self.fork_server is not None:
            self.fork_server.stop()
        self._scratch.cleanup()
