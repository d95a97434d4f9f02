"""Records agents of language models: episodes, model calls, tool calls and late rewards, in threads and in asyncio."""

from runbus.llm.agent import Agent, current
from runbus.llm.call import Call
from runbus.llm.episode import Episode

__all__ = ["Agent", "Call", "Episode", "current"]
