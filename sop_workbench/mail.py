"""Mail about runs that failed and steps that are late, through the SMTP server of the settings.

What a mail says is made here from what the workbench knows; `send` hands it to the server and says in one sentence why it could not.
Nothing else depends on a mail: a server that is down never stops a run.
"""

from __future__ import annotations

import os
import smtplib
import socket
import ssl
from collections.abc import Iterable, Mapping
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Any, Protocol

from sop_workbench.errors import MailError
from sop_workbench.settings import Mail

_PORT, _STARTTLS_PORT = 25, 587


class LateStep(Protocol):
    """A step of a cycle as a mail names it."""

    @property
    def step(self) -> str:
        """Its name."""

    @property
    def status(self) -> str:
        """Where it stands."""

    @property
    def owner(self) -> str:
        """Who owns it."""

    @property
    def due(self) -> str:
        """When it is due."""

    @property
    def late_days(self) -> int:
        """Working days since then."""


def send(mail: Mail, subject: str, text: str) -> str:
    """Hand a mail to the server; returns whom it went to.

    Raises
    ------
    MailError
        When the server cannot be reached, refuses or the password is not set; names server and cause.
    """
    host, _, port = mail.smtp.partition(":")
    try:
        with smtplib.SMTP(host, int(port or (_STARTTLS_PORT if mail.starttls else _PORT)), timeout=mail.timeout_seconds) as server:
            if mail.starttls:
                server.starttls(context=ssl.create_default_context())
            if mail.user:
                server.login(mail.user, _password(mail))
            refused = server.send_message(_message(mail, subject, text))
    except (OSError, smtplib.SMTPException) as fault:
        raise MailError(f"the mail server {mail.smtp} did not take the mail: {type(fault).__name__}: {fault}") from fault
    taken = [address for address in mail.to if address not in refused]
    return f"sent to {', '.join(taken)}" + (f"; refused for {', '.join(refused)}" if refused else "")


def _password(mail: Mail) -> str:
    password = os.environ.get(mail.password_variable)
    if password is None:
        raise MailError(f"environment variable {mail.password_variable} is not set; it holds the password of {mail.user} at {mail.smtp}")
    return password


def _message(mail: Mail, subject: str, text: str) -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = " ".join(subject.split())
    message["From"], message["To"] = mail.sender, ", ".join(mail.to)
    message["Date"], message["Message-ID"] = formatdate(localtime=True), make_msgid(domain=mail.sender.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    return message


def failure(company: str, record: Mapping[str, Any], folder: str) -> tuple[str, str]:
    """Subject and text about a run that failed, from its last-run record.

    Examples
    --------
    >>> record = {"cycle": "2026-10", "step": "03_supply_review", "state": "failed", "message": "price is missing", "exit_code": 1,
    ...           "started": "06:00", "ended": "06:04", "host": "plan1"}
    >>> failure("Acme", record, "/srv/sop")[0]
    'S&OP Acme: cycle 2026-10 failed in 03_supply_review'
    """
    where = f" in {record['step']}" if record.get("step") else ""
    subject = f"S&OP {company}: cycle {record['cycle']} {record['state']}{where}"
    lines = [f"The run of cycle {record['cycle']} {record['state']}{where}.", "", str(record["message"]), "",
             f"exit code {record['exit_code']}, started {record['started']}, ended {record['ended']}",
             f"workspace {folder} on {record['host']}", "", "Mend the cause and start sop run again: it goes on where it stopped."]
    return subject, "\n".join(lines) + "\n"


def late(company: str, cycle: str, states: Iterable[LateStep], last_run: str) -> tuple[str, str]:
    """Subject and text about the steps that are late by the governance calendar, and the last run where it needs attention."""
    states = list(states)
    days = max((state.late_days for state in states), default=0)
    count = f"{len(states)} step{'' if len(states) == 1 else 's'} late, up to {days} working day{'' if days == 1 else 's'}"
    subject = f"S&OP {company}: cycle {cycle}: {count if states else last_run.removeprefix('last run: ')}"
    lines = [f"{state.step}: {state.status}, due {state.due}, {state.late_days} working days late; owner: {state.owner}"
             for state in states]
    return subject, "\n".join([*lines, *(["", last_run] if last_run else []), "", f"on {socket.gethostname()}"]) + "\n"
