"""The commands that keep data safe: change the master key. What they do is in `resources/`."""

import typer

from dagster_project.printing import JsonOption, say
from resources.key_ring import KeyRing

key_app = typer.Typer(no_args_is_help=True, help="The master key that objects and backups are encrypted with.")


@key_app.command()
def rotate(as_json: JsonOption = False) -> None:
    """Wrap all data keys with a new master key: a new file, or what TEXTMILL_MASTER_KEY says now. Encrypted bytes stay as they are."""
    from dagster_project.environments import build_resources, read_environment, read_project

    environment = read_environment()
    resources = build_resources(environment, read_project(environment))
    masters, stores = resources["master_keys"], [resources["object_store"]]
    masters.renew()
    say([{"store": store.url(""), **rewrap(store.ring), "wrapped_by": masters.current().name} for store in stores], as_json)


def rewrap(ring: KeyRing) -> dict[str, int]:
    """Wrap all data keys of a store anew, and have a fresh one seal what comes; none is made where there was none."""
    rewrapped = ring.rewrap()
    if rewrapped:
        ring.add()
    return {"data_keys": rewrapped}
