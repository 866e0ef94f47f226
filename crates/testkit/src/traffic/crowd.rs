//! Style C of campaigns: people paid to paste prompts and to carry on for a turn or two.

use super::account::{Draft, Say, Script};
use super::campaigns::Plan;
use super::grammar::{Fill, Subject};
use rand::Rng;
use std::sync::Arc;
use stillwatch_evidence::Message;

/// A worker: pastes the next prompt of the queue, or asks for more about the last answer.
pub(super) struct Worker {
    plan: Arc<Plan>,
    history: Vec<Message>,
    subject: Option<Subject>,
    left: u32,
}

impl Worker {
    pub(super) fn new(plan: Arc<Plan>) -> Self {
        Self { plan, history: Vec::new(), subject: None, left: 0 }
    }
}

impl Script for Worker {
    fn compose(&mut self, say: &mut Say<'_>) -> Draft {
        if let Some(subject) = self.subject.filter(|_| self.left > 0 && !self.history.is_empty()) {
            self.left -= 1;
            let pattern = say.language.pattern(say.rng, "c_more");
            let text = say.language.expand(say.rng, pattern, Fill::about(subject));
            return Draft { history: self.history.clone(), ..Draft::new(text, subject, 8) };
        }
        self.history.clear();
        self.left = say.rng.random_range(0..3);
        let (question, subject) = self.plan.question(say.language, u64::from(say.item), &[]);
        self.subject = Some(subject);
        let text = self.plan.wrap(say, &question, subject);
        Draft::new(text, subject, 8)
    }

    fn hear(&mut self, draft: &Draft, answer: &str) {
        for (role, content) in [("user", draft.user.as_str()), ("assistant", answer)] {
            self.history.push(Message { role: role.to_owned(), content: content.to_owned() });
        }
    }
}
