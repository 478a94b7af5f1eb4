"""Functions of the Python SDK, for each of its ways to serve them."""

import os

# The registry wants both before the address is known. They are for its client, which is not used here.
os.environ.setdefault("DISPATCH_ENDPOINT_URL", "http://127.0.0.1:1")
os.environ.setdefault("DISPATCH_API_KEY", "unused")

import dispatch
from dispatch.error import TemporaryError

registry = dispatch.default_registry()
attempts = {}


def attempt_of(key: str) -> int:
    attempts[key] = attempts.get(key, 0) + 1
    return attempts[key]


@registry.primitive_function
async def double(input: dispatch.Input) -> dispatch.Output:
    return dispatch.Output.value(input.input * 2)


@registry.primitive_function
async def kind(input: dispatch.Input) -> dispatch.Output:
    return dispatch.Output.value([type(input.input).__name__, repr(input.input)])


@registry.primitive_function
async def echo(input: dispatch.Input) -> dispatch.Output:
    return dispatch.Output.value(input.input)


@registry.primitive_function
async def begin(input: dispatch.Input) -> dispatch.Output:
    """Becomes a call with arguments, which only Python can make: they are pickled."""
    name, *arguments = input.input
    return dispatch.Output.tail_call(registry.functions[name].build_call(*arguments))


@registry.function
def add(a: int, b: int) -> int:
    return int(a + b)


@registry.function
async def add_four(a: int, b: int, c: int, d: int) -> int:
    first = await add(a, b)
    second = await add(c, d)
    return await add(first, second)


@registry.function
async def add_pairs(count: int) -> int:
    return sum(await dispatch.gather(*[add_four(i, i, i, i) for i in range(int(count))]))


@registry.function
async def first_of(count: int) -> int:
    return await dispatch.race(*[add(i, 0) for i in range(int(count))])


@registry.function
def fail(message: str) -> None:
    raise ValueError(message)


@registry.function
async def fail_nested(message: str) -> None:
    await fail(message)


@registry.function
async def catch(message: str) -> str:
    try:
        await fail(message)
    except ValueError as error:
        return f"ValueError {error}"


@registry.function
def flaky(key: str) -> int:
    attempt = attempt_of(key)
    if attempt < 3:
        raise TemporaryError("not yet")
    return attempt


@registry.function
async def flaky_nested(key: str) -> int:
    # The parent itself fails once after its child has finished: the state and the result must come again.
    attempt = await flaky(key)
    if attempt_of(f"{key} parent") < 2:
        raise TemporaryError("not yet either")
    return attempt


@registry.function
def wait_for(path: str) -> str:
    if not os.path.exists(path):
        raise TemporaryError("the file is not there yet")
    return "there"


@registry.function
async def wait_for_nested(path: str, secret: int) -> str:
    return f"{await wait_for(path)} {int(secret)}"


@registry.function
async def reset(count: int) -> str:
    if count > 0:
        raise dispatch.Reset(reset, count - 1)
    return "begun anew"


@registry.function
async def call_other(endpoint: str, name: str, value) -> object:
    return await dispatch.call(dispatch.Call(endpoint=endpoint, function=name, input=value))


@registry.function
async def catch_other(endpoint: str, name: str, value) -> str:
    try:
        await dispatch.call(dispatch.Call(endpoint=endpoint, function=name, input=value))
    except Exception as error:
        return f"{type(error).__name__} {error}"
