"""Checks of what the node relies on: clock, certificates, security module, witness, stores."""

from collections.abc import Iterator
from datetime import UTC, datetime

from cryptography import x509

from keystead.core.errors import KeysteadError
from keystead.core.records import KIND_AUTHORITY, KIND_CERTIFICATE, KIND_REVOCATION_LIST
from keystead.gate.objects import Objects
from keystead.node.doctor.findings import DAY_S, Examined, Finding, Severity
from keystead.node.opening import open_module
from keystead.node.trusting import trusted_names
from keystead.node.witness import Witness
from keystead.operations.authorities import parsed
from keystead.protocols.local.wire import plain
from keystead.trust.root import Role

_SET_CLOCK = "Set the clock (`timedatectl`) and keep it right with NTP; dates of keys do not go back with it."
_RENEW = {
    "CA": "Plan a new node or CA now: every client needs a new certificate from it.",
    "server": "It cannot be renewed yet: make a new node with `keystead init` and move the clients, or ask for help.",
}
_ENDS_BLOCKING = {
    Role.CRYPTO_USER: "The security officer can unblock it; there is no command for that yet.",
    Role.SECURITY_OFFICER: "Only resetting the module and setting its partition up again ends it.",
}


def clock(node: Examined) -> Iterator[Finding]:
    """Dates of keys and of certificates are judged by the clock."""
    if node.parts is not None:
        newest_s = max(store.anchor().at_us for store in (node.parts.shared, node.parts.own)) / 1e6
        behind_s = newest_s - node.now_s
        if behind_s > node.thresholds.clock_behind_s:
            what = f"The clock is {behind_s:.0f} s behind the newest change: it was set back."
            yield Finding(Severity.ERROR, "clock", what, _SET_CLOCK)
    for name, pem in node.certificates().items():
        certificate = x509.load_pem_x509_certificate(pem.encode())
        if node.now_s < certificate.not_valid_before_utc.timestamp():
            what = f"By the clock it is {_day(node.now_s)}, before the {name} certificate was made."
            yield Finding(Severity.ERROR, "clock", what, _SET_CLOCK)


def certificates(node: Examined) -> Iterator[Finding]:
    """An expired certificate ends every connection."""
    for name, pem in node.certificates().items():
        ends_s = x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc.timestamp()
        if ends_s < node.now_s:
            what = f"The {name} certificate expired on {_day(ends_s)}; clients refuse it."
            yield Finding(Severity.ERROR, "certificates", what, _RENEW[name])
        elif ends_s - node.now_s < node.thresholds.expiry_days * DAY_S:
            days = int((ends_s - node.now_s) / DAY_S)
            what = f"The {name} certificate expires in {days} days, on {_day(ends_s)}."
            yield Finding(Severity.WARNING, "certificates", what, _RENEW[name])


def client_certificates(node: Examined) -> Iterator[Finding]:
    """A client whose certificate expires is shut out; one that has a newer certificate already is not told of."""
    if node.parts is None:
        return
    last_s: dict[str, float] = {}
    objects = Objects(node.parts.shared.reader())
    try:
        for record in objects.records(KIND_CERTIFICATE):
            if record.fields["revoked"] is None:
                user = str(record.fields["user"])
                last_s[user] = max(last_s.get(user, 0.0), float(record.fields["not_after_s"]))
    finally:
        objects.reader.close()
    for user, ends_s in sorted(last_s.items()):
        if ends_s - node.now_s < node.thresholds.expiry_days * DAY_S:
            ended = ends_s < node.now_s
            what = f"The last client certificate of {user} {'expired' if ended else 'expires'} on {_day(ends_s)}."
            advice = f"Issue a new one with `keystead client-certificate {user}`, or delete the user."
            yield Finding(Severity.WARNING, "client_certificates", what, advice)


def trusted_authorities(node: Examined) -> Iterator[Finding]:
    """Clients get in by the CAs of the profile in use; those of other people end, and their lists fall due."""
    if node.parts is None:
        return
    objects = Objects(node.parts.shared.reader())
    try:
        known = {record.handle: record for record in objects.records(KIND_AUTHORITY)}
        lists = list(objects.records(KIND_REVOCATION_LIST))
        names = [name for name in trusted_names(objects) if name in known]
    finally:
        objects.reader.close()
    if not names:
        what = "No client can connect: the trust profile of the key server is empty."
        yield Finding(Severity.ERROR, "trusted_authorities", what, "Put a CA into it with `keystead ca-profile add`.")
    for name, certificate in parsed(known[name] for name in names if known[name].material is None).items():
        ends_s = certificate.not_valid_after_utc.timestamp()
        if ends_s - node.now_s < node.thresholds.expiry_days * DAY_S:
            what = (
                f"The certificate of the CA {name} {'expired' if ends_s < node.now_s else 'expires'} on {_day(ends_s)}."
            )
            advice = f"Ask for the renewed one and install it with `keystead ca install {name}`."
            yield Finding(Severity.WARNING, "trusted_authorities", what, advice)
    for held in lists:
        due_s = held.fields["next_update_s"]
        if due_s is not None and due_s < node.now_s:
            what = f"The revocation list of the CA {held.handle} was to be renewed on {_day(due_s)}; it stays in force."
            advice = (
                "Fetch the new one and install it with `keystead ca install-crl`; what was revoked since is unknown."
            )
            yield Finding(Severity.WARNING, "trusted_authorities", what, advice)


def module(node: Examined) -> Iterator[Finding]:
    """A role whose attempts are used up is blocked; what ends that depends on the role."""
    status = node.module
    if status is None and node.parts is not None:
        status = plain(open_module(node.parts).status())
    if status is None:
        return
    if not status["initialised"]:
        yield Finding(
            Severity.ERROR, "module", "The security module has no partition.", "Restore module.state from a backup."
        )
    for role, left in status["attempts_left"].items():
        few = 1 if role == Role.SECURITY_OFFICER else node.thresholds.attempts_left
        if left == 0:
            what = f"The {role} is blocked: too many wrong logins."
            yield Finding(Severity.ERROR, "module", what, f"Find out who tried. {_ENDS_BLOCKING[Role(role)]}")
        elif left <= few:
            what = f"The {role} has {left} login attempts left."
            advice = "Find out who tried; the next right login gives all attempts back."
            yield Finding(Severity.WARNING, "module", what, advice)


def witness(node: Examined) -> Iterator[Finding]:
    """Only the witness, outside the data folder, can tell that a whole folder was put back to an earlier day."""
    if node.parts is None or node.config.dev:
        return
    path = node.config.witness
    try:
        held = Witness(node.parts)
        if not held.read():
            yield Finding(
                Severity.WARNING,
                "witness",
                f"There is no witness at {path}: a folder put back to an earlier day goes unnoticed.",
                "Serve the node: it writes one about once a second, if its account may write beside the node key.",
            )
        held.compare()
    except KeysteadError as error:
        advice = "If you restored a backup on purpose: `keystead serve --accept-rollback`. Otherwise find out who did."
        yield Finding(Severity.ERROR, "witness", f"The witness contradicts the stores: {error.message}.", advice)


def _day(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d")
