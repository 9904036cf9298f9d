"""A program of the user's own, which is any program, tries to get out of the sandbox of `run`."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator

import pytest

from tests.harness import Gateway, need
from tests.running import UnlockedProject, unlocked_project

HEAD = """
import ctypes, errno, json, os, signal, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
def said(result):
    return "ok" if result >= 0 else errno.errorcode[ctypes.get_errno()]
def call(number, *words):
    pointers = [ctypes.c_char_p(w) if isinstance(w, bytes) else ctypes.c_long(w) for w in words]
    return said(libc.syscall(ctypes.c_long(number), *pointers))
def tried(act):
    try:
        act()
    except OSError as error:
        return errno.errorcode[error.errno]
    except ValueError:
        return "refused"
    return "ok"
found = {}
"""

CALLS: dict[str, tuple[str, str]] = {
    "a new user namespace": ("call(272, 0x10000000)", "EPERM"),
    "a new mount namespace": ("call(272, 0x20000)", "EPERM"),
    "clone into a new user namespace": ("call(56, 0x10000011, 0, 0, 0, 0)", "EPERM"),
    "clone into a new network namespace": ("call(56, 0x40000011, 0, 0, 0, 0)", "EPERM"),
    "clone3, whose flags no filter sees": ("call(435, 0, 0)", "ENOSYS"),
    "another's namespace": ("call(308, os.open('/proc/1/ns/mnt', 0), 0)", "EPERM"),
    "a key in the account's keyring": ("call(248, b'user', b'enc', b'x', 1, -4)", "EPERM"),
    "asking for a key": ("call(249, b'user', b'enc', 0, -4)", "EPERM"),
    "joining a keyring": ("call(250, 1, b'enc')", "EPERM"),
    "tracing": ("call(101, 16, os.getppid(), 0, 0)", "EPERM"),
    "having oneself traced": ("call(101, 0, 0, 0, 0)", "EPERM"),
    "reading another's memory": ("call(310, 1, 0, 0, 0, 0, 0)", "EPERM"),
    "writing another's memory": ("call(311, 1, 0, 0, 0, 0, 0)", "EPERM"),
    "another's descriptors": ("call(438, 0, 0, 0)", "EPERM"),
    "a mount": ("call(165, b'none', b'/tmp', b'tmpfs', 0, 0)", "EPERM"),
    "a bind mount": ("call(165, b'/usr', b'/tmp', b'', 4096, 0)", "EPERM"),
    "an unmount": ("call(166, b'/proc', 2)", "EPERM"),
    "the new mount calls": ("call(430, b'tmpfs', 0)", "EPERM"),
    "a copy of a mount": ("call(428, -100, b'/projects', 1)", "EPERM"),
    "another root": ("call(155, b'/', b'/tmp')", "EPERM"),
    "chroot": ("call(161, b'/tmp')", "EPERM"),
    "a file by its handle": ("call(304, 0, 0, 0)", "EPERM"),
    "BPF": ("call(321, 0, 0, 0)", "EPERM"),
    "performance events": ("call(298, 0, 0, -1, -1, 0)", "EPERM"),
    "faults of one's own": ("call(323, 0)", "EPERM"),
    "a kernel module": ("call(313, 0, b'', 0)", "EPERM"),
    "another kernel": ("call(246, 0, 0, 0, 0)", "EPERM"),
    "the kernel's log": ("call(103, 3, 0, 0)", "EPERM"),
    "a ring of requests": ("call(425, 8, 0)", "ENOSYS"),
    "the hypervisor's sockets": ("tried(lambda: socket.socket(40, socket.SOCK_STREAM))", "EAFNOSUPPORT"),
    "the kernel's ciphers": ("tried(lambda: socket.socket(38, socket.SOCK_SEQPACKET))", "EAFNOSUPPORT"),
    "raw packets": ("tried(lambda: socket.socket(17, socket.SOCK_RAW))", "EAFNOSUPPORT"),
    "an address family behind a high bit": ("call(41, (1 << 32) | 40, 1, 0)", "EAFNOSUPPORT"),
    "becoming root": ("tried(lambda: os.setuid(0))", "EINVAL"),
    "a device node": ("tried(lambda: os.mknod('/tmp/disk', 0o60600, os.makedev(254, 0)))", "EPERM"),
    "another limit": ("tried(lambda: resource.setrlimit(resource.RLIMIT_CORE, (9, 9)))", "refused"),
    "another name of the host": ("tried(lambda: socket.sethostname('x'))", "EPERM"),
    "the kernel's settings": ("tried(lambda: open('/proc/sys/kernel/core_pattern', 'w'))", "EACCES"),
    "more user namespaces": ("tried(lambda: open('/proc/sys/user/max_user_namespaces', 'w').write('9'))", "EACCES"),
    "the ciphertext": ("tried(lambda: os.listdir('/vaults'))", "ENOENT"),
    "the session's socket": ("tried(lambda: os.listdir('/session'))", "ENOENT"),
    "the audit": ("tried(lambda: os.listdir('/audit'))", "ENOENT"),
    "the keys": ("tried(lambda: os.listdir('/keys'))", "ENOENT"),
    "the writable side of the projects": ("tried(lambda: os.listdir('/.projects'))", "ENOENT"),
    "the host's accounts": ("tried(lambda: open('/etc/shadow'))", "ENOENT"),
    "sshd's host keys": ("tried(lambda: os.listdir('/etc/ssh'))", "ENOENT"),
    "FUSE": ("tried(lambda: os.open('/dev/fuse', os.O_RDWR))", "ENOENT"),
    "the host's memory": ("tried(lambda: open('/dev/mem', 'rb'))", "ENOENT"),
    "the memory of PID 1": ("tried(lambda: open('/proc/1/mem', 'r+b'))", "EACCES"),
    "the memory of PID 1, by its thread": ("tried(lambda: open('/proc/1/task/1/mem', 'r+b'))", "EACCES"),
    "the host's locks": ("tried(lambda: open('/proc/locks'))", "EACCES"),
    "the devices' tree": ("tried(lambda: os.listdir('/sys'))", "ENOENT"),
    "the root of PID 1": ("tried(lambda: os.listdir('/proc/1/root/vaults'))", "ENOENT"),
    "a file in /": ("tried(lambda: open('/f', 'w'))", "EROFS"),
    "a file in /usr": ("tried(lambda: open('/usr/f', 'w'))", "EROFS"),
    "a file in /dev": ("tried(lambda: open('/dev/f', 'w'))", "EROFS"),
    "a file beside the projects": ("tried(lambda: open('/projects/f', 'w'))", "EROFS"),
    "the host's network": ("tried(lambda: socket.create_connection(('192.0.2.1', 80), 2))", "ENETUNREACH"),
    "the gateway's sshd": ("tried(lambda: socket.create_connection(('127.0.0.1', PORT), 2))", "ECONNREFUSED"),
    "names of others": ("tried(lambda: socket.socket(socket.AF_UNIX).connect('/dev/log'))", "ENOENT"),
}
"""What is tried (numbers of system calls are those of x86-64), and how it must fail."""


@pytest.fixture(scope="module")
def at(gateway: Gateway) -> Iterator[UnlockedProject]:
    """One unlocked project for all tests here."""
    with unlocked_project(gateway, "prisoner") as made:
        yield made


@pytest.fixture(scope="module")
def outcomes(at: UnlockedProject) -> dict[str, str]:
    """How each of CALLS came out, tried by one program."""
    need(platform.machine() == "x86_64", "the numbers of system calls are those of x86-64")
    lines = [f"found[{name!r}] = {code}" for name, (code, _) in CALLS.items()]
    script = HEAD + f"import resource\nPORT = {at.gateway.ready['port']}\n" + "\n".join(lines)
    result = at.python(script + "\nprint(json.dumps(found))")
    assert result.status == 0, result
    found = json.loads(result.out)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("name", CALLS)
def test_a_program_cannot_have(outcomes: dict[str, str], name: str) -> None:
    assert outcomes[name] == CALLS[name][1]


def test_calls_of_another_architecture_kill(at: UnlockedProject) -> None:
    need(platform.machine() == "x86_64", "int 0x80 is x86's")
    code = b"\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3".decode()  # mov eax, 20 (getpid of i386); int 0x80; ret
    script = f"""
