"""What stands in front of the routes, as a browser, curl and a stranger meet it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from runbus.config.sources import read_sources
from runbus.dashboard.app import protected
from runbus.dashboard.errors import register
from runbus.dashboard.security.attempts import MOST
from runbus.dashboard.security.headers import SECURITY_HEADERS
from runbus.dashboard.settings import DashboardSettings
from runbus.dashboard.static import PageFiles

TOKEN = "correct-horse-battery"
BEARER = {"authorization": f"Bearer {TOKEN}"}
NAVIGATES = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}

Site = Callable[..., "Page"]


class Page:
    """A page, and one who asks it; no redirect is followed."""

    def __init__(self, app: Any, address: str) -> None:
        self._transport = httpx.ASGITransport(app, client=(address, 5))
        self.cookies = httpx.Cookies()

    def ask(self, path: str, method: str = "GET", host: str = "localhost:8600", **request: Any) -> httpx.Response:
        """Return the answer to a request; cookies are kept as a browser does."""

        async def send() -> httpx.Response:
            async with httpx.AsyncClient(
                transport=self._transport, base_url=f"http://{host}", cookies=self.cookies
            ) as http:
                answer = await http.request(method, path, **request)
                self.cookies = http.cookies
                return answer

        return asyncio.run(send())

    def log_in(self, token: str, then: str = "/", **headers: str) -> httpx.Response:
        """Send the form."""
        return self.ask("/login", "POST", data={"token": token, "next": then}, headers=headers)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Return what makes a page by its settings, with one route of the API that counts its calls."""
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "index.html").write_text("the page", encoding="utf-8")
    (folder / "app.js").write_text("a", encoding="utf-8")

    def made(address: str = "10.0.0.9", **environ: str) -> Page:
        app = FastAPI(docs_url=None, redoc_url=None)
        register(app)

        @app.get("/api/v1/secret")
        async def secret(n: int = 0) -> dict[str, int]:
            return {"n": n}

        settings = DashboardSettings.load(read_sources(environ={"RUNBUS_HOME": "/nowhere", **environ}))
        return Page(protected(app, settings, PageFiles(folder)), address)

    return made


def test_without_a_token_this_machine_sees_everything(site: Site) -> None:
    """And is not asked to log in."""
    page = site()
    assert page.ask("/").text == "the page"
    assert page.ask("/api/v1/secret?n=3").json() == {"n": 3}
    assert page.ask("/login").headers["location"] == "/"


def test_every_answer_has_the_headers_of_security(site: Site) -> None:
    """Pages, files, the API, errors and refusals; only files may be kept."""
    page = site(RUNBUS_DASHBOARD_TOKEN=TOKEN)
    for path, status in (("/", 303), ("/login", 200), ("/app.js", 200), ("/api/v1/secret", 401), ("/x.js", 404)):
        answer = page.ask(path)
        assert answer.status_code == status
        assert {name: answer.headers.get(name) for name in SECURITY_HEADERS} == SECURITY_HEADERS
    refused = page.ask("/", host="evil.example")
    assert refused.headers["x-content-type-options"] == "nosniff"
    assert page.ask("/api/v1/secret", headers=BEARER).headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in page.ask("/app.js", headers={"origin": "http://a.example"}).headers


def test_the_policy_lets_nothing_run_that_is_no_file_of_the_page() -> None:
    """No inline script or style, no eval, no markup from text, no frame around it."""
    policy = SECURITY_HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    for part in (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
        "frame-ancestors 'none'",
        "form-action 'self'",
    ):
        assert part in policy.split("; ")


def test_a_name_that_is_not_known_gets_one_sentence(site: Site) -> None:
    """It says what to do, and is no way to print something."""
    answer = site().ask("/api/v1/secret", host="evil.example")
    assert answer.status_code == 400
    assert answer.json()["error"] == "this page does not answer to the name 'evil.example'"
    assert "RUNBUS_DASHBOARD_HOSTS" in answer.json()["todo"]
    assert site(RUNBUS_DASHBOARD_HOSTS="evil.example").ask("/", host="evil.example").status_code == 200


def test_another_site_may_link_and_not_read(site: Site) -> None:
    """A link opens the page; what asks behind the user's back is refused."""
    page = site()
    assert page.ask("/run?run=a", headers=NAVIGATES).status_code == 200
    assert page.ask("/api/v1/secret", headers=NAVIGATES).status_code == 403
    assert page.ask("/api/v1/secret", headers={"sec-fetch-site": "same-site"}).status_code == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_changed(site: Site, method: str) -> None:
    """There is a login, and else only GET; no question of CORS is answered."""
    answer = site().ask("/api/v1/secret", method)
    assert (answer.status_code, answer.json()["todo"]) == (405, "ask with GET")


def test_annotations_can_be_changed_where_the_settings_allow_it(site: Site) -> None:
    """By whoever may look, from this site alone."""
    path = "/api/v1/annotations"
    refused = "changes something, and this only shows"
    for method in ("POST", "DELETE"):  # this app has no such route: what comes through is refused by the page's files
        assert refused not in site().ask(path, method).text
        assert site().ask(path, method, headers={"sec-fetch-site": "cross-site"}).status_code == 403
        assert refused in site(RUNBUS_DASHBOARD_ANNOTATES="false").ask(path, method).text
        closed = site(RUNBUS_DASHBOARD_TOKEN=TOKEN)
        assert closed.ask(path, method).status_code == 401
        assert refused not in closed.ask(path, method, headers=BEARER).text
    assert refused in site().ask(path, "PUT").text


