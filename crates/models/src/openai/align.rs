//! Finds, exactly or not at all, which of a server's tokens make up the answer.
//!
//! Servers return tokens as text. A token that is part of a character comes as U+FFFD, so its
//! bytes are not known; such tokens are followed through all places whose bytes would be shown
//! like that, and the answer is located only where a single boundary remains. A token that
//! holds the end of the prompt *and* the start of the answer leaves none: that text is refused,
//! never cut. Pure functions of strings.

use std::{collections::BTreeSet, ops::Range};

const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// Why the answer could not be located.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum AlignError {
    /// No token starts where the answer starts, or the text isn't repeated faithfully.
    #[error(
        "the server's tokens have no boundary where the answer begins, or don't repeat the text"
    )]
    NoBoundary,
    /// Several places are possible.
    #[error("the server's tokens leave open where the answer begins")]
    Ambiguous,
}

/// Tokens of `answer` when the whole text before it is known: `tokens` begin with `prompt`
/// (a start-of-text token before it is allowed) and `answer`; up to `generated` more follow.
pub(super) fn after_prompt(
    tokens: &[&str],
    prompt: &str,
    answer: &str,
    generated: usize,
) -> Result<Range<usize>, AlignError> {
    let text = format!("{prompt}{answer}");
    let text = text.as_bytes();
    let mut places = BTreeSet::from([0]);
    let mut starts = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        if places.contains(&prompt.len()) && !token.is_empty() {
            starts.push(i);
        }
        let mut next: BTreeSet<usize> =
            places.iter().flat_map(|&place| forward(token, text, place)).collect();
        if i == 0 {
            // A start-of-text token stands for no text.
            next.insert(0);
        }
        places = next;
    }
    let first_end = tokens.len().saturating_sub(generated);
    let ranges: Vec<Range<usize>> = starts
        .into_iter()
        .flat_map(|start| {
            let ends = ends(tokens, start, text, prompt.len());
            ends.into_iter().filter(|&end| end >= first_end).map(move |end| start..end)
        })
        .collect();
    match ranges.as_slice() {
        [] => Err(AlignError::NoBoundary),
        [range] => Ok(range.clone()),
        _ => Err(AlignError::Ambiguous),
    }
}

/// Indices after a last token of the text when token `start` begins at `place`.
fn ends(tokens: &[&str], start: usize, text: &[u8], place: usize) -> Vec<usize> {
    let mut places = BTreeSet::from([place]);
    let mut ends = Vec::new();
    for (i, token) in tokens.iter().enumerate().skip(start) {
        places = places.iter().flat_map(|&place| forward(token, text, place)).collect();
        // A token without text after the end was generated, or ends the text.
        if places.contains(&text.len()) && !token.is_empty() {
            ends.push(i + 1);
        }
    }
    ends
}

/// Tokens of `answer` when it is what the tokens end with and the text before it is not known
/// (the server's own template). Templates put a marker in ASCII before the answer.
pub(super) fn at_end(tokens: &[&str], answer: &str) -> Result<Range<usize>, AlignError> {
    let text = answer.as_bytes();
    let mut places = BTreeSet::from([text.len()]);
    let mut starts = Vec::new();
    let mut straddles = false;
    for (i, token) in tokens.iter().enumerate().rev() {
        // The text of a first token isn't shown by every server: it may be anything.
        let unknown = i == 0 && token.is_empty();
        straddles |=
            places.iter().any(|&place| unknown && place > 0 || may_straddle(token, text, place));
        places = places.iter().flat_map(|&place| backward(token, text, place)).collect();
        if places.is_empty() {
            break;
        }
        if places.contains(&0) && !token.is_empty() {
            starts.push(i);
        }
    }
    let Some(&start) = starts.last() else {
        return Err(AlignError::NoBoundary);
    };
    if straddles {
        return Err(AlignError::Ambiguous);
    }
    // The first of the possible starts is right if whole text precedes it: that text would have
    // matched had it been part of the answer, and the marker before holds no part of a character.
    // If a part precedes a part, the boundary may lie inside the earlier token; the text of the
    // first token is not shown by every server.
    let is_part = |i: usize| tokens.get(i).is_some_and(|token| token.contains(REPLACEMENT));
    if is_part(start) && start.checked_sub(1).is_none_or(|i| i == 0 || is_part(i)) {
        return Err(AlignError::Ambiguous);
    }
    Ok(start..tokens.len())
}

