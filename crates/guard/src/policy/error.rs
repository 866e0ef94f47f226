//! Why something can't be done to a decision.

use crate::GuardError;

/// Why something can't be done to a decision, a policy or an appeal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// There is none of that name.
    #[error("there is no {0} of that name")]
    Unknown(&'static str),
    /// It stands where this can't be done any more.
    #[error("{0}")]
    Conflict(String),
    /// What was asked isn't allowed, or isn't complete.
    #[error("{0}")]
    Invalid(String),
    /// Asked for too often.
    #[error("too many appeals for now, try again in a minute")]
    TooMany,
    /// The store, or the source of randomness, failed.
    #[error("the state can't be read or written now")]
    Guard(#[from] GuardError),
}

impl From<sqlx::Error> for PolicyError {
    fn from(error: sqlx::Error) -> Self {
        Self::Guard(error.into())
    }
}

impl PolicyError {
    /// HTTP status.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Unknown(_) => 404,
            Self::Conflict(_) => 409,
            Self::Invalid(_) => 400,
            Self::TooMany => 429,
            Self::Guard(_) => 503,
        }
    }

    /// Stable code, snake case.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "not_found",
            Self::Conflict(_) => "conflict",
            Self::Invalid(_) => "invalid",
            Self::TooMany => "too_many_appeals",
            Self::Guard(_) => "store_unavailable",
        }
    }
}
