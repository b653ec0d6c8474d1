"""What the options of all parts of a recipe share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, model_validator

from regionloss.recipe import check_part


class Strict(BaseModel):
    """Options that know all their keys and do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Use(Strict):
    """A registered component of one kind by name, checked with the options of its constructor."""

    kind: ClassVar[str]

    use: str
    options: Mapping[str, Any] = {}

    @model_validator(mode="after")
    def _known(self) -> Self:
        check_part(self.kind, self.use, self.options)
        return self
