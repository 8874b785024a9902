"""Items that a thread makes ahead: their order, their errors, the thread's end."""

import threading

import pytest

from core.training.prefetch import read_ahead


def reading():
    return [thread for thread in threading.enumerate() if thread.name == "minibatches"]


@pytest.mark.parametrize("depth", [1, 3])
def test_every_item_comes_in_its_order_none_among_them(depth):
    items = [0, None, "two", *range(3, 40)]
    assert list(read_ahead(items, depth=depth)) == items
    assert list(read_ahead([], depth=depth)) == []
    assert not reading()


def test_items_are_made_before_they_are_asked_for_and_no_more_than_the_depth():
    made, third = [], threading.Event()

    def items():
        for number in range(10):
            made.append(number)
            if number == 3:
                third.set()
            yield number

    ahead = read_ahead(items(), depth=2)
    assert next(ahead) == 0
    assert third.wait(timeout=10)  # two wait and the thread holds one more
    assert made == [0, 1, 2, 3]
    ahead.close()


def test_an_error_comes_where_its_item_would_have_come():
    def items():
        yield 1
        raise ValueError("the disk is gone")

    ahead = read_ahead(items(), depth=3)
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="the disk is gone"):
        next(ahead)
    assert not reading()


def test_who_stops_early_leaves_no_thread():
    ahead = read_ahead(range(1000), depth=1)
    assert next(ahead) == 0
    assert reading()
    ahead.close()
    assert not reading()
