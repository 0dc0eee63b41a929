"""A load that plays what a file says: one JSON line a run. Writes down what it was told, beside the file."""

import json
import sys
from pathlib import Path

script = Path(sys.argv[1])
results = script.read_text().splitlines()
told = script.with_suffix(".told").open("w")


def say(line: object) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


say({"event": "ready", "model_port": 4711})
for command in sys.stdin:
    told.write(command)
    told.flush()
    if command.strip() == "quit":
        break
    result = json.loads(results.pop(0))
    if result.get("event") == "failed":
        say(result)
        continue
    if result.get("dies"):
        sys.stderr.write("the load is out of its mind\n")
        sys.exit(3)
    say({"event": "window_start"})
    say({"event": "window_end"})
    say({"event": "result", "scenario": "steady", "calls": 10, "connected": 10, "window_s": 1.0, **result})
