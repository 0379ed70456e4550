"""mkdocs hooks: the pages of config fields and commands are made from the code; no guide is left out of the menu."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from butterflyer_jax.__main__ import COMMANDS, load
from butterflyer_jax.config import describe

# In a page: {{ config_fields }} and {{ commands }}.
_MARKER = re.compile(r"\{\{ (\w+) \}\}")


def on_config(config: Any) -> Any:
    """Adds the guides that mkdocs.yml does not name to the end of the menu's guides."""
    [guides] = [section["Guides"] for section in config["nav"] if "Guides" in section]
    named = {path for entry in guides for path in entry.values()}
    folder = Path(config["docs_dir"])
    found = sorted(page.relative_to(folder).as_posix() for page in (folder / "guides").glob("*.md"))
    guides += [page for page in found if page not in named]
    return config


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
