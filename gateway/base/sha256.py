"""SHA-256 without OpenSSL: importing `hashlib` costs a forced command 1.5 ms, the interpreter's own module nothing.

That module is private to CPython and was renamed in 3.12, hence the chain of imports.
"""

try:
    from _sha2 import sha256  # type: ignore[import-not-found,unused-ignore]
except ImportError:
    try:
        from _sha256 import sha256  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        from hashlib import sha256

__all__ = ["sha256"]
