//! Names that differ from the origin's in how they begin.

/// `ours` with the beginning replaced that stands first in a pair of `(ours, theirs)`; as it is
/// where there is none.
pub(crate) fn rename(ours: &str, beginnings: &[(String, String)]) -> String {
    let renamed = beginnings.iter().find_map(|(begins, theirs)| {
        let rest = ours.strip_prefix(begins)?;
        Some(format!("{theirs}{rest}"))
    });
    renamed.unwrap_or_else(|| ours.to_string())
}
