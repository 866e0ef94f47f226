//! The demo's texts, shipped inside the program: passages of a book, and addresses to Congress.
//!
//! Sources and rights are in `data/demo/README.md`.

/// Herman Melville, Moby-Dick (1851), chapters 1 to 45.
const BOOK: &str = include_str!("../../../../data/demo/moby-dick.txt");
/// Addresses of the Presidents of the United States to Congress, 1790 to 1816.
const ADDRESSES: &str = include_str!("../../../../data/demo/addresses.txt");

/// Fewest words of a passage.
const WORDS_MIN: usize = 22;
/// Most words of a passage.
const WORDS_MAX: usize = 32;

/// Passages of the author's book, in its order.
pub(crate) fn book() -> Vec<String> {
    passages(BOOK)
}

/// Passages of the addresses, in their order.
pub(crate) fn addresses() -> Vec<String> {
    passages(ADDRESSES)
}

/// The addresses whole, for the tokeniser.
pub(crate) fn addresses_text() -> &'static str {
    ADDRESSES
}

/// Cuts text at the first mark after enough words, or where a passage grows too long.
fn passages(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for paragraph in text.split("\n\n").filter(|p| !p.starts_with("CHAPTER")) {
        let mut words: Vec<&str> = Vec::new();
        for word in paragraph.split_whitespace() {
            words.push(word);
            let ends = word.ends_with(['.', '!', '?', ';', ',', ':']);
            if words.len() >= WORDS_MAX || (ends && words.len() >= WORDS_MIN) {
                found.push(words.join(" ").replace(['"', '_'], ""));
                words.clear();
            }
        }
    }
    found
}

/// The first `n` words, and the rest.
pub(crate) fn opening(passage: &str, n: usize) -> (String, String) {
    let words: Vec<&str> = passage.split_whitespace().collect();
    let (first, rest) = words.split_at(n.min(words.len()));
    (first.join(" "), rest.join(" "))
}
