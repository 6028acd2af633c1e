"""Scalar buffers whose values steer what a module does next."""

from __future__ import annotations

from typing import Any

from torch import nn


class Scalars(nn.Module):
    """A module that reads scalar buffers of its own as Python numbers, without waiting for a GPU where the host knows them.

    A GPU is asked for a buffer once after it was loaded, and once after the module said that it changed on the GPU. On a CPU
    the buffer is read each time.
    """

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[str, float] = {}

    def scalar(self, name: str) -> float:
        """A buffer's value."""
        buffer = self.get_buffer(name)
        if buffer.device.type == "cpu":
            return buffer.item()
        if name not in self._known:
            self._known[name] = buffer.item()
        return self._known[name]

    def set_scalar(self, name: str, value: float) -> None:
        """Write a buffer."""
        self.get_buffer(name).fill_(value)
        self._known[name] = value

    def changed(self, name: str) -> None:
        """Say that a buffer was computed anew on its device."""
        self._known.pop(name, None)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._known.clear()
