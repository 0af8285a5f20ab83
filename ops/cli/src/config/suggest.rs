//! Did you mean: the known name nearest to one that was typed.

/// The nearest of `known`, if near enough to be a slip of the fingers rather than another word.
pub(crate) fn nearest<'k>(typed: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let typed = plain(typed);
    let (distance, word) =
        known.into_iter().map(|word| (strsim::damerau_levenshtein(&typed, &plain(word)), word)).min()?;
    let longest = typed.chars().count().max(word.chars().count());
    // Two letters of which one is right are no likeness: v4 is not v6.
    if longest <= 2 && sorted(&typed) != sorted(word) {
        return None;
    }
    let stem = typed.chars().count() >= 3 && (word.starts_with(&typed) || typed.starts_with(word));
    (distance <= longest.div_ceil(3).min(3) || stem).then_some(word)
}

fn sorted(word: &str) -> Vec<char> {
    let mut letters: Vec<char> = word.chars().collect();
    letters.sort_unstable();
    letters
}

/// Case, and the choice between `-` and `_`, are the commonest slips. Long words are cut: distance costs their product.
fn plain(word: &str) -> String {
    word.chars().take(40).flat_map(char::to_lowercase).map(|c| if c == '-' { '_' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_their_word_and_other_words_do_not() {
        let known = ["schedule", "to", "port", "listen_port"];
        for (typed, meant) in [
            ("schedul", "schedule"),
            ("Schedule", "schedule"),
            ("prot", "port"),
            ("listen-port", "listen_port"),
            ("ot", "to"),
        ] {
            assert_eq!(nearest(typed, known), Some(meant), "{typed}");
        }
        assert_eq!(nearest("certificate", known), None);
        assert_eq!(nearest("", known), None);
        assert_eq!(nearest("x", []), None);
        assert_eq!(nearest("v4", ["v6"]), None);
    }
}
