"""What a client raises."""


class BadFeatures(ValueError):
    """The features do not fit the model; nothing was sent. The message says which, and what would fit."""


class ServerError(RuntimeError):
    """The server gave no answer, or could not be reached.

    Attributes:
      code: the canonical name of the status, such as NOT_FOUND.
      again: whether the same request may be answered a moment later.
    """

    def __init__(self, code: str, message: str, again: bool = False):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.again = again