/// As [`at_end`], for a known prompt whose first token is not shown: the tokens between must
/// repeat the prompt.
pub(super) fn at_end_after(
    tokens: &[&str],
    prompt: &str,
    answer: &str,
) -> Result<Range<usize>, AlignError> {
    let range = at_end(tokens, answer)?;
    let shown = tokens.get(1..range.start).ok_or(AlignError::NoBoundary)?;
    let mut places = BTreeSet::from([prompt.len()]);
    for token in shown.iter().rev() {
        places =
            places.iter().flat_map(|&place| backward(token, prompt.as_bytes(), place)).collect();
    }
    if places.is_empty() { Err(AlignError::NoBoundary) } else { Ok(range) }
}

/// Whether `token` may hold the end of what stands before the text besides the text's first
/// `place` bytes. What stands before ends with a whole character, so both are shown as if alone.
fn may_straddle(token: &str, text: &[u8], place: usize) -> bool {
    let Some(first) = text.get(..place).filter(|first| !first.is_empty()) else { return false };
    let shown = String::from_utf8_lossy(first);
    token.len() > shown.len() && token.ends_with(&*shown)
}

/// Places after `token` if it stands at `place`.
fn forward<'a>(
    token: &'a str,
    text: &'a [u8],
    place: usize,
) -> impl Iterator<Item = usize> + use<'a> {
    let rest = text.get(place..).unwrap_or_default();
    let exact = rest.starts_with(token.as_bytes()).then_some(place + token.len());
    let lengths = lossy_lengths(token).filter(move |&n| {
        rest.get(..n).is_some_and(|piece| is_shown_as(piece, token)) && Some(place + n) != exact
    });
    exact.into_iter().chain(lengths.map(move |n| place + n))
}

/// Places before `token` if it ends at `place`.
fn backward<'a>(
    token: &'a str,
    text: &'a [u8],
    place: usize,
) -> impl Iterator<Item = usize> + use<'a> {
    let before = text.get(..place).unwrap_or_default();
    let exact = before.ends_with(token.as_bytes()).then(|| place - token.len());
    let lengths = lossy_lengths(token).filter(move |&n| {
        place.checked_sub(n).is_some_and(|start| {
            before.get(start..).is_some_and(|piece| is_shown_as(piece, token))
                && Some(start) != exact
        })
    });
    exact.into_iter().chain(lengths.map(move |n| place - n))
}

/// Whether these bytes, decoded alone, give the token's text: Rust, Python and the tokenisers
/// replace maximal broken subsequences alike (Unicode 15, section 3.9).
fn is_shown_as(piece: &[u8], token: &str) -> bool {
    String::from_utf8_lossy(piece) == token
}

