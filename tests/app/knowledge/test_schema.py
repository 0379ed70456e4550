"""What is wrong with a file of species is reported."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from butterflyer_jax import extras
from butterflyer_jax.app.knowledge import base
from butterflyer_jax.app.knowledge.__main__ import main
from butterflyer_jax.app.knowledge.reader import TOPICS_FILE
from butterflyer_jax.errors import UserError
from tests.helpers.species_files import MONARCH, invented, monarch, read, write


def change(*path: Any, to: Any) -> Callable[[Any], None]:
    """Returns what sets an entry of a document, or takes it away (`to=None`)."""

    def apply(document: Any) -> None:
        *way, last = path
        for step in way:
            document = document[step]
        if to is None:
            del document[last]
        else:
            document[last] = to

    return apply


SOURCE = {"title": "A page", "publisher": "A publisher", "url": "https://example.org/page"}


@pytest.mark.parametrize(
    ("mutate", "problem"),
    [
        (change("scientific_name", to="danaus"), "scientific_name: 'danaus' must be genus and species"),
        (change("scientific_name", to="Danaus gilippus"), "call it Danaus_gilippus.yaml"),
        (change("synonyms", to=None), "has no synonyms"),
        (change("colour", to="orange"), "has the unknown key 'colour'"),
        (change("common_names", to=[]), "common_names: List should have at least 1 item"),
        (change("common_names", to="Monarch"), "common_names: Input should be a valid list"),
        (change("synonyms", to=[3]), "synonyms[1]: Input should be a valid string"),
        (change("synonyms", to=["MONARCH"]), "the name MONARCH is one of Danaus_plexippus.yaml already"),
        (change("facts", "habitat", to=None), "facts: has no habitat"),
        (change("facts", "colour", to={"text": "x"}), "facts: has the unknown key 'colour'"),
        (change("facts", to=["habitat"]), "facts: Input should be a valid dictionary"),
        (change("facts", "range", to="far"), "facts.range: Input should be a valid dictionary"),
        (change("facts", "range", "note", to="x"), "facts.range: has the unknown key 'note'"),
        (change("facts", "range", "text", to=7), "facts.range.text: Input should be a valid string"),
        (change("facts", "range", "sources", to=[]), "facts.range.sources: List should have at least 1 item"),
        (change("facts", "range", "sources", to=["book"]), "facts.range: the source 'book' is not among"),
        (change("facts", "range", "text", to="From Canada to South America, and on islands"), "must end with a period"),
        (
            change("facts", "range", "text", to="America."),
            "text: has 8 characters, and must have 30 to 600",
        ),
        (change("facts", "range", "text", to="America. " * 100 + "."), "facts.range.text: has 901 characters"),
        (change("sources", "spare", to=SOURCE), "sources.spare: is not used by any text"),
        (
            change("sources", "bamona", "url", to="http://example.org"),
            "sources.bamona.url: must begin with https://",
        ),
        (change("sources", "bamona", "url", to="https://[bad"), "sources.bamona.url: must begin with https://"),
        (change("sources", "bamona", "publisher", to=None), "sources.bamona: has no publisher"),
        (change("sources", "bamona", "title", to=""), "sources.bamona.title: must be text, not ''"),
        (change("sources", to=[]), "sources: Input should be a valid dictionary"),
        (change("facts", "wingspan", "millimetres", to=None), "facts.wingspan: has no millimetres"),
        (change("facts", "wingspan", "millimetres", to=[86.5, 124]), "millimetres[1]: Input should be a valid integer"),
        (change("facts", "wingspan", "millimetres", to=[86]), "millimetres: List should have at least 2 items"),
        (change("facts", "wingspan", "millimetres", to=[124, 86]), "millimetres must ascend, between 10 and 300"),
        (change("facts", "wingspan", "millimetres", to=[8, 12]), "millimetres must ascend, between 10 and 300"),
        (change("facts", "wingspan", "millimetres", to=[86, 125]), "the text must say '86 to 125 mm'"),
        (change("look_alikes", to="Viceroy"), "look_alikes: Input should be a valid list"),
        (change("look_alikes", 0, "name", to=None), "look_alikes[1]: has no name"),
        (
            change("look_alikes", 1, "scientific_name", to="Queen"),
            "look_alikes[2].scientific_name: 'Queen' must be",
        ),
    ],
)
def test_a_bad_species_file_has_its_problem_named(mutate: Callable[[Any], None], problem: str, tmp_path: Path) -> None:
    document = monarch()
    mutate(document)
    write(tmp_path, document, MONARCH)
    found = base.problems(tmp_path)
    assert [line for line in found if line.startswith(f"{MONARCH}: ") and problem in line], found
    with pytest.raises(UserError, match=r"Danaus_plexippus\.yaml: "):
        base.load(tmp_path)


@pytest.mark.parametrize(
    ("mutate", "problem"),
    [
        (change("topics", to="none"), "topics: Input should be a valid list"),
        (change("notes", to=[]), "has the unknown key 'notes'"),
        (change("topics", 0, "title", to=None), "topics[1]: has no title"),
        (change("topics", 0, "title", to="Puddling"), "topics: the title 'puddling' stands 2 times"),
        (change("topics", 0, "text", to="Too short."), "topics[1].text: has 10 characters"),
        (change("topics", 0, "sources", to=["book"]), "topics[1]: the source 'book' is not among the sources"),
        (change("sources", "spare", to=SOURCE), "sources.spare: is not used by any text"),
    ],
)
def test_a_bad_file_of_topics_has_its_problem_named(
    mutate: Callable[[Any], None], problem: str, tmp_path: Path
) -> None:
    document = read(TOPICS_FILE)
    mutate(document)
    found = base.problems(topics=write(tmp_path, document, "topics.yaml"))
    assert [line for line in found if line.startswith("topics.yaml: ") and problem in line], found


def test_two_species_share_neither_name_nor_text(tmp_path: Path) -> None:
    write(tmp_path, monarch())
    write(tmp_path, invented(common_name="monarch"))
    assert base.problems(tmp_path) == ["Papilio_fictus.yaml: the name monarch is one of Danaus_plexippus.yaml already"]
    copied = invented()
    copied["facts"]["range"]["text"] = monarch()["facts"]["range"]["text"]
    write(tmp_path, copied)
    assert base.problems(tmp_path) == [
        "Papilio_fictus.yaml: facts.range: the text is the same as that of Danaus_plexippus.yaml: facts.range"
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"facts: [one, two\nsources: {", "Danaus_plexippus.yaml, line 2: is not YAML: "),
        (b"facts: \xff\xfe", "Danaus_plexippus.yaml: is not UTF-8 text"),
        (b"facts: a\x00b", "Danaus_plexippus.yaml: is not YAML: "),
        (b"", "Danaus_plexippus.yaml: Input should be a valid dictionary"),
        (b"- a list", "Danaus_plexippus.yaml: Input should be a valid dictionary"),
        (b"a: !!python/object/apply:os.getcwd []", "Danaus_plexippus.yaml, line 1: is not YAML: "),
    ],
)
def test_a_file_that_is_no_yaml_is_one_clear_line(content: bytes, problem: str, tmp_path: Path) -> None:
    (tmp_path / MONARCH).write_bytes(content)
    [line] = base.problems(tmp_path)
    assert line.startswith(problem)
    assert "\n" not in line
    with pytest.raises(UserError, match=r"^species files in .*: Danaus_plexippus\.yaml"):
        base.load(tmp_path)


def test_command_says_that_our_files_are_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    assert capsys.readouterr().out.startswith("no problems: 10 species checked; 10 species, ")


def test_command_checks_a_folder_beside_ours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, invented())
    main([str(tmp_path)])
    assert capsys.readouterr().out.startswith("no problems: 1 species checked; 11 species, ")


def test_command_prints_each_problem_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = invented()
    del document["synonyms"], document["facts"]
    write(tmp_path, document)
    with pytest.raises(SystemExit, match="1"):
        main([str(tmp_path)])
    printed = capsys.readouterr()
    assert printed.out.splitlines() == ["Papilio_fictus.yaml: has no synonyms", "Papilio_fictus.yaml: has no facts"]
    assert printed.err == "error: problems found: 2\n"


def test_command_refuses_a_name_that_one_of_ours_has(tmp_path: Path) -> None:
    write(tmp_path, invented(common_name="Monarch"))
    with pytest.raises(UserError, match="the name Monarch is one of Danaus plexippus already"):
        main([str(tmp_path)])


def test_without_a_package_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    line = f"the knowledge base needs yaml; install it with: {extras.install_command('app')}"
    with pytest.raises(UserError, match=re.escape(line)):
        main([])
