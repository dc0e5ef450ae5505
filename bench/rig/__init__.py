"""What the benchmarks share: servers to measure, loads to put on them, the machine, and how figures are told."""
