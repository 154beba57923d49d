"""Dashboards behind a real nginx under a path prefix: HTTP, websocket, and who is named."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from behind_nginx import HEADER, IS_THERE, PREFIX, TOKEN, behind_nginx, signed
from serving import Served, dashboards, small_workspace
from tornado.httpclient import HTTPClientError
from web_viewer import WebPage, WebViewer, run

pytestmark = IS_THERE


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Served]]:
    folder = tmp_path_factory.mktemp("nginx")
    with (
        dashboards(small_workspace(folder / "w"), PREFIX, trust_header=HEADER, token=TOKEN) as server,
        behind_nginx(server, folder) as address,
    ):
        yield address, server


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
