"""A stand-in for Elasticsearch and OpenSearch: the requests that both document, each checked, answered over documents in memory.

It refuses what the documented interface does not know: another path or method, other keys in a body, fields outside a strict mapping.
Scores are BM25 with the servers' defaults.
"""

import base64
import json
import math
import re
import threading
from collections import deque
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SEARCH_KEYS = {"query", "from", "size", "track_total_hits", "track_scores", "_source", "sort"}
INDEX_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


class RefusedError(Exception):
    """What a server answers to a request that it does not understand."""

    def __init__(self, status, kind, reason):
        super().__init__(reason)
        self.status, self.content = status, {"error": {"type": kind, "reason": reason}, "status": status}


class FakeSearchServer:
    """Indices, aliases and what is to go wrong next.

    Attributes:
        indices: Per index its mapping's fields, and documents by id; those not refreshed yet are apart.
        troubles: Answers that are given before anything is done: status and headers.
        item_troubles: Statuses for the next items of bulk requests.
        login: What `Authorization` must be; None lets everybody in.
    """

    def __init__(self):
        self.indices, self.fresh, self.aliases = {}, {}, {}
        self.troubles, self.item_troubles, self.requests, self.login = deque(), deque(), [], None

    def handle(self, method, path, body):
        self.requests.append((method, path))
        routes = [
            ("GET", r"/_alias/([^/]+)", self.find_alias),
            ("GET", r"/([^/]+)-v\*/_alias", self.list_indices),
            ("PUT", r"/([^/_][^/]*)", self.create),
            ("DELETE", r"/([^/_*][^/*]*)", self.delete),
            ("POST", r"/_aliases", self.move),
            ("GET", r"/([^/_][^/]*)/_count", self.count),
            ("GET", r"/([^/_][^/]*)/_stats/store", self.stats),
            ("POST", r"/([^/_][^/]*)/_bulk", self.bulk),
            ("POST", r"/([^/_][^/]*)/_refresh", self.refresh),
            ("POST", r"/([^/_][^/]*)/_search", self.search),
        ]
        for wanted, pattern, action in routes:
            found = re.fullmatch(pattern, path)
            if found and method == wanted:
                return action(*found.groups(), *([body] if body else []))
        raise RefusedError(405, "method_not_allowed", f"{method} {path}")

    def index(self, name):
        if name not in self.indices:
            raise RefusedError(404, "index_not_found_exception", f"no such index [{name}]")
        return self.indices[name]

    def find_alias(self, alias):
        if alias not in self.aliases:
            raise RefusedError(404, "aliases_not_found_exception", f"alias [{alias}] missing")
        return {self.aliases[alias]: {"aliases": {alias: {}}}}

    def list_indices(self, alias):
        return {name: {"aliases": {}} for name in self.indices if name.startswith(f"{alias}-v")}

    def create(self, name, body):
        content = json.loads(body)
        require(INDEX_NAME.fullmatch(name), f"invalid index name [{name}]")
        require(name not in self.indices, f"index [{name}] already exists")
        require(set(content) <= {"settings", "mappings", "aliases"}, f"unknown keys {set(content)}")
        mappings = content["mappings"]
        require(mappings["dynamic"] == "strict" and set(mappings) == {"dynamic", "properties"}, "mapping")
        kinds = {field: each["type"] for field, each in mappings["properties"].items()}
        require(set(kinds.values()) <= {"keyword", "long", "text"}, f"types {kinds}")
        self.indices[name], self.fresh[name] = {}, {}
        self.kinds = kinds
        return {"acknowledged": True, "shards_acknowledged": True, "index": name}

    def delete(self, name):
        self.index(name)
        del self.indices[name], self.fresh[name]
        self.aliases = {alias: each for alias, each in self.aliases.items() if each != name}
        return {"acknowledged": True}

    def move(self, body):
        content = json.loads(body)
        require(set(content) == {"actions"} and content["actions"], "actions")
        for action in content["actions"]:
            ((kind, named),) = action.items()
            require(kind in {"add", "remove"} and set(named) == {"index", "alias"}, f"action {action}")
            self.index(named["index"])
            if kind == "remove":
                require(self.aliases.get(named["alias"]) == named["index"], "aliases missing")
                del self.aliases[named["alias"]]
            else:
                self.aliases[named["alias"]] = named["index"]
        return {"acknowledged": True}

    def count(self, name):
        return {"count": len(self.index(name)), "_shards": {"total": 1, "successful": 1, "failed": 0}}

    def stats(self, name):
        size = 200 + sum(len(json.dumps(each)) for each in self.index(name).values())
        return {"_all": {"primaries": {"store": {"size_in_bytes": size}}}}

    def refresh(self, name):
        self.index(name).update(self.fresh[name])
        self.indices[name] = {key: each for key, each in self.indices[name].items() if each is not None}
        self.fresh[name] = {}
        return {"_shards": {"total": 1, "successful": 1, "failed": 0}}

    def bulk(self, name, body):
        self.index(name)
        require(body.endswith(b"\n"), "The bulk request must be terminated by a newline [\\n]")
        lines, items = iter(body.decode().splitlines()), []
        for line in lines:
            ((kind, target),) = json.loads(line).items()
            require(kind in {"index", "delete"} and set(target) == {"_id"}, f"action {line}")
            items.append({kind: self.act(name, kind, target["_id"], json.loads(next(lines)) if kind == "index" else None)})
        return {"took": 1, "errors": any("error" in each for item in items for each in item.values()), "items": items}

    def act(self, name, kind, document_id, source):
        shown = {"_index": name, "_id": document_id}
        trouble = self.item_troubles.popleft() if self.item_troubles else None
        if trouble:
            return shown | {"status": trouble, "error": {"type": "es_rejected_execution_exception", "reason": "queue is full"}}
        if kind == "delete":
            known = document_id in self.indices[name] or document_id in self.fresh[name]
            self.fresh[name][document_id] = None
            return shown | {"result": "deleted" if known else "not_found", "status": 200 if known else 404}
        unknown = set(source) - set(self.kinds)
        if unknown or not isinstance(source["published"], int):
            return shown | {"status": 400, "error": {"type": "strict_dynamic_mapping_exception", "reason": f"{unknown or 'published'}"}}
        self.fresh[name][document_id] = source
        return shown | {"result": "created", "status": 201}

    def search(self, name, body):
        content, documents = json.loads(body), self.index(name)
        require(set(content) <= SEARCH_KEYS, f"unknown keys {set(content) - SEARCH_KEYS}")
        require(content["from"] + content["size"] <= 10_000, "Result window is too large")
        require(content["sort"] == [{"_score": {"order": "desc"}}, {"document_id": {"order": "asc"}}], f"sort {content['sort']}")
        scored = {key: score(content["query"], each, documents) for key, each in documents.items()}
        found = sorted(((-value, key) for key, value in scored.items() if value is not None))
        page = found[content["from"] : content["from"] + content["size"]]
        hits = [{"_index": name, "_id": key, "_score": -value, "sort": [-value, key]} for value, key in page]
        return {"timed_out": False, "hits": {"total": {"value": len(found), "relation": "eq"}, "max_score": None, "hits": hits}}


