"""Time, randomness and disk are handed in; nothing pickled, evaluated or printed by the way: the ban list holds."""

from __future__ import annotations

import ast

import pytest

from tests.tidy.bans import find_banned
from tests.tidy.tree import parse, python_files, report, shown


def test_nothing_banned() -> None:
    """Each finding says what to write instead."""
    paths = python_files("src", "tests", "tools", "benchmarks", "examples")
    findings = [line for path in paths for line in find_banned(parse(path), shown(path))]
    assert paths
    assert not findings, report(findings)


BANNED = [
    "from datetime import datetime, UTC\nseen = datetime.now(UTC)",
    "import datetime as dt\nseen = dt.datetime.utcnow()",
    "import time\nseen = time.time()",
    "import time as t\nread = t.time_ns",
    "from time import sleep\nsleep(1)",
    "import time\nseen = time.monotonic()",
    "import time\nseen = time.perf_counter()",
    "import random\npick = random.choice([1, 2])",
    "import random\npick = random.Random()",
    "from random import shuffle",
    "import numpy as np\nnoise = np.random.rand(3)",
    "import numpy as np\nnoise = np.random.default_rng()",
    "import uuid\nname = uuid.uuid4()",
    "import secrets",
    "import os\nname = os.urandom(8)",
    "import pickle",
    "from marshal import loads",
    "value = eval('1')",
    "exec('x = 1')",
    "print('seen')",
    "show = print",
    "try:\n    work()\nexcept Exception:\n    pass",
    "try:\n    work()\nexcept:\n    ...",
    "for item in items:\n    try:\n        work(item)\n    except BaseException:\n        continue",
]

ALLOWED = [
    "from fluxline.clock import Clock\ndef seen(clock: Clock) -> int:\n    return clock.now_ms()",
    "from datetime import datetime\nstart = datetime(2024, 6, 7)",
    "import random\npick = random.Random(7).choice([1, 2])",
    "import random\ndef pick(generator: random.Random) -> float:\n    return generator.random()",
    "import numpy as np\ngenerator = np.random.default_rng(7)",
    "import numpy as np\ndef noise(generator: np.random.Generator) -> float:\n    return generator.random()",
    "from time import struct_time",
    "def run(sink: object) -> None:\n    sink.print()",
    "frame.eval('x')",
    "try:\n    work()\nexcept KeyError:\n    pass",
    "try:\n    work()\nexcept Exception as error:\n    count(error)",
]


@pytest.mark.parametrize("source", BANNED)
def test_banned_code_is_found(source: str) -> None:
    """However it is imported or called."""
    assert find_banned(ast.parse(source), "src/fluxline/engines/embedded/source.py")


@pytest.mark.parametrize("source", ALLOWED)
def test_sound_code_passes(source: str) -> None:
    """What is handed in, seeded or merely called alike is no finding."""
    assert find_banned(ast.parse(source), "src/fluxline/engines/embedded/source.py") == []


def test_a_home_is_a_home_for_its_own_ban_only() -> None:
    """The clock may read the time; it may not unpickle."""
    assert find_banned(ast.parse("import time\nnow = time.time()"), "src/fluxline/clock.py") == []
    assert find_banned(ast.parse("import pickle"), "src/fluxline/clock.py")
    assert find_banned(ast.parse("print(1)"), "src/fluxline/cli/run.py") == []
    assert find_banned(ast.parse("print(1)"), "src/fluxline/client.py")
