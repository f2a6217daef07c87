"""A secret is used and never shown: not by printing, formatting, describing or failing."""

from __future__ import annotations

import json
import logging
import traceback
from typing import TYPE_CHECKING, Optional

import pytest

from fluxline.errors import ConfigError, FluxlineError
from fluxline.options import Options, Secret, describe_options, option, read_options

if TYPE_CHECKING:
    from collections.abc import Callable

CANARY = "canary-5f1e"


class Login(Options):
    """Options with a secret of each form."""

    user: str = option("Who logs in.", default="ann")
    password: Secret = option("What proves it.")
    token: Secret | None = option("Another proof.", default=None)
    key: Optional[Secret] = option("A third one.", default=None)  # noqa: UP045  # both spellings have to be secret


SHOWN: dict[str, Callable[[Secret], str]] = {
    "repr": repr,
    "str": str,
    "format": lambda secret: f"{secret}",
    "format with a width": lambda secret: f"{secret:>40}",
    "format with conversion": lambda secret: f"{secret!r} {secret!s} {secret!a}",
    "percent": lambda secret: "%s %r" % (secret, secret),  # noqa: UP031  # the form is what is tested
    "str.format": "{0} {0!r}".format,
    "inside containers": lambda secret: repr({"password": [secret, (secret,)]}),
    "inside options": lambda secret: repr(Login(password=secret, token=secret, key=secret)),
    "as an error's argument": lambda secret: repr(ValueError(secret)),
    "json with str for the unknown": lambda secret: json.dumps({"password": secret}, default=str),
}


@pytest.mark.parametrize("way", SHOWN)
def test_a_secret_never_prints(way: str) -> None:
    """Three asterisks stand for it."""
    text = SHOWN[way](Secret(CANARY))
    assert CANARY not in text
    assert "***" in text


def test_its_value_is_there_for_the_call_that_needs_it() -> None:
    """Otherwise the tests above would pass for an empty secret."""
    assert Secret(CANARY).reveal() == CANARY
    assert Secret(CANARY) == Secret(CANARY) != Secret("other")


def test_an_error_that_mentions_it_does_not_show_it() -> None:
    """Not as text, as JSON, in a traceback, or in a log line."""
    secret = Secret(CANARY)
    error = FluxlineError("FLX-9000", f"login with {secret} failed", detail=f"The password is {secret!r}.", hint=f"Change {secret}.")
    record = logging.LogRecord("fluxline", logging.ERROR, __file__, 1, "%s with %s", (error, secret), None)
    for text in (
        str(error),
        repr(error),
        error.render(),
        json.dumps(error.as_json()),
        "".join(traceback.format_exception(error)),
        record.getMessage(),
    ):
        assert CANARY not in text
    assert "***" in error.fact


@pytest.mark.parametrize("name", ["password", "token", "key"])
def test_a_literal_in_the_place_of_a_secret_is_refused_and_not_repeated(name: str) -> None:
    """The message says how to refer to it instead."""
    with pytest.raises(ConfigError) as caught:
        read_options(Login, {"password": Secret("fine"), name: CANARY}, of='connector "kafka"')
    error = caught.value
    assert (error.code, CANARY in str(error), CANARY in json.dumps(error.as_json())) == ("FLX-1105", False, False)
    assert f'{name} = "${{env:NAME}}"' in error.hint


def test_every_form_of_a_secret_option_counts_as_secret() -> None:
    """Help, docs and messages ask this before they show a value."""
    assert {info.name: info.secret for info in describe_options(Login)} == {"user": False, "password": True, "token": True, "key": True}
