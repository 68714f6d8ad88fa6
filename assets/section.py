"""What every part of the project file has in common. The parts are in `project.py`, `source_settings.py` and `training_settings.py`."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of the project file. Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)
