"""The report as a document and as Markdown for the comment of a pull request."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from platform_core.contracts.compatibility.change import Change, Hit, Report
from platform_core.contracts.compatibility.column_use import Use
from platform_core.contracts.compatibility.consumers import Consumer

_MARKS = {"breaking": "🔴", "additive": "🟢", "cosmetic": "⚪"}
_LONGEST = 60_000  # GitHub takes comments of up to 65,536 characters
_COSMETIC_SHOWN = 20


def as_document(report: Report, *, exit_code: int) -> dict[str, Any]:
    """The report as plain data, in the form that ``mesh diff --json`` documents."""
    document = {
        "from": report.old,
        "to": report.new,
        "exit_code": exit_code,
        "counts": report.counts,
        "changes": [_change(change) for change in report.changes],
        "versions": [{**check.__dict__, "enough": check.enough, "message": check.message} for check in report.versions],
        "unreadable": [problem.__dict__ for problem in report.unreadable],
    }
    return _plain(document)


def _plain(value: Any) -> Any:
    """The value as every reader of JSON takes it: no integer beyond 64 bits, no half of a surrogate pair."""
    if isinstance(value, dict):
        return {printable(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str(value)
    return printable(value) if isinstance(value, str) else value


def printable(text: str) -> str:
    """Text that every terminal and file takes."""
    return text.encode("utf-8", "replace").decode()


def _change(change: Change) -> dict[str, Any]:
    return {
        "subject": change.subject,
        "sort": change.sort,
        "path": change.path,
        "action": change.action,
        "ruling": change.ruling.name,
        "kind": change.ruling.kind,
        "verdict": change.ruling.verdict,
        "step": change.ruling.step,
        "reason": change.ruling.reason,
        "before": change.before,
        "after": change.after,
        "state": change.state,
        "file": change.file,
        "line": change.line,
        "table": change.table,
        "column": change.column,
        "owned_by": change.owned_by,
        "consumers": [hit_document(hit) for hit in change.hits],
    }


def hit_document(hit: Hit) -> dict[str, Any]:
    """A consumer with what it does with the column, as plain data."""
    consumer = hit.consumer
    return {
        "product": consumer.product,
        "contract": consumer.contract,
        "pinned": consumer.pinned,
        "team": consumer.team,
        "owners": list(consumer.owners),
        "personal_data": consumer.personal,
        "file": consumer.file,
        "line": consumer.line,
        "via": list(consumer.via),
        "column": _use(hit.use) if hit.use else None,
    }


def _use(use: Use) -> dict[str, Any]:
    found_by = "lineage" if use.traced else "words"
    return {"reading": use.reading, "places": list(use.places), "paths": list(use.paths), "found_by": found_by}


def shown(value: Any) -> str:
    """A value in at most 60 characters of one line."""
    text = value if isinstance(value, str) else json.dumps(_plain(value), ensure_ascii=False, default=str)
    text = " ".join(text.split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def what(change: Change) -> str:
    """What happened, in a few words: the clause, and its values where both sides are short."""
    return printable(_what(change))


def _what(change: Change) -> str:
    path = change.path or change.sort
    if change.action == "changed" and change.before is not None and change.after is not None:
        return f"{path}: {shown(change.before)} → {shown(change.after)}"
    if change.action == "renamed" and isinstance(change.after, dict):
        return f"{path} renamed to {shown(change.after.get('name'))}"
    if change.action in {"added", "removed"} and not isinstance(change.before, dict) and not isinstance(change.after, dict):
        value = change.before if change.action == "removed" else change.after
        return f"{path} {change.action}" if value is None or path.endswith(str(value)) else f"{path} {change.action}: {shown(value)}"
    return f"{path} {change.action}"


def column_use(hit: Hit) -> str:
    """What a consumer does with the column, in a few words; what only its name tells is marked."""
    through = f"through {' -> '.join(hit.consumer.via)}" if hit.consumer.via else ""
    if hit.use is None:
        return through or "the port as a whole"
    places = f" ({', '.join(hit.use.places[:2])})" if hit.use.places else ""
    words = "" if hit.use.traced or hit.use.reading == "unknown" else ", by its name alone"
    told = {"unknown": "columns not known", "does not read": "does not read it", "filters by": "filters or joins by it"}.get(
        hit.use.reading, hit.use.reading
    )
    return f"{told}{f' {through}' if through else ''}{places}{words}"


def hit_consumers(report: Report) -> list[tuple[Consumer, list[tuple[Change, Hit]]]]:
    """The consumers that a breaking change reaches, each with the changes; one that does not name the column is not hit by it."""
    found: dict[tuple[str, str], tuple[Consumer, list[tuple[Change, Hit]]]] = {}
    for change in report.changes:
        for hit in change.hits:
            if change.ruling.verdict == "breaking" and not (hit.use and hit.use.reading in {"does not name it", "does not read"}):
                key = (hit.consumer.product, hit.consumer.contract)
                found.setdefault(key, (hit.consumer, []))[1].append((change, hit))
    return [found[key] for key in sorted(found)]


def markdown(report: Report, *, allow_breaking: bool = False) -> str:
    """The report for a pull request; long ones are cut, and say so."""
    text = printable("\n".join(_markdown(report, allow_breaking)) + "\n")
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST].rpartition(chr(10))[0]}\n\n*Cut here; run `./mesh diff` for all of it.*\n"


def _markdown(report: Report, allow_breaking: bool) -> Iterator[str]:
    counts = report.counts
    passed = {0: "✅ passes", 1: "❌ fails", 2: "⚠️ cannot compare everything"}[report.exit_code(allow_breaking=allow_breaking)]
    yield f"### Contract gate {passed}"
    yield ""
    yield f"`{_cell(report.old)}` → `{_cell(report.new)}`: {', '.join(f'{number} {verdict}' for verdict, number in counts.items())}"
    if report.changes:
        yield ""
        yield "| | where | change | kind | why |"
        yield "|---|---|---|---|---|"
    cosmetic = [change for change in report.changes if change.ruling.verdict == "cosmetic"]
    hidden = {id(change) for change in cosmetic[_COSMETIC_SHOWN:]}
    for change in report.changes:
        if id(change) not in hidden:
            place = f"`{_cell(change.file.rpartition('/')[2])}:{change.line}`{' (before)' if change.state == 'old' else ''}"
            yield (
                f"| {_MARKS[change.ruling.verdict]} {change.ruling.verdict} | **{_cell(change.subject)}** {place} | "
                f"`{_cell(what(change))}` | {change.ruling.kind} | {_cell(why(change))} |"
            )
    if hidden:
        yield f"| {_MARKS['cosmetic']} cosmetic | | and {len(hidden)} more | | |"
    if report.versions:
        yield ""
        yield "**Versions**"
        yield ""
        yield from (
            f"- {'✅' if check.enough else '❌'} {_cell(check.message)} (`{_cell(check.file)}:{check.line}`)" for check in report.versions
        )
    consumers = hit_consumers(report)
    if consumers:
        yield ""
        yield "**Consumers hit**"
        yield ""
        yield "| product | reads | owner | by |"
        yield "|---|---|---|---|"
    for consumer, changes in consumers:
        by = "<br>".join(dict.fromkeys(f"{_cell(_short(change))}: {_cell(column_use(hit))}" for change, hit in changes))
        yield f"| **{_cell(consumer.product)}** | {_cell(consumer.contract)} {_cell(consumer.pinned or '')} | {_cell(consumer.owned_by)} | {by} |"
    if report.unreadable:
        yield ""
        yield "**Could not be compared**"
        yield ""
        yield from (f"- `{_cell(item.file)}:{item.line}` in {_cell(item.state)}: {_cell(item.message)}" for item in report.unreadable)


def why(change: Change) -> str:
    """What it means, and who answers for the port where others made the change."""
    return f"{change.ruling.reason}{f' The port is of {change.owned_by}.' if change.owned_by else ''}"


def _short(change: Change) -> str:
    return ".".join(part for part in (change.table, change.column) if part) or change.path or change.subject


def _cell(text: str) -> str:
    """Text that stays text in a cell of Markdown."""
    return " ".join(text.split()).replace("|", "\\|").replace("`", "'").replace("<", "&lt;").replace(">", "&gt;")
