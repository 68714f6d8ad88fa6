# Two stages: the first builds the virtual environment, the second carries it without build tools, as an ordinary user.
FROM python:3.11.14-slim-bookworm AS build
WORKDIR /textmill
COPY pyproject.toml constraints.txt README.md ./
COPY assets assets
COPY dagster_project dagster_project
COPY resources resources
COPY services services
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --constraint constraints.txt --editable '.[demo,server]' && /venv/bin/python -m compileall -q .

FROM python:3.11.14-slim-bookworm
RUN useradd --create-home --uid 1000 textmill && mkdir /data && chown textmill /data
COPY --from=build /venv /venv
COPY --from=build /textmill /textmill
COPY workspace.yaml /textmill/
COPY config /textmill/config
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1
USER textmill
WORKDIR /textmill
# Secrets in files (NAME_FILE) become variables of whatever runs.
ENTRYPOINT ["python", "-m", "dagster_project.secret_files"]
CMD ["textmill", "--help"]
