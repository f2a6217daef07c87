"""Secrets: opened last, from variables and files, and shown by nothing."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from fluxline.config import reveal_options, seal_options
from fluxline.errors import ConfigError, NameNotFound, Place
from fluxline.options import Options, Secret, option, read_options

VARIABLES = {"USER_NAME": "ann", "TOKEN": "canary-9", "EMPTY": ""}


def reveal(value: object, directory: Path = Path("/")) -> object:
    """One option, opened."""
    return reveal_options({"option": value}, directory=directory, variables=VARIABLES)["option"]


@pytest.mark.parametrize(
    ("written", "opened"),
    [
        ("${env:TOKEN}", Secret("canary-9")),
        ("Bearer ${env:TOKEN}!", Secret("Bearer canary-9!")),
        ("${env:USER_NAME}:${env:TOKEN}", Secret("ann:canary-9")),
        ("${env:EMPTY}", Secret("")),
        ("${env:USER_NAME:-bob}", "ann"),
        ("${env:NOBODY:-bob}", "bob"),
        ("${env:EMPTY:-bob}", "bob"),
        ("${env:NOBODY:-}", ""),
        ("${env:NOBODY:-a:-b}", "a:-b"),
        ("${env:USER_NAME:-bob}:${env:TOKEN}", Secret("ann:canary-9")),
        (["${env:TOKEN}", "plain", 3], [Secret("canary-9"), "plain", 3]),
        ({"a.b": "${env:TOKEN}"}, {"a.b": Secret("canary-9")}),
        ("plain {braces} $5", "plain {braces} $5"),
        (3, 3),
        (True, True),
    ],
)
def test_what_a_text_stands_for(written: object, opened: object) -> None:
    """A reference makes a secret, a default makes it text; everything else stays as it is."""
    assert reveal(written) == opened


@pytest.mark.parametrize(
    "written", ["${env:}", "${env:A B}", "${env:1A}", "${ENV}", "${}", "${env:TOKEN", "${file:}", "${file:x:-y}", "a ${ b", "${env:TOKEN} ${env"]
)
def test_what_is_no_reference(written: str) -> None:
    """Refused, opened or not."""
    with pytest.raises(ConfigError) as opened:
        reveal(written)
    with pytest.raises(ConfigError) as sealed:
        seal_options({"option": written})
    assert (opened.value.code, sealed.value.code) == ("FLX-1017", "FLX-1017")


@pytest.mark.parametrize("store", ["vault", "aws", "kms", "files"])
def test_other_stores_are_refused_by_name(store: str) -> None:
    """Also with a default, which would hide the mistake."""
    for written in (f"${{{store}:a/b}}", f"${{{store}:a:-b}}"):
        with pytest.raises(ConfigError) as caught:
            reveal(written)
        assert caught.value.fact == f'no store "{store}" to take a secret from'


def test_the_process_s_own_variables_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none are handed in."""
    monkeypatch.setenv("FLUXLINE_TEST_TOKEN", "canary-8")
    assert reveal_options({"a": "${env:FLUXLINE_TEST_TOKEN}"}, directory=Path("/")) == {"a": Secret("canary-8")}


def secret_file(directory: Path, content: bytes, mode: int = 0o600) -> Path:
    """A file with this content and mode."""
    path = directory / "secret"
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("content", "value"),
    [(b"canary-7", "canary-7"), (b"canary-7\n", "canary-7"), (b"canary-7\r\n", "canary-7"), (b"a\n\n", "a\n"), (b"", ""), (b" \xc3\xa9 ", " é ")],
)
def test_a_file_is_read_without_its_last_line_end(tmp_path: Path, content: bytes, value: str) -> None:
    """Editors add one; everything else belongs to the secret. Relative paths start from the project."""
    path = secret_file(tmp_path, content)
    assert reveal(f"${{file:{path}}}") == Secret(value)
    assert reveal("${file:secret}", tmp_path) == Secret(value)


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o700])
def test_a_file_of_the_owner_alone_is_read(tmp_path: Path, mode: int) -> None:
    """Whatever the owner may do with it."""
    assert reveal(f"${{file:{secret_file(tmp_path, b'x', mode)}}}") == Secret("x")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o444, 0o620, 0o602])
