//! Mean intersection over union over the classes of a whole split.
