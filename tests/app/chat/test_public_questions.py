"""How well the embedded answerer does on questions of the kind that the public asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from butterflyer_jax.app.chat.conversation import Identification, Message
from tests.helpers.chats import embedded, retriever
from tests.helpers.public_questions import COMPARED, FOLLOWED, TUNED, Asked


def outcome(asked: Asked) -> str:
    """Returns right, beside or refused; of a question that the base cannot answer, declined or invented."""
    messages = [Message("user", text) for text in (*asked.before, asked.text)]
    identification = None
    if asked.photo:
        identification = Identification(asked.photo, 0.95, True, ((asked.photo, 0.95),))
    question, found = retriever().look_up(messages, identification, 1)
    given: object = None
    if embedded().comparer.compare(question):
        given = COMPARED
    elif found:
        passage = found[0].passage
        given = passage.title if passage.species is None else (passage.species, passage.kind)
    if not asked.answers:
        return "declined" if given is None else "invented"
    return "right" if given in asked.answers else "refused" if given is None else "beside"


def shares(questions: Sequence[Asked]) -> dict[str, float]:
    """Returns the shares of right, beside and refused answers, and that of declined ones where nothing answers."""
    counts = Counter(map(outcome, questions))
    answerable = sum(bool(asked.answers) for asked in questions)
    found = {name: counts[name] / answerable for name in ("right", "beside", "refused")}
    return found | {"declined": counts["declined"] / (len(questions) - answerable)}


def test_there_are_enough_questions() -> None:
    assert len(TUNED) == 100
    assert len(FOLLOWED) == 50
    assert len({asked.text for asked in (*TUNED, *FOLLOWED)}) == 150


def test_questions_of_the_public_are_answered() -> None:
    found = shares(TUNED)
    assert found["right"] >= 0.95, found
    assert found["beside"] <= 0.02, found
    assert found["declined"] >= 0.95, found


def test_other_questions_of_the_public_are_answered() -> None:
    found = shares(FOLLOWED)
    assert found["right"] >= 0.8, found
    assert found["beside"] <= 0.05, found
    assert found["declined"] >= 0.75, found
