"""File names from marker names: safe everywhere, and no two alike."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

MAX_BYTES = 190  # leaves room for an extension and a temporary suffix in the usual 255


def safe_names(names: Sequence[str], taken: Sequence[str] = ()) -> list[str]:
    """Names of [A-Za-z0-9._+-] only, at most `MAX_BYTES` long, unique without regard to case.

    Runs of other characters become one underscore; what is cut short, or collides with another or with what is `taken`,
    gets a piece of its digest.
    """
    used = {each.lower() for each in taken}
    result = []
    for name in names:
        safe = re.sub(r"[^A-Za-z0-9.+-]+", "_", name).strip("_").lstrip(".-") or "marker"
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        if len(safe) > MAX_BYTES:
            safe = f"{safe[: MAX_BYTES - 9]}-{digest[:8]}"
        stem = safe[: MAX_BYTES - 17]
        while safe.lower() in used:
            safe = f"{stem}-{digest[:16]}"
            digest = hashlib.sha256(digest.encode()).hexdigest()
        used.add(safe.lower())
        result.append(safe)
    return result
