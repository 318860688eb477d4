//! In the place of the tokenizer in a build without the feature `tokenizers`: none can be made.

use serde_json::Value as Json;

use super::NO_TOKENIZERS;

/// A tokenizer, as its file describes it.
#[derive(Debug)]
pub enum Tokenizer {}

#[expect(
    missing_docs,
    reason = "they are documented in the build that has them"
)]
impl Tokenizer {
    pub fn parse(_: &str) -> Result<Self, String> {
        Err(NO_TOKENIZERS.into())
    }

    pub fn vocabulary(&self) -> usize {
        match *self {}
    }

    pub fn pad(&self) -> Option<u32> {
        match *self {}
    }

    pub fn encode(&self, _: &str, _: bool) -> Result<Vec<u32>, String> {
        match *self {}
    }

    pub fn corpus(
        &self,
        _: &str,
        _: impl Fn(&str, u128) -> Result<(), String>,
    ) -> Result<Vec<u32>, String> {
        match *self {}
    }

    pub(super) fn check_set(&self, _: &[&str]) -> Result<(), (usize, String)> {
        match *self {}
    }

    pub fn sentence(&self, _: &str, _: usize) -> Result<Vec<u32>, String> {
        match *self {}
    }

    pub fn is_unknown(&self, _: u32) -> bool {
        match *self {}
    }

    pub fn decode(&self, _: &[u32]) -> String {
        match *self {}
    }

    pub(super) fn decode_plain(&self, _: &[u32]) -> String {
        match *self {}
    }

    pub(super) fn id_to_token(&self, _: u32) -> Option<String> {
        match *self {}
    }

    pub(super) fn decoder(&self) -> Option<Json> {
        match *self {}
    }
}
