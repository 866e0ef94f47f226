//! Byte-level BPE of our own, and the chat format of the models trained here.
//!
//! Responsible for: a small vocabulary learnt from text (every byte is in it, so every text can
//! be written), the control tokens, and how a conversation becomes tokens. Leaves reading other
//! people's tokenisers to `stillwatch_models`.

use crate::LabError;
use stillwatch_evidence::Message;
use tokenizers::decoders::byte_level::ByteLevel as ByteLevelDecoder;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer, TokenizerBuilder};

/// Stands before every text.
pub const BEGIN: &str = "<|begin|>";
/// Ends every answer.
pub const END: &str = "<|end|>";
const SYSTEM: &str = "<|system|>";
const USER: &str = "<|user|>";
const ASSISTANT: &str = "<|assistant|>";

/// The chat template of our models, as `tokenizer_config.json` carries it.
pub const CHAT_TEMPLATE: &str = "{{ bos_token }}{% for message in messages %}\
{{ '<|' + message['role'] + '|>' + message['content'] }}\
{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}\
{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}";

/// Control tokens and the 256 bytes: no vocabulary is smaller.
pub const MIN_VOCAB: usize = 5 + 256;

/// A trained tokeniser together with its control tokens.
#[derive(Debug, Clone)]
pub struct LabTokenizer {
    inner: Tokenizer,
    end: u32,
}

/// Learns a vocabulary of `vocab_size` tokens from texts. Same texts, same vocabulary.
///
/// # Errors
/// A vocabulary below [`MIN_VOCAB`], or texts too poor to fill it.
pub fn train<'a>(
    texts: impl Iterator<Item = &'a str> + Send,
    vocab_size: usize,
) -> Result<LabTokenizer, LabError> {
    if vocab_size < MIN_VOCAB {
        return Err(LabError::Parameter {
            field: "vocab_size",
            value: vocab_size.to_string(),
            expected: "at least 261: five control tokens and the 256 bytes",
        });
    }
    let control = [BEGIN, END, SYSTEM, USER, ASSISTANT];
    let mut trainer = BpeTrainerBuilder::new()
        .vocab_size(vocab_size)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(control.iter().map(|&t| AddedToken::from(t, true)).collect())
        .build();
    let bytes = ByteLevel::new(false, true, true);
    let mut inner = TokenizerBuilder::new()
        .with_model(BPE::default())
        .with_normalizer(None::<tokenizers::NormalizerWrapper>)
        .with_pre_tokenizer(Some(bytes))
        .with_post_processor(None::<tokenizers::PostProcessorWrapper>)
        .with_decoder(Some(ByteLevelDecoder::default()))
        .build()?;
    inner.train(&mut trainer, texts)?;
    let inner: Tokenizer = inner.into();
    let found = inner.get_vocab_size(true);
    if found != vocab_size {
        return Err(LabError::Tokenizer(format!(
            "the texts give a vocabulary of {found} tokens, {vocab_size} were asked; give more text or ask for fewer"
        )));
    }
    let end = inner
        .token_to_id(END)
        .ok_or_else(|| LabError::Tokenizer(format!("{END} is missing from the vocabulary")))?;
    Ok(LabTokenizer { inner, end })
}

impl LabTokenizer {
    /// Tokens in the vocabulary.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The contents of `tokenizer.json`.
    pub fn to_json(&self) -> Result<String, LabError> {
        Ok(self.inner.to_string(true)?)
    }

    /// The number of one token of the vocabulary.
    pub fn token_id(&self, token: &str) -> Result<u32, LabError> {
        let id = self.inner.token_to_id(token);
        id.ok_or_else(|| LabError::Tokenizer(format!("{token} is missing from the vocabulary")))
    }

    /// Tokens of a plain text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, LabError> {
        Ok(self.inner.encode(text, false)?.get_ids().to_vec())
    }

    /// Text of tokens, without control tokens.
    pub fn decode(&self, tokens: &[u32]) -> Result<String, LabError> {
        Ok(self.inner.decode(tokens, true)?)
    }

    /// Tokens of a conversation up to the answer: what [`CHAT_TEMPLATE`] renders, tokenised.
    pub fn encode_prompt(&self, messages: &[Message]) -> Result<Vec<u32>, LabError> {
        let mut text = String::from(BEGIN);
        for message in messages {
            text.push_str("<|");
            text.push_str(&message.role);
            text.push_str("|>");
            text.push_str(&message.content);
            if message.role == "assistant" {
                text.push_str(END);
            }
        }
        text.push_str(ASSISTANT);
        self.encode(&text)
    }

    /// A conversation with its answer as a training example: prompt, answer tokenised apart from
    /// it (as it is when scored), end; the answer and the end are to be learnt.
    pub fn example(
        &self,
        messages: &[Message],
        answer: &str,
    ) -> Result<crate::train::Example, LabError> {
        let mut tokens = self.encode_prompt(messages)?;
        let learn_from = tokens.len();
        tokens.extend(self.encode(answer)?);
        tokens.push(self.end);
        Ok(crate::train::Example { tokens, learn_from })
    }
}

/// The contents of `tokenizer_config.json`.
pub fn tokenizer_config(max_positions: usize) -> serde_json::Value {
    serde_json::json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BEGIN,
        "eos_token": END,
        "pad_token": END,
        "add_bos_token": false,
        "clean_up_tokenization_spaces": false,
        "model_max_length": max_positions,
        "chat_template": CHAT_TEMPLATE,
    })
}
