"""Mistakes in a pipeline's file as their author sees them: `golden/*.test` holds the file and the message, caret included.

A golden file begins with a comment; then come files, each behind `--- NAME`, the first of which is read for its pipelines; then
`--- error` with the message, which is compared to the letter.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fluxline.errors import FluxlineError
from fluxline.pipeline.discovery import find_pipelines

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.test"))


def read_golden(path: Path) -> tuple[dict[str, str], str, int]:
    """The files, the message, and the width at which it is shown."""
    _, *sections = re.split(r"^--- (.*)\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    files = dict(zip(sections[::2], sections[1::2], strict=True))
    title, expected = files.popitem()
    assert title.startswith("error"), f"{path.name} ends without an error"
    return files, expected, int(title.rpartition(" ")[2]) if " " in title else 0


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_the_message_is_as_written(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the letter."""
    files, expected, width = read_golden(path)
    monkeypatch.chdir(tmp_path)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(FluxlineError) as caught:
        find_pipelines(next(iter(files)))
    assert caught.value.render(width=width) + "\n" == expected


def test_there_are_golden_files() -> None:
    """An empty folder would pass everything."""
    assert len(GOLDEN) > 60


def test_mistakes_look_alike_at_the_usual_width() -> None:
    """The place ends at the right margin, where there is room."""
    from fluxline.errors import Place

    first = FluxlineError("FLX-2104", "a fact", place=Place("shop.py", 3, 5)).render().splitlines()[0]
    assert len(first) == 118
    assert first.startswith("FLX-2104  a fact   ")
    assert first.endswith("   shop.py:3:5")
