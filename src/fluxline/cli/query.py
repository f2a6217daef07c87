"""`fluxline query`: ask the table store by SQL, and print the rows."""

from __future__ import annotations

import click

from fluxline.cli.arguments import environment_options, output_option, project_option
from fluxline.limits import QUERY_ROWS_DEFAULT


@click.command("query")
@click.argument("sql", metavar="SQL")
@click.option("--limit", type=click.IntRange(min=0), default=QUERY_ROWS_DEFAULT, show_default=True, metavar="N", help="The most rows to print.")
@project_option
@environment_options
@output_option
def query(sql: str, limit: int, project: str, env: str | None, overrides: tuple[str, ...], output: str) -> int:
    """Ask the table store of the project's environment by SQL, also while a pipeline writes to it.

    SQL is one SELECT (or WITH, VALUES, DESCRIBE, SUMMARIZE, SHOW TABLES) over the tables that sinks have written.
    """
    from fluxline.cli.screen import say, say_json
    from fluxline.cli.table import json_rows, table_lines
    from fluxline.cli.targets import project_start
    from fluxline.control.query import query as ask

    answer = ask(project_start(project), sql, env=env, limit=limit, overrides=overrides)
    frame = answer.frame
    if output == "json":
        say_json({"columns": frame.columns, "rows": json_rows(frame), "truncated": answer.truncated})
        return 0
    lines, shortened = table_lines(frame)
    say(lines)
    rows = f"{frame.height:,} row{'' if frame.height == 1 else 's'}"
    said = f"the first {rows}; there are more: --limit N" if answer.truncated else rows
    say(f"({said}{'; long values are shortened, -o json has them whole' if shortened else ''})")
    return 0
