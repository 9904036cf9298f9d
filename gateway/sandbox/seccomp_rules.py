"""The system calls that a user's program may not make, and why. Run as a file, this compiles the filter:

    /usr/bin/python3 -I seccomp_rules.py FD      write the BPF program for seccomp(2) to descriptor FD

It runs in the system's interpreter, because libseccomp's Python binding (python3-seccomp) exists only for that one; so
this file imports nothing of ours. Calls that are not listed are allowed: users run compilers, interpreters and tests,
and the main protection are the namespaces and the missing capabilities. The filter removes the parts of the kernel that
namespaces do not cover, and those through which programs have broken out of them before.
"""

from __future__ import annotations

import errno
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

KEYS = "kernel keyrings belong to a uid, not to a namespace: they would reach other sessions"
KERNEL = "changes the running kernel, or reads its memory"
TRACE = "reads or changes other processes"
NAMESPACE = "a new user namespace gives capabilities there, and with them far more of the kernel to attack"
MOUNT = "could uncover what a mount hides"
IO_URING = "performs file and network I/O that this filter does not see"
HARDWARE = "accesses hardware"
HOST = "affects the host as a whole"

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
    **dict.fromkeys(("io_uring_setup", "io_uring_enter", "io_uring_register"), IO_URING),
}
"""Refused with ENOSYS, so that programs fall back to older calls."""

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
"""Refused with EPERM: they insert input into a terminal as if its user had typed it (CVE-2017-5226, CVE-2023-28100)."""

FAMILIES: dict[str, int] = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}
"""The address families that socket(2) allows. Others are refused with EAFNOSUPPORT: they are rarely used and have often
had bugs, and AF_VSOCK reaches the hypervisor from any network namespace."""

_LOW_WORD = 0xFFFFFFFF
"""The kernel uses the low 32 bits of these arguments. A comparison of all 64 could be evaded by setting a high bit
(CVE-2019-10063)."""


def compile_rules(seccomp: Any, to: Any) -> None:
    """Write the BPF program to the file `to`. It kills a program that makes calls of another architecture."""
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
    except (RuntimeError, ValueError, OSError):  # this architecture or this libseccomp does not have the call
        if name in _REQUIRED:
            raise


_REQUIRED = frozenset(("add_key", "bpf", "clone3", "keyctl", "mount", "perf_event_open", "ptrace", "setns", "unshare"))
"""Calls that every architecture has: a filter without them is not accepted."""


if __name__ == "__main__":
    import seccomp  # type: ignore[import-not-found] # the system's

    with open(int(sys.argv[1]), "wb") as output:
        compile_rules(seccomp, output)
