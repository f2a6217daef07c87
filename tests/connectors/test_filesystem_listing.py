"""Which files a path means."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from fluxline.connectors.filesystem import listing
from fluxline.errors import ConfigError, ExternalError, ResourceMissing
from tests.connectors.sources import files, take

if TYPE_CHECKING:
    from pathlib import Path

TREE = (
    "b.ndjson", "a.ndjson", "a.csv", ".hidden.ndjson", "_fluxline.json", "2024/x.ndjson", "2024/deep/y.ndjson", "2025/x.ndjson", "_old/x.ndjson",
    ".git/x.ndjson", "Z.ndjson",
)  # fmt: skip


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in TREE:
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("data", ["2024/deep/y.ndjson", "2024/x.ndjson", "2025/x.ndjson", "Z.ndjson", "a.csv", "a.ndjson", "b.ndjson"]),
        ("data/", ["2024/deep/y.ndjson", "2024/x.ndjson", "2025/x.ndjson", "Z.ndjson", "a.csv", "a.ndjson", "b.ndjson"]),
        ("data/a.ndjson", ["a.ndjson"]),
        ("data/_old/x.ndjson", ["x.ndjson"]),
        ("data/*.ndjson", ["Z.ndjson", "a.ndjson", "b.ndjson"]),
        ("data/[ab].*", ["a.csv", "a.ndjson", "b.ndjson"]),
        ("data/?.csv", ["a.csv"]),
        ("data/_*", ["_fluxline.json"]),
        ("data/.*", [".hidden.ndjson"]),
        ("data/20*/x.ndjson", ["2024/x.ndjson", "2025/x.ndjson"]),
        ("data/**/x.ndjson", ["2024/x.ndjson", "2025/x.ndjson"]),
        ("data/2024/**", ["deep/y.ndjson", "x.ndjson"]),
        ("data/_*/*", ["_old/x.ndjson"]),
    ],
)
def test_names_and_their_order(tree: Path, path: str, names: list[str]) -> None:
    source = files(tree, path)
    assert list(source.partitions()) == names
    base = {"data/a.ndjson": "data", "data/_old/x.ndjson": "data/_old", "data/2024/**": "data/2024"}.get(path, "data")
    for name in names:
        assert take(source.open(name, None)).decode() == os.path.relpath(tree / base / name, tree / "data")


def test_a_name_with_signs_of_patterns_is_the_file_of_that_name(tmp_path: Path) -> None:
    (tmp_path / "data[1].ndjson").write_text("one")
    (tmp_path / "data1.ndjson").write_text("other")
    assert list(files(tmp_path, "data[1].ndjson").partitions()) == ["data[1].ndjson"]


def test_links_to_files_are_read_and_links_to_directories_are_not_entered(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "elsewhere.ndjson").write_text("x")
    (tmp_path / "in" / "link.ndjson").symlink_to(tmp_path / "elsewhere.ndjson")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "broken.ndjson").symlink_to(tmp_path / "nowhere")
    assert list(files(tmp_path, "in").partitions()) == ["link.ndjson"]
    (tmp_path / "direct").symlink_to(tmp_path / "in")
    assert list(files(tmp_path, "direct").partitions()) == ["link.ndjson"]


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("data/redings.ndjson", 'Did you mean "{0}/data/readings.ndjson"?'),
        ("dta/readings.ndjson", 'Did you mean "{0}/data"?'),
        ("data/reading.*", 'Did you mean "{0}/data/readings.ndjson"?'),
        ("data/entirely-different", ""),
        ("data/readings.ndjson/x", ""),
    ],
)
def test_what_is_missing_is_named_with_the_nearest_that_is_there(tmp_path: Path, path: str, hint: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "readings.ndjson").touch()
    with pytest.raises(ResourceMissing) as caught:
        files(tmp_path, path).partitions()
    assert caught.value.code == "FLX-4201"
    assert path in caught.value.fact
    assert caught.value.hint == hint.format(tmp_path)
    assert caught.value.place is None


@pytest.mark.parametrize("path", ["data", "data/*.csv", "data/*/**"])
def test_nothing_to_read_is_an_error_only_of_a_source_that_ends(tmp_path: Path, path: str) -> None:
    (tmp_path / "data").mkdir()
    for bounded, follow in ((False, False), (True, True)):
        with pytest.raises(ResourceMissing) as caught:
            files(tmp_path, path, follow=follow, bounded=bounded).partitions()
        assert caught.value.code == "FLX-4201"
        assert "follow" in caught.value.hint
    waiting = files(tmp_path, path, follow=True)
    assert waiting.partitions() == ()
    (tmp_path / "data" / "later").mkdir()
    (tmp_path / "data" / "later" / "x.csv").write_text("1")
    (tmp_path / "data" / "x.csv").write_text("2")
    assert waiting.partitions() == {"data": ("later/x.csv", "x.csv"), "data/*.csv": ("x.csv",), "data/*/**": ("later/x.csv",)}[path]


def test_a_missing_path_is_an_error_even_of_a_source_that_follows(tmp_path: Path) -> None:
    with pytest.raises(ResourceMissing):
        files(tmp_path, "nowhere.ndjson", follow=True).partitions()


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ExternalError) as caught:
        files(tmp_path, "pipe").partitions()
    assert caught.value.code == "FLX-4209"


def test_a_name_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with open(os.fsencode(tmp_path / "in") + b"/\xff.ndjson", "wb"):  # noqa: PTH123  # a Path cannot hold these bytes readably
        pass
    with pytest.raises(ExternalError) as caught:
        files(tmp_path, "in").partitions()
    assert caught.value.code == "FLX-4209"


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "PARTITIONS_MAX", 2)
    for name in "abc":
        (tmp_path / name).touch()
    with pytest.raises(ExternalError) as caught:
        files(tmp_path, ".").partitions()
    assert caught.value.code == "FLX-4209"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"path": "s3://bucket/x"}, "address"),
        ({"path": ""}, "names no file"),
        ({"path": "a\0b"}, "names no file"),
        ({"path": "x", "part_suffix": "ndjson"}, "point"),
        ({"path": "x", "part_suffix": ".nd/json"}, "point"),
    ],
)
def test_options_that_cannot_be(tmp_path: Path, options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        files(tmp_path, **options)  # type: ignore[arg-type]  # as TOML gives them
    assert caught.value.code == "FLX-1106"
    assert said in caught.value.detail


@pytest.mark.parametrize("option", [{"part_suffix": ".gz"}, {"part_bytes_max": 2**21}])
def test_an_option_for_writing_is_refused_for_reading(tmp_path: Path, option: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as caught:
        files(tmp_path, "x", **option)  # type: ignore[arg-type]  # as TOML gives them
    assert caught.value.code == "FLX-1106"
    assert next(iter(option)) in caught.value.fact
