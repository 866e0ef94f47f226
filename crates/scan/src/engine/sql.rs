//! SQL over a scan: `exchanges` as they lie in the logs; `accounts`, `campaigns` and `edges` as
//! they were found, worked out only where a query names one of them.
//!
//! Queries read: statements that would change something, or read other files, are refused.

use super::error::{EngineError, from_datafusion};
use super::{EngineParams, ExchangesTable, session};
use crate::ScanError;
use crate::readers::Unit;
use crate::result::{ScanCampaign, ScanResult};
use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Float64Array, RecordBatch, StringArray, UInt64Array,
};
use datafusion::common::{DataFusionError, TableReference};
use datafusion::execution::context::SQLOptions;
use datafusion::prelude::SessionContext;
use std::sync::Arc;

/// Tables that need the analysis.
const FOUND: [&str; 3] = ["accounts", "campaigns", "edges"];

/// Answers a query. `result` is asked for what was found, where the query needs it.
///
/// # Errors
/// A query that is no query, names what isn't there, or wants to change something; a log that
/// can't be read; what `result` fails with.
pub fn sql(
    query: &str,
    units: &[Unit],
    hash_key: &[u8; 32],
    params: &EngineParams,
    result: impl FnOnce() -> Result<ScanResult, ScanError>,
) -> Result<Vec<RecordBatch>, ScanError> {
    let context = session::local(params)?;
    let names = names(&context, query).map_err(from_datafusion)?;
    let table = ExchangesTable::shown(units.to_vec(), *hash_key);
    context.register_table("exchanges", Arc::new(table)).map_err(from_datafusion)?;
    if names.iter().any(|name| FOUND.contains(&name.as_str())) {
        register(&context, &result()?).map_err(from_datafusion)?;
    }
    let options =
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    session::runtime(params)?.block_on(async {
        let frame = context.sql_with_options(query, options).await.map_err(|e| explain(&e))?;
        frame.collect().await.map_err(from_datafusion)
    })
}

/// The tables that a query names.
fn names(context: &SessionContext, query: &str) -> Result<Vec<String>, DataFusionError> {
    let state = context.state();
    let dialect = state.config().options().sql_parser.dialect;
    let statement = state.sql_to_statement(query, &dialect)?;
    let references = state.resolve_table_references(&statement)?;
    Ok(references.iter().map(TableReference::table).map(str::to_lowercase).collect())
}

fn explain(error: &DataFusionError) -> ScanError {
    EngineError::Query {
        message: error.strip_backtrace(),
        hint: Some(
            "tables: exchanges, accounts, campaigns, edges; `select * from exchanges limit 1` \
             shows columns; only queries are answered"
                .to_owned(),
        ),
    }
    .into()
}

fn register(context: &SessionContext, result: &ScanResult) -> Result<(), DataFusionError> {
    context.register_batch("accounts", accounts(result)?)?;
    context.register_batch("campaigns", campaigns(result)?)?;
    context.register_batch("edges", edges(result)?)?;
    Ok(())
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch, DataFusionError> {
    // Columns without any value are of unknown nullability: all are nullable.
    Ok(RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, column)| (name, column, true)),
    )?)
}

fn accounts(result: &ScanResult) -> Result<RecordBatch, DataFusionError> {
    let of = &result.accounts;
    batch(vec![
        ("account", Arc::new(of.iter().map(|a| Some(&a.account)).collect::<StringArray>())),
        ("n", Arc::new(of.iter().map(|a| Some(a.n)).collect::<UInt64Array>())),
        ("score", Arc::new(of.iter().map(|a| Some(a.score)).collect::<Float64Array>())),
        ("flagged", Arc::new(of.iter().map(|a| Some(a.flagged)).collect::<BooleanArray>())),
        ("p_value", Arc::new(of.iter().map(|a| a.p_value).collect::<Float64Array>())),
        ("e_value", Arc::new(of.iter().map(|a| a.e_value).collect::<Float64Array>())),
        ("campaign", Arc::new(of.iter().map(|a| a.campaign.as_ref()).collect::<StringArray>())),
    ])
}

fn campaigns(result: &ScanResult) -> Result<RecordBatch, DataFusionError> {
    let of = &result.campaigns;
    let families = of.iter().map(|c| Some(c.families.join(" ")));
    batch(vec![
        ("id", Arc::new(of.iter().map(|c| Some(&c.id)).collect::<StringArray>())),
        (
            "n_accounts",
            Arc::new(of.iter().map(|c| Some(c.accounts.len() as u64)).collect::<UInt64Array>()),
        ),
        ("score", Arc::new(of.iter().map(|c| Some(c.score)).collect::<Float64Array>())),
        ("flagged", Arc::new(of.iter().map(|c| Some(c.flagged)).collect::<BooleanArray>())),
        ("e_value", Arc::new(of.iter().map(|c| c.e_value).collect::<Float64Array>())),
        ("families", Arc::new(families.collect::<StringArray>())),
    ])
}

/// The account at a place.
fn name(campaign: &ScanCampaign, place: u32) -> Option<&String> {
    campaign.accounts.get(usize::try_from(place).ok()?)
}

fn edges(result: &ScanResult) -> Result<RecordBatch, DataFusionError> {
    let of = || result.campaigns.iter().flat_map(|c| c.edges.iter().map(move |e| (c, e)));
    let families = of().map(|(_, e)| Some(e.families.join(" ")));
    batch(vec![
        ("campaign", Arc::new(of().map(|(c, _)| Some(&c.id)).collect::<StringArray>())),
        ("a", Arc::new(of().map(|(c, e)| name(c, e.a)).collect::<StringArray>())),
        ("b", Arc::new(of().map(|(c, e)| name(c, e.b)).collect::<StringArray>())),
        ("families", Arc::new(families.collect::<StringArray>())),
    ])
}
