"""Which resources the graph runs with: the only place that reads environment variables.

Two environments: `embedded`, a folder on this machine and no server, and `server`, Postgres and S3. `.env.example` lists every variable.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from assets.project import Project
from assets.schemas import TABLES
from dagster_project.configuration import ConfigurationError, load_project
from dagster_project.s3_settings import OBJECT_STORE_VARIABLE, read_download_endpoint, read_server_encryption
from dagster_project.search_settings import SearchServer, open_search, read_search_server
from dagster_project.secret_files import take_secret_files
from resources.backups import Backups
from resources.compute import LocalCompute
from resources.encrypted_object_store import EncryptedObjectStore
from resources.key_ring import KeyRing
from resources.labeling_server import LabelingServer, LabelingServerError, Webhook, open_labeling_server
from resources.lake_place import EmbeddedPlace, LakePlace
from resources.lakehouse import Lakehouse
from resources.language_model import LanguageModel, LanguageModelError, open_language_model
from resources.master_key import MasterKeyError, MasterKeys
from resources.model_tracking import ModelTracking, TrackingError, open_model_tracking
from resources.notices import Notices
from resources.object_store import ObjectStore, ObjectStoreError, ServerEncryption, open_object_store
from resources.postgres_address import PostgresAddress, PostgresAddressError, parse_postgres_address
from resources.pseudonym_key import PseudonymKey, PseudonymKeyError
from resources.timed_object_store import TimedObjectStore
from resources.timings import Timings

if TYPE_CHECKING:
    from resources.access_store import AccessKey, AccessStore
    from resources.audit_log import AuditLog

DEFAULT_CONFIG = "config/demo.yaml"
DEFAULT_HOME = ".textmill"
DEFAULT_DEMO_PORT = 8731
MLFLOW_VARIABLE = "TEXTMILL_MLFLOW_URI"
LABEL_STUDIO_VARIABLE = "TEXTMILL_LABEL_STUDIO_URL"
WEBHOOK_URL_VARIABLE, WEBHOOK_SECRET_VARIABLE = "TEXTMILL_WEBHOOK_URL", "TEXTMILL_WEBHOOK_SECRET"  # the variables' names
LLM_KEY_VARIABLE = "TEXTMILL_LLM_API_KEY"  # the variable's name
PSEUDONYM_KEY_VARIABLE = "TEXTMILL_PSEUDONYM_KEY"  # the variable's name
ACCESS_KEY_VARIABLE = "TEXTMILL_ACCESS_KEY"  # the variable's name
MASTER_KEY_VARIABLE, PREVIOUS_KEY_VARIABLE = "TEXTMILL_MASTER_KEY", "TEXTMILL_MASTER_KEY_PREVIOUS"  # the variables' names
KMS_ENDPOINT_VARIABLE = "TEXTMILL_KMS_ENDPOINT"
CATALOG_URL_VARIABLE, CATALOG_SCHEMA_VARIABLE, LAKE_URL_VARIABLE = "TEXTMILL_CATALOG_URL", "TEXTMILL_CATALOG_SCHEMA", "TEXTMILL_LAKE_URL"
DEFAULT_CATALOG_SCHEMA = "textmill"
BACKUP_URL_VARIABLE, BACKUP_ENDPOINT_VARIABLE = "TEXTMILL_BACKUP_URL", "TEXTMILL_BACKUP_ENDPOINT"
LABEL_STUDIO_TOKEN_VARIABLE = "TEXTMILL_LABEL_STUDIO_TOKEN"  # the variable's name
MLFLOW_SETTINGS = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
LEAST_SECRET_CHARS = 16
# Collected bytes and answers of people are sealed. Data sets, models and reports are made for other programs to open, and stay as they are.
SEALED_PREFIXES = ("raw/", "labels/")
SCHEMA_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class ServerLake:
    """Where the lakehouse lies on servers.

    Attributes:
        catalog: The database of its catalog, and of Dagster's storage.
        schema: Schema of the catalog.
        url: `s3://bucket/prefix` of its data files.
    """

    catalog: PostgresAddress
    schema: str
    url: str


@dataclass(frozen=True)
class Environment:
    """Where textmill runs.

    Attributes:
        name: `TEXTMILL_ENV`.
        home: `TEXTMILL_HOME`: the folder of everything that textmill writes.
        config: `TEXTMILL_CONFIG`: the project file.
        variables: What the project file may name as `${NAME}`.
        object_store_url: `TEXTMILL_OBJECT_STORE_URL`: where raw bytes, data sets and models are kept.
        object_store_endpoint: `TEXTMILL_OBJECT_STORE_ENDPOINT`: address of an S3-compatible server.
        object_store_encryption: `TEXTMILL_OBJECT_STORE_ENCRYPTION`, `TEXTMILL_OBJECT_STORE_KMS_KEY`: what that server encrypts with.
        download_endpoint: `TEXTMILL_DOWNLOAD_ENDPOINT`: address at which those who download data sets reach that server; None if not.
        demo_port: `TEXTMILL_DEMO_PORT`: loopback port of the demo's newspaper.
        mlflow_uri: `TEXTMILL_MLFLOW_URI`: where models are shown besides the lakehouse; None shows them nowhere.
        label_studio_url: `TEXTMILL_LABEL_STUDIO_URL`: where people label in a browser; None asks nobody.
        label_studio_token: `TEXTMILL_LABEL_STUDIO_TOKEN`: a token of it; the project file cannot name it.
        webhook: `TEXTMILL_WEBHOOK_URL`, `TEXTMILL_WEBHOOK_SECRET`: where the labeling server says that somebody annotated; None nowhere.
        llm_api_key: `TEXTMILL_LLM_API_KEY`: key of the language model that votes; the project file cannot name it.
        pseudonym_key: `TEXTMILL_PSEUDONYM_KEY`: secret of pseudonyms; None makes one and keeps it. The project file cannot name it.
        access_store_url: `TEXTMILL_ACCESS_STORE_URL`: where tokens and audit log are kept; None keeps them in `home`.
        lake: `TEXTMILL_CATALOG_URL`, `TEXTMILL_CATALOG_SCHEMA`, `TEXTMILL_LAKE_URL`: where the lakehouse of `server` lies; None in `home`.
        access_key: `TEXTMILL_ACCESS_KEY`: secret of the audit log; None makes one and keeps it. The project file cannot name it.
        master_key: `TEXTMILL_MASTER_KEY`: what objects are encrypted with; None makes one and keeps it. The project file cannot name it.
        previous_master_key: `TEXTMILL_MASTER_KEY_PREVIOUS`: the one before, until `textmill key rotate` is done.
        kms_endpoint: `TEXTMILL_KMS_ENDPOINT`: address of a key management service with the interface of AWS KMS.
        backup_url: `TEXTMILL_BACKUP_URL`: where backups lie; None makes none.
        backup_endpoint: `TEXTMILL_BACKUP_ENDPOINT`: address of an S3-compatible server for them.
        search: `TEXTMILL_SEARCH_URL`, `TEXTMILL_SEARCH_INDEX`: where full-text search runs; None in `home`.
    """

    name: str
    home: Path
    config: Path
    variables: Mapping[str, str]
    object_store_url: str
    object_store_endpoint: str | None
    demo_port: int
    object_store_encryption: ServerEncryption | None = None
    download_endpoint: str | None = None
    mlflow_uri: str | None = None
    label_studio_url: str | None = None
    label_studio_token: str | None = field(default=None, repr=False)
    llm_api_key: str | None = field(default=None, repr=False)
    pseudonym_key: str | None = field(default=None, repr=False)
    master_key: str | None = field(default=None, repr=False)
    previous_master_key: str | None = field(default=None, repr=False)
    kms_endpoint: str | None = None
    backup_url: str | None = None
    backup_endpoint: str | None = None
    webhook: Webhook | None = None
    access_store_url: str | None = field(default=None, repr=False)
    access_key: str | None = field(default=None, repr=False)
    lake: "ServerLake | None" = None
    search: SearchServer | None = None

    @property
    def dagster_home(self) -> Path:
        """Folder of Dagster's own storage."""
        return self.home / "dagster"


