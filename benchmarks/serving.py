"""What a server bears, and how soon its page shows something.

    python benchmarks/serving.py RUN [first batching overload slow hostile ending]

RUN is a run of pictures: `genwright train digits --out RUN`. The server and those that ask it are processes that share
the machine, each with a session of its own, to which Linux gives an equal share. `first` needs Chromium and selenium.

first     seconds from the press of Make to the first of 16 pictures in the page, and to the last
batching  requests a second, and a second of processor time, of 16 clients that ask for one picture each: made at
          once; one after the other in as many rows; and one after the other in one row, as if there were no lanes
overload  10 times as many requests as it can make for a minute: statuses, growth of memory, and how soon /healthz,
          /metrics and the page's own files are there, before and meanwhile, as a process sees it that does nothing else
slow      200 connections that send a byte a second for half a minute, and what others wait meanwhile
hostile   40 requests that mean harm: statuses, and the slowest answer
ending    SIGTERM in the middle: statuses (-1: nobody listened any more; 0: the connection was closed before the
          request was read), how many were let in by the server's own log and not answered whole, and how it ended
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _report import say

CLIENTS, SECONDS = 16, 10.0
MINUTE = float(os.environ.get("SECONDS_OF_OVERLOAD", "60"))
ONE = {"n": 1, "given": {}}


# -- a server --------------------------------------------------------------------------------------


def serve(run: str, port: int, mode: str) -> None:
    """As `genwright serve`, but for the process of the models."""
    from genwright.serving import model_process, server

    model_process.COMMAND = [sys.executable, __file__, run, "models", mode]
    server.run_server([Path(run)], "127.0.0.1", port, None)


def models(mode: str) -> None:
    """That process without batches, or without lanes too."""
    from genwright import serving_worker
    from genwright.families.capabilities import Generative
    from genwright.serving import engine

    if mode == "no-lanes":
        Generative.lanes = property(lambda self: 1)  # type: ignore[method-assign,assignment]
    engine.Engine._fill = lambda self, batch: None  # type: ignore[method-assign]
    serving_worker.answer_front()


@contextmanager
def served(
    run: str, mode: str = "batches", log_to: Path | None = None
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """The port of a server that answers, and its process."""
    with tempfile.NamedTemporaryFile() if log_to is None else log_to.open("wb") as log:
        port = free_port()
        command = ["-m", "genwright", "serve", run, "--port", str(port)]
        if mode != "batches":
            command = [__file__, run, "serve", str(port), mode]
        process = subprocess.Popen(
            [sys.executable, *command], stdout=log, stderr=log, start_new_session=True
        )
        try:
            until = time.monotonic() + 120
            while asyncio.run(status_of(port, "GET", "/healthz")) != 200:
                if process.poll() is not None or time.monotonic() > until:
                    sys.exit(Path(log.name).read_text())
                time.sleep(0.2)
            yield port, process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def free_port() -> int:
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def processes_of(process: subprocess.Popen[bytes]) -> list[Path]:
    """The server and the process of its models, as the system shows them."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [Path("/proc", str(pid)) for pid in (process.pid, *children)]


