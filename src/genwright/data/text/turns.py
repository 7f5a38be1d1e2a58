"""Turns of a dialogue as one text: a line `role: content` for each, as a model reads what was said before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["ANSWERS", "are_turns", "in_turns", "turn_of"]

ANSWERS = "assistant"
"""The role whose turns are learnt."""
KNOWN = {
    "human": "user",
    "gpt": ANSWERS,
    "chatgpt": ANSWERS,
    "bing": ANSWERS,
    "bard": ANSWERS,
    "developer": "system",
}
"""Names of ShareGPT and OpenAI, and TRL's for them."""
OPENERS = ("user: ", "system: ", f"{ANSWERS}: ")
"""With one of these a dialogue begins."""


def in_turns(turns: Sequence[tuple[str, str]]) -> str:
    """Who said what, as one text."""
    return "\n".join(f"{role}: {content}" for role, content in turns)


def are_turns(texts: Iterable[str]) -> bool:
    """Whether each of some texts is a dialogue."""
    return all(text.startswith(OPENERS) for text in texts)


def turn_of(value: Any) -> tuple[str, str] | None:
    """Who says what, as TRL, ShareGPT or OpenAI has it; None for what is no turn."""
    if not isinstance(value, dict):
        return None
    role = value.get("role", value.get("from"))
    content = value.get("content", value.get("value"))
    if isinstance(content, list):  # of parts, of which the texts count
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    if not isinstance(role, str) or not isinstance(content, str):
        return None
    return KNOWN.get(role, role), content
