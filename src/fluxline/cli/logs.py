"""The log of a run: one rotating file in the environment's directory, and warnings on standard error where nothing is drawn there.

Nothing is sent anywhere. A line has time (UTC), process, level, logger and text; secrets print as three asterisks, and the
values of records are not logged.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING

from fluxline.cli.screen import painted, say
from fluxline.config import require_project, resolve_environment
from fluxline.errors import FluxlineError, relative_path
from fluxline.limits import LOG_FILE_BYTES_MAX, LOG_FILES_KEPT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fluxline.cli.arguments import Invocation
    from fluxline.config import Environment

FILE_NAME = "fluxline.log"
_log = logging.getLogger("fluxline")


def log_file_of(environment: Environment) -> Path:
    """Where the runs of an environment write their log."""
    return environment.embedded.directory / "logs" / FILE_NAME


@contextmanager
def logging_to(file: Path, *, warnings: bool) -> Iterator[None]:
    """Write the log into a file meanwhile.

    Args:
        file: the log file; its folder is made.
        warnings: whether warnings also go to standard error.
    """
    handlers: list[logging.Handler] = []
    try:
        handlers.append(_file_handler(file))
    except OSError as error:
        say(f"no log is written: {relative_path(str(file))}: {error.strerror or error}", stream=sys.stderr)
    if warnings:
        handlers.append(_StandardError())
    before = _log.level
    _log.setLevel(logging.INFO)
    for handler in handlers:
        _log.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            _log.removeHandler(handler)
            handler.close()
        _log.setLevel(before)


def write_traceback(error: BaseException, invocation: Invocation) -> Path:
    """Write an unforeseen error into the log of the command, or into a new file of its own; returns the file."""
    file = invocation.log_file or _log_file_of_project(invocation)
    if file is not None:
        try:
            handler = _file_handler(file)
        except OSError:
            file = None
    if file is None:
        handle, name = tempfile.mkstemp(prefix="fluxline-", suffix=".log")
        os.close(handle)
        file = Path(name)
        handler = _file_handler(file)
    record = _log.makeRecord(_log.name, logging.ERROR, __file__, 0, "FLX-9001", (), (type(error), error, error.__traceback__))
    handler.handle(record)
    handler.close()
    return file


def _log_file_of_project(invocation: Invocation) -> Path | None:
    """The log of the environment that the command would have used, if there is one."""
    try:
        environment = resolve_environment(require_project(invocation.start or Path.cwd()), invocation.env)
    except (FluxlineError, OSError):
        return None
    return log_file_of(environment)


class _UTC(logging.Formatter):
    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"


class _RotatingFile(RotatingFileHandler):
    """A log that cannot be written (a full disk) stops nothing, and says so once."""

    failed = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        if not self.failed:
            self.failed = True
            error = sys.exc_info()[1]
            say(f"the log cannot be written: {relative_path(self.baseFilename)}: {error}", stream=sys.stderr)

    def close(self) -> None:
        """Let go of the file; what it still holds in memory was told as lost already."""
        with suppress(OSError):
            super().close()


class _StandardError(logging.Handler):
    """Warnings and errors as one line each; what the command itself logs it also tells, so that is left out."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.addFilter(lambda record: not record.name.startswith("fluxline.cli"))

    def emit(self, record: logging.LogRecord) -> None:
        say(painted(f"{record.levelname.lower()}: ", "yellow", sys.stderr) + record.getMessage(), stream=sys.stderr)


def _file_handler(file: Path) -> logging.Handler:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)  # readable by its owner alone
    os.close(handle)
    handler = _RotatingFile(file, maxBytes=LOG_FILE_BYTES_MAX, backupCount=LOG_FILES_KEPT, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(_UTC("%(asctime)s %(process)d %(levelname)s %(name)s %(message)s"))
    return handler
