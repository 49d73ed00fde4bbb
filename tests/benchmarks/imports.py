"""What importing the library costs, beside importing what it depends on: each in fresh interpreters.

python -m tests.benchmarks.imports
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

from .timing import table

ROUNDS = 9
DEPENDENCIES = "import attrs, statemachine, pendulum, msgspec"
CLOCK = "import time; began = time.process_time(); {}; print(time.process_time() - began)"


def cost(statement: str) -> float:
    """Processor milliseconds of a statement in a fresh interpreter that has written its bytecode before."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", CLOCK.format(statement)]
    told = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
    return float(told.stdout) * 1e3


def costs() -> tuple[float, float]:
    """Medians of rounds that take turns: the dependencies, and the library with them."""
    cost("import ordermgmt")
    pairs = [(cost(DEPENDENCIES), cost("import ordermgmt")) for _ in range(ROUNDS)]
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def main() -> None:
    """Print both, and how they compare."""
    dependencies, all_of_it = costs()
    rows = [
        ("the dependencies", dependencies),
        ("ordermgmt with them", all_of_it),
        ("ratio", f"{all_of_it / dependencies:.2f}"),
    ]
    table("Importing (processor ms)", ("", ""), rows)


if __name__ == "__main__":
    main()
