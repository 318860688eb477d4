//! Pictures: decoded, brought to a size, normalised.
