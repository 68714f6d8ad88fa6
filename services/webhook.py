"""Receives the labeling server's word that somebody annotated: `textmill webhook`.

`POST /annotations` with `Authorization: Bearer <secret>` leaves a notice, by which the sensor `refresh_on_new_annotations` looks at once.
What was annotated is not taken from the request: the sensor asks the server itself. It listens on the loopback interface unless told
otherwise.
"""

import hmac

import uvicorn
from fastapi import FastAPI, HTTPException, Request

from resources.notices import ANNOTATED, Notices
from services.body_limit import BodyLimit

MOST_BYTES = 1_000_000


def build_app(notices: Notices, secret: str) -> FastAPI:
    """The receiver.

    Args:
        notices: Where notices are left.
        secret: What the labeling server must send as its bearer token.
    """
    app = FastAPI(title="textmill webhook", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(BodyLimit, max_bytes=MOST_BYTES)

    @app.post("/annotations", status_code=202)
    def annotated(request: Request) -> dict[str, str]:
        """Leave a notice."""
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {secret}".encode()):
            raise HTTPException(401, "Expected the secret of TEXTMILL_WEBHOOK_SECRET as bearer token, found another or none.")
        notices.leave(ANNOTATED)
        return {"noted": ANNOTATED}

    @app.get("/health")
    def health() -> dict[str, str]:
        """It is up."""
        return {"status": "ok"}

    return app


def serve(notices: Notices, secret: str, host: str, port: int) -> None:
    """Answer until the process is asked to end."""
    uvicorn.run(build_app(notices, secret), host=host, port=port, log_level="warning", access_log=False, server_header=False)