def test_a_file_that_is_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    """Readable or writable, for the group or for everybody."""
    path = secret_file(tmp_path, b"canary-6", mode)
    with pytest.raises(ConfigError) as caught:
        reveal(f"${{file:{path}}}")
    assert caught.value.code == "FLX-1019"
    assert caught.value.detail.startswith(f"Its mode is {mode:04o};")
    assert "canary" not in caught.value.render()


def test_a_file_that_cannot_be_the_secret(tmp_path: Path) -> None:
    """Missing, a folder, a pipe that would be waited for, too large, no text."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "large").write_bytes(b"x" * (64 * 1024 + 1))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for name in ("large", "binary"):
        (tmp_path / name).chmod(0o600)
    said = {
        "missing": "No such file or directory.",
        ".": "It is no regular file.",
        "pipe": "It is no regular file.",
        "large": "It has more than 65536 bytes.",
        "binary": "It is not UTF-8 text.",
    }
    for name, detail in said.items():
        with pytest.raises(ConfigError) as caught:
            reveal(f"${{file:{name}}}", tmp_path)
        assert (caught.value.code, caught.value.detail) == ("FLX-1018", detail)


def test_sealed_options_open_nothing() -> None:
    """A check needs neither variables nor files."""
    sealed = seal_options({"a": "${env:NOBODY}", "b": "${file:/nowhere}", "c": "${env:NOBODY:-x}", "d": ["${env:NOBODY}"], "e": 1})
    assert sealed == {"a": Secret("${env:NOBODY}"), "b": Secret("${file:/nowhere}"), "c": "x", "d": [Secret("${env:NOBODY}")], "e": 1}


class Login(Options):
    """Options that meet references."""

    password: Secret = option("What proves it.")
    user: str = option("Who it is.", default="")
    mode: str = option("How.", default="plain", choices=("plain", "tls"))
    hosts: list[str] = option("Where.", default=[])
    raw: dict[str, object] = option("Raw options.", default={})
    wait: timedelta = option("How long.", default=timedelta(0))
    port: int = option("Which.", default=1)


def read(**raw: object) -> Login:
    """The options of references that are opened."""
    return read_options(Login, reveal_options(raw, directory=Path("/"), variables=VARIABLES), of='connector "test"')


def test_an_option_that_is_no_secret_gets_the_text() -> None:
    """Also inside lists and tables; the secret stays closed."""
    login = read(
        password="${env:TOKEN}", user="${env:USER_NAME}", mode="${env:NOBODY:-tls}", hosts=["${env:USER_NAME}.org"],
        raw={"a": "${env:USER_NAME}"}, wait="${env:NOBODY:-5 seconds}",
    )  # fmt: skip
    assert (login.user, login.mode, login.hosts, login.raw, login.wait) == ("ann", "tls", ["ann.org"], {"a": "ann"}, timedelta(seconds=5))
    assert login.password.reveal() == "canary-9"
    assert "canary" not in repr(login)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"password": "canary-5"}, "takes a secret"),
        ({"password": "${env:NOBODY:-canary-5}"}, "takes a secret"),
        ({"password": "${env:TOKEN}", "mode": "${env:TOKEN}"}, "takes one of plain, tls, not ***"),
        ({"password": "${env:TOKEN}", "port": "${env:TOKEN}"}, "takes a whole number, not ***"),
        ({"password": "${env:TOKEN}", "wait": "${env:TOKEN}"}, "is no duration: ***"),
    ],
)
def test_a_message_about_a_referenced_value_does_not_show_it(raw: dict[str, object], said: str) -> None:
    """Nor a literal where a reference is needed."""
    with pytest.raises(ConfigError) as caught:
        read(**raw)
    assert said in caught.value.fact
    assert "canary" not in caught.value.render()


@pytest.mark.parametrize("key", ["password", "pasword"])
def test_the_line_of_a_literal_secret_is_not_shown(tmp_path: Path, key: str) -> None:
    """The place is, without what stands there; also where the name of the secret is misspelt."""
    file = tmp_path / "fluxline.toml"
    file.write_text(f'{key} = "canary-4"\n')
    with pytest.raises((ConfigError, NameNotFound)) as caught:
        read_options(Login, {key: "canary-4"}, of='connector "test"', place=lambda _key: Place(str(file), 1, 1, 9))
    assert "canary" not in caught.value.render()
    assert "fluxline.toml:1:1" in caught.value.render()
    other = Place(str(file), 1)
    assert "canary-4" in other.snippet()
    assert other.without_line().snippet() == ""
