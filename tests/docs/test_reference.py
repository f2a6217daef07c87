"""The reference says what the code says: generated pages are up to date, and nothing that exists is left out."""

from __future__ import annotations

import typing
from pathlib import Path

import click
import pytest
from tools import build_docs

import fluxline
from fluxline.cli.main import COMMANDS
from fluxline.cli.main import fluxline as command_line
from fluxline.config_keys import PROJECT_FILE, Key
from fluxline.connectors import CONNECTORS, load_connector
from fluxline.connectors import LATER as CONNECTORS_LATER
from fluxline.error_codes import CODES
from fluxline.formats import FORMATS, load_format
from fluxline.library import AGGREGATES, FUNCTIONS
from fluxline.options import describe_options
from fluxline.pipeline.later import LATER
from fluxline.plan.json import _NODES
from fluxline.plan.window import WindowKind
from fluxline.telemetry import DROP_REASONS
from tests.tidy.tree import ROOT, text_of

REFERENCE = ROOT / "docs" / "reference"


@pytest.fixture(scope="module")
def built() -> dict[Path, str]:
    return build_docs.build()


def test_generated_pages_are_up_to_date(built: dict[Path, str]) -> None:
    """`make docs` would change nothing."""
    assert "\n".join(build_docs.differences(built)) == ""


def test_the_same_code_gives_the_same_pages(built: dict[Path, str]) -> None:
    """Nothing depends on the order of sets, on time or on the machine's folders."""
    assert build_docs.build() == built
    assert not [path for path, text in built.items() if str(ROOT) in text]


def test_check_finds_a_difference(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], built: dict[Path, str]) -> None:
    """A page that was changed by hand is told with the line, and the command fails."""
    page = REFERENCE / "limits.md"
    monkeypatch.setattr(build_docs, "build", lambda: built | {page: built[page].replace("# Limits", "# Other limits", 1)})
    assert build_docs.main(["--check"]) == 1
    assert "+# Other limits" in capsys.readouterr().out
    monkeypatch.setattr(build_docs, "build", lambda: built)
    assert build_docs.main(["--check"]) == 0


def test_the_readme_needs_its_markers() -> None:
    """Where the generated part has no place, nothing is written."""
    with pytest.raises(ValueError, match="once each"):
        build_docs.with_part("no markers", "part")


def reference(name: str) -> str:
    """The text of a generated page."""
    return text_of(REFERENCE / f"{name}.md")


def test_every_connector_and_option_is_there() -> None:
    text = reference("connectors")
    for name in CONNECTORS:
        section = text.split(f"\n## {name}\n")[1].split("\n## ")[0]
        for info in describe_options(load_connector(name).options):
            assert f"| `{info.name}` |" in section, f"{name}.{info.name}"
            assert info.description.replace("|", "\\|") in section
    assert all(f"| `{name}` | {why} |" in text for name, why in CONNECTORS_LATER.items())


def test_every_format_and_option_is_there() -> None:
    text = reference("formats")
    for name in FORMATS:
        section = text.split(f"\n## {name}\n")[1].split("\n## ")[0]
        assert all(f"| `{info.name}` |" in section for info in describe_options(load_format(name).options))


def test_every_function_and_aggregate_is_there() -> None:
    text = reference("functions").replace("\\|", "|")
    described = {name: word.doc for name, word in FUNCTIONS.items()} | {name: word.doc for name, word in AGGREGATES.items()}
    assert [name for name, about in described.items() if f"| `{name}` | {about}" not in text] == []


def test_every_error_code_is_there() -> None:
    text = reference("errors")
    assert [code for code, meaning in CODES.items() if f'<a id="{code.lower()}"></a>{code} | {meaning} |' not in text.replace("\\|", "|")] == []


def test_every_command_and_its_options_are_there() -> None:
    text = reference("cli")
    context = click.Context(command_line, info_name="fluxline")
    for name in COMMANDS:
        command = command_line.get_command(context, name)
        assert command is not None
        section = text.split(f"\n## fluxline {name}\n")[1]
        options = [
            option for parameter in command.params if isinstance(parameter, click.Option) and not parameter.hidden for option in parameter.opts
        ]
        assert [option for option in options if f"`{option}`" not in section] == [], name


def test_every_step_window_and_later_name_is_there() -> None:
    text = reference("support")
    assert [name for name in _NODES if f"| {name} |" not in text] == []
    assert [kind for kind in typing.get_args(WindowKind) if f"| `{kind}` |" not in text] == []
    assert [name for name, why in LATER.items() if f"| `{name}` | {why} |" not in text] == []
    assert [name for name, why in CONNECTORS_LATER.items() if f"| `{name}` | {why} |" not in text] == []


def test_every_public_name_is_there() -> None:
    text = reference("api")
    modules = set(fluxline._MODULES)
    assert [name for name in fluxline.__all__ if (f"\n## fluxline.{name}\n" if name in modules else f"\n### {name}\n") not in text] == []
    for owner in ("Pipeline", "Stream", "Sink", "Job", "Report", "Expr"):
        section = text.split(f"\n### {owner}\n")[1].split("\n### ")[0]
        names = [name for name in vars(getattr(fluxline, owner)) if not name.startswith("_")]
        forms = ("`.{}", f"#### {owner}.{{}}\n", "- `{}`:")
        assert [name for name in names if not any(form.format(name) in section for form in forms)] == []


def test_every_limit_is_there() -> None:
    from fluxline import limits

    text = reference("limits")
    units = {"KIB", "MIB"}
    assert [name for name in vars(limits) if name.isupper() and name not in units and f"| `{name}` |" not in text] == []


def test_every_key_of_the_project_file_is_there() -> None:
    text = reference("project-file")

    def names(key: Key) -> list[str]:
        below = [name for child in key.keys.values() for name in names(child)]
        return [*(name for name, child in key.keys.items() if child.kind != "refused"), *below, *(names(key.each) if key.each else [])]

    assert [name for name in names(PROJECT_FILE) if f"{name}` |" not in text] == []


def test_every_reason_of_rejected_rows_is_explained() -> None:
    """In the table of the ledger's page; `late` is a fate of its own."""
    text = text_of(ROOT / "docs" / "concepts" / "ledger.md")
    assert [reason for reason in DROP_REASONS if reason != "late" and f"| `{reason}` |" not in text] == []
