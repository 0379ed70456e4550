"""Questions in the languages of the chat."""

from __future__ import annotations

import string

import pytest

from butterflyer_jax.app.chat.languages import ENGLISH, OTHER, language_of, languages, words_of
from tests.helpers.chats import ask, embedded, fact, retriever

QUESTIONS = {
    "de": {
        "host_plants": "Was frisst die Raupe des Monarchfalters?",
        "range": "Wo lebt er?",
        "wingspan": "Wie groß ist dieser Schmetterling?",
        "flight_season": "Wann fliegt er?",
        "conservation": "Ist er gefährdet?",
        "identification": "Woran erkenne ich ihn?",
        "life_cycle": "Wie überwintert er?",
        "look_alikes": "Mit welchen Arten kann man ihn verwechseln?",
    },
    "fr": {
        "host_plants": "Que mange la chenille du monarque ?",
        "range": "Où vit-il ?",
        "wingspan": "Quelle est son envergure ?",
        "flight_season": "Quand vole-t-il ?",
        "conservation": "Est-il menacé ?",
        "identification": "Comment le reconnaître ?",
        "life_cycle": "Quel est son cycle de vie ?",
        "look_alikes": "Avec quelles espèces peut-on le confondre ?",
    },
    "es": {
        "host_plants": "¿Qué comen las orugas de la monarca?",
        "range": "¿Dónde vive?",
        "wingspan": "¿Qué tamaño tiene esta mariposa?",
        "flight_season": "¿Cuándo vuela?",
        "conservation": "¿Está en peligro de extinción?",
        "identification": "¿Cómo la reconozco?",
        "life_cycle": "¿Cómo es su ciclo de vida?",
        "look_alikes": "¿Con qué especies se confunde esta mariposa?",
    },
    "it": {
        "host_plants": "Che cosa mangia il bruco della monarca?",
        "range": "Dove vive questa farfalla?",
        "wingspan": "Qual è la sua apertura alare?",
        "flight_season": "Quando vola?",
        "conservation": "È minacciata?",
        "identification": "Come si riconosce questa farfalla?",
        "life_cycle": "Qual è il suo ciclo vitale?",
        "look_alikes": "Con quali specie si confonde questa farfalla?",
    },
    "pt": {
        "host_plants": "O que comem as lagartas da borboleta-monarca?",
        "range": "Onde vive?",
        "wingspan": "Qual é o tamanho dela?",
        "flight_season": "Em que meses voa esta borboleta?",
        "conservation": "Está ameaçada?",
        "identification": "Como reconheço esta borboleta?",
        "life_cycle": "Qual é o seu ciclo de vida?",
        "look_alikes": "Com que espécies se confunde esta borboleta?",
    },
    "nl": {
        "host_plants": "Wat eet de rups van de monarchvlinder?",
        "range": "Waar leeft hij?",
        "wingspan": "Hoe groot is deze vlinder?",
        "flight_season": "Wanneer vliegt hij?",
        "conservation": "Is deze vlinder bedreigd?",
        "identification": "Hoe herken ik deze vlinder?",
        "life_cycle": "Wat is zijn levenscyclus?",
        "look_alikes": "Op welke soorten lijkt deze vlinder?",
    },
}
CASES = [(code, kind, text) for code, questions in QUESTIONS.items() for kind, text in questions.items()]
UNRELATED = {
    "de": "Wer hat die Weltmeisterschaft gewonnen?",
    "fr": "Qui a gagné la coupe du monde ?",
    "es": "¿Cuál es la capital de Francia?",
    "it": "Chi ha vinto il mondiale?",
    "pt": "Quem ganhou a copa do mundo?",
    "nl": "Wie heeft het wereldkampioenschap gewonnen?",
}


@pytest.mark.parametrize(("code", "kind", "text"), CASES)
def test_a_question_is_answered_with_sources_and_framed_in_its_language(code: str, kind: str, text: str) -> None:
    answer = ask(embedded(), text)
    assert fact("Monarch", kind) in answer.text
    assert answer.text.startswith(languages()[code].say["quote"])
    assert answer.sources


@pytest.mark.parametrize(("code", "text"), UNRELATED.items())
def test_what_is_not_in_the_base_is_said_so_in_the_language(code: str, text: str) -> None:
    answer = ask(embedded(), text)
    assert answer.text == languages()[code].say["unknown"]
    assert not answer.sources


@pytest.mark.parametrize(("code", "text"), [(c, t) for c, _, t in CASES] + list(UNRELATED.items()))
def test_the_language_is_told(code: str, text: str) -> None:
    assert language_of(text) == code


def blanks(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


def test_every_language_has_every_sentence_with_its_blanks() -> None:
    english = languages()[ENGLISH]
    for language in languages().values():
        say = {*language.say, "other_language"}
        assert say == set(english.say), language.code
        assert set(language.labels) == set(english.labels)
        for key, sentence in language.say.items():
            assert blanks(sentence) == blanks(english.say[key]), (language.code, key)


def test_species_of_other_languages_are_in_the_base() -> None:
    for language in languages().values():
        for scientific, names in language.species.items():
            for name in names:
                assert retriever().reader.read(name).species == (scientific,), (language.code, name)


def test_a_follow_up_without_words_of_its_own_keeps_the_language() -> None:
    answer = ask(embedded(), "Was frisst die Raupe des Distelfalters?", "Vanessa atalanta?")
    assert answer.text.startswith(languages()["de"].say["quote"])
    assert fact("Red Admiral", "host_plants") in answer.text


@pytest.mark.parametrize(
    "text", ["蝴蝶吃什么", "Что ест гусеница?", "ماذا تأكل اليرقة؟", "Mitä tämän perhosen toukka syö keväällä?"]
)
def test_another_language_is_named_as_such_in_english(text: str) -> None:
    assert language_of(text) == OTHER
    assert ask(embedded(), text).text.startswith(languages()[ENGLISH].say["other_language"])


def test_another_language_that_names_a_species_is_still_answered() -> None:
    assert fact("Monarch", "identification") in ask(embedded(), "Danaus plexippus とは", identification=None).text


def test_folding_leaves_plain_words() -> None:
    assert words_of("Où vit-ELLE, la Straße?") == ["ou", "vit", "elle", "la", "strasse"]
