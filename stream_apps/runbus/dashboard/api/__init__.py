"""Answers what the page asks, under /api/v1: a module a page, found by its name.

Each module has `router(parts: Parts) -> APIRouter`, whose paths are below /api/v1. All reads are GET, with ids in the
query string: an id may hold `/`, `%` and every other character.
"""
