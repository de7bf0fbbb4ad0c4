"""Actions beside the thread that started them: in turn, with their errors handed over."""

from __future__ import annotations

import sys
import threading

import pytest

from platform_core.ingestion.background import Background


def test_an_action_that_follows_waits_for_the_former_and_does_not_hold_up_who_starts_it() -> None:
    background, may_end, done = Background(), threading.Event(), list[str]()

    def first() -> None:
        may_end.wait(60)
        done.append("first")

    background.start(first)
    background.follow(lambda: done.append("second"))
    background.follow(lambda: done.append("third"))
    assert done == [] and not background.idle()
    may_end.set()
    background.wait()
    assert done == ["first", "second", "third"] and background.idle()


def test_nothing_follows_an_action_that_failed() -> None:
    background, done = Background(), list[str]()

    def failing() -> None:
        raise ValueError("no")

    background.start(failing)
    background.follow(lambda: done.append("second"))
    with pytest.raises(ValueError, match="no"):
        background.wait()
    background.wait()  # told once
    background.start(lambda: done.append("third"))
    background.wait()
    assert done == ["third"]


def test_threads_take_short_turns_only_while_something_runs() -> None:
    usual, during = sys.getswitchinterval(), list[float]()
    background = Background()
    background.start(lambda: during.append(sys.getswitchinterval()))
    background.wait()
    assert during[0] < usual / 5 and sys.getswitchinterval() == usual
