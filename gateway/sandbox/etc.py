"""What a program of `run` finds in /etc: the configuration of the programs in /usr, and no more.

The list is made from a host. What is below /etc and a link in /usr leads to is here, and what common programs read
there whose packages put no link. What may hold a secret is not: accounts, keys, mail, databases, services, and what
programs read that log in somewhere (netrc, pip.conf, npmrc, wgetrc, environment). A file that not everybody may read is
not readable in the sandbox either. A test looks for links that lead nowhere.
"""

from __future__ import annotations

import os

from gateway.sandbox import paths

_FILES = (
    *("bindresvport.blacklist", "debian_version", "gai.conf", "gitconfig", "host.conf", "hosts", "inputrc"),
    *("locale.alias", "localtime", "magic", "magic.mime", "mailcap", "manpath.config", "mime.types", "networks"),
    *("os-release", "papersize", "protocols", "rpc", "services", "shells", "ssl/openssl.cnf", "timezone"),
    *("xattr.conf", "lynx.cfg", "ethertypes", "screenrc", "nanorc"),
)
_DIRECTORIES = (
    *("X11", "alternatives", "fonts", "gprofng", "groff", "gss/mech.d", "ssl/certs", "terminfo", "vim"),
    *("dictionaries-common", "texmf", "sgml", "xml", "perl", "python3", "lsb-release.d", "R"),
)
NO_SHELL = "/usr/sbin/nologin"
_PREFIXES = ("java", "maven", "ant", "gradle", "groovy", "scala", "python3.", "ImageMagick-", "ghostscript", "nodejs")
"""Directories whose names begin with these: packages put a version behind it."""


def files() -> list[str]:
    """Paths of regular files, or links to some, that may exist."""
    return [f"/etc/{name}" for name in _FILES]


def directories() -> list[str]:
    """Paths of directories that may exist."""
    try:
        listed = sorted(name for name in os.listdir("/etc") if name.startswith(_PREFIXES))
    except OSError:
        listed = []
    return [f"/etc/{name}" for name in (*_DIRECTORIES, *listed) if os.path.isdir(f"/etc/{name}")]


def group() -> bytes:
    """An /etc/group with the gateway's group, and the one that all others of the host look like."""
    return b"enc:x:%d:\nnogroup:x:65534:\n" % os.getgid()


def passwd(home: str = paths.PROJECTS, shell: str = NO_SHELL) -> bytes:
    """An /etc/passwd with the gateway's account, without which sftp-server does not start."""
    return b"enc:x:%d:%d::%s:%s\n" % (os.getuid(), os.getgid(), home.encode(), shell.encode())
