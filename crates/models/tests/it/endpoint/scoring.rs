//! What a server can do is found out, and what it scores is exactly the answer.

use super::{
    mock::{Mock, Reply, ask, user},
    toy::{self, Features},
};
use serde_json::json;
use std::time::Duration;
use stillwatch_models::{
    AccessLevel, Model, ModelError, ScoreRequest, Scored, openai::ScoringRoute,
};

const PLAIN: &str = "user:\nSay it.\n\nassistant:\n";
const TEMPLATE: &str = "<user>Say it.<end>\n<assistant>";

fn request(answer: &str) -> ScoreRequest {
    ScoreRequest { messages: user("Say it."), answer: answer.to_owned() }
}

fn toy(features: Features) -> Mock {
    Mock::start(move |hit| toy::answer(features, hit))
}

#[test]
fn takes_the_best_way_and_scores_exactly() {
    use ScoringRoute::{ChatPromptLogprobs, Echo, PromptLogprobs, TokenIds};
    let none = Features::default();
    let all = Features { tokenize: true, chat: true, prompt_logprobs: true, echo: true, ..none };
    let cases = [
        (all, TokenIds, TEMPLATE),
        (Features { tokenize: false, ..all }, ChatPromptLogprobs, TEMPLATE),
        (Features { prompt_logprobs: true, ..none }, PromptLogprobs, PLAIN),
        (Features { echo: true, ..none }, Echo { max_tokens: 0 }, PLAIN),
        (Features { echo: true, echo_generates: true, ..none }, Echo { max_tokens: 1 }, PLAIN),
        // Tokens without their blanks can't be located, but ids can.
        (Features { strips_blanks: true, ..all }, TokenIds, TEMPLATE),
    ];
    let answers = ["Yes, it is.", "no", "één 漢字 🙂!", "🙂", "a\n\nb", "ends in blank "];
    for (features, route, prompt) in cases {
        let model = toy(features).connect_and_keep();
        assert_eq!(model.1.scoring_route(), Some(route), "{features:?}");
        assert_eq!(model.1.access(), AccessLevel::Logprobs);
        let requests: Vec<_> = answers.iter().map(|a| request(a)).collect();
        for (answer, scored) in answers.iter().zip(model.1.score(&requests)) {
            if route == ChatPromptLogprobs && answer.ends_with(' ') {
                // The template trims: what the server scored is not the text.
                assert!(matches!(scored, Err(ModelError::Request(_))), "{scored:?}");
                continue;
            }
            let expected = Scored { token_log_likelihoods: toy::expected(prompt, answer) };
            assert_eq!(scored.expect("scored"), expected, "{answer:?} by {route}");
        }
    }
}

#[test]
fn a_straddling_token_refuses_the_text_and_only_that_one() {
    let straddling = "\nstarts on a new line";
    for features in [
        Features { prompt_logprobs: true, ..Features::default() },
        Features { echo: true, ..Features::default() },
    ] {
        let model = toy(features).connect_and_keep();
        let results = model.1.score(&[request(straddling), request("fine")]);
        let Err(ModelError::Request(message)) = &results[0] else {
            panic!("{:?}", results[0]);
        };
        assert!(message.contains("no boundary"), "{message}");
        assert!(results[1].is_ok());
    }
    // Tokenised apart there is nothing to straddle.
    let model = toy(Features { tokenize: true, ..Features::default() }).connect_and_keep();
    let scored = model.1.score(&[request(straddling)]).remove(0).expect("scored");
    assert_eq!(scored.token_log_likelihoods, toy::expected(TEMPLATE, straddling));
}

#[test]
fn a_server_that_ignores_what_it_does_not_know_offers_sampling_only() {
    let none = Features::default();
    for features in [
        none,
        Features { ignores_echo: true, ..none },
        Features { prompt_logprobs: true, strips_blanks: true, ..none },
    ] {
        let model = toy(features).connect_and_keep();
        assert_eq!(model.1.scoring_route(), None, "{features:?}");
        assert_eq!(model.1.access(), AccessLevel::Sampling);
        let result = model.1.score(&[request("yes")]).remove(0);
        assert!(matches!(result, Err(ModelError::Access { .. })), "{result:?}");
        assert_eq!(model.1.sample(&[ask("x")]).remove(0).expect("sampled").text, "hi");
    }
}

#[test]
fn echoed_numbers_that_belong_to_other_tokens_are_no_scores() {
    let features = Features { echo: true, echo_is_out_of_step: true, ..Features::default() };
    for features in [features, Features { echo_generates: true, ..features }] {
        let model = toy(features).connect_and_keep();
        assert_eq!(model.1.access(), AccessLevel::Sampling);
        let settings = &model.1.identity().settings;
        assert!(settings.contains("belong to the token after"), "{settings}");
    }
}