def read_environment(variables: Mapping[str, str] | None = None) -> Environment:
    """The environment described by environment variables (by default, this process's).

    Secrets in files (`NAME_FILE`) become variables of this process, where Dagster and clients of databases look for them, too.

    Raises:
        ConfigurationError: `TEXTMILL_ENV` names no environment, or a value is unusable.
    """
    found = os.environ if variables is None else dict(variables)
    take_secret_files(found)
    given = dict(found)
    name = given.get("TEXTMILL_ENV", "embedded")
    if name not in RESOURCES:
        raise ConfigurationError(f"TEXTMILL_ENV: expected one of {sorted(RESOURCES)}, found {name!r}")
    home = _absolute(given.get("TEXTMILL_HOME") or DEFAULT_HOME)
    port = given.get("TEXTMILL_DEMO_PORT") or str(DEFAULT_DEMO_PORT)
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigurationError(f"TEXTMILL_DEMO_PORT: expected a port from 1 to 65535, found {port!r}")
    token, key = given.pop(LABEL_STUDIO_TOKEN_VARIABLE, None), given.pop(LLM_KEY_VARIABLE, None)
    pseudonym_key, access_key = given.pop(PSEUDONYM_KEY_VARIABLE, None), given.pop(ACCESS_KEY_VARIABLE, None)
    access_store_url = given.pop("TEXTMILL_ACCESS_STORE_URL", None)
    master_key, previous_master_key = given.pop(MASTER_KEY_VARIABLE, None), given.pop(PREVIOUS_KEY_VARIABLE, None)
    webhook, search = _read_webhook(given), read_search_server(given)
    catalog_url = given.pop(CATALOG_URL_VARIABLE, "")
    return Environment(
        name=name,
        home=home,
        config=_absolute(given.get("TEXTMILL_CONFIG") or DEFAULT_CONFIG),
        variables=given | {"TEXTMILL_HOME": str(home), "TEXTMILL_DEMO_PORT": port},
        object_store_url=given.get("TEXTMILL_OBJECT_STORE_URL") or (home / "objects").as_uri(),
        object_store_endpoint=given.get("TEXTMILL_OBJECT_STORE_ENDPOINT") or None,
        object_store_encryption=read_server_encryption(given),
        download_endpoint=read_download_endpoint(given),
        demo_port=int(port),
        mlflow_uri=given.get(MLFLOW_VARIABLE) or None,
        label_studio_url=given.get(LABEL_STUDIO_VARIABLE) or None,
        label_studio_token=token or None,
        llm_api_key=key or None,
        pseudonym_key=pseudonym_key or None,
        master_key=master_key or None,
        previous_master_key=previous_master_key or None,
        kms_endpoint=given.get(KMS_ENDPOINT_VARIABLE) or None,
        backup_url=given.get(BACKUP_URL_VARIABLE) or None,
        backup_endpoint=given.get(BACKUP_ENDPOINT_VARIABLE) or None,
        webhook=webhook,
        access_store_url=access_store_url or None,
        access_key=access_key or None,
        lake=_read_server_lake(given, catalog_url) if name == "server" else None,
        search=search,
    )


