"""An SSH server that asks for a password, for the tests: PORT password|questions|code."""

import asyncio
import sys

import asyncssh

PASSWORD = "right-password"
HOW = sys.argv[2]


class Server(asyncssh.SSHServer):
    def begin_auth(self, username):
        return True

    def password_auth_supported(self):
        return HOW == "password"

    def validate_password(self, username, password):
        return username == "soc" and password == PASSWORD

    def kbdint_auth_supported(self):
        return HOW != "password"

    def get_kbdint_challenge(self, username, lang, submethods):
        prompts = [("Password: ", False)]
        if HOW == "code":
            prompts.append(("Code: ", True))
        return ("", "", "", prompts)

    def validate_kbdint_response(self, username, responses):
        return username == "soc" and list(responses) == [PASSWORD]


async def answer(process):
    if process.command == "wait":
        try:
            # There is nothing to read, but a signal is told by reading.
            while not await process.stdin.read(1):
                await asyncio.sleep(0.05)
        except asyncssh.SignalReceived as received:
            print("signal", received.signal, flush=True)
            process.exit_with_signal(received.signal)
            return
    user = process.get_extra_info("username")
    process.stdout.write(f"{process.command} as {user} with {PASSWORD}\n")
    process.exit(0)


async def serve():
    await asyncssh.create_server(
        Server, "127.0.0.1", int(sys.argv[1]), server_host_keys=["host"], process_factory=answer
    )
    await asyncio.Event().wait()


asyncio.run(serve())
