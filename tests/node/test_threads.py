"""A failing thread ends its process, and says why."""

import subprocess
import sys

from keystead.node.threads import FAILED

PROGRAM = """
import threading, time
from keystead.node.threads import end_with_any_thread
end_with_any_thread()
threading.Thread(target=lambda: 1 / 0, name="committer", daemon=True).start()
time.sleep(30)
print("lived on")
"""


def test_a_process_ends_with_the_first_thread_that_fails() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (FAILED, "")
    assert "committer failed" in ended.stderr
    assert "ZeroDivisionError" in ended.stderr
