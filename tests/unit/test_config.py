"""gateway.toml: every key, its default, what it refuses, and that a refusal says where; and `--set`."""

from __future__ import annotations

import os
import pwd
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cluster import places
from gateway.config import cluster, loader
from gateway.config.schema import KEYS, Config, Key
from gateway.embedded.layout import Layout, config_text
from gateway.errors import Misconfigured, Usage

BY_NAME = {key.name: key for key in KEYS}
EVERY_KEY = [pytest.param(key, id=key.name) for key in KEYS]
NUMBERS = [pytest.param(key, id=key.name) for key in KEYS if isinstance(key.default, int)]
STRINGS = [
    pytest.param(key, id=key.name)
    for key in KEYS
    if isinstance(key.default, str) and not key.choices and key.name not in cluster.KEYS
]
HOST = {"cluster.directory": "/mnt/ceph/enc", "cluster.host": "gw1", "cluster.address": "gw1.example.org:22"}
"""The keys of a host of a cluster: all three or none."""
CHOICES = [pytest.param(key, id=key.name) for key in KEYS if key.choices]
LISTS = [pytest.param(key, id=key.name) for key in KEYS if isinstance(key.default, tuple)]
ITEMS = {"projects.create": ("dev1", "dev2"), "projects.share": ("dev1", "dev2")}
PATHS = [pytest.param(key, id=key.name) for key in KEYS if key.name.startswith("paths.")]

DEFAULTS: dict[str, str | int] = {
    "paths.vaults": "/var/lib/enc/vaults",
    "paths.run": "/run/enc",
    "paths.audit": "/var/log/enc/audit.jsonl",
    "paths.authorized_keys": "/etc/enc/authorized_keys",
    "audit.syslog": "/dev/log",
    "passphrase.minimum": 12,
    "passphrase.wait_max": 30,
    "lock.grace": 2,
}


def value(parsed: Config, key: Key) -> object:
    return parsed.as_dict()[key.name.replace(".", "_")]


def as_toml(key: Key, written: str) -> str:
    """A file with the key on line 3."""
    table, _, name = key.name.rpartition(".")
    return f"# a comment\n[{table}]\n{name} = {written}\n"


@pytest.mark.parametrize("key", EVERY_KEY)
def test_an_absent_key_has_its_default(key: Key) -> None:
    assert value(loader.parse(""), key) == key.default
    if key.name in DEFAULTS:
        assert key.default == DEFAULTS[key.name]


@pytest.mark.parametrize("key", EVERY_KEY)
def test_every_key_says_what_it_means_and_is_a_field(key: Key) -> None:
    assert key.doc
    assert key.name.replace(".", "_") in Config._fields


def test_there_are_no_other_fields() -> None:
    assert len(Config._fields) == len(KEYS) == len(BY_NAME)
    assert set(DEFAULTS) <= set(BY_NAME)


@pytest.mark.parametrize("key", NUMBERS)
def test_a_number_is_taken_from_its_least_value_on(key: Key) -> None:
    assert value(loader.parse(as_toml(key, str(key.minimum))), key) == key.minimum
    most = key.maximum or 86400
    assert value(loader.parse(as_toml(key, str(most))), key) == most
    with pytest.raises(Misconfigured) as caught:
        loader.parse(as_toml(key, str(key.minimum - 1)))
    assert str(caught.value) == f"gateway.toml, line 3: {key.name} must be at least {key.minimum}"


def test_a_number_is_taken_up_to_its_greatest_value() -> None:
    assert loader.parse("passphrase.cost = 18").passphrase_cost == 18
    with pytest.raises(Misconfigured, match=re.escape("line 1: passphrase.cost must be at most 18")):
        loader.parse("passphrase.cost = 19")


@pytest.mark.parametrize("key", STRINGS)
def test_a_string_is_taken(key: Key) -> None:
    assert value(loader.parse(as_toml(key, '"/some/where"')), key) == "/some/where"


