"""The generator: milliseconds a token of each decoder, compiled ones last, beside `transformers`' own generation."""

from __future__ import annotations

from benchmarks import decode
from benchmarks.gpu.setting import Setting
from benchmarks.region_terms import measure


def decoders(setting: Setting) -> None:
    """Measure one decoder after another, on random weights of Janus-Pro-7B's shape."""
    shape = ["--preset", "tiny", "--tokens", "8", "--codes", "64"]
    if not setting.small:
        shape = ["--preset", "7B", "--dtype", "bfloat16", "--tokens", "128", "--head", "128"]
    options = decode.parse(["--device", setting.device, *shape, "--backend", setting.backend])
    rounds, drawn, model = decode.candidates(options)
    floor = decode.floor(model, setting.device)
    setting.write({"name": "reading the weights once", "ms_a_token": 1e3 * floor})
    for name, work in rounds.items():
        seconds = min(measure({name: work}, setting.rounds(2), setting.device)[name])
        forwards = int(drawn[name].forwards.max()) if name in drawn else options.tokens
        setting.write(
            {
                "name": name,
                "ms_a_token": 1e3 * seconds / options.tokens,
                "forwards": forwards,
                "ms_a_forward": 1e3 * seconds / forwards,
            }
        )
