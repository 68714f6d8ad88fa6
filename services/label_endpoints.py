"""What people are asked and what they answer, over HTTP: `GET /queue` and `POST /labels`.

The annotator is the name of the token. What an answer looks like is in `label_forms.py`, where questions come from and answers go in
`labeling_desk.py`, what of them a token sees in `visibility.py`; votes and labels that are published already are listed in `endpoints.py`.
"""

from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query, Request
from pydantic import BaseModel, Field

from assets.labeling.given_answers import AnswersRefusedError, UnknownDocumentError
from assets.project import Labeling, Task, TaskKind
from resources.access_store import Identity
from services.api import ANNOTATORS, Backend, Refusal, allow
from services.endpoints import MISSING, Limit, Value
from services.label_forms import Form, GivenAnswers, forms_of, read_answers
from services.queries import as_json
from services.visibility import NAMELESS

Annotator = Annotated[Identity, Depends(allow(*ANNOTATORS))]
PLACE = "POST /labels"
REFUSED: dict[int | str, dict[str, Any]] = MISSING | {
    400: {"model": Refusal, "description": "The body is no JSON."},
    409: {"model": Refusal, "description": "The guideline has changed."},
    413: {"model": Refusal, "description": "The body is too long."},
}


class Question(BaseModel):
    """A document that waits for an answer."""

    position: int = Field(description="Rank in the queue, from 1; the most useful first.")
    document_id: str
    source: str
    language: str
    text: str
    suggestion: str | None = Field(description="The present consensus, which may be wrong; null where it is not told, or there is none.")


class Asked(BaseModel):
    """What an answer may be."""

    kind: TaskKind
    labels: list[str]
    forms: list[Form] = Field(description="Which of these an answer has.")
    rating: tuple[float, float] | None = Field(description="Lowest and highest rating; null where there are none.")


class Guideline(BaseModel):
    """What annotators should know."""

    version: str = Field(description="Goes with every answer.")
    text: str


class QueuePage(BaseModel):
    """A page of the labeling queue, without what the token's owner answered already."""

    task: Asked
    guideline: Guideline | None
    rows: list[Question]
    next: int | None = Field(description="Ask again with `after` set to this; null at the end.")


class Kept(BaseModel):
    """Answers that the next refresh will collect, or an earlier one has: the same when they are sent again."""

    annotator: str
    answers: int


def add_label_endpoints(app: FastAPI, backend: Backend) -> None:
    """Questions out, answers in."""

    @app.get("/queue")
    def queue(
        identity: Annotator,
        source: Value = None,
        language: Value = None,
        after: Annotated[int, Query(ge=0, description="Only behind this position.")] = 0,
        limit: Limit = 100,
    ) -> QueuePage:
        """What the token's owner should label next, most useful first; nothing that they answered already."""
        view, sources = backend.view(identity), answerable_sources(backend, identity)
        wanted = [name for name in sources if source in (None, name)]
        found = backend.desk.questions(annotator_of(identity), limit + 1, after=after, sources=wanted, language=language)
        rows = [Question.model_validate(view.mask(row, row["source"])) for row in as_json(found.head(limit))]
        following = rows[-1].position if len(found) > limit else None
        return QueuePage(task=asked(backend.project.task), guideline=guideline_of(backend.project.labeling), rows=rows, next=following)

    @app.post("/labels", responses=REFUSED)
    def answer(request: Request, identity: Annotator, given: GivenAnswers) -> Kept:
        """Hand in answers, as their annotator the token's owner: all of them or, if something is wrong, none. Safe to repeat.

        Of answers to the same document the newest counts. The next refresh collects them.
        """
        annotator = person_of(identity)
        check_guideline(given.guideline, backend.project.labeling)
        try:
            answers = read_answers(given, annotator, backend.project.task, PLACE)
            files = backend.desk.prepare(answers, PLACE, answerable_sources(backend, identity))
        except UnknownDocumentError as error:
            raise HTTPException(404, str(error)) from error
        except AnswersRefusedError as error:
            raise HTTPException(422, str(error)) from error
        request.state.write_down(200, answers=str(len(answers)), files=" ".join(files))
        backend.desk.hand_in(files)
        return Kept(annotator=annotator, answers=len(answers))


def answerable_sources(backend: Backend, identity: Identity) -> list[str]:
    """Sources of the project whose texts an identity reads: nobody answers a question about a text that is hidden from them."""
    readable = backend.view(identity).readable
    return [name for name in backend.desk.sources if readable is None or name in readable]


def annotator_of(identity: Identity) -> str:
    """Under which name an identity answers."""
    return identity.name.strip()


def person_of(identity: Identity) -> str:
    """Under which name a person answers.

    Raises:
        HTTPException: 403 when the name is a rule's, a model's or nobody's.
    """
    name = annotator_of(identity)
    if name.startswith(NAMELESS):
        raise HTTPException(403, f"Expected a token with the name of a person, not beginning with {', '.join(NAMELESS)}; found {name!r}.")
    return name


def asked(task: Task) -> Asked:
    """What an answer to the task may be."""
    scale = task.rating
    return Asked(
        kind=task.kind,
        labels=list(task.labels),
        forms=list(forms_of(task)),
        rating=None if scale is None else (scale.minimum, scale.maximum),
    )


def guideline_of(labeling: Labeling) -> Guideline | None:
    """The guideline in force."""
    version, text = labeling.guideline_version, labeling.guideline
    return None if version is None or text is None else Guideline(version=version, text=text)


def check_guideline(given: str | None, labeling: Labeling) -> None:
    """Make sure that an answer was given with the present guideline in mind.

    Raises:
        HTTPException: 409 when it was not.
    """
    expected = labeling.guideline_version
    if given != expected:
        wanted = "no guideline, for there is none" if expected is None else f"the guideline {expected}"
        raise HTTPException(409, f"Expected {wanted}, found {given or 'none'}. `GET /queue` shows the one in force.")
