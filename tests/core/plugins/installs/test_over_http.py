"""Installing from the page: a real server, real requests, and who is refused."""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from typing import Any

import pytest

pytestmark = pytest.mark.slow


class Client:
    """A browser or a program: keeps cookies, sends what headers it is told to."""

    def __init__(self, url: str, **headers: str) -> None:
        self.url = url
        self._open = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(CookieJar())
        ).open
        self._headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def ask(self, path: str, body: Any = None) -> tuple[int, Any]:
        """Status, and the JSON or text of the answer."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json", **self._headers})
        try:
            with self._open(request, timeout=60) as answer:
                status, text = answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read().decode()
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text

    def changed(self, action: str, *names: str) -> dict[str, Any]:
        """A change that is looked up, agreed to and made."""
        status, work = self.ask("/gesso/installs", {"action": action, "names": list(names)})
        assert status == 202, work
        work = self._until(work["id"], "looking")
        assert work["phase"] == "proposed", work
        assert self.ask(f"/gesso/installs/{work['id']}/apply", {})[0] == 202
        return self._until(work["id"], "changing")

    def _until(self, id_: int, phase: str) -> dict[str, Any]:
        for _ in range(3000):
            work = self.ask(f"/gesso/installs/{id_}")[1]
            if work["phase"] != phase:
                return dict(work)
            time.sleep(0.1)
        raise AssertionError(work)


@pytest.fixture
def links(shop) -> Iterator[tuple[str, str]]:
    """The page's address and the link that signs in, as the terminal of a running `gesso ui` shows them."""
    process = subprocess.Popen(
        [str(shop.python), "-P", "-m", "gesso", "ui", "--no-browser", "--port", "0"],
        env=shop.environment(), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    said = [process.stdout.readline(), process.stdout.readline()]
    yield tuple(re.search(r"http://\S+", line)[0] for line in said)  # type: ignore[index, misc]
    process.terminate()
    process.communicate(timeout=60)


def test_the_page_installs_for_who_has_signed_in_on_this_machine_alone(shop, links):
    url, link = links
    asked = {"action": "install", "names": ["gesso-up==1.0"]}
    before = shop.files()

    stranger, key = Client(url), link.partition("key=")[2]
    status, answer = stranger.ask("/gesso/installs", asked)
    assert (status, "has not signed in" in str(answer)) == (403, True)
    assert stranger.ask("/gesso/sign-in?key=guessed")[0] == 403
    passed_on = Client(url, X_Forwarded_For="203.0.113.7", Authorization=f"Bearer {key}")
    status, answer = passed_on.ask("/gesso/installs", asked)
    assert (status, "another machine" in str(answer)) == (403, True)
    assert shop.files() == before

    browser = Client(url)
    assert browser.ask(link.removeprefix(url))[0] == 200
    work = browser.changed("install", "gesso-up==1.0")
    assert work["phase"] == "done", work
    assert [row["name"] for row in work["proposal"]["changes"]] == ["gesso-up", "tinydep"]
    assert shop.states()["up"]["next_start"] == "enabled", "the host that runs says when it comes"
    assert stranger.ask(f"/gesso/installs/{work['id']}/apply", {})[0] == 403
    assert browser.ask(f"/gesso/installs/{work['id']}/apply", {})[0] == 409, "once is enough"

    program = Client(url, Authorization=f"Bearer {key}")
    status, work = program.ask("/gesso/installs", {"action": "install", "names": ["gesso-torch"]})
    refused = program._until(work["id"], "looking")
    assert (refused["phase"], "torch" in refused["error"]) == ("failed", True)
    assert program.changed("uninstall", "gesso-up")["phase"] == "done"
    assert shop.states() == {}
    assert [change["what"] for change in program.ask("/gesso/installs")[1]] == [
        "install gesso-up==1.0", "uninstall gesso-up",
    ]  # fmt: skip
