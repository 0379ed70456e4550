"""Types of a chat: messages, the identification of the photo, and the pieces of an answer."""

from __future__ import annotations

import unicodedata
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from butterflyer_jax.app.knowledge.base import Source

# Limits in characters: of the last message, above which it is refused, and of the older messages that answerers see.
MAX_MESSAGE = 10_000
MAX_CONVERSATION = 16_000
MAX_OLD_MESSAGE = 2_000
MAX_MESSAGES = 30
MAX_LABEL = 80

EMPTY = (
    "Ask me anything about butterflies, for example what the caterpillars of this one eat, where it lives or how to "
    "tell it from others."
)
TOO_LONG = "Your message has {count:,} characters; I read up to {limit:,}. Please ask in fewer words."


@dataclass(frozen=True)
class Message:
    """A message of the user or the assistant; `text` is plain text."""

    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True)
class Identification:
    """The classifier's answer for the photo that the chat is about.

    Attributes:
      species: most probable species, a label of the run.
      probability: probability of that species, from 0 to 1.
      named: whether the answer is sure; False where the photo may show none of the species.
      ranked: (species, probability) pairs, most probable first.
    """

    species: str
    probability: float
    named: bool
    ranked: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Piece:
    """A part of an answer.

    Attributes:
      text: plain text to append.
      more: further text, shown on demand after `text`.
      suggestions: questions that the visitor may mean, each answered by the knowledge base.
      sources: in the last piece, the sources that [1], [2] … in the text refer to.
    """

    text: str = ""
    more: str = ""
    suggestions: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()


class Answerer(Protocol):
    """Answers messages; one instance serves all conversations and keeps no state of them."""

    name: str

    def answer(
        self, messages: Sequence[Message], identification: Identification | None
    ) -> Generator[Piece, None, None]:
        """Yields the answer to the last message: pieces of text, then one piece with the sources, if it has any."""
        ...


def clean(text: str) -> str:
    """Returns the text without control characters and lone surrogates; line breaks and tabs stay."""
    kept = (c for c in text.replace("\r\n", "\n") if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs"))
    return "".join(kept).strip()


def label(name: str) -> str:
    """Returns the name of a species on one line, cut to the longest allowed name."""
    return " ".join(clean(name).split())[:MAX_LABEL]


def reply_without_answering(messages: Sequence[Message]) -> str:
    """Returns the reply to an empty or too long message; "" where the last message should be answered."""
    if not messages or messages[-1].role != "user" or not any(map(str.isalnum, messages[-1].text)):
        return EMPTY
    if len(messages[-1].text) > MAX_MESSAGE:
        return TOO_LONG.format(count=len(messages[-1].text), limit=MAX_MESSAGE)
    return ""


def trimmed(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Returns the newest messages that fit the limits, cleaned, starting with a user message.

    The last message stays whole; older ones are cut.
    """
    kept: list[Message] = []
    room = MAX_CONVERSATION
    for message in reversed(messages[-MAX_MESSAGES:]):
        text = clean(message.text[: MAX_OLD_MESSAGE if kept else MAX_MESSAGE])
        if kept and len(text) > room:
            break
        room -= len(text)
        if text or not kept:
            kept.append(Message(message.role, text))
    kept.reverse()
    while kept and kept[0].role != "user":
        kept.pop(0)
    return tuple(kept)
