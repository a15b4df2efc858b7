"""Mail: as files in an outbox folder (setting ``OUTBOX``), or over SMTP where ``SMTP_HOST`` is set.

Each mail's Message-ID, and its file's name, comes from the idempotency key. The outbox therefore holds it once; over
SMTP a crash between sending and recording may send it again, with the same Message-ID.
"""

from __future__ import annotations

import json
import os
import smtplib
from email.message import EmailMessage
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import BaseModel

from durable_core import ActivityContext, activity

from .inventory import Item

DEFAULT_OUTBOX = ".durable/outbox"
SMTP_TIMEOUT = 20.0  # seconds


class Confirmation(BaseModel):
    order_id: str
    customer_email: str
    items: list[Item]


class Escalation(BaseModel):
    instance_id: str
    request: Any


@activity
def send_confirmation(ctx: ActivityContext, confirmation: Confirmation) -> str:
    """Tell the customer that the order is accepted. Returns the mail's Message-ID."""
    lines = [f"  {item.quantity} x {item.sku}" for item in confirmation.items]
    return _send(
        ctx.idempotency_key,
        to=confirmation.customer_email,
        subject=f"Your order {confirmation.order_id}",
        text="\n".join(["Thank you for your order. We are packing:", "", *lines, ""]),
    )


@activity
def escalate(ctx: ActivityContext, escalation: Escalation) -> str:
    """Remind those who must decide that half of the time is over. Returns the mail's Message-ID."""
    request = json.dumps(escalation.request, indent=2, ensure_ascii=False)
    return _send(
        ctx.idempotency_key,
        to=os.environ.get("ESCALATION_EMAIL") or "managers@localhost",
        subject=f"Still waiting for a decision: {escalation.instance_id}",
        text=f"Half of the time to decide is over. Raise the event Approved or Rejected.\n\n{request}\n",
    )


def outbox_folder() -> Path:
    return Path(os.environ.get("OUTBOX") or DEFAULT_OUTBOX)


def _send(key: str, *, to: str, subject: str, text: str) -> str:
    name = sha256(key.encode()).hexdigest()[:24]
    mail = EmailMessage()
    mail["Message-ID"] = f"<{name}@durable-core.invalid>"
    mail["From"] = os.environ.get("SMTP_FROM") or "shop@localhost"
    mail["To"] = to
    mail["Subject"] = subject
    mail.set_content(text)

    host = os.environ.get("SMTP_HOST")
    if host:
        with smtplib.SMTP(host, int(os.environ.get("SMTP_PORT") or 25), timeout=SMTP_TIMEOUT) as server:
            if user := os.environ.get("SMTP_USER"):
                server.starttls()
                server.login(user, os.environ.get("SMTP_PASSWORD", ""))
            server.send_message(mail)
    else:
        folder = outbox_folder()
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f".{uuid4().hex}"
        draft.write_bytes(mail.as_bytes())
        draft.replace(folder / f"{name}.eml")  # whole or not at all, also when the process dies here
    return mail["Message-ID"]
