"""``completion``: prints what a shell needs to complete the verbs and options."""

from __future__ import annotations

import click
from click.shell_completion import ShellComplete, get_completion_class

from .exit_codes import FINE

PROGRAM = "durable_core"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> int:
    """Print the completion script of a shell, for the command durable_core.

    \b
    bash: durable_core completion bash > ~/.local/share/bash-completion/completions/durable_core
    zsh:  durable_core completion zsh > ~/.zfunc/_durable_core   (a folder of fpath, before compinit)
    fish: durable_core completion fish > ~/.config/fish/completions/durable_core.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    made = kind(ctx.find_root().command, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE")
    click.echo(ShellComplete.source(made))  # that of bash would run bash to ask its version
    return FINE