@pytest.mark.parametrize("key", NUMBERS)
@pytest.mark.parametrize("written", ['"12"', "true", "false", "[12]", "[]"])
def test_a_number_of_another_type_is_refused_with_its_line(key: Key, written: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        loader.parse(as_toml(key, written))
    assert str(caught.value) == f"gateway.toml, line 3: {key.name} must be a whole number"


@pytest.mark.parametrize("key", STRINGS)
@pytest.mark.parametrize("written", ["12", "true", '["/dev/log"]', "[]"])
def test_a_string_of_another_type_is_refused_with_its_line(key: Key, written: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        loader.parse(as_toml(key, written))
    assert str(caught.value) == f"gateway.toml, line 3: {key.name} must be a string"


@pytest.mark.parametrize("key", CHOICES)
def test_a_choice_is_one_of_its_words(key: Key) -> None:
    for word in key.choices:
        assert value(loader.parse(as_toml(key, f'"{word}"')), key) == word
    with pytest.raises(Misconfigured) as caught:
        loader.parse(as_toml(key, '"other"'))
    said = f"gateway.toml, line 3: {key.name} must be {' or '.join(key.choices)}"
    assert str(caught.value).startswith(f"{said}, or a list" if key.or_targets else said)


@pytest.mark.parametrize("key", LISTS)
@pytest.mark.parametrize(
    ("written", "said"),
    [
        pytest.param('"make"', "must be a list of strings", id="a string"),
        pytest.param("7", "must be a list of strings", id="a number"),
        pytest.param("[7]", "must be a list of strings", id="numbers"),
        pytest.param('["", "/opt/x"]', "has an empty item", id="an empty item"),
        pytest.param('["a\\u0000", "/opt/x"]', "has an empty item", id="a NUL"),
    ],
)
def test_a_list_that_is_none_is_refused_with_its_line(key: Key, written: str, said: str) -> None:
    items = ITEMS.get(key.name, ("/opt/x", "/opt/y"))
    assert value(loader.parse(as_toml(key, '["{}", "{}"]'.format(*items))), key) == items
    assert value(loader.parse(as_toml(key, "[]")), key) == ()
    with pytest.raises(Misconfigured) as caught:
        loader.parse(as_toml(key, written))
    assert str(caught.value) == f"gateway.toml, line 3: {key.name} {said}"


def test_who_may_create_projects_is_a_principal_or_everybody() -> None:
    fingerprint = "SHA256:" + "a" * 43
    allowed = ("*", "dev1", fingerprint)
    assert loader.parse(f'projects.create = ["*", "dev1", "{fingerprint}"]').projects_create == allowed
    for wrong in ("dev 1", "-dev", "SHA256:short", "**"):
        with pytest.raises(Misconfigured, match=r"line 2: projects\.create must be principals, fingerprints or"):
            loader.parse(f'[projects]\ncreate = ["dev1", "{wrong}"]')


DEFAULT = loader.parse("").paths_audit


@pytest.mark.parametrize(
    ("text", "place"),
    [
        pytest.param("", DEFAULT, id="nothing"),
        pytest.param("[paths]\naudit = '/a/log'\n[idle]\nview = soon\n", "/a/log", id="wrong behind it"),
        pytest.param("= x\n[paths]\naudit = '/a/log'\n", "/a/log", id="wrong before it"),
        pytest.param("[paths]\n= x\naudit = '/a/log'\n", DEFAULT, id="wrong before it in its table"),
        pytest.param(
            "[paths]\naudit = '/a/log'\n[idle]\n[idle]\n[paths]\naudit = '/b/log'\n", "/a/log", id="tables twice"
        ),
        pytest.param("= x\n" * 16000 + "[paths]\naudit = '/a/log'\n", "/a/log", id="many errors"),
        pytest.param("[paths]\naudit = 'a/log'\nx = 1\n", DEFAULT, id="not absolute"),
        pytest.param("[paths]\naudit = '/a/log'\nunknown = 1\n", "/a/log", id="an unknown key"),
    ],
)
def test_a_broken_configuration_still_tells_where_the_audit_is(text: str, place: str) -> None:
    assert loader.salvage(text).paths_audit == place


def test_what_is_sound_in_a_broken_configuration_counts_and_the_rest_is_at_its_default() -> None:
    text = "[idle]\nview = 77\nsession = soon\n[lock]\ngrace = -1\n[run]\nnetwork = 'nat'\nnothing = 1\n"
    found = loader.salvage(text)
    assert (found.idle_view, found.idle_session, found.lock_grace, found.run_network) == (77, 600, 2, "nat")


@pytest.mark.parametrize(
    ("text", "lost", "unnamed"),
    [
        pytest.param("[paths]\nrun = '/a'\n= x\n", (), 5, id="it is sound"),
        pytest.param("[paths]\n= x\nrun = '/a'\n", ("paths.run",), 6, id="behind a line that cannot be read"),
        pytest.param("[paths\nrun = '/a'\n", ("paths.run",), 6, id="in a table that cannot be read"),
        pytest.param("[paths]\nrun = /a\n", ("paths.run",), 6, id="it cannot be read itself"),
        pytest.param("[paths]\nrun = 'a'\n", ("paths.run",), 6, id="it is no path"),
        pytest.param("= x\npaths.run = '/a'\n", ("paths.run",), 6, id="with its whole name"),
        pytest.param("[idle]\nview = soon\n", (), 6, id="the file has none"),
        pytest.param("[idle]\nrun = 5\nview = soon\n# pause = 1\n", (), 6, id="the name of something else"),
        pytest.param("", (), 6, id="nothing"),
    ],
)
def test_a_place_that_a_wrong_file_names_and_does_not_tell_is_known_as_lost(
    tmp_path: Path, text: str, lost: tuple[str, ...], unnamed: int
) -> None:
    (tmp_path / "gateway.toml").write_text(text)
    path = str(tmp_path / "gateway.toml")
    assert loader.lost_places(path) == lost
    assert len(loader.lost_places(path, must_name=True)) == unnamed
    assert len(loader.lost_places(f"{path}.none", must_name=True)) == 6


@pytest.mark.parametrize("path", ["opt", "/", "//", "/etc", "/etc/", "/home", "/proc", "/opt/../etc", "/projects"])
def test_programs_are_not_given_the_hosts_own_directories(path: str) -> None:
    with pytest.raises(Misconfigured, match=r"line 2: run\.paths must be absolute paths, and not /, /etc, /home"):
        loader.parse(f'[run]\npaths = ["{path}"]')


@pytest.mark.parametrize("key", PATHS)
@pytest.mark.parametrize("written", ['"vaults"', '""', '"./x"', '"~/x"'])
def test_a_path_that_is_not_absolute_is_refused_with_its_line(key: Key, written: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        loader.parse(as_toml(key, written))
    assert str(caught.value) == f"gateway.toml, line 3: {key.name} must be an absolute path"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("a = 1", "line 1: unknown key a", id="no table"),
        pytest.param("[paths]\nvault = '/x'", "line 2: unknown key paths.vault", id="misspelt"),
        pytest.param("[lock]\ngrace = 1\n[lock.grace2]\nx = 1", "line 4: unknown key lock.grace2.x", id="a table more"),
        pytest.param("\nlock = 1", "line 2: unknown key lock", id="a table's name"),
        pytest.param("lock.grace = ", "line 1: expected a string", id="no value"),
        pytest.param("[lock]\n\ngrace = 1\ngrace = 2", "line 4: this key is set twice", id="twice"),
    ],
)
def test_what_is_not_a_configuration_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        loader.parse(text, "/etc/enc/gateway.toml")
    assert str(caught.value).startswith(f"/etc/enc/gateway.toml, {said}")
    assert caught.value.code == 75


@given(st.text(st.characters()))
def test_no_text_raises_anything_but_misconfigured(text: str) -> None:
    try:
        loader.parse(text)
    except Misconfigured as error:
        assert str(error).isprintable()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    with pytest.raises(Misconfigured, match=f"^{path} cannot be read: No such file or directory$"):
        loader.load(str(path))
    path.write_bytes(b"\xff")
    with pytest.raises(Misconfigured, match=f"^{path} cannot be read: not UTF-8$"):
        loader.load(str(path))
    path.write_text("[lock]\ngrace = 5\n")
    assert loader.load(str(path)).lock_grace == 5


# A host of a cluster


def host(**changes: str) -> str:
    values = {**HOST, **{f"cluster.{name}": value for name, value in changes.items()}}
    return "[cluster]\n" + "".join(f'{name.partition(".")[2]} = "{value}"\n' for name, value in values.items())


def test_the_keys_of_a_cluster_are_taken_together() -> None:
    parsed = loader.parse(host(address="[2001:db8::1]:2222"))
    assert (parsed.cluster_directory, parsed.cluster_host) == ("/mnt/ceph/enc", "gw1")
    assert parsed.cluster_address == "[2001:db8::1]:2222"
    assert loader.parse(host(directory="", host="", address="")) == loader.parse("")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"directory": "mnt/ceph"}, ", line 2: cluster.directory must be an absolute path", id="relative"),
        pytest.param({"host": "GW 1"}, ", line 3: cluster.host must be a name: a-z, 0-9 and '-'", id="no name"),
        pytest.param({"address": "gw1"}, ', line 4: cluster.address needs a port, as in "gw1.e', id="no port"),
        pytest.param({"address": "gw1:0"}, ", line 4: cluster.address needs a port from 1 to 65535", id="port 0"),
        pytest.param({"address": "*.example.org:22"}, ", line 4: cluster.address must be the name", id="many hosts"),
        pytest.param(
            {"host": ""}, ": cluster.directory is set, but not cluster.host; set all three, or none", id="no host"
        ),
        pytest.param(
            {"directory": "", "address": ""},
            ": cluster.host is set, but not cluster.directory and cluster.address; set all three, or none",
            id="a host alone",
        ),
    ],
)
def test_what_is_no_host_of_a_cluster_is_refused(changes: dict[str, str], said: str, tmp_path: Path) -> None:
    text = host(**changes)
    with pytest.raises(Misconfigured) as caught:
        loader.parse(text)
    assert str(caught.value).startswith(f"gateway.toml{said}")
    found = loader.salvage(text)
    assert {found.cluster_directory, found.cluster_host, found.cluster_address} == {""}, "all or nothing"
    path = tmp_path / "gateway.toml"
    path.write_text(text)
    assert loader.lost_places(str(path)), "`key` would edit the copy of a host that counts as alone"


