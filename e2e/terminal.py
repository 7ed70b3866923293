"""A terminal for a program, with a size, that can be typed on and closed."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

CLOSED = "the terminal is closed"


def take_terminal():
    """In the child: the terminal is its own, and so is what happens when it closes, also if these tests run under `nohup`."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)



def on_a_terminal(folder, *command, size=(24, 80), env=None, until=None, then=b"\x03", all_streams=False):
    """The exit code, what the terminal got, and standard output, which is a pipe unless `all_streams`.

    Standard input and standard error are the terminal. After the text `until`, `then` is typed; CLOSED closes the terminal.
    """
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    process = subprocess.Popen(
        [str(word) for word in command], cwd=folder, env={**os.environ, "TERM": "xterm", **(env or {})},
        stdin=follower, stderr=follower, stdout=follower if all_streams else subprocess.PIPE, start_new_session=True,
        preexec_fn=take_terminal,
    )
    os.close(follower)
    shown, end = b"", time.monotonic() + 60
    try:
        while True:
            ready, _, _ = select.select([leader], [], [], max(0, end - time.monotonic()))
            assert ready, f"the program hangs: {shown[-2000:]}"
            try:
                part = os.read(leader, 1 << 20)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            shown += part
            if until and until in shown:
                if then is CLOSED:
                    break
                os.write(leader, then)
                until = None
        os.close(leader)
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    return process.returncode, shown.decode(), (out or b"").decode()
