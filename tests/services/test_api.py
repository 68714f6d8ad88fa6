"""The data access API on a real graph: who may call what, what they see of it, and where everything comes from."""

import dataclasses
import hashlib
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

import pytest
from filelock import FileLock

from resources import elasticsearch_index
from resources.elasticsearch_index import ElasticsearchIndex
from resources.lakehouse import LakehouseError
from resources.object_store import ObjectStoreError
from resources.search_index import SearchIndex
from services.downloads import Download
from tests.services.conftest import Api

MODEL = "model-" + "a" * 16
ROLES = ("viewer", "annotator", "trainer", "admin", "metrics")
EVERYBODY = {"viewer", "annotator", "trainer", "admin"}
VERSION, DOCUMENT = "{version}", "{document}"
MATRIX = [
    # method, path, roles that may call it
    ("GET", "/metrics", {"metrics", "admin"}),
    ("GET", "/search?q=lovely", EVERYBODY),
    ("GET", "/documents", EVERYBODY),
    ("GET", f"/documents/{DOCUMENT}", EVERYBODY),
    ("GET", "/labels", EVERYBODY),
    ("GET", "/predictions", EVERYBODY),
    ("GET", "/votes", {"annotator", "trainer", "admin"}),
    ("GET", "/queue", {"annotator", "admin"}),
    ("POST", "/labels", {"annotator", "admin"}),
    ("GET", "/datasets", EVERYBODY),
    ("GET", f"/datasets/{VERSION}", EVERYBODY),
    ("POST", f"/datasets/{VERSION}/downloads", {"trainer", "admin"}),
    ("GET", "/models", EVERYBODY),
    ("GET", f"/lineage/{DOCUMENT}", EVERYBODY),
    ("GET", f"/lineage/{MODEL}", EVERYBODY),
    ("GET", "/audit", {"admin"}),
    ("GET", "/erasures", {"admin"}),
]


@pytest.fixture
def version(served):
    return served.rows("training_dataset", "dataset_version")[0][0]


@pytest.fixture
def document_of(served):
    """Id of a document by source and number."""
    return lambda source, number=1: served.rows(f"clean_documents WHERE source = '{source}' AND external_id = 'n{number}'", "document_id")[
        0
    ][0]


@pytest.mark.parametrize(("method", "path", "roles"), MATRIX, ids=[f"{method} {path}" for method, path, _ in MATRIX])
def test_each_endpoint_answers_its_roles_and_refuses_the_others(api, version, document_of, method, path, roles):
    path = path.replace(VERSION, version).replace(DOCUMENT, document_of("shop"))
    body = {"answers": [{"document_id": document_of("shop"), "label": "neutral"}]} if path == "/labels" and method == "POST" else None
    answers = {role: api.ask(path, role, method, json=body).status_code for role in ROLES}
    assert answers == {role: 200 if role in roles else 403 for role in ROLES}
    assert [api.ask(path, token, method, json=body).status_code for token in (None, "tm_wrong", "")] == [401, 401, 401]


def test_the_matrix_names_every_endpoint(api):
    listed = {
        (method, path.replace(VERSION, "{version}").replace(DOCUMENT, "{document_id}").partition("?")[0]) for method, path, _ in MATRIX
    }
    listed = {(method, "/lineage/{thing}" if path.startswith("/lineage/") else path) for method, path in listed}
    declared = {(method.upper(), path) for path, methods in api.app.openapi()["paths"].items() for method in methods}
    assert declared - listed == {("GET", "/health"), ("GET", "/datasets/{version}/files/{name}")}
    assert listed - declared == set()


