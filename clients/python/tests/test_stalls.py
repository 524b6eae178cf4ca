"""Networks that take nothing, and TLS."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from support import FAST, Scripted, lacking, story, until
from websockets.asyncio.server import ServerConnection, serve

from standpipe import Backlog, Client, Timing, Unreachable


@story
async def test_a_command_that_nobody_takes_ends_the_connection() -> None:
    async with Scripted.start() as server, server.client(timing=Timing(write=0.1)) as client:
        peer = await server.begin(7)
        await until(client, "subscribed")
        # Nothing is read on that side, so the buffers of the network fill.
        peer.socket.transport.pause_reading()
        with pytest.raises(Backlog):
            for _ in range(10):
                client.publish("a", "x" * 60_000)
        while client.state == "open":
            await asyncio.sleep(0.001)
            with suppress(Backlog):
                client.publish("a", "x" * 60_000)
        stalled = "disconnected: writing a command took longer than 0.1s"
        assert await until(client, stalled) == stalled


@story
async def test_a_server_behind_tls_is_reached_if_it_is_trusted() -> None:
    if shutil.which("openssl") is None:
        lacking("needs openssl")

    async def welcome(socket: ServerConnection) -> None:
        await socket.send(
            '{"op":"welcome","protocol":1,"connection":"c","epoch":"00000000000000aa","head":1,"heartbeat_interval_ms":15000}'
        )
        await socket.wait_closed()

    with tempfile.TemporaryDirectory() as folder:
        key, certificate = Path(folder) / "key.pem", Path(folder) / "certificate.pem"
        words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost"
        extra = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
        subprocess.run(["openssl", *words.split(), *extra], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        trusts = ssl.create_default_context(cafile=str(certificate))
        async with serve(welcome, "127.0.0.1", 0, ssl=context) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            address = f"wss://localhost:{port}"
            async with Client(address, topics="a", retry=FAST, ssl=trusts, proxy=None) as client:
                assert await until(client, "connected") == "connected"
            async with Client(address, topics="a", reconnect="never", proxy=None) as client:
                with pytest.raises(Unreachable, match=f"cannot establish TLS with localhost:{port}: "):
                    await anext(client)
