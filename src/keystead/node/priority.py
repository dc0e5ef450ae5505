"""Who waits for whom on a busy machine: clients are served before anything that administrators ask for."""

import os

NICENESS = 15


def stand_back() -> None:
    """Let this process yield: the one for administration, and commands that walk everything there is."""
    os.nice(NICENESS)
