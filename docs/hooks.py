"""mkdocs hooks: the pages of config fields and of commands are made from the code."""

from __future__ import annotations

import re
from typing import Any

from butterflyer_jax.__main__ import COMMANDS, load
from butterflyer_jax.config import describe

# In a page: {{ config_fields }} and {{ commands }}.
_MARKER = re.compile(r"\{\{ (\w+) \}\}")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replaces markers in a page by what they stand for."""
    return _MARKER.sub(lambda match: _MAKERS[match[1]](), markdown)


def config_fields() -> str:
    """Returns a table of all config fields for each section."""
    sections: dict[str, list[str]] = {}
    for name, default, doc in describe():
        section, _, field = name.rpartition(".")
        text = doc.replace("|", "\\|").replace("<", "&lt;")
        sections.setdefault(section, []).append(f"| `{field}` | `{default}` | {text} |")
    head = "| field | default | meaning |\n| --- | --- | --- |\n"
    return "\n\n".join(f"## {section or 'Top level'}\n\n{head}" + "\n".join(rows) for section, rows in sections.items())


def commands() -> str:
    """Returns the help of every command, without the table of config fields."""
    parts = []
    for name in COMMANDS:
        parser = load(name).parser()
        epilog, parser.epilog = parser.epilog or "", None
        fields = "\nEvery [config field](config.md) is an option too.\n" if "--config." in epilog else ""
        parts.append(f"## {name}\n{fields}\n```text\n{parser.format_help().rstrip()}\n```")
    return "\n\n".join(parts)


_MAKERS = {"config_fields": config_fields, "commands": commands}
