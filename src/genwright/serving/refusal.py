"""What is answered to a request that is not fulfilled: a status, a code that stays the same, and a sentence."""

from __future__ import annotations

from typing import Any

from genwright.errors import GenwrightError

__all__ = ["HttpRefusal", "check_room", "refusal_of"]

STATUS = {"memory": 503, "missing-extra": 501}
"""Of errors that are not the fault of what was asked; all others are 400."""
OF_DATA = frozenset({"no-such-path", "data-changed", "no-data"})
"""That the run's data are not where they were: the sentence names a path, which is nobody's business here."""


class HttpRefusal(GenwrightError):
    """A request that is refused.

    status       of HTTP
    retry_after  seconds after which it may be tried again
    """

    def __init__(
        self, message: str, *, code: str, status: int = 400, retry_after: int | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.status, self.retry_after = status, retry_after

    def json(self) -> dict[str, Any]:
        """In the form that OpenAI's clients read."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        words = str(self).encode(errors="backslashreplace").decode()  # half of a pair is no text
        return {"error": {"code": self.code, "message": words, "type": kind, "param": None}}


def check_room(draining: bool, waiting: int, most: int) -> None:
    """Raise `HttpRefusal` where one more request is not accepted.

    draining  whether the server is to end
    waiting   requests that are there, of which there may be `most`
    """
    if draining:
        raise HttpRefusal("the server is ending", code="draining", status=503, retry_after=10)
    if waiting >= most:
        raise HttpRefusal(
            f"{waiting} requests wait already: try again in a moment",
            code="overloaded",
            status=503,
            retry_after=1,
        )


def refusal_of(error: BaseException) -> HttpRefusal:
    """The refusal for an error. One that nobody foresaw is not shown: it may hold what others asked for."""
    if isinstance(error, HttpRefusal):
        return error
    if isinstance(error, GenwrightError) and error.code in OF_DATA:
        words = "this needs the data that the run was trained on, and the server does not have them"
        return HttpRefusal(words, code="no-data", status=409)
    if isinstance(error, GenwrightError):
        return HttpRefusal(str(error), code=error.code, status=STATUS.get(error.code, 400))
    return HttpRefusal(
        "this should not have happened; the log of the server says more", code="internal", status=500
    )
