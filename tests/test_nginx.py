"""Dashboards behind a real nginx under a path prefix, with the configuration of docs/examples: HTTP, websocket, and who is named."""

from __future__ import annotations

import base64
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import Served, dashboards, free_port, small_workspace
from tornado.httpclient import HTTPClientError
from web_viewer import WebPage, WebViewer, run

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
EXAMPLE = Path(__file__).parent.parent / "docs" / "examples" / "nginx.conf"
pytestmark = pytest.mark.skipif(not Path(NGINX).exists(), reason="nginx is missing: install Debian's package `nginx-light`")
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
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:open".encode()).decode()}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Served]]:
    folder = tmp_path_factory.mktemp("nginx")
    with dashboards(small_workspace(folder / "w"), "/sop/", trust_header="X-Forwarded-User", token="BETWEEN-US") as server:
        port = free_port()
        site = EXAMPLE.read_text(encoding="utf-8")
        changes = {"127.0.0.1:8080": f"127.0.0.1:{port}", "127.0.0.1:8866": f"127.0.0.1:{server.port}",
                   "/etc/nginx/sop.htpasswd": f"{folder}/people"}  # fmt: skip
        for said, here in changes.items():
            assert said in site
            site = site.replace(said, here)
        (folder / "site.conf").write_text(site, encoding="utf-8")
        (folder / "people").write_text("vic:{PLAIN}open\nhelga:{PLAIN}open\n", encoding="utf-8")
        (folder / "people").chmod(0o644)
        folder.chmod(0o755)
        (folder / "nginx.conf").write_text(_AROUND.format(folder=folder), encoding="utf-8")
        user = ["-g", "user root;"] if folder.owner() == "root" else []
        command = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log"), *user]
        process = subprocess.Popen(command)
        try:
            wait_for(f"http://127.0.0.1:{port}/sop/health", folder)
            yield f"http://127.0.0.1:{port}/sop/", server
        finally:
            process.terminate()
            process.wait(timeout=10)


def wait_for(address: str, folder: Path) -> None:
    """Until nginx answers."""
    for _ in range(100):
        try:
            urllib.request.urlopen(urllib.request.Request(address, headers=signed("vic")), timeout=2).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError((folder / "error.log").read_text())


def told(page: WebPage, name: str) -> str:
    return page.html.split(f"<p data-name='{name}'>")[1].split("</p>")[0]


def test_a_page_and_its_slider_work_under_the_prefix(served: tuple[str, Served]) -> None:
    async def use() -> None:
        page = await WebViewer(served[0], signed("vic")).open("probe", "cycle=2027-01")
        assert (told(page, "user"), told(page, "SOP_BASE_URL")) == ("vic", "/sop/")
        await page.set(page.model("IntSliderModel"), value=21)
        assert page.model("LabelModel", value="doubled 42")
        assert (await page.close()).code == 204

    run(use())


def test_who_is_named_is_nginxs_word_alone(served: tuple[str, Served]) -> None:
    async def use() -> None:
        assert (await WebViewer(served[0]).ask("")).code == 401
        forged = {**signed("vic"), "X-Forwarded-User": "helga", "X-Forwarded-Groups": "board", "X-Proxy-Token": "guess"}
        page = await WebViewer(served[0], forged).open("probe")
        assert (told(page, "user"), told(page, "SOP_VIEWER_GROUPS")) == ("vic", "")
        await page.press(page.model("ButtonModel", description="Approve"))
        assert any("vic is a viewer" in str(held.get("value")) for held in page.states.values())
        with pytest.raises(HTTPClientError, match="403"):
            await page.dial(headers={"Origin": "https://evil.example"})
        await page.close()
        direct = WebViewer(served[1].base, {"X-Forwarded-User": "helga"})
        assert (await direct.ask("")).code == 403, "past nginx nobody knows the token"

    run(use())
