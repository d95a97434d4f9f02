"""The story of the demo with the keyboard alone: find a run, open it, go through an episode, come back."""

from __future__ import annotations

from runbus.local.stack import Endpoints
from tests.browser.asked import episode_address
from tests.browser.chromium import Visit
from tests.browser.conftest import Opener
from tests.browser.serving import Dashboard


def path(visit: Visit) -> str:
    """Return the address without the server."""
    return visit.page.url.removeprefix(visit.origin)


def test_from_the_list_to_a_run_and_back(stories: Endpoints, dashboard: Dashboard, tab: Opener) -> None:
    """Filter, choose, open, help, theme, back: no mouse."""
    visit = tab(dashboard, "/")
    keys = visit.page.keyboard
    visit.until("the list is there", lambda: "window" in visit.inspect())
    keys.press("/")
    keys.type("algo:ppo")
    visit.until_text("4 of")
    keys.press("Escape")
    keys.press("j")
    keys.press("j")
    visit.until("the cursor moved", lambda: visit.inspect()["window"]["at"] == 2)
    keys.press("x")
    visit.until_text("Compare 1 run")
    keys.press("c")
    visit.until("they are compared", lambda: path(visit).startswith("/compare?runs=ppo-"))
    visit.page.go_back()
    visit.until("the list is back", lambda: visit.inspect().get("window", {}).get("at") == 0)
    keys.press("j")
    keys.press("j")
    keys.press("p")
    pinned = visit.page.locator("button[aria-label^='Pin'][aria-pressed=true]")
    visit.until("it is pinned", lambda: pinned.count() == 1)
    keys.press("k")
    keys.press("k")
    keys.press("p")  # it is on top now; and pinned for everybody who looks: other tests do too
    visit.until("it is not pinned any more", lambda: pinned.count() == 0)
    keys.press("?")
    visit.until("the help is open", lambda: visit.page.locator("dialog[open]").count() == 1)
    keys.press("Escape")
    visit.until("the help is closed", lambda: visit.page.locator("dialog[open]").count() == 0)
    keys.press("d")
    visit.until("the theme is another", lambda: "Dark" in visit.text())
    keys.press("Enter")
    visit.until("the run is open", lambda: path(visit).startswith("/run?run=ppo-"))
    keys.press("g")
    keys.press("r")
    visit.until("the list is back", lambda: path(visit) == "/")


def test_through_an_episode(stories: Endpoints, dashboard: Dashboard, tab: Opener) -> None:
    """Steps, jumps and play move one cursor, which is in the address."""
    visit = tab(dashboard, episode_address(stories, "images"))
    keys = visit.page.keyboard

    def cursor() -> int:
        return int(visit.inspect().get("episode", {}).get("cursor", -1))

    visit.until("the episode is there", lambda: visit.inspect().get("episode", {}).get("step") is not None)
    keys.press("Home")
    visit.until("it is at the start", lambda: cursor() == 0)
    keys.press("ArrowRight")
    visit.until("one step on", lambda: cursor() == 1)
    keys.press("Shift+ArrowRight")
    visit.until("ten steps on", lambda: cursor() == 11)
    keys.press("n")
    visit.until("at the next reward", lambda: cursor() == 15)
    keys.press("Shift+N")
    visit.until("at the reward before", lambda: cursor() == 10)
    keys.press("End")
    visit.until("at the end", lambda: cursor() == 20)
    visit.until("the step is in the address", lambda: "step=20" in path(visit))
    keys.press("Home")
    keys.press("+")
    keys.press("Space")
    visit.until("it plays", lambda: cursor() > 2)
