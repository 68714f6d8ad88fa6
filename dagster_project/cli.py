"""The `textmill` command: thin commands over the same definitions that the UI runs. `--json` prints for programs."""

import json
import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from dagster_project.access_commands import audit_app, serve_data, sql, token_app
from dagster_project.configuration import ConfigurationError
from dagster_project.label_commands import label_app, webhook
from dagster_project.model_commands import MODEL_COMMANDS
from dagster_project.printing import JsonOption, say
from dagster_project.safety_commands import erase, key_app, pseudonym, restore
from dagster_project.search_command import search
from dagster_project.server_commands import secrets
from dagster_project.servers import run_until_stopped

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="From collected text to models that can be trusted.")
ARCHIVES = ".textmill/archives"


@app.command()
def setup(gpu_slots: Annotated[int, typer.Option(help="Trainings at a time.")] = 1, as_json: JsonOption = False) -> None:
    """Prepare storage, pool limits and schedules; repair what a power cut left behind. Safe to repeat."""
    from dagster_project.environments import build_resources, read_environment, read_project
    from dagster_project.instance import set_up

    environment = read_environment()
    report = set_up(environment, build_resources(environment, read_project(environment))["lakehouse"], gpu_slots)
    say([{"home": environment.home, "reaped_runs": len(report.reaped_runs), "orphan_files": report.orphan_files}], as_json)


