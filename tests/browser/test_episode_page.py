"""The pages Episode and World: one cursor over everything, from the first step to the newest."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest

from runbus.local.stack import Endpoints
from tests.browser.chromium import Visit
from tests.browser.conftest import Opener
from tests.browser.serving import Dashboard
from tests.browser.shown_episodes import attempt, episode, record, recording
from tests.browser.test_accessibility import findings
from tests.support.recorded_episodes import name_of

LENGTH = 100_000
PIXEL = """([x, y]) => {
  const pen = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  pen.drawImage(document.querySelector(".picture"), -x, -y);
  return [...pen.getImageData(0, 0, 1, 1).data];
}"""


@pytest.fixture(scope="module")
def stored(stories: Endpoints) -> Endpoints:
    """Return the stack once the episodes of this file are stored."""
    record(stories, "cartpole", "pictures", "lossy", "world", "pair", "long")
    return stories


def shown(visit: Visit) -> dict[str, Any]:
    """Return what the page says of its cursor."""
    return dict(visit.inspect().get("episode") or {})


def at(visit: Visit, step: int) -> dict[str, Any]:
    """Return the step under the cursor once the cursor is there and the step has come."""
    visit.until(f"step {step}", lambda: shown(visit).get("cursor") == step and shown(visit)["state"] != "loading")
    return dict(shown(visit)["step"] or {})


def test_keys_move_the_cursor_and_the_address_goes_along(stored: Endpoints, dashboard: Dashboard, tab: Opener) -> None:
    """Arrows, Shift, Home, End, jumps; the address has the step and no entry for each; a link shows the same step."""
    visit = tab(dashboard, episode(stored, "pictures", "painter", step=30))
    press = visit.page.keyboard.press
    at(visit, 30)
    entries = visit.page.evaluate("history.length")
    for key, step in [
        ("ArrowRight", 31), ("Shift+ArrowRight", 41), ("ArrowLeft", 40), ("n", 50), ("Shift+N", 25), ("a", 40),
        ("m", 25), ("End", 120), ("Home", 0), ("Shift+ArrowLeft", 0),
    ]:  # fmt: skip
        press(key)
        at(visit, step)
    press("n")
    visit.until("the address has the step", lambda: "step=25" in visit.page.url)
    assert visit.page.evaluate("history.length") == entries
    press("e")
    visit.until_text("No error behind step 25")
    visit.page.reload()
    at(visit, 25)


def test_the_observation_is_shown_pixel_for_pixel(stored: Endpoints, dashboard: Dashboard, tab: Opener) -> None:
    """An image that was recorded; one that was left out names what would have recorded it."""
    visit = tab(dashboard, episode(stored, "pictures", "painter", step=30))
    assert at(visit, 30)["action"]["numbers"] == [2]
    visit.until("the image is there", lambda: visit.page.locator(".picture").count() == 1)
    assert visit.page.evaluate(PIXEL, [38, 22]) == [255, 255, 0, 255]
    assert visit.page.evaluate(PIXEL, [10, 40]) == [10 * 200 // 48, 40 * 200 // 48, 60, 255]
    visit = tab(dashboard, episode(stored, "pictures", "default", step=3))
    visit.until_text('observations="all"')
    assert "uint8 [48, 48, 3]" in visit.text()


def test_a_long_episode_is_scrubbed_far_beyond_what_is_loaded(
    stored: Endpoints, dashboard: Dashboard, tab: Opener
) -> None:
    """Every place shows its own step; dragging asks at most twice a second; what is held stays bounded."""
    visit = tab(dashboard, episode(stored, "long", "walker", step=LENGTH))
    page = visit.page
    at(visit, LENGTH)
    page.keyboard.press("m")
    assert at(visit, LENGTH // 2)["reward"] == 25
    thumb = page.locator(".scrub-thumb")
    box = thumb.bounding_box()
    assert box is not None
    y, begin, before = box["y"] + box["height"] / 2, time.monotonic(), shown(visit)["asked"]
    page.mouse.move(box["x"] + box["width"] / 2, y)
    page.mouse.down()
    for share in range(100):
        page.mouse.move(box["x"] + box["width"] * share / 100, y)
    page.mouse.up()
    passed = time.monotonic() - begin
    assert shown(visit)["asked"] - before <= 2 + 2 * passed
    visit.until("its step has come", lambda: shown(visit)["state"] == "here")
    cursor = shown(visit)["cursor"]
    assert 0.97 * LENGTH < cursor < LENGTH
    for step in (cursor, 3, 77_777, 50_000):
        page.locator(".scrub-place input").fill(str(step))
        page.keyboard.press("Enter")
        numbers = at(visit, step)["observation"]["numbers"]
        assert numbers[3] == pytest.approx(math.sin(step / 500 * 4), abs=1e-6)
    assert len(shown(visit)["held"]) <= 48


def test_steps_that_never_arrived_are_a_hole(stored: Endpoints, dashboard: Dashboard, tab: Opener) -> None:
    """Hatched where they were, counted at the top, said in words under the cursor."""
    visit = tab(dashboard, episode(stored, "lossy", "lossy", step=40))
    visit.until_text("Step 40 never arrived")
    assert shown(visit)["holes"] == [{"from": 31, "to": 50, "state": "lost"}]
    assert "20 at most missing" in visit.text()
    visit.page.keyboard.press("n")
    at(visit, 51)


def test_an_episode_is_scrubbed_while_it_runs(stored: Endpoints, dashboard: Dashboard, tab: Opener) -> None:
    """The newest step is followed, what is behind it is history, and the end is seen without a reload."""
    with recording(stored, "live") as process:
        visit = tab(dashboard, "/")
        visit.until("the run is there", lambda: name_of("live") in visit.text(), 60)
        visit.expected.append("404")  # until its first steps are stored there is no such episode in ClickHouse
        visit.open(episode(stored, "live", "live"))
        visit.until("it follows", lambda: shown(visit).get("follows") and shown(visit)["cursor"] > 20, 60)
        first = shown(visit)["cursor"]
        visit.until("it goes on", lambda: shown(visit)["cursor"] > first + 20 and shown(visit)["state"] == "here", 60)
        visit.page.keyboard.press("Shift+ArrowLeft")
        assert shown(visit)["follows"] is False
        step = shown(visit)["cursor"]
        assert at(visit, step)["seq"] == step
        visit.page.keyboard.press("Home")
        at(visit, 0)
        visit.page.keyboard.press(".")
        visit.until("it follows again", lambda: shown(visit)["follows"] and shown(visit)["cursor"] > step)
        process.terminate()
        process.wait(30)
    visit.until("its end is seen", lambda: (shown(visit).get("about") or {}).get("finalised"), 60)
    visit.until_text("interrupted")
    visit.page.keyboard.press("End")
    last = shown(visit)["extent"]["last"]
    assert at(visit, last)["seq"] == last


def test_two_episodes_have_one_cursor_and_a_first_difference(
    stored: Endpoints, dashboard: Dashboard, tab: Opener
) -> None:
    """What is the same up to step 77 differs there, in words; the cursor goes there in both."""
    other = f"right/{attempt(stored, 'pair', 'right')}/0/0"
    visit = tab(dashboard, episode(stored, "pair", "left", step=3, **{"with": other}))
    visit.page.get_by_role("button", name="step 77").click()
    at(visit, 77)
    visit.until("both are there", lambda: shown(visit)["other"] is not None)
    assert shown(visit)["differs"] == {"step": 77, "fields": ["action", "observation", "reward"]}
    assert visit.page.get_by_text("differs: action, observation, reward").count() == 2
    visit.page.keyboard.press("ArrowLeft")
    visit.until("nothing differs before", lambda: visit.page.get_by_text("differs:").count() == 0)


def here(visit: Visit) -> dict[str, Any]:
    """Return the step under the cursor of each agent of a world."""
    return dict((visit.inspect().get("world") or {}).get("agents", {}))


def test_a_world_shows_its_agents_on_one_tick(stored: Endpoints, dashboard: Dashboard, tab: Opener) -> None:
    """Each agent's step of the tick; one that has left says so; a step of an agent leads to its episode."""
    visit = tab(dashboard, f"/world?run={name_of('world')}&episode=0&tick=20")
    visit.until("the agents are there", lambda: len(here(visit)) == 3 and all(here(visit).values()))
    assert {name: step["tick"] for name, step in here(visit).items()} == {f"agent-{i}": 20 for i in range(3)}
    visit.page.keyboard.press("End")
    visit.until_text("left at tick 50")
    visit.page.locator(".step-grid a").first.click()
    at(visit, 80)


@pytest.mark.parametrize(("page", "width"), [("episode", 390), ("episode", 1280), ("world", 390), ("world", 1280)])
def test_axe_finds_nothing_serious(stored: Endpoints, dashboard: Dashboard, tab: Opener, page: str, width: int) -> None:
    """In both themes; nothing is wider than the screen."""
    address = f"/world?run={name_of('world')}&episode=0"
    if page == "episode":
        address = episode(stored, "cartpole", "agent-0", step=3)
    visit = tab(dashboard, address, theme="light" if width == 390 else "dark", width=width)
    visit.until("it is drawn", lambda: visit.page.locator(".lane").count() > 1)
    assert findings(visit) == []
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
