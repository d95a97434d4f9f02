"""A browser is told at once about every module that it will need."""

from __future__ import annotations

from pathlib import Path

from runbus.dashboard import static
from runbus.dashboard.preload import modules, needs

PAGE = Path(static.__file__).parent / "page"
FILES = {
    "app.js": b'import {a} from "./lib/a.js";\nimport {\n  b,\n} from "./ui/b.js";\n',
    "lib/a.js": b'export {c} from "./c.js";\nconst s = "./no.js";\n',
    "lib/c.js": b'import "../vendor/v.js";\nimport {a} from "./a.js"; // a circle\n',
    "ui/b.js": b"export const b = 1;\n",
    "vendor/v.js": b"",
    "pages.js": b'  {path: "/run", title: "Run", load: () => import("./pages/run.js")},\n',
    "pages/run.js": b'import {d} from "../lib/d.js";\nimport {b} from "../ui/b.js";\n',
    "lib/d.js": b"",
}


def test_a_module_needs_what_it_imports_at_any_distance_once() -> None:
    """Circles end; what is no file is left out."""
    assert needs(FILES, "app.js") == ["app.js", "lib/a.js", "ui/b.js", "lib/c.js", "vendor/v.js"]


def test_a_page_needs_its_own_module_too() -> None:
    """A page that is loaded later is not among those of another."""
    assert modules(FILES, "/run")[-2:] == ["pages/run.js", "lib/d.js"]
    assert "pages/run.js" not in modules(FILES, "/")


def test_the_real_page_names_its_modules() -> None:
    """pages.js is read as it is written."""
    files = {path.relative_to(PAGE).as_posix(): path.read_bytes() for path in PAGE.rglob("*.js")}
    assert {"lib/route.js", "vendor/preact.js", "pages/runs.js", "lib/filter.js"} <= set(modules(files, "/"))
    assert "pages/run.js" in modules(files, "/run")
