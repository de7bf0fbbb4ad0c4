"""A scriptable Airbyte source for tests: strict about what it is given, free in what it sends.

Usage: fake_connector.py SCENARIO.json (spec | check --config F | discover --config F | read --config F --catalog F [--state F])

The scenario: ``spec``, ``catalog`` (streams), ``check``, ``expect`` (exact config), and for ``read`` either ``script``, a list of
steps, or ``rows``: streams that count, keep a state, and resume from it as a real source does.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

NOW = 1_700_000_000_000


def refuse(reason):
    sys.stderr.write(f"fake connector refuses: {reason}\n")
    sys.exit(90)


def send(message):
    sys.stdout.write(json.dumps(message) + "\n")


def status(stream, value):
    descriptor = {"name": stream}
    send(
        {
            "type": "TRACE",
            "trace": {"type": "STREAM_STATUS", "emitted_at": NOW, "stream_status": {"stream_descriptor": descriptor, "status": value}},
        }
    )


def play(steps):
    out = sys.stdout.buffer
    for step in steps:
        sys.stdout.flush()
        (name, value), *_ = step.items()
        if name == "send":
            send(value)
        elif name == "text":
            out.write(value.encode("utf-8", "surrogatepass"))
        elif name == "hex":
            out.write(bytes.fromhex(value))
        elif name == "long":
            record = {
                "type": "RECORD",
                "record": {"stream": value["stream"], "data": {"id": 1, "text": "x" * value["bytes"]}, "emitted_at": NOW},
            }
            out.write(json.dumps(record).encode() + b"\n")
        elif name == "stderr":
            sys.stderr.write(value)
            sys.stderr.flush()
        elif name == "wait":
            sys.stdout.flush()
            time.sleep(value)
        elif name == "hold":  # memory that is really used, by so many processes
            workers = [os.fork() for _ in range(value["processes"] - 1)]
            held = bytearray(os.urandom(1024) * (value["bytes"] // 1024))
            if 0 in workers:
                time.sleep(600)
            time.sleep(value.get("seconds", 600))
            del held
        elif name == "child":
            if os.fork() == 0:  # a worker that outlives its parent unless the whole group is ended
                Path(value).write_text(str(os.getpid()))
                time.sleep(600)
        elif name == "pid":
            Path(value).write_text(str(os.getpid()))
        elif name == "exit":
            sys.stdout.flush()
            os._exit(value)
        elif name == "die":
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            refuse(f"unknown step {name}")
    sys.stdout.flush()


def count(plan, catalog, state):
    """Streams of numbered rows, interleaved, a state every so often; resumes after the row that the state names."""
    reached = {}
    shared = plan.get("shared")  # true (GLOBAL) or LEGACY
    if isinstance(state, dict):
        reached, state = dict(state), []
    for entry in state or []:
        if entry["type"] == "STREAM":
            reached[entry["stream"]["stream_descriptor"]["name"]] = entry["stream"]["stream_state"]["id"]
        elif entry["type"] == "GLOBAL":
            for inner in entry["global"]["stream_states"]:
                reached[inner["stream_descriptor"]["name"]] = inner["stream_state"]["id"]
    chosen = [stream["stream"]["name"] for stream in catalog["streams"]]
    incremental = {stream["stream"]["name"]: stream["sync_mode"] == "incremental" for stream in catalog["streams"]}
    position = {name: reached.get(name, 0) if incremental[name] else 0 for name in chosen}
    since = dict.fromkeys(chosen, 0)
    open_streams = list(chosen)
    for name in chosen:
        status(name, "STARTED")
    while open_streams:
        for name in list(open_streams):
            end, every, lag = plan["streams"][name]["rows"], plan["streams"][name]["every"], plan["streams"][name].get("lag", 0)
            for _ in range(plan.get("turn", 3)):
                if position[name] < end:
                    position[name] += 1
                    since[name] += 1
                    data = {"id": position[name], "text": f"row {position[name]}"}
                    send({"type": "RECORD", "record": {"stream": name, "data": data, "emitted_at": NOW}})
                done = position[name] >= end
                if incremental[name] and (done or position[name] % every == 0) and (since[name] or done):
                    if shared:
                        behind = {n: 0 if position[n] >= plan["streams"][n]["rows"] else plan["streams"][n].get("lag", 0) for n in chosen}
                        known = {n: max(position[n] - behind[n], reached.get(n, 0)) for n in chosen}
                        states = [{"stream_descriptor": {"name": n}, "stream_state": {"id": known[n]}} for n in chosen]
                        body = {"type": "GLOBAL", "global": {"shared_state": {"lsn": sum(position.values())}, "stream_states": states}}
                        body = {"type": "LEGACY", "data": known} if shared == "LEGACY" else body
                        total = sum(since.values())
                        since.update(dict.fromkeys(chosen, 0))
                    else:
                        at = position[name] if done else max(position[name] - lag, reached.get(name, 0))
                        body = {"type": "STREAM", "stream": {"stream_descriptor": {"name": name}, "stream_state": {"id": at}}}
                        total, since[name] = since[name], 0
                    send({"type": "STATE", "state": {**body, "sourceStats": {"recordCount": float(total)}}})
                if plan.get("pace"):
                    sys.stdout.flush()
                    time.sleep(plan["pace"])
                if done:
                    status(name, "COMPLETE")
                    open_streams.remove(name)
                    break
            sys.stdout.flush()
    sys.stdout.flush()


def main():
    scenario = json.loads(Path(sys.argv[1]).read_text())
    action, *rest = sys.argv[2:]
    options = dict(zip(rest[::2], rest[1::2], strict=True))
    wanted = {"spec": set(), "check": {"--config"}, "discover": {"--config"}, "read": {"--config", "--catalog"}}[action]
    if not wanted <= set(options) or set(options) - wanted - ({"--state"} if action == "read" else set()):
        refuse(f"{action} with {sorted(options)}")
    documents = {name: json.loads(Path(path).read_text()) for name, path in options.items()}
    if "PGPASSWORD" in os.environ or any(name.startswith("MESH_") for name in os.environ):
        refuse("the platform's variables leaked into the environment")
    expected = scenario.get(f"expect_{action}", scenario.get("expect"))
    if expected is not None and documents.get("--config", expected) != expected:
        refuse("another config than expected")
    (Path(sys.argv[1]).parent / "calls").open("a").write(f"{action} {json.dumps(documents.get('--state'))}\n")
    if action == "spec":
        send({"type": "SPEC", "spec": {"connectionSpecification": scenario.get("spec", {"type": "object"})}})
    elif action == "check":
        send({"type": "CONNECTION_STATUS", "connectionStatus": scenario.get("check", {"status": "SUCCEEDED"})})
    elif action == "discover":
        for message in scenario.get("on_discover", []):
            send(message)
        send({"type": "CATALOG", "catalog": {"streams": scenario["catalog"]}})
    else:
        for stream in documents["--catalog"]["streams"]:
            if stream["sync_mode"] not in stream["stream"]["supported_sync_modes"]:
                refuse(f"sync mode {stream['sync_mode']}")
            if stream["stream"] not in scenario["catalog"]:
                refuse("a stream that is not as discovered")
        if "rows" in scenario:
            count(scenario["rows"], documents["--catalog"], documents.get("--state"))
        play(scenario.get("script", []))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
