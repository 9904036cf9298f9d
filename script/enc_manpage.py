"""The sections of enc(1) that its --help does not have."""

from __future__ import annotations

from client.errors import EncError
from client.operations import survey, upload

WITH_ERRORS = (survey, upload)
"""They define errors of their own, which `exit_codes` finds once they are imported."""

EXAMPLES = (
    ("Connect to a gateway with the code of an invitation:", "enc init --host gateway.example --user enc --invite -"),
    (
        "Make a project from a directory, and work in it:",
        "enc new parser --from ~/src/parser\nenc mount parser\ncd ~/enc/parser",
    ),
    ("In the mount, build on the gateway, in the same directory:", "enc run -- make test"),
    ("Clone a repository of an unlocked project:", "git clone gateway:parser"),
    ("Unmount and lock:", "cd; enc unmount parser"),
)
FILES = (
    ("~/.config/enc/config.toml", "The gateways that `enc init` has set up."),
    ("~/enc/PROJECT", "Where a project is mounted unless you name another directory."),
    (
        "$XDG_RUNTIME_DIR/enc",
        "Sockets and what is mounted. Without XDG_RUNTIME_DIR: /run/user/UID/enc, /dev/shm/enc-UID or /tmp/enc-UID.",
    ),
    ("~/.local/state/enc/unfinished", "Copies of `enc new --from` that were interrupted."),
)
ENVIRONMENT = (
    ("ENC_HOST, ENC_SSH_CONFIG, ENC_IDENTITY", "As --host, -F and -i."),
    ("ENC_CONFIG", "The config file, instead of ~/.config/enc/config.toml."),
    ("ENC_PASSPHRASE_COMMAND", "A program that prints the passphrase on its first line."),
    ("SSH_ASKPASS, SSH_ASKPASS_REQUIRE", "As in ssh(1): a dialog that asks for the passphrase."),
    ("VISUAL, EDITOR", "The editor of `enc open --editor`."),
    ("NO_COLOR", "Print nothing in bold."),
)
EXIT_STATUS = (
    "0 is success. `enc run` and `enc open` end with the status of their program, and what the gateway refuses with "
    "its own. Else:"
)


def exit_codes() -> list[tuple[str, str]]:
    """The exit codes of enc's own errors, and what they mean."""
    kinds = [kind for kind in _below(EncError) if "code" in vars(kind)]
    found: dict[int, list[str]] = {}
    for kind in sorted(kinds, key=lambda kind: kind.code):
        found.setdefault(kind.code, []).append((kind.__doc__ or "").split("\n")[0])
    return [*((str(code), " ".join(texts)) for code, texts in found.items()), ("130", "Interrupted.")]


def _below(kind: type[EncError]) -> list[type[EncError]]:
    return [each for child in kind.__subclasses__() for each in (child, *_below(child))]
