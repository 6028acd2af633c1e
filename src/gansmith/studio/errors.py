"""Errors of the studio's server, each with the status it is answered with."""

from __future__ import annotations

from gansmith.errors import GansmithError


class Refused(GansmithError):
    """A request that cannot be done as it is; the page shows the message.

    Args:
        message: what is wrong and what to do.
        status: HTTP status.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status
