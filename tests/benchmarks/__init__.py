"""What things cost, as ratios within one run.  Each module is a command: ``python -m tests.benchmarks.decisions``."""
