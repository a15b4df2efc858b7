"""What tests do to a simulated world as a whole."""

from __future__ import annotations

from durable_core.testing.simulation import World


async def stop_all_hosts(world: World) -> None:
    """The world has no host then; what is left waits for one that is added."""
    for host in list(world.hosts):
        await host.stop()
    world.hosts.clear()
