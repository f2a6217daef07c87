"""`fluxline new`: a project folder with a small pipeline that runs."""

from __future__ import annotations

import keyword
import re
import sys
from pathlib import Path

import click

from fluxline.cli.arguments import output_option

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_TAKEN = ("click", "duckdb", "fluxline", "msgspec", "numpy", "polars", "pytest")  # A file of that name would hide the package.


@click.command("new")
@click.argument("name")
@output_option
def new(name: str, output: str) -> int:
    """Make the project folder NAME in the current folder, with a small pipeline that runs.

    It has a pipeline, its input, a test, and fluxline.toml with an environment that reads files and writes tables.
    """
    from fluxline.cli.scaffold import project_files
    from fluxline.cli.screen import say, say_json
    from fluxline.config_version import own_version

    module = _module_name(name)
    folder = Path(name)
    files = project_files(module, own_version())
    _write(folder, files)
    if output == "json":
        say_json({"folder": str(folder.resolve()), "files": list(files)})
        return 0
    say([f"made {name}/", *(f"  {file}" for file in files), "next:"])
    say([f"  cd {name}", "  fluxline run --bounded", '  fluxline query "select * from hourly_averages"', "  pytest"])
    return 0


def _module_name(name: str) -> str:
    """The name of the pipeline and its Python file.

    Raises:
        ConfigError: FLX-1203, the name cannot be one.
    """
    from fluxline.errors import ConfigError

    module = name.replace("-", "_").lower()
    if not _NAME.fullmatch(name):
        detail = "It names a folder, a pipeline and a Python file: a letter, then letters, digits, hyphens and underscores."
    elif keyword.iskeyword(module) or module in sys.stdlib_module_names or module in _TAKEN:
        detail = f'A Python file "{module}.py" would hide what Python itself or a package has under that name.'
    else:
        return module
    raise ConfigError("FLX-1203", f'"{name}" cannot be the name of a project', detail=detail, hint="Choose another name, such as demo.")


def _write(folder: Path, files: dict[str, str]) -> None:
    """Write the files into a folder that is new or empty.

    Raises:
        ConfigError: FLX-1202, it holds something already.
        ExternalError: FLX-4103, it cannot be written.
    """
    from fluxline.errors import ConfigError, ExternalError

    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ConfigError("FLX-1202", f'"{folder}" is there already, and not empty', hint="Choose another name, or empty the folder.")
        for file, text in files.items():
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ExternalError("FLX-4103", f'"{folder}" cannot be written: {error.strerror or error}') from error
