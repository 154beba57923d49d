"""A mail server for tests: takes one conversation at a time on a free local port and keeps what it was given."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage


class MailServer(socketserver.ThreadingTCPServer):
    """`refused`: addresses it does not take; `is_broken`: hangs up when a mail begins."""

    allow_reuse_address, daemon_threads = True, True

    def __init__(self, refused: tuple[str, ...] = (), is_broken: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.refused, self.is_broken = refused, is_broken
        self.mails: list[EmailMessage] = []
        self.logins: list[str] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class _Conversation(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        self.say("220 ready")
        while line := self.rfile.readline():
            word = line.split(b" ")[0].strip().upper().decode()
            if word == "DATA":
                if self.server.is_broken:
                    return
                self.take_mail()
            elif word == "QUIT":
                self.say("221 bye")
                return
            else:
                self.answer(word, line.decode())

    def answer(self, word: str, line: str) -> None:
        if word == "EHLO":
            self.wfile.write(b"250-localhost\r\n250 AUTH PLAIN\r\n")
        elif word == "AUTH":
            self.server.logins.append(line.split()[-1])
            self.say("235 welcome")
        elif word == "RCPT" and any(address in line for address in self.server.refused):
            self.say("550 nobody here")
        else:
            self.say("250 ok")

    def take_mail(self) -> None:
        self.say("354 go on")
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b"."))
        self.server.mails.append(message_from_bytes(b"".join(lines), policy=policy.default))
        self.say("250 taken")

    def say(self, words: str) -> None:
        self.wfile.write(f"{words}\r\n".encode())


@contextmanager
def mail_server(**options: object) -> Iterator[MailServer]:
    with MailServer(**options) as server:  # type: ignore[arg-type]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
