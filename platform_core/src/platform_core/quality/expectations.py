"""The expectations that Great Expectations does not have: one number, compared with a rule's bounds.

Imports Great Expectations at its head, so it is itself imported only inside the functions that run a suite. Defining the
classes registers them with Great Expectations, under the snake-case of their names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import sqlalchemy as sa
from great_expectations.compatibility import pydantic
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.core.metric_function_types import MetricPartialFunctionTypes
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.metrics.metric_provider import metric_partial, metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider
from sqlalchemy.exc import DBAPIError

from platform_core.quality.answer import ANSWER, MEASURE, Answer
from platform_core.quality.bounds import Bounds, holds
from platform_core.quality.reason import reason_of


class MeasureMetric(TableMetricProvider):
    """Value of an aggregate expression; Great Expectations evaluates all of a table's in one statement."""

    metric_name = MEASURE
    value_keys = ("expression",)

    @metric_partial(
        engine=SqlAlchemyExecutionEngine,
        partial_fn_type=MetricPartialFunctionTypes.AGGREGATE_FN,
        domain_type=MetricDomainTypes.TABLE,
    )
    def _sqlalchemy(
        cls,  # noqa: N805
        execution_engine: Any,
        metric_domain_kwargs: Any,
        metric_value_kwargs: Any,
        metrics: Any,
        runtime_configuration: Any,
    ) -> tuple[Any, Any, dict[str, Any]]:
        # A literal column passes through SQLAlchemy as written: colons are no parameters, percent signs are escaped.
        return sa.literal_column(metric_value_kwargs["expression"]), metric_domain_kwargs, {}


class AnswerMetric(TableMetricProvider):
    """The one value that a statement gives, or the reason why it gives none.

    An error is a value here: Great Expectations would ask every statement of the suite three times when one of them raises.
    """

    metric_name = ANSWER
    value_keys = ("query",)

    @metric_value(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(
        cls,  # noqa: N805
        execution_engine: Any,
        metric_domain_kwargs: Any,
        metric_value_kwargs: Any,
        metrics: Any,
        runtime_configuration: Any,
    ) -> Answer:
        try:
            with execution_engine.get_connection() as connection:
                # The driver gets the text as it stands: neither colons nor percent signs mean parameters.
                result = connection.execution_options(no_parameters=True).exec_driver_sql(metric_value_kwargs["query"])
                names, rows = list(result.keys()), result.fetchmany(2)
        except DBAPIError as error:
            return Answer(None, reason_of(str(error)))
        if len(rows) != 1 or len(names) != 1:
            many = "no row" if not rows else "more than one row" if len(rows) > 1 else f"{len(names)} columns"
            return Answer(None, f"the query gave {many}, one value is needed")
        return Answer(rows[0][0])


class ExpectMeasureToBeWithinBounds(BatchExpectation):
    """Expects an aggregate over the table, part of the shared scan, to be within bounds."""

    expression: str = pydantic.Field(description="SQL aggregate over the table's rows")
    limits: dict[str, Any] = pydantic.Field(description="comparison operators of the rule, with their values")
    percent: bool = pydantic.Field(default=False, description="compare the percentage of all rows")

    metric_dependencies: ClassVar[tuple[str, ...]] = (MEASURE, "table.row_count")
    domain_keys: ClassVar[tuple[str, ...]] = ("batch_id", "row_condition", "condition_parser")
    success_keys: ClassVar[tuple[str, ...]] = ("expression", "limits", "percent")

    def _validate(self, metrics: Mapping[str, Any], runtime_configuration: Any = None, execution_engine: Any = None) -> dict[str, Any]:
        return {"success": holds(Bounds(self.limits, self.percent), metrics[MEASURE], metrics["table.row_count"])}


class ExpectAnswerToBeWithinBounds(BatchExpectation):
    """Expects the one value that a statement gives to be within bounds."""

    query: str = pydantic.Field(description="statement that gives one row of one column")
    limits: dict[str, Any] = pydantic.Field(description="comparison operators of the rule, with their values")
    percent: bool = pydantic.Field(default=False, description="compare the percentage of all rows")

    metric_dependencies: ClassVar[tuple[str, ...]] = (ANSWER, "table.row_count")
    domain_keys: ClassVar[tuple[str, ...]] = ("batch_id", "row_condition", "condition_parser")
    success_keys: ClassVar[tuple[str, ...]] = ("query", "limits", "percent")

    def _validate(self, metrics: Mapping[str, Any], runtime_configuration: Any = None, execution_engine: Any = None) -> dict[str, Any]:
        answer: Answer = metrics[ANSWER]
        kept = holds(Bounds(self.limits, self.percent), answer.value, metrics["table.row_count"])
        return {"success": kept and answer.error is None}
