"""Every mistake in a project file as its author sees it: `golden/*.test` holds the file, what is done with it, and the message.

A golden file begins with a comment and `do:` with one of

    load
    resolve [ENVIRONMENT] [KEY=VALUE ...]         with FLUXLINE_ENV unset
    run ENVIRONMENT                               resolve, then refuse what this version does not do
    bind ENVIRONMENT NAME sink|table FILE:LINE:COLUMN-END
    reveal ENVIRONMENT NAME                       open the references of the name's options; VARIABLE is "value"

then come files, each behind `--- NAME`, the last of them the expected error.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fluxline.config import Project, binding_for, load_project, refuse_unsupported, resolve_environment, reveal_options
from fluxline.errors import FluxlineError, Place

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.test"))


def read_golden(path: Path) -> tuple[list[str], dict[str, str]]:
    """What is done, word by word, and the files."""
    head, *sections = re.split(r"^--- (.*)\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    done = re.search(r"^do: (.*)$", head, re.MULTILINE)
    assert done is not None, f"{path.name} does nothing"
    return done.group(1).split(), dict(zip(sections[::2], sections[1::2], strict=True))


def carry_out(words: list[str], directory: Path) -> None:
    """Do what the golden file says."""
    project = load_project(directory / "fluxline.toml", version="0.3.1")
    assert isinstance(project, Project)
    match words:
        case ["load"]:
            pass
        case ["resolve", *rest]:
            name = rest[0] if rest and "=" not in rest[0] else None
            resolve_environment(project, name, overrides=rest[1:] if name else rest, variables={})
        case ["run", name]:
            refuse_unsupported(resolve_environment(project, name))
        case ["bind", environment, name, kind, where]:
            file, line, columns = where.split(":")
            start, end = columns.split("-")
            place = Place(str(directory / file), int(line), int(start), int(end))
            binding_for(resolve_environment(project, environment), name, keyed=kind == "table", place=place)
        case ["reveal", environment, name]:
            binding = binding_for(resolve_environment(project, environment), name, keyed=False)
            reveal_options(binding.options, directory=project.directory, place=binding.place, variables={"VARIABLE": "value"})
        case _:
            raise AssertionError(f"do not know how to: {' '.join(words)}")


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_the_message_is_as_written(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the letter."""
    words, files = read_golden(path)
    expected = files.pop("error")
    monkeypatch.chdir(tmp_path)
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        (tmp_path / name).chmod(0o644)
    with pytest.raises(FluxlineError) as caught:
        carry_out(words, tmp_path)
    assert caught.value.render(width=0) + "\n" == expected


def test_there_are_golden_files() -> None:
    """An empty folder would pass everything."""
    assert len(GOLDEN) >= 15
