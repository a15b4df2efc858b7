"""The shop's activities: running twice changes nothing more than running once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest

from activities.inventory import Item, OutOfStockError, Reservation, release_inventory, reserve_inventory
from activities.payments import CardDeclinedError, Charge, Payment, Receipt, refund_payment, verify_payment
from activities.shipping import Parcel, create_shipment
from activities.shop import set_stock
from tests.support.activity_contexts import attempt
from tests.support.shop_books import ShopBooks

GOOD_CARD, REFUSED_CARD = "4242 4242 4242 4242", "4000-0000-0000-0002"


@pytest.fixture(autouse=True)
def books(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ShopBooks:
    monkeypatch.setenv("SHOP_DB", str(tmp_path / "shop.db"))
    return ShopBooks(tmp_path)


def charge(order_id: str = "o1", card: str = GOOD_CARD) -> Charge:
    return Charge(order_id=order_id, payment=Payment(card=card, amount=Decimal("19.99")))


def reservation(receipt_id: str = "r1", *items: tuple[str, int]) -> Reservation:
    return Reservation(receipt_id=receipt_id, items=[Item(sku=sku, quantity=n) for sku, n in items])


def test_charging_twice_with_one_key_charges_once(books: ShopBooks) -> None:
    first, second = (verify_payment(attempt("k", number), charge()) for number in (1, 2))
    assert first == second == Receipt(receipt_id=first.receipt_id, cents=1999)
    assert len(books.payments("o1")) == 1


def test_two_keys_are_two_charges(books: ShopBooks) -> None:
    assert verify_payment(attempt("a"), charge()) != verify_payment(attempt("b"), charge())
    assert len(books.payments("o1")) == 2


def test_a_declined_card_is_not_charged(books: ShopBooks) -> None:
    with pytest.raises(CardDeclinedError, match="0002"):
        verify_payment(attempt("k"), charge(card=REFUSED_CARD))
    assert books.payments("o1") == []


def test_only_the_last_four_digits_of_a_card_are_kept(books: ShopBooks) -> None:
    verify_payment(attempt("k"), charge())
    assert books.payments("o1")[0]["card_last4"] == "4242"
    assert b"42424242" not in (books.folder / "shop.db").read_bytes()


def test_a_refund_is_marked_on_its_own_receipt_only(books: ShopBooks) -> None:
    receipt = verify_payment(attempt("a"), charge("o1"))
    verify_payment(attempt("b"), charge("o2"))
    refund_payment(receipt)
    refund_payment(receipt)
    assert [p["refunded"] for p in books.payments("o1") + books.payments("o2")] == [1, 0]


def test_stock_is_reserved_once_per_receipt(books: ShopBooks) -> None:
    set_stock("tea", 10)
    for _ in range(2):
        reserve_inventory(reservation("r1", ("tea", 2), ("tea", 1)))
    assert books.stock("tea") == 7


def test_a_reservation_is_all_or_nothing(books: ShopBooks) -> None:
    set_stock("tea", 10)
    with pytest.raises(OutOfStockError, match="'sold-out'"):
        reserve_inventory(reservation("r1", ("tea", 2), ("sold-out", 1)))
    assert books.stock("tea") == 10


def test_an_unknown_product_is_out_of_stock() -> None:
    with pytest.raises(OutOfStockError, match="'unicorn'"):
        reserve_inventory(reservation("r1", ("unicorn", 1)))


def test_released_stock_goes_back_once(books: ShopBooks) -> None:
    set_stock("tea", 10)
    set_stock("pot", 3)
    reserve_inventory(reservation("r1", ("tea", 2), ("pot", 3)))
    for _ in range(2):
        release_inventory("r1")
    release_inventory("nothing-reserved")
    assert (books.stock("tea"), books.stock("pot")) == (10, 3)


def test_stock_never_goes_below_zero_when_many_buy_at_once(books: ShopBooks) -> None:
    set_stock("tea", 5)

    def buy(n: int) -> bool:
        try:
            reserve_inventory(reservation(f"r{n}", ("tea", 1)))
        except OutOfStockError:
            return False
        return True

    with ThreadPoolExecutor(8) as buyers:
        assert sum(buyers.map(buy, range(20))) == 5
    assert books.stock("tea") == 0


def test_a_shipment_keeps_its_tracking_id_over_attempts(books: ShopBooks) -> None:
    parcel = Parcel(order_id="o1", items=[Item(sku="tea", quantity=1)])
    first, second = (create_shipment(attempt("k", number), parcel) for number in (1, 2))
    assert first == second
    assert [s["tracking_id"] for s in books.shipments("o1")] == [first.tracking_id]


@pytest.mark.parametrize("amount", ["0", "-1", "1.001", "NaN"])
def test_an_amount_that_is_no_amount_is_refused(amount: str) -> None:
    with pytest.raises(ValueError, match="amount"):
        Payment(card=GOOD_CARD, amount=Decimal(amount))
