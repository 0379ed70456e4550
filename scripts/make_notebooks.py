"""Makes notebooks/*.ipynb of notebooks/*.py, with outputs.

.venv/bin/python scripts/make_notebooks.py

The sources are in the percent format; a notebook is its cells, run from the first to the last on the demo's data and
run, which scripts/demo.sh makes.
"""

from __future__ import annotations

import re
from pathlib import Path

import nbformat

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "notebooks"
TIMEOUT_SECONDS = 600
_CELL = re.compile(r"^# %%(?P<markdown> \[markdown\])?\n", re.MULTILINE)


def cells(source: str) -> nbformat.NotebookNode:
    """Returns the notebook of a source, without outputs."""
    book = nbformat.v4.new_notebook()
    book.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    starts = list(_CELL.finditer(source))
    for number, (match, end) in enumerate(
        zip(starts, [*(one.start() for one in starts[1:]), len(source)], strict=True)
    ):
        text = source[match.end() : end].strip("\n")
        if match["markdown"]:
            cell = nbformat.v4.new_markdown_cell(re.sub(r"^# ?", "", text, flags=re.MULTILINE))
        else:
            cell = nbformat.v4.new_code_cell(text)
        # The same at every making.
        cell["id"] = f"cell-{number:02}"
        book.cells.append(cell)
    return book


def main() -> None:
    """Runs the command with its arguments."""
    import nbclient

    for source in sorted(FOLDER.glob("*.py")):
        book = cells(source.read_text(encoding="utf-8"))
        resources = {"metadata": {"path": str(FOLDER)}}
        nbclient.NotebookClient(book, timeout=TIMEOUT_SECONDS, resources=resources).execute()
        for cell in book.cells:
            # When a cell ran.
            cell.metadata.pop("execution", None)
            # Progress and warnings.
            if cell.cell_type == "code":
                cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        book.metadata["language_info"] = {"name": "python"}
        target = source.with_suffix(".ipynb")
        nbformat.write(book, target)
        print(f"wrote {target.relative_to(ROOT)}, {target.stat().st_size >> 10} KiB")


if __name__ == "__main__":
    main()
