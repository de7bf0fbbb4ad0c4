"""A stream's writer for rows that come a second time."""

from __future__ import annotations

from psycopg import sql

from platform_core.ingestion.merging import Newer
from platform_core.ingestion.writer import StreamWriter


class ReplayWriter(StreamWriter):
    """Brings rows of an earlier sync into a table that may hold newer ones, or the same."""

    def bring(self, later: tuple[str, ...] | None) -> None:
        """Publishes everything that was fed; inside the replay's transaction.

        Args:
            later: Ids of the syncs that came after this one: as then, their rows win where cursors are equal. The rows of this
                sync are exchanged, and of a replaced table everything. None: the table was emptied, and syncs come in order.
        """
        if later is not None and not self._plan.create:
            ids = sql.SQL('WHERE "_airbyte_raw_id" BETWEEN {}::uuid AND {}::uuid').format(
                sql.Literal(self.encoder.rows.raw_id(0)), sql.Literal(self.encoder.rows.raw_id(2**48 - 1))
            )
            where = sql.SQL("") if self.task.replace else ids
            self._session.execute(sql.SQL("DELETE FROM {} {}").format(self._target, where))
            if self._merge is not None and later:
                self._merge.newer = _newer_unless_later(later)
        self.seal(None)
        self.hand_over()
        self.publish()
        if self._staged:
            self._session.execute(sql.SQL("DROP TABLE {}").format(self._staging))


def _newer_unless_later(later: tuple[str, ...]) -> Newer:
    """As `merging.newer_by_cursor` when the syncs had come in their order."""
    came_later = sql.SQL("""(t."_airbyte_meta"->>'sync_id') = ANY ({})""").format(sql.Literal(list(later)))

    def newer(cursor: str | None) -> sql.Composable:
        if cursor is None:
            return sql.SQL(" WHERE NOT {}").format(came_later)
        return sql.SQL(
            " WHERE excluded.{0} > t.{0} OR (excluded.{0} IS NOT NULL AND t.{0} IS NULL)"
            " OR (excluded.{0} IS NOT DISTINCT FROM t.{0} AND NOT {1})"
        ).format(sql.Identifier(cursor), came_later)

    return newer
