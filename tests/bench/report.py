"""The measurements as a table for people."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.bench.measured import Row
    from tests.bench.targets import Target

BEGIN: Final = "<!-- measured: begin -->"
END: Final = "<!-- measured: end -->"
HEAD: Final = "| runtime | hash | what | visitors | per s | p50 ms | p99 ms | step p50 / p95 / p99 ms | CPU-ms each: all | by service | beside the hash | hash (share) | driver CPU-ms |"


def line(row: "Row") -> str:
    """One row of the table."""
    total = sum(row.cpu_ms.values())
    by = ", ".join(f"{name} {value:.1f}" for name, value in row.cpu_ms.items())
    steps = " / ".join(f"{row.step.get(name, 0):.1f}" for name in ("p50", "p95", "p99")) if row.step else "-"
    wrong = f" **errors {sum(row.errors.values())}: {'; '.join(list(row.errors)[:2])}**" if row.errors else ""
    share = f"{row.hash_ms:.1f} ({100 * row.hash_ms / total:.0f} %)" if row.hash_ms and total else "-"
    cells = (
        row.target, row.hash, row.what + wrong, row.visitors, row.per_s, f"{row.login.get('p50', 0):.1f}", f"{row.login.get('p99', 0):.1f}",
        steps, f"{total:.2f}", by, f"{total - row.hash_ms:.2f}", share, f"{row.driver_ms:.1f}",
    )  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


def memory(target: "Target") -> str:
    """Memory by group, after the run with 16 visitors."""
    rss = ", ".join(f"{name} {group.memory_mib('Rss'):.0f}" for name, group in target.groups.items())
    pss = sum(group.memory_mib("Pss") for group in target.groups.values())
    return f"{target.name}: RSS MiB after 16 visitors: {rss}; PSS of all together {pss:.0f} MiB"


def write(document: Path, when: str, rows: "Sequence[Row]", facts: Sequence[str], hash_ms: float, hash_per_s: float) -> None:
    """Put the table between the marks of the document."""
    table = "\n".join([HEAD, "|" + " --- |" * (HEAD.count("|") - 1), *map(line, rows)])
    said = "\n".join(f"- {fact}" for fact in facts)
    block = (
        f"{BEGIN}\nMeasured {when}; the driver runs on the same cores.\n\n"
        f"argon2id (t=2, 19 MiB, p=1) alone, all cores busy: {hash_ms:.1f} CPU-ms, {hash_per_s:.0f}/s.\n\n{table}\n\n{said}\n{END}"
    )
    put(document, BEGIN, END, block)


def put(document: Path, begin: str, end: str, block: str) -> None:
    """Put a block, marks included, in the place of what stands between these marks of a document."""
    before, _, rest = document.read_text().partition(begin)
    document.write_text(before + block + rest.partition(end)[2])
