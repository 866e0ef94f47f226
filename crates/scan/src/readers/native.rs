//! Our own exchanges: the fast way, and the slow way that says what is wrong.
//!
//! A line is read in one pass by sonic-rs without building a tree; texts without escapes are
//! borrowed. What the fast way refuses goes to the schema itself, whose word is final: it names
//! the field, or it accepts.

use super::json::is_too_deep;
use super::text::Text;
use super::times::text_ms;
use crate::row::LogRow;
use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use sonic_rs::LazyValue;
use std::borrow::Cow;
use std::fmt;
use stillwatch_evidence::{Exchange, Validate as _, parse_line};

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(default, borrow)]
    time: Text<'a>,
    #[serde(default, borrow)]
    account: Text<'a>,
    #[serde(default, borrow)]
    plan: Text<'a>,
    #[serde(default, borrow)]
    client: Option<Client<'a>>,
    #[serde(default, borrow)]
    model: Text<'a>,
    #[serde(default, borrow)]
    params: Option<LazyValue<'a>>,
    #[serde(borrow)]
    messages: LazyValue<'a>,
    #[serde(default, borrow)]
    response: Option<Response<'a>>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Client<'a> {
    #[serde(default, borrow)]
    ip: Text<'a>,
    #[serde(default, borrow)]
    user_agent: Text<'a>,
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(default, borrow)]
    text: Text<'a>,
    #[serde(default, borrow)]
    finish_reason: Text<'a>,
}

#[derive(Deserialize, Default)]
struct Usage {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

/// The parameters that detection looks at, read from their raw text. Values of odd types count
/// as absent, as they do in the slow way.
#[derive(Default)]
struct Params {
    max_tokens: Option<u32>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    logprobs: bool,
    stream: bool,
    tools: bool,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Text<'a>,
    #[serde(borrow)]
    content: Text<'a>,
}

/// The conversation: the first system prompt, the last words of the user, how many messages.
#[derive(Default)]
struct Talk<'a> {
    system: Option<Cow<'a, str>>,
    user: Cow<'a, str>,
    n: u32,
}

/// Reads a line. `ended`: whether it has its end.
///
/// # Errors
/// What is wrong with the line, naming the field.
pub(super) fn read(
    line: &[u8],
    ended: bool,
    out: &mut dyn FnMut(&LogRow<'_>),
) -> Result<(), String> {
    if !is_too_deep(line)
        && let Some(fast) = fast(line)
    {
        out(&fast);
        return Ok(());
    }
    let exchange: Exchange = parse_line(line, ended)?;
    exchange.validate()?;
    slow(&exchange, out);
    Ok(())
}

fn fast(line: &[u8]) -> Option<LogRow<'_>> {
    let line: Line<'_> = sonic_rs::from_slice(line).ok()?;
    let messages = line.messages.as_raw_cow();
    let Cow::Borrowed(raw) = messages else { return None };
    let talk: Talk<'_> = sonic_rs::from_str(raw).ok()?;
    let params_json = match &line.params {
        Some(params) => params.as_raw_cow(),
        None => Cow::Borrowed(""),
    };
    let params = match &params_json {
        Cow::Borrowed("") => Params::default(),
        json => sonic_rs::from_str(json).ok()?,
    };
    let time_ms = match &line.time.0 {
        empty if empty.is_empty() => None,
        time => Some(text_ms(time)?),
    };
    let client = line.client.unwrap_or(Client { ip: Text::default(), user_agent: Text::default() });
    let response = line.response;
    let response =
        response.unwrap_or(Response { text: Text::default(), finish_reason: Text::default() });
    let usage = line.usage.unwrap_or_default();
    Some(LogRow {
        id: line.id.filled()?,
        account: line.account.filled(),
        plan: line.plan.0,
        time_ms,
        model: line.model.0,
        system: talk.system.unwrap_or_default(),
        user: talk.user,
        response: response.text.0,
        finish_reason: response.finish_reason.0,
        n_messages: talk.n,
        prompt_tokens: tokens(usage.prompt_tokens),
        completion_tokens: tokens(usage.completion_tokens),
        max_tokens: params.max_tokens,
        temperature: params.temperature,
        top_p: params.top_p,
        logprobs: params.logprobs,
        stream: params.stream,
        tools: params.tools,
        failed: false,
        ip: client.ip.0,
        user_agent: client.user_agent.0,
        messages_json: Cow::Borrowed(raw),
        params_json,
        no_content: None,
    })
}

