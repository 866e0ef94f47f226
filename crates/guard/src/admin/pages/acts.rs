//! What a human does to decisions, appeals and policies on the pages.

use super::{
    form::{Checked, failed},
    layout::Frame,
    show,
};
use crate::{
    Guard,
    admin::auth::Admin,
    policy::{DecisionState, Measure, PolicyError, admin::ByHand},
    store::{AppealRow, DecisionRow},
};
use axum::{
    Extension,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse as _, Redirect, Response},
};
use maud::{Markup, html};
use std::sync::Arc;

/// How long a decision by hand holds where nothing else is said, hours: a week.
const BY_HAND_HOURS: &str = "168";

fn told(error: &PolicyError) -> Response {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
    if let PolicyError::Guard(cause) = error {
        tracing::warn!(error = %cause, "a decision can't be read or changed");
    }
    failed(status, &error.to_string())
}

fn actor(admin: &Admin) -> String {
    format!("admin {}", admin.0)
}

fn decision_path(id: &str) -> String {
    format!("/decisions/{}", show::segment(id))
}

fn back<T>(outcome: Result<T, PolicyError>, path: &str) -> Response {
    match outcome {
        Ok(_) => Redirect::to(path).into_response(),
        Err(error) => told(&error),
    }
}

/// Approves a decision, takes it back, or notes that the account was verified.
pub(super) async fn decide(
    State(guard): State<Arc<Guard>>,
    Extension(admin): Extension<Admin>,
    Path(id): Path<String>,
    form: Checked,
) -> Response {
    let (by, now_ms) = (actor(&admin), guard.clock.now_ms());
    let note = Some(form.field("note")).filter(|note| !note.is_empty());
    let whole = form.field("whole_campaign") == "on";
    let policies = &guard.policies;
    let outcome = match form.field("act") {
        "approve" => policies.approve(&id, &by, note, now_ms).await.map(drop),
        "revoke" => policies.revoke(&id, whole, &by, note, now_ms).await.map(drop),
        "verified" => policies.verified(&id, &by, note, now_ms).await.map(drop),
        _ => return failed(StatusCode::BAD_REQUEST, "Nothing of that name can be done."),
    };
    back(outcome, &decision_path(&id))
}

/// Answers an appeal.
pub(super) async fn resolve(
    State(guard): State<Arc<Guard>>,
    Extension(admin): Extension<Admin>,
    Path(id): Path<String>,
    form: Checked,
) -> Response {
    let granted = match form.field("act") {
        "grant" => true,
        "deny" => false,
        _ => return failed(StatusCode::BAD_REQUEST, "Nothing of that name can be done."),
    };
    let whole = form.field("whole_campaign") == "on";
    let (by, now_ms) = (actor(&admin), guard.clock.now_ms());
    let answer = form.field("answer");
    match guard.policies.resolve(&id, granted, answer, whole, &by, now_ms).await {
        Ok(row) => Redirect::to(&decision_path(&row.decision)).into_response(),
        Err(error) => told(&error),
    }
}

/// Makes a decision by hand.
pub(super) async fn make(
    State(guard): State<Arc<Guard>>,
    Extension(admin): Extension<Admin>,
    form: Checked,
) -> Response {
    let Some(measure) = Measure::from_name(form.field("measure")) else {
        return failed(StatusCode::BAD_REQUEST, "There is no measure of that name.");
    };
    let Ok(expires_hours) = form.field("hours").parse() else {
        return failed(StatusCode::BAD_REQUEST, "The number of hours isn’t a number.");
    };
    let named = |name: &str| Some(form.field(name).to_owned()).filter(|name| !name.is_empty());
    let wish = ByHand {
        account: named("account"),
        campaign: named("campaign"),
        measure,
        reason: form.field("reason").to_owned(),
        note: form.field("note").to_owned(),
        expires_hours,
        without_evidence: form.field("without_evidence") == "on",
    };
    let (by, now_ms) = (actor(&admin), guard.clock.now_ms());
    let made = guard.policies.make(&wish, &guard.detector.latest(), &by, now_ms).await;
    match made.as_deref() {
        Ok([one]) => Redirect::to(&decision_path(&one.id)).into_response(),
        Ok(_) => Redirect::to("/decisions").into_response(),
        Err(error) => told(error),
    }
}

/// Lets a stopped policy go on.
pub(super) async fn resume(
    State(guard): State<Arc<Guard>>,
    Extension(admin): Extension<Admin>,
    Path(policy): Path<String>,
    _form: Checked,
) -> Response {
    let now_ms = guard.clock.now_ms();
    back(guard.policies.resume(&policy, &actor(&admin), now_ms).await, "/decisions")
}

