"""Files of tensors with a record in their header and a digest over both: safetensors, which cannot hold code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dilannot.errors import DilannotError
from dilannot.outputs import replacing

if TYPE_CHECKING:
    import torch

_HEADER = "dilannot"  # key of our record in the header
_DIGEST = "sha256"

_TYPES = {
    "torch.float32": "F32", "torch.float64": "F64", "torch.float16": "F16", "torch.bfloat16": "BF16",
    "torch.int64": "I64", "torch.int32": "I32", "torch.int16": "I16", "torch.int8": "I8", "torch.uint8": "U8",
    "torch.bool": "BOOL", "torch.complex64": "C64",
}  # fmt: skip
# Shape and type (as safetensors calls it) of every tensor.
Layout = Mapping[str, tuple[tuple[int, ...], str]]


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], record: Mapping[str, Any]) -> str:
    """Write tensors and a record that JSON can hold, the safe way; the digest over both."""
    from safetensors.torch import save

    kept = _separate({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    digest = _digest(kept, record)
    with replacing(path) as temporary:
        # One entry, because several are written in no fixed order; through bytes, because the library's own writer
        # makes a file that only its owner can read.
        temporary.write_bytes(save(kept, metadata={_HEADER: json.dumps({**record, _DIGEST: digest}, allow_nan=False)}))
    return digest


def read_tensors(
    path: Path, check: Callable[[dict[str, Any], Layout], None]
) -> tuple[dict[str, torch.Tensor], dict[str, Any], str]:
    """Tensors, record and digest of a file.

    `check` sees the record and the layout before a byte of the tensors is read, so that a small file that claims to
    hold much costs nothing; it raises what is wrong with them.

    Raises
    ------
    DilannotError
        Not such a file, a damaged one, or tensors that are not finite.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():  # a pipe would let us wait for ever
        raise DilannotError("is not a file", where=path)
    try:
        with safe_open(path, "pt") as file:
            record = _record(file.metadata(), path)
            digest = record.pop(_DIGEST, None)
            found = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            check(record, {name: (tuple(part.get_shape()), part.get_dtype()) for name, part in found.items()})
            tensors = {name: file.get_tensor(name) for name in found}
    except (SafetensorError, OSError) as error:
        raise DilannotError(
            f"is not a dilannot weights file, or a truncated one ({error})",
            where=path,
            remedy="use another copy, or train it again",
        ) from None
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise DilannotError(f"{name} holds NaN or infinite weights", where=path, remedy="train it again")
    if digest != _digest(tensors, record):
        raise DilannotError(
            "corrupt: the weights do not match their checksum", where=path, remedy="use another copy, or train it again"
        )
    return tensors, record, str(digest)


def check_layout(wanted: Mapping[str, torch.Tensor], found: Layout, path: Path) -> None:
    """Refuse tensors of other names, shapes or types than a network has.

    Raises
    ------
    DilannotError
        The first that differs.
    """
    missing, extra = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    if missing or extra:
        problem = f"tensor {missing[0]!r} is missing" if missing else f"tensor {extra[0]!r} is unexpected"
        raise DilannotError(f"weights of another network: {problem}", where=path)
    for name, (shape, kind) in found.items():
        if shape != tuple(wanted[name].shape):
            raise DilannotError(
                f"weights of another network: {name} has shape {shape}, not {tuple(wanted[name].shape)}", where=path
            )
        if kind != (own := _TYPES[str(wanted[name].dtype)]):
            raise DilannotError(f"{name} has dtype {kind}, not {own}", where=path)


def _separate(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """With copies of weights that have two names, as one that two layers share: safetensors takes only one."""
    seen: set[int] = set()
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        if place in seen:
            tensors[name] = tensor.clone()
        seen.add(place)
    return tensors


def _record(metadata: Mapping[str, str] | None, path: Path) -> dict[str, Any]:
    try:
        record = json.loads((metadata or {})[_HEADER])
    except (KeyError, ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise DilannotError("is not a dilannot weights file: its header is another", where=path)
    return record


def _digest(tensors: Mapping[str, torch.Tensor], record: Mapping[str, Any]) -> str:
    """SHA-256 over the record and every tensor's name, type, shape and bytes."""
    import torch

    digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}\n".encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().tobytes())  # NumPy has no bfloat16
    return digest.hexdigest()
