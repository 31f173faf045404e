"""A real SMTP server (aiosmtpd) that keeps each mail as a file, for the demo.

Usage: smtp-server.py FOLDER. Prints `listening PORT` when it is ready.
"""
import asyncio
import itertools
import pathlib
import sys

from aiosmtpd.smtp import SMTP

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
numbers = itertools.count(len(list(folder.glob("*.eml"))) + 1)


class Keep:
    async def handle_DATA(self, server, session, envelope):
        name = folder / f"{next(numbers):03}.eml"
        name.with_suffix(".part").write_bytes(envelope.content)
        name.with_suffix(".part").rename(name)
        return "250 OK"


async def main():
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(Keep(), enable_SMTPUTF8=True), "127.0.0.1", 0
    )
    print("listening", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


try:
    asyncio.run(main())
except KeyboardInterrupt:
    pass
