"""Where does the sandbox keep its state? In memory, and in one SQLite file when it is given one."""

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel


class Record(BaseModel):
    """One thing a platform remembers. `account_id` is how a table finds the things of one account."""

    id: str
    account_id: str = ""


R = TypeVar("R", bound=Record)


class Store:
    """Writes each changed record through to SQLite; reading back happens once, when a table opens."""

    def __init__(self, path: Path | None = None) -> None:
        self.lock = threading.RLock()
        self._file = self._open(path) if path else None

    @staticmethod
    def _open(path: Path) -> sqlite3.Connection:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        file.execute("PRAGMA journal_mode=WAL")
        # A killed sandbox keeps all it answered; only a power cut may lose the last moments, and it is a sandbox.
        file.execute("PRAGMA synchronous=NORMAL")
        file.execute(
            "CREATE TABLE IF NOT EXISTS records "
            "(seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT, id TEXT, body TEXT, UNIQUE (kind, id))"
        )
        return file

    def load(self, kind: str) -> Iterator[str]:
        if self._file:
            rows = self._file.execute("SELECT body FROM records WHERE kind = ? ORDER BY seq", (kind,))
            for (body,) in rows.fetchall():
                yield str(body)

    def write(self, kind: str, record: Record) -> None:
        if self._file:
            self._file.execute(
                "INSERT INTO records (kind, id, body) VALUES (?, ?, ?) "
                "ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
                (kind, record.id, record.model_dump_json()),
            )

    def erase(self, kind: str, record_id: str) -> None:
        if self._file:
            self._file.execute("DELETE FROM records WHERE kind = ? AND id = ?", (kind, record_id))

    def close(self) -> None:
        if self._file:
            self._file.close()
            self._file = None


class Table(Generic[R]):
    """All records of one kind, in the order they came, found by id or by account."""

    def __init__(self, store: Store, kind: str, model: type[R]) -> None:
        self._store = store
        self._kind = kind
        self._rows: dict[str, R] = {}
        self._by_account: dict[str, dict[str, R]] = {}
        for body in store.load(kind):
            self._index(model.model_validate_json(body))

    def _index(self, record: R) -> None:
        self._rows[record.id] = record
        self._by_account.setdefault(record.account_id, {})[record.id] = record

    def put(self, record: R) -> R:
        with self._store.lock:
            self._index(record)
            self._store.write(self._kind, record)
        return record

    def get(self, record_id: str) -> R | None:
        return self._rows.get(record_id)

    def of(self, account_id: str) -> list[R]:
        with self._store.lock:
            return list(self._by_account.get(account_id, {}).values())

    def all(self) -> list[R]:
        with self._store.lock:
            return list(self._rows.values())

    def drop(self, record: R) -> None:
        with self._store.lock:
            self._rows.pop(record.id, None)
            self._by_account.get(record.account_id, {}).pop(record.id, None)
            self._store.erase(self._kind, record.id)

    def __len__(self) -> int:
        return len(self._rows)
