//! Whether every token that a folder speaks of has a row in its model's embedding.

use crate::HubError;
use crate::config::CONFIG_FILE;
use crate::tokenizer_config::TOKENIZER_FILE;

/// A token with a meaning of its own, and where its id stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecialId {
    /// The file.
    pub file: &'static str,
    /// The key.
    pub key: &'static str,
    /// The id.
    pub id: u32,
}

/// Holds the ids of a folder against its model's embedding, which has `rows` of them (`vocab_size`): the
/// tokenizer's, which are the numbers below `vocabulary`, and the special ones. A model may have more
/// rows than there are tokens: many are padded to a round number.
///
/// # Errors
/// The first id without a row, by the file and key that it comes from.
pub fn check_ids(vocabulary: usize, special: &[SpecialId], rows: usize) -> Result<(), HubError> {
    if vocabulary > rows {
        return Err(HubError::new(
            TOKENIZER_FILE,
            format!(
                "has tokens of ids up to {}, more than vocab_size = {rows} in {CONFIG_FILE} has; the \
                 tokenizer and the weights are not of one model",
                vocabulary - 1
            ),
        ));
    }
    let beyond = special.iter().find(|special| special.id as usize >= rows);
    match beyond {
        None => Ok(()),
        Some(SpecialId { file, key, id }) => Err(HubError::new(
            *file,
            format!(
                "{key} = {id}: vocab_size = {rows} in {CONFIG_FILE} has no such token, for ids begin at 0"
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_beyond_the_embedding_is_refused_by_file_and_key() {
        let stop = |id| SpecialId {
            file: "generation_config.json",
            key: "eos_token_id",
            id,
        };
        check_ids(30_522, &[stop(102)], 30_522).unwrap();
        // Padded to a round number, with a stop among the rows that no text reaches.
        check_ids(50_257, &[stop(50_300)], 50_304).unwrap();
        check_ids(0, &[], 0).unwrap();
        let error = check_ids(30_523, &[], 30_522).unwrap_err().to_string();
        assert!(error.starts_with("tokenizer.json: ") && error.contains("ids up to 30522"));
        let error = check_ids(10, &[stop(3), stop(10)], 10).unwrap_err();
        assert_eq!(error.file, "generation_config.json");
        assert!(error.problem.starts_with("eos_token_id = 10: "), "{error}");
    }
}