import ctypes, mmap
page = mmap.mmap(-1, 4096, prot=7)
page.write(b"{code}")
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
"""
    assert at.python(script).status == 128 + 31, "SIGSYS"


TYPING = """
import errno, fcntl, sys
for request in (0x5412, 0x541C):
    try:
        fcntl.ioctl(0, request, b"x")
        print("typed")
    except OSError as error:
        print(errno.errorcode[error.errno])
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
for request in (0x100005412, 0x7FFF0000541C):
    libc.syscall(16, 0, ctypes.c_ulong(request), b"x")
    print(errno.errorcode.get(ctypes.get_errno()))
print("end")
"""


def test_a_program_cannot_type_into_its_terminal(at: UnlockedProject) -> None:
    at.put("typing.py", TYPING)
    terminal = at.terminal("python3", "-I", "typing.py")
    assert terminal.expect("end").split() == ["EPERM"] * 4 + ["end"]
    assert terminal.wait() == 0


def test_a_program_sees_no_other_process(at: UnlockedProject) -> None:
    names = at.sh("cat /proc/[0-9]*/comm | sort -u").out.split()
    assert {"bwrap", "cat", "sh"} <= set(names) <= {"bwrap", "cat", "sh", "sort"}
    assert at.sh("kill -9 -1; true").status in (0, 137)
    assert at.run("true").status == 0


def test_a_program_has_the_descriptors_of_its_channel_alone(at: UnlockedProject) -> None:
    own, _, of_bwrap = at.sh(
        "for fd in /proc/$$/fd/*; do readlink $fd; done; echo /; for fd in /proc/1/fd/*; do readlink $fd; done"
    ).out.partition("/\n")
    assert [name.partition(":")[0] for name in own.split()] == ["pipe"] * 3
    more = set(of_bwrap.split()) - set(own.split())
    assert more == {"anon_inode:[eventfd]"}, "on which bubblewrap tells of the program's end"


def test_a_program_has_no_network_but_its_own_loopback(at: UnlockedProject) -> None:
    lines = at.run("cat", "/proc/net/dev").out.splitlines()[2:]
    assert [line.split(":")[0].strip() for line in lines] == ["lo"]
    assert at.run("cat", "/proc/net/unix").out.splitlines()[1:] == []
    refused = at.run("true", flags=("--net",))
    said = "enc: programs have no network here; ask your sysadmin to allow it\n"
    assert (refused.status, refused.err) == (126, said)


def test_rewriting_the_sandbox_s_own_process_would_gain_nothing(at: UnlockedProject) -> None:
    """Should a program get to write into PID 1 of its sandbox: that one is confined as the program is."""
    fields = ("CapPrm", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp")
    status = dict(line.split(":\t", 1) for line in at.run("cat", "/proc/1/status").out.splitlines() if ":\t" in line)
    assert [status[name] for name in fields] == ["0" * 16, "0" * 16, "0" * 16, "1", "2"]
    same = at.sh(
        "for n in mnt pid net user ipc uts cgroup; do readlink /proc/1/ns/$n /proc/self/ns/$n; done"
    ).out.split()
    assert same[::2] == same[1::2]
