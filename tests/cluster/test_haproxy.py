"""Stock ssh through HAProxy with docs/haproxy.cfg, in front of two hosts."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cluster import places
from tests.harness import PATIENCE, Person, Result, admin, eventually, stays
from tests.hosts import Cluster, Host, cluster, free_port

DOCS = Path(__file__).resolve().parents[2] / "docs"
HAPROXY = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")

pytestmark = pytest.mark.skipif(not HAPROXY, reason="haproxy is not installed")


class Proxy:
    """HAProxy at `port`, and on each host the agent that it asks."""

    def __init__(self, hosts: Cluster, place: Path) -> None:
        self.port = free_port()
        self._agents = {each.name: free_port() for each in (hosts.one, hosts.two)}
        config = place / "haproxy.cfg"
        config.write_text(self._config(hosts, place))
        assert HAPROXY
        checked = subprocess.run([HAPROXY, "-c", "-f", str(config)], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr
        assert "WARNING" not in checked.stderr + checked.stdout
        self.processes = [_quietly(*_agent(self._agents[each.name], each)) for each in (hosts.one, hosts.two)]
        self._config_file, self._log = config, place / "log"
        self.processes.append(self._start())

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        assert HAPROXY
        with self._log.open("ab") as log:
            return subprocess.Popen([HAPROXY, "-f", str(self._config_file), *words], stdout=log, stderr=log)

    def reload(self) -> None:
        """As systemd does it."""
        self.processes.append(self._start("-sf", str(self.processes[-1].pid)))

    def log(self) -> str:
        return self._log.read_text()

    def _config(self, hosts: Cluster, place: Path) -> str:
        """The file in docs with other addresses, ports and paths, and for no other account."""
        text = (DOCS / "haproxy.cfg").read_text()
        for pattern, new in (
            (r"(?m)^    (user|group|chroot) .*\n", ""),
            (r"log /dev/log", "log stdout format raw"),
            (r"/run/haproxy/", f"{place}/"),
            (r"127\.0\.0\.1:10000", f"127.0.0.1:{free_port()}"),
            (r"bind :22", f"bind 127.0.0.1:{self.port}"),
            (r"(server gw1) \S+ (.*agent-port) \d+", rf"\1 127.0.0.1:{hosts.one.port} \2 {self._agents['gw1']}"),
            (r"(server gw2) \S+ (.*agent-port) \d+", rf"\1 127.0.0.1:{hosts.two.port} \2 {self._agents['gw2']}"),
        ):
            text, count = re.subn(pattern, new, text)
            assert count, pattern
        return text

    def login(self, who: Person, *words: str, stdin: str = "") -> Result:
        return who.ssh(*words, stdin=stdin, extra=("-p", str(self.port)))

    def end(self) -> None:
        for process in self.processes:
            process.terminate()
            process.wait(PATIENCE)


def _quietly(*words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _agent(port: int, host: Host) -> list[str]:
    """What systemd makes of the two units in docs."""
    assert "Accept=yes" in (DOCS / "enc-drained.socket").read_text()
    (line,) = re.findall(r"(?m)^ExecStart=(.*)$", (DOCS / "enc-drained@.service").read_text())
    *words, _ = shlex.split(line.replace("%%", "%"))
    return ["systemd-socket-activate", "-l", f"127.0.0.1:{port}", "--accept", "--inetd", *words, str(host.copy)]


@pytest.fixture(scope="module")
def hosts(ground: Path) -> Iterator[Cluster]:
    with cluster(ground) as both:
        yield both


@pytest.fixture(scope="module")
def who(hosts: Cluster) -> Person:
    _, made = hosts.person("dev")
    made.new("parser")
    return made


@pytest.fixture
def proxy(hosts: Cluster, who: Person, tmp_path: Path) -> Iterator[Proxy]:
    made = Proxy(hosts, tmp_path)
    try:
        eventually(lambda: made.login(who, "whoami").status == 0)
        yield made
    finally:
        made.end()


def served(hosts: Cluster, proxy: Proxy, who: Person) -> Host:
    """The host that serves a login now."""
    before = {each.name: _logins(each) for each in (hosts.one, hosts.two)}
    done = proxy.login(who, "whoami")
    assert done.status == 0, done
    (host,) = (each for each in (hosts.one, hosts.two) if _logins(each) > before[each.name])
    return host


def _logins(host: Host) -> int:
    return len(host.events("request", verb="whoami"))


def test_a_client_keeps_to_one_host_and_to_another_when_that_dies_and_returns(
    hosts: Cluster, proxy: Proxy, who: Person
) -> None:
    first = served(hosts, proxy, who)
    other = hosts.two if first is hosts.one else hosts.one
    assert [served(hosts, proxy, who).name for _ in range(3)] == [first.name] * 3
    with who.mounted("parser", extra=("-p", str(proxy.port))) as held:
        first.freeze()
        assert held.wait(20).status == 255, "HAProxy has closed the connection, at whose end nobody answers"
        first.die()
        eventually(lambda: proxy.login(who, "whoami").status == 0)
        assert served(hosts, proxy, who) is other
        first.start()
        eventually(lambda: _is_up(first))
        stays(lambda: served(hosts, proxy, who) is other, 6)
    with who.mounted("parser", extra=("-p", str(proxy.port))) as held:
        proxy.reload()
        stays(lambda: served(hosts, proxy, who) is other, 3)
        assert held.process.poll() is None


def test_the_log_leads_from_the_audit_to_the_client(hosts: Cluster, proxy: Proxy, who: Person) -> None:
    host = served(hosts, proxy, who)
    (*_, request) = host.events("request", verb="whoami")
    seen = rf"127\.0\.0\.1:\d+ enc/{host.name} from {request['address']}:{request['port']} "
    eventually(lambda: re.search(seen, proxy.log()))


def _is_up(host: Host) -> bool:
    return (host.copy / places.FRESH).exists() and host.is_up()


def test_a_drained_host_keeps_its_sessions_and_gets_no_new_login(hosts: Cluster, proxy: Proxy, who: Person) -> None:
    first = served(hosts, proxy, who)
    other = hosts.two if first is hosts.one else hosts.one
    with who.mounted("parser", extra=("-p", str(proxy.port))) as held:
        assert admin(first, "host", "drain", first.name).status == 0
        eventually(lambda: served(hosts, proxy, who) is other)
        stays(lambda: held.process.poll() is None, 4)
        gone = proxy.login(who, "run", "parser", "--", "true")
        assert gone.status == 75 and f"parser is unlocked on {first.name}" in gone.err
        assert admin(first, "host", "drain", first.name, "--undo").status == 0
        stays(lambda: served(hosts, proxy, who) is other, 4)
