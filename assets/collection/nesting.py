"""Records within records: fields that a path reaches, and the messages of chats and tickets."""

from collections.abc import Iterable, Iterator

from assets.collection.formats import Record, Refusal, value_at
from assets.source_settings import FieldMapping

MESSAGE_ID, THREAD_ID, THREAD_TITLE = "\0message_id", "\0thread_id", "\0thread_title"
"""Fields that a message gets; no field of a record can be called so by accident."""


def nested_records(outcomes: Iterable[Record | Refusal], names: FieldMapping) -> Iterator[Record | Refusal]:
    """The records with every field that a path reaches; in place of a thread its messages.

    Args:
        outcomes: Records as they were read, and refusals, which stay as they are.
        names: Which field holds what.
    """
    paths = [name for name in names.field_names() if "." in name]
    for outcome in outcomes:
        if names.messages and isinstance(outcome, Record):
            yield from (_reach(message, paths) for message in _messages(outcome, names))
        else:
            yield _reach(outcome, paths)


def names_of_messages(names: FieldMapping) -> FieldMapping:
    """Which field of a message, as `nested_records` gives it, holds what."""
    title = THREAD_TITLE if names.title else None
    return names.model_copy(update={"external_id": MESSAGE_ID, "parent_id": THREAD_ID, "title": title})


def _reach(outcome: Record | Refusal, paths: list[str]) -> Record | Refusal:
    """The record with a field for every path, unless it has a field of that very name."""
    if isinstance(outcome, Refusal) or not paths:
        return outcome
    reached = {path: value_at(outcome.fields, path) for path in paths if path not in outcome.fields}
    return Record(outcome.locator, {**outcome.fields, **reached})


def _messages(thread: Record, names: FieldMapping) -> Iterator[Record | Refusal]:
    """One outcome per message. Its id is that of the thread with its own, or with its place where it has none."""
    messages, thread_id = value_at(thread.fields, names.messages or ""), value_at(thread.fields, names.parent_id or "")
    if not isinstance(messages, list):
        yield Refusal(thread.locator, "missing_messages", f"expected a list of messages, found {type(messages).__name__}")
        return
    if not isinstance(thread_id, (str, int)) or thread_id == "":
        yield Refusal(thread.locator, "missing_thread_id", f"expected an id of the thread, found {type(thread_id).__name__}")
        return
    for number, message in enumerate(messages, start=1):
        locator = f"{thread.locator} message {number}"
        if not isinstance(message, dict):
            yield Refusal(locator, "not_an_object", f"expected a message as an object, found {type(message).__name__}")
            continue
        own = value_at(message, names.external_id) if names.external_id else None
        name = own if isinstance(own, (str, int)) and own != "" else number
        about = {MESSAGE_ID: f"{thread_id}#{name}", THREAD_ID: str(thread_id), THREAD_TITLE: value_at(thread.fields, names.title or "")}
        yield Record(locator, {**message, **about})
