"""The connector `print`: a sink that shows rows as Flink's does, one a line.

    +I[1, 2.5, abc]
    alerts> -U[7, null, 2026-01-01T12:00]

Values print as in Java: NULL is `null`, a time without seconds leaves them out, bytes are signed numbers. Control
characters print as escapes, so that no row can end its line or steer the terminal.
Delivery guarantee: at least once; rows behind the last stop print again after a crash.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

import polars as pl

from fluxline.batch import KIND_NAMES
from fluxline.connectors.base import Connector, FlinkForm, Written
from fluxline.errors import ExternalError
from fluxline.options import Options, option

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fluxline.batch import Batch
    from fluxline.connectors.base import FlinkEnd, SinkContext
    from fluxline.formats.base import Encoded
    from fluxline.schema import LogicalType, TableSchema

CONTROL = [*(chr(code) for code in range(0x20)), *(chr(code) for code in range(0x7F, 0xA0)), "\u2028", "\u2029"]
SHORT_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
ESCAPES = [SHORT_ESCAPES.get(sign) or (f"\\x{ord(sign):02x}" if ord(sign) < 256 else f"\\u{ord(sign):04x}") for sign in CONTROL]
NANOSECONDS = 1_000_000_000


class PrintOptions(Options):
    """Options of the connector `print`."""

    print_identifier: str = option("What stands in front of every row.", default="", example="alerts", flink="print-identifier")
    standard_error: bool = option("Print to standard error instead of standard output.", default=False, flink="standard-error")


class PrintSink:
    """Prints rows with one write per batch.

    Args:
        context: what a sink is opened with.
        stream: where it prints; by default standard output or error as it is when the sink opens.
    """

    def __init__(self, context: SinkContext, stream: TextIO | None = None) -> None:
        options = context.options
        assert isinstance(options, PrintOptions)
        self._schema = context.schema
        self._prefix = escape_text(options.print_identifier) + "> " if options.print_identifier else ""
        self._stream = stream or (sys.stderr if options.standard_error else sys.stdout)
        self._name = "standard error" if options.standard_error else "standard output"

    def write(self, batch: Batch, encoded: Encoded | None) -> Written:
        """Print all rows."""
        if batch.rows:
            self._print("\n".join(row_lines(batch, self._schema, self._prefix)) + "\n")
        return Written(batch.rows)

    def flush(self) -> None:
        """Push out what the stream still holds."""
        self._attempt(self._stream.flush)

    def prepare(self, checkpoint_id: int) -> Mapping[str, object]:
        """Push out what the stream still holds."""
        self.flush()
        return {}

    def commit(self, receipt: Mapping[str, object]) -> None:
        """Printed rows are final."""

    def close(self) -> None:
        """Nothing is held: the stream is the process's own."""

    def _print(self, text: str) -> None:
        encoding = self._stream.encoding or "utf-8"
        shown = text.encode(encoding, "backslashreplace").decode(encoding)
        self._attempt(lambda: self._stream.write(shown))

    def _attempt(self, action: Callable[[], object]) -> None:
        try:
            action()
        except OSError as error:
            raise ExternalError(
                "FLX-4210",
                f"{self._name} takes no more",
                detail=f"The operating system says: {error.strerror or error}.",
                hint="Keep its reader open.",
            ) from error


def row_lines(batch: Batch, schema: TableSchema, prefix: str) -> list[str]:
    """One line per row."""
    fields = [item for item in schema.fields if not item.hidden]
    kinds = pl.Series("", [f"{prefix}{kind}[" for kind in KIND_NAMES])
    first = pl.lit(f"{prefix}{KIND_NAMES[0]}[") if batch.kinds is None else pl.lit(kinds.gather(pl.Series(batch.kinds).cast(pl.UInt32)))
    shown = [text_of(pl.col(item.name), item.type) for item in fields]
    frame = batch.polars().select(pl.concat_str([first, pl.concat_str(shown, separator=", "), pl.lit("]")]).alias("line"))
    return frame.get_column("line").to_list()


