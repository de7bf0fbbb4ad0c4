"""The rulings: every kind of change that the gate knows, what it means for consumers, and the version step it demands.

The table in ``docs/gate.md`` is this catalogue.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["breaking", "additive", "cosmetic"]
VersionStep = Literal["none", "patch", "minor", "major"]
_DEMANDED: Mapping[Verdict, VersionStep] = {"breaking": "major", "additive": "minor", "cosmetic": "patch"}


@dataclass(frozen=True)
class Ruling:
    """What one kind of change means.

    Attributes:
        name: Stable identifier.
        kind: The group it belongs to, for example ``structural`` or ``quality loosened``.
        verdict: Whether consumers break, gain, or notice nothing.
        reason: One sentence.
        stepless: Whether it needs no step of the version that carries it.
    """

    name: str
    kind: str
    verdict: Verdict
    reason: str
    stepless: bool = False

    @property
    def step(self) -> VersionStep:
        """The smallest version step that such a change demands."""
        return "none" if self.stepless else _DEMANDED[self.verdict]


_S, _M, _QL, _QT = "structural", "semantic", "quality loosened", "quality tightened"
_SL, _ST, _CL, _CR = "service level loosened", "service level tightened", "classification lowered", "classification raised"
_TR, _TA, _LI, _PL = "tag or role removed", "tag or role added", "retention or status", "physical location"
_AL, _AG = "access reduced", "access widened"
_DO, _MO, _PR, _LN, _OW, _VE = "documentation", "model", "price", "lineage", "ownership", "version"

_BREAKING = (
    ("product-removed", _S, "Every port of the product ends; deprecate and retire it first."),
    ("contract-removed", _S, "The port loses its promise and its consumers their input; deprecate and retire it first."),
    ("port-removed", _S, "The product no longer offers the port that consumers name."),
    ("port-contract", _S, "The port is promised by another contract, so consumers that pin the former one find nothing."),
    ("identity", _S, "Schemas, roles and asset keys are derived from it; every reference by the former name fails."),
    ("table-removed", _S, "Queries that read the table fail."),
    ("table-renamed", _S, "Queries that read the table by its former name fail."),
    ("column-removed", _S, "Queries that name the column fail."),
    ("column-renamed", _S, "Queries that use the former name fail."),
    ("physical-name", _S, "Queries use the physical name, and it is another one."),
    ("primary-key", _S, "Joins and upserts on the former key count rows twice or lose them."),
    ("column-optional", _S, "Nulls may appear where consumers were promised none."),
    ("column-not-unique", _S, "Values may repeat, and joins on the column multiply rows."),
    ("not-a-contract", _S, "The file is no longer of the kind that promises data."),
    ("logical-type", _M, "Values of another type reach consumers; casts, comparisons and schemas downstream fail."),
    ("physical-type", _M, "The platform promises the exact type, also when it is wider: copies and typed readers downstream reject it."),
    ("unit", _M, "The same number means another quantity, and nothing fails to tell so."),
    ("granularity", _M, "A row stands for something else, so counts and sums change their meaning."),
    ("value-admitted", _M, "Consumers that branch over the known values meet one they do not handle."),
    ("values-unlimited", _M, "The list of valid values ends, so consumers meet values that they do not handle."),
    ("range-widened", _M, "Values outside of the promised bounds reach consumers."),
    ("pattern", _M, "Values of another form reach consumers; whether the new pattern admits only former values cannot be decided."),
    ("option", _M, "Values are written or read in another way than consumers were promised."),
    ("semantic-type", _M, "The column means something else."),
    ("meaning", _M, "A custom property that governs how values are to be read changed."),
    ("rule-removed", _QL, "What the rule kept out may be published from now on."),
    ("rule-loosened", _QL, "Data is published that would have been held back."),
    ("rule-changed", _QL, "The rule tests something else; that it is at least as strict cannot be shown."),
    ("severity-lowered", _QL, "A breach is reported but no longer held back."),
    ("relationship-removed", _QL, "Rows may refer to nothing, and inner joins of consumers lose them."),
    ("level-removed", _SL, "Consumers planned with a promise that ends."),
    ("level-loosened", _SL, "Consumers planned with a better promise."),
    ("level-changed", _SL, "The promise is another one; that it is at least as good cannot be shown."),
    ("classification-lowered", _CL, "Data may be shown to readers from whom it was kept; a security review must agree."),
    ("classification-masks", _CR, "Readers without the personal-data role see the column masked from now on."),
    ("classification-unknown", _CL, "The classes cannot be ranked, so that it is not a weaker protection cannot be shown."),
    ("column-shown", _CL, "The masks of the mesh go by it: readers without the personal-data role see more of the column than before."),
    ("column-hidden", _CR, "The masks of the mesh go by it: readers without the personal-data role see less of the column than before."),
    ("protection", _CL, "A property that governs who sees which rows and values changed."),
    ("personal-tag-removed", _TR, "The tag marks personal data: masks, policies and the catalog stop treating it so."),
    ("role-removed", _TR, "Members of the role lose their access."),
    ("role-access", _TR, "Members of the role may do something else than before."),
    ("retention-shortened", _LI, "History that consumers read is deleted earlier."),
    ("retired", _LI, "The port ends; consumers must have moved before."),
    ("status-withdrawn", _LI, "A promise that was in force is a draft again."),
    ("location", _PL, "Consumers connect to a place where the data no longer is."),
    ("server-removed", _PL, "Consumers that connect to this server find nothing."),
    ("price-raised", _PR, "Consumers agreed to a lower price, or to another currency or unit."),
    ("model-removed", _MO, "The model that fills the port is gone while the contract still promises its table."),
)
_ADDITIVE = (
    ("product-added", _S, "Nobody depends on it yet."),
    ("contract-added", _S, "Nobody depends on it yet."),
    ("port-added", _S, "Existing ports stay as they are."),
    ("table-added", _S, "Existing tables stay as they are."),
    ("column-added", _S, "Queries that name their columns stay as they are."),
    ("column-required", _S, "Readers meet no nulls where some were allowed; the producer promises more."),
    ("column-unique", _S, "Readers meet no value twice; the producer promises more."),
    ("values-narrowed", _M, "Only values that consumers already handle remain."),
    ("range-narrowed", _M, "Only values that consumers already handle remain."),
    ("option-added", _M, "A promise about the values is written down that was open before."),
    ("rule-added", _QT, "The data keeps one promise more."),
    ("rule-tightened", _QT, "Less is let through than before."),
    ("severity-raised", _QT, "A breach that was reported is now held back."),
    ("relationship-added", _QT, "Every row refers to something that exists."),
    ("level-added", _ST, "Consumers gain a promise."),
    ("level-tightened", _ST, "Consumers gain a better promise."),
    ("classification-raised", _CR, "The column is protected better, and no reader loses sight of it."),
    ("role-added", _TA, "A further way to ask for access."),
    ("retention-extended", _LI, "History stays longer; where personal data is kept, a privacy review must agree."),
    ("status-forward", _LI, "The promise comes into force."),
    ("deprecated", _LI, "It is still served; consumers are asked to move."),
    ("server-added", _PL, "A further place to read from."),
    ("price-lowered", _PR, "Consumers pay less."),
    ("custom-meaning-added", _M, "Says how values are to be read, where nothing was said before."),
    ("personal-input", _CL, "The product reads an input's personal data in clear; its owner must agree."),
)
_COSMETIC = (
    ("same-meaning", _DO, "Written in another way; the promise is the same."),
    ("order", _DO, "Only the order changed; consumers go by names."),
    ("documentation", _DO, "Words for people; the data is the same."),
    ("tag-removed", _TR, "The catalog finds it under one word less; the tag marks no personal data."),
    ("tag-added", _TA, "The catalog finds it under one word more."),
    ("role-approvers", _TA, "Who approves changed; what the role may see is the same."),
    ("own-mask", _DO, "A mask of the column's own; what becomes of the values that readers see is told beside it."),
    ("ownership", _OW, "Other people answer; the data is the same."),
    ("storage", _PL, "How the data is laid out on disk changed; names and values are the same."),
    ("lineage", _LN, "What the product reads changed; what it promises did not."),
    ("model-source", _MO, "The port is filled by another model or in another way; its contract holds all the same."),
    ("unknown", _DO, "No rule of the gate knows this clause, so it is named for a person to judge."),
)
_STEPLESS: tuple[tuple[str, str, Verdict, str], ...] = (
    ("mask-removed", _CL, "breaking", "Readers without the personal-data role see the column in clear; a security review must agree."),
    ("mask-weakened", _CL, "breaking", "More of the values is shown, or as much cannot be ruled out; a security review must agree."),
    ("mask-stricter", _CR, "breaking", "Readers without the personal-data role see less of the column from now on, or nothing."),
    ("rows-hidden", _AL, "breaking", "Members of the role lose sight of rows."),
    ("rows-shown", _AG, "additive", "Members of the role see rows that were kept from them."),
    ("policy-unseen", _DO, "cosmetic", "No column and no row of a port is shown in another way."),
    ("access-ended", _AL, "breaking", "The principal no longer reads the port."),
    ("access-narrowed", _AL, "breaking", "The principal sees personal data masked, or loses the port earlier."),
    ("access-given", _AG, "additive", "One principal more reads the port, on the owner's word."),
    ("access-widened", _AG, "additive", "The principal sees personal data in clear, or keeps the port longer, on the owner's word."),
    ("access-asked", _DO, "cosmetic", "Asked, refused or put in other words; nobody reads more or less."),
    ("team-changed", _OW, "cosmetic", "Other people may answer for the products of the team; the data is the same."),
    ("version", _VE, "cosmetic", "The version itself."),
    ("model-changed", _MO, "cosmetic", "Rows are computed in another way; the contract is the same, and the audit holds the result to it."),
    (
        "project-changed",
        _MO,
        "cosmetic",
        "Rows may be computed in another way; the contract is the same, and the audit holds the result to it.",
    ),
    ("model-added", _MO, "additive", "A model that no port knew before."),
    ("model-unused-removed", _MO, "cosmetic", "No port is filled by this model directly."),
    ("retired-removed", _LI, "cosmetic", "It was retired before, so nothing depends on it."),
)


def _catalogue() -> dict[str, Ruling]:
    groups: tuple[tuple[Verdict, tuple[tuple[str, str, str], ...]], ...] = (
        ("breaking", _BREAKING),
        ("additive", _ADDITIVE),
        ("cosmetic", _COSMETIC),
    )
    found = {name: Ruling(name, kind, verdict, reason) for verdict, rows in groups for name, kind, reason in rows}
    return found | {name: Ruling(name, kind, verdict, reason, stepless=True) for name, kind, verdict, reason in _STEPLESS}


RULINGS: Mapping[str, Ruling] = _catalogue()
"""Every ruling by its name."""


def rulings_table() -> str:
    """The catalogue as a Markdown table, as it stands in ``docs/gate.md``."""
    lines = ["| kind | ruling | verdict | version step | why |", "|---|---|---|---|---|"]
    order = list(dict.fromkeys(ruling.kind for ruling in RULINGS.values()))
    for ruling in sorted(RULINGS.values(), key=lambda item: order.index(item.kind)):
        lines.append(f"| {ruling.kind} | `{ruling.name}` | {ruling.verdict} | {ruling.step} | {ruling.reason} |")
    return "\n".join(lines) + "\n"
