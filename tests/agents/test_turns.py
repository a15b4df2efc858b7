"""Turns of an agent in orchestrations: decisions of people, usage, streams, and crashes of hosts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, ApprovalRequired, CallDeferred, DeferredToolRequests, DeferredToolResults, RunContext
from pydantic_ai.capabilities import RequestInput
from pydantic_ai.exceptions import ModelHTTPError, UnexpectedModelBehavior
from pydantic_ai.messages import ModelMessagesTypeAdapter, ToolReturnPart

from durable_core import (
    ActivityContext,
    JournalContext,
    Orchestration,
    OrchestrationContext,
    Registry,
    RetryPolicy,
    RuntimeStatus,
    StreamChunk,
    StreamEnded,
    StreamEvent,
    StreamRestarted,
    activity,
    orchestrator,
)
from durable_core.errors import CapabilityError, NonRetriableError
from durable_core.integrations.pydantic_ai import (
    AgentAnswer,
    AgentTurn,
    Decision,
    DurableCoreDurability,
    PendingCall,
    Question,
    converse,
    durable_run,
    idempotency_key,
    run_turn,
)
from durable_core.testing import ActivityEnvironment
from durable_core.testing.faults import Fault, FaultPlan
from durable_core.testing.simulation import World

from .scripted import Effects, Said, scripted, tool

PAY: tuple[Said, ...] = ([tool("pay", cents=5), tool("ship", order="o-1")], "it is settled")
WEEK = timedelta(days=7).total_seconds()


class Office:
    """An app with one agent. Its tools need an approval or are executed elsewhere; ``mails`` are the questions."""

    def __init__(
        self,
        *said: Said,
        timeout: timedelta | None = timedelta(days=7),
        at: Callable[[], object] = lambda: None,
        **options: Any,
    ) -> None:
        self.effects, self.mails, self.paid = Effects(), list[Question](), dict[str, int]()
        self.told: dict[str, str] = {}  # what the model was told of its calls
        self.runs = Counter[str]()  # of each call of an activity
        agent = Agent(
            scripted(self.effects, *said, at=at),
            name="office",
            output_type=[str, DeferredToolRequests],
            capabilities=[DurableCoreDurability(**options)],
        )

        @agent.tool
        async def pay(ctx: RunContext[object], cents: int) -> str:
            if not ctx.tool_call_approved:
                raise ApprovalRequired(metadata={"by": "a manager"})
            self.effects["pay"] += 1
            self.paid[idempotency_key(ctx)] = cents
            return f"paid {cents}"

        @agent.tool_plain
        async def ship(order: str) -> str:
            raise CallDeferred

        @agent.tool_plain
        async def look(item: str) -> str:
            self.effects["look"] += 1
            await asyncio.sleep(1)
            return f"{item}: 3"

        @agent.tool_plain
        async def scan(page: int) -> str:
            raise CallDeferred

        @activity(name="scan", queue="scanner", retry=RetryPolicy(max_attempts=2))
        def scan_it(ctx: ActivityContext, arguments: dict[str, int]) -> str:
            self.runs[ctx.idempotency_key] += 1
            if arguments["page"] > 9:
                raise ValueError("there are nine pages")
            return f"text of page {arguments['page']}"

        @activity(journal=True, retry=RetryPolicy(max_attempts=3, first_interval=timedelta(seconds=20)))
        async def run_office(ctx: JournalContext, turn: AgentTurn) -> AgentAnswer:
            self.runs[ctx.idempotency_key] += 1
            answer = await run_turn(agent, ctx, turn)
            self.told = {
                part.tool_call_id: str(part.content)
                for message in ModelMessagesTypeAdapter.validate_python(answer.history)
                for part in message.parts
                if isinstance(part, ToolReturnPart)
            }
            return answer

        @activity
        def ask(ctx: ActivityContext, questions: list[Question]) -> None:
            self.runs[ctx.idempotency_key] += 1
            self.mails.extend(questions)

        @orchestrator
        def office(ctx: OrchestrationContext, prompt: str) -> Orchestration[Any]:
            answer = yield from converse(
                ctx, run_office, AgentTurn(prompt=prompt), ask=ask, tools={"scan": scan_it}, timeout=timeout
            )
            return {"said": answer.output, "requests": answer.usage.requests}

        self.run_office = run_office
        self.registry = Registry().add(run_office, ask, scan_it, office)

    async def asked(self, number: int = 1) -> list[Question]:
        """The questions, once there are so many."""
        while len(self.mails) < number:  # noqa: ASYNC110  an activity of another thread may add them
            await asyncio.sleep(1)
        return self.mails


async def ended(world: World) -> Any:
    """The status of the instance when it has ended."""
    status = await world.client.wait_for_completion("one", timeout=4 * WEEK)
    assert status.runtime_status is RuntimeStatus.COMPLETED, status
    return status


def test_a_run_goes_on_when_all_its_calls_are_decided() -> None:
    office = Office(*PAY)

    async def drive(world: World) -> None:
        await world.client.start_new("office", "one", "settle o-1")
        pay, ship = await office.asked(2)
        assert (pay.call.tool, pay.call.kind, pay.call.arguments) == ("pay", "approval", {"cents": 5})
        assert pay.call.metadata == {"by": "a manager"}
        assert (ship.call.tool, ship.call.kind) == ("ship", "external")
        waiting = await world.client.get_status("one")
        assert waiting.custom_status["pending"] == ["pay", "ship"]
        assert waiting.custom_status["usage"]["requests"] == 1
        await world.client.complete_callback(ship.url, {"approved": True, "result": {"parcel": 7}})
        await asyncio.sleep(WEEK / 2)
        assert not office.paid
        await world.client.complete_callback(pay.url, {"approved": True})
        with pytest.raises(CapabilityError):
            await world.client.complete_callback(pay.url, {"approved": False})
        status = await ended(world)
        assert status.output == {"said": "it is settled", "requests": 2}
        assert status.custom_status["pending"] == []
        assert list(office.paid.values()) == [5]
        assert office.effects == {"model": 2, "pay": 1}

    World(office.registry).run(drive)


@pytest.mark.parametrize("posted", [{"approved": False, "message": "too much"}, {"approved": False}, None])
def test_what_is_not_approved_is_not_done_and_the_model_is_told(posted: Any) -> None:
    office = Office([tool("pay", cents=5)], "it is not paid")

    async def drive(world: World) -> None:
        await world.client.start_new("office", "one", "settle")
        (pay,) = await office.asked()
        if posted is not None:
            await world.client.complete_callback(pay.url, posted)
        status = await ended(world)
        assert status.output == {"said": "it is not paid", "requests": 2}
        assert office.effects == {"model": 2}

    World(office.registry).run(drive)


@pytest.mark.parametrize("posted", ["yes", None, {"approved": "perhaps"}, {"approved": True, "cents": 9}, []])
def test_a_body_that_is_no_decision_is_asked_for_again(posted: Any) -> None:
    office = Office([tool("pay", cents=5)], "paid")

    async def drive(world: World) -> None:
        await world.client.start_new("office", "one", "settle")
        first = (await office.asked())[0]
        await world.client.complete_callback(first.url, posted)
        second = (await office.asked(2))[1]
        assert second.url != first.url
        assert not first.problem
        assert second.problem
        await world.client.complete_callback(second.url, {"approved": True, "arguments": {"cents": 3}})
        assert (await ended(world)).output == {"said": "paid", "requests": 2}
        assert list(office.paid.values()) == [3]

    World(office.registry).run(drive)


def test_a_model_that_is_down_is_asked_again_by_the_retry_of_the_activity() -> None:
    down = iter([False, True, False, False])

    def at() -> None:
        if next(down):
            raise ModelHTTPError(503, "script")

    office = Office([tool("look", item="mug")], "3 mugs", at=at)

    async def drive(world: World) -> None:
        await world.client.start_new("office", "one", "look")
        assert (await ended(world)).output == {"said": "3 mugs", "requests": 2}
        assert office.effects == {"model": 3, "look": 1}

    World(office.registry).run(drive)


def test_a_tool_that_is_an_activity_runs_in_its_queue_and_asks_nobody() -> None:
    office = Office([tool("scan", "1", page=3), tool("scan", "2", page=12), tool("pay", cents=5)], "read")

    async def drive(world: World) -> None:
        await world.client.start_new("office", "one", "read")
        (pay,) = await office.asked()
        await world.client.complete_callback(pay.url, {"approved": True})
        assert (await ended(world)).output == {"said": "read", "requests": 2}
        assert sorted(office.runs.values()) == [1, 1, 1, 1, 2]
        assert office.told == {"1": "text of page 3", "2": "there are nine pages", "call-pay": "paid 5"}

    World(office.registry).run(drive)


async def test_a_decision_on_no_pending_call_is_refused() -> None:
    office = Office("hello")
    turn = AgentTurn(prompt="go", decisions={"another": Decision(approved=True)})
    with pytest.raises(NonRetriableError, match="no pending call 'another'"):
        await ActivityEnvironment().run(office.run_office, turn)


def test_what_another_attempt_cannot_change_is_tried_once() -> None:
    """The answers of the model are recorded: another attempt would come to the same end."""
    office = Office([tool("unknown")], [tool("unknown")], [tool("unknown")], [tool("unknown")])

    async def drive(world: World) -> None:
        await world.client.start_new("office", "one", "look")
        status = await world.client.wait_for_completion("one", timeout=WEEK)
        assert status.runtime_status is RuntimeStatus.FAILED
        assert status.failure is not None
        assert status.failure.is_caused_by(UnexpectedModelBehavior)
        assert list(office.runs.values()) == [1]

    World(office.registry).run(drive)


# ---------------------------------------------------------------- waits within a run


class Inside(Office):
    """The agent waits itself: its run goes on when the answer is posted. ``asked`` has the URLs."""

    def __init__(
        self,
        *said: Said,
        answers: DeferredToolResults | None = None,
        timeout: timedelta | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self.urls: list[str] = []

        async def ask(ctx: RunContext[object], requests: DeferredToolRequests, url: str) -> DeferredToolResults | None:
            self.urls.append(url)
            return answers

        agent = Agent(
            scripted(self.effects, *said),
            name="inside",
            capabilities=[RequestInput(ask, timeout=timeout), DurableCoreDurability(**options)],
        )

        @agent.tool
        async def pay(ctx: RunContext[object], cents: int) -> str:
            if not ctx.tool_call_approved:
                raise ApprovalRequired
            self.effects["pay"] += 1
            self.paid[idempotency_key(ctx)] = cents
            return f"paid {cents}"

        @activity(journal=True)
        async def run_inside(ctx: JournalContext, prompt: str) -> str:
            self.runs[ctx.idempotency_key] += 1  # one key for the parts before and behind a wait
            with durable_run(ctx):
                return (await agent.run(prompt)).output

        @orchestrator
        def inside(ctx: OrchestrationContext, prompt: str) -> Orchestration[str]:
            return (yield from ctx.call_activity(run_inside, prompt))

        self.registry = Registry().add(run_inside, inside)


@pytest.mark.parametrize("fault", [None, *Fault])
def test_a_run_waits_for_days_and_goes_on_behind_what_is_recorded(fault: Fault | None) -> None:
    office = Inside([tool("pay", cents=5)], "it is paid")

    async def drive(world: World) -> None:
        await world.client.start_new("inside", "one", "pay")
        while not office.urls:  # noqa: ASYNC110  an activity adds them
            await asyncio.sleep(1)
        await asyncio.sleep(WEEK)
        assert not office.paid
        await world.client.complete_callback(office.urls[0], {"approvals": {"call-pay": True}})
        assert (await ended(world)).output == "it is paid"
        assert list(office.paid.values()) == [5]
        assert len(set(office.urls)) == 1
        if fault is None:
            assert (office.effects, [*office.runs.values()], len(office.urls)) == ({"model": 2, "pay": 1}, [2], 1)

    World(office.registry).run(drive, *([] if fault is None else [FaultPlan({14: fault})]))


def test_without_an_answer_in_time_the_call_is_not_approved() -> None:
    office = Inside([tool("pay", cents=5)], "it is not paid", timeout=timedelta(days=2))

    async def drive(world: World) -> None:
        await world.client.start_new("inside", "one", "pay")
        assert (await ended(world)).output == "it is not paid"
        assert not office.paid

    World(office.registry).run(drive)


def test_an_answer_at_once_needs_no_wait() -> None:
    office = Inside([tool("pay", cents=5)], "it is paid", answers=DeferredToolResults(approvals={"call-pay": True}))

    async def drive(world: World) -> None:
        await world.client.start_new("inside", "one", "pay")
        assert (await ended(world)).output == "it is paid"
        assert (office.effects, [*office.runs.values()]) == ({"model": 2, "pay": 1}, [1])

    World(office.registry).run(drive)


def test_a_run_that_is_streamed_does_not_wait_within_itself() -> None:
    office = Inside([tool("pay", cents=5)], "never", stream="answer")

    async def drive(world: World) -> None:
        await world.client.start_new("inside", "one", "pay")
        status = await world.client.wait_for_completion("one", timeout=WEEK)
        assert status.failure is not None
        assert "wait with converse" in status.failure.message
        assert not office.urls

    World(office.registry).run(drive)


# ---------------------------------------------------------------- streams


class Reader:
    """Puts the text of an agent together, as a page does: each call by itself, and anew when it runs again."""

    def __init__(self) -> None:
        self._calls: dict[int, list[Any]] = {}
        self.restarts = 0
        self.end: StreamEnded | None = None

    async def read(self, world: World) -> None:
        """Read to the end, connecting again behind each event."""
        last = None
        while self.end is None:
            async for event in world.client.stream("one", "answer", from_=last):
                last = event.offset
                self._take(event)
                break

    def _take(self, event: StreamEvent) -> None:
        match event:
            case StreamChunk():
                self._calls.setdefault(event.task_id, []).append(event.data)
            case StreamRestarted():
                self.restarts += 1
                self._calls.pop(event.task_id, None)
            case StreamEnded():
                self.end = event

    @property
    def events(self) -> list[str]:
        return [chunk["event_kind"] for chunks in self._calls.values() for chunk in chunks]

    @property
    def text(self) -> str:
        return "".join(text_of(chunk) for chunks in self._calls.values() for chunk in chunks)


def text_of(chunk: dict[str, Any]) -> str:
    """What a chunk adds to the text of the answer."""
    if chunk["event_kind"] == "part_start" and chunk["part"]["part_kind"] == "text":
        return chunk["part"]["content"]
    return chunk["delta"].get("content_delta") or "" if chunk["event_kind"] == "part_delta" else ""


@pytest.mark.parametrize("fault", list(Fault))
def test_a_reader_gets_the_whole_answer_once_whatever_happens_to_the_host(fault: Fault) -> None:
    said: tuple[Said, ...] = ([tool("look", item="mug")], "there are three of them")
    calm: list[str] = []
    for number in (None, 8, 12, 16, 20, 24, 28, 32):
        office, reader = Office(*said, stream="answer"), Reader()

        async def drive(world: World, office: Office = office, reader: Reader = reader) -> None:
            await world.client.start_new("office", "one", "look")
            reading = asyncio.create_task(reader.read(world))
            assert (await ended(world)).output == {"said": "there are three of them", "requests": 2}
            await reading

        plan = FaultPlan() if number is None else FaultPlan({number: fault})
        World(office.registry).run(drive, plan)
        assert reader.text.split() == ["there", "are", "three", "of", "them"]
        calls = [kind for kind in reader.events if not kind.startswith("part") and kind != "final_result"]
        calm = calm or calls
        assert calls == calm == ["function_tool_call", "function_tool_result"]


def test_a_pending_call_costs_no_second_question_of_the_model() -> None:
    class Seen(BaseModel):
        pending: list[PendingCall]

    office = Office([tool("pay", cents=5)], "never")

    async def look() -> Seen:
        env = ActivityEnvironment()
        answer = await env.run(office.run_office, AgentTurn(prompt="settle"))
        return Seen(pending=answer.pending)

    (call,) = asyncio.run(look()).pending
    assert call == PendingCall(
        id="call-pay", kind="approval", tool="pay", arguments={"cents": 5}, metadata={"by": "a manager"}
    )
    assert office.effects == {"model": 1}
