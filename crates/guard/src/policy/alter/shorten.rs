//! A text cut to its first sentences, piece by piece as it arrives.

/// Sentences that are kept.
const SENTENCES_MAX: u32 = 2;
/// Characters that are kept at most.
const CHARS_MAX: u32 = 320;
/// Says that something was left out. Follows the last kept character.
pub const SHORTENED_MARK: &str = " [shortened]";

/// Passes the first sentences on, then a mark, then nothing. The same whatever the pieces are.
#[derive(Debug, Clone, Default)]
pub(super) struct Shortener {
    chars: u32,
    sentences: u32,
    after_stop: bool,
    full: bool,
    marked: bool,
}

impl Shortener {
    /// What of the next piece is passed on.
    pub(super) fn push(&mut self, piece: &str) -> String {
        let mut out = String::new();
        for character in piece.chars() {
            if self.full {
                if !self.marked {
                    self.marked = true;
                    out.push_str(SHORTENED_MARK);
                }
                break;
            }
            if character.is_whitespace() && self.after_stop {
                self.sentences += 1;
            }
            self.after_stop = matches!(character, '.' | '!' | '?' | '。' | '…' | ':');
            if self.sentences >= SENTENCES_MAX || self.chars >= CHARS_MAX {
                self.full = true;
                if character.is_whitespace() {
                    continue;
                }
                self.marked = true;
                out.push_str(SHORTENED_MARK);
                break;
            }
            self.chars += 1;
            out.push(character);
        }
        out
    }

    /// A whole text, shortened.
    pub(super) fn whole(text: &str) -> String {
        Self::default().push(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn first_sentences_are_kept_and_the_rest_is_said_to_be_missing() {
        for (text, expected) in [
            ("", ""),
            ("One.", "One."),
            ("One. Two.", "One. Two."),
            ("One. Two. ", "One. Two."),
            ("One. Two. Three. Four.", "One. Two. [shortened]"),
            ("3.14 is no end. Nor is v1.2! Ended", "3.14 is no end. Nor is v1.2! [shortened]"),
        ] {
            assert_eq!(Shortener::whole(text), expected);
        }
        let long = "x".repeat(400);
        assert_eq!(Shortener::whole(&long), format!("{}{SHORTENED_MARK}", "x".repeat(320)));
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(text in "[a-c. !?\n]{0,80}", cut in 0usize..80) {
            let whole = Shortener::whole(&text);
            let (head, tail) = text.split_at(cut.min(text.len()));
            let mut shortener = Shortener::default();
            let mut pieces = shortener.push(head);
            pieces.push_str(&shortener.push(tail));
            prop_assert_eq!(whole, pieces);
        }
    }
}
