"""Every golden text, in every variant; and that a wrong text fails."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fluxline.options import parse_duration
from tests.golden.harness import VARIANTS, Variant, run_script
from tests.golden.script import read_script

FOLDER = Path(__file__).parent
TEXTS = sorted(FOLDER.glob("*/*.test"))
FOLDERS = ("expect", "filter", "group", "map_batches", "project", "rejected", "time", "tumble", "union")
_DURATION = re.compile(r"\b[1-9]\d* (?:ms|seconds?|minutes?|hours?|days?)\b")

RIGHT = """# A text that is right.
source clicks (user STRING, at TIMESTAMP_LTZ(3) NOT NULL) event_time at watermark 5 seconds
pipeline
  counts = clicks.window(tumble("10 seconds")).group_by("user").agg(n=count())
  counts.sink("counts", key=["user", "window_start"])
  totals = clicks.group_by("user", ttl="forever").agg(n=count())
  totals.sink("totals")
rows clicks
  ann  12:00:01
  ---
  ann  12:00:21
expect counts
  ann  12:00:00  12:00:10  1
expect changelog totals
  +I  ann  1
  -U  ann  1
  +U  ann  2
expect watermark clicks 12:00:16
expect ledger counts used 1 held 1
expect dropped late 0 rejected 0
"""


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("path", TEXTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_golden(path: Path, variant: Variant, tmp_path: Path) -> None:
    """As the text says."""
    script = read_script(path)
    if variant == "restarted" and script.restart_differs:
        with pytest.raises(AssertionError):
            run_script(script, variant, tmp_path)
        return
    run_script(script, variant, tmp_path)


def test_every_subject_has_texts() -> None:
    """And no folder is overlooked."""
    assert tuple(sorted({path.parent.name for path in TEXTS})) == FOLDERS
    assert len(TEXTS) >= 45


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_durations_of_a_definition_differ(path: Path) -> None:
    """So that two of them that are mixed up show."""
    head = "\n".join(line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith(("source ", "  ")) and "#" not in line)
    lengths = [parse_duration(text, name="duration") for text in set(_DURATION.findall(head))]
    assert len(set(lengths)) == len(lengths), lengths


def test_a_right_text_passes(tmp_path: Path) -> None:
    """In every variant."""
    path = tmp_path / "right.test"
    path.write_text(RIGHT, encoding="utf-8")
    for variant in VARIANTS:
        run_script(read_script(path), variant, tmp_path)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("  ann  12:00:00  12:00:10  1\n", "  ann  12:00:00  12:00:10  2\n"),
        ("  ann  12:00:00  12:00:10  1\n", "  ann  12:00:00  12:00:10  1\n  ann  12:00:00  12:00:10  1\n"),
        ("expect counts\n  ann  12:00:00  12:00:10  1\n", "expect counts none\n"),
        ("  -U  ann  1\n  +U  ann  2\n", "  +U  ann  2\n  -U  ann  1\n"),
        ("12:00:16", "12:00:15.999"),
        ("held 1", "held 0"),
        ("late 0", "late 1"),
        ("rejected 0", "rejected 1"),
    ],
)
def test_a_wrong_text_fails(right: str, wrong: str, tmp_path: Path) -> None:
    """Each kind of expectation can fail."""
    path = tmp_path / "wrong.test"
    assert right in RIGHT
    path.write_text(RIGHT.replace(right, wrong), encoding="utf-8")
    with pytest.raises(AssertionError):
        run_script(read_script(path), "as written", tmp_path)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("# A text that is right.\n", ""),
        ("expect dropped late 0 rejected 0\n", ""),
        ("expect counts\n  ann  12:00:00  12:00:10  1\n", "expect counts\n"),
        ("watermark 5 seconds\n", "watermark 5 seconds patience much\n"),
        ("expect ledger counts used 1 held 1\n", "expect ledger counts used 1 held 1\n  ann\n"),
    ],
)
def test_a_text_that_is_not_of_the_form_is_refused(right: str, wrong: str, tmp_path: Path) -> None:
    """A slip does not make a text that checks nothing."""
    path = tmp_path / "formless.test"
    assert right in RIGHT
    path.write_text(RIGHT.replace(right, wrong), encoding="utf-8")
    with pytest.raises(AssertionError):
        read_script(path)