fn slow(exchange: &Exchange, out: &mut dyn FnMut(&LogRow<'_>)) {
    let messages_json = serde_json::to_string(&exchange.messages).unwrap_or_default();
    let params_json = if exchange.params.is_empty() {
        String::new()
    } else {
        serde_json::to_string(&exchange.params).unwrap_or_default()
    };
    let params: Params = sonic_rs::from_str(&params_json).unwrap_or_default();
    let talk: Talk<'_> = sonic_rs::from_str(&messages_json).unwrap_or_default();
    let usage = exchange.usage.unwrap_or_default();
    let account = exchange.account.as_deref().filter(|account| !account.is_empty());
    out(&LogRow {
        id: exchange.id.as_str().into(),
        account: account.map(Into::into),
        plan: exchange.plan.as_deref().unwrap_or_default().into(),
        time_ms: exchange.time.map(jiff::Timestamp::as_millisecond),
        model: exchange.model.as_str().into(),
        system: talk.system.unwrap_or_default(),
        user: talk.user,
        response: exchange.response.text.as_str().into(),
        finish_reason: exchange.response.finish_reason.as_deref().unwrap_or_default().into(),
        n_messages: talk.n,
        prompt_tokens: tokens(usage.prompt_tokens),
        completion_tokens: tokens(usage.completion_tokens),
        max_tokens: params.max_tokens,
        temperature: params.temperature,
        top_p: params.top_p,
        logprobs: params.logprobs,
        stream: params.stream,
        tools: params.tools,
        failed: false,
        ip: exchange.client.ip.as_deref().unwrap_or_default().into(),
        user_agent: exchange.client.user_agent.as_deref().unwrap_or_default().into(),
        messages_json: messages_json.as_str().into(),
        params_json: params_json.as_str().into(),
        no_content: None,
    });
}

fn tokens(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

impl<'de: 'a, 'a> Deserialize<'de> for Talk<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(TalkVisitor)
    }
}

struct TalkVisitor;

impl<'de> Visitor<'de> for TalkVisitor {
    type Value = Talk<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut talk = Talk::default();
        while let Some(message) = seq.next_element::<Message<'de>>()? {
            talk.n = talk.n.saturating_add(1);
            match message.role.0.as_ref() {
                "user" => talk.user = message.content.0,
                "system" | "developer" if talk.system.is_none() => {
                    talk.system = Some(message.content.0);
                }
                _ => {}
            }
        }
        Ok(talk)
    }
}

impl<'de> Deserialize<'de> for Params {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ParamsVisitor)
    }
}

struct ParamsVisitor;

impl<'de> Visitor<'de> for ParamsVisitor {
    type Value = Params;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of parameters")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Params, A::Error> {
        let mut params = Params::default();
        while let Some(Text(key)) = map.next_key::<Text<'de>>()? {
            match key.as_ref() {
                "max_tokens" => {
                    params.max_tokens = map.next_value::<Loose>()?.whole();
                }
                "temperature" => params.temperature = map.next_value::<Loose>()?.number(),
                "top_p" => params.top_p = map.next_value::<Loose>()?.number(),
                "logprobs" => params.logprobs = map.next_value::<Loose>()?.yes(),
                "stream" => params.stream = map.next_value::<Loose>()?.yes(),
                other => {
                    params.tools |= other == "tools";
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(params)
    }
}

/// A number or a truth value; anything else counts as absent.
enum Loose {
    Yes(bool),
    Number(f64),
    Absent,
}

impl Loose {
    fn yes(&self) -> bool {
        matches!(self, Self::Yes(true))
    }

    fn number(&self) -> Option<f32> {
        match self {
            #[expect(clippy::cast_possible_truncation, reason = "hundredths are looked at")]
            Self::Number(n) => Some(*n as f32),
            _ => None,
        }
    }

    fn whole(&self) -> Option<u32> {
        match self {
            #[expect(clippy::cast_possible_truncation, reason = "it fits, it was looked at")]
            #[expect(clippy::cast_sign_loss, reason = "it isn't negative, it was looked at")]
            Self::Number(n) if (0.0..=f64::from(u32::MAX)).contains(n) && n.fract() == 0.0 => {
                Some(*n as u32)
            }
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LooseVisitor)
    }
}

struct LooseVisitor;

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = Loose;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, yes: bool) -> Result<Loose, E> {
        Ok(Loose::Yes(yes))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Loose, E> {
        Ok(Loose::Number(n as f64))
    }

    fn visit_u64<E>(self, n: u64) -> Result<Loose, E> {
        Ok(Loose::Number(n as f64))
    }

    fn visit_f64<E>(self, n: f64) -> Result<Loose, E> {
        Ok(Loose::Number(n))
    }

    fn visit_str<E>(self, _: &str) -> Result<Loose, E> {
        Ok(Loose::Absent)
    }

    fn visit_unit<E>(self) -> Result<Loose, E> {
        Ok(Loose::Absent)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Loose, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Loose::Absent)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Loose, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Loose::Absent)
    }
}