/// The form under a decision that may still change.
pub(super) fn decision_form(frame: &Frame, decision: &DecisionRow) -> Markup {
    let is = |state: DecisionState| decision.state == state.name();
    let proposed = is(DecisionState::Proposed);
    let open = proposed || is(DecisionState::Active) || is(DecisionState::Contested);
    html! {
        @if open {
            section.card aria-labelledby="act" {
                h2 id="act" { @if proposed { "It waits for you" } @else { "End it" } }
                form method="post" action=(decision_path(&decision.id)) {
                    (frame.token())
                    label.block for="note" { "Note, for the record" }
                    input.wide type="text" id="note" name="note" maxlength="2000";
                    @if !decision.cluster.is_empty() {
                        p { input type="checkbox" id="whole" name="whole_campaign"; " " label for="whole" { "take back for the whole campaign" } }
                    }
                    div.actions {
                        @if proposed { button name="act" value="approve" { "Put in force" } }
                        @if decision.measure == Measure::Verification.name() && !proposed {
                            button name="act" value="verified" { "The account was verified" }
                        }
                        button.grave name="act" value="revoke" { @if proposed { "Reject" } @else { "Take back" } }
                    }
                }
            }
        }
    }
}

/// The form under an open appeal.
pub(super) fn appeal_form(frame: &Frame, appeal: &AppealRow, has_campaign: bool) -> Markup {
    let id = |name: &str| format!("{name}-{}", appeal.id);
    html! {
        form method="post" action=(format!("/appeals/{}", show::segment(&appeal.id))) {
            (frame.token())
            label.block for=(id("answer")) { "Answer, which the account reads" }
            textarea id=(id("answer")) name="answer" required maxlength="4000" {}
            @if has_campaign {
                p { input type="checkbox" id=(id("whole")) name="whole_campaign"; " " label for=(id("whole")) { "if granted, for the whole campaign" } }
            }
            div.actions {
                button name="act" value="grant" { "Grant: take the decision back" }
                button.grave name="act" value="deny" { "Deny: it stays in force" }
            }
        }
    }
}

/// The form that makes a decision by hand, about an account or a campaign.
pub(super) fn by_hand_form(frame: &Frame, kind: &str, name: &str) -> Markup {
    html! {
        section.card aria-labelledby="by-hand" {
            h2 id="by-hand" { "Decide by hand" }
            p.small.soft { "From the least harm to the most. The account is told the reason and can contest it; the note stays here." }
            form method="post" action="/decisions" {
                (frame.token())
                input type="hidden" name=(kind) value=(name);
                div.actions {
                    div { label.block for="measure" { "Measure" } select id="measure" name="measure" {
                        @for measure in Measure::ALL { option value=(measure.name()) { (show::words(measure.name())) } }
                    } }
                    div { label.block for="reason" { "Reason (a_z, told)" } input type="text" id="reason" name="reason" required pattern="[a-z0-9_]{1,64}" value="operator_review"; }
                    div { label.block for="hours" { "Hours" } input type="text" id="hours" name="hours" required inputmode="decimal" size="5" value=(BY_HAND_HOURS); }
                }
                label.block for="note" { "Note, for the record" }
                input.wide type="text" id="note" name="note" required maxlength="2000";
                p { input type="checkbox" id="without" name="without_evidence"; " " label for="without" { "also if fewer than three families of evidence were measured" } }
                div.actions { button.grave { "Put in force" } }
            }
        }
    }
}

/// The policies, what they touched today, and a way to let a stopped one go on.
pub(super) fn policies(frame: &Frame) -> Markup {
    let policies = &frame.guard.policies;
    let stopped = policies.stopped();
    html! {
        section.card aria-labelledby="policies" {
            h2 id="policies" { "Policies" }
            div.scroll { table {
                thead { tr { th scope="col" { "policy" } th scope="col" { "measure" } th scope="col" { "mode" } th.n scope="col" { "requests today" } th scope="col" { "state" } } }
                tbody { @for config in policies.configs() {
                    @let (touched, rests) = policies.touched_today(&config.name, frame.now_ms);
                    tr {
                        th.name scope="row" { (config.name) }
                        td { (show::words(config.measure.name())) }
                        td { @if config.dry_run { span.tag { "dry run" } } @else { span.tag.warn { "in force" } } }
                        td.n { (show::count(touched)) }
                        td { @if let Some(why) = stopped.get(&config.name) {
                            span.tag.bad { "stopped" } " " (why) " "
                            form.inline method="post" action=(format!("/policies/{}", show::segment(&config.name))) { (frame.token()) button.quiet { "Let it go on" } }
                        } @else if rests { "rests until tomorrow: its daily budget is spent" } @else { "works" } }
                    }
                } }
            } }
        }
    }
}
