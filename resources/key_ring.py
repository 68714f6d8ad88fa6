"""Data keys, wrapped by the master key, as small objects beside what they seal.

Changing the master key wraps the data keys anew and leaves the sealed objects as they are. How an object is sealed: `envelope.py`.
"""

import base64
import json
import secrets
from datetime import UTC, datetime

from uuid6 import uuid7

from resources.envelope import KEY_BYTES, DataKey
from resources.master_key import MasterKeys
from resources.object_store import ObjectStore, ObjectStoreError

KEYS = "keys/"


class WrongMasterKeyError(ObjectStoreError):
    """No master key that is there wrapped this data key."""


class KeyRing:
    """The data keys of one store.

    Args:
        store: Where wrapped data keys lie, under `keys/`.
        masters: What they are wrapped with.
    """

    def __init__(self, store: ObjectStore, masters: MasterKeys) -> None:
        self._store = store
        self._masters = masters
        self._known: dict[str, DataKey] = {}
        self._newest: DataKey | None = None

    def newest(self) -> DataKey:
        """What new objects are sealed with; the first is made on first use.

        Raises:
            WrongMasterKeyError: The master key is not the one that it was wrapped with.
        """
        if self._newest is None:
            ids = self._ids()
            self._newest = self.find(ids[-1]) if ids else self.add()
        return self._newest

    def find(self, key_id: str) -> DataKey:
        """The data key of an id.

        Raises:
            WrongMasterKeyError: The master key is not the one that it was wrapped with.
            ObjectNotFoundError: There is no such data key; what it sealed is gone for good.
        """
        if key_id not in self._known:
            record = json.loads(self._store.get(_key_of(key_id)))
            self._known[key_id] = DataKey(key_id, self._unwrap(record))
        return self._known[key_id]

    def add(self) -> DataKey:
        """Make a data key, which seals new objects from now on."""
        made = DataKey(uuid7().hex, secrets.token_bytes(KEY_BYTES))
        self._keep(made)
        self._known[made.key_id] = self._newest = made
        return made

    def rewrap(self) -> int:
        """Wrap every data key with the present master key; returns how many. It can be cut short and done again.

        Raises:
            WrongMasterKeyError: A data key is wrapped with none of the keys that are there; that one stays as it is.
        """
        ids = self._ids()
        for key_id in ids:
            self._keep(self.find(key_id))
        return len(ids)

    def _ids(self) -> list[str]:
        return [found.key.removeprefix(KEYS).removesuffix(".json") for found in self._store.list(KEYS)]

    def _keep(self, key: DataKey) -> None:
        master = self._masters.current()
        wrapped = base64.b64encode(master.wrap(key.secret, key.key_id)).decode()
        record = {"key_id": key.key_id, "wrapped_by": master.name, "wrapped_at": datetime.now(UTC).isoformat(), "wrapped": wrapped}
        self._store.put(_key_of(key.key_id), json.dumps(record, indent=2).encode())

    def _unwrap(self, record: dict[str, str]) -> bytes:
        masters = self._masters.accepted()
        for master in masters:
            secret = master.unwrap(base64.b64decode(record["wrapped"]), record["key_id"])
            if secret is not None:
                return secret
        raise WrongMasterKeyError(
            f"expected the master key {record['wrapped_by']}, which {self._store.url(_key_of(record['key_id']))} is wrapped with, found "
            f"{', '.join(master.name for master in masters)}; set TEXTMILL_MASTER_KEY (or put master.key back), or name the former key in "
            "TEXTMILL_MASTER_KEY_PREVIOUS; a key service that refuses counts as another key, so check its rights, too"
        )


def _key_of(key_id: str) -> str:
    return f"{KEYS}{key_id}.json"
