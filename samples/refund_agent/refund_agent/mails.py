"""The mail to the manager who decides on large refunds, as a file in the folder ``OUTBOX`` (``.durable/outbox``)."""

from __future__ import annotations

import json
import os
from email.message import EmailMessage
from hashlib import sha256
from pathlib import Path

from durable_core import ActivityContext, activity
from durable_core.integrations.pydantic_ai import Question


@activity
def ask_a_manager(ctx: ActivityContext, questions: list[Question]) -> None:
    """One mail for each refund, with a link to a page that has two buttons. A second run writes the same files."""
    folder = Path(os.environ.get("OUTBOX") or ".durable/outbox")
    folder.mkdir(parents=True, exist_ok=True)
    for question in questions:
        name = sha256(f"{ctx.idempotency_key}/{question.call.id}".encode()).hexdigest()[:24]
        draft = folder / f".{name}"
        draft.write_bytes(_mail(question).as_bytes())
        draft.replace(folder / f"{name}.eml")  # whole or not at all


def _mail(question: Question) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"] = "agent@localhost", os.environ.get("MANAGER_EMAIL") or "managers@localhost"
    mail["Subject"] = f"{question.call.metadata.get('customer')} wants money back"
    what = json.dumps(question.call.arguments, indent=2)
    text = f"{what}\n\n{link(question.url)}\n\n{question.problem}".strip() + "\n"
    mail.set_content(text, cte="8bit")  # not folded: the link stays whole for who opens the file
    return mail


def link(callback_url: str) -> str:
    """The page on which a person decides: a mail program that opens links to check them must not decide."""
    base, _, token = callback_url.rpartition("/durabletask/c/")
    return f"{base}/decide/{token}"