def test_health_and_schema_need_no_token(api):
    assert api.ask("/health", None).json() == {"status": "ok"}
    schema = api.ask("/openapi.json", None).json()
    assert schema["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    assert schema["components"]["schemas"]["CleanDocumentsRow"]["properties"]["text"]["description"] == "The text."


@pytest.mark.parametrize(("query", "source", "part"), [("lovely violin", "shop", "lovely"), ("酒店", "hotel", "酒店")])
def test_search_finds_english_and_chinese(api, query, source, part):
    page = api.json("/search", "viewer", params={"q": query, "limit": 1})
    found = page["rows"]
    assert {row["source"] for row in found} == {source}
    assert (page["total"] >= 2, page["is_any"], len(found)) == (True, False, 1)
    (following,) = api.json("/search", "viewer", params={"q": query, "limit": 1, "offset": 1})["rows"]
    assert following["document_id"] != found[0]["document_id"]
    assert found[0]["score"] >= following["score"] > 0
    for row in (*found, following):
        assert part in [row["text"][start:end] for start, end in row["highlights"]]
    other = "shop" if source == "hotel" else "hotel"
    assert api.json("/search", "viewer", params={"q": query, "source": other})["rows"] == []


def test_search_knows_phrases_conditions_and_days(api):
    def total(query, **filters):
        return api.json("/search", "viewer", params={"q": query, **filters})["total"]

    assert total("lovely label:positive") == total("lovely", label="positive") == total("lovely") > 0
    assert total("lovely label:negative") == 0
    assert total('"lovely said"') == total("lovely said") > total('"said lovely"') == 0
    assert total("language:zh OR lovely") == total("language:zh") + total("lovely")
    assert total("language:zh", until="2020-01-01") == 0
    assert total("language:zh", since="2020-01-01") == total("language:zh")
    assert api.json("/search", "viewer", params={"q": "lovely zebra"})["is_any"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"q": "(lovely"}, "parenthesis at character 1 to be closed"),
        ({"q": "date:soon"}, "Expected a date"),
        ({"q": "lovely", "limit": 1000, "offset": 9500}, "first 10,000 hits"),
        ({"q": "lovely", "since": "soon"}, "since"),
    ],
)
def test_a_search_that_cannot_be_answered_says_why(api, parameters, message):
    response = api.ask("/search", "viewer", params=parameters)
    assert response.status_code == 422
    assert message in response.text


@pytest.mark.parametrize("query", ["lovely", "(lovely", "NOT lovely"])
def test_without_an_index_it_says_what_makes_one(backend_of, tmp_path, query):
    api = Api(dataclasses.replace(backend_of(), index=SearchIndex(tmp_path / "nowhere")))
    response = api.ask("/search", "viewer", params={"q": query})
    assert (response.status_code, response.json()["detail"]) == (
        409,
        "Expected a search index, found none. Materialize `search_index` first.",
    )


def test_a_search_server_that_does_not_answer_is_no_error_of_ours(backend_of, tmp_path, monkeypatch):
    monkeypatch.setattr(elasticsearch_index, "PAUSE_SECONDS", 0.0)
    index = ElasticsearchIndex("http://user:geheim@127.0.0.1:9", "mill", FileLock(tmp_path / "lock"))
    api = Api(dataclasses.replace(backend_of(), index=index))
    response = api.ask("/search", "viewer", params={"q": "lovely"})
    assert (response.status_code, response.json()["detail"]) == (
        503,
        "Expected an answer of the search server, found none. Try again later.",
    )
    metrics = api.ask("/metrics", "admin")
    assert metrics.status_code == 200
    assert "textmill_search_index_up 0.0" in metrics.text
    assert "textmill_lakehouse_up 1.0" in metrics.text
    assert "textmill_search_index_documents" not in metrics.text


def test_a_query_of_stop_words_says_what_is_missing(api):
    response = api.ask("/search", "viewer", params={"q": "the 的"})
    assert (response.status_code, response.json()["detail"]) == (
        422,
        "Expected a query with at least one word that is not a stop word, found none.",
    )


