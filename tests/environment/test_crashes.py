"""Crash tests as a user runs them: what is safe passes, what is not is named."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import activities
import orchestrators
from activities.inventory import Item
from activities.payments import Payment
from durable_core import (
    ActivityContext,
    NonDeterminismError,
    Orchestration,
    OrchestrationContext,
    TaskTimeoutError,
    activity,
    orchestrator,
)
from durable_core.errors import CrashTestError
from durable_core.testing import CrashReport, TestEnvironment
from orchestrators.order import Order, order
from tests.support.shop_books import ShopBooks


@activity
def book(ctx: ActivityContext, cents: int) -> str:
    raise NotImplementedError("each scenario has one of its own")


@activity
def thank(cents: int) -> None:
    return None


@orchestrator
def buy(ctx: OrchestrationContext, cents: int) -> Orchestration[str]:
    receipt = yield from ctx.call_activity(book, cents)
    yield from ctx.call_activity(thank, cents)
    return receipt


@activity(schedule_to_close=timedelta(seconds=5))
def quick(cents: int) -> int:
    return cents


@orchestrator
def pays_at_once(ctx: OrchestrationContext, cents: int) -> Orchestration[str]:
    try:
        yield from ctx.call_activity(quick, cents)
    except TaskTimeoutError:
        return "too late"
    return "paid"


@orchestrator
def insists(ctx: OrchestrationContext, cents: int) -> Orchestration[int]:
    return (yield from ctx.call_activity(quick, cents))


_greeted: list[str] = []


@orchestrator
def greets_once(ctx: OrchestrationContext) -> Orchestration[str]:
    if "greeted" not in _greeted:
        yield from ctx.call_activity(thank, 0)
        _greeted.append("greeted")
    yield from ctx.call_activity(thank, 1)
    return "done"


@orchestrator
def does_it_itself(ctx: OrchestrationContext) -> Orchestration[str]:
    _greeted.append("the orchestrator has done this itself")
    yield from ctx.call_activity(thank, 1)
    return "done"


def crash(scenario: Callable[[TestEnvironment], object], *, replay_every_step: bool = True) -> CrashReport:
    with TestEnvironment(buy, book, thank, greets_once, does_it_itself, replay_every_step=replay_every_step) as env:
        return env.crash_everywhere(scenario)


def once_per_key(env: TestEnvironment) -> object:
    booked: dict[str, int] = {}

    def charge(ctx: ActivityContext, cents: int) -> str:
        booked[ctx.idempotency_key] = cents
        return "receipt"

    env.replace(book, charge)
    env.effects(lambda: list(booked.values()))
    return env.result(env.start(buy, 5))


def every_time(env: TestEnvironment) -> object:
    booked: list[int] = []

    def charge(cents: int) -> str:
        booked.append(cents)
        return "receipt"

    env.replace(book, charge)
    env.effects(lambda: list(booked))
    return env.result(env.start(buy, 5))


def another_receipt_each_time(env: TestEnvironment) -> object:
    receipts = iter(range(100))
    env.replace(book, lambda: f"receipt {next(receipts)}")
    env.start(buy, 5)
    return None


def test_the_sample_shop_survives_a_crash_at_every_storage_operation(
    durable: TestEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    durable.register(orchestrators, activities)
    folders = iter(range(10_000))

    def scenario(env: TestEnvironment) -> object:
        books = ShopBooks(tmp_path / str(next(folders)))
        monkeypatch.setenv("SHOP_DB", str(books.folder / "shop.db"))
        monkeypatch.setenv("OUTBOX", str(books.folder / "outbox"))
        env.effects(lambda: [books.payments("o"), books.shipments("o"), books.stock("book")])
        env.effects(lambda: [str(mail["Subject"]) for mail in books.mails("o")])
        payment = Payment(card="4242424242424242", amount=Decimal("42.50"))
        items = [Item(sku="book", quantity=1)]
        order_id = env.start(
            order, Order(order_id="o", customer_email="a@example.com", items=items, payment=payment), instance_id="o"
        )
        env.raise_event(order_id, "DeliveryConfirmed")
        return env.result(order_id)

    report = durable.crash_everywhere(scenario)
    assert report.ok, report
    assert report.operations > 15
    assert report.crashes == 3 * report.operations
    assert next(folders) == report.crashes + 2
    assert "nothing changed" in str(report)


def test_an_activity_that_books_once_per_key_passes(caplog: pytest.LogCaptureFixture) -> None:
    crash(once_per_key).raise_if_failed()
    assert not caplog.records  # of crashes that were made on purpose


def test_an_activity_that_books_every_time_is_named() -> None:
    report = crash(every_time)
    assert not report.ok
    assert report.not_idempotent == ["book"]
    text = str(report)
    assert "effects [[5, 5]]" not in text
    assert "effects [5, 5], and without a crash [5]" in text
    assert "ran more than once: activity 'book' (instance '" in text
    assert "crash after" in text or "crash before" in text


def test_an_activity_that_answers_otherwise_the_second_time_is_named_without_any_effects() -> None:
    report = crash(another_receipt_each_time)
    assert report.not_idempotent == ["book"]
    assert "returned 'receipt 0' when it was run first, and 'receipt 1' again" in str(report)


@pytest.mark.parametrize("main", [pays_at_once, insists])
def test_a_schedule_to_close_that_leaves_no_time_for_a_crash_is_named_and_no_activity_blamed(main: Any) -> None:
    with TestEnvironment(pays_at_once, insists, quick) as env:
        report = env.crash_everywhere(lambda env: env.result(env.start(main, 5)))
    assert not report.ok
    assert (report.too_little_time, report.not_idempotent) == (["quick"], [])
    text = str(report)
    assert "too short a schedule_to_close: quick. " in text
    assert "here 30 s later: allow that time" in text
    assert "idempotent" not in text


def test_a_report_is_the_same_each_time_and_fails_an_assertion() -> None:
    report = crash(every_time)
    assert str(crash(every_time)) == str(report)
    with pytest.raises(AssertionError, match="probably not idempotent: book") as caught:
        report.raise_if_failed()
    assert isinstance(caught.value, CrashTestError)
    assert caught.value.report is report


def test_an_orchestrator_that_keeps_state_is_reported_with_its_line() -> None:
    def scenario(env: TestEnvironment) -> object:
        _greeted.clear()
        return env.result(env.start(greets_once))

    with pytest.raises(NonDeterminismError, match=r"environment/test_crashes\.py:\d+"):  # that takes no crash
        crash(scenario, replay_every_step=False)


def test_an_orchestrator_that_acts_itself_is_reported() -> None:
    def scenario(env: TestEnvironment) -> object:
        _greeted.clear()
        env.effects(lambda: len(_greeted))
        return env.result(env.start(does_it_itself))

    report = crash(scenario, replay_every_step=False)
    assert not report.ok
    assert "and without a crash" in str(report)


def test_a_scenario_that_does_not_make_its_state_anew_is_told_so() -> None:
    numbers = iter(range(100))
    report = crash(lambda env: next(numbers))
    assert report.crashes == 0
    assert "create all state anew" in str(report)


def test_what_a_scenario_raises_without_a_crash_is_raised() -> None:
    def scenario(env: TestEnvironment) -> object:
        raise LookupError("a mistake of the scenario's own")

    with pytest.raises(LookupError):
        crash(scenario)
