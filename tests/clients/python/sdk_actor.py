"""The same Actor as `actor.mjs`, on the official Python SDK: counts requests, charges for each, and stores what it is told."""

import asyncio
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from apify import Actor, Event


async def charged():
    result = await Actor.charge("event-delivered", count=2)
    await Actor.push_data({"charged": result.charged_count})
    await Actor.set_status_message("charged")
    await Actor.set_value("state", {"chargedCount": result.charged_count})
    state = await Actor.get_value("state")
    told = {"chargedCount": result.charged_count, "state": state, "isAtHome": Actor.is_at_home(), "input": await Actor.get_input()}
    return json.dumps(told).encode()


async def main():
    async with Actor:
        loop, is_aborting = asyncio.get_running_loop(), asyncio.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                body = b"{}"
                if self.path.startswith("/charge"):
                    body = asyncio.run_coroutine_threadsafe(charged(), loop).result()
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        async def abort(_):
            is_aborting.set()

        async def informed(info):
            if info.memory_info.current_size.bytes > 0:
                print("told of the machine", flush=True)

        Actor.on(Event.ABORTING, abort)
        Actor.on(Event.SYSTEM_INFO, informed)
        server = ThreadingHTTPServer(("127.0.0.1", Actor.configuration.web_server_port), Handler)
        Thread(target=server.serve_forever, daemon=True).start()
        await is_aborting.wait()
        server.shutdown()
        Actor.log.info("aborted in order")


asyncio.run(main())
