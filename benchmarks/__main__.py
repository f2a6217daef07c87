"""`python -m benchmarks [name ...]`: run the measurements that are named, or all that need no server; print one table.

`kafka`, `flink`, `stack` and `checkpoints` need servers, and start them.
"""

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
