"""A real nginx before a server of dashboards, with the configuration of docs/examples."""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from serving import Served, free_port
from waiting import wait_until_it_answers

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
IS_THERE = pytest.mark.skipif(not Path(NGINX).exists(), reason="nginx is missing: install Debian's package `nginx-light`")
PREFIX, HEADER, TOKEN, PASSWORD = "/sop/", "X-Forwarded-User", "BETWEEN-US", "open"
_EXAMPLE = Path(__file__).parent.parent / "docs" / "examples" / "nginx.conf"
_AROUND = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


def signed(name: str) -> dict[str, str]:
    """What a browser sends after a person typed name and password."""
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{PASSWORD}".encode()).decode()}


@contextmanager
def behind_nginx(served: Served, folder: Path) -> Iterator[str]:
    """The address at which nginx, who knows vic, ann and helga, serves what is served under the prefix; its files lie in a folder."""
    port = free_port()
    site = _EXAMPLE.read_text(encoding="utf-8")
    changes = {"127.0.0.1:8080": f"127.0.0.1:{port}", "127.0.0.1:8866": f"127.0.0.1:{served.port}",
               "/etc/nginx/sop.htpasswd": f"{folder}/people"}  # fmt: skip
    for said, here in changes.items():
        assert said in site
        site = site.replace(said, here)
    (folder / "site.conf").write_text(site, encoding="utf-8")
    (folder / "people").write_text("".join(f"{name}:{{PLAIN}}{PASSWORD}\n" for name in ("vic", "ann", "helga")), encoding="utf-8")
    (folder / "people").chmod(0o644)
    folder.chmod(0o755)
    (folder / "nginx.conf").write_text(_AROUND.format(folder=folder), encoding="utf-8")
    user = ["-g", "user root;"] if folder.owner() == "root" else []
    process = subprocess.Popen([NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log"), *user])
    try:
        wait_until_it_answers(f"http://127.0.0.1:{port}{PREFIX}health", process, folder / "error.log", 10, signed("vic"))
        yield f"http://127.0.0.1:{port}{PREFIX}"
    finally:
        process.terminate()
        process.wait(timeout=10)
