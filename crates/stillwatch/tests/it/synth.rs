//! Small score and exposure files with known truth.

use serde_json::json;
use std::fmt::Write as _;

/// Noise from a linear congruential generator, about uniform in [-1, 1].
fn noise(state: &mut u64) -> f64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

/// Scores of `n` pairs by a suspect that prefers the released text by `effect` nats, and by a
/// reference `ref1` that shares most of its noise; four accounts.
pub(crate) fn scores(n: usize, effect: f64, coin: &str) -> String {
    let mut text = String::from(
        "id,suspect_released,suspect_withheld,ref1_released,ref1_withheld,account,coin\n",
    );
    let mut state = 7;
    for i in 0..n {
        let shared = 5.0 * noise(&mut state);
        let own = noise(&mut state) + effect;
        let (released, account) = (-40.0 + shared + own, i % 4);
        let reference = -42.0 + shared + noise(&mut state);
        writeln!(text, "p{i},{released:.4},-40,{reference:.4},-42,a{account},{coin}")
            .unwrap_or_default();
    }
    text
}

/// `n` exposures with short prompts; the released text says `yes`, the withheld one `no`.
pub(crate) fn exposures(n: usize) -> String {
    let line = |i: usize| {
        json!({
            "id": format!("e{i}"),
            "messages": [{ "role": "user", "content": format!("Question {i}?") }],
            "released": format!("yes to number {i} and so on"),
            "withheld": [format!("no to number {i} or rather not")],
            "coin": "server",
        })
        .to_string()
    };
    (0..n).map(line).collect::<Vec<_>>().join("\n")
}
