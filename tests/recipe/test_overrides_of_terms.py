"""Overrides of terms' files from Python: texts, in a list."""

from __future__ import annotations

from typing import Any

import pytest

from regionloss.errors import InputError
from regionloss.recipe import load_terms


@pytest.mark.parametrize("overrides", ["terms.text.weight=1", None, 3, len])
def test_what_is_no_list_of_texts_is_a_sentence(overrides: Any) -> None:
    with pytest.raises(InputError, match=r"^overrides: expected texts such as \['terms\.text\.weight=0\.01'\], got"):
        load_terms("text", overrides=overrides)
