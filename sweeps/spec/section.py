"""What all sections of a spec share: frozen, strict, no unknown keys."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of a spec; numbers are not read from text, nor truth from `yes`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)
