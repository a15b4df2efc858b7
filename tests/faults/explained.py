"""A stage for explanations: one looks at instances with the app's code or from storage alone, and what always holds is
checked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from durable_core import DurableClient, Registry
from durable_core.operate.explain import Explanation
from durable_core.runtime.app import DurableApp
from durable_core.testing.simulation import World
from tests.support.worlds import stop_all_hosts

MINUTES = 60.0
HOUR = 3600.0
HOSTILE = "de\x1b[31mliver\u202eed\n<b>'; rm -rf /"

Look = Callable[[str], Awaitable[Explanation]]
Story = Callable[[World, Look], Awaitable[None]]


def client_without_code(world: World) -> DurableClient:
    return DurableApp(Registry(), world.settings, world.storage, clock=world.loop).client


def tell(story: Story, has_code: bool, world: World) -> None:
    """Play a story, in which one looks at instances."""

    async def drive(world: World) -> None:
        client = world.client if has_code else client_without_code(world)

        async def look(instance_id: str) -> Explanation:
            explanation = await client.explain(instance_id)
            check(explanation)
            return explanation

        await story(world, look)

    world.run(drive)


def check(explanation: Explanation) -> None:
    """What holds for every explanation: sentences, an action, and nothing hostile."""
    texts = [explanation.sentence, explanation.action, *(link.sentence for link in explanation.chain)]
    for text in texts:
        assert text.isprintable()
        assert len(text) < 3000
        assert text[0].isupper() or text[0].isdigit()
        assert text.endswith((".", "?")), text
    assert explanation.action
    shown = explanation.to_json()
    assert shown["cause"] == explanation.cause
    assert "\x1b" not in str(shown["details"])


async def stop_hosts(world: World) -> None:
    await stop_all_hosts(world)
