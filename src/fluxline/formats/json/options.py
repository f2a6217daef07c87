"""Options of the format `json`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxline.errors import UnsupportedByEngine
from fluxline.formats.temporal import FORMS
from fluxline.options import Options, option

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxline.errors import ConfigError


class JSONOptions(Options):
    """What can be set."""

    strict: bool = option("Reject a record with a value that is not exactly of its column's type.", default=True)
    timestamp_format: str = option(
        'How timestamps are written: "ISO-8601" with a T between date and time, "SQL" with a space.',
        default="ISO-8601",
        flink="json.timestamp-format.standard",
        choices=FORMS,
    )

    def validate(self, refuse: Callable[[str, str], ConfigError]) -> None:
        """Refuse what this version does not do."""
        if not self.strict:
            raise UnsupportedByEngine(
                "FLX-2131",
                'the format "json" decodes strictly only',
                detail="The option strict = false would accept what Flink's own decoder accepts, such as text for numbers.",
                hint="Take strict = false out. Read such a field as STRING where it is text, and convert it in the pipeline.",
            )
