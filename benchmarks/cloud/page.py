"""The text and tables of docs/scale.md, from counts and the model. Writes no file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from durable_core.runtime.turn.inline_activity import AT_WORK

from ..markdown import table
from .catalogue import CHAIN, FAN, HUBS, QUEUED, SHORT_FAN, Counted
from .facts import LIMITS, PRICES, READ, Limits, Prices, facts_of
from .footprint import Footprint
from .model import (
    DURABLE_FUNCTIONS,
    Ceiling,
    Compute,
    Price,
    Rates,
    ceiling,
    ceilings,
    consumption_price,
    idle_polls_price,
    lonely_price,
    one_instance,
    price,
    published_rates,
    useful_partitions,
)

LARGE_REGION = 40_000.0
COMPUTE = Compute()
POLLING = 2.0  # seconds: maxPollingInterval of host.json

_TEXTS = Path(__file__).parent / "page"


def parts_of(counts: Counted) -> list[str]:
    rates = published_rates()
    single = _rate(ceiling(counts.alone[QUEUED], rates, partitions=16).steps_per_s)
    return [
        _text("head.md"),
        "## In short\n\n" + _in_short(counts, rates),
        "## What an instance takes\n\n" + _taken(counts),
        "## Ceilings\n\n" + _ceilings(counts, rates),
        _text("reading.md").format(single=single),
        "## Hot spots\n\n" + _hot_spots(counts, rates),
        "## Price of a million steps\n\n" + _prices(counts),
        "## Settings and their effect\n\n" + _what_to_turn(counts, rates),
        "## Machines that are asked for\n\n" + _text("scaling_out.md"),
        "## Not in these figures\n\n" + _text("left_out.md"),
        "## Limits and prices\n\n" + _facts(),
    ]


def render(counts: Counted) -> str:
    return "\n".join(parts_of(counts))


def _in_short(counts: Counted, rates: Rates) -> str:
    chain, queued = counts.apart[CHAIN], counts.apart[QUEUED]
    one, many = ceiling(chain, rates), ceiling(chain, rates, partitions=16)
    accounts = ceiling(chain, rates, partitions=16, accounts=4)
    enough = useful_partitions(chain, rates)
    enough_queued = useful_partitions(queued, rates)
    return (
        f"A hub with one partition runs {_rate(one.steps_per_s)} steps per second of chains of ten, bounded by "
        f"{_place(one.limit)}; with 16 partitions {_rate(many.steps_per_s)}, bounded by {_place(many.limit)}; four "
        f"accounts with a hub in each {_rate(accounts.steps_per_s)}. Where no activity may run inline it is "
        f"{_rate(ceiling(queued, rates).steps_per_s)}, {_rate(ceiling(queued, rates, partitions=16).steps_per_s)} and "
        f"{_rate(ceiling(queued, rates, partitions=16, accounts=4).steps_per_s)}. More than {enough} partitions "
        f"({enough_queued} with `inline=False`) are of no use to one account. A million steps of busy chains cost "
        f"{_dollars(price(chain, COMPUTE).total)}, of which {_dollars(price(chain, COMPUTE).storage)} is storage; "
        f"with `inline=False` {_dollars(price(queued, COMPUTE).total)}.\n"
    )


def _taken(counts: Counted) -> str:
    body = [
        [
            workload.title,
            f"{f.steps}",
            _number(f.table_requests),
            _number(f.queue_requests),
            _number(f.requests / f.steps),
            _number(f.control),
            _number(f.work),
            _number(f.catalogue),
            _number(f.executions),
            f"{f.written / 1024:.1f}",
            f"{f.seconds:.2f}",
        ]
        for workload, f in counts.apart.items()
    ]
    head = ["Instance", "steps", "table requests", "queue requests", "requests per step", "control messages"]
    head += ["work messages", "catalogue entities", "executions", "KiB written", "s, alone"]
    return (
        "From the start to the end and at rest, of an instance among many, each queue with machines of its own as on "
        "Flex Consumption. A message counts when it is sent, received and deleted; a receive that brings several is "
        "one request.\n\n" + table(head, body)
    )


def _ceilings(counts: Counted, rates: Rates) -> str:
    head = ["Steps per second", *(_hub(*hub) for hub in HUBS), "the second with 40,000 requests/s"]
    head.append("one instance alone")
    large = published_rates(LARGE_REGION)
    body: list[list[str]] = []
    for workload, f in counts.apart.items():
        cells = [ceilings(f, rates, partitions=partitions, accounts=accounts) for accounts, partitions in HUBS]
        cells.append(ceilings(f, large, partitions=4))
        row = [f"{_rate(each[0].steps_per_s)} ({_first(each)})" for each in cells]
        body.append([workload.title, *row, _rate(one_instance(counts.alone[workload], rates))])
    queued = {each.limit: each.steps_per_s for each in ceilings(counts.apart[QUEUED], rates)}
    every = [
        [each.limit, _rate(each.steps_per_s), _rate(queued[each.limit])]
        for each in ceilings(counts.apart[CHAIN], rates)
        if each.limit in queued
    ]
    return (
        "The first limit that is reached, and how far it lets each workload come:\n\n"
        + table(head, body)
        + "\nAll of them, for one account and a hub of one partition:\n\n"
        + table(["Limit", f"{CHAIN.title}, steps/s", f"{QUEUED.title}, steps/s"], every)
    )


def _hot_spots(counts: Counted, rates: Rates) -> str:
    chain = counts.apart[CHAIN]
    starts = rates.table_partition / chain.catalogue
    return _text("hot_spots.md").format(
        shard=rates.table_partition,
        starts=float(_rounded(starts)),
        queued=float(_rounded(ceiling(counts.apart[QUEUED], rates).steps_per_s)),
        chain=float(_rounded(one_instance(counts.alone[CHAIN], rates))),
        written=ceiling(chain, rates, partitions=16).steps_per_s / chain.steps * chain.written / 1e6,
        ingress=LIMITS.ingress.value / 8 * 1000,
        at_work=AT_WORK,
    )


def _prices(counts: Counted) -> str:
    body = [
        [
            workload.title,
            *_price_cells(price(f, COMPUTE)),
            _dollars(consumption_price(f, COMPUTE).total),
            _dollars(lonely_price(counts.alone[workload], COMPUTE).total),
            _rate(COMPUTE.steps_per_machine(f)),
        ]
        for workload, f in counts.apart.items()
    ]
    theirs = DURABLE_FUNCTIONS.price()
    body.append(["Durable Functions, a step, at the least", *_price_cells(theirs), "", "", ""])
    head = ["$ per million steps", "tables", "queues", "executions", "time at work", "**total**"]
    head += ["Consumption, total", "rare instances, at most", "steps/s of a machine"]
    ours = price(counts.apart[CHAIN], COMPUTE)
    queued = price(counts.apart[QUEUED], COMPUTE)
    return (
        _text("prices.md")
        + table(head, body)
        + "\n"
        + _text("documented.md").format(
            queue=DURABLE_FUNCTIONS.queue_operations,
            executions=DURABLE_FUNCTIONS.executions,
            chain=theirs.total / (ours.storage + ours.executions),
            queued=theirs.total / (queued.storage + queued.executions),
            read=READ,
            few=_dollars(idle_polls_price(2, POLLING)),
            many=_dollars(idle_polls_price(32, POLLING)),
        )
    )


def _what_to_turn(counts: Counted, rates: Rates) -> str:
    chain, queued = counts.apart[CHAIN], counts.apart[QUEUED]
    fan, short = counts.apart[FAN], counts.apart[SHORT_FAN]
    together, cold = counts.together[FAN], counts.cold
    slow, eights = counts.slow, counts.slow_in_eights

    def rate(f: Footprint, partitions: int = 1, accounts: int = 1, of: Rates = rates) -> str:
        return _rate(ceiling(f, of, partitions=partitions, accounts=accounts).steps_per_s)

    def effect(before: Footprint, after: Footprint) -> list[str]:
        return [
            f"{_number(before.requests / before.steps)} → {_number(after.requests / after.steps)}",
            f"{rate(before)} → {rate(after)}",
            f"{_dollars(price(before, COMPUTE).total)} → {_dollars(price(after, COMPUTE).total)}",
        ]

    widths = (1, 2, 4, 8, 16)
    polls = f"polls of a month {_dollars(idle_polls_price(2, POLLING))} → {_dollars(idle_polls_price(32, POLLING))}"
    body = [
        ["`DURABLE_INLINE` (or an activity's `inline=`): on, which it is", QUEUED.title, *effect(queued, chain)],
        [
            "`batchSize` 8 and `newBatchThreshold` 0 in place of 16 and 8: a machine runs 8 activities inline, what is "
            "more goes to the queue",
            "chain of 10, activities of 0.1 s, busy",
            *effect(slow, eights),
        ],
        ["`short=True`: 32 activities to a message", FAN.title, *effect(fan, short)],
        [
            "`DURABLE_TURNS_AT_WORK`: on, which it is: the machine that ran a lone activity runs the next "
            f"turn, and up to {AT_WORK} lone activities in a row",
            QUEUED.title,
            *effect(counts.by_control, queued),
        ],
        [
            "`DURABLE_WARM_CACHE`: its default in place of 0; as much is read where a work queue has so many machines "
            "that each message comes to another one",
            QUEUED.title,
            *effect(cold, queued),
        ],
        [
            "one kind of machine for all queues (not Flex Consumption): results need no message",
            FAN.title,
            *effect(fan, together),
        ],
        [
            "`DURABLE_PARTITIONS` 1, 2, 4, 8, 16, before the first start",
            QUEUED.title,
            "the same",
            ", ".join(rate(queued, n) for n in widths),
            f"the same; {polls}",
        ],
        ["the same", CHAIN.title, "the same", ", ".join(rate(chain, n) for n in widths), "the same"],
        [
            "a region with 40,000 requests/s, 4 partitions",
            CHAIN.title,
            "the same",
            f"{rate(chain, 4)} → {rate(chain, 4, 1, published_rates(LARGE_REGION))}",
            "the same",
        ],
        [
            "a region with 40,000 requests/s, 16 partitions",
            QUEUED.title,
            "the same",
            f"{rate(queued, 16)} → {rate(queued, 16, 1, published_rates(LARGE_REGION))}",
            "the same",
        ],
        [
            "4 accounts, an app and a hub in each (`AzureWebJobsStorage`), instances dealt out by who starts them",
            CHAIN.title,
            "the same",
            f"{rate(chain, 4)} → {rate(chain, 4, 4)}",
            "the same",
        ],
        [
            "`maxPollingInterval` 2 s → 10 s",
            "a host at rest",
            "",
            "",
            f"polls of a month {_dollars(idle_polls_price(2, POLLING))} → {_dollars(idle_polls_price(2, 10.0))}; "
            "a start at rest waits up to 10 s",
        ],
    ]
    head = ["Setting", "of", "requests per step", "steps/s, first ceiling", "$ per million steps"]
    return (
        "Each line changes one thing; one account and one partition unless it says otherwise.\n\n"
        + table(head, body)
        + "\n"
        + _text("order.md").format(partitions=useful_partitions(queued, rates), machines=_machines(counts, rates))
    )


def _machines(counts: Counted, rates: Rates) -> str:
    chain, queued = counts.apart[CHAIN], counts.apart[QUEUED]
    needed = [ceiling(f, rates, partitions=16).steps_per_s / COMPUTE.steps_per_machine(f) for f in (chain, queued)]
    return (
        f"an account is full with about {needed[0]:,.0f} machines of chains, or {needed[1]:,.0f} where no activity "
        f"runs inline, of the {LIMITS.flex_instances.value:,.0f} that Flex Consumption gives an app."
    )


def _facts() -> str:
    def rows(group: Limits | Prices) -> list[list[str]]:
        return [
            [f"{_plain(each.value)} {each.unit}", _noted(each.note, each.per_region), each.source]
            for each in facts_of(group)
        ]

    return (
        _text("facts.md").format(read=READ)
        + "\n"
        + table(["Limit", "", "Source"], rows(LIMITS))
        + "\n"
        + table(["Price", "", "Source"], rows(PRICES))
    )


def _noted(note: str, per_region: bool) -> str:
    return "; ".join(each for each in ("per region" if per_region else "", note) if each)


def _hub(accounts: int, partitions: int) -> str:
    account = "1 account" if accounts == 1 else f"{accounts} accounts"
    return f"{account}, {partitions} partition{'s' if partitions > 1 else ''}{' each' if accounts > 1 else ''}"


def _first(found: Sequence[Ceiling]) -> str:
    """The limits that are reached first, together."""
    return ", ".join(each.limit for each in found if each.steps_per_s <= found[0].steps_per_s * 1.001)


def _place(limit: str) -> str:
    return (
        f"the {limit}"
        if limit.startswith(("control", "work", "catalogue"))
        else f"the {limit.replace(':', chr(39) + 's')}"
    )


def _price_cells(of: Price) -> list[str]:
    parts = (of.tables, of.queues, of.executions, of.compute)
    return [*(_dollars(each) for each in parts), f"**{_dollars(of.total)}**"]


def _dollars(amount: float) -> str:
    if amount == 0:
        return "-"
    return f"${amount:,.0f}" if amount >= 100 else f"${amount:.2f}" if amount >= 0.1 else f"${amount:.3f}"


def _rate(per_s: float) -> str:
    return f"{_rounded(per_s):,}"


def _rounded(value: float) -> int:
    """To three digits: the limits have no more."""
    return round(float(f"{value:.3g}"))


def _plain(value: float) -> str:
    return f"{value:,.6f}".rstrip("0").rstrip(".")


def _number(value: float) -> str:
    return f"{float(f'{value:.3g}'):,g}"


def _text(name: str) -> str:
    return (_TEXTS / name).read_text("utf-8")
