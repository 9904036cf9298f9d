"""What `enc push` and `enc pull` share: how their end is told."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from client import output
from client.operations.copying import Copied
from client.operations.project_path import ProjectPath
from client.operations.rsync import CopyFailed

_CONTINUE = "what was copied stays, and the same words continue"


@contextlib.contextmanager
def continued_by_the_same_words(target: str) -> Iterator[None]:
    """Say so when the copy ends early."""
    try:
        yield
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(f"interrupted: {target} may have a part; {_CONTINUE}") from stop
    except CopyFailed as error:
        raise CopyFailed(str(error), error.hint or _CONTINUE) from error


def tell(copied: Copied, place: ProjectPath, text: str, as_json: bool) -> None:
    """Print the notes and the result."""
    for note in copied.notes:
        output.note(note)
    fields = {"project": place.project, "path": place.path, "copied": copied.total, "skipped": copied.skipped}
    shown = f"{text}; {copied.total} files and directories compared"
    output.result({**fields, "notes": list(copied.notes)}, shown, as_json)
