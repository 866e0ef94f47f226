//! Adaptive clients against the mock upstream itself.

use stillwatch_testkit::client::{Adaptive, Habit, Speaks};
use stillwatch_testkit::upstream::{Behaviour, MockUpstream};

fn slow_enough() -> Behaviour {
    // Fast, but not so fast that a stream is over before anyone can hang up.
    Behaviour::new().tokens(30..=60).tokens_per_second(2_000.0)
}

#[tokio::test]
async fn readers_get_whole_answers_in_every_shape() {
    for speaks in [Speaks::Chat, Speaks::Messages, Speaks::Responses] {
        let upstream = MockUpstream::start(Behaviour::new().tokens(10..=20));
        let turns = Adaptive::new(&upstream.url()).speaks(speaks).streams(0.5).run(12, 3).await;
        assert!(turns.len() >= 12);
        for turn in &turns {
            assert_eq!((turn.status, turn.hung_up, turn.broken), (200, false, false), "{speaks:?}");
            assert!(turn.text.split(' ').count() >= 10 && turn.text.ends_with('.'), "{turn:?}");
            assert_eq!(turn.quotes, turn.place > 0);
        }
        let counts = upstream.wait_for(|c| c.under_way() == 0).await;
        assert_eq!((counts.completed, counts.cancelled), (turns.len() as u64, 0));
    }
}

#[tokio::test]
async fn those_who_hang_up_are_seen_to_go() {
    let cases = [
        (Habit::HangUpWhenLong(60), true),
        (Habit::HangUpWhenBad(0.5), false),
        (Habit::HangUpOnWord("the".to_owned()), false),
        (Habit::HangUpAtOnce, true),
        (Habit::ReadsOnOnlyFor("whale".to_owned()), false),
    ];
    for (habit, always) in cases {
        let upstream = MockUpstream::start(slow_enough());
        let turns =
            Adaptive::new(&upstream.url()).turns(1..=1).habit(habit.clone()).run(30, 10).await;
        let gone = turns.iter().filter(|t| t.hung_up).count();
        assert!(gone > 0 && (gone == turns.len()) == always, "{habit:?}: {gone}");
        let counts = upstream.wait_for(|c| c.under_way() == 0).await;
        assert_eq!(counts.begun, 30);
        assert!(counts.cancelled > 0, "{habit:?}: {counts:?}");
    }
}

#[tokio::test]
async fn answers_come_back_in_later_requests() {
    let upstream = MockUpstream::start(Behaviour::new());
    let clients = Adaptive::new(&upstream.url()).turns(2..=3).asks_again(0.6).pastes(0.5);
    let turns = clients.clone().run(40, 1).await;
    let again = turns.windows(2).filter(|w| w[0].messages == w[1].messages).count();
    let pasted = turns.iter().filter(|t| t.place == 0 && t.quotes).count();
    assert!(again > 5 && pasted > 5, "{again} asked again, {pasted} pasted");
    for pair in turns
        .windows(2)
        .filter(|w| w[1].place > w[0].place && w[1].conversation == w[0].conversation)
    {
        assert!(
            pair[1]
                .messages
                .iter()
                .any(|(role, text)| role == "assistant" && *text == pair[0].text)
        );
    }
    let other = MockUpstream::start(Behaviour::new());
    let same =
        Adaptive::new(&other.url()).turns(2..=3).asks_again(0.6).pastes(0.5).run(40, 1).await;
    assert_eq!(turns, same, "one at a time, a seed repeats");
}
