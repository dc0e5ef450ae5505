"""Older versions of versioned keys: found by their id, shown as objects that have all but their bytes from their key.

Laws: the record of a versioned key is its default version, so that nothing here is passed on the way to a key; only who
names what is no object comes here. What is made here is never stored.

Source: requirements KS-KEY-012, 019, 056; docs/adr/0075.
"""

from typing import TYPE_CHECKING

from keystead.core.authorize import policies_on, rights_on
from keystead.core.errors import NotFound
from keystead.core.key_versions import Versioning, VersionState, check_use, dates_of
from keystead.core.records import KIND_KEY_VERSION, KIND_OBJECT, ManagedObject, Record
from keystead.gate.desk import Desk
from keystead.gate.policies import pass_by_policy
from keystead.storage.sealed import key_of
from keystead.storage.store import Loaded, as_object

if TYPE_CHECKING:
    from keystead.gate.call import Call

VIEWS_COUNT_MAX = 10_000
FAMILY, NUMBER, DEFAULT = "family", "number", "default"


def older_version(call: "Call", object_id: str, right: int) -> Loaded:
    """Return the older version of a key that has this id, authorised as its key is.

    Raises:
        NotFound: nothing of this id may be seen. Refused: the asker lacks the right. WrongState: as `check_use`.
    """
    principal = call.principal
    view = view_of(call.desk, object_id)
    held = 0 if view is None else rights_on(principal, view.record, call.switches)
    if view is None or not held:
        raise NotFound("no such object among those you may use", "not_found.item")
    missing, versioning = right & ~held, as_object(view).versioning
    if missing and not policies_on(principal, view.record, missing):
        pass_by_policy(call, view.record, missing)
    if versioning is not None:
        check_use(versioning, right)
    if missing:
        pass_by_policy(call, view.record, missing)  # last, as it counts
    return view


def view_of(desk: Desk, object_id: str) -> Loaded | None:
    """Return what stands for an older version; None when nothing of this id is one."""
    views = desk.objects.views
    known = views.get(object_id)
    if known is not None and desk.get(known[0].record.id) is known[0]:
        return known[1]
    stored = _stored(desk, object_id)
    head = None if stored is None else head_of(desk, family_of(stored))
    if stored is None or head is None:
        return None
    view = Loaded(_shown(as_object(head), stored.record), stored.material)
    if len(views) >= VIEWS_COUNT_MAX:
        views.clear()
    views[object_id] = head, view
    return view


def head_of(desk: Desk, family: str) -> Loaded | None:
    """Return the default version of a versioned key."""
    pointer = desk.objects.reader.record(KIND_KEY_VERSION, family)
    if pointer is None or not isinstance(pointer.record, Record):
        return None
    return desk.get(str(pointer.record.fields[DEFAULT]))


def id_of_key(desk: Desk, name: str, realm: str) -> str:
    """Return the id of the object that an id or a handle names, of an older version that of its key.

    What names nothing comes back as it is.
    """
    found = desk.id_of(name, realm)
    stored = _stored(desk, found) if found == name and desk.get(found) is None else None
    head = None if stored is None else head_of(desk, family_of(stored))
    return found if head is None else head.record.id


def family_of(stored: Loaded) -> str:
    """Return the family of the record of a version."""
    record = stored.record
    return str(record.fields[FAMILY]) if isinstance(record, Record) else ""


def _stored(desk: Desk, object_id: str) -> Loaded | None:
    """Return the record of an older version."""
    if key_of(KIND_OBJECT, object_id) is None:
        return None
    loaded = desk.objects.reader.record(KIND_KEY_VERSION, object_id)
    if loaded is None or not isinstance(loaded.record, Record) or NUMBER not in loaded.record.fields:
        return None
    return loaded


def _shown(head: ManagedObject, version: Record | ManagedObject) -> ManagedObject:
    """Return a version as an object: its own id, bytes, dates and state, everything else from its key."""
    if isinstance(version, ManagedObject) or head.versioning is None:
        raise TypeError("a version of a versioned key is shown")
    fields = version.fields
    state = VersionState(fields["state"])
    made_us, changed_us = int(fields["made_us"]), int(fields["changed_us"])
    return head._replace(
        id=version.id,
        initial_us=made_us,
        last_change_us=changed_us,
        dates=dates_of(made_us, state, changed_us),
        protection=head.protection._replace(fresh=False),
        material=version.material,
        digest=fields["digest"],
        revision=version.revision,
        versioning=Versioning(head.versioning.family, int(fields[NUMBER]), fields["iv"], state=state),
    )
