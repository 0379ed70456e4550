"""The page of the library's names, and the docstrings that it is made of."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import butterflyer_jax as bj
from butterflyer_jax.config import describe
from butterflyer_jax.export import Written
from butterflyer_jax.predictor import Look
from butterflyer_jax.train import Summary
from tests.conftest import ROOT
from tests.report.pages import Page


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("api_page", ROOT / "scripts" / "api_page.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    # Where its dataclasses look for their module.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


api_page = load()


def public_functions() -> dict[str, Any]:
    """Every function and method that `__all__` leads to, by a name for it."""
    found = {}
    for name in bj.__all__:
        value = getattr(bj, name)
        value = getattr(value, name) if inspect.ismodule(value) else value
        if not inspect.isclass(value):
            found[name] = value
            continue
        for key in vars(value):
            method = getattr(value, key)
            if not key.startswith("_") and inspect.isroutine(method):
                found[f"{name}.{key}"] = method
    return {**found, "Look.picture": Look.picture}


FUNCTIONS = public_functions()


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page, written by the command."""
    file = tmp_path_factory.mktemp("api") / "api.html"
    line = [sys.executable, "scripts/api_page.py", "--to", str(file)]
    result = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"wrote {file}\n"
    return file.read_text()


def test_every_public_name_parameter_and_error_is_in_the_page(html: str) -> None:
    page = Page(html)
    for name in bj.__all__:
        assert {"id": f"bj.{name}"} in page.all("section")
    assert {"id": "Summary"} in page.all("section"), "what functions return is there too"
    for name, function in FUNCTIONS.items():
        section = html[html.index(f'<section id="{"" if name.startswith("Look") else "bj."}{name.split(".")[0]}">') :]
        section = section[: section.index("</section>")]
        for parameter in inspect.signature(function).parameters.values():
            if parameter.name != "self":
                stars = "**" if parameter.kind is parameter.VAR_KEYWORD else ""
                assert f"{stars}{parameter.name}: " in section, (name, parameter)
                assert parameter.name in section[section.index("Arguments") :], (name, parameter)
        for kind, description in api_page.read_doc(function).raises:
            assert f"<dt><code>{kind}</code></dt>\n  <dd>{api_page.words(description)}</dd>" in section, name
    for name, default, _ in describe():
        assert f"<code>{name}</code>" in html and str(default).replace("'", "&#39;") in html
    for command in ("train", "evaluate", "predict", "export", "launch", "sweep", "data.build"):
        assert f"<code>python -m butterflyer_jax.{command}</code>" in html
    assert "--gradcam FOLDER" in page.words
    assert "format: str = &#39;keras&#39;" in html and "python: str = sys.executable" in html
    assert "top: int = 5" in html


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstrings_tell_every_parameter_and_no_other(name: str) -> None:
    doc = api_page.read_doc(FUNCTIONS[name])
    told = [one.strip().lstrip("*") for names, description in doc.args for one in names.split(",") if description]
    assert told == [one for one in inspect.signature(FUNCTIONS[name]).parameters if one != "self"]
    assert doc.summary.endswith(".")


@pytest.mark.parametrize("of", [Summary, Written, Look])
def test_docstrings_tell_every_attribute_of_what_is_returned(of: type[Any]) -> None:
    assert [name for name, _ in api_page.read_doc(of).attributes] == [item.name for item in dataclasses.fields(of)]


def test_a_docstring_that_rots_is_noticed() -> None:
    def function(first: int, second: int = 2) -> None:
        """Does a thing.

        Args:
          first: one.
          third: gone long since.

        Raises:
          UserError: of the first.
          OSError, ValueError: of `both`.
        """

    doc = api_page.read_doc(function)
    assert [name for name, _ in doc.args] == ["first", "third"]
    assert doc.raises == [("UserError", "of the first."), ("OSError, ValueError", "of `both`.")]
    assert api_page.read_function(function, "f").signature == "f(first: int, second: int = 2) -> None"


def test_the_page_stands_alone(html: str) -> None:
    page = Page(html)
    assert not {tag for tag, _ in page.elements} & {"script", "link", "iframe", "object", "img"}
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in page.all("a")} <= set(ids)
    assert "prefers-color-scheme: dark" in html and 'name="viewport"' in html
    assert str(ROOT) not in html and str(Path.home()) + "/" not in html and sys.executable not in html


def test_prose_is_escaped_and_programs_stay_as_they_are() -> None:
    text = "One `a<b>` & two\nlines.\n\n    x = 1\n\n    y = 2\n\nEnd."
    assert str(api_page.prose(text)).splitlines() == [
        "<p>One <code>a&lt;b&gt;</code> &amp; two lines.</p>",
        "<pre>x = 1",
        "",
        "y = 2</pre>",
        "<p>End.</p>",
    ]
