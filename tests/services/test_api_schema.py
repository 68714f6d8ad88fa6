"""Requests that schemathesis makes up from the OpenAPI: none ends in an error of the server, and none is answered without a role."""

from itertools import cycle

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

OPEN = "/health"
SIGNED = "/datasets/{version}/files/{name}"
FEW = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
MORE = settings(FEW, max_examples=60)
PATIENCE_SECONDS = 120
CHECKS = [not_a_server_error, status_code_conformance, response_schema_conformance]


@pytest.fixture
def api(api_of):
    return api_of(requests_per_minute=100_000)


def for_each_request(api, token, check):
    """Check many made-up requests to every endpoint; returns the endpoints."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", api.app, headers={"host": "127.0.0.1"})
    headers = {"host": "127.0.0.1", "Authorization": f"Bearer {token}"}
    endpoints = [result.ok() for result in schema.get_all_operations()]
    for endpoint in endpoints:
        FEW(given(endpoint.as_strategy())(lambda case: check(case, headers)))()
    return {endpoint.path for endpoint in endpoints}


def test_no_request_ends_in_an_error_of_the_server_or_outside_the_schema(api):
    def check(case, headers):
        case.call_and_validate(headers=headers, checks=CHECKS, timeout=PATIENCE_SECONDS)

    assert for_each_request(api, api.tokens["admin"], check) == set(api.app.openapi()["paths"])


def test_made_up_answers_about_real_documents_are_taken_whole_or_refused_as_the_schema_says(asking_api_of, asking):
    api, ids = asking_api_of(requests_per_minute=100_000), [row[0] for row in asking.rows("clean_documents", "document_id")]
    schema = schemathesis.openapi.from_asgi("/openapi.json", api.app, headers={"host": "127.0.0.1"})
    headers = {"host": "127.0.0.1", "Authorization": f"Bearer {api.tokens['annotator']}"}
    kept: dict[int, list[bool]] = {}
    turns = cycle([True, False])  # whether answers are in one form only, which those that are made up seldom are

    def check(case):
        if isinstance(case.body, dict):
            case.body["guideline"] = asking.project.labeling.guideline_version
            is_plain = next(turns)
            for number, answer in enumerate(case.body["answers"]):
                answer["document_id"] = ids[number % 16]
                if answer.get("label") is not None or is_plain:
                    answer["label"] = "neutral"
                if is_plain:
                    answer |= dict.fromkeys(("labels", "spans", "rating"))
        before = len(asking.desk.waiting_votes())
        response = case.call_and_validate(headers=headers, checks=CHECKS, timeout=PATIENCE_SECONDS)
        kept.setdefault(response.status_code, []).append(len(asking.desk.waiting_votes()) > before)

    MORE(given(schema["/labels"]["POST"].as_strategy())(check))()
    assert True in kept[200]
    assert set(kept[422]) == {False}


def test_no_request_is_answered_without_a_role(api):
    def check(case, headers):
        allowed = {OPEN: {200}, SIGNED: {403, 404, 422}}.get(case.operation.path, {401, 404})
        assert case.call(headers=headers, timeout=PATIENCE_SECONDS).status_code in allowed, case

    assert for_each_request(api, "tm_wrong", check) == set(api.app.openapi()["paths"])