def _read_server_lake(given: Mapping[str, str], catalog_url: str) -> ServerLake:
    """Where the lakehouse of the environment `server` lies.

    Raises:
        ConfigurationError: A variable is missing or unusable; the message does not repeat the address of the catalog.
    """
    url, schema = given.get(LAKE_URL_VARIABLE, ""), given.get(CATALOG_SCHEMA_VARIABLE) or DEFAULT_CATALOG_SCHEMA
    for variable, value in ((LAKE_URL_VARIABLE, url), (OBJECT_STORE_VARIABLE, given.get(OBJECT_STORE_VARIABLE, ""))):
        if not value.startswith("s3://"):
            raise ConfigurationError(f"{variable}: expected s3://bucket/prefix with TEXTMILL_ENV=server, found {value!r}")
    if not SCHEMA_NAME.fullmatch(schema):
        raise ConfigurationError(f"{CATALOG_SCHEMA_VARIABLE}: expected small letters, digits and _, found {schema!r}")
    here, there = f"{url.rstrip('/')}/", f"{given[OBJECT_STORE_VARIABLE].rstrip('/')}/"
    if here.startswith(there) or there.startswith(here):
        raise ConfigurationError(f"{LAKE_URL_VARIABLE}: expected another place than that of the objects, {there}, found {here}")
    try:
        return ServerLake(parse_postgres_address(catalog_url), schema, url)
    except PostgresAddressError as error:
        raise ConfigurationError(f"{CATALOG_URL_VARIABLE}: {error}") from error


