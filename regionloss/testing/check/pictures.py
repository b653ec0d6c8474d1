"""Pictures in which a detector finds something: those that its project's own contract test has."""

from __future__ import annotations

import inspect
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regionloss.errors import in_one_line
from regionloss.testing.projects import python_files

if TYPE_CHECKING:
    from torch import Tensor


def own_pictures(tests: Path, made: Any) -> tuple[Tensor | None, str]:
    """Return the images of the contract test that makes such a detector, and where that is.

    Args:
        tests: Folder of the project's tests.
        made: The detector to be shown the pictures.

    Returns:
        Images (B, 3, H, W) and the test's file; or None and why a file could not be used, empty where none has any.
    """
    trouble = ""
    for file in python_files(tests):
        if "DetectorContract" in file.read_text(encoding="utf-8", errors="replace"):
            place = f"{tests.name}/{file.relative_to(tests)}"
            try:
                for test in _contract_tests(file):
                    if type(test.make()) is type(made):
                        return test.images(), place
            except KeyboardInterrupt:
                raise
            # A stranger's test, which may also skip itself: that is no `Exception`.
            except BaseException as error:
                trouble = f" ({place} could not be used: {in_one_line(error)})"
    return None, trouble


def _contract_tests(file: Path) -> Iterator[Any]:
    from regionloss.testing.contracts import DetectorContract

    for value in runpy.run_path(str(file)).values():
        own = inspect.isclass(value) and issubclass(value, DetectorContract)
        if own and value.images is not DetectorContract.images:
            yield value()
