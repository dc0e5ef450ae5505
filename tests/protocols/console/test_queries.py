"""Key queries in the console: typed, saved, run, told where they are wrong, and what they show erased."""

import re

import pytest

from tests.support.console import Browser


@pytest.mark.row("KS-KEY-043", "KS-KEY-047", "KS-KEY-048")
def test_a_query_is_typed_run_and_saved(admin: Browser) -> None:
    admin.send(admin.get("/users/do/create").form("/users/do/create"), name="querist")
    form = admin.get("/keys/do/generate").form("/keys/do/generate")
    for name in ("quartz", "quince"):
        assert admin.send(form, name=name, owner="querist").status == 200
    form = admin.get("/queries/do/apply").form("/queries/do/apply")
    wrong = admin.send(form, text="owner = querist and nmae = quartz")
    assert (wrong.status, "At character 21 of the query" in wrong.text) == (409, True)
    shown = admin.send(form, text="owner = querist and name begins qua")
    assert ("quartz" in shown.text, "quince" in shown.text) == (True, False)
    form = admin.get("/queries/do/copy?item=Unnamed%20Query").form("/queries/do/copy")
    admin.send(form, new_name="quarry")
    assert "owner = querist and name begins qua" in admin.get("/queries").text
    page = admin.send(admin.get("/queries/do/run?item=quarry").form("/queries/do/run"))
    assert ("quartz" in page.text, "quince" in page.text) == (True, False)
    (key,) = re.findall(r"[0-9a-f-]{36}", page.text)
    erased = admin.send(
        admin.get("/keys/do/erase-several").form("/keys/do/erase-several"), keys=[key], how_many="1", query="quarry"
    )
    assert key in erased.text
    page = admin.send(admin.get("/queries/do/run?item=quarry").form("/queries/do/run"))
    assert "quartz" not in page.text.split("Key query: run")[-1]


def test_the_query_of_all_keys_is_in_the_list(admin: Browser) -> None:
    assert "[All]" in admin.get("/queries").text
    assert "Contact Information" in admin.get("/key-attributes").text
