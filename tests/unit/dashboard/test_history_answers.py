"""Answers are written where they hold up nobody."""

from __future__ import annotations

import asyncio
import threading

import httpx

from runbus.dashboard.history.answers import Written


def test_an_answer_is_written_in_a_thread() -> None:
    """The event loop goes on meanwhile; the length is that of the bytes."""
    writers = []

    def write() -> bytes:
        writers.append(threading.current_thread())
        return b"0123456789"

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(Written(write, "text/x"))
        async with httpx.AsyncClient(transport=transport, base_url="http://page") as client:
            return await client.get("/")

    answer = asyncio.run(ask())
    assert answer.content == b"0123456789"
    assert answer.headers["content-length"] == "10"
    assert answer.headers["content-type"] == "text/x; charset=utf-8"
    assert writers != [threading.current_thread()]
