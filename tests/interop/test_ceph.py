"""docs/clients/ceph.md: a real object gateway encrypts S3 objects with keys that it finds in a node by name."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.ceph import START_S_MAX, ceph, needs_ceph
from tests.support.client_environments import INSTALL_S_MAX, client_python
from tests.support.dev_node import DevNode
from tests.support.recipes import Reader, blocks

CLEAR = b"of value"
CREDENTIALS = ("shop", "not-a-secret")


@pytest.mark.slow
@pytest.mark.timeout(INSTALL_S_MAX + START_S_MAX + 120)
def test_the_page_works_from_its_first_line_to_its_last(node: DevNode, tmp_path: Path) -> None:
    needs_ceph()
    python = client_python("clients-ceph")
    reader = Reader(node, tmp_path, python, {"/etc/ceph": str(tmp_path)})
    *before, section, s3, stored = blocks("ceph")
    for block in before:
        reader.do(block)
    with ceph(tmp_path, reader.placed(section.text) + "\n") as cluster:
        access, secret = CREDENTIALS
        cluster.run(
            *("radosgw-admin", "user", "create", "--uid=shop", "--display-name=shop"),
            *(f"--access-key={access}", f"--secret={secret}"),
        )
        reader.places["https://s3.example.org"] = f"http://127.0.0.1:{cluster.gateway_port}"
        credentials = {"AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": secret, "HOME": str(tmp_path)}
        reader.environment = cluster.environment | credentials
        assert reader.do(s3).strip() == f"aws:kms invoices {CLEAR.decode()}", cluster.said()

        (name,) = reader.do(stored).split()
        dark = cluster.run("rados", "-p", "default.rgw.buckets.data", "get", name, "-")
        assert len(dark) >= len(CLEAR)
        assert CLEAR not in dark

        def program_of(text: str) -> list[str]:
            return [str(python), "-W", "ignore", "-c", reader.placed(text)]

        def refused(program: str) -> str:
            with pytest.raises(AssertionError) as caught:
                reader.run(program_of(program))
            return str(caught.value)

        unknown = s3.text.replace('SSEKMSKeyId="invoices"', 'SSEKMSKeyId="nobody made this"')
        assert "(NoSuchKey) when calling the PutObject operation: Failed to retrieve the actual key" in refused(unknown)

        only_get, only_put = (
            "\n".join(line for line in s3.text.splitlines() if not line.startswith(("s3.create", *others)))
            for others in (("s3.put",), ("got", "print"))
        )
        put_order, get_order = (text.replace("invoices", "orders") for text in (only_put, only_get))
        orders = replace(before[-1], text=before[-1].text.replace("invoices", "orders"))
        reader.do(orders)
        reader.run(program_of(put_order))
        assert reader.run(program_of(get_order)).strip() == f"aws:kms orders {CLEAR.decode()}"
        reader.do(orders)  # another key of that name: neither is taken
        assert "when calling the GetObject operation" in refused(get_order)
        reader.run(program_of(only_put))
        assert reader.run(program_of(only_get)).strip() == f"aws:kms invoices {CLEAR.decode()}"

        node.stop()  # this file's own: the gateway keeps no key
        assert "when calling the GetObject operation" in refused(only_get)
        assert "when calling the PutObject operation" in refused(only_put)
