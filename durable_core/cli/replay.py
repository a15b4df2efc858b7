"""``replay``: replays exported histories with the current code."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path

import click

from ..errors import DurableError, NonDeterminismError, UnknownOrchestratorError
from .app_options import code_options, load_code, or_cannot_run
from .formats import Document, Form, format_option, print_documents


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@code_options
@format_option
def replay(files: tuple[Path, ...], folder: Path, modules: str | None, form: Form) -> None:
    """Replay exported histories with the current code; a folder stands for the .json files in it.

    Exit code 0: the code matches all histories; 1: it does not match some; 2: some could not be replayed (damaged file,
    newer format, missing orchestrator), or the code cannot be loaded.
    """
    from ..replay.replayer import History, replay
    from ..runtime.activities.call_options import calls_journals

    paths = [path.absolute() for each in files for path in (sorted(each.glob("*.json")) if each.is_dir() else [each])]
    worst, documents = 0 if paths else 2, list[Document]()

    def tell(shown: str, outcome: str, text: str) -> None:
        """Print the outcome of one file, or keep it for the document of all."""
        if form == "table":
            click.echo(text)
        else:
            documents.append({"file": shown, "outcome": outcome, "message": text})

    if not paths:
        click.echo("there is no .json file there", err=True)
    with or_cannot_run():
        code = load_code(folder, modules)
    for path, shown in zip(paths, _shown(paths), strict=True):
        try:
            history = History.read(path)
            with redirect_stdout(sys.stderr):  # keeps the output of orchestrators apart from the output of this verb
                replay(code.registry, history, code.converter)
        except NonDeterminismError as error:
            tell(shown, "does-not-fit", f"{shown}: does not fit\n{error}")
            worst = max(worst, 1)
        except UnknownOrchestratorError as error:
            message = f"{shown}: {error}; keep the version that running instances began with"
            tell(shown, "no-orchestrator", message)
            worst = 2
        except DurableError as error:
            tell(shown, "cannot-be-replayed", f"{shown}: {error}" if str(path) not in str(error) else str(error))
            worst = 2
        else:
            text = f"{shown}: ok, {len(history.events)} events of '{history.name}' ({history.status.value})"
            if calls_journals(code.registry, history.segments):
                text += (
                    "\n  its journaled activities were not replayed, as a file has no recorded steps; "
                    "check-deploy and debug --call read them in the hub"
                )
            tell(shown, "fits", text)
    if form != "table":
        print_documents(form, documents, (), lambda _: ())
    sys.exit(worst)


def _shown(paths: list[Path]) -> list[str]:
    """The names of the files if those are unique, else their paths."""
    return [path.name for path in paths] if len({path.name for path in paths}) == len(paths) else list(map(str, paths))
