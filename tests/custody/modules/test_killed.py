"""A module that dies at any moment of writing is the old one or the new one when it starts again, and says which."""

import os
import sys
from pathlib import Path

import pytest

from keystead.custody.modules import store
from keystead.custody.modules.cloning import same_key
from keystead.custody.modules.module import SecureModule
from tests.support.secure_modules import ADMINISTRATOR, Workshop, cloned

MOMENTS = 12


def dies_in_child(moment: int, module: SecureModule, source: SecureModule) -> bool:
    """Clone in a forked child that ends at its nth system call of writing; tells whether it got there."""
    child = os.fork()
    if child == 0:
        count = 0

        def counted(event: str, _arguments: object) -> None:
            nonlocal count
            if event in {"os.rename", "open"}:
                count += 1
                if count > moment:
                    os._exit(9)

        sys.addaudithook(counted)
        cloned(source, module, replace=True)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 9


@pytest.mark.parametrize("moment", range(MOMENTS))
def test_a_target_killed_while_it_writes_is_old_or_new(tmp_path: Path, moment: int) -> None:
    workshop = Workshop(tmp_path)
    source, target = workshop.source(), workshop.source("TARGET")
    died = dies_in_child(moment, target, source)
    again = workshop.again(target)
    is_new = same_key(again.state, source.state)
    is_old = same_key(again.state, target.state)
    assert is_new != is_old
    assert (again.state.copied_from == "SOURCE") == is_new
    assert died or is_new
    again.unlock(ADMINISTRATOR)
    cloned(source, again, replace=True)  # the next run goes on
    assert same_key(workshop.again(again).state, source.state)


def test_a_crash_between_memory_and_witness_is_no_rollback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workshop = Workshop(tmp_path)
    module = workshop.source()
    monkeypatch.setattr(store.ModuleStore, "_note", lambda *_: None)
    module.set_auto_lock(20)
    monkeypatch.undo()
    again = workshop.again(module)
    assert again.state.auto_lock_min == 20
