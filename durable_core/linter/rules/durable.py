"""Rules about the use of the durable API: DC4xx."""

from __future__ import annotations

from .rule import Rule

RULES_OF_THE_API = (
    Rule(
        code="DC401",
        name="a task that nobody waits for",
        what="A task that is called as a statement of its own, or kept in a variable that is never read; a "
        "generator of yours, or a saga's `compensate()`, that is called without `yield from`.",
        why="The orchestrator goes on, and may end, before the task has; its failure is never seen. A "
        "generator that is only called does not run at all.",
        instead="`yield from`. For what nobody shall wait for: `ctx.start_orchestration`, or `_ = "
        "ctx.call_activity(...)` to say that it is meant.",
        wrong="""\
@orchestrator
def order(ctx, amount: int):
    ctx.call_activity(charge, amount)
    yield from ctx.call_activity(send_mail, "paid")
""",
        right="""\
@orchestrator
def order(ctx, amount: int):
    yield from ctx.call_activity(charge, amount)
    yield from ctx.call_activity(send_mail, "paid")
""",
    ),
    Rule(
        code="DC402",
        name="yields what is no task",
        what="`yield` of a list, a constant or a generator; `yield from` a list.",
        why="An orchestrator can only wait for tasks: anything else fails the instance.",
        instead="`ctx.task_all(...)`, `ctx.task_any(...)`; for a generator of yours, `yield from`.",
        wrong="""\
@orchestrator
def both(ctx):
    yield [ctx.call_activity(store, 1), ctx.call_activity(store, 2)]
""",
        right="""\
@orchestrator
def both(ctx):
    yield ctx.task_all([ctx.call_activity(store, 1), ctx.call_activity(store, 2)])
""",
    ),
    Rule(
        code="DC403",
        name="an activity called as a function",
        what="A function marked `@activity` that orchestrator code calls itself.",
        why="It runs in the orchestrator, at every replay anew: without history, retries or another worker.",
        instead="`yield from ctx.call_activity(charge, amount)`.",
        wrong="""\
@orchestrator
def order(ctx, amount: int):
    receipt = charge(amount)
    yield from ctx.call_activity(send_mail, receipt)
""",
        right="""\
@orchestrator
def order(ctx, amount: int):
    receipt = yield from ctx.call_activity(charge, amount)
    yield from ctx.call_activity(send_mail, receipt)
""",
    ),
    Rule(
        code="DC404",
        name="catches more than failures",
        what="Around a wait: a bare `except:`, or one of `BaseException`, that does not raise on; `except "
        "Exception: pass` and `suppress(Exception)`.",
        why="It also catches what tells the orchestrator to end: `TaskCancelledError`, and `GeneratorExit`, "
        "when the host lets go of it.",
        instead="`except TaskFailedError:` or a narrower one, or `raise` at the end of the handler.",
        wrong="""\
@orchestrator
def order(ctx, amount: int):
    try:
        yield from ctx.call_activity(charge, amount)
    except Exception:
        pass
""",
        right="""\
@orchestrator
def order(ctx, amount: int):
    try:
        yield from ctx.call_activity(charge, amount)
    except ActivityFailedError as error:
        ctx.set_custom_status(error.failure.message)
""",
    ),
    Rule(
        code="DC405",
        name="the orchestrator's context in an activity or a step",
        what="`ctx` given to an activity or a step (`ctx.run`), or called inside of one; an activity whose "
        "parameter is annotated `OrchestrationContext`.",
        why="Activities run elsewhere, and steps beside the orchestrator and not at a replay: what they would "
        "decide there is in no history.",
        instead="Give them the values they need: `ctx.instance_id`, `ctx.current_utc_datetime`. An activity's own "
        "context is `ActivityContext`.",
        wrong="""\
@orchestrator
def order(ctx, amount: int):
    yield from ctx.run("charge", lambda: charge_card(ctx.new_uuid(), amount))
""",
        right="""\
@orchestrator
def order(ctx, amount: int):
    reference = ctx.new_uuid()
    yield from ctx.run("charge", lambda: charge_card(reference, amount))
""",
    ),
    Rule(
        code="DC406",
        name="a loop that never waits",
        what="`while True` without a wait, a `return`, a `break` or a `raise` in it; a loop over a condition "
        "that does nothing.",
        why="Nothing can change while the code does not wait: the loop holds the host for ever.",
        instead="`yield from ctx.wait_condition(lambda: ...)`, or a timer within the loop.",
        wrong="""\
@orchestrator
def gate(ctx):
    opened: list[str] = []
    ctx.on_event("Open", opened.append)
    while not opened:
        pass
    yield from ctx.call_activity(send_mail, opened[0])
""",
        right="""\
@orchestrator
def gate(ctx):
    opened: list[str] = []
    ctx.on_event("Open", opened.append)
    yield from ctx.wait_condition(lambda: opened)
    yield from ctx.call_activity(send_mail, opened[0])
""",
    ),
    Rule(
        code="DC407",
        name="a query or condition that acts",
        what="A query's handler, or the predicate of `wait_condition`, that calls tasks, sets the status, "
        "sends events, or changes the orchestrator's variables.",
        why="Queries are answered outside of the run and predicates are looked at any number of times: what "
        "they do there is in no history.",
        instead="Let them look only. A handler of `ctx.on_event` may change variables.",
        wrong="""\
@orchestrator
def backup(ctx):
    asked = 0

    def progress():
        nonlocal asked
        asked += 1
        return asked

    ctx.set_query_handler("progress", progress)
    yield from ctx.call_activity(copy_table)
""",
        right="""\
@orchestrator
def backup(ctx):
    done = 0

    def progress():
        return done

    ctx.set_query_handler("progress", progress)
    yield from ctx.call_activity(copy_table)
    done += 1
""",
    ),
    Rule(
        code="DC408",
        name="decides by ctx.is_replaying",
        what="A wait or a call in a branch that asks for `ctx.is_replaying`.",
        why="The first run goes one way and every replay the other: history and code never agree.",
        instead="Nothing: calls are safe to write down without it, since history answers them at a replay. For "
        "log lines, `ctx.logger`.",
        wrong="""\
@orchestrator
def order(ctx, amount: int):
    if not ctx.is_replaying:
        yield from ctx.call_activity(send_mail, "started")
    yield from ctx.call_activity(charge, amount)
""",
        right="""\
@orchestrator
def order(ctx, amount: int):
    yield from ctx.call_activity(send_mail, "started")
    yield from ctx.call_activity(charge, amount)
""",
    ),
)
