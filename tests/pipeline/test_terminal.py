"""What reaches a terminal, on a pseudo-terminal."""

import os
import sys

from pipeline.terminal import Steps, chatter_to


def test_what_is_logged_while_a_bar_is_shown_goes_to_the_log(tmp_path):
    main, side = os.openpty()
    saved = os.dup(1)
    os.dup2(side, 1)
    try:
        with chatter_to(tmp_path / "log.txt") as console, Steps(console) as steps:
            assert console.is_terminal
            steps.start("Transform", 7, 12)
            print("a library's warning", file=sys.stderr)
            print("a library's greeting")
            steps.end("Transform", 1.0, "")
    finally:
        os.dup2(saved, 1)
        os.close(saved)
    os.write(side, b"the end")
    shown = ""
    while not shown.endswith("the end"):  # a terminal hands over what it has, which may be a part
        shown += os.read(main, 1 << 16).decode()
    os.close(side)
    os.close(main)
    assert "[ 7/12] Transform 1.0 s" in shown and "library" not in shown
    assert (tmp_path / "log.txt").read_text() == "a library's warning\na library's greeting\n"
