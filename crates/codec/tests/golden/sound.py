"""Golden numbers of features and of resampling, by torchaudio's functions, and a FLAC file.

    pip install torch torchaudio soundfile; python sound.py

Sounds are made from a formula that the test repeats, so that no file of sound is needed: a sweep
under a swelling hum, with a little of a linear congruential generator's noise.
"""

import json
import math
import pathlib

import soundfile
import torch
import torchaudio


def sound(samples, rate):
    """In doubles, rounded once; what the test computes."""
    state, out = 12345, []
    for i in range(samples):
        t = i / rate
        state = (state * 1103515245 + 12345) % 2**31
        noise = state / 2**30 - 1
        sweep = math.sin(2 * math.pi * (200 + 900 * t) * t)
        hum = t * math.sin(2 * math.pi * 120 * t)
        out.append(0.5 * sweep + 0.3 * hum + 0.05 * noise)
    return torch.tensor(out, dtype=torch.float64).float()


def features(config, samples, rate):
    mel = torchaudio.transforms.MelSpectrogram(
        sample_rate=config["sample_rate"],
        n_fft=config["n_fft"],
        win_length=config["win_length"],
        hop_length=config["hop_length"],
        f_min=config["f_min"],
        f_max=config["f_max"],
        n_mels=config["n_mels"],
        power={"magnitude": 1.0, "power": 2.0}[config["spectrum"]],
        mel_scale=config["mel_scale"],
        norm={"htk": None, "slaney": "slaney"}[config["mel_scale"]],
    )
    logs = mel(sound(samples, rate)).clamp(min=config["floor"]).log()
    if config["normalize"] == "per_band":
        logs = (logs - logs.mean(1, keepdim=True)) / (logs.std(1, keepdim=True) + 1e-5)
    return [[float(f"{value:.6g}") for value in band] for band in logs.tolist()]


SPEECH = {
    "sample_rate": 8000, "n_fft": 256, "win_length": 200, "hop_length": 80, "n_mels": 12,
    "f_min": 0.0, "f_max": None, "mel_scale": "htk", "spectrum": "power", "floor": 1e-6,
    "normalize": "none",
}
CASES = [
    ({**SPEECH}, 1000),
    ({**SPEECH, "normalize": "per_band"}, 800),
    ({**SPEECH, "mel_scale": "slaney", "f_min": 20.0, "f_max": 3800.0}, 900),
    # An odd window in a transform that is no power of two, and magnitudes.
    ({**SPEECH, "n_fft": 300, "win_length": 211, "hop_length": 117, "spectrum": "magnitude"}, 700),
    # A silent band stays at the floor.
    ({**SPEECH, "floor": 0.5}, 700),
]
RATES = [(8000, 16000), (16000, 8000), (44100, 16000), (11025, 8000), (8000, 8001)]

golden = {
    "made_by": f"torch {torch.__version__}, torchaudio {torchaudio.__version__}",
    "features": [
        {"config": config, "samples": samples, "values": features(config, samples, 8000)}
        for config, samples in CASES
    ],
    "resampled": [
        {
            "from": old, "to": new, "samples": 150,
            "values": [
                float(f"{value:.7g}")
                for value in torchaudio.functional.resample(sound(150, old), old, new).tolist()
            ],
        }
        for old, new in RATES
    ],
}
soundfile.write(
    pathlib.Path(__file__).with_suffix(".flac"), sound(1000, 8000).numpy(), 8000, "PCM_16"
)
path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps(golden) + "\n")
print(path, path.stat().st_size)
