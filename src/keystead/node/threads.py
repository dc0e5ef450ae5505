"""A thread that fails takes its process with it: a node without its committer must not look as if it served.

The supervisor starts the process again, and the next start finds everything that was acknowledged.

Source: design.md law 10 ("fail closed, say why").
"""

import logging
import os
import threading

FAILED = 70  # EX_SOFTWARE of sysexits.h

log = logging.getLogger("keystead")


def end_with_any_thread() -> None:
    """Let the process end as soon as one of its threads has failed for a reason of ours."""
    threading.excepthook = _end


def _end(failure: threading.ExceptHookArgs) -> None:
    name = failure.thread.name if failure.thread is not None else "a thread"
    log.critical("%s failed for a reason of ours; the process ends", name, exc_info=failure.exc_value)
    logging.shutdown()
    os._exit(FAILED)
