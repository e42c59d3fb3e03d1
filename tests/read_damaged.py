"""Read a dataset as it is damaged in one way after another: `read_damaged.py GOOD BAD < DAMAGES`.

Runs by itself because HDF5 may crash or hang: one line of answer for every damage that it got over.
"""

from __future__ import annotations

import json
import signal
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from small_datasets import everything

from dilannot.errors import DilannotError

SECONDS = 10  # that a read may take before SIGALRM ends this program


def damaged(good: bytes, kind: str, at: int, size: int) -> bytes:
    if kind == "cut":
        return good[:at]
    if kind == "zero":
        return good[:at] + bytes(len(good[at : at + size])) + good[at + size :]
    return good[:at] + bytes([good[at] ^ (1 << size)]) + good[at + 1 :]


def answer(bad: Path, expected: dict[str, object]) -> str:
    try:
        found = everything(bad)
    except DilannotError as error:
        return "refused" if error.where == bad and error.exit_code == 1 else f"refused without its name: {error}"
    except BaseException:  # noqa: BLE001 (the test judges)
        return "failed: " + traceback.format_exc()
    different = [name for name, value in expected.items() if found[name] != value]
    return f"different: {different}" if different else "same"


def main() -> None:
    good, bad = Path(sys.argv[1]), Path(sys.argv[2])
    data, expected = good.read_bytes(), everything(good)
    for kind, at, size in json.load(sys.stdin):
        bad.write_bytes(damaged(data, kind, at, size))
        signal.alarm(SECONDS)
        sys.stdout.write(json.dumps(answer(bad, expected)) + "\n")
        sys.stdout.flush()
    signal.alarm(0)


if __name__ == "__main__":
    main()
