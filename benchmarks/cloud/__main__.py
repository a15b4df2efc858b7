"""Writes docs/scale.md: ``python -m benchmarks.cloud``. Takes some seconds, all of them of CPU."""

from __future__ import annotations

from pathlib import Path

import click

from .catalogue import count_all
from .page import render

DOCS = Path(__file__).resolve().parents[2] / "docs"


@click.command()
@click.option("--docs", type=click.Path(path_type=Path), default=DOCS, help="Where the page goes.")
def main(docs: Path) -> None:
    """Count, and write the page."""
    click.echo("Counting ...")
    (docs / "scale.md").write_text(render(count_all()), "utf-8")
    click.echo(f"wrote {docs / 'scale.md'}")


if __name__ == "__main__":
    main()
