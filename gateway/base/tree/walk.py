"""Walk a tree, and remove one."""

from __future__ import annotations

import errno
import os
import stat

from gateway.base.tree.descent import CHANGE, Descent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Entries = dict[str, os.stat_result]
    """What a directory has: each name with its lstat(2)."""
    Trouble = Callable[[str, OSError], object]


def ignore(_name: str, _error: OSError) -> None:
    """For a walk that goes on without what it cannot read."""


def stop(_name: str, error: OSError) -> None:
    """For a walk that must be complete."""
    raise error


def walk(descent: Descent, trouble: Trouble, leave: Callable[[str], object] | None = None) -> Iterator[Entries]:
    """Yield the entries of every directory, a directory before those in it. `descent` is in that directory meanwhile.

    What is gone meanwhile is left out. `trouble(name, error)` is told what cannot be read, and the walk goes on unless
    that raises. `leave(name)` is called above, after a directory and all that is in it. Entries that the caller removes
    from the dictionary are not entered. Raises OSError when a directory on the way up has been moved.
    """
    entries = _entries(descent, trouble)
    yield entries
    pending = [_directories(entries)]
    while pending:
        if pending[-1]:
            name = pending[-1].pop()
            try:
                descent.down(name)
            except FileNotFoundError:
                continue
            except OSError as error:
                trouble(name, error)
                continue
            entries = _entries(descent, trouble)
            yield entries
            pending.append(_directories(entries))
            continue
        pending.pop()
        if pending:
            name = descent.name
            descent.up()
            if leave:
                leave(name)


def _entries(descent: Descent, trouble: Trouble) -> Entries:
    found: Entries = {}
    try:
        names = os.listdir(descent.fd)
    except OSError as error:
        trouble("", error)
        return found
    for name in names:
        try:
            found[name] = os.stat(name, dir_fd=descent.fd, follow_symlinks=False)
        except FileNotFoundError:
            continue
        except OSError as error:
            trouble(name, error)
    return found


def _directories(entries: Entries) -> list[str]:
    return [name for name, found in entries.items() if stat.S_ISDIR(found.st_mode)]


def count(top: str, counts: Callable[[str], bool]) -> int:
    """How many entries whose name `counts` are below the directory `top`, as far as it can be read."""
    descent = Descent(top)
    try:
        return sum(sum(map(counts, entries)) for entries in walk(descent, ignore))
    finally:
        descent.close()


def remove(path: str) -> OSError | None:
    """Remove the file, link or tree at `path`, as far as possible. Returns the first error that left something there;
    None if it is gone, also when it was before.
    """
    errors: list[OSError] = []

    def note(_name: str, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            errors.append(error)

    def attempt(function: Callable[..., object], name: str, dir_fd: int | None = None) -> None:
        try:
            function(name, dir_fd=dir_fd)
        except OSError as error:
            if error.errno != errno.ENOTEMPTY or not errors:  # what is in it has said why already
                note(name, error)

    try:
        descent = Descent(path, CHANGE)
    except NotADirectoryError:
        attempt(os.unlink, path)
        return errors[0] if errors else None
    except OSError as error:
        return None if isinstance(error, FileNotFoundError) else error
    try:
        for entries in walk(descent, note, lambda name: attempt(os.rmdir, name, descent.fd)):
            for name, found in entries.items():
                if not stat.S_ISDIR(found.st_mode):
                    attempt(os.unlink, name, descent.fd)
    except OSError as error:
        note("", error)
    finally:
        descent.close()
    attempt(os.rmdir, path)
    return errors[0] if errors else None
