"""The load of `serve.py`: clients that each send the next request when the last is answered.

    python benchmarks/serve_load.py < PLAN.json

in a process of its own, without TensorFlow. Requests are bytes made beforehand and answers are kept as
bytes, so that little of the machine is the clients'. Prints JSON: seconds of every request, which request it
was, how many bytes of the file of answers are its, what failed, and the processor time of all this.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

PREDICT = "/tensorflow.serving.PredictionService/Predict"
Ask = Callable[[bytes], Awaitable[bytes]]


class Failed(Exception):
    """A request that got no answer."""


async def over_grpc(plan: dict, work: Callable[[Ask], Awaitable[None]]) -> None:
    """One client with a connection of its own."""
    import grpc

    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
    async with grpc.aio.insecure_channel(plan["address"], options) as channel:
        call = channel.unary_unary(PREDICT)

        async def ask(body: bytes) -> bytes:
            try:
                return await call(body, timeout=30)
            except grpc.RpcError as error:
                raise Failed(f"{error.code()}: {error.details()}") from None

        await work(ask)


async def over_http(plan: dict, work: Callable[[Ask], Awaitable[None]]) -> None:
    """The same over HTTP; `path` is what is posted to."""
    import aiohttp

    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(f"http://{plan['address']}", headers=headers) as session:

        async def ask(body: bytes) -> bytes:
            try:
                async with session.post(plan["path"], data=body) as response:
                    answer = await response.read()
            except (aiohttp.ClientError, OSError) as error:
                raise Failed(repr(error)) from None
            if response.status != 200:
                raise Failed(f"{response.status}: {answer[:200]!r}")
            return answer

        await work(ask)


async def load(plan: dict) -> list[tuple[float, int, bytes | str]]:
    """Requests as (seconds, number of the request, answer, or in words what went wrong)."""
    bodies = [Path(path).read_bytes() for path in plan["requests"]]
    done: list[tuple[float, int, bytes | str]] = []
    end = time.perf_counter() + plan["seconds"]

    async def client(at: int) -> None:
        async def work(ask: Ask) -> None:
            number = at
            while time.perf_counter() < end:
                number = (number + 1) % len(bodies)
                begin = time.perf_counter()
                try:
                    answer: bytes | str = await ask(bodies[number])
                except Failed as error:
                    answer = str(error)
                done.append((time.perf_counter() - begin, number, answer))

        await (over_http if "path" in plan else over_grpc)(plan, work)

    await asyncio.gather(*(client(at) for at in range(plan["clients"])))
    return done


def main() -> None:
    plan = json.load(sys.stdin)
    begin = time.process_time()
    done = asyncio.run(load(plan))
    taken = time.process_time() - begin
    with open(plan["answers"], "wb") as file:
        for _, _, answer in done:
            file.write(answer if isinstance(answer, bytes) else b"")
    found = {
        "seconds": [seconds for seconds, _, _ in done],
        "asked": [number for _, number, _ in done],
        "sizes": [len(answer) if isinstance(answer, bytes) else 0 for *_, answer in done],
        "failed": [answer for *_, answer in done if isinstance(answer, str)],
        "processor_seconds": taken,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
