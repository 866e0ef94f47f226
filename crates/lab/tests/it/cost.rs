//! The arithmetic of `cost` against published figures, and what it refuses.

use stillwatch_lab::cost::{
    Band, CostError, CostParams, CostReport, Range, answer, html, in_words, parse_count,
    parse_range, parse_share_range, registry::Registry,
};

fn registry() -> &'static Registry {
    Registry::shipped().expect("the shipped registry can be read")
}

fn ask(params: &CostParams) -> Result<CostReport, CostError> {
    answer(&params.check(registry())?, registry())
}

fn of(model: &str) -> CostReport {
    ask(&CostParams { model: Some(model.to_owned()), ..CostParams::default() })
        .expect("a model of the registry has an answer")
}

fn own() -> CostParams {
    CostParams {
        params_active: Some(37e9),
        params_total: Some(671e9),
        tokens: Some(14.8e12),
        gpu: Some("h800".to_owned()),
        ..CostParams::default()
    }
}

#[track_caller]
fn close(found: Option<f64>, expected: f64) {
    let found = found.expect("the number is there");
    assert!((found / expected - 1.0).abs() < 0.01, "{found} is not within 1% of {expected}");
}

#[test]
fn deepseek_v3_comes_out_as_published() {
    let report = of("deepseek-v3");
    let claim = report.claim.expect("a claim");
    close(report.compute.map(|c| c.flop), 3.29e24);
    close(claim.needed_mfu_bf16, 0.346);
    close(claim.needed_mfu_fp8, 0.173);
    close(claim.usd, 5.576e6);
    close(claim.usd_recomputed, 5.576e6);
    assert_eq!(claim.band, Some(Band::Plausible));
}

#[test]
fn llama_and_gpt_4_come_out_as_computed_elsewhere() {
    close(of("llama-3.1-405b").claim.and_then(|c| c.needed_mfu_bf16), 0.345);
    close(of("gpt-4").claim.and_then(|c| c.needed_mfu_bf16), 0.328);
    close(of("llama-3.1-405b").compute.map(|c| c.flop), 3.79e25);
}

#[test]
fn both_readings_of_the_capital_stand_beside_the_claim() {
    let report = of("deepseek-v3");
    let others: Vec<f64> = report
        .dollars
        .iter()
        .filter(|row| row.group == "other_reading")
        .map(|row| row.usd.low)
        .collect();
    for usd in [1.3e9, 1.6e9] {
        assert!(others.iter().any(|found| (found - usd).abs() < 1.0), "{usd} in {others:?}");
    }
}

#[test]
fn the_worked_example_of_fine_tuning_comes_out() {
    // 1.54B parameters, 800k samples of 8k tokens, 2 epochs: 1.18e20 FLOP, 83 H100-hours at 40%.
    let params = CostParams {
        student_params: Some(1.54e9),
        harvest_tokens: Some(Range { low: 8000.0, high: 8000.0 }),
        mfu: Some(Range { low: 0.4, high: 0.4 }),
        ..own()
    };
    let harvest = ask(&params).expect("an answer").harvest;
    close(harvest.sft_flop.map(|r| r.low), 1.18e20);
    close(harvest.sft_gpu_hours.map(|r| r.high), 83.0);
}

#[test]
fn the_answer_has_two_parts_and_the_words_carry_both() {
    let report = of("deepseek-v3");
    assert_eq!(report.answer.len(), 2);
    let text = in_words(&report);
    for part in ["34.6%", "17.3%", "$5.576 M", "plausible", "leaves out", "OpenAI o1", "permission"]
    {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    insta::assert_snapshot!("cost_deepseek_v3", text);
}

#[test]
fn every_model_has_an_answer_and_every_figure_a_source() {
    for model in &registry().model {
        let report = of(&model.name);
        for used in &report.figures {
            let source = report.sources.get(&used.figure.source);
            let source = source.expect("the figure's source is in the registry");
            assert!(source.url.starts_with("https://"), "{}", source.url);
            assert!(source.date.parse::<jiff::civil::Date>().is_ok(), "{}", source.date);
        }
        let page = html(&report);
        assert!(page.contains("<svg") && !page.contains("<script"), "{}", model.name);
    }
}

#[test]
fn rumours_are_called_rumours() {
    let text = in_words(&of("gpt-4"));
    assert!(text.contains("(rumour)"), "{text}");
    assert!(text.contains("rumour "), "{text}");
}

#[test]
fn impossible_input_is_explained_and_no_number_is_computed() {
    let cases: [(CostParams, &str); 9] = [
        (CostParams { params_active: Some(700e9), ..own() }, "active"),
        (CostParams { mfu: Some(Range { low: 1.2, high: 1.2 }), ..own() }, "100%"),
        (CostParams { gpu: Some("h9000".to_owned()), ..own() }, "known are h800"),
        (CostParams { model: Some("gpt-9".to_owned()), ..CostParams::default() }, "no model"),
        (CostParams { tokens: Some(0.0), ..own() }, "positive"),
        (CostParams { tokens: Some(f64::NAN), ..own() }, "positive"),
        (CostParams { gpu_hours: Some(1e5), ..own() }, "impossible"),
        (
            CostParams {
                gpu: Some("a100".to_owned()),
                precision: Some(stillwatch_lab::cost::Precision::Fp8),
                ..own()
            },
            "no FP8 peak",
        ),
        (CostParams { tokens: None, ..own() }, "--tokens is missing"),
    ];
    for (params, expected) in cases {
        let error = ask(&params).expect_err("refused").to_string();
        assert!(error.contains(expected), "{expected:?} in {error:?}");
    }
}

#[test]
fn a_claim_may_need_more_than_bf16_but_no_more_than_fp8() {
    // 1.4 times the BF16 peak is 70% of FP8: implausible, yet not impossible.
    let hours = 3.2856e24 / (989.5e12 * 3600.0 * 1.4);
    let report = ask(&CostParams { gpu_hours: Some(hours), ..own() }).expect("an answer");
    assert_eq!(report.claim.and_then(|c| c.band), Some(Band::Implausible));
}

#[test]
fn numbers_are_read_as_people_write_them() {
    for (text, value) in
        [("37B", 37e9), ("14.8T", 14.8e12), ("2.664M", 2.664e6), ("800k", 8e5), ("1e3", 1e3)]
    {
        close(parse_count("n", text).ok(), value);
    }
    for text in ["", "B", "-3", "0", "1e400", "nan", "inf", "3x"] {
        assert!(parse_count("n", text).is_err(), "{text:?}");
    }
    assert_eq!(parse_range("r", "1.5-4").ok(), Some(Range { low: 1.5, high: 4.0 }));
    assert!(parse_range("r", "4-1.5").is_err());
    let share = parse_share_range("m", "25-45%").expect("a range");
    assert!((share.low - 0.25).abs() < 1e-12 && (share.high - 0.45).abs() < 1e-12);
}

#[test]
fn bands_meet_at_their_ends() {
    for (share, band) in [
        (0.0, Band::Slack),
        (0.149, Band::Slack),
        (0.15, Band::Plausible),
        (0.45, Band::Record),
        (0.6, Band::Implausible),
        (1.7, Band::Implausible),
    ] {
        assert_eq!(Band::of(share), band, "{share}");
    }
}