#[test]
fn values_that_are_no_log_probabilities_refuse_the_text() {
    for (value, expected) in [
        (json!(-9999.0), "probability 0"),
        (json!(0.5), "impossible"),
        (json!(null), "no log-probability"),
    ] {
        let server = Mock::start(move |hit| {
            let features = Features { echo: true, ..Features::default() };
            let poisoned = hit.body["prompt"].as_str().is_some_and(|p| p.ends_with("poison"));
            if !poisoned {
                return toy::answer(features, hit);
            }
            let prompt = hit.body["prompt"].as_str().unwrap_or_default();
            let head = prompt.strip_suffix("poison").unwrap_or_default();
            Reply::json(&json!({"choices": [{"text": prompt, "logprobs": {
                "tokens": [head, "poison"], "token_logprobs": [null, value],
            }}]}))
        });
        let model = server.connect().expect("open");
        let results = model.score(&[request("fine"), request("poison"), request("")]);
        assert!(results[0].is_ok());
        for (result, expected) in results[1..].iter().zip([expected, "empty"]) {
            let Err(ModelError::Request(message)) = result else { panic!("{result:?}") };
            assert!(message.contains(expected), "{message}");
        }
    }
}

#[test]
fn samples_in_order_under_the_limit_of_concurrency() {
    let server = Mock::chat_only(|hit| {
        // Earlier requests take longer.
        let text = hit.last_text();
        let i: u64 = text.parse().unwrap_or(0);
        Reply::chat(&format!("answer {text}")).after(Duration::from_millis(40 - i % 40))
    });
    let options = stillwatch_models::EndpointOptions { concurrency: 5, ..super::mock::quick() };
    let model = server.connect_with(&options).expect("open");
    let requests: Vec<_> = (0..40).map(|i| ask(&i.to_string())).collect();
    for (i, sampled) in model.sample(&requests).into_iter().enumerate() {
        assert_eq!(sampled.expect("sampled").text, format!("answer {i}"));
    }
    assert!((2..=5).contains(&server.most_at_once()), "{}", server.most_at_once());
    let hit = server.hits().pop().expect("hits");
    for (field, value) in [
        ("temperature", json!(1.0)),
        ("top_p", json!(0.9)),
        ("max_tokens", json!(8)),
        ("seed", json!(7)),
    ] {
        assert_eq!(hit.body[field], value, "{field}");
    }
}

#[test]
fn speaks_other_dialects_of_sampling() {
    // Newer models of OpenAI want another name for the limit.
    let server = Mock::chat_only(|hit| {
        if hit.body.get("max_tokens").is_some() {
            return Reply::new(
                400,
                r#"{"error":{"message":"Unsupported parameter: use 'max_completion_tokens'"}}"#,
            );
        }
        Reply::chat("new")
    });
    let model = server.connect().expect("open");
    assert_eq!(model.sample(&[ask("x")]).remove(0).expect("sampled").text, "new");

    // Base models without a chat template.
    let server = Mock::start(|hit| match hit.path.as_str() {
        "/v1/completions" if hit.body.get("echo").is_none() && hit.body["prompt"].is_string() => {
            Reply::json(&json!({"choices": [{"text": "base", "finish_reason": "length"}]}))
        }
        _ => Reply::new(400, "no chat template"),
    });
    let model = server.connect().expect("open");
    assert_eq!(model.access(), AccessLevel::Sampling);
    let sampled = model.sample(&[ask("x")]).remove(0).expect("sampled");
    assert_eq!((sampled.text.as_str(), sampled.finish_reason.as_str()), ("base", "length"));

    // A stream that nobody asked for.
    let server = Mock::chat_only(|_| {
        Reply::new(
            200,
            "data: {\"choices\":[{\"delta\":{\"content\":\"stre\"}}]}\n\n\
             data: {\"choices\":[{\"delta\":{\"content\":\"am\"},\"finish_reason\":\"stop\"}]}\n\n\
             data: [DONE]\n\n",
        )
        .header("content-type", "text/event-stream")
    });
    let model = server.connect().expect("open");
    assert_eq!(model.sample(&[ask("x")]).remove(0).expect("sampled").text, "stream");
}

#[test]
fn may_be_called_and_dropped_inside_another_runtime() {
    let server = Mock::chat_only(|_| Reply::chat("yes"));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
    runtime.block_on(async {
        let model = server.connect().expect("open");
        assert_eq!(model.sample(&[ask("x")]).remove(0).expect("sampled").text, "yes");
        drop(model);
    });
}

impl Mock {
    /// The server has to live as long as the model is asked.
    fn connect_and_keep(self) -> (Self, stillwatch_models::OpenAiModel) {
        let model = self.connect().expect("open");
        (self, model)
    }
}