def test_pages_follow_each_other_without_gap_or_repetition(api, served):
    ids, after = [], None
    while True:
        page = api.json("/votes", "trainer", params={"limit": 7} | ({"after": after} if after else {}))
        ids += [row["document_id"] for row in page["rows"]]
        after = page["next"]
        if after is None:
            break
    assert sorted(ids) == [row[0] for row in served.rows("annotations", "document_id")]
    assert ids == sorted(ids)


@pytest.mark.parametrize(
    ("path", "params", "kept"),
    [
        ("/documents", {"source": "hotel"}, lambda row: row["source"] == "hotel"),
        ("/documents", {"language": "zh"}, lambda row: row["language"] == "zh"),
        ("/labels", {"label": "positive", "source": "shop"}, lambda row: (row["label"], row["source"]) == ("positive", "shop")),
        ("/predictions", {"source": "hotel"}, lambda row: row["source"] == "hotel"),
    ],
)
def test_filters_keep_what_is_asked_for(api, path, params, kept):
    everything = api.json(path, params={"limit": 1000})["rows"]
    assert api.json(path, params=params | {"limit": 1000})["rows"] == [row for row in everything if kept(row)] != []


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/documents?label=x", 422, r"Expected filters out of \['source', 'language'\], found \['label'\]"),
        ("/documents?limit=0", 422, "greater than or equal to 1"),
        ("/documents?after=%00", 422, "query.after: String should match pattern"),
        ("/votes?document_id=a%00'&source=%00'", 422, "query.document_id: .* query.source: String should match pattern"),
        ("/lineage/a%00", 422, "path.thing: String should match pattern"),
        ("/documents/nobody", 404, "Expected the id of a clean document that this token sees, found none"),
        ("/lineage/nobody", 404, "Expected the id of a document or model that this token sees, found none"),
        ("/lineage/model-nobody", 404, "Expected the id of a document or model that this token sees, found none"),
        ("/datasets/" + "0" * 24, 404, "Expected a published data set version, found 0+"),
        ("/datasets/..", 404, "Not Found"),
        ("/nowhere", 404, "Not Found"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_the_reason(api, path, status, message):
    response = api.ask(path)
    assert response.status_code == status
    assert re.search(message, response.text)


def test_a_long_body_is_refused(api_of, version):
    response = api_of(max_body_bytes=100).ask(f"/datasets/{version}/downloads", method="POST", content=b"x" * 101)
    assert (response.status_code, response.json()["detail"]) == (413, "Expected a body of at most 100 bytes, found a longer one.")


def test_other_host_names_are_refused_on_the_loopback_interface(api):
    assert api.client.get("/health").status_code == 200
    assert api.client.get("/health", headers={"host": "evil.example"}).status_code == 400


def test_expired_and_revoked_tokens_open_nothing(api):
    expired, _ = api.backend.store.create("old", "admin", timedelta(days=1), now=datetime.now(UTC) - timedelta(days=2))
    revoked, identity = api.backend.store.create("gone", "admin", timedelta(days=1))
    assert api.ask("/models", revoked).status_code == 200
    api.backend.store.revoke(identity.token_id)
    assert [api.ask("/models", token).status_code for token in (expired, revoked)] == [401, 401]


def test_too_many_requests_wait(api_of):
    api = api_of(requests_per_minute=3)
    assert [api.ask("/models", "viewer").status_code for _ in range(4)] == [200, 200, 200, 429]
    refused = api.ask("/models", "viewer")
    assert 1 <= int(refused.headers["Retry-After"]) <= 20
    assert api.ask("/models", "trainer").status_code == 200  # another token
    assert [api.ask("/models", f"tm_guess{number}").status_code for number in range(4)] == [401, 401, 401, 429]  # one address


# What is seen.


def test_rows_of_other_sources_are_nowhere(api_of, document_of):
    api = api_of(sources={"viewer": ("shop",)})
    assert {row["source"] for path in ("/documents", "/labels", "/predictions") for row in api.json(path, "viewer")["rows"]} == {"shop"}
    for query in ("酒店", "source:hotel", "NOT lovely OR 酒店"):
        assert {row["source"] for row in api.json("/search", "viewer", params={"q": query})["rows"]} <= {"shop"}
    assert api.ask("/documents/" + document_of("hotel"), "viewer").status_code == 404
    assert api.ask("/lineage/" + document_of("hotel"), "viewer").status_code == 404
    assert api.json("/datasets", "viewer")[0]["sources"] == ["shop"]
    assert api.json("/datasets", "trainer")[0]["sources"] == ["hotel", "shop"]


def test_a_token_for_one_source_sees_less_than_its_role(api, document_of, version):
    token = api.token("trainer", sources=["hotel"])
    assert {row["source"] for row in api.json("/documents", token)["rows"]} == {"hotel"}
    assert api.ask("/lineage/" + document_of("shop"), token).status_code == 404
    refused = api.ask(f"/datasets/{version}/downloads", token, "POST")
    assert (refused.status_code, refused.json()["detail"]) == (
        403,
        "Expected a token that sees every row of the data set unmasked, found one that does not.",
    )


@pytest.mark.parametrize(("restricted", "open_source", "query"), [("hotel", "shop", "酒店"), ("shop", "hotel", "visitor")])
def test_texts_of_restricted_sources_are_neither_shown_nor_searched(api_of, document_of, version, restricted, open_source, query):
    api = api_of(restricted_sources=(restricted,))
    rows = api.json("/documents", "viewer")["rows"]
    assert {row["text"] for row in rows if row["source"] == restricted} == {None}
    assert None not in {row["text"] for row in rows if row["source"] == open_source}
    assert api.json("/search", "viewer", params={"q": query})["rows"] == []
    assert api.json("/search", "admin", params={"q": query})["rows"] != []
    lineage = api.json("/lineage/" + document_of(restricted), "trainer")
    assert [row[column] for row in lineage["raw_documents"] for column in ("text", "title", "url")] == [None] * 3
    assert lineage["raw_objects"][0]["uri"] is None
    assert lineage["training_dataset"][0]["text"] is None
    assert api.ask(f"/datasets/{version}/downloads", "trainer", "POST").status_code == 403
    assert api.ask(f"/datasets/{version}/downloads", "admin", "POST").status_code == 200


def test_annotators_have_names_for_some_roles_only(api, document_of):
    path = "/votes?document_id=" + document_of("hotel")
    assert {row["annotator_id"] for row in api.json(path, "trainer")["rows"]} == {"amy", "bo", "王伟"}
    hidden = api.json(path, "annotator")["rows"]
    assert all(row["annotator_id"].startswith("person-") and row["vote_id"] is None for row in hidden)
    assert len({row["annotator_id"] for row in hidden}) == 3
    other = api.json("/votes?document_id=" + document_of("shop"), "annotator")["rows"]
    assert {row["annotator_id"] for row in other} == {row["annotator_id"] for row in hidden}


def test_pseudonyms_and_personal_data_are_for_some_roles_only(api, document_of):
    path = "/documents/" + document_of("hotel", 0)
    whole, masked = api.json(path, "trainer")["text"], api.json(path, "viewer")["text"]
    assert "[EMAIL_xxxxxxxxxx]" in masked
    assert "[EMAIL_xxxxxxxxxx]" not in whole
    assert len(whole) == len(masked)
    raw = {role: api.json("/lineage/" + document_of("hotel", 0), role)["raw_documents"][0]["text"] for role in sorted(EVERYBODY)}
    assert raw.pop("admin").endswith("Write to amy@shop.example today.")
    assert set(raw.values()) == {None}


# Where things come from.


@pytest.mark.parametrize("source", ["shop", "hotel"])
def test_lineage_leads_from_a_document_to_bytes_votes_label_data_set_model_and_predictions(api, document_of, served, version, source):
    lineage = api.json("/lineage/" + document_of(source))
    sha256 = lineage["raw_objects"][0]["raw_sha256"]
    assert lineage["raw_documents"][0]["raw_sha256"] == sha256
    assert served.resources["object_store"].get_content(sha256)
    assert len(lineage["annotations"]) == 3
    assert lineage["labeled_documents"][0]["label"] == "neutral"
    assert [row["dataset_version"] for row in lineage["dataset_versions"]] == [version]
    assert [row["model_id"] for row in lineage["models"]] == [MODEL]
    assert [row["model_id"] for row in lineage["pool_predictions"]] == [MODEL]
    made = {row["increment_id"] for name, rows in lineage.items() if name != "increments" for row in rows}
    assert {row["increment_id"] for row in lineage["increments"]} == made
    assert all(row["code_version"] for row in lineage["increments"])


def test_lineage_of_a_model_names_data_set_and_increments_but_no_place_of_the_server(api, version, served):
    lineage = api.json("/lineage/" + MODEL, "viewer")
    assert lineage["data_set"]["version"] == version
    assert {"raw_documents", "labeled_documents", "training_dataset"} <= {row["asset"] for row in lineage["made_from"]}
    assert str(served.environment.home) not in str(lineage)


# Data sets.


def files_of(api, version, token="trainer"):
    return {file["name"]: file for file in api.json(f"/datasets/{version}/downloads", token, method="POST")}


def test_a_signed_address_opens_one_file_without_a_token(api, version):
    manifest = api.json(f"/datasets/{version}", "viewer")
    for name, file in files_of(api, version).items():
        response = api.ask(file["url"], None)
        assert response.status_code == 200
        assert hashlib.sha256(response.content).hexdigest() == file["sha256"] == manifest["files"][name]


@pytest.mark.parametrize(
    ("before", "after"), [("train", "test"), ("expires=1", "expires=2"), ("signature=", "signature=0"), ("token_id=", "token_id=0")]
)
def test_a_changed_address_opens_nothing(api, version, before, after):
    url = files_of(api, version)["train.parquet"]["url"]
    assert before in url
    refused = api.ask(url.replace(before, after, 1), None)
    assert (refused.status_code, refused.json()["detail"]) == (
        403,
        "Expected the address as it was given out, found another. Ask for a new one.",
    )


def test_an_address_opens_nothing_once_its_time_or_its_token_is_over(api, version):
    token, identity = api.backend.store.create("t", "trainer", timedelta(days=1))
    late = Download(version, "dev.parquet", identity.token_id, int(datetime.now(UTC).timestamp())).path(api.backend.key.read())
    assert api.ask(late, None).json()["detail"].startswith("Expected an address that is still good, found one that has expired")
    lasting = files_of(api, version, token)["dev.parquet"]["url"]
    assert api.ask(lasting, None).status_code == 200
    api.backend.store.revoke(identity.token_id)
    assert api.ask(lasting, None).json()["detail"].startswith("Expected the address of a token that is still valid")


def test_files_that_are_gone_are_said_to_be_gone(api, version, monkeypatch, tmp_path):
    url = files_of(api, version)["dev.parquet"]["url"]
    monkeypatch.setattr(api.backend.object_store.inner.inner, "root", tmp_path)
    assert api.ask(url, None).json()["detail"] == f"Expected dev.parquet of data set {version}, found it gone."
    assert api.ask(f"/datasets/{version}").json()["detail"] == f"Expected the manifest of data set {version}, found it gone."


def test_a_file_is_fetched_from_a_store_that_people_reach_after_the_same_checks(api, version, monkeypatch):
    token, identity = api.backend.store.create("t", "trainer", timedelta(days=1))
    url = files_of(api, version, token)["dev.parquet"]["url"]
    monkeypatch.setattr(api.backend.object_store.inner.inner, "download_url", lambda *asked: f"https://s3.example/{asked}")
    sent_on = api.ask(url, None, follow_redirects=False)
    assert (sent_on.status_code, sent_on.headers["Cache-Control"]) == (307, "no-store")
    assert unquote(sent_on.headers["Location"]) == f"https://s3.example/{(f'datasets/{version}/dev.parquet', f'{version}-dev.parquet', 60)}"
    assert [(entry["status"], entry["name"]) for entry in api.backend.log.newest(1)] == [(307, "t")]
    api.backend.store.revoke(identity.token_id)
    assert api.ask(url, None, follow_redirects=False).status_code == 403


def test_a_file_that_is_gone_from_a_store_that_people_reach_is_said_to_be_gone(api, version, monkeypatch, tmp_path):
    url = files_of(api, version)["dev.parquet"]["url"]
    monkeypatch.setattr(api.backend.object_store.inner.inner, "download_url", lambda *_: "https://s3.example/")
    monkeypatch.setattr(api.backend.object_store.inner.inner, "root", tmp_path)
    assert api.ask(url, None).json()["detail"] == f"Expected dev.parquet of data set {version}, found it gone."


def test_files_of_a_data_set_that_no_audit_approved_are_nobodys(api, monkeypatch, tmp_path):
    refused = "f" * 24
    monkeypatch.setattr(api.backend.object_store.inner.inner, "root", tmp_path)
    for name in ("manifest.json", "train.parquet"):
        api.backend.object_store.put(f"datasets/{refused}/{name}", b"{}")
    identity = api.backend.store.find(api.tokens["admin"])
    address = Download(refused, "train.parquet", identity.token_id, 2**40).path(api.backend.key.read())
    answers = [api.ask(f"/datasets/{refused}"), api.ask(f"/datasets/{refused}/downloads", method="POST"), api.ask(address, None)]
    assert [answer.status_code for answer in answers] == [404] * 3


# What is written down.


def test_every_access_is_in_the_log_before_its_answer_and_secrets_are_not(api, version):
    api.ask("/search?q=酒店", "viewer")
    api.ask("/audit", "viewer")
    api.ask("/labels", "tm_wrong")
    url = files_of(api, version)["test.parquet"]["url"]
    api.ask(url, None)
    entries = [(entry["role"], entry["method"], entry["path"], entry["status"]) for entry in reversed(api.backend.log.newest(10))]
    assert entries == [
        ("viewer", "GET", "/search", 200),
        ("viewer", "GET", "/audit", 403),
        (None, "GET", "/labels", 401),
        ("trainer", "POST", f"/datasets/{version}/downloads", 200),
        ("trainer", "GET", f"/datasets/{version}/files/test.parquet", 200),
    ]
    newest = api.backend.log.newest(1)[0]
    assert "expires=" in newest["query"]
    assert "signature" not in str(api.backend.log.newest(10))
    assert api.backend.log.verify().problems == []


def test_nothing_is_answered_that_cannot_be_written_down(api, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(api.backend.log, "append", fail)
    response = api.ask("/documents", "admin")
    assert response.status_code == 500
    assert "lovely" not in response.text


def test_an_error_inside_is_written_down(api, monkeypatch):
    monkeypatch.setattr("services.endpoints.show_models", lambda _lakehouse: 1 / 0)
    assert api.ask("/models", "viewer").status_code == 500
    assert api.backend.log.newest(1)[0]["status"] == 500


@pytest.mark.parametrize(
    ("part", "method", "error", "path"),
    [
        ("lakehouse", "read", LakehouseError("Expected the lock of /secret/place"), "/documents"),
        ("object_store", "get", ObjectStoreError("expected a bucket at /secret/place"), "/datasets/{version}"),
    ],
)
def test_stores_that_do_not_answer_are_a_503_without_their_address(api, monkeypatch, version, part, method, error, path):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(type(getattr(api.backend, part)), method, fail)
    response = api.ask(path.replace(VERSION, version))
    assert response.status_code == 503
    assert "/secret/place" not in response.text
