"""Rules about the environment, input and output, and blocking: DC3xx."""

from __future__ import annotations

from .rule import Rule

RULES_OF_THE_WORLD = (
    Rule(
        code="DC301",
        name="reads the process's environment",
        what="`os.environ`, `os.getenv`, `sys.argv`.",
        why="A new deployment, or a setting that changes between two turns, makes a running instance take another "
        "branch.",
        instead="The orchestrator's input, or a step that reads the variable once: `yield from ctx.run('limit', "
        "os.getenv, 'LIMIT')`.",
        wrong="""\
@orchestrator
def order(ctx, amount: int):
    if amount > int(os.environ["LIMIT"]):
        yield from ctx.call_activity(ask_manager, amount)
""",
        right="""\
@orchestrator
def order(ctx, amount: int):
    limit = yield from ctx.run("limit", os.getenv, "LIMIT")
    if amount > int(limit):
        yield from ctx.call_activity(ask_manager, amount)
""",
    ),
    Rule(
        code="DC302",
        name="depends on the machine or process",
        what="Process ids, the name of the host, the working directory, `platform`, the number of processors.",
        why="The next turn of the instance may run in another process, on another machine.",
        instead="An activity or a step, whose result is recorded. For an identity, use `ctx.instance_id`.",
        wrong="""\
@orchestrator
def scan(ctx, files: list[str]):
    size = os.cpu_count() or 1
    yield from ctx.task_all([ctx.call_activity(store, files[at::size]) for at in range(size)])
""",
        right="""\
@orchestrator
def scan(ctx, files: list[str]):
    size = yield from ctx.run("size", os.cpu_count)
    yield from ctx.task_all([ctx.call_activity(store, files[at::size]) for at in range(size)])
""",
    ),
    Rule(
        code="DC303",
        name="uses the file system",
        what="`open`, the methods of `pathlib.Path` that touch a file, `os`, `shutil`, `tempfile`, `sqlite3.connect`.",
        why="At a replay the content of the file may have changed, or the code may run on a machine that does not "
        "have the file. Every replay writes the file again.",
        instead="An activity, or a step with `ctx.run`. Building paths (`Path(a) / b`) is allowed.",
        wrong="""\
@orchestrator
def publish(ctx, path: str):
    text = Path(path).read_text()
    yield from ctx.call_activity(send_mail, text)
""",
        right="""\
@orchestrator
def publish(ctx, path: str):
    text = yield from ctx.run("read", Path(path).read_text)
    yield from ctx.call_activity(send_mail, text)
""",
    ),
    Rule(
        code="DC304",
        name="uses the network",
        what="`requests`, `httpx`, `aiohttp`, `urllib.request`, `socket`, database drivers, cloud clients.",
        why="Every replay sends the request again, and the response may differ.",
        instead="`ctx.call_http` for a plain request, an activity for everything else.",
        wrong="""\
@orchestrator
def rate(ctx, currency: str):
    answer = requests.get(f"https://rates.example.com/{currency}")
    yield from ctx.call_activity(store, answer.json())
""",
        right="""\
@orchestrator
def rate(ctx, currency: str):
    answer = yield from ctx.call_http("GET", f"https://rates.example.com/{currency}")
    yield from ctx.call_activity(store, answer.json())
""",
    ),
    Rule(
        code="DC305",
        name="runs a program",
        what="`subprocess`, `os.system`, `os.fork` and similar calls.",
        why="The program runs again at every replay, and blocks the host while it runs.",
        instead="An activity.",
        wrong="""\
@orchestrator
def build(ctx, target: str):
    subprocess.run(["make", target], check=True)
    yield from ctx.call_activity(send_mail, target)
""",
        right="""\
@orchestrator
def build(ctx, target: str):
    yield from ctx.call_activity(run_make, target)
    yield from ctx.call_activity(send_mail, target)
""",
    ),
    Rule(
        code="DC306",
        name="blocks the thread",
        what="`time.sleep`, `input`, waiting for an event of a thread.",
        why="The host runs many instances in one thread, and the call blocks all of them. The wait starts again at "
        "each replay, and after a crash.",
        instead="`yield from ctx.create_timer(timedelta(...))`. To wait for a person, `ctx.wait_for_external_event`.",
        wrong="""\
@orchestrator
def poll(ctx):
    while not (yield from ctx.call_activity(is_ready)):
        time.sleep(30)
""",
        right="""\
@orchestrator
def poll(ctx):
    while not (yield from ctx.call_activity(is_ready)):
        yield from ctx.create_timer(timedelta(seconds=30))
""",
    ),
    Rule(
        code="DC307",
        name="runs code in parallel to the orchestrator",
        what="Threads, executors, processes, `asyncio`.",
        why="The order in which they end differs each time, and the history does not record it.",
        instead="`ctx.task_all` or `ctx.task_any` over activities, or over steps (`ctx.run`).",
        wrong="""\
@orchestrator
def both(ctx):
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(measure, ["left", "right"]))
    yield from ctx.call_activity(store, results)
""",
        right="""\
@orchestrator
def both(ctx):
    results = yield from ctx.task_all([ctx.run(side, measure, side) for side in ("left", "right")])
    yield from ctx.call_activity(store, results)
""",
    ),
    Rule(
        code="DC308",
        name="async code that cannot run here",
        what="`async for` and `async with` over objects of libraries, `yield` in an orchestrator that is `async def`, "
        "`yield from` of a coroutine, and `await` of a generator.",
        why="An `async def` may be an orchestrator, but it has no event loop: it can await only tasks of its context, "
        "and functions of yours that await such tasks.",
        instead="`await` of tasks. Call code that needs an event loop as an activity, or as a step with `ctx.run`. To "
        "run a coroutine in a generator, or a generator in an `async def`: `ctx.branch`.",
        wrong="""\
async def ready(ctx):
    return await ctx.call_activity(is_ready)


@orchestrator
def order(ctx, amount: int):
    if (yield from ready(ctx)):
        yield from ctx.call_activity(charge, amount)
""",
        right="""\
async def ready(ctx):
    return await ctx.call_activity(is_ready)


@orchestrator
def order(ctx, amount: int):
    if (yield from ctx.branch(ready(ctx))):
        yield from ctx.call_activity(charge, amount)
""",
    ),
    Rule(
        code="DC309",
        name="writes again at every replay",
        what="`print` and your own loggers. This rule is a hint: it is reported only with `--hints`, and does not "
        "make `lint` fail.",
        why="The decisions stay the same, but the line appears again at every replay.",
        instead="`ctx.logger`, which writes nothing during a replay.",
        wrong="""\
@orchestrator
def order(ctx, amount: int):
    print("charging", amount)
    yield from ctx.call_activity(charge, amount)
""",
        right="""\
@orchestrator
def order(ctx, amount: int):
    ctx.logger.info("charging %s", amount)
    yield from ctx.call_activity(charge, amount)
""",
        is_hint=True,
    ),
)
