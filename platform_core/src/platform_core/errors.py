"""The one shape of every error the platform shows a person: what happened, where, and what to do."""


class MeshError(Exception):
    """Base of each plane's exception family.

    Args:
        what: One sentence, with the observed value where there is one.
        where: ``file:line`` for files, otherwise the object (relation, connection, address).
        remedy: What the reader can do next, as an imperative.
    """

    def __init__(self, what: str, *, where: str | None = None, remedy: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n  remedy: {self.remedy}" if self.remedy else head

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments are lost by the default pickling, and Dagster pickles errors between processes.
        return _rebuild, (type(self), self.what, self.where, self.remedy)


def _rebuild(kind: type[MeshError], what: str, where: str | None, remedy: str | None) -> MeshError:
    return kind(what, where=where, remedy=remedy)
