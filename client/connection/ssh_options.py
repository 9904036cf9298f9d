"""The options of our own ssh: what no ssh_config and no environment may change, and how a path is written for ssh.

ssh takes the first value of an option, and the command line comes before any file, with its `Include`, `Host` and
`Match` blocks. What the config is needed for stays the user's: host, port, account, keys, jump hosts and proxies, the
agent, ciphers, known_hosts, timeouts of a proxy. Only values that add up (IdentityFile, SendEnv, forwardings) cannot be
set aside this way; forwardings are cleared, and the gateway ignores what is sent.
"""

from __future__ import annotations

from client.errors import Misconfigured

_AS_A_REQUEST = {
    "SessionType": "default",  # `none` runs nothing and waits for ever, `subsystem` asks for another thing
    "StdinNull": "no",
    "ForkAfterAuthentication": "no",  # where enc wants it, it says -f
    "RequestTTY": "no",  # where enc wants one, it says -t
    "RemoteCommand": "none",
    "EscapeChar": "~",  # only with a terminal
    "LocalCommand": "none",
    "PermitLocalCommand": "no",
}
_ON_A_CONNECTION_OF_ITS_OWN = {
    "ControlMaster": "no",
    "ControlPath": "none",  # another connection may be another key's: the project would be another person's
    "ControlPersist": "no",
}
_WITH_A_CHECKED_HOST = {
    "StrictHostKeyChecking": "yes",
    "NoHostAuthenticationForLocalhost": "no",
    "UpdateHostKeys": "no",
}
_WITH_A_KEY = {
    "PubkeyAuthentication": "yes",
    "PreferredAuthentications": "publickey,keyboard-interactive,password",  # the latter where a host wants both
    "PubkeyAcceptedAlgorithms": "ssh-ed25519,sk-ssh-ed25519@openssh.com",  # the gateway's: others use up its patience
}
_FORWARDING_NOTHING = {
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "ClearAllForwardings": "yes",
    "GSSAPIDelegateCredentials": "no",
    "Tunnel": "no",
}
_SAYING_ONLY_ERRORS = {
    "LogLevel": "ERROR",
    "LogVerbose": "none",
    "VisualHostKey": "no",
}
FIXED = {
    **_AS_A_REQUEST,
    **_ON_A_CONNECTION_OF_ITS_OWN,
    **_WITH_A_CHECKED_HOST,
    **_WITH_A_KEY,
    **_FORWARDING_NOTHING,
    **_SAYING_ONLY_ERRORS,
    "ConnectTimeout": "10",
}
"""For a new connection, which reads the user's ssh_config."""
SHARED = {"ControlMaster": "no", "ProxyCommand": "false", "BatchMode": "yes", "LogLevel": "ERROR"}
"""For the existing connection: with `-F none`, so there is nothing else to set aside."""


def words(values: dict[str, str]) -> list[str]:
    """The options as words of a command line."""
    return [word for key, value in values.items() for word in ("-o", f"{key}={value}")]


def escaped(path: str) -> str:
    """A path for a word in which ssh expands % and ${}, as after -S. Raises Misconfigured for one that it would change.

    ssh has no way to write `${`, nor a control character in a path.
    """
    if "${" in path or any(char < " " for char in path):
        raise Misconfigured(f"ssh cannot use the path {path!r}", "use one without ${ and control characters")
    return path.replace("%", "%%")


def quoted(path: str) -> str:
    """A path for an option (-o), whose value ssh splits into words, and in which it expands % and ${}."""
    text = escaped(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
