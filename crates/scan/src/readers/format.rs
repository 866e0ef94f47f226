//! The products whose logs can be read, by name.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Whose log it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Our own exchanges.
    Exchange,
    /// Our own table of exchanges; the engine reads its columns without the detour over rows.
    ExchangeParquet,
    /// Requests and answers of OpenAI's interfaces: pairs, stored completions, batch files.
    #[serde(rename = "openai")]
    OpenAi,
    /// Requests and answers of Anthropic's interface: pairs, batch results.
    Anthropic,
    /// LiteLLM's table of spend.
    LitellmSpend,
    /// LiteLLM's payload for loggers.
    LitellmPayload,
    /// Helicone's requests.
    Helicone,
    /// Langfuse's observations.
    Langfuse,
    /// TensorZero's inferences.
    #[serde(rename = "tensorzero")]
    TensorZero,
    /// OpenTelemetry's conventions for generative models.
    OtelGenai,
    /// Portkey's logs.
    Portkey,
    /// Cloudflare AI Gateway's logs.
    Cloudflare,
    /// None of these: only the fields that a mapping names.
    Mapped,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Exchange,
        Self::ExchangeParquet,
        Self::OpenAi,
        Self::Anthropic,
        Self::LitellmSpend,
        Self::LitellmPayload,
        Self::Helicone,
        Self::Langfuse,
        Self::TensorZero,
        Self::OtelGenai,
        Self::Portkey,
        Self::Cloudflare,
        Self::Mapped,
    ];

    /// As it is named on the command line and in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exchange => "exchange",
            Self::ExchangeParquet => "exchange-parquet",
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::LitellmSpend => "litellm-spend",
            Self::LitellmPayload => "litellm-payload",
            Self::Helicone => "helicone",
            Self::Langfuse => "langfuse",
            Self::TensorZero => "tensorzero",
            Self::OtelGenai => "otel-genai",
            Self::Portkey => "portkey",
            Self::Cloudflare => "cloudflare",
            Self::Mapped => "mapped",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no format has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no format is called `{name}`: expected one of {}", Format::ALL.map(Format::name).join(", "))]
pub struct UnknownFormat {
    /// The name.
    pub name: String,
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        let found = Self::ALL.into_iter().find(|format| format.name() == name);
        found.ok_or_else(|| UnknownFormat { name: name.to_owned() })
    }
}
