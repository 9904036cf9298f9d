"""SHA-256 without OpenSSL: `hashlib` loads it, which costs each start of enc 3 ms, and each watchdog memory.

CPython's own module is private and has another name since 3.12. Other interpreters get hashlib's.
"""

try:
    from _sha2 import sha256  # type: ignore[import-not-found,unused-ignore]
except ImportError:
    try:
        from _sha256 import sha256  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        from hashlib import sha256

__all__ = ["sha256"]
