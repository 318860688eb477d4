//! x

/// The file's name.
pub const TOKENIZER_CONFIG_FILE: &str = "tokenizer_config.json";
