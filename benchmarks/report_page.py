"""Writes ``docs/performance.md`` and its chart from the result lines: ``python -m benchmarks.report_page``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from . import results
from .aims import AIMS
from .catalogue import USUAL, Sized, parse
from .chart import draw
from .comparison import Peers, Row, number, ratio_text, rows
from .machine import description
from .markdown import table
from .profiles import profile_file
from .results import ENGINE, Line, is_doubtful, median, noise_of
from .scale import page as scale_page
from .stores import RESULTS, VARIANTS

DOCS = Path(__file__).resolve().parents[1] / "docs"
CHART = "images/performance.svg"
MACHINE = "machine.json"

EMBEDDED = "sqlite"
_STORES = {EMBEDDED: "embedded store", "azurite": "Azurite"}
_PROFILED = "w1,w2,w3,w4"

_TEXTS = Path(__file__).parent / "page"


def render(lines: Sequence[Line], peers: Peers, machine: str, profiles: Path) -> tuple[str, list[Row]]:
    """The page, and the rows that its chart shows."""
    workloads = _measured(lines)
    variants = [variant for variant in VARIANTS if any(line["variant"] == variant for line in lines)]
    found = rows(lines, workloads, variants, peers)
    parts = [
        _text("head.md"),
        "## Results\n\n"
        f"Medians. A ratio is to the best durable peer, and above 1 we are ahead. Peers: {peers.when}. "
        f"\\* not durable.\n{_warning(lines)}",
        _table(found, variants, peers),
        f"![How many times better than the best durable peer]({CHART})\n",
        _missed(found, variants),
        f"## The machine\n\n{machine}. {noise_of(lines)} {_repetitions(lines)}\n",
        _text("durability.md"),
        *_floor(lines, variants),
        *scale_page.section(profiles),
        *_profiles(profiles, variants),
    ]
    return "\n".join(parts), found


def _warning(lines: Sequence[Line]) -> str:
    if not is_doubtful(lines):
        return ""
    return "\n**The machine was busy while this was measured: the figures of time say little, and the ratios less.**\n"


def _measured(lines: Sequence[Line]) -> list[Sized]:
    """The usual workloads, and whatever else there are lines of."""
    found: list[str] = []
    for label in dict.fromkeys([*USUAL.split(","), *(line["w"] for line in lines)]):
        try:
            parse(label)
        except ValueError:
            continue  # of a workload that there is no more
        found.append(label)
    measured = [each for each in parse(",".join(found)) if each.workload.name != "floor"]
    return sorted(measured, key=_place)


def _place(each: Sized) -> tuple[bool, str, str, int]:
    """W1, W1h, W2 and so on, and then what has no number."""
    number_of, _, _ = each.title.partition(" ")
    return not number_of.startswith("W"), number_of, each.workload.name, each.size


def _table(found: Sequence[Row], variants: Sequence[str], peers: Peers) -> str:
    order = peers.all
    head = ["Workload", "", *(text for v in variants for text in (_STORES[v], "ratio")), "best durable peer"]
    head += [str(peer) if peer.is_durable else rf"{peer} \*" for peer in order]
    body: list[list[str]] = []
    for row in found:
        ours = (text for v in variants for text in (number(row.ours[v]), _marked(row.ratio(v))))
        best = str(row.best) if row.best else "-"
        body.append([row.sized.title, row.metric.label, *ours, best, *(peers.text(row.peers[peer]) for peer in order)])
    return table(head, body)


def _marked(ratio: float | None) -> str:
    return ratio_text(ratio) if ratio is None or ratio > 1 else f"**{ratio_text(ratio)}**"


def _missed(found: Sequence[Row], variants: Sequence[str]) -> str:
    # Azurite stands for round trips and promises nothing: the ratios that count are those of equal durability.
    behind = [
        f"{row.sized.title}, {row.metric.label}: {number(row.ours[EMBEDDED])}, ratio {ratio_text(ratio)}"
        for row in found
        if EMBEDDED in variants and (ratio := row.ratio(EMBEDDED)) is not None and ratio <= 1
    ]
    short = list(_short_of_aim(found, variants))
    text = "## What was not reached\n\n"
    text += _list("On the embedded store, behind the best durable peer (a ratio of at most 1):", behind) or (
        "On no row is a durable peer ahead of the embedded store.\n"
    )
    return text + "\n" + (_list("Of our own aims:", short) or "All of our own aims were reached.\n")


def _list(title: str, points: Sequence[str]) -> str:
    return f"{title}\n\n" + "".join(f"- {point}\n" for point in points) if points else ""


def _short_of_aim(found: Sequence[Row], variants: Sequence[str]) -> Iterator[str]:
    for row in found:
        aims = AIMS.get((row.sized.label, row.metric.key), {})
        for variant in variants:
            ours, aim = row.ours[variant], aims.get(variant)
            if aim is None or ours is None:
                continue
            higher = row.metric.better == "higher"
            if not isinstance(ours, float) or (ours < aim if higher else ours > aim):
                sign = "at least" if higher else "at most"
                yield f"{row.sized.title}, {row.metric.label}, {_STORES[variant]}: {number(ours)}, aim {sign} {aim:,g}"


def _repetitions(lines: Sequence[Line]) -> str:
    failed = sum(map(results.has_failed, lines))
    return f"{len(lines)} repetitions, of which {failed or 'none'} failed."


def _floor(lines: Sequence[Line], variants: Sequence[str]) -> Iterator[str]:
    """What one durable write costs, and how many of them the workloads take."""
    workloads = {each.label: each for each in parse("floor,w1,w2,w3,w4")}
    merge, transaction = workloads["floor"].workload.metrics

    def ms(label: str, variant: str) -> float | None:
        """Milliseconds of W1, or for each activity of the others."""
        sized = workloads[label]
        value = median(results.of(lines, ENGINE, variant, label), sized.workload.metrics[0])
        if not isinstance(value, float) or value <= 0:
            return None
        return value if label == "w1" else 1000 / value if label == "w2" else value * 1000 / sized.size

    body: list[list[str]] = []
    for variant in variants:
        floor = results.of(lines, ENGINE, variant, "floor")
        one, bare = median(floor, merge), median(floor, transaction)
        if not isinstance(one, float):
            continue
        body.append([f"**{_STORES[variant]}**", "", "", ""])
        if isinstance(bare, float):
            body.append(["a bare SQLite transaction, flushed", f"{bare:.3f}", number(bare / one), "1"])
        body.append(["a merge at the port", f"{one:.3f}", "1", number(one / bare if isinstance(bare, float) else None)])
        for label, text in (
            ("w1", "W1, start to result"),
            ("w2", "W2, for each activity"),
            ("w3", "W3, for each activity"),
            ("w4", "W4, for each activity"),
        ):
            if (took := ms(label, variant)) is not None:
                against = number(took / bare) if isinstance(bare, float) else "-"
                body.append([text, f"{took:.3f}", number(took / one), against])
    if body:
        yield (
            "## The floor: one durable write\n\nEach figure is a median, in ms, of writes one after another. A step of "
            "a chain must wait for one (W4); where work comes together (W2, W3) it shares flushes, and costs less.\n"
        )
        yield table(["", "ms", "in merges", "in bare transactions"], body)


def _profiles(folder: Path, variants: Sequence[str]) -> Iterator[str]:
    texts = [
        f"### {each.title}, {_STORES[variant]}\n\n```text\n{path.read_text('utf-8').rstrip()}\n```\n"
        for variant in variants
        for each in parse(_PROFILED)
        if (path := profile_file(folder, variant, each.label)).exists()
    ]
    if texts:
        yield (
            "## Where the time goes\n\nThe dearest functions of the event loop's thread, by their own time, under "
            "cProfile. It slows small functions most: the shares say more than the seconds. Waiting is time in the "
            "loop's `poll`.\n"
        )
        yield from texts


def _text(name: str) -> str:
    return (_TEXTS / name).read_text("utf-8")


def remember_machine(folder: Path) -> None:
    """Note what the lines of this folder were measured on: the page may be written elsewhere."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MACHINE).write_text(json.dumps({"machine": description()}))


