"""Weight files, known by name, size, sha256, licence and source. Fetched when asked, never by a constructor.

`locate` finds a file and checks its hash, `load_state_dict` reads its tensors, `load_strictly` gives them to a network,
`fetch` brings it, and `home`
says where they are kept. None of them imports torch before it reads tensors.
"""

from regionloss.disk import home
from regionloss.weights.cache import origin_of, sha256_of
from regionloss.weights.entries import WRAPPERS, bare, entries, walk
from regionloss.weights.fetch import fetch
from regionloss.weights.load import SUFFIXES, load_state_dict
from regionloss.weights.locate import locate
from regionloss.weights.pickles import broken, read_pickled, readable
from regionloss.weights.shapes import shapes_alone, values_matter
from regionloss.weights.strict import load_strictly
from regionloss.weights.tensor_files import read_safetensors

__all__ = [
    "SUFFIXES",
    "WRAPPERS",
    "bare",
    "broken",
    "entries",
    "fetch",
    "home",
    "load_state_dict",
    "load_strictly",
    "locate",
    "origin_of",
    "read_pickled",
    "read_safetensors",
    "readable",
    "sha256_of",
    "shapes_alone",
    "values_matter",
    "walk",
]
