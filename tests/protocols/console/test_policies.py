"""Authorization policies in a browser: made, seen, changed, and named where rights on a key are given."""

from tests.support.console import Browser
from tests.support.dev_node import DevNode
from tests.support.kmip import messages


def test_a_policy_is_made_changed_given_and_kept_while_it_is_used(node: DevNode, admin: Browser) -> None:
    with node.session("alice") as session:
        key = session.identifier(messages.create())
    form = admin.get("/policies/do/create").form("/policies/do/create")
    wrong = admin.send(form, name="evenings", periods=["from nine to five"])
    assert wrong.status == 422
    assert "Example: mon 09:00-mon 17:00" in wrong.text
    made = admin.send(form, name="evenings", operations_per_hour="500", periods=["mon 18:00-mon 22:00"])
    assert made.url.startswith("/policies/show/evenings")
    assert "mon 18:00-mon 22:00" in made.text
    change = admin.get("/policies/do/change?item=evenings").form("/policies/do/change")
    changed = admin.send(change, operations_per_hour="20")  # the periods stand in the form, and stay
    assert "20" in changed.text
    assert "mon 18:00-mon 22:00" in changed.text
    page = admin.get(f"/keys/do/give?item={key}")
    assert '<option value="evenings">' in page.html
    admin.send(page.form("/keys/do/give"), group="clerks", rights=["export"], policy="evenings")
    assert "evenings" in admin.get(f"/keys/show/{key}").text
    assert f"key-{key}" in admin.get("/policies/show/evenings").text
    refused = admin.send(admin.get("/policies/do/delete?item=evenings").form("/policies/do/delete"))
    assert refused.status == 403
    assert f"key-{key}" in refused.text
    rights = admin.get(f"/key-rights?item={key}")
    assert "keep to one" not in rights.text
    form = admin.get(f"/keys/do/change?item={key}").form("/keys/do/change")
    admin.send(form, deactivation_us="2099-01-01T00:00:00")
    assert "keep to one" in admin.get(f"/key-rights?item={key}").text
