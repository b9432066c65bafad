"""PURE. Nested dataclasses of arrays and numbers <-> flat named arrays (for safetensors)."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt

T = TypeVar("T")
Tensors = dict[str, npt.NDArray[np.generic]]


def pack(value: Any, prefix: str = "") -> Tensors:
    """Every leaf under its dotted path; numbers and booleans as arrays of no dimension."""
    if is_dataclass(value):
        parts = {f.name: getattr(value, f.name) for f in fields(value)}
    elif isinstance(value, dict):
        parts = value
    else:
        return {prefix: np.asarray(value)}
    packed: Tensors = {}
    for name, part in parts.items():
        packed |= pack(part, f"{prefix}.{name}" if prefix else name)
    return packed


def unpack(kind: type[T], tensors: Tensors, prefix: str = "") -> T:
    """The inverse of `pack`, by the dataclass's type hints. Raises `KeyError` on a gap."""
    hints = get_type_hints(kind)
    dot = f"{prefix}." if prefix else ""
    return kind(**{name: _part(hint, tensors, dot + name) for name, hint in hints.items()})


def _part(hint: Any, tensors: Tensors, path: str) -> Any:
    if is_dataclass(hint):
        return unpack(hint, tensors, path)  # type: ignore[arg-type]
    if get_origin(hint) is dict:
        names = {
            key[len(path) + 1 :].split(".")[0] for key in tensors if key.startswith(path + ".")
        }
        return {name: _part(get_args(hint)[1], tensors, f"{path}.{name}") for name in sorted(names)}
    if hint in (int, float, bool):
        return hint(tensors[path].item())
    return tensors[path]
