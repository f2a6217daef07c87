"""`python -m benchmarks [name ...]`: run the measurements that are named, or all that need no server (`kafka` and `flink` do); print one table."""

from __future__ import annotations

import importlib
import sys

MODULES = ("pipelines", "expressions", "store")


def main(names: list[str]) -> None:
    """Run them one after the other."""
    for name in names or MODULES:
        importlib.import_module(f"benchmarks.{name}").main()


if __name__ == "__main__":
    main(sys.argv[1:])
