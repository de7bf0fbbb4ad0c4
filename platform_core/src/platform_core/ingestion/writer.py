"""The rows of one stream on their way into its raw table: buffered, spilled to a staging table, published in one transaction.

Rows are counted from 1 in order of arrival (the tail of ``_airbyte_raw_id``). Three marks cut that line: what is published,
what is sealed (covered by a state, or by the end of the stream) and what has arrived. Only sealed rows are ever published.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import psycopg
from psycopg import sql

from platform_core.contracts import naming
from platform_core.ingestion.batch import BatchEncoder, Encoded
from platform_core.ingestion.block import Records
from platform_core.ingestion.catalog import StreamTask
from platform_core.ingestion.copying import RowCopy
from platform_core.ingestion.merging import KeyMerge
from platform_core.ingestion.protocol import State
from platform_core.ingestion.rows import RowEncoder
from platform_core.ingestion.tables import (
    TablePlan,
    apply_plan,
    column_list,
    create_staging,
    drop_defaults,
    drop_keys,
    plan_table,
    read_table,
    set_defaults,
    widen_column,
)
from platform_core.ingestion.typed import Rows
from platform_core.ingestion.types import Column, Kind


@dataclass(frozen=True)
class _Outgoing:
    """What `StreamWriter.publish` brings into the table, fixed when it was handed over: more rows arrive meanwhile."""

    sealed: int
    arrived: int
    rows: list[Encoded]


class StreamWriter:
    """Writes one stream.

    Attributes:
        task: The stream.
        encoder: Makes its rows.
        received_bytes: The records' size on the wire.
        buffered_bytes: Size of the rows in memory.
        staged_bytes: Size of the rows in the staging table. ``early_bytes``: of those in the raw table that are not committed.
        at_state: Records that had arrived when the stream's last state came.
        newest: Highest cursor value among the rows that are not sealed, when the task needs it.
        latest_state: The last state that came; ``sealed_state`` the one that the sealed rows go with.
        complete: The source said COMPLETE. ``failed``: it said INCOMPLETE, or reported an error of this stream.
    """

    def __init__(
        self,
        session: psycopg.Connection[Any],
        domain: str,
        task: StreamTask,
        *,
        plan: TablePlan,
        encoder: BatchEncoder,
        number: int,
    ) -> None:
        """Prepares the writer; nothing is created before the first rows are published or spilled.

        Args:
            session: An autocommit session as the domain's owner.
            domain: Domain of the raw schema.
            task: The stream.
            plan: Shape of the raw table.
            encoder: Makes the rows.
            number: Of the stream in this sync, names its staging table.
        """
        self.task = task
        self.encoder = encoder
        self.received_bytes = 0
        self.at_state = 0
        self.newest: Any = None
        self.latest_state: State | None = None
        self.sealed_state: State | None = None
        self.complete = False
        self.failed = False
        self.started: float | None = None
        self.ended: float | None = None
        self.published = 0
        self.sealed = 0
        self.buffered_bytes = 0
        self.staged_bytes = 0
        self.early_bytes = 0
        self._early = False
        self._fresh = plan.create
        self._session = session
        self._schema = naming.raw_schema(domain)
        self._target = sql.Identifier(self._schema, task.table)
        self._staging = sql.Identifier("pg_temp", f"staging_{number}")
        self._staged = False
        self._plan = plan
        self._shaped = False
        self._outgoing = _Outgoing(0, 0, [])
        self._widened: set[int] = set()
        self._rows: list[Encoded] = []
        columns = encoder.rows.columns
        self._merge = KeyMerge(session, task, columns, schema=self._schema, staging=self._staging) if task.deduplicate else None
        self._copying = RowCopy(session, encoder.rows, stream=task.name, table=self.table)
        appends = task.checkpointed and not task.deduplicate and len(task.cursor_field) == 1
        self._watched = task.cursor_field[0] if appends else None
        self._columns = column_list(columns)

    @classmethod
    def planned(
        cls,
        session: psycopg.Connection[Any],
        domain: str,
        task: StreamTask,
        *,
        sync_id: str,
        id_prefix: str,
        generation: int,
        number: int,
        staging: int | None = None,
    ) -> Self:
        """A writer into the table as it is now.

        Args:
            session: An autocommit session as the domain's owner.
            domain: Domain of the raw schema.
            task: The stream.
            sync_id: The sync that sent the rows.
            id_prefix: First 18 characters of the sync's row ids, ``xxxxxxxx-xxxx-8xxx``.
            generation: ``_airbyte_generation_id`` of the rows.
            number: Of the stream in its sync, part of the row ids.
            staging: Names the staging table, where ``number`` is not the only one of its kind.

        Raises:
            LoadError: The table belongs to another connection, or was not made by ingestion.
        """
        schema = naming.raw_schema(domain)
        plan = plan_table(read_table(session, schema, task.table), task.columns, f"{schema}.{task.table}")
        rows = RowEncoder(
            plan.columns,
            sync_id=sync_id,
            generation=generation,
            id_prefix=f"{id_prefix}-{0x8000 + number:04x}-",
            narrow=frozenset(range(len(plan.columns))) if task.fixed else plan.narrow,
        )
        return cls(session, domain, task, plan=plan, encoder=BatchEncoder(rows), number=number if staging is None else staging)

    @property
    def table(self) -> str:
        """The raw table, ``<schema>.<table>``."""
        return f"{self._schema}.{self.task.table}"

    @property
    def column_types(self) -> dict[str, str]:
        """Column name to Postgres type, without the ``_airbyte_*`` columns."""
        return {
            column.name: (Kind.NUMERIC if index in self._widened else column.kind).value
            for index, column in enumerate(self.encoder.rows.columns)
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """What changed in the table's shape, for people."""
        widened = (f"column {self.encoder.rows.columns[index].name} bigint became numeric" for index in sorted(self._widened))
        return (*self._plan.notes, *widened)

    @property
    def removed(self) -> tuple[str, ...]:
        """Columns of the table that the source no longer has; they stay, for their history."""
        return self._plan.removed

    @property
    def intermediate(self) -> bool:
        """Whether the stream's sealed rows may become visible before the sync ends."""
        return self.task.selection.incremental and not self.task.replace

    @property
    def buffers(self) -> bool:
        """Whether rows may go straight from memory into the table; into one of unique keys only in the commit that makes it."""
        new = self._plan.create and not self.published
        straight = self.task.checkpointed and (new or not self.task.deduplicate)
        return straight and not self._staged and not self.encoder.rows.overflowed

    @property
    def copies_early(self) -> bool:
        """Whether sealed rows may go there before their commit: into a table that nobody sees yet, or that has its shape.

        A known table changes its shape under a lock that keeps readers waiting, so that is left to the first commit, which is short.
        """
        return self.buffers and (self._plan.create or self.published > 0)

    @property
    def received(self) -> int:
        """Records so far."""
        return self.encoder.sequence

    @property
    def since_state(self) -> int:
        """Records since the stream's last state, for the comparison with ``sourceStats``."""
        return self.encoder.sequence - self.at_state

    def add(self, part: Records | Rows) -> None:
        """Takes records."""
        rows = self.encoder.encode_part(part)
        self._rows.append(rows)
        self.buffered_bytes += rows.size
        if self._watched is not None:
            self._watch(part.values(self._watched))

    def _watch(self, values: Sequence[Any]) -> None:
        """Notes the cursors of records."""
        try:
            newest = max(values, default=None)
            if newest is not None:
                self.newest = newest if self.newest is None else max(self.newest, newest)
        except TypeError:
            self._watch_mixed([value for value in values if value is not None])

    def _watch_mixed(self, present: Sequence[Any]) -> None:
        try:
            self.newest = max(present if self.newest is None else (self.newest, *present), default=None)
        except TypeError:
            self.newest = present[-1]  # a cursor of changing type cannot be compared with the state either

    def seal(self, state: State | None) -> None:
        """Everything that arrived so far is covered by ``state``."""
        self.sealed = self.encoder.sequence
        self.sealed_state = state
        self.newest = None

    def copy_early(self) -> Callable[[], None] | None:
        """Takes the sealed rows out of memory, where `copies_early`.

        Returns:
            What copies them into the raw table, inside the transaction that will commit them; None when no rows are sealed.
        """
        rows = self._sealed_rows()
        if not rows:
            return None
        self.early_bytes += sum(each.size for each in rows)

        def move() -> None:
            self._shape()
            self._early = True
            self._copying.copy(self._target, rows, widened=self._widened, defaults=self._fresh)

        return move

    def _sealed_rows(self) -> list[Encoded]:
        rows = [each for each in self._rows if each.last <= self.sealed]  # no batch reaches over a state
        self._rows = self._rows[len(rows) :]
        self.buffered_bytes = sum(each.size for each in self._rows)
        return rows

    def spill(self) -> Callable[[], None]:
        """Takes the buffered lines out of memory.

        Returns:
            What moves them into the session's staging table, which nobody else sees; may run in another thread.
        """
        outgoing, self._rows = self._rows, []
        self.staged_bytes += self.buffered_bytes
        self.buffered_bytes = 0
        make, self._staged = not self._staged, True
        widened = self.encoder.rows.overflowed - self._widened
        self._widened |= widened
        if widened:
            self._shaped = False

        def move() -> None:
            if make:
                rows = self.encoder.rows
                create_staging(self._session, self._staging, rows.columns, meta=rows.clean_meta, generation=rows.generation)
            for index in widened:
                column = self.encoder.rows.columns[index]
                widen_column(self._session, self._staging, Column(column.field, column.name, Kind.NUMERIC))
            self._copying.copy(self._staging, outgoing, widened=self._widened, defaults=True)

        return move

    def hand_over(self) -> State | None:
        """Fixes what the next `publish` brings: the sealed rows. More may be fed while it runs, in another thread too.

        Uses the session, for what publishing needs and may happen before its transaction.

        Returns:
            The state that covers the rows.
        """
        if not self.buffers and (self._rows or not self._staged):
            self.spill()()
        rows = [] if self._staged else self._sealed_rows()
        self._outgoing = _Outgoing(self.sealed, self.encoder.sequence, rows)
        self.early_bytes = 0
        self.published = self.sealed
        return self.sealed_state

    def publish(self) -> None:
        """Brings what was handed over into the table. Runs inside the transaction that also writes its state."""
        self._shape()
        if self.task.replace:
            # Not TRUNCATE: a reader with an older snapshot would see an empty table. Not a renamed table: views keep the old one.
            former = sql.SQL('DELETE FROM {} WHERE "_airbyte_generation_id" IS DISTINCT FROM {}')
            self._session.execute(former.format(self._target, sql.Literal(self.encoder.rows.generation)))
        self._copying.copy(self._target, self._outgoing.rows, widened=self._widened, defaults=self._fresh)
        if self._merge is not None and self._fresh and (self._early or not self._staged):
            self._merge.index_own()
        if self._staged:
            self._publish_staged()
        if self._fresh:
            drop_defaults(self._session, self._target)
        self._fresh = self._early = False
        self._outgoing.rows.clear()

    def _publish_staged(self) -> None:
        whole = self._outgoing.sealed == self._outgoing.arrived
        # A literal, not a parameter: beside parameters psycopg would read a percent sign in a column's name as a placeholder.
        bound = sql.SQL('WHERE "_airbyte_raw_id" <= {}::uuid').format(sql.Literal(self.encoder.rows.raw_id(self._outgoing.sealed)))
        where = sql.SQL("") if whole else bound
        if self._merge is not None:
            self._merge.bring(where)
        else:
            insert = sql.SQL("INSERT INTO {target} ({columns}) SELECT {columns} FROM {staging} {where}")
            self._session.execute(insert.format(target=self._target, columns=self._columns, staging=self._staging, where=where))
        if whole:
            self._session.execute(sql.SQL("TRUNCATE {}").format(self._staging))
            self.staged_bytes = 0
        else:
            self._session.execute(sql.SQL("DELETE FROM {} {}").format(self._staging, where))

    def _shape(self) -> None:
        if self._shaped:
            return
        apply_plan(self._session, self._target, self._plan)
        if self._fresh:
            rows = self.encoder.rows
            set_defaults(self._session, self._target, meta=rows.clean_meta, generation=rows.generation)
        for index in self._widened:
            column = self.encoder.rows.columns[index]
            widen_column(self._session, self._target, Column(column.field, column.name, Kind.NUMERIC))
        if self._merge is not None and not self._plan.create:
            self._merge.ensure_key()
        elif self._merge is None and not self._plan.create:
            drop_keys(self._session, self._schema, self.task.table)
        self._shaped = True