def memory_of(process: subprocess.Popen[bytes]) -> float:
    """Resident megabytes of all its processes."""
    lines = [line for one in processes_of(process) for line in (one / "status").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def processor_of(process: subprocess.Popen[bytes]) -> float:
    """Seconds of processor time so far, which no neighbour takes away."""
    stats = [(one / "stat").read_text().rpartition(")")[2].split() for one in processes_of(process)]
    return sum(int(some[11]) + int(some[12]) for some in stats) / os.sysconf("SC_CLK_TCK")


# -- those that ask --------------------------------------------------------------------------------


@dataclass
class Answer:
    """status 0: none came; -1: nobody listens. first: seconds until it began."""

    status: int
    seconds: float
    body: bytes = b""
    first: float = 0.0


async def ask(port: int, method: str, path: str, body: Any = None, raw: bytes | None = None) -> Answer:
    """One request on a connection of its own."""
    began = time.monotonic()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        if raw is None:
            data = b"" if body is None else json.dumps(body).encode()
            kind = "Content-Type: application/json\r\n" if body is not None else ""
            head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n{kind}"
            raw = f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data
        writer.write(raw)
        await writer.drain()
        found = await reader.read(2**22)
        first = time.monotonic() - began
        while more := await reader.read(2**22):
            found += more
        writer.close()
    except ConnectionRefusedError:
        await asyncio.sleep(0.05)
        return Answer(-1, time.monotonic() - began)
    except OSError:
        return Answer(0, time.monotonic() - began)
    head, _, rest = found.partition(b"\r\n\r\n")
    parts = head.split(b" ", 2)
    status = int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0
    return Answer(status, time.monotonic() - began, rest, first)


async def status_of(port: int, method: str, path: str) -> int:
    return (await ask(port, method, path)).status


async def closed_loop(port: int, clients: int, seconds: float) -> list[Answer]:
    """Clients that ask again as soon as they are answered."""
    until, seeds = time.monotonic() + seconds, iter(range(10**9))

    async def client() -> list[Answer]:
        found = []
        while time.monotonic() < until:
            found.append(await ask(port, "POST", "/v1/sample", ONE | {"seed": next(seeds)}))
        return found

    return [
        answer for some in await asyncio.gather(*(client() for _ in range(clients))) for answer in some
    ]


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


# -- figures ---------------------------------------------------------------------------------------


def first(run: str) -> None:
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    script = """
        const done = arguments[1], panel = panels[0], began = performance.now();
        panel.seed.value = arguments[0]; panel.made.replaceChildren();
        let first = null;
        const look = new MutationObserver(() => {
          if (first === null && panel.made.querySelector("img")) first = performance.now() - began;
          const final = panel.made.querySelectorAll("figure:not(.draft) img").length;
          if (final === 16) { look.disconnect(); done([first / 1000, (performance.now() - began) / 1000]); }
        });
        look.observe(panel.made, { childList: true, subtree: true, attributes: true });
        panel.go.click();
    """
    with served(run) as (port, _):
        browser = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        browser.set_script_timeout(60)
        try:
            browser.get(f"http://127.0.0.1:{port}/")
            time.sleep(2)
            times = []
            for seed in range(16):
                times.append(browser.execute_async_script(script, seed))
                time.sleep(0.3)
        finally:
            browser.quit()
    firsts, lasts = zip(*times[1:], strict=True)
    say(
        benchmark="first",
        first_median=round(statistics.median(firsts), 3),
        first_most=round(max(firsts), 3),
        last_median=round(statistics.median(lasts), 3),
        presses=len(firsts),
    )


def batching(run: str) -> None:
    rates = {}
    for mode in ("batches", "no-batches", "no-lanes"):
        with served(run, mode) as (port, process):
            asyncio.run(closed_loop(port, CLIENTS, 2.0))
            before = processor_of(process)
            answers = asyncio.run(closed_loop(port, CLIENTS, SECONDS))
            busy = processor_of(process) - before
        assert {answer.status for answer in answers} == {200}, Counter(a.status for a in answers)
        rates[mode] = len(answers) / busy
        say(
            benchmark="batching",
            mode=mode,
            requests_a_second=round(len(answers) / SECONDS, 1),
            requests_a_processor_second=round(rates[mode], 1),
            p50=round(statistics.median(a.seconds for a in answers), 3),
        )
    say(  # by processor time
        benchmark="batching",
        against_one_by_one=round(rates["batches"] / rates["no-batches"], 2),
        against_one_row=round(rates["batches"] / rates["no-lanes"], 2),
    )


def overload(run: str) -> None:
    with served(run) as (port, process):
        warm = asyncio.run(closed_loop(port, CLIENTS, 8.0))
        capacity = len(warm) / 8.0
        with looked_at(port) as idle:
            time.sleep(10.0)
        before = memory_of(process)
        with looked_at(port) as busy:
            answers = asyncio.run(open_loop(port, 10 * capacity, MINUTE))
        after = memory_of(process)
        alive = process.poll() is None
    good = [answer.seconds for answer in answers if answer.status == 200]
    say(
        benchmark="overload",
        capacity=round(capacity, 1),
        offered=len(answers),
        statuses=dict(Counter(answer.status for answer in answers)),
        alive=alive,
        accepted_p99=round(percentile(good, 0.99), 2),
        idle=looks_of(idle),
        busy=looks_of(busy),
        megabytes=[round(before, 1), round(after, 1)],
        growth=round(after / before - 1, 4),
    )


async def open_loop(port: int, rate: float, seconds: float) -> list[Answer]:
    """So many requests a second, whether the others are answered or not."""
    began, tasks = time.monotonic(), list[asyncio.Task[Answer]]()
    while (now := time.monotonic() - began) < seconds:
        while len(tasks) < now * rate:
            body = ONE | {"seed": len(tasks)}
            tasks.append(asyncio.create_task(ask(port, "POST", "/v1/sample", body)))
        await asyncio.sleep(0.01)
    return list(await asyncio.gather(*tasks))


LOOKED_AT = ("/healthz", "/metrics", "/", "/static/page.js")


@contextmanager
def looked_at(port: int) -> Iterator[list[tuple[str, int, float]]]:
    """Within it a process of its own asks for what needs no model; then route, status and seconds of each."""
    found: list[tuple[str, int, float]] = []
    looker = subprocess.Popen(
        [sys.executable, __file__, "", "look", str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert looker.stdout is not None
    looker.stdout.readline()
    yield found
    out, _ = looker.communicate()
    found += map(tuple, json.loads(out))


def look(port: int) -> None:
    """Ask for each of what needs no model, ten times a second in all, until nobody listens."""
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    print(flush=True)
    found = []
    while not over.wait(0.1):
        path = LOOKED_AT[0] if len(found) % 2 else LOOKED_AT[len(found) // 2 % 3 + 1]
        answer = asyncio.run(ask(port, "GET", path))
        found.append((path, answer.status, answer.seconds))
    print(json.dumps(found))


def looks_of(found: list[tuple[str, int, float]]) -> dict[str, list[float]]:
    """Milliseconds by route at the median, at p99 and at most, and how often it was asked for."""
    assert {status for _, status, _ in found} == {200}, Counter(status for _, status, _ in found)
    by_route = {path: [1000 * s for one, _, s in found if one == path] for path in LOOKED_AT}
    return {
        path: [*(round(percentile(some, share), 1) for share in (0.5, 0.99, 1.0)), len(some)]
        for path, some in by_route.items()
        if some
    }


def slow(run: str) -> None:
    async def dribble(port: int, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                head = f"POST /v1/sample HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Slow: "
                for byte in head.encode() + b"y" * 1000:
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(1)
                    if time.monotonic() > until or reader.at_eof():
                        break
                writer.close()
            except OSError:
                await asyncio.sleep(0.1)

    async def both(port: int) -> tuple[list[Answer], list[Answer]]:
        alone = await closed_loop(port, 2, 8.0)
        slow_ones = [asyncio.create_task(dribble(port, 30.0)) for _ in range(200)]
        await asyncio.sleep(2)
        beside = await closed_loop(port, 2, 26.0)
        await asyncio.gather(*slow_ones)
        return alone, beside

    with served(run) as (port, process):
        alone, beside = asyncio.run(both(port))
        alive = process.poll() is None
    say(
        benchmark="slow",
        statuses=dict(Counter(answer.status for answer in beside)),
        p50=[round(statistics.median(a.seconds for a in some), 3) for some in (alone, beside)],
        p99=[round(percentile([a.seconds for a in some], 0.99), 3) for some in (alone, beside)],
        alive=alive,
    )


def hostile(run: str) -> None:
    bodies: list[bytes] = [
        *(f'{{"n":{n}}}'.encode() for n in ("0", "-1", "65", "1e308", "NaN", str(2**63), '"4"', "[1]", "true")),
        *(f'{{"options":{{"steps":{n}}}}}'.encode() for n in ("0", "-5", "1001", "1e9", "Infinity", '"8"', "{}")),
        *(f'{{"run":{json.dumps(name)}}}'.encode() for name in ("../../etc/passwd", "/etc", "\0", "x" * 9999)),
        b"[" * 100000, b'{"a":' * 5000, b"", b"{", b"null", b'{"n":1,"n":2}', b"\xff\xfe",
        b'{"seed":' + b"9" * 9999 + b"}",
        b'{"given":{"label":"http://127.0.0.1:1/"}}', b'{"given":[]}', b'{"options":{"prefix":[1]}}',
        b" " * 2**20 + b"{}",
    ]  # fmt: skip
    heads: list[bytes] = [
        b"GET /static/..%2f..%2fserver.py HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
        b"GET /v1/runs HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        b"GET /v1/runs HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: https://evil.example\r\nConnection: close\r\n\r\n",
        b"PUT /v1/sample HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"y" * 2**16 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n",
        b"POST /v1/sample HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n"
        b"Connection: close\r\n\r\n{}",
        b"POST /v1/sample HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\n"
        b"Connection: close\r\n\r\n{}",
    ]

    def request(body: bytes) -> bytes:
        kind = (
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        return b"POST /v1/sample HTTP/1.1\r\nHost: 127.0.0.1\r\n" + kind.encode() + body

    async def all_of_them(port: int) -> list[Answer]:
        await ask(port, "POST", "/v1/sample", ONE)
        return [await ask(port, "", "", raw=raw) for raw in [*heads, *map(request, bodies)]]

    with served(run) as (port, process):
        answers = asyncio.run(all_of_them(port))
        before = memory_of(process)
        answers = asyncio.run(all_of_them(port))
        growth = memory_of(process) - before
    wrong = [i for i, answer in enumerate(answers) if not 400 <= answer.status < 500]
    say(
        benchmark="hostile",
        requests=len(answers),
        statuses=dict(Counter(answer.status for answer in answers)),
        not_4xx=wrong,
        slowest_ms=round(1000 * max(answer.first for answer in answers), 1),
        megabytes=round(growth, 2),
    )


def ending(run: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        with served(run, log_to=log) as (port, process):
            asyncio.run(closed_loop(port, 4, 1.0))
            before = len(log.read_text().splitlines())
            threading.Timer(1.0, lambda: process.send_signal(signal.SIGTERM)).start()
            answers = asyncio.run(closed_loop(port, CLIENTS, 2.0))
            code = process.wait(timeout=40)
        lines = [line for line in log.read_text().splitlines()[before:] if "POST /v1/sample" in line]
    good = [json.loads(answer.body) for answer in answers if answer.status == 200]
    whole = sum(len(one["examples"]) == 1 for one in good)
    say(
        benchmark="ending",
        statuses=dict(Counter(answer.status for answer in answers)),
        whole=whole,
        accepted_and_lost=sum("POST /v1/sample 503" not in line for line in lines) - whole,
        exit_code=code,
    )


if __name__ == "__main__":
    name, *wanted = sys.argv[1:]
    if wanted[:1] == ["serve"]:
        serve(name, int(wanted[1]), wanted[2])
    elif wanted[:1] == ["models"]:
        models(wanted[1])
    elif wanted[:1] == ["look"]:
        look(int(wanted[1]))
    else:
        for one in wanted or ["first", "batching", "overload", "slow", "hostile", "ending"]:
            globals()[one](name)
