"""The `keystead` command: argument parsing only."""

import argparse
import logging
import sys
import time
from collections.abc import Sequence

import keystead
from keystead.core.errors import KeysteadError

EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
REVOCATION_REASONS = (
    *("unspecified", "key-compromise", "affiliation-changed", "superseded"),
    *("cessation-of-operation", "privilege-withdrawn"),
)  # operations.certificates.Reason, which every command would have to import
WALKING = ("production:verify", "audit:audit_export", "audit:audit_verify")  # everything there is, for a long time


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="keystead", description="An open key manager.")
    parser.add_argument("--version", action="version", version=f"keystead {keystead.__version__}")
    verbs = parser.add_subparsers(dest="verb_group", required=True, metavar="COMMAND")
    _production(verbs)
    _dev(verbs)
    _hsm(verbs)
    _drives(verbs)
    _ssh(verbs)
    _people(verbs)
    _policies(verbs)
    _administrators(verbs)
    _approvals(verbs)
    _authorities(verbs)
    _keys(verbs)
    _settings(verbs)
    _ip_authorization(verbs)
    _key_use(verbs)
    _audit(verbs)
    return parser


def _verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, text: str, run: str
) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=text, description=text)
    verb.set_defaults(run=run)
    return verb


def _data(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--data", required=True, metavar="DIR", help="data folder of the node")


def _production(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    init = _verb(verbs, "init", "make a production node", "production:init")
    _data(init)
    init.add_argument("--node-key", required=True, metavar="FILE", help="node key, outside the data folder")
    init.add_argument("--tokens", required=True, metavar="DIR", help="folder for the role tokens, outside as well")
    init.add_argument("--answers", metavar="FILE", help="PINs as lines `role = PIN` (- for standard input)")
    init.add_argument("--name", action="append", metavar="HOST", help="DNS name or address of the server (repeat)")
    init.add_argument("--address", default="0.0.0.0", help="address of the KMIP server")  # noqa: S104  # KS-KMIP-003
    init.add_argument("--port", type=int, default=5696, help="port of the KMIP server")
    init.add_argument("--store", metavar="URL", help="PostgreSQL database for the shared store; no password in it")
    init.add_argument("--health-port", type=int, metavar="PORT", help="answer health checks on this loopback port")
    init.add_argument("--pkcs11", metavar="LIBRARY", help="keep the master key in a PKCS#11 token")
    init.add_argument("--token-label", default="keystead", metavar="LABEL", help="label of the PKCS#11 token")
    init.add_argument("--token-slot", type=int, default=-1, metavar="N", help="slot of the blank token; else the first")
    init.add_argument("--token-maker-pin", action="store_true", help="ask for the PIN that the token's maker set")
    init.add_argument("--metrics-port", type=int, metavar="PORT", help="show metrics on this loopback port")
    for role in ("security-officer", "domain", "crypto-user"):
        init.add_argument(f"--{role}", metavar="M/N", help=f"split the {role} role M of N")
    serve = _verb(verbs, "serve", "serve a production node in the foreground", "production:serve")
    _data(serve)
    serve.add_argument("--credentials", metavar="DIR", help="service manager's credentials: crypto-user.token, .pin")
    serve.add_argument("--accept-rollback", action="store_true", help="accept stores older than the witness has seen")
    _data(_verb(verbs, "verify", "check every row of the stores", "production:verify"))
    doctor = _verb(verbs, "doctor", "say what is wrong with a node and what to do", "doctor:doctor")
    _data(doctor)
    doctor.add_argument("--json", action="store_true", help="for programs")
    doctor.add_argument("--days", type=int, default=30, help="warn so many days before certificates expire")
    _verb(verbs, "selftest", "run the known-answer self-tests", "production:selftest")


def _dev(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    dev = _verb(verbs, "dev", "a throw-away node, INSECURE", "dev:dev")
    _data(dev)
    dev.add_argument("--ready-file", required=True, metavar="FILE", help="written once every service answers")
    dev.add_argument("--store", metavar="URL", help="PostgreSQL database for the shared store")
    dev.add_argument("--set", action="append", metavar="SECTION.FIELD=VALUE", help="a setting of the new node (repeat)")


def _hsm(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    hsm = verbs.add_parser("hsm", help="the security module").add_subparsers(dest="verb", required=True)
    _data(_verb(hsm, "status", "show the state of the module", "local:hsm_status"))
    login = _verb(hsm, "login", "log a role in with its tokens", "local:hsm_login")
    login.add_argument("role", choices=("crypto-user", "security-officer"))
    login.add_argument("--token", action="append", required=True, metavar="FILE", help="role token (repeat for M of N)")
    login.epilog = "PINs enter by a program: who administers this machine could observe them."
    login.add_argument("--answers", metavar="FILE", help="PINs as lines `role = PIN` (- for standard input)")
    _data(login)
    logout = _verb(hsm, "logout", "log a role out", "local:hsm_logout")
    logout.add_argument("role", choices=("crypto-user", "security-officer"))
    _data(logout)
    switches = {
        "activate": "use the partition again, within the activation window",
        "deactivate": "stop using the partition, which locks the node",
        "enable-key-cache": "hold key-encryption keys between requests; the same algorithms stay allowed",
        "disable-key-cache": "hold no key-encryption key between requests",
    }
    for name, text in switches.items():
        _data(_verb(hsm, name, text, "local:hsm_switch"))


def _drives(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    drives = verbs.add_parser("drives", help="drives for backups of HSM keys")
    of = drives.add_subparsers(dest="verb", required=True)
    add = _verb(of, "register", "give a mounted drive an identity", "drives:drives_register")
    check = _verb(of, "challenge", "have a mounted drive prove itself", "drives:drives_challenge")
    for verb in (add, check):
        verb.add_argument("place", metavar="FOLDER", help="where it is mounted, below key_backups.folder")
        _data(verb)
    add.add_argument("name", help="what the drive is called, as on its label")
    _data(_verb(of, "list", "list registered drives", "drives:drives_list"))
    _data(_verb(of, "status", "show the last backup or restore, and what is due", "drives:drives_status"))
    origin = _verb(of, "origin", "write the public key by which sets are signed", "drives:drives_origin")
    origin.add_argument("--out", required=True, metavar="FILE", help="made")
    _data(origin)
    backup = _verb(verbs, "hsm-backup", "back up keys of tokens to a set of drives", "drives:hsm_backup")
    restore = _verb(verbs, "hsm-restore", "bring keys of tokens back from drives", "drives:hsm_restore")
    restore.add_argument("--set", metavar="ID", help="an older set instead of the newest")
    backup.add_argument("--partition", action="append", required=True, metavar="LABEL", help="token (repeat)")
    restore.add_argument(
        "--partition",
        action="append",
        required=True,
        metavar="LABEL[=TOKEN]",
        help="what comes back, and where (repeat)",
    )
    for verb in (backup, restore):
        verb.add_argument("--drive", action="append", required=True, metavar="FOLDER", help="mounted drive (repeat)")
        verb.add_argument("--officer", required=True, metavar="NAME", help="who the security officer is")
        verb.add_argument(
            "--answers", metavar="FILE", help="PINs as lines `officer LABEL = PIN` (- for standard input)"
        )
        _data(verb)


def _ssh(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    ssh = verbs.add_parser("ssh", help="the command line over SSH").add_subparsers(dest="verb", required=True)
    _data(_verb(ssh, "fingerprint", "print the fingerprint of the host key", "local:ssh_fingerprint"))


def _people(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    user = verbs.add_parser("user", help="key users").add_subparsers(dest="verb", required=True)
    create = _named(user, "create", "create a key user", "people:user_create")
    create.add_argument("--group", action="append", metavar="NAME", help="member of this group (repeat)")
    _data(_verb(user, "list", "list key users", "people:user_list"))
    _named(user, "show", "show a key user", "people:user_show")
    _named(user, "disable", "shut a user out, at once", "people:user_switch")
    _named(user, "enable", "let a user in again", "people:user_switch")
    password = _named(user, "set-password", "set a user's password, typed twice", "people:user_set_password")
    how = password.add_mutually_exclusive_group()
    how.add_argument("--stdin", action="store_true", help="one line of standard input instead")
    how.add_argument("--none", action="store_true", help="take the password away")
    delete = _named(user, "delete", "delete a user, with certificates and grants", "people:user_delete")
    delete.add_argument("--keys-to", metavar="USER", help="who gets the keys of the user")
    group = verbs.add_parser("group", help="groups of key users").add_subparsers(dest="verb", required=True)
    _named(group, "create", "create a group", "people:group_create")
    _data(_verb(group, "list", "list groups", "people:group_list"))
    _named(group, "show", "show who is in a group", "people:group_show")
    _named(group, "add", "put a user into a group", "people:group_member").add_argument("user")
    _named(group, "remove", "take a user out of a group", "people:group_member").add_argument("user")
    _named(group, "delete", "delete a group and what it was granted", "people:group_delete")
    _certificates(verbs)


def _administrators(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    people = verbs.add_parser("administrator", help="administrators").add_subparsers(dest="verb", required=True)
    _data(_verb(people, "list", "list administrators", "administrators:administrator_list"))
    _named(people, "show", "show an administrator", "administrators:administrator_show")
    create = _named(people, "create", "create an administrator", "administrators:administrator_create")
    change = _named(people, "change", "change what an administrator may", "administrators:administrator_change")
    for verb in (create, change):
        verb.add_argument("--full-name", metavar="TEXT", help="of the person")
        verb.add_argument("--description", metavar="TEXT")
        verb.add_argument("--access", action="append", metavar="NAME", help="access control, or all, or none (repeat)")
    switch = change.add_mutually_exclusive_group()
    switch.add_argument("--disable", action="store_true", help="nobody can log in")
    switch.add_argument("--enable", action="store_true")
    password = _named(people, "set-password", "set a password", "administrators:administrator_set_password")
    own = _named(people, "change-password", "set one's own password", "administrators:administrator_change_password")
    own.add_argument("--stdin", action="store_true", help="current and new password: two lines of standard input")
    for verb in (create, password):
        verb.add_argument("--stdin", action="store_true", help="password: one line of standard input")
    delete = _named(people, "delete", "delete an administrator", "administrators:administrator_delete")
    delete.add_argument("--confirm", metavar="NAME", help="the name again; else it is asked for")


def _approvals(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    approval = verbs.add_parser("approval", help="requests that wait for others").add_subparsers(
        dest="verb", required=True
    )
    _data(_verb(approval, "list", "list requests that wait or were decided lately", "approvals:approval_list"))
    show = _verb(approval, "show", "show a request and its hash", "approvals:approval_show")
    approve = _verb(approval, "approve", "stand behind exactly this request", "approvals:approval_approve")
    refuse = _verb(approval, "refuse", "refuse a request for good", "approvals:approval_refuse")
    withdraw = _verb(approval, "withdraw", "take back what was asked here", "approvals:approval_withdraw")
    for verb in (show, approve, refuse, withdraw):
        verb.add_argument("id")
        _data(verb)
    approve.add_argument("hash", help="SHA-256, as `keystead approval show` prints it")
    refuse.add_argument("--reason", required=True, metavar="TEXT")
    credential = verbs.add_parser("credential", help="approvals in advance").add_subparsers(dest="verb", required=True)
    grant = _verb(credential, "grant", "approve what another asks, for some hours", "approvals:credential_grant")
    grant.add_argument("to", metavar="NAME")
    grant.add_argument("--hours", type=int, required=True)
    grant.add_argument(
        "--operation", action="append", required=True, metavar="KIND", help="such as change_users (repeat)"
    )
    listing = _verb(credential, "list", "list grants given and received", "approvals:credential_list")
    revoke = _verb(credential, "revoke", "end a grant", "approvals:credential_revoke")
    revoke.add_argument("id")
    for verb in (grant, listing, revoke):
        _data(verb)
    for verb in (approve, refuse, grant, listing, revoke):
        verb.add_argument("--as", dest="administrator", required=True, metavar="NAME", help="administrator who acts")
        verb.add_argument("--stdin", action="store_true", help="password: one line of standard input")


def _certificates(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    held = verbs.add_parser("certificate", help="client certificates").add_subparsers(dest="verb", required=True)
    listing = _verb(held, "list", "list client certificates", "people:certificate_list")
    listing.add_argument("--user", metavar="NAME", help="of this user only")
    _data(listing)
    show = _verb(held, "show", "print a client certificate", "people:certificate_show")
    show.add_argument("serial")
    _data(show)
    revoke = _verb(held, "revoke", "refuse a client certificate from the next message on", "people:certificate_revoke")
    which = revoke.add_mutually_exclusive_group(required=True)
    which.add_argument("serial", nargs="?")
    which.add_argument("--file", metavar="PEM", help="the certificate itself")
    revoke.add_argument("--reason", choices=REVOCATION_REASONS, default=REVOCATION_REASONS[0])
    _data(revoke)
    certificate = _verb(verbs, "client-certificate", "certify a user's client", "local:client_certificate")
    certificate.add_argument("user")
    certificate.add_argument("--out", required=True, metavar="NAME", help="writes NAME.pem and NAME.key")
    certificate.add_argument("--ca", metavar="FILE", help="also write the CA certificate")
    certificate.add_argument("--request", metavar="FILE", help="PKCS#10 request in PEM; no key is made then")
    certificate.add_argument("--days", type=int, default=365, help="validity")
    certificate.add_argument("--address", action="append", default=[], metavar="IP", help="of the client; repeatable")
    _data(certificate)


def _authorities(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    ca = verbs.add_parser("ca", help="certificate authorities").add_subparsers(dest="verb", required=True)
    _data(_verb(ca, "list", "list the CAs that are known", "authorities:ca_list"))
    show = _verb(ca, "show", "print the certificate of a CA", "authorities:ca_show")
    show.add_argument("name", nargs="?", default="clients", help="without one, of the local CA")
    _data(show)
    install = _named(ca, "install", "make a foreign CA known, or renew its certificate", "authorities:ca_install")
    install.add_argument("--file", required=True, metavar="PEM", help="certificate of the CA")
    _named(ca, "remove", "forget a CA that no profile trusts", "authorities:ca_remove")
    revoked = _verb(ca, "install-crl", "take over what a CA has revoked", "authorities:ca_install_crl")
    revoked.add_argument("file", metavar="CRL", help="revocation list in PEM or DER")
    _data(revoked)
    profile = verbs.add_parser("ca-profile", help="which CAs are trusted").add_subparsers(dest="verb", required=True)
    _data(_verb(profile, "list", "list trust profiles with their CAs", "authorities:profile_list"))
    _named(profile, "create", "create a profile without CAs", "authorities:profile_create")
    _named(profile, "add", "let a profile trust a CA", "authorities:profile_change").add_argument("ca")
    _named(profile, "remove", "let a profile trust a CA no longer", "authorities:profile_change").add_argument("ca")
    _named(profile, "delete", "delete a profile that is not used", "authorities:profile_delete")


def _keys(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    key = verbs.add_parser("key", help="keys, whosever they are").add_subparsers(dest="verb", required=True)
    _new_keys(key)
    _kept_keys(key)
    listing = _verb(key, "list", "list keys of a user, granted to a group, or of nobody", "keys:key_list")
    _whom(listing, required=False)
    _data(listing)
    grants = _verb(key, "grants", "show what others may do with a key", "keys:key_grants")
    grants.add_argument("id")
    _data(grants)
    for name, text in (("give", "let a group or a user do more with a key"), ("take", "let them do less")):
        change = _verb(key, name, text, "keys:key_change")
        change.add_argument("id")
        _whom(change, required=True)
        change.add_argument("--right", action="append", required=True, metavar="RIGHT", help="such as encrypt (repeat)")
        if name == "give":
            change.add_argument("--policy", metavar="NAME", help="policy that narrows these rights of the group")
        _data(change)
        _approvable(change)
    owner = _verb(key, "owner", "give a key to another user", "keys:key_owner")
    owner.add_argument("id")
    heir = owner.add_mutually_exclusive_group(required=True)
    heir.add_argument("--to", metavar="USER")
    heir.add_argument("--nobody", action="store_true", help="every user may use it then")
    _data(owner)
    _approvable(owner)


def _policies(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    policy = verbs.add_parser("policy", help="authorization policies").add_subparsers(dest="verb", required=True)
    for name, text in (("create", "create a policy"), ("change", "change a policy; counts at once")):
        written = _named(policy, name, text, f"policies:policy_{name}")
        written.add_argument("--per-hour", type=int, metavar="N", help="operations of each user; 0 = without limit")
        written.add_argument(
            "--period", action="append", metavar="PERIOD", help="such as 'mon 09:00-mon 17:00' (repeat)"
        )
        if name == "change":
            written.add_argument("--always", action="store_true", help="take all periods away")
    _data(_verb(policy, "list", "list policies", "policies:policy_list"))
    _named(policy, "show", "show a policy and the keys it is used for", "policies:policy_show")
    _named(policy, "delete", "delete a policy that is not used", "policies:policy_delete")


def _new_keys(key: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    generate = _verb(key, "generate", "make a key or a key pair", "admin_keys:key_generate")
    generate.add_argument("--algorithm", default="AES-256", metavar="NAME", help="such as RSA-3072 or EC-P256")
    bring = _verb(key, "import", "take a key that was made elsewhere, in clear", "admin_keys:key_import")
    bring.add_argument("--file", required=True, metavar="FILE", help="PEM, or the bytes as text; - = standard input")
    bring.add_argument("--algorithm", metavar="NAME", help="as of generate; PEM says it itself")
    bring.add_argument("--encoding", choices=("base64", "hexadecimal"), default="base64", help="of a symmetric key")
    for verb in (generate, bring):
        verb.add_argument("name", nargs="?", help="without one it is made up")
        owner = verb.add_mutually_exclusive_group(required=True)
        owner.add_argument("--owner", metavar="USER")
        owner.add_argument("--nobody", action="store_true", help="every user may use it")
        verb.add_argument("--deletable", action="store_true", help="clients may delete it")
        verb.add_argument("--exportable", action="store_true", help="clients may export it")
        verb.add_argument("--versioned", action="store_true", help="it can have further versions; of symmetric keys")
        begin = verb.add_mutually_exclusive_group()
        begin.add_argument("--pre-active", action="store_true", help="until somebody activates it")
        begin.add_argument("--activation", metavar="TIME", help="from then on, UTC, as 2006-07-06T09:15:02")
        _described(verb)


def _described(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--description", metavar="TEXT")
    verb.add_argument("--attribute", action="append", default=[], metavar="NAME=VALUE", help="x-site=9 (repeat)")
    _data(verb)


def _kept_keys(key: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    _key(key, "show", "show a key, but not what is in it", "key_show")
    _key(key, "public", "print the public half of a pair", "key_public")
    _key(key, "rename", "give a key another name", "key_rename").add_argument("name")
    flags = _key(key, "flags", "say whether clients may delete and export a key", "key_flags")
    for name in ("--deletable", "--exportable"):
        flags.add_argument(name, choices=("yes", "no"))
    state = _key(key, "set-state", "move a key to another state; there is no way back", "key_set_state")
    state.add_argument("state", choices=("active", "deactivated", "compromised"))
    state.add_argument("--message", default="", metavar="TEXT", help="why")
    state.add_argument("--occurred", metavar="TIME", help="when a compromise is held to have happened, UTC")
    erase = _key(key, "erase", "erase a key, whatever its flags say; what it protects is lost", "key_erase")
    erase.add_argument("--confirm", metavar="KEY", help="the name or id again; else it is asked for")
    change = _verb(key, "change", "change dates, description and attributes", "admin_keys:key_change")
    change.add_argument("key", metavar="KEY", help="name or id")
    for name in ("activation", "process-start", "protect-stop", "deactivation"):
        change.add_argument(f"--{name}", metavar="TIME", help="UTC, as 2006-07-06T09:15:02")
    change.add_argument("--without", action="append", default=[], metavar="NAME", help="take it away (repeat)")
    _described(change)
    _find(_verb(key, "find", "find keys of any owner", "admin_keys:key_find"))
    clone = _key(key, "clone", "make another key with the same bytes", "key_clone")
    clone.add_argument("name", help="of the clone")
    clone.add_argument(
        "--versioned", action="store_true", help="the clone can have versions; these bytes are the first"
    )
    clone.add_argument("--without-grants", action="store_true", help="groups and users may do nothing with it")
    clone.add_argument("--without-attributes", action="store_true", help="without description and custom attributes")
    _versions(key)


def _versions(key: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    new = _key(key, "new-version", "make the next version of a versioned key", "version_create", "key_versions")
    new.add_argument("--file", metavar="FILE", help="bytes of a version of a key that was imported; - = standard input")
    new.add_argument("--encoding", choices=("base64", "hexadecimal"), default="base64", help="of these bytes")
    listing = _key(key, "versions", "list the versions of a key, newest first", "version_list", "key_versions")
    listing.add_argument("--limit", type=int, default=100, metavar="COUNT", help="at most so many (default: 100)")
    state = _key(key, "set-version", "say what an older version may be used for", "version_set_state", "key_versions")
    state.add_argument("version", type=int, help="its number")
    state.add_argument("state", choices=("active", "restricted", "retired"))


def _key(
    key: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, text: str, run: str, file: str = "admin_keys"
) -> argparse.ArgumentParser:
    verb = _verb(key, name, text, f"{file}:{run}")
    verb.add_argument("key", metavar="KEY", help="name or id")
    _data(verb)
    return verb


def _find(find: argparse.ArgumentParser) -> None:
    owner = find.add_mutually_exclusive_group()
    owner.add_argument("--owner", metavar="USER")
    owner.add_argument("--nobody", action="store_true", help="of nobody")
    for name, text in (
        ("group", "granted to it"),
        ("kind", "such as symmetric-key"),
        ("algorithm", "AES-256, or AES"),
        ("state", "such as active; destroyed keys are found by it only"),
        ("name", "part of a name"),
        ("attribute", "NAME=VALUE"),
        ("created-from", "TIME"),
        ("created-until", "TIME"),
        ("changed-from", "TIME"),
        ("changed-until", "TIME"),
    ):
        find.add_argument(f"--{name}", metavar="TEXT", help=text)
    find.add_argument("--order", choices=("name", "creation", "owner"), default="name")
    find.add_argument("--limit", type=int, default=100, metavar="N", help="at most so many; 100 unless given")
    _data(find)


def _whom(verb: argparse.ArgumentParser, *, required: bool) -> None:
    whom = verb.add_mutually_exclusive_group(required=required)
    whom.add_argument("--group", metavar="NAME")
    whom.add_argument("--user", metavar="NAME")


def _named(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, text: str, run: str
) -> argparse.ArgumentParser:
    verb = _verb(verbs, name, text, run)
    verb.add_argument("name")
    _data(verb)
    _approvable(verb)
    return verb


def _approvable(verb: argparse.ArgumentParser) -> None:
    text = "who approves it, where several have to: lines `name = password` (- for standard input)"
    verb.add_argument("--approvers", metavar="FILE", help=text)


def _settings(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    settings = verbs.add_parser("settings", help="show and change settings").add_subparsers(dest="verb", required=True)
    show = _verb(settings, "show", "print settings", "local:settings_show")
    show.add_argument("section", nargs="?")
    _data(show)
    change = _verb(settings, "set", "change one setting", "local:settings_set")
    change.add_argument("assignment", metavar="SECTION.FIELD=VALUE")
    _data(change)
    _approvable(change)
    preset = _verb(settings, "preset", "set what is recommended together", "local:settings_preset")
    preset.add_argument("name", choices=("recommended_authentication",))
    _data(preset)


def _ip_authorization(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    of = verbs.add_parser("ip-authorization", help="who may connect").add_subparsers(dest="verb", required=True)
    show = _verb(of, "show", "show who may connect to what", "ip_authorization:ip_show")
    change = _verb(of, "set", "take connections from all or from listed addresses", "ip_authorization:ip_set")
    add = _verb(of, "add", "list addresses", "ip_authorization:ip_add")
    add.add_argument("addresses", help="one, a range as 192.0.2.10-192.0.2.20, or a subnet")
    edit = _verb(of, "change", "change an entry of the list", "ip_authorization:ip_change")
    remove = _verb(of, "remove", "delete an entry of the list", "ip_authorization:ip_remove")
    for verb in (edit, remove):
        verb.add_argument("number", type=int)
    edit.add_argument("--addresses", help="instead of those that it is about")
    for service in ("key-server", "web", "ssh"):
        change.add_argument(f"--{service}", choices=("all", "listed"))
        add.add_argument(f"--{service}", action="store_true", help="they may reach it")
        edit.add_argument(f"--{service}", choices=("yes", "no"))
    for verb in (show, change, add, edit, remove):
        _data(verb)


def _key_use(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    use = verbs.add_parser("key-use", help="who used a key").add_subparsers(dest="verb", required=True)
    listing = _verb(use, "list", "print uses of keys by clients, newest last", "key_use:key_use_list")
    count = _verb(use, "count", "count uses of keys by clients", "key_use:key_use_count")
    count.add_argument("--per", choices=("hour", "day"), default="hour", help="of the node's time zone")
    count.add_argument("--by", choices=("all", "key", "user"), default="all", help="what is counted apart")
    for verb in (listing, count):
        verb.add_argument("--key", metavar="KEY", help="name or id")
        verb.add_argument("--user", metavar="NAME")
        verb.add_argument("--operation", metavar="TYPE", help="as in the activity log, such as Get or Encrypt")
        verb.add_argument("--since", metavar="TIME", help="from then on, UTC, as 2006-07-06T09:15:02")
        verb.add_argument("--until", metavar="TIME", help="until then, UTC")
        verb.add_argument("--last", type=int, default=100, metavar="N", help="so many at most; 100")
        _data(verb)


def _audit(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    audit = verbs.add_parser("audit", help="the audit log").add_subparsers(dest="verb", required=True)
    show = _verb(audit, "show", "print entries, newest last", "audit:audit_show")
    _data(show)
    show.add_argument("--last", type=int, metavar="N", help="so many; 100 unless --since is given")
    show.add_argument("--since", metavar="TIME", help="from then on, UTC, as 2006-07-06T09:15:02")
    show.add_argument("--operation", metavar="NAME", help="only of this one, such as user.create")
    show.add_argument("--user", metavar="NAME", help="only by whom this name belongs to")
    _data(_verb(audit, "key", "print the key that verifies checkpoints", "audit:audit_key"))
    export = _verb(audit, "export", "copy the log, to be verified elsewhere", "audit:audit_export")
    _data(export)
    export.add_argument("--out", required=True, metavar="FOLDER", help="made anew")
    export.add_argument("--without-personal", action="store_true", help="without names, addresses and details")
    check = _verb(audit, "verify", "check an export, without its node", "audit:audit_verify")
    check.add_argument("folder", metavar="FOLDER")
    check.add_argument("--key", metavar="KEY", help="as `keystead audit key` printed it")
    check.add_argument("--against", metavar="FILE", help="an older checkpoint, kept elsewhere")
    prove = _verb(audit, "prove", "write the proof that an entry is in the log", "audit:audit_prove")
    _data(prove)
    prove.add_argument("entry", type=int, metavar="NUMBER", help="of the entry, from 0")
    prove.add_argument("--out", required=True, metavar="FILE")
    judge = _verb(audit, "verify-proof", "judge such a proof, without the node", "audit:audit_verify_proof")
    judge.add_argument("file", metavar="FILE")
    judge.add_argument("--key", metavar="KEY", help="as `keystead audit key` printed it")
    hide = _verb(audit, "pseudonymise", "replace a person's name in the log", "audit:audit_pseudonymise")
    hide.add_argument("user")
    _data(hide)


def _child(words: Sequence[str]) -> int | None:
    """Run one of the node's own processes when the words are the supervisor's."""
    if words[:1] == ["_keys"]:
        from keystead.node import keys  # each process imports only its own

        return keys.start(*words[1:])
    if words[:1] == ["_admin"]:
        from keystead.node import admin

        return admin.start(*words[1:])
    if words[:1] == ["_token"]:
        from keystead.node import token_process

        return token_process.start(*words[1:])
    if words[:1] == ["_transfer"]:
        from keystead.node import transfer_process

        return transfer_process.start(*words[1:])
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the words, run the command, return the exit status: 0 done, 1 refused or failed, 2 not understood."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(format="%(asctime)s %(name)s: %(message)s", level=logging.INFO, stream=sys.stderr)
    logging.Formatter.converter = time.gmtime
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        status = _child(words)
        if status is not None:
            return status
        from importlib import import_module  # a command imports what it needs, not everything

        parsed = _parser().parse_args(words)
        if arguments is None and parsed.run in WALKING:
            import_module("keystead.node.priority").stand_back()
        module, _, function = parsed.run.partition(":")
        command = getattr(import_module(f"keystead.node.commands.{module}"), function)
        return int(command(parsed))
    except KeysteadError as error:
        print(f"keystead: {error.message}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
