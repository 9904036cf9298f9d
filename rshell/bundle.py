"""What every front imports, compiled, in one file. To load that takes 2 ms less than to find, check and open 27 modules
one by one (docs/architecture.md, "Import cost").

An installation makes the file when its sources are in place, by running this module as a file. Without it, as in a
checkout, everything is imported as usual.

Like a .pyc, it counts for the Python that made it, and while the sources are what they were: the size and time, to the
nanosecond, of every one, and their directory. If one differs, nothing of the file is used.
"""

from __future__ import annotations

import marshal
import os
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import MAGIC_NUMBER, SourceFileLoader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, ModuleType
    from typing import TypeAlias

    Part: TypeAlias = tuple[str, str, int, int, bool, CodeType]
    """Name, path of the source, its time (ns) and size, whether it is a package, code."""

ROOT = __file__.rsplit("/", 2)[0]
FILE = f"{ROOT}/rshell/__pycache__/bundle.{sys.implementation.cache_tag}.front"
FOR = ("rshell.front.main", "rshell.commands.ls")
"""What is in the bundle: these modules, with all of ours that they import. Other commands' are imported as usual."""


class _Loader(SourceFileLoader):
    """The usual one, but for where the code is."""

    code: CodeType

    def get_code(self, _fullname: str) -> CodeType:
        return self.code


def load() -> bool:
    """Put what is in the bundle into `sys.modules`; whether it could be used. If not, nothing is changed."""
    try:
        with open(FILE, "rb", 0) as file:
            data = file.read()
        if not data.startswith(MAGIC_NUMBER):
            return False
        root, parts = marshal.loads(memoryview(data)[len(MAGIC_NUMBER) :])  # noqa: S302 - who writes it, has the code
        if root != ROOT or not all(_is_as_it_was(*part[1:4]) for part in parts):
            return False
    except (OSError, EOFError, ValueError, TypeError):
        return False
    for part in parts:
        if part[0] not in sys.modules:
            _import(*part)
    return True


def _is_as_it_was(path: str, when: int, size: int) -> bool:
    found = os.stat(path)
    return found.st_mtime_ns == when and found.st_size == size


def _import(name: str, path: str, _when: int, _size: int, is_package: bool, code: CodeType) -> None:
    """What an import statement does, without the search."""
    module: ModuleType = type(sys)(name)
    loader = module.__loader__ = _Loader(name, path)
    loader.code = code
    module.__spec__ = ModuleSpec(name, loader, origin=path, is_package=is_package)
    module.__file__ = path
    package, _, last = name.rpartition(".")
    module.__package__ = name if is_package else package
    if is_package:
        module.__path__ = module.__spec__.submodule_search_locations = [os.path.dirname(path)]
    sys.modules[name] = module
    if package:
        setattr(sys.modules[package], last, module)
    loader.exec_module(module)


def build() -> None:
    """Make the file, from the sources as they are now."""
    sys.path.insert(0, ROOT)
    data = MAGIC_NUMBER + marshal.dumps((ROOT, tuple(map(_part, _order()))))
    os.makedirs(os.path.dirname(FILE), exist_ok=True)
    staged = f"{FILE}.{os.getpid()}"
    with open(staged, "wb") as file:
        os.fchmod(file.fileno(), 0o644)  # the gateway's account reads it, whatever our umask
        file.write(data)
    os.replace(staged, FILE)


def _order() -> list[ModuleType]:
    """The modules, each behind those that it imports. Only for a process that does nothing else."""
    done: list[ModuleType] = []
    execute = SourceFileLoader.exec_module

    def noted(self: SourceFileLoader, module: ModuleType) -> None:
        execute(self, module)
        done.append(module)

    SourceFileLoader.exec_module = noted  # type: ignore[assignment,method-assign]
    for name in FOR:
        __import__(name)
    return [module for module in done if module.__name__.partition(".")[0] in ("gateway", "rshell")]


def _part(module: ModuleType) -> Part:
    """From the source itself: a .pyc would do for a source that was changed within its second."""
    loader = module.__loader__
    assert isinstance(loader, SourceFileLoader)  # noqa: S101
    found = os.stat(loader.path)  # before it is read: what changes in between is seen by the front
    code = loader.source_to_code(loader.get_data(loader.path), loader.path)
    return (loader.name, loader.path, found.st_mtime_ns, found.st_size, loader.is_package(loader.name), code)


if __name__ == "__main__":
    build()
