"""Rules about the environment, input and output, and blocking: DC3xx."""

from __future__ import annotations

from .rule import Rule

RULES_OF_THE_WORLD = (
    Rule(
        code="DC301",
        name="reads the process's environment",
        what="`os.environ`, `os.getenv`, `sys.argv`.",
        why="A new deployment, or a setting changed between two steps, sends a running instance another way.",
        instead="The orchestrator's input, or a step: `yield from ctx.run('limit', os.getenv, 'LIMIT')` reads it once.",
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
        name="tells one machine or process from another",
        what="Process ids, the host's name, the working directory, `platform`, the number of processors.",
        why="The next step of the instance may run in another process, on another machine.",
        instead="An activity or a step, whose result is kept; for an identity, `ctx.instance_id`.",
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
        why="What is in the file may be another thing at the replay, the file may lie on another machine, and what is "
        "written is written again.",
        instead="An activity, or a step with `ctx.run`. Names of paths may be put together freely.",
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
        name="talks over the network",
        what="`requests`, `httpx`, `aiohttp`, `urllib.request`, `socket`, database drivers, cloud clients.",
        why="The request is made again at every replay, and may be answered otherwise.",
        instead="`ctx.call_http` for a plain request, an activity for all else.",
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
        what="`subprocess`, `os.system`, `os.fork` and the like.",
        why="It runs again at every replay, and blocks the host while it does.",
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
        what="`time.sleep`, `input`, waiting for a thread's event.",
        why="The host runs many instances in one thread: they all stand still, and at each replay the wait "
        "begins again. A crash forgets it.",
        instead="`yield from ctx.create_timer(timedelta(...))`; for people, `ctx.wait_for_external_event`.",
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
        name="runs code beside the orchestrator",
        what="Threads, executors, processes, `asyncio`.",
        why="Which of them ends first is another one each time, and history knows nothing of it.",
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
        name="async code in an orchestrator",
        what="`async def` under `@orchestrator`, and an async function of yours called by one.",
        why="An orchestrator is a plain generator: nobody awaits its coroutines, so they never run.",
        instead="`def` with `yield from`; async functions are called as activities, or as steps with `ctx.run`.",
        wrong="""\
@orchestrator
async def order(ctx, amount: int):
    await ctx.call_activity(charge, amount)
""",
        right="""\
@orchestrator
def order(ctx, amount: int):
    yield from ctx.call_activity(charge, amount)
""",
    ),
    Rule(
        code="DC309",
        name="writes again at every replay",
        what="`print` and loggers of your own. A hint: reported with `--hints`, and never a reason to fail.",
        why="Nothing breaks, but a line appears once for every replay.",
        instead="`ctx.logger`, which is silent while replaying.",
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
