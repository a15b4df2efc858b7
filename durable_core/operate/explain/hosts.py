"""Whether a host is there that could take the work: added to causes that wait for one."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from ...hub.hosts import HostRow
from ...hub.times import iso
from ...models import JSON
from ..overview import is_alive
from . import words
from .facts import Facts
from .finding import Finding, Rank

SILENT = timedelta(minutes=6)
"""After which a host has missed to write its row, which it does every five minutes."""

START_A_HOST = "Start a host with this hub and this store, and look at the logs of the last one."

_CONTROL = frozenset({"pending", "no-host", "inbox-unread", "timer-late", "child-missing", "child-not-heard"})
"""Causes that need a host for the instance's own messages."""

_WORK = frozenset({"activity", "activity-lost", "past-its-limit"})
"""Causes that need a host for the work queue of a call; ``own`` in their details is its ``queue=``."""

_CODE = frozenset({"no-orchestrator", "no-activity", "other-build"})
"""Causes that need a host with other code: the hosts are named with their builds."""


async def with_hosts(facts: Facts, finding: Finding) -> Finding:
    """The cause with what the rows of the hosts say: one read, for the causes that need a host."""
    if finding.cause not in _CONTROL | _WORK | _CODE:
        return finding
    hosts = await facts.hub.hosts.read()
    alive = [host for host in hosts if is_alive(host, facts.now)]
    if not alive:
        return _none_alive(facts, finding, hosts)
    details: dict[str, JSON] = {**finding.details, "hosts": [_host(host) for host in alive[:10]]}
    if finding.cause in _CODE:
        named = [f"{_named(host)} of build {words.plain(host.build, words.NAME_CHARS)}" for host in alive]
        told = f"{finding.sentence} Hosts alive: {words.listed(named, 3)}."
        return replace(finding, sentence=told, details=details)
    if finding.details.get("inline"):
        told = f"{finding.sentence} {_inside_one_of(alive, facts.now)}".rstrip()
        return replace(finding, sentence=told, details=details)
    own = str(finding.details.get("own", "")) if finding.cause in _WORK else ""
    serves = "control" if finding.cause in _CONTROL else f"work:{own}" if own else "work"
    if any(serves in host.queues for host in alive):
        return replace(finding, details=details)
    what = "the control queue" if serves == "control" else f"queue='{own}'" if own else "the common work queue"
    return replace(
        finding,
        cause="no-host-for-queue",
        sentence=(
            f"{finding.sentence} No host alive serves {what}; alive: "
            f"{words.listed([_named(host) for host in alive], 3)}."
        ),
        action=f"Start a host that serves {what}: one with the activity, whose function for it is not disabled.",
        details=details,
        rank=Rank.NEEDS_SOMEBODY,
    )


def _inside_one_of(alive: list[HostRow], now: datetime) -> str:
    """The hosts inside which a call may run that is in no queue: no row says which of them it is."""
    serving = [host for host in alive if any("control" in queue for queue in host.queues)]
    silent = [host for host in serving if now - host.seen > SILENT]
    names = [
        f"{_named(host)}, last seen {words.at(host.seen, now)}" if host in silent else _named(host)
        for host in (*silent, *(host for host in serving if host not in silent))
    ]
    if not names:
        return ""
    told = f"That is {names[0]}." if len(names) == 1 else f"That is one of {words.listed(names, 3)}."
    return f"{told} If its host has died, its message comes back within its lease." if silent else told


def _none_alive(facts: Facts, finding: Finding, hosts: list[HostRow]) -> Finding:
    if not hosts:  # none has run, or only those of a version that writes no rows
        told = " No host is listed in this hub." if finding.cause == "no-host" else ""
        return replace(finding, sentence=f"{finding.sentence}{told}")
    last = hosts[0]
    stopped = last.stopped is not None
    moment = last.stopped if last.stopped is not None else last.seen
    told = (
        f"No host is alive: the last one, {_named(last)}, {'stopped' if stopped else 'was seen'} "
        f"{words.at(moment, facts.now)}."
    )
    return replace(
        finding,
        cause=finding.cause if finding.cause in _CODE else "no-host",
        sentence=f"{finding.sentence} {told}",
        action=f"{START_A_HOST} {finding.action}" if finding.cause in _CODE else START_A_HOST,
        details={**finding.details, "lastHost": _host(last)},
        rank=Rank.NEEDS_SOMEBODY,
    )


def _named(host: HostRow) -> str:
    return f"{words.name(host.name)} ({words.plain(host.id, 20)})"


def _host(host: HostRow) -> JSON:
    return {
        "id": words.plain(host.id, 20),
        "name": words.plain(host.name, words.NAME_CHARS),
        "build": words.plain(host.build, words.NAME_CHARS),
        "lastSeenTime": iso(host.seen),
    }