def require(condition, reason):
    if not condition:
        raise RefusedError(400, "parsing_exception", reason)


def score(query, document, documents):
    """BM25 of a document for a query of the documented language; None where it does not match."""
    ((kind, body),) = query.items()
    if kind == "match_none":
        return None
    if kind == "term":
        ((field, wanted),) = body.items()
        require(set(wanted) == {"value"}, f"term {wanted}")
        if field == "tokens":
            return bm25([wanted["value"]], document, documents)
        value = document[field]
        return 1.0 if wanted["value"] in (value if isinstance(value, list) else [value]) else None
    if kind == "match_phrase":
        require(set(body) == {"tokens"} and set(body["tokens"]) == {"query"}, f"match_phrase {body}")
        return bm25(body["tokens"]["query"].split(), document, documents)
    if kind == "range":
        require(set(body) == {"published"} and set(body["published"]) <= {"gte", "lt"}, f"range {body}")
        limits = body["published"]
        return 1.0 if limits.get("gte", -math.inf) <= document["published"] < limits.get("lt", math.inf) else None
    if kind == "constant_score":
        require(set(body) == {"filter", "boost"}, f"constant_score {body}")
        return None if score(body["filter"], document, documents) is None else body["boost"]
    require(kind == "bool" and set(body) <= {"must", "should", "must_not", "minimum_should_match"}, f"query {query}")
    must = [score(each, document, documents) for each in body.get("must", [])]
    should = [score(each, document, documents) for each in body.get("should", [])]
    if None in must or any(score(each, document, documents) is not None for each in body.get("must_not", [])):
        return None
    hits = [each for each in should if each is not None]
    return None if len(hits) < body.get("minimum_should_match", 0) else sum(must) + sum(hits)


def bm25(tokens, document, documents):
    def places(other):
        words = other["tokens"].split()
        return sum(words[place : place + len(tokens)] == tokens for place in range(len(words)))

    frequency = places(document)
    if not frequency:
        return None
    weight = 0.0
    for token in tokens:
        holders = sum(token in other["tokens"].split() for other in documents.values())
        weight += math.log(1 + (len(documents) - holders + 0.5) / (holders + 0.5))
    mean = sum(len(other["tokens"].split()) for other in documents.values()) / len(documents)
    return weight * frequency / (frequency + 1.2 * (0.25 + 0.75 * len(document["tokens"].split()) / mean))


class Handler(BaseHTTPRequestHandler):
    """HTTP around it."""

    def answer(self):
        fake, length = self.server.fake, int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        wanted = "application/x-ndjson" if self.path.endswith("/_bulk") else "application/json"
        try:
            if fake.troubles:
                status, headers = fake.troubles.popleft()
                return self.send(status, {"error": "busy"}, headers)
            if fake.login and self.headers.get("authorization") != fake.login:
                raise RefusedError(401, "security_exception", "unable to authenticate user")
            if body and self.headers.get("content-type") != wanted:
                raise RefusedError(406, "media_type_header_exception", f"{self.headers.get('content-type')}")
            return self.send(200, fake.handle(self.command, self.path, body))
        except RefusedError as error:
            return self.send(error.status, error.content)

    do_GET = do_PUT = do_POST = do_DELETE = answer  # noqa: N815

    def send(self, status, content, headers=()):
        data = json.dumps(content).encode()
        self.send_response(status)
        for name, value in [("content-type", "application/json"), ("content-length", str(len(data))), *headers]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_arguments):
        """Say nothing."""


@contextmanager
def running_fake():
    """A fake and its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.fake = FakeSearchServer()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.fake, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