/// Byte lengths that a token with replacement characters can have in truth: each stands for one
/// to three bytes of a character. Empty for a token without any.
fn lossy_lengths(token: &str) -> Range<usize> {
    let replaced = token.chars().filter(|&c| c == REPLACEMENT).count();
    let whole = token.len() - replaced * REPLACEMENT.len_utf8();
    if replaced == 0 { 0..0 } else { whole + replaced..whole + 3 * replaced + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn locates_answers_after_a_known_prompt() {
        use AlignError::{Ambiguous, NoBoundary};
        type Case<'a> = (&'a [&'a str], &'a str, &'a str, Result<Range<usize>, AlignError>);
        let cases: &[Case<'_>] = &[
            (&["Q", ":", "yes", " no"], "Q:", "yes no", Ok(2..4)),
            // A token was generated after the text, or a start token stands before it.
            (&["Q", ":", "yes", " no", "."], "Q:", "yes no", Ok(2..4)),
            (&["Q", ":", "yes", " no", "yes", " no"], "Q:", "yes no", Err(NoBoundary)),
            (&["<s>", "Q:", "yes"], "Q:", "yes", Ok(2..3)),
            // Straddles the boundary.
            (&["Q", ":y", "es"], "Q:", "yes", Err(NoBoundary)),
            // Echo was ignored: only generated text.
            (&["Hello", "!"], "Q:", "yes", Err(NoBoundary)),
            (&[], "Q:", "yes", Err(NoBoundary)),
            // Cut short.
            (&["Q:", "ye"], "Q:", "yes", Err(NoBoundary)),
            // Characters in pieces, inside the answer and right at its start.
            (&["Q:", "a", "\u{fffd}", "\u{fffd}", "b"], "Q:", "aéb", Ok(1..5)),
            (&["Q:", "\u{fffd}", "\u{fffd}"], "Q:", "é", Ok(1..3)),
            // Two or three of these pieces make the character: the last may be generated.
            (&["Q:", "\u{fffd}", "\u{fffd}", "\u{fffd}"], "Q:", "🙂", Err(Ambiguous)),
            (&["Q:", "\u{fffd}", "\u{fffd}\u{fffd}", "!"], "Q:", "🙂", Ok(1..3)),
            // A prompt that ends in pieces.
            (&["\u{fffd}", "\u{fffd}", "\u{fffd}", "\u{fffd}"], "é", "é", Ok(2..4)),
            // The text itself holds a replacement character.
            (&["Q:", "\u{fffd}", "x"], "Q:", "\u{fffd}x", Ok(1..3)),
            // A letter lost (decoders that strip blanks).
            (&["Q:", "yes", "no"], "Q:", "yes no", Err(NoBoundary)),
        ];
        for (tokens, prompt, answer, expected) in cases {
            assert_eq!(&after_prompt(tokens, prompt, answer, 1), expected, "{tokens:?}");
        }
    }

    #[test]
    fn locates_answers_at_the_end() {
        use AlignError::{Ambiguous, NoBoundary};
        type Case<'a> = (&'a [&'a str], &'a str, Result<Range<usize>, AlignError>);
        let cases: &[Case<'_>] = &[
            (&["<|im_start|>", "assistant", "\n", "yes", " no"], "yes no", Ok(3..5)),
            (&["\n", "", "yes"], "yes", Ok(2..3)),
            (&["assistant", "\nyes"], "yes", Err(NoBoundary)),
            (&["\n", "yes", "<|im_end|>"], "yes", Err(NoBoundary)),
            (&["", "\n", "\u{fffd}", "\u{fffd}", "\u{fffd}"], "🙂", Ok(2..5)),
            (&["", "\u{fffd}", "\u{fffd}"], "é", Err(Ambiguous)),
            (&["\u{fffd}", "\u{fffd}", "\u{fffd}"], "é", Err(Ambiguous)),
            // The answer repeats the words before it: the last ones are meant.
            (&["yes", "yes"], "yes", Ok(1..2)),
            // The first character stands with the marker, the rest is in pieces.
            (
                &["é", "a\né", "\u{fffd}", "\u{fffd}\u{fffd}", "\u{fffd}", "\u{fffd}", "\u{fffd}"],
                "é🙂漢",
                Err(Ambiguous),
            ),
            // The template trimmed the answer.
            (&["\n", "yes"], " yes", Err(NoBoundary)),
        ];
        for (tokens, answer, expected) in cases {
            assert_eq!(&at_end(tokens, answer), expected, "{tokens:?}");
        }
    }

    proptest! {
        /// Any tokenisation at byte level, shown the way servers show it, is either located
        /// where it truly is, or refused.
        #[test]
        fn never_locates_wrongly(
            prompt in "[ab🙂é]{0,6}\n",
            answer in "[ab é🙂漢]{1,8}",
            cuts in proptest::collection::btree_set(1usize..60, 0..30),
        ) {
            let text = format!("{prompt}{answer}");
            let mut edges: Vec<usize> =
                cuts.into_iter().filter(|&c| c < text.len()).collect();
            edges.insert(0, 0);
            edges.push(text.len());
            let shown: Vec<String> = edges
                .windows(2)
                .map(|w| String::from_utf8_lossy(&text.as_bytes()[w[0]..w[1]]).into_owned())
                .collect();
            let tokens: Vec<&str> = shown.iter().map(String::as_str).collect();
            let truth = edges.iter().position(|&e| e == prompt.len());
            let unshown: Vec<&str> =
                std::iter::once("").chain(tokens.iter().skip(1).copied()).collect();
            for found in [
                after_prompt(&tokens, &prompt, &answer, 0),
                at_end(&tokens, &answer),
                at_end_after(&unshown, &prompt, &answer),
            ] {
                match (found, truth) {
                    (Ok(range), Some(start)) => prop_assert_eq!(range, start..tokens.len()),
                    (Ok(range), None) => prop_assert!(false, "{:?} found at {:?}", tokens, range),
                    (Err(_), _) => {}
                }
            }
        }
    }
}
