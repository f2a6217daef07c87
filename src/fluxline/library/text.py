"""Functions of text. Characters are Unicode code points and count from 1.

LPAD and RPAD count as Java does, where a character beyond U+FFFF is two. MD5 and SHA256 are not among them: no column form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fluxline.library.function import ArgumentMismatch, Function, LazyModule, Signature
from fluxline.library.inference import fitted, is_integer, is_text, need, need_count, propagated
from fluxline.library.patterns import java_regex
from fluxline.limits import PAD_CHARS_MAX
from fluxline.schema import BOOLEAN, INT, STRING, LogicalType

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl
else:
    pl = LazyModule("polars")

Types = tuple[LogicalType, ...]
BEYOND_16_BITS = r"[\x{10000}-\x{10FFFF}]"


def _infer_texts(name: str, least: int, most: int | None, result: LogicalType, *, numbers: tuple[int, ...] = ()) -> Callable[..., Signature]:
    """Of texts, and whole numbers at some positions; NULL where an argument is NULL."""

    def infer(types: Types, constants: tuple[object, ...] = ()) -> Signature:
        need_count(name, types, least, most or least)
        for position, kind in enumerate(types):
            if position in numbers:
                need(name, position, kind, "a whole number", is_integer)
            else:
                need(name, position, kind, "text", is_text)
        wanted = (fitted(kind, INT if position in numbers else STRING) for position, kind in enumerate(types))
        return propagated(tuple(wanted), result, constants)

    return infer


def _nullable(infer: Callable[..., Signature]) -> Callable[..., Signature]:
    """The same where the result can be NULL although no argument is."""

    def run(types: Types, constants: tuple[object, ...] = ()) -> Signature:
        use: Signature = infer(types, constants)
        return Signature(use.arguments, use.result.with_nullable(True), constants)

    return run


def _infer_concat(types: Types, constants: tuple[object, ...] = ()) -> Signature:
    from fluxline.library.casts import cast_supported

    need_count("CONCAT", types, 1, max(len(types), 1))
    for position, kind in enumerate(types):
        need("CONCAT", position, kind, "something that has a text", lambda found: cast_supported(found, STRING))
    return propagated(tuple(fitted(kind, STRING) for kind in types), STRING, constants)


def _infer_concat_ws(types: Types, constants: tuple[object, ...] = ()) -> Signature:
    use: Signature = _infer_texts("CONCAT_WS", 2, max(len(types), 2), STRING)(types, constants)
    return Signature(use.arguments, STRING.with_nullable(types[0].nullable), constants)


def _concat_ws_polars(_use: Signature) -> Callable[..., pl.Expr]:
    def run(separator: pl.Expr, *parts: pl.Expr) -> pl.Expr:
        # Joined with a separator in front of each part that is there, then without the first one.
        pieces = [pl.when(part.is_not_null()).then(pl.concat_str(separator, part)) for part in parts]
        joined = pl.concat_str(*pieces, ignore_nulls=True)
        return pl.when(separator.is_not_null()).then(joined.str.slice(separator.str.len_chars().cast(pl.Int64)))

    return run


def _substring_polars(_use: Signature) -> Callable[..., pl.Expr]:
    def run(text: pl.Expr, start: pl.Expr, length: pl.Expr | None = None) -> pl.Expr:
        start = start.cast(pl.Int64)
        chars = text.str.len_chars().cast(pl.Int64)
        offset = pl.when(start > 0).then(start - 1).when(start == 0).then(0).otherwise(chars + start)
        if length is None:
            return pl.when(offset < 0).then(pl.lit("")).otherwise(text.str.slice(offset.clip(0)))
        size = length.cast(pl.Int64)
        cut = pl.when(offset < 0).then(pl.lit("")).otherwise(text.str.slice(offset.clip(0), size.clip(0)))
        return pl.when(size >= 0).then(cut)

    return run


def _position_polars(_use: Signature) -> Callable[[pl.Expr, pl.Expr], pl.Expr]:
    def run(needle: pl.Expr, text: pl.Expr) -> pl.Expr:
        before = text.str.splitn(needle, 2).struct.field("field_0").str.len_chars().cast(pl.Int32) + 1
        found = pl.when(needle == "").then(1).when(text.str.contains(needle, literal=True)).then(before).otherwise(0)
        return pl.when(needle.is_not_null() & text.is_not_null()).then(found).cast(pl.Int32)

    return run


def _infer_replace(types: Types, constants: tuple[object, ...] = ()) -> Signature:
    use: Signature = _infer_texts("REPLACE", 3, None, STRING)(types, constants)
    if constants:
        use.constant(1, "the text that REPLACE looks for")
    return use


def _replace_polars(use: Signature) -> Callable[..., pl.Expr]:
    old = use.constant(1, "the text that REPLACE looks for")
    return lambda text, _old, new: pl.when(new.is_not_null()).then(text.str.replace_all(old, new, literal=True))


def _clipped(number: pl.Expr) -> pl.Expr:
    return number.cast(pl.Int64).clip(0)


# A NULL length would mean to the end.
def _left(text: pl.Expr, count: pl.Expr) -> pl.Expr:
    return pl.when(count.is_not_null()).then(text.str.slice(0, _clipped(count)))


def _right(text: pl.Expr, count: pl.Expr) -> pl.Expr:
    return pl.when(count.is_not_null()).then(text.str.tail(_clipped(count)))


# LPAD and RPAD: to a length, with a text that is repeated; NULL for a length below zero or an empty padding.
def _infer_pad(name: str) -> Callable[..., Signature]:
    texts = _infer_texts(name, 3, None, STRING, numbers=(1,))

    def infer(types: Types, constants: tuple[object, ...] = ()) -> Signature:
        use: Signature = texts(types, constants)
        if constants:
            _pad_of(name, use)
        return Signature(use.arguments, STRING, constants)

    return infer


def _pad_of(name: str, use: Signature) -> tuple[int, str]:
    length, padding = use.constant(1, f"the length of {name}"), use.constant(2, f"the padding of {name}")
    if length > PAD_CHARS_MAX:
        raise ArgumentMismatch(f"{name} pads to at most {PAD_CHARS_MAX} characters.")
    if any(ord(character) > 0xFFFF for character in padding):
        raise ArgumentMismatch(f"The padding of {name} has a character beyond U+FFFF, which is not supported.")
    return length, padding


def _pad(name: str, doc: str, example: tuple[tuple[object, ...], object], *, left: bool) -> Function:
    def polars(use: Signature) -> Callable[..., pl.Expr]:
        length, padding = _pad_of(name, use)
        if length < 0 or not padding:
            return lambda text, *_rest: pl.when(pl.lit(False)).then(text)
        filling = (padding * (length // len(padding) + 1))[:length]

        def padded(text: str | None) -> str | None:
            if text is None:
                return None
            units = text.encode("utf-16-le")
            missing = length - len(units) // 2
            if missing <= 0:
                return units[: 2 * length].decode("utf-16-le", "replace")
            return filling[:missing] + text if left else text + filling[:missing]

        def run(column: pl.Series) -> pl.Series:
            missing = (length - pl.lit(column).str.len_chars().cast(pl.Int64)).clip(0)
            more = pl.lit(filling).str.slice(0, missing)
            joined = pl.concat_str(more, pl.lit(column)) if left else pl.concat_str(pl.lit(column), more)
            found = pl.select(joined.str.slice(0, length)).to_series()
            wide = column.str.contains(BEYOND_16_BITS).fill_null(False)
            if not wide.any():
                return found
            rows = wide.arg_true()
            return found.scatter(rows, [padded(text) for text in column.gather(rows).to_list()])

        return lambda text, *_rest: text.map_batches(run, return_dtype=pl.String, is_elementwise=True)

    return Function(
        name=name,
        doc=doc,
        takes="STRING, INT, STRING",
        example=example,
        constant=(1, 2),
        infer=_infer_pad(name),
        polars=polars,
        flink=name,
        python=f'functions.{name.lower()}(col("x"), 10, "0")',
    )


def _infer_regexp(name: str, least: int, most: int, numbers: tuple[int, ...]) -> Callable[..., Signature]:
    texts = _infer_texts(name, least, most, STRING, numbers=numbers)

    def infer(types: Types, constants: tuple[object, ...] = ()) -> Signature:
        use: Signature = texts(types, constants)
        if constants:
            java_regex(use.constant(1, f"the regular expression of {name}"))
            for position in range(2, len(types)):
                use.constant(position, f"argument {position + 1} of {name}")
        return Signature(use.arguments, use.result.with_nullable(name == "REGEXP_EXTRACT" or use.result.nullable), constants)

    return infer


def _runnable(pattern: str) -> str:
    """The regular expression as the engine runs it."""
    translated = java_regex(pattern)
    try:
        pl.select(pl.lit("").str.contains(translated))
    except pl.exceptions.ComputeError as error:
        raise ArgumentMismatch(f'The regular expression "{pattern}" cannot be run: {error}.') from None
    return translated


def _regexp_extract_polars(use: Signature) -> Callable[..., pl.Expr]:
    import re

    pattern = use.constant(1, "the regular expression of REGEXP_EXTRACT")
    group = int(use.constant(2, "the group of REGEXP_EXTRACT")) if len(use.arguments) == 3 else 0
    translated = _runnable(pattern)
    if not 0 <= group <= re.compile(pattern).groups:
        return lambda text, *_rest: pl.when(pl.lit(False)).then(text)
    return lambda text, *_rest: text.str.extract(translated, group)


def _regexp_replace_polars(use: Signature) -> Callable[..., pl.Expr]:
    translated = _runnable(use.constant(1, "the regular expression of REGEXP_REPLACE"))
    new = use.constant(2, "the replacement of REGEXP_REPLACE").replace("$", "$$")  # It is text: `$1` means nothing.
    return lambda text, *_rest: text.str.replace_all(translated, new)


def _infer_split_index(types: Types, constants: tuple[object, ...] = ()) -> Signature:
    use: Signature = _infer_texts("SPLIT_INDEX", 3, None, STRING, numbers=(2,))(types, constants)
    if constants and use.constant(1, "the separator of SPLIT_INDEX") == "":
        raise ArgumentMismatch("The separator of SPLIT_INDEX has to be a text that is not empty.")
    return Signature(use.arguments, STRING, constants)


def _split_index_polars(use: Signature) -> Callable[..., pl.Expr]:
    separator = use.constant(1, "the separator of SPLIT_INDEX")

    def run(text: pl.Expr, _separator: pl.Expr, index: pl.Expr) -> pl.Expr:
        part = text.str.split(separator).list.get(_clipped(index), null_on_oob=True)
        return pl.when((index >= 0) & (text != "")).then(part)

    return run


def _reverse_polars(_use: Signature) -> Callable[[pl.Expr], pl.Expr]:
    # Not str.reverse, which keeps letters and their accents together.
    return lambda text: text.str.split("").list.reverse().list.join("")


def _simple(
    name: str, doc: str, example: tuple[tuple[object, ...], object], run: Callable[..., Any], *, flink: str = "", python: str = "",
    count: int = 1, numbers: tuple[int, ...] = (), result: LogicalType = STRING,
) -> Function:  # fmt: skip
    """A function whose Polars form depends on nothing but its arguments."""
    takes = ", ".join("INT" if position in numbers else "STRING" for position in range(count))
    called = 'col("x")' if count == 1 else 'col("x"), 2' if 1 in numbers else 'col("x"), "a"'
    return Function(
        name=name,
        doc=doc,
        takes=takes,
        example=example,
        infer=_infer_texts(name, count, None, result, numbers=numbers),
        polars=lambda _use: run,
        flink=flink or name,
        python=python or f"functions.{name.lower()}({called})",
    )


FUNCTIONS: tuple[Function, ...] = (
    Function(
        name="CONCAT",
        doc="The texts of all arguments in a row; NULL if one is NULL.",
        takes="any, ...",
        example=(("a", "b", "c"), "abc"),
        infer=_infer_concat,
        polars=lambda _use: pl.concat_str,
        flink="CONCAT",
        python='concat("High temperature - ", col("temperature"))',
    ),
    _simple(
        "||", "Two texts in a row.", (("a", "b"), "ab"), lambda left, right: pl.concat_str([left, right]), flink="{0} || {1}", count=2,
        python='concat(col("x"), col("y"))',
    ),
    Function(
        name="CONCAT_WS",
        doc="The texts behind the first argument with it between them; NULLs among them are left out.",
        takes="STRING, STRING, ...",
        example=((",", "a", None, "b"), "a,b"),
        infer=_infer_concat_ws,
        polars=_concat_ws_polars,
        nulls="own",
        flink="CONCAT_WS",
        python='functions.concat_ws(",", col("x"), col("y"))',
    ),
    _simple("UPPER", "The text in upper case.", (("café",), "CAFÉ"), lambda text: text.str.to_uppercase(), python='col("x").str.upper()'),
    _simple("LOWER", "The text in lower case.", (("CAFÉ",), "café"), lambda text: text.str.to_lowercase(), python='col("x").str.lower()'),
    _simple("TRIM", "The text without spaces at both ends.", (("  a ",), "a"), lambda text: text.str.strip_chars(" "), python='col("x").str.trim()'),
    _simple("LTRIM", "The text without spaces at its start.", ((" a ",), "a "), lambda text: text.str.strip_chars_start(" ")),
    _simple("RTRIM", "The text without spaces at its end.", ((" a ",), " a"), lambda text: text.str.strip_chars_end(" ")),
    _simple(
        "CHAR_LENGTH", "The number of characters.", (("café",), 4), lambda text: text.str.len_chars().cast(pl.Int32), result=INT,
        python='col("x").str.char_length()',
    ),
    Function(
        name="SUBSTRING",
        doc="The text from a character on, of at most so many characters; counted from the end where the start is negative.",
        takes="STRING, INT [, INT]",
        example=(("stream", 2, 3), "tre"),
        infer=_nullable(_infer_texts("SUBSTRING", 2, 3, STRING, numbers=(1, 2))),
        polars=_substring_polars,
        flink="SUBSTRING",
        python='col("x").str.substring(2, 3)',
    ),
    Function(
        name="REPLACE",
        doc="The text with every occurrence of another one replaced.",
        takes="STRING, STRING, STRING",
        example=(("a-b-c", "-", "+"), "a+b+c"),
        constant=(1,),
        infer=_infer_replace,
        polars=_replace_polars,
        flink="REPLACE",
        python='col("x").str.replace("-", "+")',
    ),
    Function(
        name="POSITION",
        doc="Where a text stands in another for the first time, from 1; 0 where it does not.",
        takes="STRING, STRING",
        example=(("e", "stream"), 4),
        infer=_infer_texts("POSITION", 2, None, INT),
        polars=_position_polars,
        flink="POSITION({0} IN {1})",
        python='functions.position("e", col("x"))',
    ),
    _simple(
        "LEFT", "The first characters of a text.", (("stream", 3), "str"), _left, count=2,
        numbers=(1,),
    ),
    _simple(
        "RIGHT", "The last characters of a text.", (("stream", 2), "am"), _right, count=2,
        numbers=(1,),
    ),
    _pad("LPAD", "The text with a padding in front, or cut, so that it has a length.", (("7", 3, "0"), "007"), left=True),
    _pad("RPAD", "The text with a padding behind, or cut, so that it has a length.", (("a", 4, "xy"), "axyx"), left=False),
    Function(
        name="REVERSE",
        doc="The characters from the last to the first.",
        takes="STRING",
        example=(("abc",), "cba"),
        infer=_infer_texts("REVERSE", 1, None, STRING),
        polars=_reverse_polars,
        flink="REVERSE",
        python='functions.reverse(col("x"))',
    ),
    _simple(
        "STARTSWITH", "Whether a text begins with another.", (("stream", "str"), True), lambda text, start: text.str.starts_with(start), count=2,
        result=BOOLEAN,
    ),
    _simple(
        "ENDSWITH", "Whether a text ends with another.", (("stream", "am"), True), lambda text, end: text.str.ends_with(end), count=2,
        result=BOOLEAN,
    ),
    Function(
        name="REGEXP_EXTRACT",
        doc="What a group of a regular expression matched first (0, the default: the whole); NULL where nothing did.",
        takes="STRING, STRING [, INT]",
        example=(("sensor-42", r"(\w+)-(\d+)", 2), "42"),
        constant=(1, 2),
        infer=_infer_regexp("REGEXP_EXTRACT", 2, 3, (2,)),
        polars=_regexp_extract_polars,
        flink="REGEXP_EXTRACT",
        python=r'functions.regexp_extract(col("x"), r"(\w+)-(\d+)", 2)',
    ),
    Function(
        name="REGEXP_REPLACE",
        doc="The text with every match of a regular expression replaced by a text.",
        takes="STRING, STRING, STRING",
        example=(("a1b22", r"\d+", "$"), "a$b$"),
        constant=(1, 2),
        infer=_infer_regexp("REGEXP_REPLACE", 3, 3, ()),
        polars=_regexp_replace_polars,
        flink="REGEXP_REPLACE",
        python=r'functions.regexp_replace(col("x"), r"\d+", "")',
    ),
    Function(
        name="SPLIT_INDEX",
        doc="One part of a text that a separator divides, counted from 0; NULL where there is none.",
        takes="STRING, STRING, INT",
        example=(("a,b,c", ",", 1), "b"),
        constant=(1,),
        infer=_infer_split_index,
        polars=_split_index_polars,
        flink="SPLIT_INDEX",
        python='functions.split_index(col("x"), ",", 1)',
    ),
)  # fmt: skip
