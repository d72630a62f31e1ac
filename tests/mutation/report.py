"""The table of what became of the mutants, and those that survived with the reason why."""

from __future__ import annotations

from mutation.equivalent import EQUIVALENT
from mutation.running import Outcome


def reason_of(module: str, outcome: Outcome) -> str | None:
    """Return why a mutant cannot be told from the original, if that was argued."""
    return EQUIVALENT.get(module, {}).get(str(outcome.mutant))


def table(outcomes: dict[str, list[Outcome]]) -> tuple[str, int]:
    """Return the table as Markdown, and the number of survivors without a reason."""
    lines = ["| module | mutants | noticed | survived | of these the same function |", "|---|---|---|---|---|"]
    reasons, unexplained, totals = [], [], [0, 0, 0, 0]
    for module, tried in outcomes.items():
        survivors = [o for o in tried if o.noticed_by is None]
        explained = [o for o in survivors if reason_of(module, o) is not None]
        counts = [len(tried), len(tried) - len(survivors), len(survivors), len(explained)]
        totals = [a + b for a, b in zip(totals, counts, strict=True)]
        lines.append(_row(f"`{module}`", counts))
        reasons += [f"- `{module}`, `{o.mutant}`: {reason_of(module, o)}" for o in explained]
        unexplained += [f"- `{module}` line {o.mutant.line}, `{o.mutant}`" for o in survivors if o not in explained]
    lines += [_row("all", totals), "", *reasons]
    if unexplained:
        lines += ["", "Survivors without a reason in tests/mutation/equivalent.py:", "", *unexplained]
    return "\n".join(lines), len(unexplained)


def _row(name: str, counts: list[int]) -> str:
    made, noticed, survived, same = counts
    return f"| {name} | {made} | {noticed} ({100 * noticed / max(made, 1):.1f} %) | {survived} | {same} |"
