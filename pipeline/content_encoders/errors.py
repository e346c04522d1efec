"""What encoding raises beside DataError."""


class NeedsExtra(Exception):
    """A package is not installed that `make setup EXTRAS=encoders` brings."""

    def __init__(self, package: str, what: str):
        super().__init__(
            f"{what} needs the package {package}, which is not installed: `make setup EXTRAS=encoders` "
            "installs it (of an installed wheel: the extra `encoders`)"
        )


class BadContent(Exception):
    """A picture or text that no vector can be made of; the message is the counted reason, without names."""
