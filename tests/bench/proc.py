"""CPU and memory of process trees, from /proc (proc(5))."""

import os
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """The process and all its descendants that live."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields:
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        todo += children.get(one, [])
    return found


def cpu_s(pid: int, without: frozenset[int] = frozenset()) -> float:
    """CPU seconds so far of the process and its descendants, of those that ended too; not of the trees in `without`."""
    skipped = {p for root in without for p in tree(root)}
    total = 0
    for one in tree(pid):
        fields = _stat(one)
        if fields and one not in skipped:
            total += int(fields[11]) + int(fields[12]) + (int(fields[13]) + int(fields[14]))
    return total / TICK


def memory_mib(pid: int, kind: str, without: frozenset[int] = frozenset()) -> float:
    """`Rss` or `Pss` of the process and its descendants in MiB; Pss shares what is shared."""
    skipped = {p for root in without for p in tree(root)}
    total = 0
    for one in tree(pid):
        if one in skipped:
            continue
        try:
            lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith(f"{kind}:"))
    return total / 1024


def _stat(pid: int) -> list[str] | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
