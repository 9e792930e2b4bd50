"""What the demo of a failover writes for Trunkline; `tests/integration/test_demo.py` runs it."""

from __future__ import annotations

from pathlib import Path

from trunkline.config.target import read_target
from trunkline.demo.failover import DATABASE, USER, configuration


def test_its_configuration_is_one(tmp_path: Path) -> None:
    path = tmp_path / "trunkline.toml"
    path.write_text(configuration(0, [5001, 5002, 5003]))
    (tmp_path / "userlist.txt").write_text(f'"{USER}" "secret"\n')
    database = read_target(str(path), {}).databases[DATABASE]
    assert [str(address) for address in database.servers] == ["127.0.0.1:5001", "127.0.0.1:5002", "127.0.0.1:5003"]
    assert [address.port for address in database.addresses] == [5001]
