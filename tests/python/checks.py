"""The Python client: checks.py URL. Prints a line of JSON for each check.

The server at URL lets a long-poll wait for half a second and an answer of events last for three.
"""

import asyncio
import json
import os
import sys
import threading
import time
import traceback

from durable_streams import (
    AsyncDurableStream,
    DurableStream,
    SeqConflictError,
    StreamExistsError,
    StreamNotFoundError,
    stream,
)

JSON_TYPE = "application/json"
SERVER = sys.argv[1]

#: Far longer than all checks take: it ends a run that hangs. In seconds.
PATIENCE = 100

CHECKS = []
COUNT = 0


def check(name):
    """Names a check."""

    def note(function):
        CHECKS.append((name, function))
        return function

    return note


def fresh():
    """The URL of a stream that nobody has used yet."""
    global COUNT
    COUNT += 1
    return f"{SERVER}/v1/stream/python/{COUNT}"


def equal(seen, expected, what):
    if seen != expected:
        raise AssertionError(f"{what}: {seen!r:.500} instead of {expected!r:.500}")


def read_json(url, **options):
    with stream(url, live=False, **options) as res:
        return res.read_json(), res.offset


@check("creates, appends, and reads what is there")
def _():
    url = fresh()
    with DurableStream.create(url, content_type=JSON_TYPE) as handle:
        first = handle.append({"text": "ß€😀\r\n"})
        # One list is one message.
        handle.append([1, [2]])
        items, offset = read_json(url)
        equal(items, [{"text": "ß€😀\r\n"}, [1, [2]]], "messages")
        equal(handle.head().offset, offset, "offset")
        equal(read_json(url, offset=first.next_offset)[0], [[1, [2]]], "after the first")
    with DurableStream.create(fresh(), content_type="text/plain", body="a\r\n") as handle:
        handle.append("ß\n")
        equal(handle.stream(live=False).read_text(), "a\r\nß\n", "text")
    with DurableStream.create(fresh()) as handle:
        every = bytes(range(256)) * 1000
        handle.append(every)
        equal(handle.stream(live=False).read_bytes(), every, "bytes")


@check("batches appends that overlap, and reads them in order")
def _():
    async def write():
        url = fresh()
        async with await AsyncDurableStream.create(url, content_type=JSON_TYPE) as handle:
            await asyncio.gather(*(handle.append(n) for n in range(500)))
            async with await handle.stream(live=False) as res:
                return await res.read_json()

    equal(asyncio.run(write()), list(range(500)), "messages")


def follow(live):
    """Follows a stream whose writer pauses, and ends at the offset of what it has read."""
    url = fresh()
    handle = DurableStream.create(url, content_type=JSON_TYPE)
    handle.append(0)

    def write():
        for n in range(1, 40):
            handle.append(n)
            # The server ends at least one answer in vain.
            time.sleep(3.5 if n == 20 else 0.01)

    writing = threading.Thread(target=write)
    writing.start()
    # Of itself the client says no offset, which a live read needs.
    seen, offset = [], "-1"
    while len(seen) < 40:
        # By SSE it leaves it to its caller to go on when an answer has ended.
        with stream(url, offset=offset, live=live) as res:
            for event in res.iter_events(mode="json"):
                seen.extend(event.data)
                offset = event.next_offset
                if len(seen) >= 40:
                    break
    writing.join()
    equal(seen, list(range(40)), "messages")
    equal(offset, handle.head().offset, "offset")
    handle.append(40)
    equal(read_json(url, offset=offset)[0], [40], "what came after it")


@check("follows by itself, once it has what is there")
def _():
    follow("auto")


@check("follows by long-poll, through waits in vain")
def _():
    follow("long-poll")


@check("follows by SSE, and goes on at its offset when the server ended an answer")
def _():
    follow("sse")


@check("reads text by SSE with every line end as LF")
def _():
    url = fresh()
    text = " ß€😀\r\n\n  b\revent: control\ndata: {}\n\n"
    DurableStream.create(url, content_type="text/plain", body=text)
    seen = ""
    with stream(url, offset="-1", live="sse") as res:
        for part in res.iter_text():
            seen += part
            if len(seen) >= len(text) - 1:
                break
    equal(seen, text.replace("\r\n", "\n").replace("\r", "\n"), "text")


@check("knows a missing stream, one of another type, and an order that was broken")
def _():
    url = fresh()
    raises(StreamNotFoundError, lambda: read_json(url))
    missing = DurableStream(url, content_type=JSON_TYPE)
    raises(StreamNotFoundError, lambda: missing.append("x"))
    handle = DurableStream.create(url, content_type=JSON_TYPE)
    raises(StreamExistsError, lambda: DurableStream.create(url, content_type="text/plain"))
    handle.append(1, seq="b")
    raises(SeqConflictError, lambda: handle.append(2, seq="a"))
    equal(read_json(url)[0], [1], "messages")
    handle.delete()
    raises(StreamNotFoundError, lambda: read_json(url))


def raises(expected, attempt):
    try:
        attempt()
    except expected:
        return
    raise AssertionError(f"there is no {expected.__name__}")


def main():
    watch = threading.Timer(PATIENCE, lambda: os._exit(1))
    watch.daemon = True
    watch.start()
    # Ends with the test, however that ends.
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(1)), daemon=True).start()
    for name, function in CHECKS:
        failure = None
        try:
            function()
        except Exception:
            failure = traceback.format_exc()
        print(json.dumps({"name": name, "failure": failure}), flush=True)
    os._exit(0)


main()
