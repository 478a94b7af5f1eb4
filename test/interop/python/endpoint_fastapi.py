"""The functions, served by FastAPI: `endpoint_fastapi.py [public key]`.

With a key it verifies what it is sent. Prints `url ADDRESS`. Ends with its standard input.
"""

import asyncio
import socket
import sys

import uvicorn
from dispatch.fastapi import Dispatch
from fastapi import FastAPI
from functions import registry


async def main() -> None:
    app = FastAPI()
    Dispatch(app, registry, verification_key=sys.argv[1] if len(sys.argv) > 1 else None)
    listening = socket.create_server(("127.0.0.1", 0))
    registry.endpoint = f"http://127.0.0.1:{listening.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    print("url", registry.endpoint, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.should_exit = True
    await serving


asyncio.run(main())
