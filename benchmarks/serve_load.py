"""The load of `serve.py`: clients that each send the next request when the last is answered.

    python benchmarks/serve_load.py < PLAN.json

in a process of its own, without TensorFlow. Requests are bytes made beforehand and answers are kept as
bytes, so that little of the machine is the clients'. Prints JSON: seconds of every request, and where
each answer lies in a file of answers.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

import grpc

PREDICT = "/tensorflow.serving.PredictionService/Predict"


async def over_grpc(plan: dict, client: int, ask: list[bytes], end: float, done: list) -> None:
    """One client with a connection of its own."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
    async with grpc.aio.insecure_channel(plan["address"], options) as channel:
        call = channel.unary_unary(PREDICT)
        at = client
        while time.perf_counter() < end:
            number, at = at % len(ask), at + 1
            begin = time.perf_counter()
            try:
                answer = await call(ask[number], timeout=30)
            except grpc.RpcError as error:
                done.append((begin, time.perf_counter() - begin, number, f"{error.code()}: {error.details()}"))
            else:
                done.append((begin, time.perf_counter() - begin, number, answer))


async def over_http(plan: dict, client: int, ask: list[bytes], end: float, done: list) -> None:
    """The same over HTTP; `path` is what is posted to."""
    import aiohttp

    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(f"http://{plan['address']}", headers=headers) as session:
        at = client
        while time.perf_counter() < end:
            number, at = at % len(ask), at + 1
            begin = time.perf_counter()
            try:
                async with session.post(plan["path"], data=ask[number]) as response:
                    answer = await response.read()
                    answer = answer if response.status == 200 else f"{response.status}: {answer[:200]!r}"
            except (aiohttp.ClientError, OSError) as error:
                answer = repr(error)
            done.append((begin, time.perf_counter() - begin, number, answer))


async def load(plan: dict) -> list:
    """Requests as (begin, seconds, number of the request, answer or what went wrong)."""
    ask = [Path(path).read_bytes() for path in plan["requests"]]
    done: list = []
    way = over_http if "path" in plan else over_grpc
    end = time.perf_counter() + plan["seconds"]
    await asyncio.gather(*(way(plan, c, ask, end, done) for c in range(plan["clients"])))
    return done


def main() -> None:
    plan = json.load(sys.stdin)
    done = asyncio.run(load(plan))
    with open(plan["answers"], "wb") as file:
        for _, _, _, answer in done:
            file.write(answer if isinstance(answer, bytes) else b"")
    found = {
        "seconds": [seconds for _, seconds, _, _ in done],
        "begun": [begin for begin, _, _, _ in done],
        "asked": [number for _, _, number, _ in done],
        "sizes": [len(answer) if isinstance(answer, bytes) else 0 for *_, answer in done],
        "failed": [answer for *_, answer in done if not isinstance(answer, bytes)],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
