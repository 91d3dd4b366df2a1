"""What the log says of definitions, held against what PostgreSQL says, which is true.

A database that was restored from a backup is older than the log: readers hold versions above those that it would draw, and drop what
it says; they know objects that it does not, and bodies that it takes for told may be gone. Then versions go on above what stands
there, all bodies are said, and what is not known here is removed.
"""

from typing import Final

from services.catalog.adapters.postgres.store import PostgresStore
from services.catalog.domain.publication import PointerKey, Standing
from shared.contracts.definitions import CODEC, BodyPublished, ObjectRemoved, PointerMoved, body_key, content_hash, pointer_key
from shared.contracts.errors import BadKey
from shared.messaging.log import Record
from shared.postgres.pool import Database

_VERSIONS: Final = "SELECT kind, pk::text, version FROM pointers"


class StandingDefinitions:
    """Looks at every record of `catalog.definitions`, and says what is true (see `shared.postgres.repeating.Repeating`)."""

    def __init__(self, database: Database, store: PostgresStore) -> None:
        self._database = database
        self._store = store
        self._standing: dict[PointerKey, Standing] = {}

    def look(self, record: Record) -> int | None:
        """The version of what a record says; a body has none, its hash proves it. `BadRecord` if it is not the catalog's."""
        if record.value is None:
            match (record.key or b"").decode(errors="replace").split("/"):
                case ["pointer", kind, pk]:
                    self._standing = {key: one for key, one in self._standing.items() if key != (kind, pk)}
                case _:
                    pass
            return None
        match CODEC.decode(record).body:
            case PointerMoved() | ObjectRemoved() as told if record.key == pointer_key(told.kind, told.pk).encode():
                known = self._standing.get((told.kind, told.pk))
                if known is None or told.version >= known.version:
                    self._standing[told.kind, told.pk] = Standing(told.version, there=isinstance(told, PointerMoved))
                return told.version
            case BodyPublished() as told if record.key == body_key(content_hash(told.kind, told.content)).encode():
                return None
            case _:
                raise BadKey

    async def is_ahead(self) -> bool:
        """Whether the log knows more than PostgreSQL."""
        held = {(row["kind"], row["pk"]): row["version"] for row in await self._database.fetch(_VERSIONS)}
        return any(one.version > held[key] if key in held else one.there for key, one in self._standing.items())

    async def say_again(self) -> None:
        """Say everything that is current once more, so that it is believed."""
        await self._store.tell_again(self._standing)
