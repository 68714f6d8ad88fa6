"""The commands that keep data safe: restore a backup, erase, change the master key. What they do is in `resources/` and `services/`."""

import getpass
from typing import Annotated

import typer

from dagster_project.model_commands import open_resources
from dagster_project.printing import JsonOption, say
from resources.encrypted_object_store import EncryptedObjectStore

key_app = typer.Typer(no_args_is_help=True, help="The master key that objects and backups are encrypted with.")


def erase(
    subject: Annotated[str | None, typer.Argument(help="document:ID, author:PSEUDONYM or source:NAME.")] = None,
    reason: Annotated[str, typer.Option(help="Why, for the proof; no personal data.")] = "",
    with_copies: Annotated[bool, typer.Option(help="Take documents along that were refused as duplicates.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    list_only: Annotated[bool, typer.Option("--list", help="Print the erasures so far, or those of the subject; erase nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove documents from every place that holds them, and keep them from coming back. What it cannot reach: docs/safety.md."""
    from services.erasure import erase as erase_all
    from services.erasure_plan import Subject, plan_erasure
    from services.erasures import describe_proof, list_erasures

    resources = open_resources()
    if list_only:
        wanted = Subject.parse(subject).hash(resources["pseudonym_key"].read()) if subject else None
        say(list_erasures(resources["object_store"], wanted), as_json)
        return
    if subject is None or not reason:
        raise typer.BadParameter("expected a subject and --reason, such as: textmill erase document:ID --reason 'request 12'")
    plan = plan_erasure(resources, Subject.parse(subject), with_copies=with_copies)
    typer.echo(
        f"{len(plan.ids)} documents in {len(plan.objects)} raw objects, {len(plan.versions)} data sets, {len(plan.models)} models; "
        f"{len(plan.copies)} more were refused as their duplicates (--with-copies takes them along); "
        f"{plan.without_bytes} other documents lose their bytes and cannot be parsed again, since the format is not taken apart",
        err=True,
    )
    if not yes:
        backups = " All backups but a new one go, too." if resources["backups"].is_on else ""
        typer.confirm(f"This cannot be undone.{backups} Erase them?", abort=True)
    proof = erase_all(resources, plan, reason, getpass.getuser())
    say([describe_proof(proof)], as_json)
    models = f"models {', '.join(proof.models)} had learnt from them or were judged by them"
    again = f"; {models}: `textmill run retrain` freezes a data set without them and trains anew" if proof.models else ""
    typer.echo(f"`textmill run refresh` makes the search index anew{again}", err=True)


def pseudonym(
    value: Annotated[str | None, typer.Argument(help="A mail address, a name, a handle, a number; asked for if it is not given.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the pseudonym that stands for somebody in texts and as an author, and how many documents hold it: what `erase` is given."""
    from services.erasure_plan import Subject, documents_of, pseudonyms_of

    resources = open_resources()
    found = pseudonyms_of(resources, value if value is not None else typer.prompt("Of whom", hide_input=True))
    held = {name: documents_of(resources, Subject("author", name))["document_id"].nunique() for name in found}
    say([{"subject": f"author:{name}", "documents": documents} for name, documents in held.items()], as_json)


def restore(
    backup_id: Annotated[str | None, typer.Argument(help="Id of a backup; the newest by default.")] = None,
    list_only: Annotated[bool, typer.Option("--list", help="Print the backups, and restore nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Bring a backup back into an empty TEXTMILL_HOME or onto empty servers: all but what was erased since. Also the way between them."""
    from services.erasure import erase_again

    resources = open_resources()
    backups = resources["backups"]
    if list_only:
        say([{"backup_id": found} for found in backups.ids()], as_json)
        return
    manifest = backups.find(backup_id)
    objects = backups.restore(manifest, resources["lakehouse"].place, resources["object_store"])
    resources["index"].erase()  # the next refresh fills it from the lakehouse
    erased = erase_again(resources)
    rows = sum(table.rows for table in manifest.tables.values())
    done = {
        "backup_id": manifest.backup_id,
        "tables": len(manifest.tables),
        "rows": rows,
        "objects_brought_back": objects,
        "erased_again": erased,
    }
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
