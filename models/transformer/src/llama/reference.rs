//! Llama's tensors by the names of the code that came with the paper (Meta's `model.py`), which
//! llama2.c has too: `tok_embeddings`, `layers.0.attention.wq`, `output`.
//!
//! Its rotary positions turn neighbouring elements of a head, where Hugging Face's turn element `i`
//! with element `i + d/2`: the rows of `wq` and `wk` lie in another order.

use super::LlamaConfig;

/// Names of ours, and those of the reference code.
const RENAMED: [(&str, &str); 11] = [
    ("embed_tokens.", "tok_embeddings."),
    ("lm_head.", "output."),
    ("input_layernorm.", "attention_norm."),
    ("post_attention_layernorm.", "ffn_norm."),
    ("self_attn.q_proj.", "attention.wq."),
    ("self_attn.k_proj.", "attention.wk."),
    ("self_attn.v_proj.", "attention.wv."),
    ("self_attn.o_proj.", "attention.wo."),
    ("mlp.gate_proj.", "feed_forward.w1."),
    ("mlp.down_proj.", "feed_forward.w2."),
    ("mlp.up_proj.", "feed_forward.w3."),
];

/// Copies of other tensors, `(copy, original)`, where the output is tied.
pub const TIED: &[(&str, &str)] = &[("output.weight", "tok_embeddings.weight")];

/// Buffers that hold angles of positions and causal masks, not weights.
pub const IGNORED: &[&str] = &[
    "rope.freqs",
    "freqs_cis",
    "freqs_cos",
    "freqs_sin",
    ".attention.mask",
];

/// Weights whose rows lie in the other order.
pub const INTERLEAVED: &[&str] = &["attention.wq.weight", "attention.wk.weight"];

impl LlamaConfig {
    /// What the reference code calls a tensor of ours.
    pub fn reference_name(&self, ours: &str) -> String {
        let found = RENAMED.iter().find(|(name, _)| ours.contains(name));
        match found {
            Some((name, theirs)) => ours.replace(name, theirs),
            None => ours.to_owned(),
        }
    }
}
