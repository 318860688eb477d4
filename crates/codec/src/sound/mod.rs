//! Sound: decoded, resampled, as log-mel features.
