"""Runs one suite against one relation with Great Expectations, and reads what it found.

No context, data source or checkpoint is made, so Great Expectations writes no file and sends nothing; the relation is handed
over as a SQLAlchemy table with quoted names, because a table asset would lower the case of its schema.
"""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from platform_core.contracts import naming
from platform_core.quality.answer import ANSWER, MEASURE, Answer
from platform_core.quality.plan import Relation, RulePlan
from platform_core.quality.reason import reason_of
from platform_core.quality.suite import suite_of
from platform_core.warehouse import Warehouse

if TYPE_CHECKING:
    from sqlalchemy import Engine

_ROWS = "table.row_count"


@dataclass(frozen=True)
class Verdict:
    """What Great Expectations says of one rule: the verdict, the measured value, and why there is none."""

    passed: bool
    value: Any
    error: str | None = None


@dataclass(frozen=True)
class SuiteRun:
    """Verdicts by rule name, and the relation's rows (None when they could not be counted)."""

    verdicts: dict[str, Verdict]
    rows: int | None


@contextlib.contextmanager
def reading_engine(warehouse: Warehouse, domain: str) -> Generator[Engine]:
    """SQLAlchemy's engine for Great Expectations: one connection, as the domain's owner, reading only."""
    import sqlalchemy as sa
    from sqlalchemy import event

    job, owner = naming.job_role(domain), naming.owner_role(domain)
    engine = sa.create_engine(
        warehouse.sqlalchemy_url(job, role=owner),
        isolation_level="AUTOCOMMIT",
        pool_size=1,
        max_overflow=0,
        connect_args={"application_name": f"mesh {job} audit", "connect_timeout": 10},
    )

    def read_only(connection: Any, _record: Any) -> None:
        connection.set_session(readonly=True, autocommit=True)
        with connection.cursor() as cursor:
            cursor.execute("SET timezone = 'UTC'")  # a bound without a zone must not depend on the server's

    event.listen(engine, "connect", read_only)
    try:
        yield engine
    finally:
        engine.dispose()


def run_suite(engine: Engine, relation: Relation, plans: Sequence[RulePlan]) -> SuiteRun:
    """Evaluates the rules' expectations.

    Resolves the metrics of all of them in one graph, as Great Expectations' validator does, and keeps the metrics: its
    validator drops the counts from terse results, and would compute them again when asked.

    Args:
        engine: See :func:`reading_engine`.
        relation: The candidate.
        plans: Rules whose columns exist.
    """
    with _quiet():
        from great_expectations.exceptions import GreatExpectationsError
        from great_expectations.validator.metrics_calculator import MetricsCalculator
        from great_expectations.validator.validation_graph import ValidationGraph

        execution = _execution(engine, relation)
        calculator = MetricsCalculator(execution_engine=execution, show_progress_bars=False)
        judged: list[_Judged] = []
        graphs: dict[str, Any] = {}
        refused: dict[str, Verdict] = {}
        for plan in plans:
            try:
                (expectation,) = suite_of([plan], ".".join(relation)).expectations
                metrics = expectation.get_validation_dependencies(execution, _settings()).metric_configurations
                graphs[plan.rule.name] = calculator.build_metric_dependency_graph(list(metrics.values()), _settings())
            except (ValueError, TypeError, GreatExpectationsError) as error:  # arguments it does not accept; the other rules go on
                refused[plan.rule.name] = Verdict(False, None, f"Great Expectations refuses the rule: {reason_of(str(error))}")
            else:
                judged.append(_Judged(plan, expectation, metrics))
        edges = [edge for graph in graphs.values() for edge in graph.edges]
        whole = ValidationGraph(execution_engine=execution, edges=edges)
        resolved, aborted = calculator.resolve_validation_graph(whole, runtime_configuration=_settings())
        reasons = {metric: str(info["exception_info"]["exception_message"]) for metric, info in aborted.items()}
        verdicts = {item.plan.rule.name: item.verdict(resolved, _first_reason(graphs[item.plan.rule.name], reasons)) for item in judged}
        counts = (resolved.get(item.metrics[_ROWS].id) for item in judged)  # every expectation needs the row count
        return SuiteRun(verdicts | refused, next((count for count in counts if count is not None), None))


@dataclass(frozen=True)
class _Judged:
    """A rule, its expectation, and the metrics that the expectation needs, by name."""

    plan: RulePlan
    expectation: Any
    metrics: dict[str, Any]

    def verdict(self, resolved: dict[Any, Any], reason: str | None) -> Verdict:
        if any(metric.id not in resolved for metric in self.metrics.values()):
            return Verdict(False, None, reason_of(reason or "Great Expectations computed no value"))
        found = self.expectation.metrics_validate(metrics=resolved, runtime_configuration=_settings())
        value = resolved[self._measured().id]
        if isinstance(value, Answer):
            return Verdict(bool(found.success), value.value, value.error)
        return Verdict(bool(found.success), value or 0)  # the sum over an empty table is NULL

    def _measured(self) -> Any:
        """The metric that the verdict is about."""
        own = {MEASURE, ANSWER, f"{getattr(self.expectation, 'map_metric', None)}.unexpected_count"}
        return next((metric for name, metric in self.metrics.items() if name in own), self.metrics.get(_ROWS))


def _first_reason(graph: Any, reasons: dict[Any, str]) -> str | None:
    """Why a metric of the graph could not be computed."""
    ends = (end for edge in graph.edges for end in (edge.left, edge.right) if end is not None)
    return next((reasons[end.id] for end in ends if end.id in reasons), None)


def _settings() -> dict[str, Any]:
    # Verdicts alone: every richer format asks each rule for its unexpected values, whether it is broken or not.
    return {"result_format": {"result_format": "BOOLEAN_ONLY"}}


def _execution(engine: Engine, relation: Relation) -> Any:
    """Great Expectations' execution engine with the relation as its batch."""
    from great_expectations.execution_engine import SqlAlchemyExecutionEngine
    from great_expectations.execution_engine.sqlalchemy_batch_data import SqlAlchemyBatchData
    from sqlalchemy import quoted_name, table

    schema, name = (quoted_name(part, quote=True) for part in relation)
    execution = SqlAlchemyExecutionEngine(engine=engine, create_temp_table=False)
    target: Any = table(name, schema=schema)
    data_class: Any = SqlAlchemyBatchData  # its overloads leave out the names of the source, which the reflection needs
    data = data_class(
        execution_engine=execution, selectable=target, create_temp_table=False, source_schema_name=schema, source_table_name=name
    )
    execution.load_batch_data("candidate", data)
    return execution


@contextlib.contextmanager
def _quiet() -> Generator[None]:
    """Great Expectations without telemetry, log lines and warnings: whatever it finds is in its results."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    logger = logging.getLogger("great_expectations")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
