from __future__ import annotations

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from dilannot.names import MAX_BYTES, safe_names

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+-"
ODD = [
    "GM12878|CTCF|None", "GM12878 CTCF None", "../../etc/x", "-rf", ".", "α", "a", "A", "x" * 400, "x" * 401, "H2A.Z+",
    "calls", "CALLS", "<script>alert(1)</script>", "$(rm -rf ~)", "",
]  # fmt: skip


def check(names: list[str], safe: list[str]) -> None:
    assert len({name.lower() for name in [*safe, "calls"]}) == len(names) + 1
    for name in safe:
        assert set(name) <= set(LETTERS)
        assert name[0] not in ".-"
        assert len(name) <= MAX_BYTES


def test_names_are_safe_and_unique() -> None:
    safe = safe_names(ODD, taken=("calls",))
    check(ODD, safe)
    assert safe[0] == "GM12878_CTCF_None"
    assert safe[6] == "a"
    assert safe[10] == "H2A.Z+"
    assert safe[11].startswith("calls-")


def test_a_name_that_looks_like_another_one_with_its_digest_is_none_of_the_two() -> None:
    digest = hashlib.sha256(b"a").hexdigest()[:16]
    names = [f"a-{digest}", "A", "a"]
    safe = safe_names(names)
    check(names, safe)
    assert safe[:2] == names[:2]


@settings(deadline=None)
@given(st.lists(st.one_of(st.text(max_size=12), st.sampled_from(ODD)), unique=True, max_size=12))
def test_any_names_are_made_safe(names: list[str]) -> None:
    safe = safe_names(names, taken=("calls",))
    check(names, safe)
    assert safe == safe_names(names, taken=("calls",))