def _read_webhook(given: dict[str, str]) -> Webhook | None:
    """The webhook; its secret is taken out of what the project file may name.

    Raises:
        ConfigurationError: There is an address but no secret of 16 characters or more.
    """
    url, secret = given.get(WEBHOOK_URL_VARIABLE), given.pop(WEBHOOK_SECRET_VARIABLE, "")
    if not url:
        return None
    if len(secret) < LEAST_SECRET_CHARS:
        raise ConfigurationError(
            f"{WEBHOOK_SECRET_VARIABLE}: expected {LEAST_SECRET_CHARS} characters or more beside {WEBHOOK_URL_VARIABLE}"
        )
    return Webhook(url, secret)


def _absolute(path: str) -> Path:
    """A path, relative to the repository and not to wherever a Dagster process was started."""
    return (REPOSITORY / Path(path).expanduser()).resolve()


def read_project(environment: Environment) -> Project:
    """The environment's project."""
    return load_project(environment.config, environment.variables)


def lake_place(environment: Environment) -> LakePlace:
    """Where the lakehouse lies; spilled rows lie in the home in any case."""
    folder, lake = environment.home / "lake", environment.lake
    if lake is None:
        return EmbeddedPlace(folder)
    from resources.s3_object_store import open_s3_object_store
    from resources.server_place import ServerPlace

    address, endpoint = urlsplit(lake.url), environment.object_store_endpoint
    data = open_s3_object_store(address.netloc, address.path.strip("/"), endpoint, environment.object_store_encryption)
    return ServerPlace(folder, lake.catalog, lake.schema, data, endpoint)


def resources_of(environment: Environment, project: Project) -> dict[str, Any]:
    """The resources of the graph by role, the same in every environment; nothing is opened before it is used."""
    master_keys = _open_master_keys(environment)
    timings = Timings()
    object_store = TimedObjectStore(_open_objects(environment), timings)
    sealed = EncryptedObjectStore(object_store, KeyRing(object_store, master_keys), SEALED_PREFIXES)
    return {
        "project": project,
        "lakehouse": Lakehouse(lake_place(environment), list(TABLES.values()), timings=timings),
        "object_store": sealed,
        "backups": _open_backups(environment, master_keys, timings),
        "master_keys": master_keys,
        "index": open_search(environment.search, environment.home, environment.lake.catalog if environment.lake else None),
        "compute": LocalCompute(environment.home / "work"),
        "model_tracking": _open_tracking(environment.mlflow_uri, project.name),
        "labeling_server": _open_server(environment),
        "notices": Notices(environment.home / "notices", environment.webhook is not None),
        "language_model": _open_language_model(environment, project),
        "pseudonym_key": _open_pseudonym_key(environment, sealed),
    }


def _open_objects(environment: Environment) -> ObjectStore:
    """Where objects lie, before anything is sealed."""
    where = (environment.object_store_url, environment.object_store_endpoint)
    return open_object_store(*where, environment.object_store_encryption, environment.download_endpoint)


