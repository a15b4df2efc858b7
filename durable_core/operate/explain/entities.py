"""Waits for entities: an operation that is not answered, and locks that others hold."""

from __future__ import annotations

import re

from ...engine.slots import is_gate, slot_of, slot_of_run
from ...entities import EntityId
from ...errors import CodecError, DamagedRowError, InvalidInputError, NewerFormatError
from ...hub.times import iso
from ...limits import GATE_PREFIX
from ...models import JSON, Wait
from ..entities import EntityDetails, read_details
from ..gates import read_gate
from . import words
from .facts import Facts
from .finding import NOTHING, RECOVER, Finding, Rank

HELD_BY_OTHER = "locked-by-other"
HOLDERS_SHOWN = 20


async def operation(facts: Facts, wait: Wait) -> Finding:
    """An operation of an entity was called."""
    target = wait.name.rpartition(" ")[0]  # a key may hold spaces
    if is_gate(wait.name):
        return await slot(facts, wait, target)
    found = await _details_of(facts, target)
    sentence = f"It waits for operation {words.name(wait.name)}{words.line(wait.line)}"
    sentence += f"{words.since(wait.since, facts.now)}."
    return await _behind(facts, target, found, sentence, {"entity": target, "taskId": wait.task_id})


def limit_of(wait: Wait) -> str:
    """The limit, with its key, whose slot is waited for."""
    return wait.name.rpartition(" ")[0].removeprefix(GATE_PREFIX)


async def slot(facts: Facts, wait: Wait, target: str) -> Finding:
    """A slot of a limit was asked for: who holds those that there are, and who is to have one before."""
    gate = await read_gate(facts.hub, EntityId.parse(target))
    limit = limit_of(wait)
    execution_id, generation = facts.instance.execution_id, facts.instance.generation
    mine = (slot_of(execution_id, generation, wait.task_id), slot_of_run(execution_id, generation))
    sentence = f"It waits for a slot of limit {words.name(limit)}{words.line(wait.line)}"
    sentence += words.since(wait.since, facts.now)
    details: dict[str, JSON] = {"entity": target, "taskId": wait.task_id}
    place = None if gate is None else next((each for each in gate.waiting if each.slot in mine), None)
    if gate is None or place is None:
        return Finding(
            cause="slot",
            sentence=f"{sentence}; the request, or the answer to it, is on its way.",
            action=f"{NOTHING}it goes on by itself. If it does not, {RECOVER[0].lower()}{RECOVER[1:]}",
            details=details,
            rank=Rank.WORK,
        )
    holders: list[JSON] = [{"instanceId": each.instance_id, "since": iso(each.since)} for each in gate.holders]
    waiting = len(gate.waiting)
    details |= {"heldBy": holders[:HOLDERS_SHOWN], "holders": len(gate.holders), "waiting": waiting}
    if gate.holders:
        first = min(gate.holders, key=lambda each: each.since)
        sentence += (
            f": {len(gate.holders)} {'is' if len(gate.holders) == 1 else 'are'} held, the longest by "
            f"{words.name(first.instance_id)} since {words.clock(first.since, facts.now)}"
        )
        action = f"Explain {words.name(first.instance_id)}, which gives the slot back when it ends or leaves it."
        if all(each.instance_id == facts.id for each in gate.holders):
            action = (
                "It holds the slots itself, for a ctx.slot or for other calls. If it waits for this one inside the "
                f"block of a ctx.slot, it waits for ever: terminate it ({words.command('terminate', facts.id)}), and "
                "give the call another limit or another key."
            )
    else:
        sentence += ": as many have begun as the rate permits"
        action = f"{NOTHING}the gate grants the next when the rate permits it."
    return Finding(
        cause="slot",
        sentence=f"{sentence}; {waiting} {'waits' if waiting == 1 else 'wait'} in all.",
        action=action,
        details=details,
        rank=Rank.WORK,
    )


async def lock(facts: Facts, wait: Wait) -> Finding:
    """Locks were requested: the first entity of the chain that this instance has not locked is the one it waits for."""
    targets = re.split(", (?=@)", wait.name)  # a key may hold commas
    details: dict[str, JSON] = {"entities": list(targets), "taskId": wait.task_id}
    for target in targets:
        found = await _details_of(facts, target)
        held = None if found is None or found.entity is None else found.entity.lock
        if held is not None and held.execution_id == facts.instance.execution_id:
            continue
        sentence = f"It waits for the lock of {words.name(target)}{words.line(wait.line)}"
        return await _behind(facts, target, found, sentence, details | {"entity": target})
    return Finding(
        cause="lock",
        sentence=f"All locks are granted{words.line(wait.line)}, and the message that says so is on its way.",
        action=f"{NOTHING}it goes on by itself. If it does not, {RECOVER[0].lower()}{RECOVER[1:]}",
        details=details,
        rank=Rank.WORK,
    )


async def _behind(
    facts: Facts, target: str, found: EntityDetails | None, sentence: str, details: dict[str, JSON]
) -> Finding:
    entity = None if found is None else found.entity
    sentence = sentence.rstrip(".")
    if entity is not None and entity.stuck_reason:
        return Finding(
            cause="entity-stuck",
            sentence=f"{sentence}. The entity is stuck: {words.plain(entity.stuck_reason)}",
            action="Start a host that has the entity, or remove the cause; the entity goes on by itself.",
            details=details | {"stuckReason": words.plain(entity.stuck_reason)},
            rank=Rank.NEEDS_SOMEBODY,
        )
    held = None if entity is None else entity.lock
    if held is not None and held.execution_id != facts.instance.execution_id:
        return Finding(
            cause=HELD_BY_OTHER,
            sentence=(
                f"{sentence}, held by {words.name(held.instance_id)} since {words.clock(held.since, facts.now)} "
                f"({words.length(facts.now - held.since)})."
            ),
            action=(
                f"Explain {words.name(held.instance_id)}, which releases the lock when it leaves its section or ends."
            ),
            details=details | {"heldBy": held.instance_id, "since": iso(held.since)},
            rank=Rank.WORK,
        )
    queue = 0 if found is None else found.queue_length
    return Finding(
        cause="entity",
        sentence=f"{sentence}. Entity {words.name(target)} has {queue} parcels in its mailbox.",
        action=f"{NOTHING}the entity answers when its turn comes. If it does not, {RECOVER[0].lower()}{RECOVER[1:]}",
        details=details | {"queueLength": queue},
        rank=Rank.WORK,
    )


async def _details_of(facts: Facts, target: str) -> EntityDetails | None:
    try:
        return await read_details(facts.hub, EntityId.parse(target))
    except (CodecError, NewerFormatError, DamagedRowError, InvalidInputError):
        return None
