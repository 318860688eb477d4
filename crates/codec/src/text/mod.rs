//! Text: characters, words and the tokens of a tokenizer, and back.
