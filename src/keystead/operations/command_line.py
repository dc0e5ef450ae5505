"""What the command line over SSH needs of its own: its host key as people compare it, and its errors in the audit log.

Source: requirements KS-CLI-014; KS-RAS-011; RFC 4253 section 6.6; chapter Remote administration.
"""

from dataclasses import dataclass

from keystead.core.changes import Change
from keystead.core.errors import NotFound
from keystead.core.permission import Access
from keystead.gate.call import Call
from keystead.gate.operation import operation

SSH_HOST_KEY = "ssh_host_key"
"""Service of the gate: the host key as others see it, None without the door."""
NOTED_CHARACTERS_MAX = 256


@dataclass(frozen=True, slots=True)
class ShowSsh:
    """Show the host key of the SSH door, to compare it at the first connection."""


@dataclass(frozen=True, slots=True)
class SshHostKey:
    """The host key as clients see it.

    Attributes:
        fingerprint: SHA-256, as SSH clients show it.
        public_key: As a line of a known_hosts file has it, without a name.
    """

    fingerprint: str
    public_key: str


@dataclass(frozen=True, slots=True)
class NoteCommandError:
    """Write down that a command failed; what was typed is not written, as it may be a password at the wrong prompt.

    Attributes:
        command: Words of the command, "" when the line was none.
        reason: Code of the error.
        message: What the asker was told, "" when it quotes the line.
    """

    command: str
    reason: str
    message: str = ""


@operation(ShowSsh, "ssh.show", "SshShow", administrator=Access.ANY, route="GET /ssh/host-key")
def show_ssh(call: Call, _request: ShowSsh) -> SshHostKey:
    """Return the host key."""
    held: SshHostKey | None = call.desk.services.get(SSH_HOST_KEY)
    if held is None:
        raise NotFound("there is no host key: SSH is not enabled; set ssh.enabled with the node stopped, then start it")
    return held


@operation(NoteCommandError, "command.fail", "CommandFail", administrator=Access.OWN, route=None)
def note_command_error(_call: Call, request: NoteCommandError) -> Change:
    """Write it down."""
    what = f"command {request.command}" if request.command else "a line that is no command"
    told = f": {request.message}" if request.message else ""
    return Change((), None, detail=f"{what}: {request.reason}{told}"[:NOTED_CHARACTERS_MAX], outcome="refused")