def test_with_a_token_the_api_and_the_pages_need_it(site: Site) -> None:
    """A page leads to the login and back again; the API says how; files are no secret."""
    page = site(RUNBUS_DASHBOARD_TOKEN=TOKEN)
    assert page.ask("/run?run=a%2Fb&x=1").headers["location"] == "/login?next=%2Frun%3Frun%3Da%252Fb%26x%3D1"
    refused = page.ask("/api/v1/secret")
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert page.ask("/api/v1/secret", headers=BEARER).json() == {"n": 0}
    assert page.ask("/api/v1/secret", headers={"authorization": "Bearer wrong"}).status_code == 401
    assert page.ask("/app.js").text == "a"


def test_a_login_is_a_cookie_that_no_script_and_no_other_site_has(site: Site) -> None:
    """It leads to where one wanted to go, and is good for everything until the logout."""
    page = site(RUNBUS_DASHBOARD_TOKEN=TOKEN)
    assert page.ask("/login?next=%2Frun").text.count('value="/run"') == 1
    answer = page.log_in(TOKEN, "/run?run=a%2Fb")
    assert (answer.status_code, answer.headers["location"]) == (303, "/run?run=a%2Fb")
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert TOKEN not in cookie
    assert page.ask("/").text == "the page"
    assert page.ask("/api/v1/secret").status_code == 200
    assert page.ask("/logout", "POST").headers["location"] == "/login"
    assert page.ask("/api/v1/secret").status_code == 401


def test_behind_https_the_cookie_stays_there(site: Site) -> None:
    """The proxy in front says so."""
    answer = site(RUNBUS_DASHBOARD_TOKEN=TOKEN).ask(
        "/login", "POST", data={"token": TOKEN}, headers={"x-forwarded-proto": "https"}
    )
    assert "Secure" in answer.headers["set-cookie"].split("; ")


@pytest.mark.parametrize("then", ["//evil.example", "https://evil.example", "/\\evil.example", "/\n/evil.example", ""])
def test_a_login_leads_nowhere_else(site: Site, then: str) -> None:
    """An address that a browser takes for another server's is none of ours."""
    assert site(RUNBUS_DASHBOARD_TOKEN=TOKEN).log_in(TOKEN, then).headers["location"] == "/"


def test_the_form_escapes_what_it_is_given(site: Site) -> None:
    """It is the only place that writes markup."""
    answer = site(RUNBUS_DASHBOARD_TOKEN=TOKEN).ask('/login?next=/"><script>')
    assert "<script>" not in answer.text
    assert 'value="/&quot;&gt;&lt;script&gt;"' in answer.text


def test_guessing_is_slow(site: Site) -> None:
    """By the form or by the header, the right one is not looked at either; a cookie still is."""
    page = site(RUNBUS_DASHBOARD_TOKEN=TOKEN)
    page.log_in(TOKEN)
    for number in range(MOST):
        wrong = (
            page.log_in("wrong") if number % 2 else page.ask("/api/v1/secret", headers={"authorization": "Bearer x"})
        )
        assert wrong.status_code == 401
    assert page.log_in(TOKEN).status_code == 429
    assert 'role="alert"' in page.log_in(TOKEN).text
    assert page.ask("/api/v1/secret", headers=BEARER).status_code == 429
    assert page.ask("/api/v1/secret").status_code == 200


def test_another_site_cannot_log_in(site: Site) -> None:
    """Else it could let the user look at a page of its own."""
    page = site(RUNBUS_DASHBOARD_TOKEN=TOKEN)
    for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "http://evil.example"}):
        assert page.ask("/login", "POST", data={"token": TOKEN}, headers=headers).status_code == 403


def test_a_body_that_is_no_form_is_refused(site: Site) -> None:
    """It is not read to its end."""
    answer = site(RUNBUS_DASHBOARD_TOKEN=TOKEN).ask("/login", "POST", content=b"x" * 70_000)
    assert answer.status_code == 413


def test_a_new_token_in_the_file_ends_every_login(site: Site, tmp_path: Path) -> None:
    """The file is read again each time."""
    file = tmp_path / "token"
    file.write_text(TOKEN, encoding="utf-8")
    page = site(RUNBUS_DASHBOARD_TOKEN_FILE=str(file))
    page.log_in(TOKEN)
    assert page.ask("/api/v1/secret").status_code == 200
    file.write_text(TOKEN * 2, encoding="utf-8")
    assert page.ask("/api/v1/secret").status_code == 401
    assert page.log_in(TOKEN * 2).status_code == 303


def test_a_mistake_is_one_sentence(site: Site) -> None:
    """What is asked wrongly, what is not there: the same shape."""
    page = site()
    wrong = page.ask("/api/v1/secret?n=many")
    assert wrong.status_code == 400
    assert wrong.json()["error"].startswith("n: ")
    nothing = page.ask("/api/v1/nothing")
    assert nothing.status_code == 404
    assert set(nothing.json()) == {"error", "todo", "near"}
