"""The library's public names as one HTML page, made of their docstrings, and every command's --help.

python scripts/api_page.py --to api.html
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import inspect
import io
import itertools
import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docstring_parser
import markupsafe

import butterflyer_jax
from butterflyer_jax import cli, config
from butterflyer_jax.data import storage
from butterflyer_jax.report.page import make_environment

PACKAGE = Path(butterflyer_jax.__file__).parent
TEMPLATE = Path(__file__).with_suffix(".html.j2")
HELP_COLUMNS = "100"
MAX_LINE = 76
# For the table of all fields, which the page has once.
CONFIG_HELP = "config fields, each set by --config.FIELD=VALUE: see bj.Config"


@dataclass(frozen=True)
class Parameter:
    """A parameter as the source has it; `default` is empty where there is none."""

    name: str
    annotation: str
    default: str

    def __str__(self) -> str:
        typed = f"{self.name}: {self.annotation}" if self.annotation else self.name
        return f"{typed} = {self.default}" if self.default else typed


@dataclass(frozen=True)
class Function:
    """A function or method; `call` is how it is written in a program, without what stands in the brackets."""

    call: str
    parameters: Sequence[Parameter]
    returns: str
    doc: Doc

    @property
    def signature(self) -> str:
        """The call with its parameters: on one line, or one on each."""
        end = f") -> {self.returns}" if self.returns else ")"
        line = f"{self.call}({', '.join(map(str, self.parameters))}{end}"
        if len(line) <= MAX_LINE:
            return line
        return "\n".join([f"{self.call}(", *(f"    {parameter}," for parameter in self.parameters), end])


@dataclass(frozen=True)
class Class:
    """A class with its public methods."""

    name: str
    doc: Doc
    methods: Sequence[Function]
    fields: Sequence[tuple[str, str, str]]


@dataclass(frozen=True)
class Doc:
    """A docstring, in its sections; the items are (name, description)."""

    summary: str
    description: str
    args: Sequence[tuple[str, str]]
    attributes: Sequence[tuple[str, str]]
    raises: Sequence[tuple[str, str]]
    returns: str


def read_doc(documented: Any) -> Doc:
    """Returns the docstring of a function or class; a name in its Args may stand for several, as in `a, b: …`."""
    text = inspect.getdoc(documented) or ""
    parsed = docstring_parser.parse(text, docstring_parser.DocstringStyle.GOOGLE)

    def section(kind: str) -> list[tuple[str, str]]:
        return [(item.arg_name, item.description or "") for item in parsed.params if item.args[0] == kind]

    return Doc(
        summary=parsed.short_description or "",
        description=parsed.long_description or "",
        args=section("param"),
        attributes=section("attribute"),
        raises=[(item.type_name or "", item.description or "") for item in parsed.raises],
        returns=(parsed.returns.description or "") if parsed.returns else "",
    )


def read_function(function: Callable[..., Any], call: str) -> Function:
    """Returns a function as its source and its docstring have it."""
    [node] = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(node, ast.FunctionDef)
    given = [*node.args.posonlyargs, *node.args.args]
    defaults = [None] * (len(given) - len(node.args.defaults)) + list(node.args.defaults)
    parameters = [
        Parameter(name.arg, _annotation(name.annotation), _default(default, function))
        for name, default in zip(given, defaults, strict=True)
        if name.arg not in ("self", "cls")
    ]
    if node.args.kwarg:
        parameters.append(Parameter(f"**{node.args.kwarg.arg}", _annotation(node.args.kwarg.annotation), ""))
    assert not (node.args.kwonlyargs or node.args.vararg), f"{call} has parameters that this does not know"
    return Function(call, parameters, _annotation(node.returns), read_doc(function))


def _annotation(node: ast.AST | None) -> str:
    return ast.unparse(node).strip("'") if node else ""


def _default(node: ast.AST | None, function: Any) -> str:
    # A constant's value tells more than its name; an expression, such as sys.executable, more than its value here.
    if isinstance(node, ast.Name):
        return repr(function.__globals__[node.id])
    return ast.unparse(node) if node else ""


def read_class(of: type[Any], name: str) -> Class:
    """Returns a class with its own public methods, those that make one of it first."""
    object_name = of.__name__.lower()
    own = [(key, value) for key, value in vars(of).items() if not key.startswith("_")]
    makers = [(key, value.__func__, name) for key, value in own if isinstance(value, classmethod)]
    methods = [(key, value, object_name) for key, value in own if inspect.isfunction(value)]
    fields = config.describe(of) if of is config.Config else []
    return Class(name, read_doc(of), [read_function(f, f"{owner}.{key}") for key, f, owner in makers + methods], fields)


def public() -> list[Function | Class]:
    """Returns what `butterflyer_jax.__all__` names, then the classes that the functions of these return."""
    found: dict[str, Function | Class] = {}
    returned: dict[str, type[Any]] = {}
    for name in butterflyer_jax.__all__:
        value = getattr(butterflyer_jax, name)
        # Modules that are called as their function.
        value = getattr(value, name) if inspect.ismodule(value) else value
        read = read_class if inspect.isclass(value) else read_function
        found[name] = of_name = read(value, f"bj.{name}")
        home = sys.modules[value.__module__]
        for function in of_name.methods if isinstance(of_name, Class) else [of_name]:
            for word in re.findall(r"\w+", function.returns):
                of = getattr(home, word, None)
                if inspect.isclass(of) and of.__module__.startswith("butterflyer_jax"):
                    returned.setdefault(word, of)
    return [*found.values(), *(read_class(of, name) for name, of in returned.items() if name not in found)]


def commands() -> Iterator[tuple[str, str]]:
    """Yields the name of each command and its --help."""
    for file in sorted(PACKAGE.rglob("*.py")):
        if "cli.run(main)" in file.read_text():
            module = ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
                importlib.import_module(module).main(["--help"])
            shortened = printed.getvalue().replace(cli.config_help(), CONFIG_HELP)
            yield f"python -m {module.removesuffix('.__main__')}", shortened


def prose(text: str) -> markupsafe.Markup:
    """Returns text of a docstring as HTML: paragraphs, names in backticks, and what is indented as it stands."""
    parts = []
    paragraphs = re.split(r"\n\s*\n", text.strip("\n"))
    for indented, group in itertools.groupby(paragraphs, lambda paragraph: paragraph.startswith("    ")):
        if indented:
            program = textwrap.dedent("\n\n".join(group))
            parts.append(f"<pre>{markupsafe.escape(program)}</pre>")
        else:
            parts += [f"<p>{words(paragraph)}</p>" for paragraph in group]
    return markupsafe.Markup("\n".join(parts))


def words(text: str) -> markupsafe.Markup:
    """Returns a paragraph of a docstring as HTML."""
    escaped = str(markupsafe.escape(" ".join(text.split())))
    return markupsafe.Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", escaped))


def render() -> str:
    """Returns the page."""
    environment = make_environment()
    environment.filters |= {"prose": prose, "words": words}
    lead, _, rest = (inspect.getdoc(butterflyer_jax) or "").partition("\n")
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        version=butterflyer_jax.__version__,
        lead=lead,
        description=rest,
        names=public(),
        commands=list(commands()),
    )


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = cli.ArgumentParser(prog="python scripts/api_page.py", description=__doc__)
    parser.add_argument("--to", required=True, metavar="FILE", help="where the page goes")
    args = parser.parse_args(argv)
    # What argparse wraps its help to.
    os.environ["COLUMNS"] = HELP_COLUMNS
    storage.write_text(args.to, render())
    print(f"wrote {args.to}")


if __name__ == "__main__":
    cli.run(main)
