"""What every verb of a hub has in common: output for programs, and a dry run where it ends or deletes something."""

from __future__ import annotations

from collections.abc import Iterator

import click

from durable_core.cli import main

WITHOUT_DOCUMENT = {
    "completion": "prints a script",
    "debug": "is a conversation",
    "history export": "prints, or writes, histories, which are JSON",
    "host": "runs until it is stopped",
    "init": "writes files",
    "wheel": "writes a file",
}


def verbs(group: click.Group, above: str = "") -> Iterator[tuple[str, set[str]]]:
    """Every verb that does something by itself, with its options."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        options = {option for parameter in command.params for option in parameter.opts}
        if isinstance(command, click.Group):
            yield from verbs(command, f"{above}{name} ")
        if not isinstance(command, click.Group) or command.params:
            yield f"{above}{name}", options


def test_every_verb_has_output_for_programs() -> None:
    assert isinstance(main, click.Group)
    assert {name for name, options in verbs(main) if "--format" not in options} == set(WITHOUT_DOCUMENT)


def test_every_verb_that_asks_has_a_dry_run() -> None:
    assert isinstance(main, click.Group)
    asking = {name for name, options in verbs(main) if "--yes" in options}
    assert {"terminate", "cancel", "purge", "bulk", "restart", "entities delete", "schedules delete"} <= asking
    for name, options in verbs(main):
        assert name not in asking or "--dry-run" in options, name
