"""Every operation that administrators may ask is bound to approvals, or exempt for a reason that stands here.

Attack class 41: an operation that somebody forgot is a way around all approvals.
"""

import re

import pytest

import keystead.operations.all  # noqa: F401  # declares every operation
from keystead.core.approvals import Approval
from keystead.gate.approvals import kind_of_approval
from keystead.gate.operation import REGISTRY
from keystead.operations.settings import ChangeSetting
from keystead.settings.all import SECTIONS
from tests.surface.sources import in_package, python_files

BOUND: dict[str, Approval] = {
    # KS-MC-004
    "key.change": Approval.CHANGE_KEYS,
    "key.clone": Approval.CHANGE_KEYS,
    "key.erase": Approval.DELETE_KEYS,
    "key.erase_several": Approval.DELETE_KEYS,
    "key.generate": Approval.CHANGE_KEYS,
    "key.give": Approval.CHANGE_KEYS,
    "key.grant": Approval.CHANGE_KEYS,
    "key.import": Approval.CHANGE_KEYS,
    "key.rename": Approval.CHANGE_KEYS,
    "key.set_flags": Approval.CHANGE_KEYS,
    "key.set_owner": Approval.CHANGE_KEYS,
    "key.set_state": Approval.CHANGE_KEYS,
    "key.take": Approval.CHANGE_KEYS,
    "key_version.create": Approval.CHANGE_KEYS,
    "key_version.import": Approval.CHANGE_KEYS,
    "key_version.set_state": Approval.CHANGE_KEYS,
    # KS-MC-005
    "group.add_member": Approval.CHANGE_USERS,
    "group.create": Approval.CHANGE_USERS,
    "group.delete": Approval.DELETE_USERS,
    "group.remove_member": Approval.CHANGE_USERS,
    "user.create": Approval.CHANGE_USERS,
    "user.delete": Approval.DELETE_USERS,
    "user.disable": Approval.CHANGE_USERS,
    "user.set_groups": Approval.CHANGE_USERS,
    "user.set_password": Approval.CHANGE_USERS,
    # KS-MC-006
    "policy.change": Approval.POLICIES,
    "policy.create": Approval.POLICIES,
    "policy.delete": Approval.POLICIES,
    "directory.set_password": Approval.LDAP,
    # KS-MC-007
    "administrator.change": Approval.ADMINISTRATORS,
    "administrator.create": Approval.ADMINISTRATORS,
    "administrator.delete": Approval.ADMINISTRATORS,
    "administrator.set_password": Approval.ADMINISTRATORS,
}
BY_REQUEST = {"settings.change"}  # by the section that is changed
EXEMPT: dict[str, tuple[str, ...]] = {
    "reading changes nothing": (
        *("administrator.list", "administrator.show", "approval.list", "approval.show", "audit.prove", "audit.show"),
        *("audit.state", "authority.list", "authority.show", "certificate.list", "certificate.show"),
        *(
            "credential.list",
            "group.list",
            "group.show",
            "key.find",
            "key.grants",
            "key.list",
            "key.public_key",
            "key.show",
            "key_version.list",
            "module.check",
            "module.show",
        ),
        *("node.measure", "node.show", "server.query", "server.versions", "settings.read", "trust_profile.list"),
        *("policy.list", "policy.show"),
        *("ip_authorization.show", "ip_entry.list", "key_use.count", "key_use.list"),
        *("key_attribute.list", "key_attribute.show", "query.list", "query.run", "query.show"),
        *("user.list", "user.show", "api_token.list", "expiring_certificate.list", "ssh.show", "preferences.show"),
        "approval.count",
        *("directory.find", "directory.prove", "directory.test", "drive.list", "key_backup.show"),
        "key_backup.show_origin",
        *("directory_group.list", "directory_group.show", "directory_user.list"),
    ),
    "it only writes down what was typed wrong": ("command.fail",),
    "it is how approvals are given and taken back": (
        *("approval.approve", "approval.refuse", "approval.withdraw", "credential.grant", "credential.revoke"),
    ),
    "it changes what people look for, and no key": (
        *("query.apply", "query.change", "query.copy", "query.create", "query.delete"),
        *("key_attribute.define", "key_attribute.delete"),
    ),
    "it is about the asker's own account": (
        *("administrator.change_own_password", "api_token.create", "api_token.revoke", "session.log_out"),
        "preferences.change",
    ),
    "roles of the module have their own M of N": (
        *("module.activate", "module.deactivate", "module.login", "module.logout", "module.set_key_cache"),
    ),
    "a security officer's PIN stands beside the login, and two persons can be demanded (CB-018)": (
        *("drive.challenge", "drive.register", "key_backup.start", "key_restore.start"),
    ),
    "not among what KS-MC-004 to 007 name; docs/approvals.md says what that means": (
        *("audit.pseudonymise", "authority.install", "authority.install_list", "authority.remove"),
        *("certificate.issue", "certificate.revoke", "preset.apply"),
        *("trust_profile.add", "trust_profile.create", "trust_profile.delete", "trust_profile.remove"),
        *("ip_authorization.set", "ip_entry.change", "ip_entry.create", "ip_entry.delete"),
    ),
}
NEVER_EXEMPT = re.compile(
    r"(key|key_version|user|group|policy|ldap|administrator|restore|backup)\.(?!list|show|find|public_key|grants|change_own)"
)


def test_every_operation_of_administrators_is_bound_or_exempt() -> None:
    declared = {one.name: one for one in REGISTRY.values() if one.administrator is not None}
    exempt = {name for names in EXEMPT.values() for name in names}
    assert set(declared) == {*BOUND, *BY_REQUEST, *exempt}
    assert not exempt & {*BOUND, *BY_REQUEST}
    for name, declaration in declared.items():
        assert (declaration.approval is None) is (name in exempt), name
        assert name not in BOUND or declaration.approval is BOUND[name], name
        assert name not in exempt or not NEVER_EXEMPT.match(name), f"{name} is of a kind that is bound"


BOUND_SECTIONS = {
    "multiple_credentials": Approval.MULTIPLE_CREDENTIALS,
    "ldap": Approval.LDAP,
    "user_directory": Approval.LDAP,
}


@pytest.mark.row("KS-LDAP-013")
def test_of_the_settings_only_those_of_approvals_and_the_directory_are_bound() -> None:
    declaration = REGISTRY[ChangeSetting]
    for section in SECTIONS:
        bound = kind_of_approval(declaration, ChangeSetting(section, "any", 1))
        assert bound is BOUND_SECTIONS.get(section)


def test_what_only_users_and_the_clock_ask_is_not_bound() -> None:
    assert not [one.name for one in REGISTRY.values() if one.administrator is None and one.approval is not None]


def test_handlers_are_called_where_approvals_are_asked_and_nowhere_else() -> None:
    """By the gate, by the rule of approvals, and on behalf of who asked what was approved."""
    files = {in_package(path): path.read_text() for path in python_files("src/keystead")}
    calls = {name: count for name, text in files.items() if (count := len(re.findall(r"\.handler\(", text)))}
    assert calls == {"gate/approvals.py": 1, "gate/call.py": 2, "operations/approvals.py": 2}
    assert [name for name, text in files.items() if ".on_behalf(" in text] == ["operations/approvals.py"]
