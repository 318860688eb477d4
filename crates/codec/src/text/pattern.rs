//! Regular expressions of a `tokenizer.json`, held against what they could cost before they are
//! compiled: by the parser of the crate that compiles them.

use fancy_regex::Expr;
use zoo_files::{brief, brief_problem};

/// The most bytes of a pattern. GPT-4o's have some 400, the longest in use two thousand.
const MOST_BYTES: usize = 4096;

/// What a class of characters weighs beside a plain one: of Unicode's letters it is a table.
const CLASS: usize = 64;

/// What it weighs where matches are sought by trying: there it is an automaton of its own, with memory
/// of its own, over a megabyte of it for letters.
const TRIED_CLASS: usize = 512;

/// What a pattern is, as far as it decides what it costs.
pub(super) struct Pattern {
    /// About how many parts it is compiled to: a repeated part counts as often as it is repeated.
    pub(super) weight: usize,
    /// The fewest bytes of a match.
    pub(super) least: usize,
    /// Whether much of a text may be looked through for each match in it, so that the time grows as the
    /// square of its length.
    pub(super) searches: bool,
}

impl Pattern {
    /// A regular expression.
    pub(super) fn of_regex(regex: &str) -> Result<Self, String> {
        check_length(regex)?;
        let tree = Expr::parse_tree(regex)
            .map_err(|error| format!("{:?}: {}", brief(regex), brief_problem(error)))?;
        let backtracks = backtracks(&tree.expr);
        if backtracks && is_nested(&tree.expr, false) {
            return Err(format!(
                "{:?}: repeats what is repeated, beside parts that are tried again and again, which \
                 may take for ever",
                brief(regex)
            ));
        }
        Ok(Self {
            weight: weight(&tree.expr, if backtracks { TRIED_CLASS } else { CLASS }),
            least: least(&tree.expr),
            searches: searches(&tree.expr),
        })
    }

    /// A plain text.
    pub(super) fn of_text(text: &str) -> Result<Self, String> {
        check_length(text)?;
        if text.is_empty() {
            return Err("an empty pattern is found everywhere".into());
        }
        Ok(Self {
            weight: text.len(),
            least: text.len(),
            searches: false,
        })
    }

    /// How many times as long a text may become in which every match is replaced by `content`.
    pub(super) fn growth(&self, content: &str) -> f64 {
        match self.least {
            // Before every byte there may be a match of nothing.
            0 => 1.0 + content.len() as f64,
            least => (content.len() as f64 / least as f64).max(1.0),
        }
    }
}

fn check_length(pattern: &str) -> Result<(), String> {
    match pattern.len() {
        bytes if bytes > MOST_BYTES => Err(format!(
            "a pattern of {bytes} bytes: more than {MOST_BYTES} are not read"
        )),
        _ => Ok(()),
    }
}

fn weight(expr: &Expr, class: usize) -> usize {
    let each = children(expr).map(|child| weight(child, class));
    let inner = each.fold(0, usize::saturating_add);
    match expr {
        Expr::Literal { val, .. } => val.len(),
        Expr::Delegate { .. } => class,
        Expr::Repeat { lo, hi, .. } => {
            let times = if *hi == usize::MAX { *lo } else { *hi };
            inner.saturating_mul(times.max(1)).saturating_add(1)
        }
        _ => inner.saturating_add(1),
    }
}

fn least(expr: &Expr) -> usize {
    let each = children(expr).map(least);
    match expr {
        Expr::Literal { val, .. } => val.len(),
        Expr::Any { .. } => 1,
        Expr::Delegate { size, .. } => *size,
        Expr::Repeat { lo, .. } => each.sum::<usize>().saturating_mul(*lo),
        Expr::Alt(_) => each.min().unwrap_or_default(),
        Expr::Concat(_) | Expr::Group(_) | Expr::AtomicGroup(_) => {
            each.fold(0, usize::saturating_add)
        }
        _ => 0,
    }
}

/// Whether a match is sought by trying, rather than by an automaton.
fn backtracks(expr: &Expr) -> bool {
    match expr {
        Expr::Empty
        | Expr::Any { .. }
        | Expr::Assertion(_)
        | Expr::Literal { .. }
        | Expr::Delegate { .. } => false,
        Expr::Concat(_) | Expr::Alt(_) | Expr::Group(_) | Expr::Repeat { .. } => {
            children(expr).any(backtracks)
        }
        _ => true,
    }
}

/// Whether something is repeated without an end within what is repeated without an end.
fn is_nested(expr: &Expr, within: bool) -> bool {
    let is_endless = matches!(expr, Expr::Repeat { hi: usize::MAX, .. });
    is_endless && within || children(expr).any(|child| is_nested(child, within || is_endless))
}

