"""The client of the Python SDK: `client.py ENDPOINT FUNCTION INPUT`, the input as JSON.

DISPATCH_API_URL and DISPATCH_API_KEY say where and with which key; OPTION_API_KEY gives the key as an option. Prints
`dispatched IDS` or `failed TYPE MESSAGE`.
"""

import asyncio
import json
import os
import sys

from dispatch import Call, Client
from dispatch.function import current_session

endpoint, function, text = sys.argv[1:]
input = json.loads(text)


async def main() -> None:
    client = Client(api_key=os.environ.get("OPTION_API_KEY"))
    calls = [Call(endpoint=endpoint, function=function, input=value) for value in input]
    ids = await client.dispatch(calls)
    await current_session().close()
    print("dispatched", *ids)


try:
    asyncio.run(main())
except Exception as error:
    print("failed", type(error).__name__, str(error))
