"""`fluxline query`: ask the system that keeps the tables, and print the rows."""

from __future__ import annotations

import click

from fluxline.cli.arguments import environment_options, output_option, project_option
from fluxline.limits import QUERY_ROWS_DEFAULT


@click.command("query")
@click.argument("text", metavar="QUERY")
@click.option("--limit", type=click.IntRange(min=0), default=QUERY_ROWS_DEFAULT, show_default=True, metavar="N", help="The most rows to print.")
@project_option
@environment_options
@output_option
def query(text: str, limit: int, project: str, env: str | None, overrides: tuple[str, ...], output: str) -> int:
    """Ask the system where the project's environment keeps its tables, also while a pipeline writes to it.

    Of the table store QUERY is one SELECT of SQL (or WITH, VALUES, DESCRIBE, SUMMARIZE, SHOW TABLES) over the tables that sinks have written.
    Of Cassandra it is one statement of CQL, which is handed over as it is: what it may do is what the login may do.
    """
    from fluxline.cli.screen import say, say_json
    from fluxline.cli.table import json_rows, table_lines
    from fluxline.cli.targets import project_start
    from fluxline.control.query import query as ask

    answer = ask(project_start(project), text, env=env, limit=limit, overrides=overrides)
    frame = answer.frame
    if output == "json":
        say_json({"columns": frame.columns, "rows": json_rows(frame), "truncated": answer.truncated})
        return 0
    lines, shortened = table_lines(frame)
    if frame.columns:  # A statement that is no question has an answer without columns.
        say(lines)
    rows = f"{frame.height:,} row{'' if frame.height == 1 else 's'}"
    said = f"the first {rows}; there are more: --limit N" if answer.truncated else rows
    say(f"({said}{'; long values are shortened, -o json has them whole' if shortened else ''})")
    return 0