@app.command("run")
def run_command(
    job: Annotated[str, typer.Argument(help="refresh, retrain, everything, search, study, issues, back_up, compact or report")],
    full_refresh: Annotated[bool, typer.Option("--full-refresh", help="Recompute everything.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run a job over all sources in this process, with progress."""
    raise typer.Exit(0 if run_and_report(job, as_json, full_refresh=full_refresh) else 1)


@app.command()
def replay(source: Annotated[str, typer.Argument(help="Name of a source.")], as_json: JsonOption = False) -> None:
    """Parse a source's stored bytes again with today's parser, without a single request."""
    raise typer.Exit(0 if run_and_report("refresh", as_json, replay_sources=[source]) else 1)


@app.command()
def backup(as_json: JsonOption = False) -> None:
    """Copy what is new to TEXTMILL_BACKUP_URL, encrypted, and prove the backup by restoring it on trial."""
    raise typer.Exit(0 if run_and_report("back_up", as_json) else 1)


@app.command()
def demo() -> None:
    """Prepare the demo's sources, run the whole graph and print the headline of the report."""
    from dagster_project.environments import read_environment

    environment = read_environment()
    with ExitStack() as stack:
        serve_demo_sources(stack)
        if not run_and_report("everything", as_json=False):
            raise typer.Exit(1)
    report()
    print(f"\nOpen the UI with `make dev`: http://127.0.0.1:3000. Everything lies in {environment.home}.")


@app.command()
def dev(
    port: Annotated[int, typer.Option(help="Port of the UI.")] = 3000,
    with_demo: Annotated[bool, typer.Option("--demo", help="Also serve the demo's newspaper.")] = False,
) -> None:
    """Open the Dagster UI, with daemon, on the loopback interface."""
    from dagster_project.environments import REPOSITORY, read_environment
    from dagster_project.instance import open_instance

    setup(as_json=False)
    open_instance(read_environment())
    command = [str(Path(sys.executable).with_name("dagster")), "dev", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)]
    with ExitStack() as stack:
        if with_demo:
            serve_demo_sources(stack)
        raise typer.Exit(run_until_stopped(command, REPOSITORY))


@app.command()
def check(as_json: JsonOption = False) -> None:
    """Check the project file."""
    from dagster_project.environments import read_environment, read_project

    environment = read_environment()
    project = read_project(environment)
    say([{"config": environment.config, "source": source.name, "kind": source.kind} for source in project.sources], as_json)


@app.command()
def catalog(check: Annotated[bool, typer.Option("--check", help="Write nothing; fail when a document is not current.")] = False) -> None:
    """Write docs/asset_catalog.md and docs/configuration.md from the code."""
    from dagster_project.catalog import describe, stale_documents, write_documents
    from dagster_project.definitions import build_definitions
    from dagster_project.environments import REPOSITORY, read_environment

    pages = describe(build_definitions(read_environment({})))
    stale = stale_documents(pages, REPOSITORY / "docs")
    if not check:
        write_documents(pages, REPOSITORY / "docs")
    print("\n".join(f"docs/{name}: {'not current; run make catalog' if check else 'written'}" for name in stale) or "docs: all current")
    raise typer.Exit(1 if check and stale else 0)


@app.command()
def status(as_json: JsonOption = False) -> None:
    """The newest increment of every step."""
    from assets.schemas import TABLES

    lakehouse = resource("lakehouse")
    rows = []
    for producer in dict.fromkeys(table.producer for table in TABLES.values()):
        newest = {increment.partition: increment for increment in lakehouse.increments(producer)}
        for partition, increment in sorted(newest.items()):
            counts = increment.counts
            rows.append(
                {
                    "asset": f"{producer}[{partition}]" if partition else producer,
                    "state": increment.state,
                    "in": counts.rows_in,
                    "out": counts.rows_out,
                    "rejected": counts.rows_rejected,
                    "skipped": counts.rows_skipped,
                    "at": increment.created_at.strftime("%Y-%m-%d %H:%M"),
                }
            )
    say(rows, as_json)


@app.command()
def show(
    table: Annotated[str, typer.Argument(help="Name of a table.")],
    limit: Annotated[int, typer.Option(help="Most rows.")] = 10,
    as_json: JsonOption = False,
) -> None:
    """Rows of a published table, texts included."""
    from assets.schemas import TABLES

    if table not in TABLES:
        raise ConfigurationError(f"Expected a table out of {sorted(TABLES)}, found {table!r}.")
    frame = resource("lakehouse").read(f"SELECT * FROM {table} LIMIT $limit", {"limit": limit})
    say([{str(key): value for key, value in row.items()} for row in frame.to_dict("records")], as_json)


@app.command()
def samples(
    rule: Annotated[str | None, typer.Argument(help="Only this rule: repaired, personal_data, or a reason of rejected_documents.")] = None,
    limit: Annotated[int, typer.Option(help="Most documents of each rule.")] = 10,
    as_json: JsonOption = False,
) -> None:
    """What cleaning changed and refused: a few texts of each rule, as they came and as they are."""
    from services.queries import sample_rules

    say(sample_rules(resource("lakehouse"), rule, limit), as_json)


@app.command()
def why(document_id: Annotated[str, typer.Argument(help="Id of a document or of a model.")], as_json: JsonOption = True) -> None:
    """Trace a document (or a model): raw bytes, revisions, refusal or cluster, votes, label, data set, and the increments behind them."""
    from services.model_queries import trace_model
    from services.queries import trace_document

    is_model = document_id.startswith("model-")
    traced = trace_model(resource("lakehouse"), resource("object_store"), document_id) if is_model else None
    say([traced or trace_document(resource("lakehouse"), document_id)], as_json)


@app.command()
def report(as_json: JsonOption = False) -> None:
    """Headline of the newest evaluation report, and where the report lies."""
    from services.queries import newest_report

    found = newest_report(resource("lakehouse"), resource("object_store"))
    if as_json:
        print(json.dumps(asdict(found), ensure_ascii=False, indent=2))
        return
    print(f"\n{found.headline}\n\nReport: {found.location}")


for command in (*MODEL_COMMANDS, search, webhook, serve_data, sql, restore, erase, pseudonym, secrets):
    app.command()(command)
app.add_typer(label_app, name="label")
app.add_typer(token_app, name="token")
app.add_typer(audit_app, name="audit")
app.add_typer(key_app, name="key")


def resource(role: str) -> Any:  # noqa: ANN401  # one of several kinds, by role
    """A resource of the present environment."""
    from dagster_project.environments import build_resources, read_environment, read_project

    environment = read_environment()
    return build_resources(environment, read_project(environment))[role]


def serve_demo_sources(stack: ExitStack) -> None:
    """Prepare the demo's corpora and serve its newspaper until the stack is closed."""
    from dagster_project.demo import prepare_demo
    from dagster_project.demo_reviews import prepare_reviews
    from dagster_project.demo_server import serve_demo
    from dagster_project.environments import REPOSITORY, read_environment

    environment = read_environment()
    prepare_demo(environment.home, REPOSITORY / ARCHIVES)
    prepare_reviews(environment.home, REPOSITORY / ARCHIVES)
    stack.enter_context(serve_demo(environment.home, environment.demo_port))


def run_and_report(job: str, as_json: bool, **options: Any) -> bool:  # noqa: ANN401  # options of `run_job`
    """Run a job, print what every asset did and what went wrong; whether all went well."""
    from dagster_project.definitions import build_definitions
    from dagster_project.environments import build_resources, read_environment, read_project
    from dagster_project.instance import open_instance, set_up
    from dagster_project.runs import run_job

    environment = read_environment()
    project = read_project(environment)
    resources = build_resources(environment, project)
    set_up(environment, resources["lakehouse"])
    with open_instance(environment) as instance:
        outcome = run_job(build_definitions(environment, resources), project, instance, job, **options)
    if as_json:
        print(json.dumps(asdict(outcome), ensure_ascii=False, indent=2))
        return outcome.succeeded
    print()
    say(
        [
            {"stage": step.group, "asset": step.asset, "seconds": f"{step.seconds:.1f}", "what happened": step.summary}
            for step in outcome.steps
        ],
        as_json,
    )
    for step, error in outcome.failed_steps.items():
        print(f"\nFAILED {step}: {error}", file=sys.stderr)
    for failed in outcome.failed_checks:
        print(f"CHECK FAILED {failed}", file=sys.stderr)
    for message in outcome.check_messages:
        print(f"CHECK SAYS {message}", file=sys.stderr)
    print(f"\n{'done' if outcome.succeeded else 'FAILED'} in {outcome.seconds:.0f} s")
    return outcome.succeeded


def main() -> None:
    """Entry point: errors that users can mend are printed without a traceback."""
    from assets.training.manifests import ModelFolderError
    from dagster_project.demo import DemoError
    from resources.backups import BackupError
    from resources.key_file import KeyFileError
    from resources.lakehouse import LakehouseError
    from resources.master_key import MasterKeyError
    from resources.object_store import ObjectStoreError
    from resources.search_engine import SearchIndexError

    try:
        app()
    except (
        BackupError,
        ConfigurationError,
        DemoError,
        KeyFileError,
        LakehouseError,
        MasterKeyError,
        ModelFolderError,
        ObjectStoreError,
        SearchIndexError,
        LookupError,
        ValueError,
    ) as error:
        print(f"textmill: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