def test_a_host_of_a_cluster_stays_one_while_another_line_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(f'{host()}[idle]\nview = "x"\n')
    found, error = loader.load_usable(str(path))
    assert error and found.cluster_host == "gw1" and not loader.lost_places(str(path))


# `enc-gateway embedded DIR --set KEY=VALUE`


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.at(tmp_path, pwd.getpwuid(os.geteuid()))


def test_an_embedded_gateway_keeps_everything_in_its_directory(layout: Layout, tmp_path: Path) -> None:
    parsed = loader.parse(config_text(layout, {}))
    assert parsed.paths_vaults == f"{tmp_path}/vaults"
    assert parsed.paths_run == f"{tmp_path}/run"
    assert parsed.paths_audit == f"{tmp_path}/audit/audit.jsonl"
    assert parsed.paths_authorized_keys == f"{tmp_path}/authorized_keys"
    others = [key for key in KEYS if not key.name.startswith("paths.")]
    assert [value(parsed, key) for key in others] == [key.default for key in others]


def test_hosts_of_a_cluster_share_keys_vaults_and_the_pause_but_no_sessions_and_no_log(tmp_path: Path) -> None:
    here = Layout.at(tmp_path, pwd.getpwuid(os.geteuid()), HOST)
    parsed = loader.parse(config_text(here, HOST))
    shared = HOST["cluster.directory"]
    assert str(here.master) == f"{shared}/authorized_keys" == places.keys(parsed)
    assert parsed.paths_authorized_keys == f"{tmp_path}/keys/authorized_keys"
    assert (parsed.paths_vaults, parsed.paths_pause) == (f"{shared}/vaults", f"{shared}/paused")
    assert parsed.paths_enrolments == f"{shared}/enrolments"
    assert (parsed.paths_run, parsed.paths_audit) == (f"{tmp_path}/run", f"{tmp_path}/audit/audit.jsonl")


