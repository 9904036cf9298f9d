"""Writing a file for somebody else to read: never half of one."""

from __future__ import annotations

import os
from pathlib import Path


def replace(path: Path, text: str, mode: int = 0o644) -> None:
    """Put `text` at `path` in one rename, with `mode`. Raises OSError, and leaves nothing behind."""
    draft = path.with_name(f".{path.name}.new-{os.urandom(4).hex()}")
    try:
        with draft.open("x", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)