def _machine_of(folder: Path) -> str:
    path = folder / MACHINE
    return str(json.loads(path.read_text("utf-8"))["machine"]) if path.exists() else description()


@click.command()
@click.option("--results", "folder", type=click.Path(path_type=Path), default=RESULTS, help="Folder of our lines.")
@click.option("--peers", type=click.Path(path_type=Path), help="Folder of other engines' result lines (*.jsonl).")
@click.option("--docs", type=click.Path(path_type=Path), default=DOCS, help="Where the page goes.")
def main(folder: Path, peers: Path | None, docs: Path) -> None:
    """Write the page from all of our lines in the results folder."""
    try:
        ours = [line for line in results.read(folder) if line["engine"] == ENGINE]
        others = Peers() if peers is None else Peers.read(peers)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    if not ours:
        raise click.ClickException(f"there are no result lines in {folder}; run make bench first")
    page, found = render(ours, others, _machine_of(folder), folder)
    bars = [(f"{row.sized.label} {row.metric.label}", _ratios(row)) for row in found]
    draw([(label, of) for label, of in bars if of], docs / CHART)
    scale_page.draw_curves(folder, docs)
    (docs / "performance.md").write_text(page, "utf-8")
    click.echo(f"wrote {docs / 'performance.md'}")


def _ratios(row: Row) -> dict[str, float]:
    ratio = row.ratio(EMBEDDED)
    return {} if ratio is None else {EMBEDDED: ratio}


if __name__ == "__main__":
    main()
