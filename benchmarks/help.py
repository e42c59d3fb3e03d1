"""How long `dilannot --help` takes: the median of 20 runs, beside an empty Python process. Goal: 0.3 s."""

import statistics
import subprocess
import sys
import time

RUNS, GOAL = 20, 0.3
COMMANDS = {"python -c pass": ["-c", "pass"], "dilannot --help": ["-m", "dilannot", "--help"]}


def main() -> int:
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(RUNS + 1):
        for name, arguments in COMMANDS.items():
            began = time.monotonic()
            subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
            times[name].append(time.monotonic() - began)
    for name, seconds in times.items():
        print(
            f"{name:16} median {statistics.median(seconds[1:]):.3f} s, {min(seconds[1:]):.3f}-{max(seconds[1:]):.3f} s"
        )
    median = statistics.median(times["dilannot --help"][1:])
    print(f"help seconds: {median:.3f} (goal {GOAL})")
    return int(median > GOAL)


if __name__ == "__main__":
    sys.exit(main())
