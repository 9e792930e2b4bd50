"""What a process holds, read from outside: its sockets by whom they lead to, its other descriptors, its memory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

LISTENING = "0A"


@dataclass(frozen=True)
class Held:
    """Descriptors of a proxy: connections of clients, connections to servers, and everything else."""

    clients: int
    servers: int
    others: int


def held(pid: int, port: int) -> Held:
    """What the proxy that listens on this port holds now."""
    peers = _tcp_sockets(pid)
    kinds = {"clients": 0, "servers": 0, "others": 0}
    for target in _descriptors(pid):
        local = peers.get(target)
        kinds["others" if local is None else "clients" if local == port else "servers"] += 1
    return Held(**kinds)


def _descriptors(pid: int) -> list[str]:
    found = []
    for entry in os.scandir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(entry.path))
        except FileNotFoundError:  # closed while we were looking
            continue
    return found


def _tcp_sockets(pid: int) -> dict[str, int]:
    """``socket:[inode]`` -> local port, of the process's network's TCP sockets that do not listen."""
    sockets = {}
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        columns = line.split()
        if columns[3] != LISTENING:
            sockets[f"socket:[{columns[9]}]"] = int(columns[1].rpartition(":")[2], 16)
    return sockets


def resident_bytes(pid: int, *, peak: bool = False) -> int:
    """VmRSS, or the highest that it ever was."""
    wanted = "VmHWM:" if peak else "VmRSS:"
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(wanted))


def cpu_seconds(pid: int) -> float:
    """User and system time that the process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
