"""The functions, served by the SDK itself: `endpoint.py [public key [port]]`.

With a key it verifies what it is sent. Prints `url ADDRESS`. Ends with its standard input.
"""

import asyncio
import sys

from dispatch.http import Dispatch, Server
from functions import registry


async def main() -> None:
    key = sys.argv[1] if len(sys.argv) > 1 else None
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    async with Server("127.0.0.1", port, Dispatch(registry, verification_key=key)) as server:
        registry.endpoint = f"http://127.0.0.1:{server.port}"
        print("url", registry.endpoint, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main())
