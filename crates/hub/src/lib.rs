//! What folders and files of origins say, as plain facts.
