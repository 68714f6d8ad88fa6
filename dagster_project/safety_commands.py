"""The commands that keep data safe: restore a backup, change the master key. What they do is in `resources/`."""

from typing import Annotated

import typer

from dagster_project.model_commands import open_resources
from dagster_project.printing import JsonOption, say
from resources.encrypted_object_store import EncryptedObjectStore

key_app = typer.Typer(no_args_is_help=True, help="The master key that objects and backups are encrypted with.")


def restore(
    backup_id: Annotated[str | None, typer.Argument(help="Id of a backup; the newest by default.")] = None,
    list_only: Annotated[bool, typer.Option("--list", help="Print the backups, and restore nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Bring a backup back into an empty TEXTMILL_HOME: lakehouse, votes, models, data sets, collected bytes."""
    resources = open_resources()
    backups = resources["backups"]
    if list_only:
        say([{"backup_id": found} for found in backups.ids()], as_json)
        return
    manifest = backups.find(backup_id)
    objects = backups.restore(manifest, resources["lakehouse"].place, resources["object_store"])
    resources["index"].clear()  # the next refresh fills it from the lakehouse
    rows = sum(table.rows for table in manifest.tables.values())
    done = {"backup_id": manifest.backup_id, "tables": len(manifest.tables), "rows": rows, "objects_brought_back": objects}
    say([done], as_json)


@key_app.command()
def rotate(as_json: JsonOption = False) -> None:
    """Wrap all data keys with a new master key: a new file, or what TEXTMILL_MASTER_KEY says now. Encrypted bytes stay as they are."""
    resources = open_resources()
    masters, stores = resources["master_keys"], [resources["object_store"]]
    stores += [resources["backups"].store] if resources["backups"].is_on else []
    masters.renew()
    say([{"store": store.url(""), "data_keys": rewrap(store), "wrapped_by": masters.current().name} for store in stores], as_json)


def rewrap(store: EncryptedObjectStore) -> int:
    """Wrap all data keys of a store anew, and have a fresh one seal what comes; none is made where there was none. Returns how many."""
    rewrapped = store.ring.rewrap()
    if rewrapped:
        store.ring.add()
    return rewrapped
