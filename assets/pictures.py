"""Pictures as small PNG files, drawn without a screen, and pages in Markdown that hold them.

Does not belong here: what is drawn (`training/judging/figures.py`, `training/studies/study_figures.py`, `labeling/stopping.py`).
"""

import base64
import io
from collections.abc import Mapping

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

BLUE, GREY = "#2b6cb0", "#a0aec0"


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty picture of a size in inches, drawn without a window."""
    figure = Figure(figsize=(width, height), dpi=90, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def to_png(figure: Figure, font: str | None) -> bytes:
    """The picture as PNG bytes, the same for the same picture; `font` is for labels that the usual font cannot show."""
    if font is not None:
        for text in figure.findobj(lambda artist: hasattr(artist, "set_fontfamily")):
            text.set_fontfamily([font, "DejaVu Sans"])  # type: ignore[attr-defined]
    target = io.BytesIO()
    with rc_context({"axes.unicode_minus": False}):
        figure.savefig(target, format="png", metadata={"Software": None})
    return target.getvalue()


def embed(page: str, pictures: Mapping[str, bytes]) -> str:
    """A page in Markdown with its pictures inside."""
    for name, picture in pictures.items():
        page = page.replace(f"]({name})", f"](data:image/png;base64,{base64.b64encode(picture).decode()})")
    return page
