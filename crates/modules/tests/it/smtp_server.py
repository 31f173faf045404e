"""A real SMTP server for the mail tests.

Usage: smtp_server.py MODE [CERT KEY]; MODE is plain, starttls or implicit, then optionally
`:` and one of PLAIN, LOGIN, XOAUTH2 to demand a login by that mechanism.

Prints its port, then one JSON line for each mail taken. The part of a recipient before the
`@` chooses how it fails: later, never, drop, hang, data-later, data-never.
"""

import asyncio
import base64
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

USER, PASSWORD = b"soc@example.com", b"hunter22-hunter22"


def say(value):
    print(json.dumps(value), flush=True)


class Handler:
    def __init__(self):
        self.tried = set()

    async def handle_RCPT(self, server, session, envelope, address, options):
        kind = address.split("@")[0]
        if kind == "later":
            return "451 4.7.1 greylisted"
        if kind == "never":
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        kinds = {address.split("@")[0] for address in envelope.rcpt_tos}
        if "drop" in kinds:
            server.transport.abort()
            return "250 never sent"
        if "hang" in kinds:
            await asyncio.sleep(3600)
        if "data-later" in kinds:
            return "452 4.3.1 disk full"
        if "data-never" in kinds:
            return "552 5.3.4 too big"
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        parts = [
            {
                "type": part.get_content_type(),
                "name": part.get_filename(),
                "text": part.get_payload(decode=True).decode("latin-1"),
            }
            for part in message.walk()
            if not part.is_multipart()
        ]
        say({
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "headers": {name.lower(): str(value) for name, value in message.items()},
            "parts": parts,
            "bare_line_ends": envelope.content.replace(b"\r\n", b"").count(b"\n"),
            "session": session.peer[1],
            "hello": session.host_name,
            "tls": server.transport.get_extra_info("sslcontext") is not None,
            "authenticated": bool(session.authenticated),
        })
        return "250 2.0.0 taken"

    async def auth_XOAUTH2(self, server, args):
        shown = base64.b64decode(args[1])
        right = b"user=" + USER + b"\x01auth=Bearer " + PASSWORD + b"\x01\x01"
        return AuthResult(success=shown == right)


def authenticate(server, session, envelope, mechanism, data):
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (USER, PASSWORD)
    return AuthResult(success=right, handled=False)


async def main():
    mode, _, mechanism = sys.argv[1].partition(":")
    context = None
    if len(sys.argv) > 2:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(sys.argv[2], sys.argv[3])
    others = [name for name in ("PLAIN", "LOGIN", "XOAUTH2") if name != mechanism]
    handler = Handler()

    def connection():
        return SMTP(
            handler,
            hostname="test.invalid",
            enable_SMTPUTF8=True,
            tls_context=context if mode == "starttls" else None,
            require_starttls=mode == "starttls",
            authenticator=authenticate if mechanism else None,
            auth_required=bool(mechanism),
            auth_require_tls=mode == "starttls",
            auth_exclude_mechanism=others,
        )

    listen = context if mode == "implicit" else None
    loop = asyncio.get_running_loop()
    server = await loop.create_server(connection, "127.0.0.1", 0, ssl=listen)
    say(server.sockets[0].getsockname()[1])
    # Ends with the test that started it: its end closes our standard input.
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main())
