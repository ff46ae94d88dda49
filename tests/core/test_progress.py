import io
import threading

import pytest

from howfar.core.progress import ahead, track


def test_progress_counts_earlier_work_and_prints_the_last_line():
    out = io.StringIO()
    assert list(track("abc", 10, "x: genes", done=7, stream=out, every=1e9)) == ["a", "b", "c"]
    assert out.getvalue().startswith("x: genes: 10/10, ")
    assert out.getvalue().count("\n") == 1


def test_the_next_item_is_made_while_the_last_is_in_use():
    made, asked = [], threading.Event()

    def items():
        for i in range(3):
            made.append(i)
            if i == 1:
                asked.set()
            yield i

    running = ahead(items())
    assert next(running) == 0
    assert asked.wait(10)  # the second is made though nobody has asked for it yet
    assert list(running) == [1, 2] and made == [0, 1, 2]


def test_an_error_comes_in_its_items_place():
    def items():
        yield 1
        raise ValueError("second")

    running = ahead(items())
    assert next(running) == 1
    with pytest.raises(ValueError, match="second"):
        next(running)
