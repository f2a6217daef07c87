"""The verbs, on plans: check, connect, explain, run, start, survival, collect, query, status. The only caller of engines."""

from __future__ import annotations

from fluxline.control.check import check
from fluxline.control.connect import connect
from fluxline.control.explain import explain
from fluxline.control.run import run, start
from fluxline.control.survival import survival

__all__ = ["check", "connect", "explain", "run", "start", "survival"]
