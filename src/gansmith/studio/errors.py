"""Errors of the studio's server, each with the status it is answered with."""

from __future__ import annotations

from typing import Any

from gansmith.errors import GansmithError


class Refused(GansmithError):
    """A request that cannot be done as it is; the page shows the message.

    Args:
        message: what is wrong and what to do.
        status: HTTP status.

    Attributes:
        more: what else the page is told: fields that it is about, and cures.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status
        self.more: dict[str, Any] = {}
