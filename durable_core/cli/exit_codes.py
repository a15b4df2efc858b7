"""What the verbs end with, and the errors that stand for it."""

from __future__ import annotations

import click

FINE = 0
FINDING = 1
"""The verb ran, and what it reports needs somebody."""
CANNOT_RUN = 2
NOTHING_MATCHED = 3


class CannotRunError(click.ClickException):
    """The verb could not run: exit code 2, so that a pipeline can tell it from a finding (exit code 1)."""

    exit_code = CANNOT_RUN


class NothingMatchedError(click.ClickException):
    """There is no instance that the verb could be about: exit code 3."""

    exit_code = NOTHING_MATCHED
