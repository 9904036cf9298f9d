"""The system calls that a person's own program may not make, and why; run as a file, this compiles them.

    /usr/bin/python3 -I seccomp_rules.py FD      write the BPF program for seccomp(2) to descriptor FD

By the system's interpreter, for libseccomp's own Python binding comes with the system (python3-seccomp) and with
nothing else; so this file imports nothing of ours. What is not named here is allowed: programs are compilers,
interpreters and tests, and the namespaces and missing capabilities around them are the wall. The table takes away the
parts of the kernel that a wall of namespaces does not cover, or that have let programs through it before.
"""

from __future__ import annotations

import errno
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

KEYS = "kernel keyrings belong to a uid, not to a namespace: they would reach other sessions"
KERNEL = "changes the running kernel, or reads its memory"
TRACE = "looks into other processes"
NAMESPACE = "a new user namespace gives capabilities there, and with them far more of the kernel to attack"
MOUNT = "could uncover what a mount hides"
RING = "performs file and network I/O that this filter does not see"
HARDWARE = "talks to hardware"
HOST = "about the host as a whole"

DENIED: dict[str, str] = {
    **dict.fromkeys(("add_key", "keyctl", "request_key"), KEYS),
    **dict.fromkeys(("bpf", "perf_event_open", "userfaultfd", "lookup_dcookie"), KERNEL),
    **dict.fromkeys(("init_module", "finit_module", "delete_module", "create_module", "uselib"), KERNEL),
    **dict.fromkeys(("kexec_load", "kexec_file_load", "syslog", "_sysctl", "modify_ldt", "vm86", "vm86old"), KERNEL),
    **dict.fromkeys(("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp"), TRACE),
    **dict.fromkeys(("pidfd_getfd",), TRACE),
    **dict.fromkeys(("unshare", "setns"), NAMESPACE),
    **dict.fromkeys(("mount", "umount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount"), MOUNT),
    **dict.fromkeys(("fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "open_by_handle_at"), MOUNT),
    **dict.fromkeys(("iopl", "ioperm", "pciconfig_read", "pciconfig_write", "pciconfig_iobase"), HARDWARE),
    **dict.fromkeys(("swapon", "swapoff", "reboot", "acct", "quotactl", "quotactl_fd", "nfsservctl"), HOST),
    **dict.fromkeys(("settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "stime"), HOST),
    **dict.fromkeys(("sethostname", "setdomainname", "vhangup", "fanotify_init", "move_pages", "migrate_pages"), HOST),
}
"""Refused with EPERM."""

ABSENT: dict[str, str] = {
    "clone3": "its flags are behind a pointer, which a filter cannot follow; libc falls back to clone",
    **dict.fromkeys(("io_uring_setup", "io_uring_enter", "io_uring_register"), RING),
}
"""Refused with ENOSYS, so that programs take the older way."""

CLONE_FLAGS: dict[str, int] = {
    "CLONE_NEWNS": 0x00020000,
    "CLONE_NEWCGROUP": 0x02000000,
    "CLONE_NEWUTS": 0x04000000,
    "CLONE_NEWIPC": 0x08000000,
    "CLONE_NEWUSER": 0x10000000,
    "CLONE_NEWPID": 0x20000000,
    "CLONE_NEWNET": 0x40000000,
}
"""Refused in the first argument of clone(2), with EPERM: see NAMESPACE."""

IOCTLS: dict[str, int] = {"TIOCSTI": 0x5412, "TIOCLINUX": 0x541C}
"""Refused, with EPERM: they type into a terminal on behalf of whoever sits there (CVE-2017-5226, CVE-2023-28100)."""

FAMILIES: dict[str, int] = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}
"""The only address families for socket(2). Others are rarely used and often broken; AF_VSOCK reaches the hypervisor
from any network namespace. Refused with EAFNOSUPPORT."""

_LOW_WORD = 0xFFFFFFFF
"""The kernel takes 32 bits of these arguments; a comparison of all 64 is passed by a set high bit (CVE-2019-10063)."""


def compile_rules(seccomp: Any, to: Any) -> None:
    """Write the program to the file `to`. Of another architecture than the host's, every call is refused by a kill."""
    rules = seccomp.SyscallFilter(seccomp.ALLOW)
    refused = seccomp.ERRNO(errno.EPERM)
    for name in DENIED:
        _add(rules, refused, name)
    for name in ABSENT:
        _add(rules, seccomp.ERRNO(errno.ENOSYS), name)
    for flag in CLONE_FLAGS.values():
        rules.add_rule(refused, "clone", seccomp.Arg(0, seccomp.MASKED_EQ, flag, flag))
    for request in IOCTLS.values():
        rules.add_rule(refused, "ioctl", seccomp.Arg(1, seccomp.MASKED_EQ, _LOW_WORD, request))
    unsupported = seccomp.ERRNO(errno.EAFNOSUPPORT)
    largest = max(FAMILIES.values())
    for family in set(range(largest)) - set(FAMILIES.values()):
        rules.add_rule(unsupported, "socket", seccomp.Arg(0, seccomp.MASKED_EQ, _LOW_WORD, family))
    rules.add_rule(unsupported, "socket", seccomp.Arg(0, seccomp.GT, largest))
    rules.export_bpf(to)


def _add(rules: Any, action: int, name: str) -> None:
    try:
        rules.add_rule(action, name)
    except (RuntimeError, ValueError, OSError):  # a call that this architecture or this libseccomp does not have
        if name in _EVERYWHERE:
            raise


_EVERYWHERE = frozenset(
    ("add_key", "bpf", "clone3", "keyctl", "mount", "perf_event_open", "ptrace", "setns", "unshare")
)


if __name__ == "__main__":
    import seccomp  # type: ignore[import-not-found] # the system's

    with open(int(sys.argv[1]), "wb") as output:
        compile_rules(seccomp, output)
