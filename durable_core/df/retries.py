"""``RetryOptions`` of Durable Functions."""

from __future__ import annotations

from datetime import timedelta

from ..models import RetryPolicy
from ..moments import LAST_SECONDS


class RetryOptions:
    """How often, and after which delay, a failed activity or sub-orchestration is tried again.

    first_retry_interval_in_milliseconds: the delay before each further attempt.
    max_number_of_attempts: with the first attempt.
    Raises ValueError for an interval that is not positive, with the text of azure-functions-durable.
    """

    def __init__(self, first_retry_interval_in_milliseconds: int, max_number_of_attempts: int) -> None:
        self._first_retry_interval_in_milliseconds = first_retry_interval_in_milliseconds
        self._max_number_of_attempts = max_number_of_attempts
        if first_retry_interval_in_milliseconds <= 0:
            raise ValueError("first_retry_interval_in_milliseconds valuemust be greater than 0.")

    @property
    def first_retry_interval_in_milliseconds(self) -> int:
        """The delay before each further attempt."""
        return self._first_retry_interval_in_milliseconds

    @property
    def max_number_of_attempts(self) -> int:
        """The number of attempts, with the first one."""
        return self._max_number_of_attempts

    def to_json(self) -> dict[str, str | int]:
        """The options with the names of Durable Functions' JSON."""
        return {
            "firstRetryIntervalInMilliseconds": self._first_retry_interval_in_milliseconds,
            "maxNumberOfAttempts": self._max_number_of_attempts,
        }


def policy_of(options: RetryOptions | RetryPolicy) -> RetryPolicy:
    """The retry policy of these options. ValueError for other objects.

    As in Durable Functions, a number of attempts below one makes one attempt.
    """
    if isinstance(options, RetryPolicy):
        return options
    if not isinstance(options, RetryOptions):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"retry_options must be RetryOptions(interval in ms, attempts), not {options!r}")
    seconds = min(options.first_retry_interval_in_milliseconds / 1000, LAST_SECONDS)
    interval = timedelta(seconds=seconds)
    return RetryPolicy(
        max_attempts=max(1, options.max_number_of_attempts),
        first_interval=interval,
        backoff=1.0,
        max_interval=interval,
    )
