"""What becomes of messages before they are answered."""

from __future__ import annotations

import pytest

from butterflyer_jax.app.chat import conversation
from butterflyer_jax.app.chat.conversation import EMPTY, MAX_CONVERSATION, MAX_MESSAGE, Message, clean, trimmed


def talk(turns: int, text: str = "What does it eat?") -> list[Message]:
    return [Message("user" if i % 2 == 0 else "assistant", f"{text} {i}") for i in range(turns)]


def test_control_characters_go_and_lines_stay() -> None:
    assert clean(" a\x00b\x1b[31m\r\nc\td\ud800\x7f ") == "ab[31m\nc\td"


@pytest.mark.parametrize("text", ["", " \n\t ", "\x00\x01", "?!", "🦋🦋"])
def test_an_empty_message_is_answered_by_what_one_can_ask(text: str) -> None:
    assert conversation.reply_without_answering([Message("user", text)]) == EMPTY


def test_nothing_said_or_nothing_by_the_user_is_empty() -> None:
    assert conversation.reply_without_answering([]) == EMPTY
    assert conversation.reply_without_answering([Message("assistant", "Hello")]) == EMPTY


def test_a_message_of_the_limit_is_accepted_and_a_longer_one_is_not() -> None:
    assert conversation.reply_without_answering([Message("user", "x" * MAX_MESSAGE)]) == ""
    refusal = conversation.reply_without_answering([Message("user", "x" * (MAX_MESSAGE + 1))])
    assert "10,001" in refusal
    assert "10,000" in refusal


def test_a_long_conversation_keeps_its_newest_messages() -> None:
    messages = talk(201)
    kept = trimmed(messages)
    assert kept == tuple(messages[-len(kept) :])
    assert 10 < len(kept) <= conversation.MAX_MESSAGES
    assert kept[0].role == "user"


def test_long_messages_keep_within_the_budget() -> None:
    kept = trimmed(talk(21, "x" * MAX_MESSAGE))
    assert sum(len(message.text) for message in kept) <= MAX_CONVERSATION
    assert len(kept[-1].text) == MAX_MESSAGE
    assert len(kept) > 1
    assert all(len(message.text) == conversation.MAX_OLD_MESSAGE for message in kept[:-1])


def test_a_label_is_one_short_line() -> None:
    assert conversation.label("Red\nAdmiral\x00  x") == "Red Admiral x"
    assert len(conversation.label("y" * 500)) == conversation.MAX_LABEL
