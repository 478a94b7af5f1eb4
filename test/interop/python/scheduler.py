"""The test scheduler of the Python SDK on a port of its own: `scheduler.py [private key, base64 of the 32 bytes]`.

With a key it signs what it sends, with the SDK's own signer. Prints `url ADDRESS`, then `refused STATUS CODE MESSAGE` for
each run that an endpoint refuses. Ends with its standard input.
"""

import asyncio
import base64
import sys
from datetime import datetime
from urllib.parse import urlparse

from dispatch.sdk.v1.function_pb2 import RunRequest, RunResponse
from dispatch.signature import Request, private_key_from_bytes, sign_request
from dispatch.signature.request import CaseInsensitiveDict
from dispatch.test import ClientError, Server, Service

PATH = "/dispatch.sdk.v1.FunctionService/Run"
KEY = private_key_from_bytes(base64.b64decode(sys.argv[1])) if len(sys.argv) > 1 else None


class ReportingService(Service):
    async def run(self, endpoint: str, req: RunRequest) -> RunResponse:
        try:
            return await (super().run(endpoint, req) if KEY is None else self.run_signed(endpoint, req))
        except ClientError as error:
            print("refused", error.status, error.code, error.message, flush=True)
            raise

    async def run_signed(self, endpoint: str, req: RunRequest) -> RunResponse:
        url = endpoint + PATH
        headers = CaseInsensitiveDict({"host": urlparse(url).netloc, "content-type": "application/proto"})
        signed = Request(method="POST", url=url, headers=headers, body=req.SerializeToString())
        sign_request(signed, KEY, datetime.now())
        async with self.session.post(url, headers=dict(headers), data=signed.body) as response:
            data = await response.read()
            if response.status != 200:
                raise ClientError.from_response(response.status, data)
            return RunResponse.FromString(data)


async def main() -> None:
    service = ReportingService()
    async with Server(service) as server:
        print("url", server.url, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await service.close()


asyncio.run(main())
