# Two stages: the first builds the virtual environment, the second carries it without build tools, as an ordinary user.
FROM python:3.11-slim-bookworm AS build
WORKDIR /textmill
COPY pyproject.toml constraints.txt README.md ./
COPY assets assets
COPY dagster_project dagster_project
COPY resources resources
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --constraint constraints.txt --editable '.[demo,server]'

FROM python:3.11-slim-bookworm
RUN useradd --create-home --uid 1000 textmill && mkdir /data && chown textmill /data
COPY --from=build /venv /venv
COPY --from=build --chown=textmill /textmill /textmill
COPY --chown=textmill workspace.yaml /textmill/
COPY --chown=textmill config /textmill/config
ENV PATH=/venv/bin:$PATH
USER textmill
WORKDIR /textmill