@pytest.mark.parametrize("key", EVERY_KEY)
def test_every_key_can_be_set(layout: Layout, key: Key) -> None:
    text = key.choices[-1] if key.choices else str(key.maximum or 77) if isinstance(key.default, int) else '/a "b"/\\c'
    wanted: object = int(text) if text.isdecimal() else text
    if isinstance(key.default, tuple):
        wanted = ITEMS.get(key.name, (text, "/d"))
        text = ",".join(ITEMS.get(key.name, (text, "/d")))
    given = {key.name: text} if key.name not in HOST else HOST
    assert value(loader.parse(config_text(layout, given)), key) == HOST.get(key.name, wanted)


@pytest.mark.parametrize("key", NUMBERS)
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("two", id="a word"),
        pytest.param("-1", id="negative"),
        pytest.param("1.5", id="a fraction"),
        pytest.param("\u00b2", id="a superscript"),
        pytest.param("9" * 19, id="beyond 64 bits"),
        pytest.param("9" * 5000, id="beyond what int takes"),
    ],
)
def test_a_number_that_is_none_cannot_be_set(layout: Layout, key: Key, text: str) -> None:
    with pytest.raises(Usage) as caught:
        config_text(layout, {key.name: text})
    assert key.name in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        pytest.param("paths.vault", "/x", "has no key", id="unknown key"),
        pytest.param("paths", "/x", "has no key", id="a table"),
        pytest.param("paths.run", "run", "paths.run must be an absolute path", id="relative path"),
        pytest.param("passphrase.minimum", "0", "passphrase.minimum must be at least 1", id="below the least"),
        pytest.param("audit.syslog", "\udcff", "audit.syslog", id="not UTF-8"),
    ],
)
def test_what_a_file_would_not_take_cannot_be_set(layout: Layout, name: str, text: str, said: str) -> None:
    with pytest.raises(Usage, match=said):
        config_text(layout, {name: text})


def test_a_dotted_key_in_the_wrong_table_is_told_where_it_belongs() -> None:
    with pytest.raises(Misconfigured, match=r"unknown key idle.projects.create; write `create = .*`\[projects\]`"):
        loader.parse("[idle]\nprojects.create = []\n")
    with pytest.raises(Misconfigured, match=r"line 1: write `view = \.\.\.` below `\[idle\]`"):
        loader.parse("idle.view = 60\n[idle]\nsession = 60\n")
