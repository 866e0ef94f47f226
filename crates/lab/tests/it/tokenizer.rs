//! The tokeniser: deterministic, writes every text, and renders chats as its template does.

use stillwatch_evidence::Message;
use stillwatch_lab::LabError;
use stillwatch_lab::tokenizer::{CHAT_TEMPLATE, MIN_VOCAB, train};

const TEXT: &str = "It was the whale, the whale and nothing but the whale that the ship sought; \
    the sea was the sea, and the captain said that the whale was the whale. Nothing more was said.";

#[test]
fn same_text_same_vocabulary() {
    let one = train(std::iter::once(TEXT), 300).unwrap();
    let two = train(std::iter::once(TEXT), 300).unwrap();
    assert_eq!(one.to_json().unwrap(), two.to_json().unwrap());
    assert_eq!(one.vocab_size(), 300);
}

#[test]
fn writes_every_text() {
    let tokenizer = train(std::iter::once(TEXT), 290).unwrap();
    for text in ["the whale", "ünïcödé — 鯨\n\t🐳", "<not a token>", ""] {
        assert_eq!(tokenizer.decode(&tokenizer.encode(text).unwrap()).unwrap(), text);
    }
}

#[test]
fn an_example_is_prompt_answer_and_end() {
    let tokenizer = train(std::iter::once(TEXT), 290).unwrap();
    let user = Message { role: "user".to_owned(), content: "the sea".to_owned() };
    let example = tokenizer.example(std::slice::from_ref(&user), "the whale").unwrap();
    let prompt = tokenizer.encode("<|begin|><|user|>the sea<|assistant|>").unwrap();
    assert_eq!(example.learn_from, prompt.len());
    assert_eq!(example.tokens[..prompt.len()], prompt);
    assert_eq!(example.tokens.last(), Some(&tokenizer.token_id("<|end|>").unwrap()));
    assert_eq!(prompt[0], tokenizer.token_id("<|begin|>").unwrap());
    let answer = &example.tokens[prompt.len()..example.tokens.len() - 1];
    assert_eq!(answer, tokenizer.encode("the whale").unwrap());
    assert!(CHAT_TEMPLATE.contains("add_generation_prompt"));
}

#[test]
fn refuses_vocabularies_that_texts_cannot_fill() {
    assert!(matches!(
        train(std::iter::once(TEXT), MIN_VOCAB - 1),
        Err(LabError::Parameter { field: "vocab_size", .. })
    ));
    assert!(matches!(train(std::iter::once("whale"), 1000), Err(LabError::Tokenizer(_))));
}
