"""The only module that knows pyinotify: instances, and watches on directories that are open.

The warden loads it once, before an upgrade can replace its files; the scanner, a copy of the warden, adds the watches.
"""

from __future__ import annotations

import ctypes.util
import errno
import os

import pyinotify

from gateway.warden.tracking.events import FOLLOWED


class Full(Exception):
    """No more watches are to be had (fs.inotify.max_user_watches)."""


def _wrapper() -> pyinotify.INotifyWrapper:
    """In the C library that this process has: pyinotify would run ldconfig to look for it, which takes 12 ms."""
    find, ctypes.util.find_library = ctypes.util.find_library, lambda _: None  # type: ignore[assignment]
    try:
        return pyinotify.INotifyWrapper.create()
    finally:
        ctypes.util.find_library = find


_calls = _wrapper()


def instance() -> int:
    """A new inotify instance. Raises OSError when the host has none left (fs.inotify.max_user_instances)."""
    fd: int = _calls.inotify_init()
    if fd < 0:
        raise _error()
    os.set_inheritable(fd, False)
    return fd


def add(fd: int, directory: int) -> int:
    """Have instance `fd` watch what the descriptor `directory` is open on; the watch's number, the same again for the
    same directory. Raises Full, and OSError when it cannot be watched for another reason.

    By descriptor, so no name from a view is kept or logged by pyinotify.
    """
    number: int = _calls.inotify_add_watch(fd, f"/proc/self/fd/{directory}", FOLLOWED)
    if number < 0:
        error = _error()
        raise Full if error.errno == errno.ENOSPC else error
    return number


def _error() -> OSError:
    number = _calls.get_errno() or errno.EIO
    return OSError(number, os.strerror(number))