def text_of(value: pl.Expr, logical: LogicalType) -> pl.Expr:
    """A value as Java prints it; never NULL."""
    root = logical.root
    if logical.text_like:
        text = value.str.replace_many(CONTROL, ESCAPES)
    elif root in ("FLOAT", "DOUBLE"):
        text = _float_text(value)
    elif root == "DATE":
        text = value.dt.strftime("%Y-%m-%d")
    elif root == "TIME":
        text = value.dt.strftime("%H:%M") + _seconds_text(value.cast(pl.Int64), always=False)
    elif logical.timestamp:
        in_day = value.dt.epoch("s").mod(60) * NANOSECONDS + value.dt.nanosecond().cast(pl.Int64)
        local = root == "TIMESTAMP_LTZ"
        text = value.dt.strftime("%Y-%m-%dT%H:%M") + _seconds_text(in_day, always=local) + pl.lit("Z" if local else "")
    elif logical.binary:
        unsigned = value.bin.encode("hex").str.extract_all("..").list.eval(pl.element().str.to_integer(base=16))
        text = _bracketed(unsigned.list.eval(pl.when(pl.element() > 127).then(pl.element() - 256).otherwise(pl.element()).cast(pl.String)))
    elif root == "ARRAY":
        text = _bracketed(value.list.eval(text_of(pl.element(), logical.children[0])))
    elif root == "MAP":
        key, item = (pl.element().struct.field(name) for name in ("key", "value"))
        entry = pl.concat_str([text_of(key, logical.children[0]), pl.lit("="), text_of(item, logical.children[1])])
        text = pl.concat_str([pl.lit("{"), value.list.eval(entry).list.join(", "), pl.lit("}")])
    elif root == "ROW":
        inner = pl.concat_str([text_of(value.struct.field(item.name), item.type) for item in logical.fields], separator=", ")
        text = pl.when(value.is_not_null()).then(pl.concat_str([pl.lit("+I["), inner, pl.lit("]")]))
    else:
        text = value.cast(pl.String)
    return text.fill_null("null")


def escape_text(text: str) -> str:
    """The text with its control characters as escapes."""
    return text.translate(dict(zip(map(ord, CONTROL), ESCAPES, strict=True)))


def _bracketed(texts: pl.Expr) -> pl.Expr:
    return pl.concat_str([pl.lit("["), texts.list.join(", "), pl.lit("]")])


def _seconds_text(nanoseconds: pl.Expr, *, always: bool) -> pl.Expr:
    """`:ss` and 0, 3, 6 or 9 digits of the second; nothing of a whole minute, unless always."""
    in_minute = nanoseconds.mod(60 * NANOSECONDS)
    fraction = in_minute.mod(NANOSECONDS)
    digits = fraction.cast(pl.String).str.zfill(9)
    seconds = pl.lit(":") + (in_minute // NANOSECONDS).cast(pl.String).str.zfill(2)
    shown = (
        pl.when(fraction == 0)
        .then(seconds)
        .when(fraction.mod(1_000_000) == 0)
        .then(seconds + "." + digits.str.head(3))
        .when(fraction.mod(1_000) == 0)
        .then(seconds + "." + digits.str.head(6))
        .otherwise(seconds + "." + digits)
    )
    return shown if always else pl.when(in_minute == 0).then(pl.lit("")).otherwise(shown)


def _float_text(value: pl.Expr) -> pl.Expr:
    """Java's `Double.toString`: plain from 0.001 up to ten million, else one digit, a point, the others and an exponent."""
    size = value.abs()
    plain = value.cast(pl.String)
    unsigned = plain.str.strip_prefix("-")
    mantissa = unsigned.str.replace(r"e.*$", "")
    whole = mantissa.str.replace(r"\..*$", "")
    given = unsigned.str.extract(r"e\+?(-?\d+)$").cast(pl.Int64).fill_null(0)
    zeros = mantissa.str.extract(r"^0\.(0*)").str.len_bytes().cast(pl.Int64)
    exponent = given + pl.when(whole == "0").then(-zeros - 1).otherwise(whole.str.len_bytes().cast(pl.Int64) - 1)
    digits = mantissa.str.replace(".", "", literal=True).str.strip_chars_start("0").str.strip_chars_end("0")
    rest = digits.str.slice(1)
    sign = pl.when(value < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    scientific = pl.concat_str(
        [sign, digits.str.head(1), pl.lit("."), pl.when(rest == "").then(pl.lit("0")).otherwise(rest), pl.lit("E"), exponent.cast(pl.String)]
    )
    return (
        pl.when(value.is_nan())
        .then(pl.lit("NaN"))
        .when(value.is_infinite())
        .then(pl.concat_str([sign, pl.lit("Infinity")]))
        .when((size == 0) | ((size >= 1e-3) & (size < 1e7)))
        .then(plain)
        .otherwise(scientific)
    )


def flink_options(end: FlinkEnd) -> Mapping[str, str]:
    """The options of Flink's `print` table; there the task managers print."""
    assert isinstance(end.options, PrintOptions)
    identifier = {"print-identifier": end.options.print_identifier} if end.options.print_identifier else {}
    return {"connector": "print", **identifier, **({"standard-error": "true"} if end.options.standard_error else {})}


CONNECTOR = Connector(
    name="print",
    doc="Shows every row on standard output or standard error.",
    options=PrintOptions,
    source=None,
    sink=PrintSink,
    takes_format=False,
    upserts=True,
    flink=FlinkForm(flink_options, roles=("sink",)),
)
