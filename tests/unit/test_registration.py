"""What can be an activity or an orchestrator, and what a name means that a decorator stands above."""

from __future__ import annotations

import functools
import sys
from collections.abc import Awaitable, Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from durable_core import ActivityContext, Orchestration, OrchestrationContext, activity, orchestrator
from durable_core.errors import RegistrationError
from durable_core.registry import Registry
from durable_core.testing import TestEnvironment

HERE = r"test_registration\.py:\d+"


def unnamed(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator without functools.wraps."""

    def inner(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return inner


def doubled(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that one must see the work of."""

    @functools.wraps(fn)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return 2 * fn(*args, **kwargs)

    return wrapper


def doubled_later(fn: Callable[..., Awaitable[int]]) -> Callable[..., Awaitable[int]]:
    @functools.wraps(fn)
    async def wrapper(*args: Any) -> int:
        return 2 * await fn(*args)

    return wrapper


def doubled_orchestration(fn: Callable[..., Orchestration[int]]) -> Callable[..., Orchestration[int]]:
    @functools.wraps(fn)
    def wrapper(ctx: OrchestrationContext, *args: Any) -> Orchestration[int]:
        return 2 * (yield from fn(ctx, *args))

    return wrapper


class Doubled:
    """A decorator that is a class."""

    def __init__(self, fn: Callable[..., int]) -> None:
        functools.update_wrapper(self, fn)
        self._fn = fn

    def __call__(self, *args: Any) -> int:
        return 2 * self._fn(*args)


class Adder:
    def __init__(self, amount: int) -> None:
        self.amount = amount

    def __call__(self, x: int) -> int:
        return x + self.amount


class LateAdder(Adder):
    async def __call__(self, x: int) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        return x + self.amount


def add(amount: int, ctx: ActivityContext, x: int) -> int:
    assert ctx.attempt == 1
    return x + amount


async def add_later(amount: int, x: int) -> int:
    return x + amount


@orchestrator
def calls(ctx: OrchestrationContext, given: int) -> Orchestration[int]:
    return (yield from ctx.call_activity("work", given))


@orchestrator
def calls_without_input(ctx: OrchestrationContext, times: int = 2) -> Orchestration[int]:
    assert ctx.get_input() == times
    return times * (yield from ctx.call_activity("work"))


def came(*functions: Callable[..., Any]) -> Any:
    with TestEnvironment(calls, *functions) as env:
        return env.result(env.start(calls, 5))


# ------------------------------------------------------------------ what can be one


@pytest.mark.parametrize(
    "work",
    [Adder(2), LateAdder(2), functools.partial(add, 2), functools.partial(add_later, 2)],
    ids=["object", "async object", "partial", "async partial"],
)
def test_partials_and_callable_objects_are_activities(work: Callable[..., Any]) -> None:
    assert came(activity(name="work")(work)) == 7


def test_a_static_method_is_an_activity_whichever_decorator_stands_first() -> None:
    class Works:
        @activity(name="work")
        @staticmethod
        def inside(x: int) -> int:
            return x + 1

        @staticmethod
        @activity(name="work")
        def outside(x: int) -> int:
            return x + 2

    assert (came(Works.inside), came(Works.outside)) == (6, 7)


def _star(*xs: int) -> int:
    return len(xs)


def _keyword(x: int, *, rate: float) -> float:
    return x * rate


def _method(self: Any) -> None: ...


@pytest.mark.parametrize(
    ("work", "says"),
    [
        (unnamed(_star), rf"{HERE}: '\*args' does not name the input of the activity.*functools.wraps"),
        (_star, rf"{HERE}: '\*xs' does not name the input of the activity; give it a named parameter"),
        (_keyword, rf"{HERE}: the framework cannot pass the keyword 'rate'.*give the keyword a default"),
        (_method, rf"{HERE}: a method cannot be an activity"),
        (Adder, "an activity is a function, not <class"),
        (Adder(1).__call__, "cannot have attributes; write a function"),
        (functools.partial(max, 1), "Python cannot read the parameters of.*write a function"),
        (max, "Python cannot read the parameters of.*write a function"),
    ],
)
def test_what_could_never_be_given_its_input_is_refused_with_its_place(work: Any, says: str) -> None:
    with pytest.raises(RegistrationError, match=says):
        activity(name="work")(work)


@pytest.mark.parametrize("work", [Adder(1), functools.partial(add, 1)], ids=["object", "partial"])
def test_what_has_no_name_is_asked_for_one(work: Any) -> None:
    with pytest.raises(RegistrationError, match=rf"{HERE}.*has no __name__; name it: @activity\(name='...'\)"):
        activity(work)


def test_an_orchestrator_that_could_never_be_given_its_input_is_refused() -> None:
    def star(ctx: OrchestrationContext, *inputs: int) -> Orchestration[None]:
        yield ctx.call_activity("work")

    def keyword(ctx: OrchestrationContext, *, rate: int) -> Orchestration[None]:
        yield ctx.call_activity("work")

    for wrong in (star, keyword):
        with pytest.raises(RegistrationError, match=rf"{HERE}: .*(inputs|rate)"):
            orchestrator(wrong)
    with pytest.raises(
        RegistrationError, match=r"is not a generator function.*'return .yield from function.ctx, input.."
    ):
        orchestrator(functools.partial(star))


def test_a_keyword_with_a_default_and_more_keywords_are_no_concern_of_the_call() -> None:
    @activity(name="work")
    def work(x: int, *, rate: int = 3, **more: int) -> int:
        return x * rate

    assert came(work) == 15


# ------------------------------------------------------------------ defaults


def test_a_call_and_a_start_without_input_take_the_default() -> None:
    @activity(name="work")
    def work(size: int = 50) -> int:
        return size

    @activity(name="work")
    async def with_context(ctx: ActivityContext, size: int = 50) -> int:
        return size

    def more(size: int) -> int:
        return size + 1

    for each in (work, with_context):
        with TestEnvironment(calls, calls_without_input, each) as env:
            assert env.result(env.start(calls_without_input)) == 100
            assert env.result(env.start(calls_without_input, 3)) == 150
            assert env.result(env.start(calls, 5)) == 5
            env.replace("work", more)
            assert env.result(env.start(calls_without_input)) == 102


# ------------------------------------------------------------------ decorators above


def test_a_decorator_above_activity_runs() -> None:
    @doubled
    @activity(name="work")
    def plain(x: int) -> int:
        return x

    @doubled_later
    @activity(name="work")
    async def later(x: int) -> int:
        return x

    @Doubled
    @activity(name="work")
    def by_class(x: int) -> int:
        return x

    @doubled
    @doubled
    @activity(name="work")
    def twice(ctx: ActivityContext, x: int) -> int:
        return x

    assert [came(each) for each in (plain, later, by_class, twice)] == [10, 10, 10, 20]


def test_a_decorator_that_gives_an_input_of_its_own_says_what_is_taken() -> None:
    def with_rate(fn: Callable[[int, int], int]) -> Callable[[int], int]:
        @functools.wraps(fn)
        def wrapper(x: int) -> int:
            return fn(x, 3)

        return wrapper

    @activity(name="work")
    @with_rate
    def work(x: int, rate: int) -> int:
        return x * rate

    assert came(work) == 15


def test_a_decorator_above_orchestrator_runs() -> None:
    @doubled_orchestration
    @orchestrator
    def main(ctx: OrchestrationContext, x: int) -> Orchestration[int]:
        return (yield from ctx.call_activity("work", x))

    with TestEnvironment(main, activity(name="work")(Adder(1))) as env:
        assert env.result(env.start(main, 5)) == 12


def test_a_decorator_above_orchestrator_that_yields_nothing_is_refused_with_its_place() -> None:
    def main(ctx: OrchestrationContext) -> Orchestration[int]:
        return (yield from ctx.call_activity("work", 1))

    with pytest.raises(RegistrationError, match=rf"{HERE}: a decorator above @orchestrator turns 'main'.*put @orch"):
        Registry().add(doubled(orchestrator(main)))
    with pytest.raises(RegistrationError, match=rf"{HERE}: the wrapper of the generator function 'main'"):
        orchestrator(doubled(main))


def test_a_module_is_searched_for_what_its_names_mean() -> None:
    @activity
    def work(x: int) -> int:
        return x

    @activity(name="adder")
    def adder(x: int) -> int:
        return x

    class StandIn:
        """Finds what it stands for when it is asked: flask's request, say."""

        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("there is no request")

    module = ModuleType("searched")
    vars(module).update(work=doubled(work), adder=Doubled(adder), stand_in=StandIn(), cls=Adder)
    registry = Registry.scan(module)
    assert registry.activity_names == ["adder", "work"]
    assert registry.activity("work").fn(2) == registry.activity("adder").fn(2) == 4
    vars(module).update(raw=work)
    with pytest.raises(RegistrationError, match=f"two activities are named 'work': .*{HERE}"):
        Registry.scan(module)


def test_builds_differ_by_the_files_of_decorators_too() -> None:
    @activity(name="work")
    def work(x: int) -> int:
        return x

    elsewhere: Any = doubled(work)
    elsewhere.__code__ = elsewhere.__code__.replace(co_filename=sys.modules["functools"].__file__ or "")
    assert Registry().add(work).build_id() != Registry().add(elsewhere).build_id()


def test_a_generator_around_an_activity_is_refused() -> None:
    def stream(x: int) -> Iterator[int]:
        yield x

    for wrong in (stream, doubled(stream)):
        with pytest.raises(RegistrationError, match="it does not yield"):
            activity(wrong)


def hidden(fn: Callable[..., Any]) -> Any:
    class Around:
        def __init__(self) -> None:
            self.fn = fn

    return Around()


@pytest.mark.parametrize("decorator", [unnamed, hidden])
def test_a_decorator_above_that_hides_the_function_is_refused_with_its_place(decorator: Any) -> None:
    @activity
    def work(x: int) -> int:
        return x

    module = ModuleType(__name__)
    vars(module).update(work=decorator(work))
    with pytest.raises(RegistrationError, match=rf"{HERE}: a decorator hides 'work'.*functools.wraps"):
        Registry.scan(module)
    vars(module).update(work=work, other=decorator(work))  # a function that uses it is none of its decorators
    assert Registry.scan(module).activity_names == ["work"]


@pytest.mark.parametrize("options", [{"retry": 3}, {"inline": "no"}, {"short": 1}])
def test_options_of_another_kind_are_refused(options: Any) -> None:
    with pytest.raises(RegistrationError, match=f"{next(iter(options))}=.* must be"):
        activity(name="work", **options)(_star_free)


def _star_free(x: int) -> int:
    return x
