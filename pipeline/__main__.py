"""Starts the command `mtl`: what Ctrl-C interrupts while its modules are being imported ends without a traceback."""

import sys


def main() -> None:
    """Runs the command of the command line."""
    try:
        from pipeline.cli import main as command
    except KeyboardInterrupt:
        sys.exit(130)
    command()


if __name__ == "__main__":
    main()
