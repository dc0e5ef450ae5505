"""docs/clients/ceph.md: a real object gateway encrypts S3 objects with keys that it finds in a node by name."""

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

        def refused(program: str) -> str:
            with pytest.raises(AssertionError) as caught:
                reader.run([str(python), "-W", "ignore", "-c", reader.placed(program)])
            return str(caught.value)

        unknown = s3.text.replace('SSEKMSKeyId="invoices"', 'SSEKMSKeyId="nobody made this"')
        assert "(NoSuchKey) when calling the PutObject operation: Failed to retrieve the actual key" in refused(unknown)

        only_get = "\n".join(line for line in s3.text.splitlines() if not line.startswith(("s3.create", "s3.put")))
        reader.do(before[-1])  # another key of that name: neither is taken
        assert "when calling the GetObject operation" in refused(only_get)

        node.stop()  # this file's own: the gateway keeps no key
        assert "when calling the GetObject operation" in refused(only_get)
