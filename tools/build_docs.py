"""Write the pages of `docs/reference/` and the generated part of the README from the code; with `--check`, compare.

    python tools/build_docs.py            write what differs
    python tools/build_docs.py --check    show what differs, and leave with 1

A page is one function that returns its text. The same code gives the same text on every machine and Python version.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"
README = ROOT / "README.md"
BEGIN, END = "<!-- generated: make docs -->", "<!-- end of the generated part -->"


def build() -> dict[Path, str]:
    """The text of every generated file, by its path."""
    from tools.docs_code import api_page, cli_page, errors_page, limits_page, project_page
    from tools.docs_equivalence import equivalence_page
    from tools.docs_support import readme_part, support_page
    from tools.docs_words import connectors_page, formats_page, functions_page

    pages = {
        "api": api_page, "cli": cli_page, "connectors": connectors_page, "equivalence": equivalence_page, "errors": errors_page,
        "formats": formats_page, "functions": functions_page, "limits": limits_page, "project-file": project_page, "support": support_page,
    }  # fmt: skip
    built = {REFERENCE / f"{name}.md": write() for name, write in pages.items()}
    built[README] = with_part(README.read_text(encoding="utf-8"), readme_part())
    return built


def with_part(text: str, part: str) -> str:
    """The text with the part between the markers.

    Raises:
        ValueError: the markers are not there, once each and in order.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"{README.name} needs the markers {BEGIN} and {END}, once each")
    before, after = text[: text.index(BEGIN)], text[text.index(END) :]
    return f"{before}{BEGIN}\n\n{part}\n\n{after}"


def differences(built: dict[Path, str]) -> list[str]:
    """How the files differ from what the code says, as lines of a diff; empty when they do not."""
    found: list[str] = []
    for path, text in built.items():
        there = path.read_text(encoding="utf-8") if path.exists() else ""
        name = path.relative_to(ROOT).as_posix()
        found += difflib.unified_diff(there.splitlines(), text.splitlines(), f"{name} (there)", f"{name} (from the code)", lineterm="", n=1)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run one command line; returns its exit code."""
    parser = argparse.ArgumentParser(description="Write the reference pages and the generated part of the README from the code.")
    parser.add_argument("--check", action="store_true", help="compare only; leave with 1 where something differs")
    built = build()
    if parser.parse_args(arguments).check:
        found = differences(built)
        print("\n".join([*found, "", "the docs differ from the code: make docs"]) if found else "the docs agree with the code")
        return 1 if found else 0
    REFERENCE.mkdir(parents=True, exist_ok=True)
    for path, text in built.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT).as_posix()}")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))  # A script finds only what is beside it, and this one imports `tools.`.
    sys.exit(main())
