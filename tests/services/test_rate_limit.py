"""Requests per caller: a minute's worth at once, then at a steady rate."""

import pytest

from services.rate_limit import MOST_CALLERS, RateLimit


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_a_minutes_requests_pass_at_once_and_the_next_waits(clock):
    limit = RateLimit(6, clock)
    assert [limit.wait_seconds("amy") for _ in range(7)] == [0, 0, 0, 0, 0, 0, 10]


def test_a_bucket_fills_at_a_steady_rate_and_no_further_than_full(clock):
    limit = RateLimit(2, clock)
    assert [limit.wait_seconds("王伟") for _ in range(3)] == [0, 0, 30]
    clock.now = 30
    assert [limit.wait_seconds("王伟") for _ in range(2)] == [0, 30]
    clock.now = 3600
    assert [limit.wait_seconds("王伟") for _ in range(3)] == [0, 0, 30]


def test_callers_do_not_share_a_bucket(clock):
    limit = RateLimit(1, clock)
    assert [limit.wait_seconds(caller) for caller in ("amy", "bo", "amy")] == [0, 0, 60]


def test_the_longest_silent_caller_is_forgotten_first(clock):
    limit = RateLimit(1, clock)
    for number in range(MOST_CALLERS + 1):
        limit.wait_seconds(str(number))
    assert [limit.wait_seconds(caller) for caller in (str(MOST_CALLERS), "0")] == [60, 0]
