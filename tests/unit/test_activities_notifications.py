"""Mail: into the outbox once per key, and over SMTP to a real server where one is configured."""

from __future__ import annotations

from collections.abc import Iterator
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from activities.inventory import Item
from activities.notifications import Confirmation, Escalation, escalate, send_confirmation
from tests.support.activity_contexts import attempt
from tests.support.hosts import free_port
from tests.support.shop_books import ShopBooks

CONFIRMATION = Confirmation(order_id="o1", customer_email="anna@example.com", items=[Item(sku="tea", quantity=2)])


@pytest.fixture(autouse=True)
def books(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ShopBooks:
    monkeypatch.setenv("OUTBOX", str(tmp_path / "outbox"))
    monkeypatch.delenv("SMTP_HOST", raising=False)
    return ShopBooks(tmp_path)


class ExternalEvents:
    """What a mail server has accepted."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.envelopes.append(envelope)
        return "250 OK"


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[ExternalEvents]:
    """A real SMTP server on this machine, named in the settings."""
    box, port = ExternalEvents(), free_port()
    server = Controller(box, hostname="127.0.0.1", port=port)
    server.start()
    monkeypatch.setenv("SMTP_HOST", "127.0.0.1")
    monkeypatch.setenv("SMTP_PORT", str(port))
    yield box
    server.stop()


def test_confirming_twice_with_one_key_leaves_one_mail(books: ShopBooks) -> None:
    ids = {send_confirmation(attempt("k", number), CONFIRMATION) for number in (1, 2)}
    (mail,) = books.mails("Your order o1")
    assert ids == {mail["Message-ID"]}
    assert mail["To"] == "anna@example.com"
    assert "2 x tea" in mail.get_content()


def test_no_draft_is_left_in_the_outbox(books: ShopBooks) -> None:
    send_confirmation(attempt("k"), CONFIRMATION)
    assert [f.suffix for f in (books.folder / "outbox").iterdir()] == [".eml"]


def test_an_escalation_shows_the_request_and_the_instance(books: ShopBooks) -> None:
    escalate(attempt("k"), Escalation(instance_id="leave-7", request={"who": "Zoë", "days": 3}))
    (mail,) = books.mails("leave-7")
    assert "Zoë" in mail.get_content()


def test_mail_goes_over_smtp_where_a_server_is_configured(books: ShopBooks, mailbox: ExternalEvents) -> None:
    message_id = send_confirmation(attempt("k"), CONFIRMATION)
    (envelope,) = mailbox.envelopes
    content: Any = envelope.content
    mail = message_from_bytes(content, policy=policy.default)
    assert envelope.rcpt_tos == ["anna@example.com"]
    assert (mail["Subject"], mail["Message-ID"]) == ("Your order o1", message_id)
    assert books.mails("") == []


def test_an_unreachable_mail_server_fails_the_activity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_HOST", "127.0.0.1")
    monkeypatch.setenv("SMTP_PORT", str(free_port()))
    with pytest.raises(ConnectionRefusedError):
        send_confirmation(attempt("k"), CONFIRMATION)
