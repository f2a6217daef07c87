"""Names of the public API that are decided and not part of this version, each refused by name until it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from fluxline.errors import UnsupportedByEngine

if TYPE_CHECKING:
    from fluxline.errors import Place

LATER: dict[str, str] = {
    "hop": "Windows that overlap come with the complete engine; tumble(size) is there.",
    "cumulate": "Windows that grow come with the complete engine; tumble(size) is there.",
    "session": "Windows that end after a gap come with the complete engine; tumble(size) is there.",
    'tumble(time="processing")': "Windows on the clock come with the complete engine; windows on event time are there.",
    "event": "Patterns come with pattern matching.",
    "udf": "Python functions in expressions come later; map_batches applies a function to whole frames today.",
    "Lookup": "Lookups come with the complete engine.",
    "Pipeline.lookup": "Lookups come with the complete engine.",
    "Pipeline.sql": "SQL comes with the SQL front end.",
    "Pipeline.from_sql": "SQL comes with the SQL front end.",
    "Pipeline.alert": "Alert rules come with the console; a filtered stream with a sink gives the rows today.",
    "Stream.explode": "Unnesting comes with the complete engine.",
    "Stream.top_k": "Top-N comes with the complete engine.",
    "Stream.bottom_k": "Top-N comes with the complete engine.",
    "Stream.deduplicate": "Deduplication comes with the complete engine; a sink with a key keeps the last row of each key.",
    "Stream.join": "Joins come with the complete engine.",
    "Stream.join_interval": "Joins come with the complete engine.",
    "Stream.join_asof": "Joins come with the complete engine.",
    "Stream.join_lookup": "Joins come with the complete engine.",
    "Stream.match": "Pattern matching comes later.",
    "Stream.alert": "Alert rules come with the console; a filtered stream with a sink gives the rows today.",
    "Sink.chart": "Charts come with the console; fluxline query reads the stored rows today.",
    "Expr.over": "OVER aggregates come with the complete engine.",
    "Expr.first": "This aggregate comes with the complete engine.",
    "Expr.last": "This aggregate comes with the complete engine.",
    "Expr.count_distinct": "This aggregate comes with the complete engine.",
    "Expr.stddev_pop": "This aggregate comes with the complete engine.",
    "Expr.stddev_samp": "This aggregate comes with the complete engine.",
    "Expr.var_pop": "This aggregate comes with the complete engine.",
    "Expr.var_samp": "This aggregate comes with the complete engine.",
    "Expr.collect": "This aggregate comes with the complete engine.",
    "Expr.listagg": "This aggregate comes with the complete engine.",
    "Expr.list": "Functions of arrays come with the SQL front end.",
    "Expr.map": "Functions of maps come with the SQL front end.",
    "Expr.row": "Fields of rows come with the SQL front end.",
    "Expr.json": "Functions of JSON text come with the SQL front end.",
    "Schema.from_file": "Schemas from files come with the schema registry.",
    "source(key=...)": "Updating sources come with the complete engine.",
    "Job.stop(savepoint=...)": "Savepoints come with checkpoints; a stop saves positions and state in the environment's directory.",
    "charts": "Charts come with the console.",
    "metrics": "Metric rules come with the console.",
    "ml": "Models come later; map_batches applies any function to whole frames today.",
}


def refuse(name: str, place: Place | None) -> UnsupportedByEngine:
    """The error that refuses a name of the table."""
    return UnsupportedByEngine("FLX-2190", f"{name} is not part of this version", detail=LATER[name], place=place)


class Refused:
    """Stands for a name that comes later: to call it, and to use anything of it, refuses at the user's own line."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, *_arguments: object, **_named: object) -> NoReturn:
        from fluxline.pipeline.origin import here

        raise refuse(self._name, here())

    def __getattr__(self, name: str) -> NoReturn:
        from fluxline.pipeline.origin import here

        if name.startswith("__"):
            raise AttributeError(name)
        raise refuse(self._name, here())