/// Whether something comes after what is repeated without an end, and may fail there: `a*b`, in a text of
/// `a` alone.
fn searches(expr: &Expr) -> bool {
    let here = match expr {
        Expr::Concat(parts) => {
            let mut parts = parts.iter().skip_while(|part| !is_endless(part)).skip(1);
            parts.any(|part| least(part) > 0 || may_fail(part))
        }
        Expr::Repeat { child, .. } | Expr::LookAround(child, _) => is_endless(child),
        _ => false,
    };
    here || children(expr).any(searches)
}

/// Whether there is no longest match.
fn is_endless(expr: &Expr) -> bool {
    matches!(expr, Expr::Repeat { hi: usize::MAX, .. }) || children(expr).any(is_endless)
}

/// Whether it may fail without taking anything.
fn may_fail(expr: &Expr) -> bool {
    match expr {
        Expr::Empty | Expr::Repeat { lo: 0, .. } => false,
        Expr::Concat(_) | Expr::Alt(_) | Expr::Group(_) | Expr::Repeat { .. } => {
            children(expr).any(may_fail)
        }
        _ => true,
    }
}

fn children(expr: &Expr) -> impl Iterator<Item = &Expr> {
    let (one, many): ([Option<&Expr>; 3], &[Expr]) = match expr {
        Expr::Concat(parts) | Expr::Alt(parts) => ([None; 3], parts),
        Expr::Group(child)
        | Expr::LookAround(child, _)
        | Expr::AtomicGroup(child)
        | Expr::Repeat { child, .. } => ([Some(child), None, None], &[]),
        Expr::Conditional {
            condition,
            true_branch,
            false_branch,
        } => (
            [Some(condition), Some(true_branch), Some(false_branch)],
            &[],
        ),
        _ => ([None; 3], &[]),
    };
    one.into_iter().flatten().chain(many)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of GPT-2, Llama 3, GPT-4o, DeepSeek, BLOOM and StarCoder.
    const IN_USE: [&str; 7] = [
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        r"[!-/:-~]?[A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        r" ?[^(\s|[.,!?…。，、।۔،])]+",
        r"\d{1,3}(?=(?:\d{3})*\b)",
        " {2,}",
    ];

    #[test]
    fn what_is_in_use_is_light() {
        for regex in IN_USE {
            let pattern = Pattern::of_regex(regex).unwrap();
            assert!(pattern.weight < 9000, "{regex}: {}", pattern.weight);
            assert!(pattern.least > 0, "{regex}");
            tokenizers_compile(regex);
        }
        let pattern = Pattern::of_regex(" {2,}").unwrap();
        assert_eq!((pattern.least, pattern.growth("▁▁▁▁")), (2, 6.0));
    }

    fn tokenizers_compile(regex: &str) {
        fancy_regex::Regex::new(regex).unwrap();
    }

    #[test]
    fn what_looks_through_a_text_is_told() {
        let searches = |regex: &str| Pattern::of_regex(regex).unwrap().searches;
        for regex in [
            "a*b", "(a+)b|a", r"\s+$", "(?=a*b)a", r"a+(?!b)", "(a*){3}", "(a)*\\1", IN_USE[1],
        ] {
            assert!(searches(regex), "{regex}");
        }
        for regex in [
            r"\s+",
            " {2,}",
            "a+b*",
            r"\p{L}+|\p{N}{1,3}|\s?x+",
            "(?i:'s|'t)?a+",
            "[0-9]",
        ] {
            assert!(!searches(regex), "{regex}");
        }
    }

    #[test]
    fn what_costs_without_end_is_told() {
        let weight = |regex: &str| Pattern::of_regex(regex).unwrap().weight;
        assert!(weight(r"((\w{99}){99}){99}") > 1 << 20);
        assert!(weight("((((a{9999}){9999}){9999}){9999}){9999}") == usize::MAX);
        assert!(Pattern::of_regex(r"(?=(a+)+$)").is_err());
        assert!(Pattern::of_regex(r"(a|b)*(?:c*)*\1").is_err());
        // An automaton does these in time.
        Pattern::of_regex("(a+)+$").unwrap();
        let long = "a".repeat(5000);
        let error = Pattern::of_regex(&long).err().unwrap();
        assert!(error.contains("5000 bytes"), "{error}");
        for nothing in ["", "a*", "(?=a)", "a|", r"\b"] {
            let pattern = Pattern::of_regex(nothing).unwrap();
            assert_eq!((pattern.least, pattern.growth("xyz")), (0, 4.0));
        }
        assert!(Pattern::of_text("").is_err());
    }
}
