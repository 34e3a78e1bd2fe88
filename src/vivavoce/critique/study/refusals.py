"""What a labeller can do that cannot be done, in words for them; the pages and the JSON answers show these."""

from vivavoce.errors import DataError


class Refusal(DataError):
    """A request that is refused: a stable `reason`, an HTTP status, and a message for people."""

    def __init__(self, reason: str, message: str, status: int = 409) -> None:
        super().__init__(reason, message, status)
        self.reason = reason
        self.message = message
        self.status = status

    def __str__(self) -> str:
        return self.message


class SignedOut(Refusal):
    """There is no valid sign-in with this request."""

    def __init__(self) -> None:
        Exception.__init__(self)
        self.reason, self.status = "signed_out", 401
        self.message = "You are signed out. Open your invitation link again to go on; nothing that was saved is lost."


def not_found(what: str) -> Refusal:
    """There is no such thing, or it is someone else's: the answer is the same."""
    return Refusal("not_found", f"There is no such {what} for you. Go back to your start page.", 404)


def other_tab() -> Refusal:
    """Another tab has taken the assignment over."""
    return Refusal(
        "other_tab",
        "This answer is open in another tab or window. What you wrote here was added to what is saved there. "
        "Go on there, or take over here.",
    )


def finished() -> Refusal:
    """The assignment is handed in or given back."""
    return Refusal("finished", "This answer is finished and cannot be changed any more. Nothing was counted twice.")


def study_closed() -> Refusal:
    """The study takes no more work."""
    return Refusal("closed", "The study is closed. Thank you; everything that you handed in is kept.", 403)


def too_many(whose: str, rate_hz: float, burst: int) -> Refusal:
    """More requests than one client may send; `whose` names the bound: sign-in or address."""
    return Refusal(
        "too_many",
        f"Too many requests from one {whose}: {burst} at once and {rate_hz:g} a second are allowed. "
        "This one changed nothing; wait a second and try again.",
        429,
    )
