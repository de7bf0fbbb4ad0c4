"""What a change of the attribute policy, or of what it goes by in a contract, does to the columns and rows that readers see.

The policy is judged by its effect: the mask of each port column before and after. So a class that is renamed, a rule that another
one overrules and a column that lost the tag of its mask are told by what readers see, however the files say it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from platform_core.contracts import naming
from platform_core.contracts.compatibility.change import Change
from platform_core.contracts.compatibility.mask_strictness import mask_step
from platform_core.contracts.compatibility.masked_columns import ColumnKey, line_of, masked_columns, row_filters
from platform_core.contracts.compatibility.ruling import RULINGS
from platform_core.contracts.compatibility.state import State, Unreadable
from platform_core.contracts.masking import Mask, family
from platform_core.contracts.masking_file import masking_of
from platform_core.contracts.masking_model import MaskRule
from platform_core.contracts.masking_policy import FILE, Masking, column_mask
from platform_core.contracts.model import Column
from platform_core.contracts.row_filter import EVERY
from platform_core.contracts.source import Document

_CLEAR = "in clear"


@dataclass(frozen=True)
class _Policy:
    """The policy of a state; without a file, what the platform does then."""

    state: State
    masking: Masking | None
    document: Document | None
    broken: tuple[Unreadable, ...] = ()

    def line(self, column: Column, mask: Mask | None) -> int:
        """Where the policy gives a column its mask; the first line for a mask that it does not give."""
        for rule, at in self.masking.rules(column) if self.masking else ():
            if mask is not None and rule.of(family(column.physical_type or column.logical_type)) == mask:
                return at.line
        return line_of(self.document, "otherwise") if mask is not None else 1


def masking_changes(old: State, new: State, paths: Iterable[str], told: Iterable[Change]) -> tuple[list[Change], list[Unreadable]]:
    """Every column whose mask is another one, every row filter that opens or closes, and changes of the policy that nobody sees.

    Args:
        old: The state before.
        new: The state after.
        paths: The product files that changed.
        told: Changes that are reported already; a column with a breaking one is not told twice for the same clause.
    """
    edited = old.files.get(FILE) != new.files.get(FILE)
    before, after = _policy(old), _policy(new)
    if before.broken or after.broken:
        return [], [*before.broken, *after.broken] if edited else []
    paths = [*old.product_files, *new.product_files] if edited else list(paths)
    former, current = masked_columns(old, paths), masked_columns(new, paths)
    known = {(change.subject, change.table, change.column) for change in told if change.ruling.verdict == "breaking"}
    found: list[Change] = []
    touched: list[Column] = []
    for key in former.keys() & current.keys():
        masks = [column_mask(former[key], before.masking), *(column_mask(current[key], policy.masking) for policy in (before, after))]
        if key not in known:
            found += _by_contract(key, current[key], masks[0], masks[1])
        changed = [*_by_policy(key, current[key], (before, after), masks[1], masks[2])]
        touched += [current[key]] * len(changed)
        found += changed
    if edited:
        rows = [*_readers(before, after)]
        found += [*rows, *_unseen(before, after, touched, rows=bool(rows))]
    return found, []


def _policy(state: State) -> _Policy:
    if FILE not in state.files:
        return _Policy(state, None, None)
    documents, broken = state.readable([FILE])
    if broken:
        return _Policy(state, None, None, broken)
    masking, problems = masking_of(documents[FILE])
    wrong = tuple(state.unreadable(FILE, problem) for problem in problems[:1])
    return _Policy(state, masking, documents[FILE], wrong)


def _by_contract(key: ColumnKey, column: Column, before: Mask | None, after: Mask | None) -> Iterator[Change]:
    step = mask_step(before, after)
    if step != "same":
        contract, table, name = key
        ruling = RULINGS["column-shown" if step == "weaker" else "column-hidden"]
        path, place = f"schema.{table}.properties.{name}.mask", column.location
        texts = (str(before or _CLEAR), str(after or _CLEAR))
        yield Change(
            "contract", contract, path, "changed", ruling, *texts, "new", str(place.file), place.line, (contract,), table, name, "masked"
        )  # fmt: skip


def _by_policy(
    key: ColumnKey, column: Column, policies: tuple[_Policy, _Policy], before: Mask | None, after: Mask | None
) -> Iterator[Change]:
    step = mask_step(before, after)
    if step == "same":
        return
    contract, table, name = key
    ruling = RULINGS["mask-stricter" if step == "stricter" else "mask-removed" if after is None else "mask-weakened"]
    gone = after is None or policies[1].document is None
    policy, mask = (policies[0], before) if gone and policies[0].document is not None else (policies[1], after)
    yield Change(
        sort="policy",
        subject=contract,
        path=f"schema.{table}.properties.{name}.mask",
        action="changed",
        ruling=ruling,
        before=str(before or _CLEAR),
        after=str(after or _CLEAR),
        state="old" if policy is policies[0] else "new",
        file=FILE,
        line=policy.line(column, mask),
        contracts=(contract,),
        table=table,
        column=name,
        readers="masked",
    )


def _readers(before: _Policy, after: _Policy) -> Iterator[Change]:
    """Attributes that a role gains or loses, for each table that filters by them."""
    had, has = (policy.masking.attributes if policy.masking else frozenset[tuple[str, str, str]]() for policy in (before, after))
    for role, attribute in sorted({(role, attribute) for role, attribute, _ in had ^ has}):
        old, new = ({value for name, kind, value in side if (name, kind) == (role, attribute)} for side in (had, has))
        if EVERY in old and EVERY in new:
            continue
        lost, gained = EVERY not in new and old - new, EVERY not in old and new - old
        place = ("new", after) if new else ("old", before)
        for contract, table, wanted in row_filters(after.state):
            for name, values in (("rows-hidden", lost), ("rows-shown", gained)):
                if wanted == attribute and values:
                    yield Change(
                        sort="policy",
                        subject=contract,
                        path=f"schema.{table}.rowFilter of {role} by {attribute}",
                        action="changed",
                        ruling=RULINGS[name],
                        before=", ".join(sorted(old)) or "no row",
                        after=", ".join(sorted(new)) or "no row",
                        state="new" if place[0] == "new" else "old",
                        file=FILE,
                        line=line_of(place[1].document, "readers"),
                        contracts=(contract,),
                        table=table,
                        readers=_domain_of(role),
                    )


def _domain_of(role: str) -> str:
    """The domain whose own role it is; ``none`` for the role of a person or a team, who are in no file."""
    domain = next((role.removesuffix(end) for end in ("_owner", "_job") if role.endswith(end)), "")
    return domain if role in {naming.owner_role(domain), naming.job_role(domain)} else "none"


def _unseen(before: _Policy, after: _Policy, touched: list[Column], *, rows: bool) -> Iterator[Change]:
    """What changed in the policy without an effect on a port, so that it is not passed over."""
    old, new = _sayings(before), _sayings(after)
    for term in sorted(old.keys() | new.keys()):
        was, now = old.get(term), new.get(term)
        if (was and was[0]) == (now and now[0]) or _seen(term, touched, rows=rows):
            continue
        side, (_, steps) = (after, now) if now else (before, was or ("", ()))
        yield Change(
            sort="policy",
            subject=FILE,
            path=" ".join(filter(None, term)),
            action="changed" if was and now else "added" if now else "removed",
            ruling=RULINGS["policy-unseen"],
            before=was[0] if was else None,
            after=now[0] if now else None,
            state="new" if side is after else "old",
            file=FILE,
            line=line_of(side.document, *steps),
        )
    if before.document is not None and after.document is None and not touched:
        yield Change("policy", FILE, "", "removed", RULINGS["policy-unseen"], None, None, "old", FILE, 1)


def _seen(term: tuple[str, str], touched: list[Column], *, rows: bool) -> bool:
    """Whether what is said of a term is among the columns and rows that are told of already."""
    kind, name = term
    if kind == "classification":
        return any((column.classification or "").lower() == name for column in touched)
    if kind == "tag":
        return any(name in column.tags for column in touched)
    return bool(touched) if kind == "otherwise" else rows and kind == "readers"


def _sayings(policy: _Policy) -> dict[tuple[str, str], tuple[str, tuple[str | int, ...]]]:
    """What a policy says of each class and tag, and beside the rules; with its place."""
    model = policy.masking.model if policy.masking else None
    if model is None:
        return {}
    found: dict[tuple[str, str], tuple[str, tuple[str | int, ...]]] = {}
    for index, rule in enumerate(model.rules):
        terms = [("classification", name.lower()) for name in rule.classification or ()] + [("tag", name) for name in rule.tag or ()]
        for term in terms:
            former = f"{found[term][0]}, " if term in found else ""
            found[term] = (former + _masks(rule), ("rules", index))
    if model.otherwise is not None:
        by_type = {str(kind): str(mask) for kind, mask in (model.otherwise.masks or {}).items()}
        found["otherwise", ""] = (str(by_type or model.otherwise.mask or "null"), ("otherwise",))
    found["unmasked", ""] = (", ".join(sorted(model.unmasked)), ("unmasked",))
    if model.readers:
        values = sorted(policy.masking.attributes) if policy.masking else ()
        found["readers", ""] = ("; ".join(f"{role}: {attribute} {value}" for role, attribute, value in values), ("readers",))
    return found


def _masks(rule: MaskRule) -> str:
    return ", ".join(f"{kind}: {mask}" for kind, mask in sorted((rule.masks or {}).items())) or str(rule.mask or "null")