def _open_tracking(uri: str | None, name: str) -> ModelTracking:
    """Model tracking, with MLflow kept from sending usage reports and from waiting minutes for a server that is down."""
    for variable, value in MLFLOW_SETTINGS.items() if uri else ():
        os.environ.setdefault(variable, value)
    try:
        return open_model_tracking(uri, name)
    except TrackingError as error:
        raise ConfigurationError(f"{MLFLOW_VARIABLE}: {error}") from error


def _open_server(environment: Environment) -> LabelingServer:
    try:
        return open_labeling_server(environment.label_studio_url, environment.label_studio_token, environment.webhook)
    except LabelingServerError as error:
        raise ConfigurationError(f"{LABEL_STUDIO_VARIABLE}: {error}") from error


def _open_pseudonym_key(environment: Environment, objects: ObjectStore) -> PseudonymKey:
    try:
        return PseudonymKey(environment.home / "lake" / "pseudonym.key", environment.pseudonym_key, objects)
    except PseudonymKeyError as error:
        raise ConfigurationError(f"{PSEUDONYM_KEY_VARIABLE}: {error}") from error


def _open_master_keys(environment: Environment) -> MasterKeys:
    file = environment.home / "master.key"
    try:
        return MasterKeys(file, environment.master_key, environment.previous_master_key, environment.kms_endpoint)
    except MasterKeyError as error:
        raise ConfigurationError(f"{MASTER_KEY_VARIABLE}: {error}") from error


def _open_backups(environment: Environment, master_keys: MasterKeys, timings: Timings) -> Backups:
    """The backups, everything of them sealed.

    Raises:
        ConfigurationError: The address is none, or lies where the objects lie, or the other way round: backups would hold themselves.
    """
    scratch, url = environment.home / "work", environment.backup_url
    if url is None:
        return Backups(None, scratch)
    here, there = (f"{address.rstrip('/')}/" for address in (environment.object_store_url, url))
    same_server = url.startswith("file:") or environment.backup_endpoint == environment.object_store_endpoint
    if same_server and (here.startswith(there) or there.startswith(here)):
        raise ConfigurationError(f"{BACKUP_URL_VARIABLE}: expected another place than that of the objects, {here}, found {there}")
    try:
        store = TimedObjectStore(open_object_store(url, environment.backup_endpoint), timings, "backups")
    except ObjectStoreError as error:
        raise ConfigurationError(f"{BACKUP_URL_VARIABLE}: {error}") from error
    return Backups(EncryptedObjectStore(store, KeyRing(store, master_keys), ("",)), scratch)


def _open_language_model(environment: Environment, project: Project) -> LanguageModel:
    settings = project.labeling.llm
    if settings is None:
        return open_language_model(None, "", None)
    try:
        return open_language_model(settings.url, settings.model, environment.llm_api_key, settings.timeout_seconds)
    except LanguageModelError as error:
        raise ConfigurationError(f"labeling.llm.url: {error}") from error


RESOURCES: dict[str, Callable[[Environment, Project], dict[str, Any]]] = {"embedded": resources_of, "server": resources_of}


def build_resources(environment: Environment, project: Project) -> dict[str, Any]:
    """The resources of an environment, by role."""
    return RESOURCES[environment.name](environment, project)


def open_access(environment: Environment) -> tuple["AccessStore", "AuditLog", "AccessKey"]:
    """Tokens, audit log and their key: of the data access API only, so not among the resources of the graph.

    Raises:
        ConfigurationError: The given key is too short.
    """
    from resources.access_store import AccessKey, AccessKeyError, AccessStore
    from resources.audit_log import AuditLog

    folder = environment.home / "access"
    url = environment.access_store_url or f"sqlite:///{folder / 'access.sqlite'}"
    try:
        key = AccessKey(folder / "access.key", environment.access_key)
    except AccessKeyError as error:
        raise ConfigurationError(f"{ACCESS_KEY_VARIABLE}: {error}") from error
    return AccessStore(url), AuditLog(url, key, folder / "audit.head"), key
