"""Mail about failed and late runs, against a mail server of our own."""

from __future__ import annotations

import base64
import socket

import pytest
from mail_server import mail_server
from pydantic import ValidationError

from sop_workbench import mail
from sop_workbench.chain import StepState
from sop_workbench.errors import MailError
from sop_workbench.settings import Mail

RECORD = {"cycle": "2026-10", "state": "failed", "step": "03_supply_review",
          "message": "03_supply_review failed in cell 4\nprice is missing",
          "exit_code": 1, "started": "2026-10-06T04:00:00+00:00", "ended": "2026-10-06T04:07:00+00:00", "host": "plan1"}


def settings(address: str, **more: object) -> Mail:
    return Mail.model_validate({"smtp": address, "from": "sop@varnholt.example", "to": ["planning@varnholt.example"], **more})


def test_a_failed_run_is_told_with_step_cause_and_remedy() -> None:
    with mail_server() as server:
        told = mail.send(settings(server.address), *mail.failure("Varnholt", RECORD, "/srv/sop"))
    assert told == "sent to planning@varnholt.example"
    (received,) = server.mails
    assert received["Subject"] == "S&OP Varnholt: cycle 2026-10 failed in 03_supply_review"
    assert (received["From"], received["To"]) == ("sop@varnholt.example", "planning@varnholt.example")
    assert received["Auto-Submitted"] == "auto-generated"
    text = received.get_content()
    for words in ("price is missing", "exit code 1", "/srv/sop on plan1", "sop run"):
        assert words in text


def test_late_steps_are_told_with_owner_and_due_day() -> None:
    states = [StepState("02_demand_review", "draft", "M. Lindqvist", "WD9 (2026-10-13)", "", 3),
              StepState("03_supply_review", "stale", "J. Novak", "WD13 (2026-10-19)", "", 1)]
    subject, text = mail.late("Varnholt", "2026-10", states, "last run: cycle 2026-10 died in 02_demand_review")
    assert subject == "S&OP Varnholt: cycle 2026-10: 2 steps late, up to 3 working days"
    assert text.splitlines()[0] == "02_demand_review: draft, due WD9 (2026-10-13), 3 working days late; owner: M. Lindqvist"
    assert "died in 02_demand_review" in text
    assert mail.late("Varnholt", "2026-10", [], "last run: cycle 2026-10 died")[0] == "S&OP Varnholt: cycle 2026-10: cycle 2026-10 died"


def test_a_subject_is_one_line_and_umlauts_arrive() -> None:
    with mail_server() as server:
        mail.send(settings(server.address), "Käse\r\nBcc: all@world.example", "Größe ändert sich\n.\nEnde")
    (received,) = server.mails
    assert received["Subject"] == "Käse Bcc: all@world.example"
    assert received["Bcc"] is None
    assert received.get_content().replace("\r\n", "\n") == "Größe ändert sich\n.\nEnde\n"


def test_who_is_refused_is_named_and_the_others_get_it() -> None:
    with mail_server(refused=("gone@varnholt.example",)) as server:
        told = mail.send(settings(server.address, to=["gone@varnholt.example", "planning@varnholt.example"]), "subject", "text")
    assert told == "sent to planning@varnholt.example; refused for gone@varnholt.example"
    assert len(server.mails) == 1


def test_the_password_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with mail_server() as server:
        signed = settings(server.address, user="sop")
        with pytest.raises(MailError, match="environment variable SOP_MAIL_PASSWORD is not set"):
            mail.send(signed, "subject", "text")
        monkeypatch.setenv("SOP_MAIL_PASSWORD", "secret")
        mail.send(signed, "subject", "text")
    assert base64.b64decode(server.logins[0]) == b"\0sop\0secret"


def test_a_server_that_breaks_off_or_is_not_there_is_an_error_with_its_address() -> None:
    with mail_server(is_broken=True) as server, pytest.raises(MailError, match=rf"{server.address} did not take the mail"):
        mail.send(settings(server.address), "subject", "text")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(MailError, match="ConnectionRefusedError"):
        mail.send(settings(nobody), "subject", "text")


@pytest.mark.parametrize("wrong", [{"to": []}, {"to": ["nobody"]}, {"smtp": "mail server:25"}, {"from": "x y@z"}, {"password": "secret"}])
def test_wrong_mail_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError):
        settings("127.0.0.1:25", **wrong)


def test_one_address_needs_no_list() -> None:
    assert settings("mail", to="a@b.example").to == ("a@b.example",)
