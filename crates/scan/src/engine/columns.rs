//! The columns of the table `exchanges`, and how each is filled from a row.
//!
//! Texts are copied only for columns that somebody asked for. Two columns are no part of what SQL
//! shows: the features of an exchange, worked out where its line is read so that no text has to
//! travel, and the tally of a unit of work, one row at its end.

use super::batch::Context;
use crate::row::LogRow;
use datafusion::arrow::array::{
    ArrayBuilder, ArrayRef, BooleanBuilder, FixedSizeBinaryBuilder, Float32Builder,
    LargeBinaryBuilder, StringViewBuilder, TimestampMillisecondBuilder, UInt32Builder,
    UInt64Builder,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use std::sync::{Arc, LazyLock};
use stillwatch_traffic::Features;

/// What a column takes from a row.
#[derive(Clone, Copy)]
pub(crate) enum Source {
    /// A text; null where it is empty.
    Text(for<'a> fn(&'a LogRow<'_>) -> &'a str),
    /// Who asked.
    Account,
    /// When it was asked.
    Time,
    /// A count.
    Count(fn(&LogRow<'_>) -> Option<u32>),
    /// A parameter.
    Number(fn(&LogRow<'_>) -> Option<f32>),
    /// A fact.
    Fact(fn(&LogRow<'_>) -> bool),
    /// The file.
    File,
    /// The line in it.
    Line,
    /// What detection keeps.
    Features,
    /// The tally of a unit.
    Tally,
}

/// A column.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) source: Source,
}

const fn column(name: &'static str, source: Source) -> Column {
    Column { name, source }
}

/// Columns that SQL shows; the hidden two follow them.
pub(crate) const N_SHOWN: usize = 25;

/// All columns.
pub(crate) static COLUMNS: [Column; N_SHOWN + 2] = [
    column("account", Source::Account),
    column("time", Source::Time),
    column("id", Source::Text(|row| &row.id)),
    column("plan", Source::Text(|row| &row.plan)),
    column("model", Source::Text(|row| &row.model)),
    column("system", Source::Text(|row| &row.system)),
    column("prompt", Source::Text(|row| &row.user)),
    column("response", Source::Text(|row| &row.response)),
    column("finish_reason", Source::Text(|row| &row.finish_reason)),
    column("n_messages", Source::Count(|row| Some(row.n_messages))),
    column("prompt_tokens", Source::Count(|row| Some(row.prompt_tokens))),
    column("completion_tokens", Source::Count(|row| Some(row.completion_tokens))),
    column("max_tokens", Source::Count(|row| row.max_tokens)),
    column("temperature", Source::Number(|row| row.temperature)),
    column("top_p", Source::Number(|row| row.top_p)),
    column("logprobs", Source::Fact(|row| row.logprobs)),
    column("stream", Source::Fact(|row| row.stream)),
    column("tools", Source::Fact(|row| row.tools)),
    column("failed", Source::Fact(|row| row.failed)),
    column("ip", Source::Text(|row| &row.ip)),
    column("user_agent", Source::Text(|row| &row.user_agent)),
    column("messages", Source::Text(|row| &row.messages_json)),
    column("params", Source::Text(|row| &row.params_json)),
    column("file", Source::File),
    column("line", Source::Line),
    column("features", Source::Features),
    column("tally", Source::Tally),
];

/// Bytes of the features column.
pub(crate) const FEATURES_WIDTH: i32 = {
    assert!(Features::BYTES < 1 << 16, "a row is small");
    #[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "see above")]
    let width = Features::BYTES as i32;
    width
};

impl Source {
    fn data_type(self) -> DataType {
        match self {
            Self::Text(_) | Self::Account | Self::File => DataType::Utf8View,
            Self::Time => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
            Self::Count(_) => DataType::UInt32,
            Self::Number(_) => DataType::Float32,
            Self::Fact(_) => DataType::Boolean,
            Self::Line => DataType::UInt64,
            Self::Features => DataType::FixedSizeBinary(FEATURES_WIDTH),
            Self::Tally => DataType::LargeBinary,
        }
    }
}

fn schema(columns: &[Column]) -> SchemaRef {
    let field = |column: &Column| Field::new(column.name, column.source.data_type(), true);
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<Field>>()))
}

/// What SQL shows.
pub(crate) static SHOWN: LazyLock<SchemaRef> =
    LazyLock::new(|| schema(COLUMNS.get(..N_SHOWN).unwrap_or_default()));

/// Everything, for our own plans.
pub(crate) static ALL: LazyLock<SchemaRef> = LazyLock::new(|| schema(&COLUMNS));

/// One column in the making.
pub(crate) enum Builder {
    Text(for<'a> fn(&'a LogRow<'_>) -> &'a str, StringViewBuilder),
    Account(StringViewBuilder),
    Time(TimestampMillisecondBuilder),
    Count(fn(&LogRow<'_>) -> Option<u32>, UInt32Builder),
    Number(fn(&LogRow<'_>) -> Option<f32>, Float32Builder),
    Fact(fn(&LogRow<'_>) -> bool, BooleanBuilder),
    File(StringViewBuilder),
    Line(UInt64Builder),
    Features(FixedSizeBinaryBuilder),
    Tally(LargeBinaryBuilder),
}

/// Bytes of a text column's blocks.
const BLOCK_BYTES: u32 = 1 << 20;

impl Builder {
    pub(crate) fn new(source: Source) -> Self {
        let texts = || StringViewBuilder::new().with_fixed_block_size(BLOCK_BYTES);
        match source {
            Source::Text(of) => Self::Text(of, texts()),
            Source::Account => Self::Account(texts()),
            Source::Time => Self::Time(TimestampMillisecondBuilder::new().with_timezone("UTC")),
            Source::Count(of) => Self::Count(of, UInt32Builder::new()),
            Source::Number(of) => Self::Number(of, Float32Builder::new()),
            Source::Fact(of) => Self::Fact(of, BooleanBuilder::new()),
            Source::File => Self::File(texts()),
            Source::Line => Self::Line(UInt64Builder::new()),
            Source::Features => Self::Features(FixedSizeBinaryBuilder::new(FEATURES_WIDTH)),
            Source::Tally => Self::Tally(LargeBinaryBuilder::new()),
        }
    }

    /// Takes a row; returns the bytes of text copied.
    pub(crate) fn push(&mut self, row: &LogRow<'_>, context: &Context<'_>) -> usize {
        match self {
            Self::Text(of, to) => {
                let text = of(row);
                to.append_option((!text.is_empty()).then_some(text));
                return text.len();
            }
            Self::Account(to) => to.append_option(row.account.as_deref()),
            Self::Time(to) => to.append_option(row.time_ms),
            Self::Count(of, to) => to.append_option(of(row)),
            Self::Number(of, to) => to.append_option(of(row)),
            Self::Fact(of, to) => to.append_value(of(row)),
            Self::File(to) => to.append_value(context.file),
            Self::Line(to) => to.append_value(context.line),
            Self::Features(to) => match context.features {
                // The width is the builder's own.
                Some(features) => drop(to.append_value(features)),
                None => to.append_null(),
            },
            Self::Tally(to) => to.append_null(),
        }
        0
    }

    /// Takes the row of a tally: null everywhere else.
    pub(crate) fn push_tally(&mut self, tally: &[u8]) {
        match self {
            Self::Text(_, to) | Self::Account(to) | Self::File(to) => to.append_null(),
            Self::Time(to) => to.append_null(),
            Self::Count(_, to) => to.append_null(),
            Self::Number(_, to) => to.append_null(),
            Self::Fact(_, to) => to.append_null(),
            Self::Line(to) => to.append_null(),
            Self::Features(to) => to.append_null(),
            Self::Tally(to) => to.append_value(tally),
        }
    }

    /// The column so far; the builder starts anew.
    pub(crate) fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(_, of) | Self::Account(of) | Self::File(of) => ArrayBuilder::finish(of),
            Self::Time(of) => ArrayBuilder::finish(of),
            Self::Count(_, of) => ArrayBuilder::finish(of),
            Self::Number(_, of) => ArrayBuilder::finish(of),
            Self::Fact(_, of) => ArrayBuilder::finish(of),
            Self::Line(of) => ArrayBuilder::finish(of),
            Self::Features(of) => ArrayBuilder::finish(of),
            Self::Tally(of) => ArrayBuilder::finish(of),
        }
    }
}
